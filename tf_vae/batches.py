"""The feed: an epoch's images and their order, gathered batch by batch inside the compiled loop."""

import tensorflow as tf

from shared.data import EVALUATION_BATCH, evaluation_images, training_images
from shared.seeds import epoch_order

__all__ = ["evaluation_batches", "training_batches"]


def training_batches(x, config, step=0):
    """Images and order of every epoch, f(seed, epoch), from step `step` on, without end.

    Args:
        x: (n, input_dim) float32.
        config: shared.config.Config.
        step: steps already done.
    Returns:
        generator of (n, input_dim) float32 images and a list of (batches, batch) int32 orders, each
        row the indices of a batch: the whole batches, and the last one where it is smaller. One
        pair per epoch; the first lacks what is done.
    """
    n, per_epoch = len(x), config.steps_per_epoch(len(x))
    epoch, done = step // per_epoch + 1, step % per_epoch
    images = tf.constant(x)
    while True:
        if config.binarization != "none":
            images = tf.constant(training_images(x, config, epoch))
        order = epoch_order(config.seed, epoch, n)[done * config.batch_size :]
        whole = len(order) - len(order) % config.batch_size
        orders = order[:whole].reshape(-1, config.batch_size), order[None, whole:]
        yield images, [tf.constant(part) for part in orders if part.size]
        epoch, done = epoch + 1, 0


def evaluation_batches(x, config):
    """The images of a set in their own order, every one of them, as an evaluation sees them.

    Args:
        x: (n, input_dim) float32, grey; where the config binarizes, it is drawn here, once for all.
        config: shared.config.Config.
    Returns:
        tf.data.Dataset of (batch, input_dim); the last batch holds what is left.
    """
    images = evaluation_images(x, config)
    return (
        tf.data.Dataset.from_tensor_slices(images)
        .batch(EVALUATION_BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )
