"""The feed: the order of examples as one table of indices, gathered inside the compiled loop."""

import tensorflow as tf

from shared.seeds import epoch_order

__all__ = ["evaluation_batches", "training_batches"]

EVALUATION_BATCH = 500


def training_batches(x, config, step=0):
    """Orders of every epoch, f(seed, epoch), from step `step` on, without end.

    Args:
        x: (n, input_dim) float32.
        config: shared.config.Config.
        step: steps already done.
    Returns:
        generator of (n,) int32 arrays of indices, one an epoch; the first lacks what is done.
    """
    n, per_epoch = len(x), config.steps_per_epoch(len(x))
    epoch, done = step // per_epoch + 1, step % per_epoch
    while True:
        yield epoch_order(config.seed, epoch, n)[done * config.batch_size :]
        epoch, done = epoch + 1, 0


def evaluation_batches(x):
    """The images of a set in their own order, every one of them.

    Returns:
        tf.data.Dataset of (batch, input_dim); the last batch holds what is left.
    """
    return tf.data.Dataset.from_tensor_slices(x).batch(EVALUATION_BATCH)
