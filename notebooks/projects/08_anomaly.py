"""Project 8: an anomaly detector from the ELBOs of several classes. The task is in README.md.

Write the four functions in NumPy, and run this file to check them. The check trains a small VAE for
each class, and calls your functions with their ELBOs.
"""

import sys


def class_log_probabilities(elbos, log_prior):
    """Returns log p(class|x) of each image, with the ELBOs in place of log p(x|class).

    Args:
        elbos: (n, classes) nats; all may be about -1000.
        log_prior: (classes,), log p(class).
    Returns:
        (n, classes): the exponentials of each row add up to 1.
    """
    raise NotImplementedError("class_log_probabilities is missing: write its body (TODO)")


def surprise(elbos, log_prior):
    """Returns -log of the sum over classes of p(class) · exp(elbo), (n,) nats.

    Args:
        elbos, log_prior: as for `class_log_probabilities`.
    """
    raise NotImplementedError("surprise is missing: write its body (TODO)")


def relative_surprise(elbos, log_prior, baseline):
    """Returns by how much an image is less likely than under a simple model of pixels, (n,) nats.

    Args:
        elbos, log_prior: as for `class_log_probabilities`.
        baseline: (n,), log p(x) under the simple model.
    """
    raise NotImplementedError("relative_surprise is missing: write its body (TODO)")


def area_under_roc(score, unknown):
    """Returns the probability that an unknown image has a higher score than a known one.

    Equal scores count one half.

    Args:
        score: (n,).
        unknown: (n,) bool.
    """
    raise NotImplementedError("area_under_roc is missing: write its body (TODO)")


if __name__ == "__main__":
    from checking import check

    sys.exit(check(__file__))
