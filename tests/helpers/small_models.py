"""Models with a 2-D z that need no training, for the tests of diagnostics and quadrature."""

import math

import numpy as np
import oracle
from scipy import stats

from shared.config import recipe
from shared.weights import weight_shapes

CONFIG = recipe("post-keras", hidden_dims=(16,))
INPUT_DIM = 36
SPACING = 0.02  # of the grid: posteriors of 36 pixels are about 0.3 wide, those of 784 about 0.05


class Linear:
    """x = z w + noise with z ~ N(0, I) of 2 dimensions, rotated so that p(z|x) is diagonal."""

    def __init__(self, input_dim=6, noise_var=0.3, n=12):
        random = np.random.RandomState(4)
        w = random.normal(size=(2, input_dim))
        values, vectors = np.linalg.eigh(np.eye(2) + w @ w.T / noise_var)
        self.w, self.noise_var = vectors.T @ w, noise_var
        self.x = random.normal(size=(n, input_dim))
        self.z_mean = self.x @ self.w.T / noise_var / values
        self.z_log_var = np.tile(-np.log(values), (n, 1))
        covariance = self.w.T @ self.w + noise_var * np.eye(input_dim)
        self.evidence = stats.multivariate_normal.logpdf(self.x, np.zeros(input_dim), covariance)

    def log_likelihood(self, x, z):
        """(n, points) nats."""
        log_var = np.full(x.shape[-1], math.log(self.noise_var))
        return oracle.log_normal(x[:, None], (z @ self.w)[None], log_var)

    def log_weights(self, x, z_mean, z_log_var, noise_seed, count):
        """As an implementation's, in float64: (count, batch) nats."""
        epsilon = np.random.RandomState(noise_seed).normal(size=(count, *z_mean.shape))
        z = z_mean + np.exp(z_log_var / 2) * epsilon
        noise = np.full(x.shape[-1], math.log(self.noise_var))
        given_z = oracle.log_normal(x, z @ self.w, noise)
        prior = oracle.log_normal(z, 0.0, np.zeros_like(z_mean))
        return given_z + prior - oracle.log_normal(z, z_mean, z_log_var)


def network(n):
    """(weights, x, z_mean, z_log_var) of a relu network and n images that it generates itself.

    The weights are those of CONFIG, {canonical name: float32 array}. q(z|x) is as from a good
    encoder that is not exact: the mean of p(z|x) plus 0.3 sigma, and 1.3 times its variance.
    """
    random = np.random.RandomState(7)
    weights = {
        name: random.normal(0, 0.5, shape).astype(np.float32)
        for name, shape in weight_shapes(CONFIG, INPUT_DIM).items()
    }
    logits = oracle.decode(weights, random.normal(size=(n, 2)), CONFIG.activation)
    x = (random.uniform(size=(n, INPUT_DIM)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    # The moments of p(z|x) on a lattice in the plane.
    axis = np.linspace(-5, 5, 101)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    given_z = oracle.bernoulli_log_likelihood(
        x[:, None], oracle.decode(weights, z, CONFIG.activation)
    )
    density = np.exp(given_z - 0.5 * (z**2).sum(axis=1))
    density /= density.sum(axis=1, keepdims=True)
    mean = density @ z
    variance = density @ z**2 - mean**2
    q = mean + 0.3 * np.sqrt(variance), np.log(1.3 * variance)
    return (weights, x, *(each.astype(np.float32) for each in q))
