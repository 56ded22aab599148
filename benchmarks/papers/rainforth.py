"""The signal-to-noise ratio of gradients of the importance bound, as a function of K."""

import numpy as np

from papers import Row
from shared.measure.bias import log_log_slope
from shared.measure.gradients import importance_gradients, signal_to_noise
from shared.measure.linear_gaussian import LinearGaussian

TITLE = "Rainforth et al. 2018: Tighter variational bounds are not necessarily better"
SOURCE = (
    "arXiv:1802.04537, theorem 1 and the model of its section 4; for the last row Tucker et al. "
    "2018, arXiv:1810.04152"
)
D, N, PERTURBATION = 20, 1024, 0.01  # latents = pixels, images, standard deviation


def perturbed_model(seed):
    """Returns the model at one image, and q there, all parameters near their optimum.

    z ~ N(mu, I), x|z ~ N(z, I), q(z|x) = N(A x + b, 2/3 I). At the optimum mu is the mean image, A
    is I / 2 and b is mu / 2; the covariance of the posterior is I / 2, so q is not exact.

    Returns:
        (LinearGaussian, z_mean, z_log_var).
    """
    random = np.random.RandomState(seed)
    x = random.normal(size=D) + 2**0.5 * random.normal(size=(N, D))
    near = [x.mean(axis=0), np.eye(D) / 2, x.mean(axis=0) / 2]
    mu, a, b = (each + PERTURBATION * random.normal(size=each.shape) for each in near)
    return LinearGaussian(x[0], np.eye(D), 1.0, mu), a @ x[0] + b, np.full(D, np.log(2 / 3))


def ratios(seed, k, repetitions):
    """Returns the SNR by b, by mu, and by b doubly reparameterized; means over the coordinates.

    A mean of noisy gradients would need about K times as many repetitions as there are here. The
    doubly reparameterized estimator has the same expectation and little noise: it is the signal.
    """
    model, z_mean, z_log_var = perturbed_model(seed)
    estimates = importance_gradients(
        model.log_joint,
        z_mean,
        z_log_var,
        k,
        repetitions,
        seed=seed,
        model_slope=lambda z: z - model.prior_mean,
    )
    total, double = (estimates[name][:, 0] for name in ("total", "double"))
    signal = double.mean(axis=0)
    each = signal_to_noise(total, signal), signal_to_noise(estimates["model"])
    return [ratio.mean() for ratio in (*each, signal_to_noise(double))]


def measure(quick):
    """Returns the rows of the paper: one slope per model."""
    seeds, repetitions = (range(2), 200) if quick else (range(5), 2000)
    ks = (10, 30, 100) if quick else (10, 30, 100, 300, 1000)
    slopes = []
    for seed in seeds:
        columns = np.transpose([ratios(seed, k, repetitions) for k in ks])
        slopes.append([log_log_slope(ks, column) for column in columns])
    encoder, decoder, double = np.transpose(slopes).tolist()
    tolerance = 0.2 if quick else 0.05
    rule = f"mean within {tolerance}"
    return [
        Row(
            f"slope of log SNR over log K, {ks[0]} to {ks[-1]}: encoder (b)",
            encoder,
            "−½",
            bool(abs(np.mean(encoder) + 0.5) < tolerance),
            rule,
        ),
        Row(
            "the same: decoder (mu)",
            decoder,
            "+½",
            bool(abs(np.mean(decoder) - 0.5) < tolerance),
            rule,
        ),
        Row(
            "the same: encoder, doubly reparameterized",
            double,
            "does not fall with K",
            bool(min(double) > 0),
            "every slope > 0",
        ),
    ]
