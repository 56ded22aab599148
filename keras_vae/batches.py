"""The feed: one continuous `tf.data` stream of batches, and the batches of an evaluation.

`fit` calls `iter()` on a finite dataset more than once an epoch, and a dataset that reshuffles
itself then trains on other batches than a loop would. This stream shuffles by a rule of its own.
"""

import itertools

import tensorflow as tf

from shared.data import EVALUATION_BATCH, evaluation_images, training_images
from shared.seeds import epoch_order

__all__ = ["evaluation_batches", "training_batches"]


def training_batches(x, config, step=0):
    """Batches of every epoch in the order f(seed, epoch), from step `step` on, without end.

    Args:
        x: (n, input_dim) float32.
        config: shared.config.Config.
        step: steps already done.
    Returns:
        tf.data.Dataset of (batch, input_dim); the last batch of an epoch holds what is left.
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
        # Gathered once an epoch and cut into whole batches: a call for each image, or a gather for
        # each batch, would cost a third of the training itself.
        images = tf.ensure_shape(tf.gather(images, order), x.shape)
        cut = tf.reshape(images[:whole], (-1, config.batch_size, x.shape[1]))
        rest = tf.data.Dataset.from_tensors(images[whole:]).take(int(whole < n))
        # Joined even where nothing is left: the length of a batch is then unknown while `fit`
        # traces its step, in every config alike, and XLA is handed the same step.
        return tf.data.Dataset.from_tensor_slices(cut).concatenate(rest)

    spec = (tf.TensorSpec((), tf.int32), tf.TensorSpec((n,), tf.int32))
    orders = tf.data.Dataset.from_generator(orders, output_signature=spec)
    return orders.flat_map(epoch_batches).skip(step % per_epoch).prefetch(tf.data.AUTOTUNE)


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
