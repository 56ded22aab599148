"""Alemi et al. 2018: rate-distortion curves, with the ELBO as their tangent."""

import itertools

import numpy as np

from examples import linear
from papers import Row
from shared.config import recipe
from shared.data import load_data
from shared.elbo import kl_to_standard_normal
from shared.measure.linear import linear_optimum, log_evidence_linear, spectrum
from tf_vae.evaluate import elbo_terms
from tf_vae.train import train

TITLE = "Alemi, Poole, Fischer, Dillon, Saurous & Murphy 2018: Fixing a broken ELBO"
SOURCE = "arXiv:1711.00464"
BETAS = (0.1, 0.3, 1.0, 3.0, 10.0)


def measure(quick):
    """Returns the rows: exact slopes, equal ELBOs at different rates, trained curves.

    Args:
        quick: one seed and short trainings.
    """
    data = load_data("mnist-5k")
    mean, values, directions = spectrum(data.x_train)
    scores = (data.x_train.astype(float) - mean) @ directions[:, :20]
    return [
        slopes(values),
        *equal_elbos(scores / np.sqrt(values[:20]), values[:20]),
        trained_linear(data, values, quick),
        trained(data, quick),
    ]


def slopes(values):
    """Compares the slope of the exact curve of the linear VAE with -beta."""
    away = []
    for beta in BETAS:
        near = [linear_optimum(values, 50, beta * (1 + step), 0.25) for step in (-1e-5, 1e-5)]
        distortion = near[0].log_likelihood - near[1].log_likelihood
        away.append(distortion / (near[1].kl.sum() - near[0].kl.sum()) / -beta - 1)
    return Row(
        "slope of the exact curve of the linear VAE divided by −β, minus 1; five β",
        away,
        "",
        bool(max(map(abs, away)) < 1e-3),
        "below 0.001: the derivative of D + βR is 0",
    )


def equal_elbos(white, values):
    """Describes the same Gaussian density by decoders that leave more and more to the noise.

    With W Wᵀ = share · S and the noise (1 - share) · S, p(x) is N(0, S) for every share, and the
    exact posterior has the variance 1 - share.
    """
    k, elbos, rates = len(values), [], []
    scale = np.log(values).sum()
    for share in (0.0, 0.5, 0.9, 0.99):
        z_mean = np.sqrt(share) * white
        rates.append(
            float(
                np.mean(
                    kl_to_standard_normal(z_mean, np.full((1, k), np.log1p(-share)) + 0 * z_mean)
                )
            )
        )
        # White, x - W z has the mean (1 - share) x and the variance share (1 - share).
        error = ((1 - share) ** 2 * white**2 + share * (1 - share)).sum(axis=1) / (1 - share)
        log_likelihood = -0.5 * (k * np.log(2 * np.pi * (1 - share)) + scale + error)
        elbos.append(float(np.mean(log_likelihood)) - rates[-1])
    evidence = log_evidence_linear(white, np.zeros(k), np.zeros((k, 1)), 1.0).mean() - scale / 2
    away = [elbo - evidence for elbo in elbos]
    return [
        Row(
            "ELBO of four decoders of the same p(x) minus log p(x), nats",
            away,
            "0: equal ELBOs at different rates",
            bool(max(map(abs, away)) < 1e-9),
            "below 1e-9",
        ),
        Row(
            "their rates, nats (mean ± spread of the four)",
            rates,
            "different rates",
            bool(rates[0] < 1e-9 and rates[-1] > 40),
            "from 0 to above 40",
        ),
    ]


def trained_linear(data, values, quick):
    """Compares D + beta R of linear networks that `tf_vae` trains with the least possible value."""
    above = []
    for beta in BETAS[1:]:
        config = settings(quick, beta, latent_dim=20, likelihood="gaussian", fixed_sigma=0.5)
        model, _ = train(config, data, network=linear.networks, verbose=0)
        terms = [elbo_terms(model, data.x_train, config, sample) for sample in range(10)]
        log_likelihood, kl = np.mean(terms, axis=(0, 2), dtype=float)
        best = linear_optimum(values, 20, beta, 0.25)
        least = beta * best.kl.sum() - best.log_likelihood
        above.append((beta * kl - log_likelihood - least) / max(1.0, beta))
    return Row(
        "trained linear VAEs, σ = 0.5: D + βR above the exact curve, nats, divided by β where it is"
        " above 1; four β",
        above,
        "",
        bool(min(above) > -0.1 and (quick or max(above) < 2)),
        "−0.1 (noise of z) to 2: no model is below the curve",
    )


def trained(data, quick):
    """Checks that the secants of a trained curve have slopes between the two values of beta."""
    inside = []
    for seed in range(1 if quick else 3):
        points = []
        for beta in BETAS:
            config = settings(quick, beta, latent_dim=16, binarization="dynamic", seed=seed)
            model, _ = train(config, data, verbose=0)
            terms = [elbo_terms(model, data.x_train, config, sample) for sample in range(5)]
            log_likelihood, kl = np.mean(terms, axis=(0, 2), dtype=float)
            points.append((beta, kl, -log_likelihood))
        pairs = itertools.pairwise(points)
        slopes = [(a[0], (b[2] - a[2]) / (a[1] - b[1]), b[0]) for a, b in pairs]
        inside.append(sum(bool(low <= slope <= high) for low, slope, high in slopes))
    return Row(
        f"secants of the trained curve (binary pixels, 16 latents) with a slope between −β of its"
        f" ends, of {len(BETAS) - 1}",
        inside,
        "",
        None if quick else bool(min(inside) == len(BETAS) - 1),
        "all: models that are optimal for their β, on training images",
    )


def settings(quick, beta, **changes):
    """Returns the config of a training."""
    rate = 0.02 if changes.get("likelihood") else 2e-3
    common = {"optimizer": "adam", "learning_rate": rate, "learning_rate_decay": 30.0}
    return recipe("post-keras", epochs=5 if quick else 60, beta=beta, **common, **changes)
