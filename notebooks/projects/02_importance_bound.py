"""Project 2: how the importance bound depends on K. The task is in README.md.

Write the four functions in NumPy, and run this file to check them.
"""

import sys


def bound(log_weights):
    """Returns the importance bound of each image, (batch,) nats.

    Args:
        log_weights: (K, batch), logarithms of weights; they may be about -1000 or 1000.
    """
    raise NotImplementedError("bound is missing: write its body (TODO)")


def bound_of_k(log_weights, k):
    """Returns the bound with k samples, as a mean over groups of k samples that do not overlap.

    Args:
        log_weights: (n, batch), samples of the logarithms of weights.
        k: number of samples per bound; samples that are left over at the end are not used.
    Returns:
        (batch,) nats.
    """
    raise NotImplementedError("bound_of_k is missing: write its body (TODO)")


def predicted_gap(log_weights, k):
    """Returns what the bound misses of log p(x) for large k: variance over twice k times mean².

    Args:
        log_weights: (n, batch), from which mean and variance of the *weights* are estimated.
        k: number of samples.
    Returns:
        (batch,) nats.
    """
    raise NotImplementedError("predicted_gap is missing: write its body (TODO)")


def slope(ks, gaps):
    """Returns the slope of a straight line through log(gap) against log(k).

    Args:
        ks, gaps: (m,), positive numbers.
    """
    raise NotImplementedError("slope is missing: write its body (TODO)")


if __name__ == "__main__":
    from checking import check

    sys.exit(check(__file__))
