"""The bias of the importance bound as an estimate of log p(x), as a function of K."""

import numpy as np
from small_vae import small_vae

from papers import Row
from papers.rainforth import perturbed_model
from shared.elbo import LOG_2PI
from shared.measure.bias import bound_bias, log_log_slope
from shared.measure.gaps import diagonal_scale, gap_split

TITLE = "Nowozin 2018: Debiasing evidence approximations"
SOURCE = "ICLR 2018, openreview HyZoi-WRb; the model of rainforth.py, then the VAE of cremer.py"


def log_weights(log_joint, mean, scale, samples, seed):
    """Returns log w of samples of the Gaussian q, in nats."""
    epsilon = np.random.RandomState(seed).normal(size=(samples, len(mean)))
    log_q = -0.5 * ((epsilon**2).sum(axis=1) + len(mean) * LOG_2PI)
    log_q -= np.log(np.abs(np.diag(scale))).sum()
    return log_joint(mean + epsilon @ scale.T)[0] - log_q


def exact_coefficient(model, z_mean, z_log_var):
    """Returns -Var(w) / (2 p(x)²) where the posterior is N(m, I / 2) and q is diagonal.

    Per latent, with precisions a of p(z|x) and c of q, the integral of p²/q is
    a / sqrt(c (2a - c)) · exp(a c away² / (2a - c)): it exists only if c < 2a.
    """
    a, c = 2.0, np.exp(-z_log_var)
    away = model.posterior()[0] - z_mean
    second = np.prod(a / np.sqrt(c * (2 * a - c)) * np.exp(a * c * away**2 / (2 * a - c)))
    return -0.5 * (second - 1)


def of_a_gaussian(seed, ks, samples):
    """Returns three numbers of one model.

    Returns:
        the slope of the bias over K; K times the bias over its leading term, at the largest K; the
        bias of the jackknife over that of the bound, at the second K.
    """
    model, z_mean, z_log_var = perturbed_model(seed)
    logs = log_weights(model.log_joint, z_mean, np.diag(np.exp(z_log_var / 2)), samples, seed)
    bias = [bound_bias(logs, model.log_evidence(), k)[0] for k in ks]
    jackknifed = bound_bias(logs, model.log_evidence(), ks[1], order=1)[0]
    ratio = ks[-1] * bias[-1] / exact_coefficient(model, z_mean, z_log_var)
    return log_log_slope(ks, bias), ratio, jackknifed / bias[1]


def of_a_vae(quick):
    """Returns the slope of the mean bias of the images over K, for the encoder's q and the best."""
    n, samples, ks = (4, 2000, (1, 10)) if quick else (20, 10_000, (1, 3, 10, 30))
    vae = small_vae(0, n, epochs=5 if quick else 50)
    split = gap_split(vae.log_likelihood, vae.x, vae.z_mean, vae.z_log_var, spacing=0.04)
    slopes = []
    for kind in ("encoder", "full"):
        biases = np.empty((n, len(ks)))
        for i in range(n):
            q = vae.z_mean[i], diagonal_scale(vae.z_log_var[i : i + 1])[0]
            if kind == "full":
                q = split["fits"][i][1].mean, split["fits"][i][1].scale

            def log_joint(z, i=i):
                given_z = vae.log_likelihood(vae.x[i : i + 1], z)[0]
                return given_z - 0.5 * (z**2).sum(axis=1) - LOG_2PI, None

            logs = log_weights(log_joint, *q, samples, seed=i)
            biases[i] = [bound_bias(logs, split["log_px"][i], k)[0] for k in ks]
        slopes.append([log_log_slope(ks, each) for each in biases])
    return ks, *slopes


def measure(quick):
    """Returns the rows of the paper."""
    seeds, samples = (range(2), 40_000) if quick else (range(5), 1_000_000)
    ks = (8, 16, 32) if quick else (8, 16, 32, 64, 128, 256)
    found = [of_a_gaussian(seed, ks, samples) for seed in seeds]
    slopes, ratios, jackknifed = np.transpose(found).tolist()
    few, encoder, best = of_a_vae(quick)
    tolerance = 0.3 if quick else 0.05
    return [
        Row(
            f"linear-Gaussian: slope of log(−bias) over log K, {ks[0]} to {ks[-1]}",
            slopes,
            "−1",
            bool(abs(np.mean(slopes) + 1) < tolerance),
            f"mean within {tolerance}",
        ),
        Row(
            f"K · bias at K = {ks[-1]} over −Var(w) / (2 p(x)²)",
            ratios,
            "1",
            bool(abs(np.mean(ratios) - 1) < tolerance),
            f"mean within {tolerance}",
        ),
        Row(
            f"bias of the jackknife over that of the bound, K = {ks[1]}",
            jackknifed,
            "of order 1/K",
            bool(abs(np.mean(jackknifed)) < 0.1),
            "mean within 0.1 of 0",
        ),
        Row(
            f"VAE, encoder's q: slope over K = {few[0]} to {few[-1]}, one per image",
            encoder,
            "−1 if Var(w) is finite",
            None,
            "Var(w) is infinite: σ² < ½",
        ),
        Row(
            "the same, best Gaussian q of each image",
            best,
            "",
            None,
            "infinite, too; q is near the posterior",
        ),
    ]
