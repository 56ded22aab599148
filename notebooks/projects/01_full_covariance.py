"""Project 1: a posterior with a full covariance. The task is in README.md.

Write the four functions in NumPy, and run this file to check them.
"""

import sys


def sample(mean, factor, epsilon):
    """Returns samples of N(mean, factor · factorᵀ), reparameterized.

    Args:
        mean: (batch, latent_dim).
        factor: (batch, latent_dim, latent_dim), lower triangular with a positive diagonal.
        epsilon: (batch, latent_dim), noise from N(0, I).
    Returns:
        z: (batch, latent_dim).
    """
    raise NotImplementedError("sample is missing: write its body (TODO)")


def log_density(z, mean, factor):
    """Returns log N(z; mean, factor · factorᵀ) of each row, (batch,) nats.

    Args:
        z: (batch, latent_dim).
        mean, factor: as for `sample`.
    """
    raise NotImplementedError("log_density is missing: write its body (TODO)")


def kl(mean, factor):
    """Returns KL(N(mean, factor · factorᵀ) ‖ N(0, I)) of each row, (batch,) nats.

    Args:
        mean, factor: as for `sample`.
    """
    raise NotImplementedError("kl is missing: write its body (TODO)")


def posterior(x, W, noise):
    """Returns mean and factor of the exact p(z|x), where z ~ N(0, I) and x ~ N(W z, noise · I).

    Args:
        x: (batch, pixels).
        W: (pixels, latent_dim).
        noise: variance of the noise.
    Returns:
        mean: (batch, latent_dim).
        factor: (batch, latent_dim, latent_dim), the same for each row.
    """
    raise NotImplementedError("posterior is missing: write its body (TODO)")


if __name__ == "__main__":
    from checking import check

    sys.exit(check(__file__))
