"""Batches for training, as one endless `tf.data` stream, and for evaluation.

`fit` calls `iter()` on a finite dataset more than once per epoch, so with a dataset that reshuffles
itself it would train on other batches than a loop. This stream is shuffled by seed and epoch.
"""

import itertools

import numpy as np
import tensorflow as tf

from shared.data import EVALUATION_BATCH, evaluation_images, training_images
from shared.seeds import epoch_order

__all__ = ["evaluation_batches", "in_order", "training_batches"]

NUMBERS = 2**22  # pixels that are gathered at once, 16 MB


def training_batches(x, config, step=0):
    """Returns the batches of every epoch from step `step` on, without end.

    The order of the examples is a function of seed and epoch (shared.seeds.epoch_order).

    Args:
        x: (n, input_dim) float32 in [0, 1], as an array or as shared.pixels.Pixels.
        config: shared.config.Config.
        step: number of steps already done.
    Returns:
        tf.data.Dataset of (batch, input_dim); the last batch of an epoch holds the remaining
        examples.
    """
    n, per_epoch = len(x), config.steps_per_epoch(len(x))
    # A call per image, or a gather per batch, would take a third of the time of the training, and
    # all images of an epoch as floats would take too much memory.
    several = config.batch_size * max(1, NUMBERS // (config.batch_size * x.shape[1]))

    def orders():
        done = step % per_epoch * config.batch_size
        for epoch in itertools.count(step // per_epoch + 1):
            order = epoch_order(config.seed, epoch, n)
            for start in range(done, n, several):
                yield epoch, order[start : start + several]
            done = 0

    current = {}  # the images of the current epoch, which differ if they are drawn as 0 and 1

    def images(epoch, rows):
        if epoch not in current:
            current.clear()
            current[epoch] = training_images(x, config, int(epoch))
        return current[epoch][rows]

    def batches(epoch, rows):
        chosen = tf.numpy_function(images, [epoch, rows], tf.float32)
        chosen = tf.ensure_shape(chosen, (None, x.shape[1]))
        whole = tf.shape(rows)[0] // config.batch_size * config.batch_size
        cut = tf.reshape(chosen[:whole], (-1, config.batch_size, x.shape[1]))
        rest = tf.data.Dataset.from_tensors(chosen[whole:])
        rest = rest.take(tf.cast(whole < tf.shape(rows)[0], tf.int64))
        # The last batch is joined even if it is empty. While `fit` traces its step, the length of a
        # batch is then unknown in every config, and XLA gets the same step as from tf_vae.
        return tf.data.Dataset.from_tensor_slices(cut).concatenate(rest)

    spec = (tf.TensorSpec((), tf.int32), tf.TensorSpec((None,), tf.int32))
    orders = tf.data.Dataset.from_generator(orders, output_signature=spec)
    return orders.flat_map(batches).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(x, config):
    """Returns the batches of an evaluation: all images, in their own order.

    Args:
        x: (n, input_dim) float32 in [0, 1] or Pixels, grey; if the config binarizes, this function
            draws the binary pixels, which are the same in every evaluation.
        config: shared.config.Config.
    Returns:
        tf.data.Dataset of (batch, input_dim); the last batch holds the remaining examples.
    """
    return in_order(evaluation_images(x, config))


def in_order(x):
    """Returns the rows of x as a tf.data.Dataset of batches of EVALUATION_BATCH, in their order."""

    def rows(start):
        return np.asarray(x[start : start + EVALUATION_BATCH], np.float32)

    starts = tf.data.Dataset.range(0, len(x), EVALUATION_BATCH)
    batches = starts.map(lambda start: tf.numpy_function(rows, [start], tf.float32))
    width = x.shape[1]
    return batches.map(lambda x: tf.ensure_shape(x, (None, width))).prefetch(tf.data.AUTOTUNE)
