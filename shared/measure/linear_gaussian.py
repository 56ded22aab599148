"""A model whose posterior and log p(x) have closed forms: a linear decoder with Gaussian noise."""

from typing import NamedTuple

import numpy as np

from shared.elbo import LOG_2PI

__all__ = ["LinearGaussian"]


class LinearGaussian(NamedTuple):
    """The model z ~ N(prior_mean, I), x = z @ kernel + noise, for one image x, in float64.

    Attributes:
        x: (input_dim,), the image.
        kernel: (latent_dim, input_dim), the decoder.
        noise_var: variance of the noise, the same for each pixel.
        prior_mean: (latent_dim,), or 0.
    """

    x: np.ndarray
    kernel: np.ndarray
    noise_var: float
    prior_mean: np.ndarray | float = 0.0

    def log_joint(self, z):
        """Returns log p(x|z) + log p(z) in nats, and its slope.

        Args:
            z: (..., latent_dim).
        Returns:
            (value, slope): (...) nats and (..., latent_dim).
        """
        away, out = z - self.prior_mean, self.x - z @ self.kernel
        constant = self.kernel.shape[1] * np.log(self.noise_var) + sum(self.kernel.shape) * LOG_2PI
        value = -0.5 * ((away**2).sum(-1) + (out**2).sum(-1) / self.noise_var + constant)
        return value, out @ self.kernel.T / self.noise_var - away

    def posterior(self):
        """Returns the mean (latent_dim,) and covariance (latent_dim, latent_dim) of p(z|x)."""
        covariance = np.linalg.inv(
            np.eye(len(self.kernel)) + self.kernel @ self.kernel.T / self.noise_var
        )
        slope = self.log_joint(np.zeros(len(self.kernel)))[1]
        return covariance @ slope, covariance

    def log_evidence(self):
        """Returns log p(x) in nats, from Bayes' rule at the mean of the posterior."""
        mean, covariance = self.posterior()
        log_density = -0.5 * (np.linalg.slogdet(covariance)[1] + len(mean) * LOG_2PI)
        return float(self.log_joint(mean)[0] - log_density)
