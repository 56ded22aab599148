"""The seed of every random choice, as a function of (seed, role, index).

This module computes integers; each implementation draws its random numbers from them with its own
framework. The two implementations, and a run that is resumed, therefore use the same numbers.
"""

import zlib

import numpy as np

__all__ = ["epoch_order", "seed_of"]


def seed_of(seed, role, index=""):
    """An integer in [0, 2^31 - 2) that is a function of the three arguments alone.

    Args:
        seed: the run's seed.
        role: what is drawn: "weights", "order", "noise", "evaluation", "binarization",
            "importance", "sample", …
        index: which of the draws: the name of a weight, an epoch, the number of a sample.

    CRC-32 is used because Python's own `hash` of a string differs from process to process. The
    result is below 2^31 - 2 because Keras reduces the state of a generator modulo that number, and
    TensorFlow does not.
    """
    return (zlib.crc32(f"{seed}/{role}/{index}".encode()) & 0x7FFFFFFF) % (2**31 - 2)


def epoch_order(seed, epoch, n):
    """The order of the examples in an epoch (1 is the first).

    It is drawn from `RandomState`, because NumPy promises that its stream does not change between
    releases (NEP 19), which it does not promise of `default_rng`.

    Returns:
        (n,) int32, a permutation of 0 … n-1.
    """
    return np.random.RandomState(seed_of(seed, "order", epoch)).permutation(n).astype(np.int32)
