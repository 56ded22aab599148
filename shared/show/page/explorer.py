"""Data of the explorer in results/index.html: weights, latents and images as compact text.

The explorer itself consists of explorer.html, explorer.css, explorer_model.js (computations),
explorer_pictures.js (drawing) and explorer.js (state, pointer and keys), in this folder.
"""

import base64

import numpy as np

from shared.run.folder import read_config, read_run_weights
from shared.run.stopping import finished_config
from shared.show.figures import plots
from shared.show.figures.canvas import CLASS_COLOURS

__all__ = ["explorable", "explorer_data"]

MAX_NUMBERS = 4_000_000  # weights on the page: 8 MB of float16
MAX_POINTS = 10_000  # test images in the plane; MNIST has as many
MAX_TESTS = 20  # test images to load
MAX_FRAME_POINTS = 440  # test images of each epoch of the animation: 120 kB for 50 epochs


def explorable(config, data):
    """Returns whether a page can run the models of a run: 2-D z, and at most MAX_NUMBERS weights.

    The explorer supports grey images with labels, relu, the Bernoulli likelihood and the Gaussian
    posterior, as in post-keras. If this is False, the page shows the figures of the run instead.
    """
    grey = len(data.image_shape) == 2 and config.scale is None  # without channels, no table
    grey &= data.y_test is not None
    numbers = 2 * data.input_dim * config.hidden_dims[0] * len(config.pictured(data.n_train))
    known = (config.activation, config.likelihood, config.posterior)
    plane = config.latent_dim == 2 and numbers <= MAX_NUMBERS
    return grey and plane and known == ("relu", "bernoulli", "gaussian")


def explorer_data(directory, data, load, encode, frames=None):
    """Returns the explorer's data, from the folder of a finished run.

    Args:
        directory: folder of a run that is `explorable`.
        data: shared.data.Data of the run.
        load, encode: functions of an implementation.
        frames: arrays of `animation.animate`, for a slider through all epochs; None for no slider.
    Returns:
        dict for JSON: image_shape, limit of both axes, ticks of the manifold, colours, classes;
        labels (uint16) and for each epoch z_mean (int16, in units of z_step), the centres of the
        classes and the weights (float16), all in base64 and little-endian; tests, some test
        images (uint8); frames, the latents of fewer images after each epoch, or None.
    """
    # In random order: drawn class by class, the last class would hide the others.
    shown = np.random.RandomState(0).permutation(len(data.y_test))[:MAX_POINTS]
    classes, labels = np.unique(data.y_test[shown], return_inverse=True)
    config = finished_config(read_config(directory))
    models = {e: load(directory, e)[0] for e in config.pictured(data.n_train)}
    z_means = {epoch: encode(model, data.test[shown])[0] for epoch, model in models.items()}
    z_step = _step(z_means.values())
    epochs = [
        {
            "epoch": epoch,
            "z_mean": _base64(np.round(z_mean / z_step), "<i2"),
            "centres": [
                np.median(z_mean[labels == number], axis=0).tolist()
                for number in range(len(classes))
            ],
            "weights": {
                name: _base64(array, "<f2")
                for name, array in read_run_weights(directory, epoch)[1].items()
            },
        }
        for epoch, z_mean in z_means.items()
    ]
    # The first image of each class, then the second of each, and so on.
    members = [np.flatnonzero(data.y_test == label) for label in classes[:MAX_TESTS]]
    rounds = max(1, MAX_TESTS // len(classes))
    tests = [(n, m[k]) for k in range(rounds) for n, m in enumerate(members) if k < len(m)]
    return {
        "image_shape": list(data.image_shape),
        "limit": plots.latent_limit(*z_means.values()),
        "ticks": plots.manifold_z()[: plots.MANIFOLD_SIDE, 0].tolist(),
        "colours": CLASS_COLOURS,
        "classes": [str(name) for name in data.names_of(classes)],
        "labels": _base64(labels, "<u2"),
        "z_step": z_step,
        "epochs": epochs,
        "tests": {
            "labels": [number for number, _ in tests],
            "pixels": _base64(np.round(255 * data.test[[i for _, i in tests]]), "u1"),
        },
        "frames": None if frames is None else _frames(frames, classes),
    }


def _frames(frames, classes):
    """Returns the latents of each epoch of an animation; all classes of the page are needed."""
    known = np.flatnonzero(np.isin(frames["labels"], classes))[:MAX_FRAME_POINTS]
    z_mean, labels = frames["z_mean"][:, known], frames["labels"][known]
    step = _step(z_mean)
    return {
        "epochs": frames["epochs"].tolist(),
        "labels": _base64(np.searchsorted(classes, labels), "<u2"),
        "z_step": step,
        "z_mean": [_base64(np.round(each / step), "<i2") for each in z_mean],
    }


def _step(z_means):
    """Returns the unit in which the largest latent is the largest int16."""
    return max(float(np.abs(z_mean).max()) for z_mean in z_means) / 32767 or 1.0


def _base64(array, dtype):
    return base64.b64encode(array.astype(dtype).tobytes()).decode()
