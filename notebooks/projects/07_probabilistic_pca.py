"""Project 7: probabilistic PCA by EM and in closed form. The task is in README.md.

Write the three functions in NumPy, and run this file to check them.
"""

import sys


def log_likelihood(x, W, noise):
    """Returns log p(x) of each row under N(0, W Wᵀ + noise · I), (n,) nats.

    Args:
        x: (n, pixels), with a mean of zero.
        W: (pixels, latent_dim).
        noise: variance of the noise.
    """
    raise NotImplementedError("log_likelihood is missing: write its body (TODO)")


def closed_form(x, latent_dim):
    """Returns the W and the noise with the largest likelihood, from the eigenvalues of the covariance.

    Args:
        x: (n, pixels), with a mean of zero.
        latent_dim: number of latents.
    Returns:
        W: (pixels, latent_dim), up to a rotation of the latents.
        noise: variance of the noise.
    """
    raise NotImplementedError("closed_form is missing: write its body (TODO)")


def em_step(x, W, noise):
    """Returns W and noise after one step of EM: the posterior of z first, then the best W and noise.

    Args:
        x, W, noise: as for `log_likelihood`.
    """
    raise NotImplementedError("em_step is missing: write its body (TODO)")


if __name__ == "__main__":
    from checking import check

    sys.exit(check(__file__))
