"""Images and their order for training, from which the loop gathers batches, and for evaluation."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from shared.data import EVALUATION_BATCH, evaluation_images, training_images
from shared.data.pixels import as_stored
from shared.seeds import examples_of

__all__ = ["evaluation_batches", "in_order", "training_batches"]


def training_batches(x, config, step=0):
    """Returns the images and their order in every epoch from step `step` on, without end.

    The examples are a function of the config's order and seed, and of the epoch or the step
    (shared.seeds.examples_of).

    Args:
        x: (n, input_dim) float32 in [0, 1], as an array or as shared.data.pixels.Pixels.
        config: shared.config.Config.
        step: number of steps already done.
    Returns:
        generator with one pair per epoch: the images as x, and a list of (batches, batch) int32
        orders, in which each row holds the indices of a batch. The list has the whole batches and,
        if it is smaller, the last batch. The batches of the first epoch that are already done are
        left out.
    """
    per_epoch = config.steps_per_epoch(len(x))
    epoch, done = step // per_epoch + 1, step % per_epoch
    while True:
        order = examples_of(config, epoch, x)[done * config.batch_size :]
        whole = len(order) - len(order) % config.batch_size
        orders = order[:whole].reshape(-1, config.batch_size), order[None, whole:]
        yield training_images(x, config, epoch), [part for part in orders if part.size]
        epoch, done = epoch + 1, 0


def stored_type(x):
    """Returns the type in which the images x are stored: uint8 or float32."""
    return tf.dtypes.as_dtype(as_stored(x).stored_dtype)


def gathered(images, orders):
    """Yields the images of each order, while the next are gathered.

    Args:
        images: (n, input_dim) float32, as an array or as shared.data.pixels.Pixels.
        orders: list of (batches, batch) indices.
    Returns:
        generator of pairs: the (batches, batch, input_dim) images as they are stored, and the
        number by which they are to be divided.
    """
    images = as_stored(images)
    white_level = tf.constant(images.white_level)

    def gather(order):
        chosen = images.stored(order.ravel())
        return tf.constant(chosen.reshape(*order.shape, -1)), white_level

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(gather, order) for order in orders[:1]]
        for order in [*orders[1:], None]:
            ready = waiting.pop()
            if order is not None:
                waiting.append(pool.submit(gather, order))
            yield ready.result()


def evaluation_batches(x, config):
    """Yields the batches of an evaluation: all images, in their own order.

    Args:
        x: (n, input_dim) float32 in [0, 1] or Pixels, grey; if the config binarizes, this function
            draws the binary pixels, which are the same in every evaluation.
        config: shared.config.Config.
    Returns:
        generator of (batch, input_dim) tensors; the last batch holds the remaining examples.
    """
    return in_order(evaluation_images(x, config))


def in_order(x):
    """Yields the rows of x in tensors of EVALUATION_BATCH rows, in their order."""
    for start in range(0, len(x), EVALUATION_BATCH):
        yield tf.constant(np.asarray(x[start : start + EVALUATION_BATCH], np.float32))
