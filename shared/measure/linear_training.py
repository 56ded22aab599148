"""Trains a linear VAE on its exact ELBO, by L-BFGS in NumPy float64."""

import math

import numpy as np
from scipy.optimize import minimize

from shared.elbo import LOG_2PI
from shared.measure.linear import LinearVAE
from shared.seeds import seed_of

__all__ = ["loss_and_gradient", "train_linear_vae"]


def train_linear_vae(covariance, latent_dim, beta=1.0, noise_variance=None, seed=0, steps=3000):
    """Trains a linear VAE from random weights; there is no noise and no batch, so it is exact.

    Args:
        covariance: (input_dim, input_dim), of the data.
        latent_dim: number of latents.
        beta: weight of the KL.
        noise_variance: the fixed sigma² of p(x|z); None means that it is learned.
        seed: seed of the initial weights.
        steps: the most iterations of L-BFGS.
    Returns:
        shared.measure.linear.LinearVAE.
    """
    d, k = len(covariance), latent_dim
    random = np.random.RandomState(seed_of(seed, "linear"))
    start = 0.1 * random.standard_normal(2 * d * k) / math.sqrt(d)
    variance = np.trace(covariance) / d if noise_variance is None else noise_variance
    start = np.concatenate([start, np.zeros(k), [math.log(variance)]])
    found = minimize(
        loss_and_gradient,
        start,
        (covariance, k, beta, noise_variance is None),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": steps, "maxfun": 2 * steps, "maxcor": 10, "ftol": 1e-14, "gtol": 1e-7},
    )
    return _unpacked(found.x, d, k)


def loss_and_gradient(parameters, covariance, latent_dim, beta, learned):
    """Computes -E_q[log p(x|z)] + beta · KL of a linear VAE, and its gradient.

    Args:
        parameters: (2 · input_dim · latent_dim + latent_dim + 1,): weights, encoder, the logarithm
            of q_variance, and that of noise_variance.
        covariance: (input_dim, input_dim), of the data.
        latent_dim: number of latents.
        beta: weight of the KL.
        learned: whether noise_variance is; otherwise its gradient is 0.
    Returns:
        loss, a float in nats, mean over images; gradient, of the shape of the parameters.
    """
    d = len(covariance)
    w, v, s, variance = _unpacked(parameters, d, latent_dim)
    sv, sw = covariance @ v, covariance @ w
    of_means, inner = v.T @ sv, w.T @ w
    lengths = np.diag(inner)
    error = np.trace(covariance) - 2 * np.sum(w * sv) + np.sum(inner * of_means) + s @ lengths
    kl = 0.5 * np.sum(np.diag(of_means) + s - 1 - np.log(s))
    loss = 0.5 * (d * (LOG_2PI + math.log(variance)) + error / variance) + beta * kl
    gradients = (
        (w @ of_means + w * s - sv) / variance,
        (sv @ inner - sw) / variance + beta * sv,
        0.5 * (s * lengths / variance + beta * (s - 1)),
        [0.5 * (d - error / variance) if learned else 0.0],
    )
    return loss, np.concatenate([np.ravel(each) for each in gradients])


def _unpacked(parameters, d, k):
    w, v, log_s, log_variance = np.split(parameters, np.cumsum([d * k, d * k, k]))
    w, v = w.reshape(d, k), v.reshape(d, k)
    return LinearVAE(w, v, np.exp(log_s), float(np.exp(log_variance[0])))
