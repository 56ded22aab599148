"""Measures the aggregate posterior q(z): the split of the mean KL, and a prior fitted to q(z)."""

import numpy as np
from scipy.special import logsumexp

from shared.elbo import LOG_2PI
from shared.machine.checks import UsageError
from shared.measure.diagnostics import aggregate_log_density
from shared.seeds import seed_of

__all__ = ["Mixture", "fit_mixture", "kl_split", "prior_gain", "samples_of_q"]


def samples_of_q(z_mean, z_log_var, seed=0, samples=1):
    """Draws z from the posterior of each image, in float64.

    Args:
        z_mean, z_log_var: (n, latent_dim), q(z|x) of each image.
        seed: seed of the noise.
        samples: draws per image.
    Returns:
        (samples · n, latent_dim): all images, as often as samples says.
    """
    mean, log_var = (np.asarray(each, np.float64) for each in (z_mean, z_log_var))
    random = np.random.RandomState(seed_of(seed, "aggregate"))
    epsilon = random.standard_normal((samples, *mean.shape))
    return (mean + np.exp(log_var / 2) * epsilon).reshape(-1, mean.shape[1])


def kl_split(z_mean, z_log_var, seed=0):
    """Estimates the two parts of the mean KL: information and mismatch, by one z per image.

    The density q(z) is the exact mixture of the n Gaussians. The information is never above log n,
    in no single sample, because q(z) is at least q(z|x) / n. So for images that all have a KL above
    log n it says more about n than about the model.

    Args:
        z_mean, z_log_var: (n, latent_dim), q(z|x) of each image.
        seed: seed of the noise.
    Returns:
        {"information", "mismatch"}: (n,) nats of each sample, log q(z|x) / q(z) and
        log q(z) / p(z); the mean of their sum estimates the mean KL.
    Raises:
        UsageError: the posterior is a delta, which has no density.
    Source: Hoffman & Johnson, ELBO surgery, NIPS 2016 workshop on approximate Bayesian inference.
    """
    z = samples_of_q(z_mean, z_log_var, seed)
    log_q = aggregate_log_density(z, z_mean, z_log_var)
    return {
        "information": _log_normal(z, z_mean, z_log_var) - log_q,
        "mismatch": log_q - _log_normal(z, 0.0, np.zeros(z.shape[1])),
    }


class Mixture:
    """A mixture of Gaussians that replaces the prior of a trained model."""

    def __init__(self, fitted):
        """Keeps a sklearn.mixture.GaussianMixture with full covariances."""
        self.shares = fitted.weights_
        self.means = fitted.means_
        self.factors = np.linalg.cholesky(fitted.covariances_)

    def log_density(self, z):
        """Computes the log density at z (points, latent_dim): (points,) nats."""
        parts = []
        for share, mean, factor in zip(self.shares, self.means, self.factors, strict=True):
            white = np.linalg.solve(factor, (np.asarray(z, np.float64) - mean).T)
            scale = np.log(np.diag(factor)).sum()
            parts.append(np.log(share) - scale - 0.5 * (LOG_2PI * len(mean) + (white**2).sum(0)))
        return logsumexp(parts, axis=0)

    def sample(self, count, seed=0):
        """Draws z: (count, latent_dim) float32."""
        random = np.random.RandomState(seed_of(seed, "mixture"))
        chosen = random.choice(len(self.shares), count, p=self.shares)
        noise = random.standard_normal((count, self.means.shape[1], 1))
        return np.float32(self.means[chosen] + (self.factors[chosen] @ noise)[:, :, 0])


def fit_mixture(z, components, seed=0):
    """Fits a mixture of Gaussians with full covariances, by expectation maximization.

    Args:
        z: (n, latent_dim), samples of q(z) of training images.
        components: number of Gaussians.
        seed: seed of the initial means.
    Returns:
        Mixture.
    Raises:
        UsageError: there are more components than points.
    """
    from sklearn.mixture import GaussianMixture

    if not 1 <= components <= len(z):
        raise UsageError(f"components is {components}; expected 1 to {len(z)}, the number of z")
    fitted = GaussianMixture(
        components, reg_covar=1e-4, max_iter=200, random_state=seed_of(seed, "mixture fit")
    )
    return Mixture(fitted.fit(np.asarray(z, np.float64)))


def prior_gain(z_mean, z_log_var, log_prior, seed=0, samples=10):
    """Computes by how much the ELBO of each image changes if N(0, I) is replaced by another prior.

    Encoder and decoder stay as they are. The images must not be those to which the prior was
    fitted.

    Args:
        z_mean, z_log_var: (n, latent_dim), q(z|x) of each image.
        log_prior: function from z (points, latent_dim) to the log density of the new prior.
        seed: seed of the noise.
        samples: draws of z per image.
    Returns:
        (n,) nats: E_q[log_prior(z) - log N(z; 0, I)], the mean of the draws.
    """
    z = samples_of_q(z_mean, z_log_var, seed, samples)
    gain = log_prior(z) - _log_normal(z, 0.0, np.zeros(z.shape[1]))
    return gain.reshape(samples, -1).mean(axis=0)


def _log_normal(z, mean, log_var):
    """Returns the log density of a diagonal Gaussian at z: (n,) nats."""
    log_var = np.asarray(log_var, np.float64)
    return -0.5 * (LOG_2PI + log_var + (z - mean) ** 2 / np.exp(log_var)).sum(axis=-1)
