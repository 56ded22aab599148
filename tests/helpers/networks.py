"""Networks for `assemble`, and images that a small one learns quickly."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from shared.data import Data


def images(n, shape):
    """`n` images in which the left or the right half is bright."""
    random = np.random.RandomState(0)
    pixels = random.uniform(0, 0.3, (n, *shape)).astype(np.float32)
    y = random.randint(0, 2, n)
    for image, side in zip(pixels, y, strict=True):
        half = shape[1] // 2
        image[:, side * half : (side + 1) * half] += 0.6
    x, train = pixels.reshape(n, -1), n * 3 // 4
    return Data("halves", x[:train], y[:train], x[train:], y[train:], shape, "", {})


def keras_colour():
    """A convolutional pair of Keras models for 8 x 8 x 3 images and 3 latents."""
    glorot = map(keras.initializers.GlorotUniform, range(5))

    def layer(kind, *args, **options):
        return kind(*args, kernel_initializer=next(glorot), **options)

    same = {"strides": 2, "padding": "same"}
    x, z = keras.Input((192,)), keras.Input((3,))
    h = layers.Reshape((8, 8, 3))(x)
    h = layers.Flatten()(layer(layers.Conv2D, 6, 3, activation="relu", **same)(h))
    encoder = keras.Model(x, [layer(layers.Dense, 3)(h), layer(layers.Dense, 3)(h)])
    h = layers.Reshape((4, 4, 6))(layer(layers.Dense, 96, activation="relu")(z))
    h = layer(layers.Conv2DTranspose, 3, 3, **same)(h)
    return encoder, keras.Model(z, {"logits": layers.Flatten()(h)})


class Encoder(tf.Module):
    """The same encoder in plain TensorFlow."""

    def __init__(self):
        super().__init__()
        draw = tf.random.Generator.from_seed(1).normal
        self.kernel = tf.Variable(0.3 * draw((3, 3, 3, 6)))
        self.heads = [tf.Variable(0.1 * draw((96, 3)), name=name) for name in ("mean", "log_var")]

    def __call__(self, x):
        h = tf.nn.relu(tf.nn.conv2d(tf.reshape(x, (-1, 8, 8, 3)), self.kernel, 2, "SAME"))
        return [tf.reshape(h, (-1, 96)) @ head for head in self.heads]


class Decoder(tf.Module):
    """The same decoder in plain TensorFlow."""

    def __init__(self):
        super().__init__()
        draw = tf.random.Generator.from_seed(2).normal
        self.dense = tf.Variable(0.3 * draw((3, 96)))
        self.kernel = tf.Variable(0.3 * draw((3, 3, 3, 6)))
        self.bias = tf.Variable(tf.zeros(3))

    def __call__(self, z):
        h = tf.reshape(tf.nn.relu(z @ self.dense), (-1, 4, 4, 6))
        shape = (tf.shape(z)[0], 8, 8, 3)
        h = tf.nn.conv2d_transpose(h, self.kernel, shape, 2, "SAME") + self.bias
        return {"logits": tf.reshape(h, (-1, 192))}


def dense_pair(name):
    """A dense pair 36-5-2-5-36 without layer names, for `assemble` of the implementation `name`."""
    if name == "keras_vae":
        x, z = keras.Input((36,)), keras.Input((2,))
        h = layers.Dense(5, "relu")(x)
        encoder = keras.Model(x, [layers.Dense(2)(h), layers.Dense(2)(h)])
        return encoder, keras.Model(z, {"logits": layers.Dense(36)(layers.Dense(5, "relu")(z))})
    shapes = [(36, 5), (5,), (5, 2), (2,), (5, 2), (2,), (2, 5), (5,), (5, 36), (36,)]
    w = [tf.Variable(tf.zeros(shape)) for shape in shapes]

    def dense(h, i):
        return tf.nn.bias_add(h @ w[i], w[i + 1])

    def encoder(x):
        h = tf.nn.relu(dense(x, 0))
        return [dense(h, 2), dense(h, 4)]

    return encoder, lambda z: {"logits": dense(tf.nn.relu(dense(z, 6)), 8)}


def outputs(*widths, **heads):
    """A network that returns tensors of these widths, in a list or in a dict."""
    ops = keras.ops

    def network(x):
        def wide(width):
            return ops.tile(x[:, :1], (1, width))

        if heads:
            return {name: wide(width) for name, width in heads.items()}
        return [wide(width) for width in widths] if len(widths) > 1 else wide(*widths)

    return network
