"""The linear VAE and probabilistic PCA in closed form, in NumPy float64.

The model is p(z) = N(0, I), p(x|z) = N(mean + W z, noise_variance · I), and q(z|x) = N((x - mean) ·
encoder, diag(q_variance)), with a variance that is the same for every image. All terms are means
over images, so of the data only the covariance is needed, and of that only its eigenvalues at the
optimum.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from shared.elbo import LOG_2PI
from shared.machine.checks import UsageError

__all__ = [
    "LinearOptimum",
    "LinearVAE",
    "best_encoder",
    "linear_optimum",
    "linear_terms",
    "log_evidence_linear",
    "ppca",
    "spectrum",
]


class LinearVAE(NamedTuple):
    """Holds the parameters of a linear VAE, but for the mean of the data.

    Attributes:
        weights: (input_dim, latent_dim), W of the decoder.
        encoder: (input_dim, latent_dim); z_mean = (x - mean) @ encoder.
        q_variance: (latent_dim,), the variance of q(z|x).
        noise_variance: sigma² of p(x|z), a float.
    """

    weights: np.ndarray
    encoder: np.ndarray
    q_variance: np.ndarray
    noise_variance: float


class LinearOptimum(NamedTuple):
    """Holds the terms of the ELBO of the best linear VAE.

    Attributes:
        log_likelihood: E_q[log p(x|z)], nats, mean over images; its negative is the distortion.
        kl: (latent_dim,) nats, mean over images; their sum is the rate. Of a collapsed latent it
            is 0.
        noise_variance: sigma² of p(x|z).
    """

    log_likelihood: float
    kl: np.ndarray
    noise_variance: float

    @property
    def elbo(self):
        """The ELBO in nats, mean over images, whatever beta the model is the best one for."""
        return self.log_likelihood - self.kl.sum()


def spectrum(x):
    """Returns the mean of the data, and eigenvalues and eigenvectors of their covariance.

    Args:
        x: (n, input_dim).
    Returns:
        mean (input_dim,); eigenvalues (input_dim,), of the covariance that divides by n, the
        largest first; directions (input_dim, input_dim), in columns.
    """
    x = np.asarray(x, np.float64)
    mean = x.mean(axis=0)
    values, directions = np.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    return mean, np.maximum(values[::-1], 0), directions[:, ::-1]  # below 0 is rounding


def linear_optimum(eigenvalues, latent_dim, beta=1.0, noise_variance=None):
    """Computes the terms of the linear VAE that maximizes E_q[log p(x|z)] - beta · KL.

    The level is beta · noise_variance. A direction whose eigenvalue is above it gets a latent with
    the KL ½ log(eigenvalue / level), and keeps the squared error `level`. A direction with a lower
    eigenvalue gets none, and its whole variance is error. A learned noise_variance is the sum of
    the eigenvalues without a latent, divided by input_dim - beta · active latents.

    Args:
        eigenvalues: (input_dim,) of the covariance of the data, the largest first.
        latent_dim: number of latents.
        beta: weight of the KL.
        noise_variance: the fixed sigma² of p(x|z); None means that it is learned, too.
    Returns:
        LinearOptimum.
    Raises:
        UsageError: the latents describe the data exactly, so that the likelihood has no maximum.
    Source: Lucas et al., arXiv:1911.02469; Tipping & Bishop 1999, doi:10.1111/1467-9868.00196; for
        beta other than 1, the derivation in notebooks/09_rate_and_linear_theory.py.
    """
    values = np.asarray(eigenvalues, np.float64)
    latents = values[:latent_dim]
    if noise_variance is None:
        noise_variance = _learned_variance(values, len(latents), beta)
    level = beta * noise_variance
    active = latents > level
    kl = np.zeros(latent_dim)
    with np.errstate(divide="ignore"):  # at beta 0 every latent has an infinite KL
        kl[: len(latents)][active] = 0.5 * np.log(latents[active] / level)
    error = level * active.sum() + latents[~active].sum() + values[len(latents) :].sum()
    log_variance = math.log(noise_variance)
    log_likelihood = -0.5 * (len(values) * (LOG_2PI + log_variance) + error / noise_variance)
    return LinearOptimum(float(log_likelihood), kl, float(noise_variance))


def _learned_variance(values, latents, beta):
    """Returns the best sigma²: the only root of a derivative that decreases in log sigma²."""
    for active in range(latents, -1, -1):
        if len(values) - beta * active <= 0:
            continue
        variance = values[active:].sum() / (len(values) - beta * active)
        level = beta * variance
        used = active == 0 or values[active - 1] > level
        unused = active == latents or values[active] <= level
        if used and unused and variance > 0:
            return variance
    raise UsageError(
        f"latent_dim is {latents}, which describes the data exactly: sigma² would be 0, and the"
        " likelihood infinite; use fewer latents, or give noise_variance"
    )


def ppca(x, latent_dim, noise_variance=None):
    """Computes probabilistic PCA, the maximum of the likelihood of the linear model.

    It also is the best linear VAE: its latents are along the principal directions, so its exact
    posterior is diagonal, and its ELBO is its log-likelihood.

    Args:
        x: (n, input_dim).
        latent_dim: number of latents.
        noise_variance: as for `linear_optimum`.
    Returns:
        mean (input_dim,), and a LinearVAE. The columns of `weights` could be rotated without a
        change of the likelihood; these are the principal directions.
    Raises:
        UsageError: as for `linear_optimum`.
    Source: Tipping & Bishop 1999, doi:10.1111/1467-9868.00196.
    """
    mean, values, directions = spectrum(x)
    variance = linear_optimum(values, latent_dim, noise_variance=noise_variance).noise_variance
    lengths = np.sqrt(np.maximum(values[:latent_dim] - variance, 0))
    weights = directions[:, :latent_dim] * lengths
    return mean, LinearVAE(weights, *best_encoder(weights, variance), variance)


def best_encoder(weights, noise_variance, beta=1.0):
    """Returns the encoder of a linear VAE that is best for its decoder.

    The mean is that of the exact posterior of a model with the variance beta · noise_variance, and
    the variances are those of a diagonal Gaussian that is closest to it. At beta 1 the encoder is
    the exact posterior if the columns of `weights` are orthogonal.

    Args:
        weights: (input_dim, latent_dim), W of the decoder.
        noise_variance: sigma² of p(x|z).
        beta: weight of the KL.
    Returns:
        encoder (input_dim, latent_dim), q_variance (latent_dim,).
    """
    level = beta * noise_variance
    inner = weights.T @ weights + level * np.eye(weights.shape[1])
    return cho_solve(cho_factor(inner), weights.T).T, level / np.diag(inner)


def linear_terms(covariance, vae):
    """Computes the terms of the ELBO of a linear VAE, exactly.

    Args:
        covariance: (input_dim, input_dim), of the data around the mean that the VAE uses.
        vae: LinearVAE.
    Returns:
        log_likelihood, kl: E_q[log p(x|z)], and (latent_dim,) KL of each latent; nats, means over
        images.
    """
    weights, encoder, q_variance, noise_variance = vae
    of_means = encoder.T @ covariance @ encoder
    kl = 0.5 * (np.diag(of_means) + q_variance - 1 - np.log(q_variance))
    error = (
        np.trace(covariance)
        - 2 * np.sum(weights * (covariance @ encoder))
        + np.sum((weights.T @ weights) * (of_means + np.diag(q_variance)))
    )
    log_variance = LOG_2PI + math.log(noise_variance)
    return -0.5 * (len(covariance) * log_variance + error / noise_variance), kl


def log_evidence_linear(x, mean, weights, noise_variance):
    """Computes log p(x) of the linear model, which is N(mean, W Wᵀ + noise_variance · I).

    Args:
        x: (n, input_dim).
        mean: (input_dim,).
        weights: (input_dim, latent_dim), W.
        noise_variance: sigma² of p(x|z).
    Returns:
        (n,) nats.
    """
    away = np.asarray(x, np.float64) - mean
    d, k = weights.shape
    # By Woodbury's identity, only a matrix of the size of z is inverted.
    inner = weights.T @ weights + noise_variance * np.eye(k)
    projected = away @ weights
    explained = np.sum(projected * cho_solve(cho_factor(inner), projected.T).T, axis=1)
    quadratic = (np.sum(away**2, axis=1) - explained) / noise_variance
    log_determinant = (d - k) * math.log(noise_variance) + np.linalg.slogdet(inner)[1]
    return -0.5 * (d * LOG_2PI + log_determinant + quadratic)
