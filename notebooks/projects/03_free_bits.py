"""Project 3: free bits. The task is in README.md.

Write the three functions with keras.ops or TensorFlow, so that they have gradients, and run this file
to check them.
"""

import sys


def kl_per_latent(z_mean, z_log_var):
    """Returns the KL of each image and latent to N(0, 1), (batch, latent_dim) nats.

    Args:
        z_mean, z_log_var: (batch, latent_dim), mean of q and natural log of its variance.
    """
    raise NotImplementedError("kl_per_latent is missing: write its body (TODO)")


def free_bits(kl, floor):
    """Returns the KL with a free part: the sum over latents of max(floor, mean over the batch).

    Args:
        kl: (batch, latent_dim), as `kl_per_latent` returns it.
        floor: nats per latent that cost the same whether they are used or not.
    Returns:
        scalar, nats per image.
    """
    raise NotImplementedError("free_bits is missing: write its body (TODO)")


def loss(log_likelihood, kl, floor):
    """Returns the loss of a batch; with floor 0 it is minus the mean ELBO.

    Args:
        log_likelihood: (batch,) nats.
        kl, floor: as for `free_bits`.
    """
    raise NotImplementedError("loss is missing: write its body (TODO)")


if __name__ == "__main__":
    from checking import check

    sys.exit(check(__file__))
