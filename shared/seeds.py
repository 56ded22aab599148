"""Every random choice as a function of (seed, role, index).

This module gives integers; each implementation draws its numbers from them in its own framework's
way. So the two implementations, a resumed run and a run on another day see the same numbers.
"""

import zlib

import numpy as np

__all__ = ["epoch_order", "seed_of"]


def seed_of(seed, role, index=""):
    """An integer in [0, 2^31 - 2) that depends on all three arguments and on nothing else.

    Args:
        seed: the run's seed.
        role: what is drawn: "weights", "order", "noise", "evaluation", "binarization",
            "importance", "sample", …
        index: which one: a weight's name, an epoch, a number of the draw.

    CRC-32 because Python's own `hash` of a string is salted anew in every process. Below 2^31 - 2
    because Keras takes a generator's state modulo that number, and TensorFlow alone does not.
    """
    return (zlib.crc32(f"{seed}/{role}/{index}".encode()) & 0x7FFFFFFF) % (2**31 - 2)


def epoch_order(seed, epoch, n):
    """The order of examples in epoch 1, 2, …: a permutation of 0 … n-1, (n,) int32.

    Drawn from `RandomState`, whose stream NumPy has frozen (NEP 19); `default_rng` may change.
    """
    return np.random.RandomState(seed_of(seed, "order", epoch)).permutation(n).astype(np.int32)
