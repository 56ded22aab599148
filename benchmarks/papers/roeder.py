"""The variance of the ELBO's gradient with and without the score of q, on the way to q = p(z|x)."""

import numpy as np
from small_vae import small_vae

from papers import Row
from shared.measure.bias import log_log_slope
from shared.measure.gaps import best_gaussian, diagonal_scale, log_likelihood_surfaces
from shared.measure.gradients import bernoulli_log_joint, importance_gradients
from shared.measure.linear_gaussian import LinearGaussian

TITLE = "Roeder, Wu and Duvenaud 2017: Sticking the landing"
SOURCE = "arXiv:1703.09194; a linear-Gaussian model, then the VAE of cremer.py"


def variances(log_joint, z_mean, z_log_var, repetitions, seed=0):
    """Returns the variances of the gradient with and without the score, summed over parameters."""
    estimates = importance_gradients(log_joint, z_mean, z_log_var, 1, repetitions, seed)
    return [estimates[name].var(axis=0, ddof=1).sum() for name in ("total", "path")]


def on_the_way(seed, distances, repetitions):
    """Returns both variances at each distance of q from the posterior: (distances, 2)."""
    random = np.random.RandomState(seed)
    kernel = np.linalg.qr(random.normal(size=(5, 2)))[0].T * [[1.5], [0.7]]  # p(z|x) is diagonal
    model = LinearGaussian(random.normal(size=5), kernel, 0.4)
    mean, covariance = model.posterior()
    away = random.normal(size=(2, 2))
    q = [(mean + t * away[0], np.log(np.diag(covariance)) + t * away[1]) for t in distances]
    return np.array([variances(model.log_joint, *each, repetitions, seed) for each in q])


def in_a_vae(quick):
    """Returns the ratios of the variances of each image: at the encoder's q and at the best q."""
    vae = small_vae(0, 5 if quick else 50, epochs=5 if quick else 50)
    surfaces = log_likelihood_surfaces(vae.log_likelihood, vae.x, spacing=0.05)
    ratios = []
    for i, surface in enumerate(surfaces):
        log_joint = bernoulli_log_joint(vae.weights, vae.activation, vae.x[i])
        start = vae.z_mean[i], diagonal_scale(vae.z_log_var[i : i + 1])[0]
        best = best_gaussian(surface, [start])[0]
        pair = []
        for q in (
            (vae.z_mean[i], vae.z_log_var[i]),
            (best.mean, 2 * np.log(np.diag(best.scale))),
        ):
            total, path = variances(log_joint, *q, 200 if quick else 1000)
            pair.append(path / total)
        ratios.append(pair)
    return np.transpose(ratios)


def measure(quick):
    """Returns the rows of the paper."""
    repetitions, distances = 200 if quick else 5000, (1.0, 0.1, 0.01, 0.001, 0.0)
    ways = [on_the_way(seed, distances, repetitions) for seed in range(2 if quick else 5)]
    at_the_end = [way[-1] for way in ways]
    slopes = [log_log_slope(distances[:-1], way[:-1, 1]) for way in ways]
    encoder, best = in_a_vae(quick)
    return [
        Row(
            "variance without the score, q = posterior",
            [float(end[1]) for end in at_the_end],
            "0",
            bool(max(end[1] for end in at_the_end) < 1e-20),
            "< 1e-20, rounding of float64",
        ),
        Row(
            "variance with the score there",
            [float(end[0]) for end in at_the_end],
            "not 0",
            bool(min(end[0] for end in at_the_end) > 0.1),
            "> 0.1",
        ),
        Row(
            "slope of log variance without the score, over log distance",
            slopes,
            "goes to 0 with the distance",
            bool(abs(np.mean(slopes) - 2) < 0.1),
            "2 within 0.1: quadratic",
        ),
        Row(
            "VAE, encoder's q: variance without / with the score, median of 50 images",
            [float(np.median(encoder))],
            "",
            None,
            "the posterior is no diagonal Gaussian",
        ),
        Row(
            "the same, at the best diagonal q of each image",
            [float(np.median(best))],
            "less, as q is nearer",
            bool(np.median(best) < min(1, np.median(encoder))),
            "below 1 and below the encoder's",
        ),
    ]
