"""Images and their order for training, which the compiled loop gathers, and evaluation batches."""

import tensorflow as tf

from shared.data import EVALUATION_BATCH, evaluation_images, training_images
from shared.seeds import epoch_order

__all__ = ["evaluation_batches", "training_batches"]


def training_batches(x, config, step=0):
    """Returns the images and their order in every epoch from step `step` on, without end.

    The order of the examples is a function of seed and epoch (shared.seeds.epoch_order).

    Args:
        x: (n, input_dim) float32 in [0, 1].
        config: shared.config.Config.
        step: number of steps already done.
    Returns:
        generator with one pair per epoch: (n, input_dim) float32 images, and a list of
        (batches, batch) int32 orders, in which each row holds the indices of a batch. The list has
        the whole batches and, if it is smaller, the last batch. The batches of the first epoch that
        are already done are left out.
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
    """Returns the batches of an evaluation: all images, in their own order.

    Args:
        x: (n, input_dim) float32 in [0, 1], grey; if the config binarizes, this function draws the
            binary pixels, which are the same in every evaluation.
        config: shared.config.Config.
    Returns:
        tf.data.Dataset of (batch, input_dim); the last batch holds the remaining examples.
    """
    images = evaluation_images(x, config)
    return (
        tf.data.Dataset.from_tensor_slices(images)
        .batch(EVALUATION_BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )
