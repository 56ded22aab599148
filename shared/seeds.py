"""Computes the seed of every random choice, as a function of (seed, role, index).

This module computes integers, from which each implementation draws its random numbers with its own
framework. Both implementations, and a run that is resumed, therefore use the same numbers.
"""

import zlib

import numpy as np

__all__ = ["epoch_order", "seed_of"]


def seed_of(seed, role, index=""):
    """Returns an integer in [0, 2^31 - 2) that depends on the three arguments only.

    CRC-32 is used because Python's own `hash` of a string differs from process to process. The
    result is below 2^31 - 2 because Keras reduces the state of a generator modulo that number, but
    TensorFlow does not.

    Args:
        seed: the run's seed.
        role: what is drawn: "weights", "order", "noise", "evaluation", "binarization",
            "importance", "sample", …
        index: which of the draws: the name of a weight, an epoch, the number of a sample.
    Example:
        >>> seed_of(0, "weights", "encoder/z_mean/kernel")
        1180801963
    """
    return (zlib.crc32(f"{seed}/{role}/{index}".encode()) & 0x7FFFFFFF) % (2**31 - 2)


def epoch_order(seed, epoch, n):
    """Returns the order of the examples in an epoch.

    It is drawn from `RandomState`, because NumPy guarantees that its stream does not change between
    releases (NEP 19). There is no such guarantee for `default_rng`.

    Args:
        seed: the run's seed.
        epoch: the number of the epoch; the first is 1.
        n: number of examples.
    Returns:
        (n,) int32, a permutation of 0 … n-1.
    Example:
        >>> sorted(epoch_order(seed=0, epoch=1, n=4).tolist())
        [0, 1, 2, 3]
    """
    return np.random.RandomState(seed_of(seed, "order", epoch)).permutation(n).astype(np.int32)
