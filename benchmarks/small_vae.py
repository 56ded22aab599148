"""A VAE with two latents, trained on 4,000 binary digits, for the papers whose results need one."""

from typing import NamedTuple

import numpy as np

from shared.config import recipe
from shared.data import evaluation_images, load_data
from shared.measure.quadrature import bernoulli_on_grid, decoder64
from tf_vae.checkpoint import gather
from tf_vae.model import encode
from tf_vae.train import train

__all__ = ["SmallVAE", "small_vae"]


class SmallVAE(NamedTuple):
    """A trained VAE, and some test images.

    Attributes:
        weights: {canonical name: array}; activation: its name.
        x: (n, 784), each pixel 0 or 1, the same number of each digit.
        z_mean, z_log_var: (n, 2), q(z|x) of the encoder.
        log_likelihood: function from x (n, 784), z (points, 2) to (n, points) nats.
    """

    weights: dict
    activation: str
    x: np.ndarray
    z_mean: np.ndarray
    z_log_var: np.ndarray
    log_likelihood: object


def small_vae(seed, n, epochs=50):
    """Trains the recipe post-keras on dynamically binarized digits of mnist-5k.

    Args:
        seed: the run's seed.
        n: number of test images, at most 1,000.
        epochs: of 40 steps.
    Returns:
        SmallVAE.
    """
    data = load_data("mnist-5k")
    config = recipe("post-keras", seed=seed, epochs=epochs, binarization="dynamic")
    model, _ = train(config, data, verbose=0)
    x = evaluation_images(data.x_test, config)
    x = x[:: len(x) // n][:n]  # mnist-5k is sorted by digit
    weights = {name: np.array(value) for name, value in gather(model).items()}
    log_likelihood = bernoulli_on_grid(decoder64(weights, config.activation))
    return SmallVAE(weights, config.activation, x, *encode(model, x), log_likelihood)
