"""A convolutional encoder and decoder, for grey or colour images of any size.

Trained on the digits, with reconstructions in conv.png:
    python examples/conv.py
A run with a folder, of your own images:
    python -m keras_vae train --network examples/conv.py:networks --data photos
"""

import sys
from pathlib import Path
from typing import Literal

from shared.command.implementation import quiet
from shared.weights import head_widths

with quiet():  # without TensorFlow's messages about the machine
    import keras
    from keras import layers

SAME = {"kernel_size": 3, "strides": 2, "padding": "same"}


def networks(config, image_shape):
    """Returns an encoder and a decoder with two layers of convolutions each.

    Args:
        config: shared.config.Config, with latent_dim, posterior and likelihood.
        image_shape: (rows, columns) or (rows, columns, channels) of an image.
    Returns:
        encoder: keras.Model of x (batch, rows, columns, channels) that returns
            [z_mean, z_log_var], or [z_mean] for a delta posterior.
        decoder: keras.Model of z (batch, latent_dim) that returns a dict of the outputs that the
            likelihood needs, such as {"logits": (batch, rows, columns, channels)}.
    """
    rows, columns, channels = (*image_shape, 1)[:3]

    x = h = keras.Input((rows, columns, channels), name="x")
    for filters in (16, 32):
        h = layers.Conv2D(filters, activation="relu", **SAME)(h)
    down, across = h.shape[1:3]  # a quarter of the image, rounded up
    h = layers.Flatten()(h)
    names = ("z_mean", "z_log_var") if config.posterior == "gaussian" else ("z_mean",)
    encoder = keras.Model(x, [layers.Dense(config.latent_dim, name=name)(h) for name in names])

    z = keras.Input((config.latent_dim,), name="z")
    h = layers.Dense(down * across * 32, activation="relu")(z)
    h = layers.Reshape((down, across, 32))(h)
    h = layers.Conv2DTranspose(16, activation="relu", **SAME)(h)
    extra = ((0, 4 * down - rows), (0, 4 * across - columns))  # what rounding up has added
    heads = {}
    # One output per channel or, with a categorical likelihood, per channel and level.
    for name, width in head_widths(config, channels).items():
        heads[name] = layers.Cropping2D(extra)(layers.Conv2DTranspose(width, name=name, **SAME)(h))
    return encoder, keras.Model(z, heads)


def main(
    data: str = "auto",
    epochs: int = 5,
    latent_dim: int = 8,
    seed: int = 0,
    implementation: Literal["keras_vae", "tf_vae"] = "tf_vae",
    out: Path = Path("conv.png"),
):
    """Trains the networks, measures them, and draws reconstructions of test images.

    Args:
        data: auto, mnist, mnist-5k, or the path of an .npz.
        epochs: number of epochs.
        latent_dim: number of latents.
        seed: seed of the initial weights, the order of the images and the noise.
        implementation: which of the two implementations trains.
        out: path of the picture, a PNG.
    """
    from shared.command.implementation import import_implementation
    from shared.config import recipe
    from shared.data import load_data
    from shared.show.figures import lessons, plots

    check_folder(out)
    config = recipe("post-keras", optimizer="adam", latent_dim=latent_dim, epochs=epochs, seed=seed)
    images = load_data(data)
    vae = import_implementation(implementation)
    model, _ = vae.train(config, images, network=networks)
    measured = vae.evaluate(model, images.x_test, config)
    print(f"test loss {measured['loss']:.2f} nats, of which KL {measured['kl']:.2f}")
    x = images.x_test[:: max(1, images.n_test // 15)][:15]  # of all classes, if they are sorted
    pictures = {"test images": x, "reconstructions": vae.decode(model, vae.encode(model, x)[0])}
    caption = f"{implementation}, {images.name}, seed {seed}, epoch {epochs}"
    plots.save(lessons.image_rows(pictures, images.image_shape, caption), out)
    print(out)


def check_folder(out):
    """Raises UsageError unless a picture can be written to this path, before the work is done."""
    from shared.machine.checks import UsageError

    if not out.parent.is_dir() or out.is_dir():
        raise UsageError(f"--out is {out}; expected a file in a folder that exists")


if __name__ == "__main__":
    import tyro

    from shared.command.line import exit_status

    sys.exit(exit_status(lambda: tyro.cli(main)))
