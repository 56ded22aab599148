"""Computes the seed of every random choice, as a function of (seed, role, index).

This module computes integers, from which each implementation draws its random numbers with its own
framework. Both implementations, and a run that is resumed, therefore use the same numbers.
"""

import zlib

import numpy as np

__all__ = ["epoch_order", "examples_of", "seed_of", "window_order"]


def seed_of(seed, role, index=""):
    """Returns an integer in [0, 2^31 - 2) that depends on the three arguments only.

    CRC-32 is used because Python's own `hash` of a string differs from process to process. The
    result is below 2^31 - 2 because Keras reduces the state of a generator modulo that number, but
    TensorFlow does not.

    Args:
        seed: the run's seed.
        role: what is drawn: "weights", "order", "window", "noise", "evaluation", "binarization",
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


def window_order(seed, epoch, n, batch_size):
    """Returns the examples of an epoch whose batches are random windows of the stored order.

    A batch holds `batch_size` consecutive examples. Its first is drawn for every step anew, so an
    epoch repeats some examples and lacks others. The 2018 TensorFlow script trains like this.

    Args:
        seed: the run's seed.
        epoch: the number of the epoch; the first is 1.
        n: number of examples, at least `batch_size`.
        batch_size: examples per step.
    Returns:
        (steps · batch_size,) int32, with as many steps as an epoch of n examples has.
    Example:
        >>> window_order(seed=0, epoch=1, n=5, batch_size=4).reshape(-1, 4).tolist()
        [[1, 2, 3, 4], [0, 1, 2, 3]]
    """
    steps = -(-n // batch_size)
    numbers = range((epoch - 1) * steps, epoch * steps)
    randoms = (np.random.RandomState(seed_of(seed, "window", number)) for number in numbers)
    starts = np.array([random.randint(0, n - batch_size + 1) for random in randoms], np.int32)
    return (starts[:, None] + np.arange(batch_size, dtype=np.int32)).ravel()


def examples_of(config, epoch, x):
    """Returns the examples of an epoch in the order in which a config trains on them.

    Args:
        config: shared.config.Config; its order, seed and batch size are used.
        epoch: the number of the epoch; the first is 1.
        x: the training images, an array or shared.data.pixels.Pixels; their number is used, and
            their `mixed`, if they have one.
    Returns:
        int32 indices of the examples, batch by batch.
    """
    if config.order != "windows":
        return epoch_order(config.seed, epoch, len(x))
    order = window_order(config.seed, epoch, len(x), config.batch_size)
    mixed = getattr(x, "mixed", None)
    return order if mixed is None else mixed[order]
