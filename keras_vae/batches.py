"""Batches for training, as one endless `tf.data` stream, and for evaluation.

`fit` calls `iter()` on a finite dataset more than once per epoch, so with a dataset that reshuffles
itself it would train on other batches than a loop. This stream is shuffled by seed and epoch.
"""

import numpy as np
import tensorflow as tf

from shared.data import EVALUATION_BATCH, evaluation_images, training_images
from shared.data.pixels import as_stored
from shared.seeds import examples_of

__all__ = ["evaluation_batches", "in_order", "training_batches"]

NUMBERS = 2**20  # pixels that are gathered at once


def training_batches(x, config, step=0):
    """Returns the batches of every epoch from step `step` on, without end.

    The examples are a function of the config's order and seed, and of the epoch or the step
    (shared.seeds.examples_of).

    Args:
        x: (n, input_dim) float32 in [0, 1], as an array or as shared.data.pixels.Pixels.
        config: shared.config.Config.
        step: number of steps already done.
    Returns:
        tf.data.Dataset of (batch, input_dim); the last batch of an epoch holds the remaining
        examples.
    """
    per_epoch = config.steps_per_epoch(len(x))
    # A call of Python per batch would take a third of the time of the training.
    several = max(1, NUMBERS // (config.batch_size * x.shape[1]))
    calls = -(-per_epoch // several)
    current = {}  # order and images of the current epoch; images drawn as 0 and 1 differ by epoch

    def gather(call):
        epoch, part = divmod(call, calls)
        if epoch not in current:
            current.clear()
            images = as_stored(training_images(x, config, epoch + 1))
            current[epoch] = examples_of(config, epoch + 1, x), images
        order, images = current[epoch]
        rows = order[part * several * config.batch_size :][: several * config.batch_size]
        return images.stored(rows), images.white_level

    def batches(call):
        types = tf.dtypes.as_dtype(as_stored(x).stored_dtype), tf.float32
        stored, white_level = tf.numpy_function(gather, [call], types)
        stored = tf.ensure_shape(stored, (None, x.shape[1]))
        white_level = tf.ensure_shape(white_level, ())
        whole = tf.shape(stored)[0] // config.batch_size * config.batch_size
        cut = tf.reshape(stored[:whole], (-1, config.batch_size, x.shape[1]))
        rest = tf.data.Dataset.from_tensors(stored[whole:])
        rest = rest.take(tf.cast(whole < tf.shape(stored)[0], tf.int64))
        # The last batch is joined even if it is empty. While `fit` traces its step, the length of a
        # batch is then unknown in every config, and XLA gets the same step as from tf_vae.
        joined = tf.data.Dataset.from_tensor_slices(cut).concatenate(rest)
        return joined.map(lambda batch: tf.cast(batch, tf.float32) / white_level)

    # Not `from_generator`: it sets M_MMAP_THRESHOLD of glibc to 128 kB for the whole process
    # (tests/training/test_memory.py).
    epochs, steps = divmod(step, per_epoch)
    first = epochs * calls + steps // several
    endless = tf.data.Dataset.range(first, np.iinfo(np.int64).max).flat_map(batches)
    return endless.skip(steps % several).prefetch(tf.data.AUTOTUNE)


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
