"""The five large matrix products of a step and nothing else: a floor for the time of an epoch."""

import time

from shared.command.implementation import quiet

__all__ = ["epochs"]


def epochs(config, data, count):
    """Computes the products of each step, compiled by XLA; returns the seconds of each epoch.

    They are those of the first layer of the encoder and the last layer of the decoder: two forward,
    and backward the gradients of both kernels and of the decoder's hidden layer.

    Args:
        config: shared.config.Config.
        data: shared.data.Data.
        count: number of epochs, or 0 for a single step.
    """
    with quiet():
        import tensorflow as tf
    x = tf.random.normal((config.batch_size, data.input_dim))
    first = tf.Variable(tf.random.normal((data.input_dim, config.hidden_dims[0])) * 1e-3)
    last = tf.Variable(tf.random.normal((config.hidden_dims[0], data.input_dim)) * 1e-3)
    steps = -(-data.n_train // config.batch_size) if count else 1

    @tf.function(jit_compile=True)
    def products(steps):
        for _ in tf.range(steps):
            h = x @ first
            logits = h @ last
            # Each product goes into a variable, so that the compiler keeps all five.
            last.assign_add(tf.matmul(h, logits, transpose_a=True) * 1e-9)
            gradient = tf.matmul(logits, last, transpose_b=True)
            first.assign_add(tf.matmul(x, gradient, transpose_a=True) * 1e-9)

    seconds = []
    for _ in range(max(count, 1)):
        started = time.perf_counter()
        products(tf.constant(steps))
        first.numpy()  # waits until all is computed
        seconds.append(time.perf_counter() - started)
    return seconds
