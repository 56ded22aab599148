"""Batches for training, as one endless `tf.data` stream, and for evaluation.

`fit` calls `iter()` on a finite dataset more than once per epoch, so with a dataset that reshuffles
itself it would train on other batches than a loop. This stream is shuffled by seed and epoch.
"""

import itertools

import tensorflow as tf

from shared.data import EVALUATION_BATCH, evaluation_images, training_images
from shared.seeds import epoch_order

__all__ = ["evaluation_batches", "training_batches"]


def training_batches(x, config, step=0):
    """Returns the batches of every epoch from step `step` on, without end.

    The order of the examples is a function of seed and epoch (shared.seeds.epoch_order).

    Args:
        x: (n, input_dim) float32 in [0, 1].
        config: shared.config.Config.
        step: number of steps already done.
    Returns:
        tf.data.Dataset of (batch, input_dim); the last batch of an epoch holds the remaining
        examples.
    """
    n, per_epoch = len(x), config.steps_per_epoch(len(x))

    def orders():
        for epoch in itertools.count(step // per_epoch + 1):
            yield epoch, epoch_order(config.seed, epoch, n)

    with tf.device("CPU"):
        grey = tf.constant(x)
    whole = n - n % config.batch_size

    def epoch_batches(epoch, order):
        images = grey
        if config.binarization != "none":
            images = tf.numpy_function(
                lambda epoch: training_images(x, config, int(epoch)), [epoch], tf.float32
            )
        # The images are gathered once per epoch and cut into whole batches: a call per image, or a
        # gather per batch, would take a third of the time of the training itself.
        images = tf.ensure_shape(tf.gather(images, order), x.shape)
        cut = tf.reshape(images[:whole], (-1, config.batch_size, x.shape[1]))
        rest = tf.data.Dataset.from_tensors(images[whole:]).take(int(whole < n))
        # The last batch is joined even if it is empty. While `fit` traces its step, the length of a
        # batch is then unknown in every config, and XLA gets the same step as from tf_vae.
        return tf.data.Dataset.from_tensor_slices(cut).concatenate(rest)

    spec = (tf.TensorSpec((), tf.int32), tf.TensorSpec((n,), tf.int32))
    orders = tf.data.Dataset.from_generator(orders, output_signature=spec)
    return orders.flat_map(epoch_batches).skip(step % per_epoch).prefetch(tf.data.AUTOTUNE)


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
