"""Project 5, solved: own images, own networks."""

import keras
import numpy as np
from keras import layers


def save(path):
    """Writes images of 12 × 12 pixels with one disc of any place and size."""
    random = np.random.RandomState(0)
    across, down, radius = random.uniform([2.5, 2.5, 1], [8.5, 8.5, 3.5], (1600, 3)).T[
        ..., None, None
    ]
    rows, columns = np.mgrid[:12, :12]
    x = ((rows - down) ** 2 + (columns - across) ** 2 < radius**2).astype(np.float32)
    np.savez(path, x_train=x[:1000], x_valid=x[1000:1300], x_test=x[1300:])


def networks(config, image_shape):
    """Returns a convolutional encoder and decoder for images whose sides are multiples of four."""
    rows, columns = image_shape[:2]
    convolution = {"kernel_size": 3, "strides": 2, "padding": "same"}

    x = h = keras.Input((rows, columns, 1), name="x")
    for filters in (8, 16):
        h = layers.Conv2D(filters, activation="relu", **convolution)(h)
    h = layers.Flatten()(h)
    q = [layers.Dense(config.latent_dim, name=name)(h) for name in ("z_mean", "z_log_var")]

    z = h = keras.Input((config.latent_dim,), name="z")
    h = layers.Dense(rows // 4 * columns // 4 * 16, activation="relu")(h)
    h = layers.Reshape((rows // 4, columns // 4, 16))(h)
    h = layers.Conv2DTranspose(8, activation="relu", **convolution)(h)
    logits = layers.Conv2DTranspose(1, name="logits", **convolution)(h)
    return keras.Model(x, q), keras.Model(z, {"logits": logits})
