"""Networks of 6 x 6 images as people write them, one per thing that Keras defines for a network."""

import keras
import tensorflow as tf
from keras import layers, ops


@keras.saving.register_keras_serializable("tests")
class Leak(keras.layers.Layer):
    """Adds a tenth of its mean square to the loss, and changes nothing."""

    def call(self, x):
        self.add_loss(0.1 * ops.mean(ops.square(x)))
        return x


def pair(first=None, after=(), image=False, last=None):
    """A pair 36-5-2-5-36 with an own first layer, and others after it.

    Args:
        first: the first layer of the encoder, or None for a dense one.
        after: layers that follow it.
        image: whether the encoder takes, and the decoder returns, images of (6, 6, 1).
        last: activation of the decoder's output.
    """
    x, z = keras.Input((6, 6, 1) if image else (36,)), keras.Input((2,))
    h = layers.Flatten()(x) if image else x
    h = (first or layers.Dense(5, "relu"))(h)
    for layer in after:
        h = layer(h)
    encoder = keras.Model(x, [layers.Dense(2)(h), layers.Dense(2)(h)])
    logits = layers.Dense(36, last)(layers.Dense(5, "relu")(z))
    logits = layers.Reshape((6, 6, 1))(logits) if image else logits
    return encoder, keras.Model(z, {"logits": logits})


def frozen():
    first = layers.Dense(5, "relu")
    encoder, decoder = pair(first)
    first.trainable = False
    return encoder, decoder


def made_frozen():
    return pair(layers.Dense(5, "relu", trainable=False))


def batch_norm():
    return pair(after=[layers.BatchNormalization(momentum=0.9)])


def dropout():
    return pair(after=[layers.Dropout(0.5)])


def noise():
    return pair(
        after=[layers.GaussianNoise(0.1), layers.GaussianDropout(0.2), layers.AlphaDropout(0.1)]
    )


def wrapped():
    """Layers inside of a wrapper and of a nested model."""
    inner = keras.Sequential([layers.Dropout(0.2), layers.BatchNormalization(), layers.Dense(5)])
    each = layers.TimeDistributed(keras.Sequential([layers.Dense(3), layers.BatchNormalization()]))
    return pair(after=[inner, layers.Reshape((5, 1)), each, layers.Flatten()])


def weight_penalty():
    return pair(layers.Dense(5, "relu", kernel_regularizer=keras.regularizers.L2(0.3)))


def activity_penalty():
    return pair(layers.Dense(5, "relu", activity_regularizer=keras.regularizers.L1(0.2)))


def added_loss():
    return pair(after=[Leak()])


def constrained():
    return pair(layers.Dense(5, "relu", kernel_constraint=keras.constraints.NonNeg()))


def shared_layer():
    """A layer with a penalty that both parts use."""
    both = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.3))
    x, z = keras.Input((36,)), keras.Input((2,))
    h = layers.Dense(2, "relu")(x)
    encoder = keras.Model(x, [both(h), layers.Dense(2)(h)])
    return encoder, keras.Model(z, {"logits": layers.Dense(36)(both(z))})


def image_shaped():
    return pair(image=True)


def convolutional():
    x, z = keras.Input((6, 6, 1)), keras.Input((2,))
    h = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    h = layers.Flatten()(layers.BatchNormalization()(h))
    encoder = keras.Model(x, [layers.Dense(2)(h), layers.Dense(2)(h)])
    h = layers.Reshape((3, 3, 4))(layers.Dense(36, "relu")(z))
    h = layers.Conv2DTranspose(1, 3, strides=2, padding="same")(h)
    return encoder, keras.Model(z, {"logits": h})


class Counting(tf.Module):
    """A plain encoder that counts its calls in training."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(0.1 * tf.random.stateless_normal((36, 4), [1, 2]))
        self.calls = tf.Variable(0, trainable=False, name="calls")

    def __call__(self, x, training=False):
        if training:
            self.calls.assign_add(1)
        h = x @ self.kernel
        return [h[:, :2], h[:, 2:]]


def plain_decoder():
    kernel = tf.Variable(0.1 * tf.random.stateless_normal((2, 36), [3, 4]), name="kernel")
    return lambda z: {"logits": z @ kernel}
