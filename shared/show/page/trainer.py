"""Data of the section of results/index.html in which a browser trains a VAE.

The section consists of trainer.html, trainer.css, trainer_math.js (the mathematics),
trainer_worker.js (the worker that trains), trainer_pictures.js (drawing) and trainer.js (controls),
in this folder.
"""

import numpy as np
from scipy.stats import norm

from shared.show.figures.canvas import CLASS_COLOURS
from shared.show.page.packing import as_text, compressed

__all__ = ["chosen_images", "trainer_data"]

MAX_IMAGES = 1000  # an epoch of MNIST's then takes about half a second
MAX_PIXELS = 784_000  # in all images together; MNIST's 1000 are 170 kB on the page
HIDDEN_DIM = 128  # half of post-keras: its pictures look alike, and it trains twice as fast
GRID_SIDE = 7  # images in a row of the grid


def chosen_images(data):
    """Returns the numbers of the training images that the page has: random ones, always the same.

    Args:
        data: shared.data.Data.
    Returns:
        (n,) int array with at most MAX_IMAGES numbers, of at most MAX_PIXELS pixels.
    """
    count = max(1, min(MAX_IMAGES, MAX_PIXELS // data.input_dim))
    return np.random.RandomState(0).permutation(data.n_train)[:count]


def trainer_data(data, config):
    """Returns the training images of the page and the settings of its training.

    Args:
        data: shared.data.Data of grey images with labels.
        config: shared.config.Config of the run, from which the training has its seed, learning rate
            and batch size.
    Returns:
        dict for JSON: count, image_shape, pixels (uint8, by zlib) and labels (uint16,
        little-endian) in base64, classes, colours, ticks of the grid of z, and settings.
    """
    chosen = chosen_images(data)
    classes, labels = np.unique(data.y_train[chosen], return_inverse=True)
    pixels = np.round(255 * data.train[chosen]).astype(np.uint8)
    return {
        "count": len(chosen),
        "image_shape": list(data.image_shape),
        "pixels": compressed(pixels.tobytes()),
        "labels": as_text(labels, "<u2"),
        "classes": [str(name) for name in data.names_of(classes)],
        "colours": CLASS_COLOURS,
        "ticks": norm.ppf(np.linspace(0.05, 0.95, GRID_SIDE)).tolist(),
        "settings": {
            "seed": config.seed,
            "rate": config.learning_rate,
            "batchSize": config.batch_size,
            "hiddenDim": HIDDEN_DIM,
        },
    }
