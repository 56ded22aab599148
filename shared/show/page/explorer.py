"""Data of the explorer in results/index.html: weights, latents and images as compact text.

The explorer itself consists of explorer.html, explorer.css, explorer_model.js (computations),
explorer_pictures.js (drawing), explorer_input.js (pointer, keys and pen), explorer_share.js (URL
and saved picture) and explorer.js (state), in this folder.
"""

import numpy as np

from shared.run.folder import read_config, read_run_weights
from shared.run.stopping import finished_config
from shared.show.figures import plots
from shared.show.figures.animation import POINTS
from shared.show.figures.canvas import CLASS_COLOURS
from shared.show.page.packing import as_text, packed_weights, rounding_error

__all__ = ["explorable", "explorer_data"]

MAX_NUMBERS = 4_000_000  # weights on the page: 3 MB as packing.py packs them
MAX_TESTS = 20  # test images to load


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
        frames: what `animation.read_frames` returned for the config of the run, whose weights are
            those of more epochs; None for the pictured epochs alone.
    Returns:
        dict for JSON: image_shape, limit of both axes, ticks of the manifold, colours, classes;
        labels (uint16) and for each epoch z_mean (int16, in units of z_step) and the centres of
        the classes; weights (packed_weights), rounding_error; tests, some test images (uint8).
        Arrays are in base64 and little-endian.
    """
    # In random order: drawn class by class, the last class would hide the others.
    shown = np.random.RandomState(0).permutation(len(data.y_test))[:POINTS]
    classes, labels = np.unique(data.y_test[shown], return_inverse=True)
    config = finished_config(read_config(directory))
    pictured = config.pictured(data.n_train)
    weights = {epoch: read_run_weights(directory, epoch)[1] for epoch in pictured}
    z_means = {e: encode(load(directory, e)[0], data.test[shown])[0] for e in pictured}
    if frames is not None and _same_run(frames, weights, data.y_test[shown]):
        weights = {**frames["weights"], **weights}
        z_means |= {
            epoch: z_mean
            for epoch, z_mean in zip(frames["epochs"].tolist(), frames["z_mean"], strict=True)
            if epoch in weights.keys() - z_means.keys()
        }
    weights = dict(sorted(weights.items()))
    z_step = max(float(np.abs(z_mean).max()) for z_mean in z_means.values()) / 32767 or 1.0
    epochs = [
        {
            "epoch": epoch,
            "z_mean": as_text(np.round(z_means[epoch] / z_step), "<i2"),
            "centres": [
                np.median(z_means[epoch][labels == number], axis=0).tolist()
                for number in range(len(classes))
            ],
        }
        for epoch in weights
    ]
    return {
        "image_shape": list(data.image_shape),
        "limit": plots.latent_limit(*(z_means[epoch] for epoch in pictured)),
        "ticks": plots.manifold_z()[: plots.MANIFOLD_SIDE, 0].tolist(),
        "colours": CLASS_COLOURS,
        "classes": [str(name) for name in data.names_of(classes)],
        "labels": as_text(labels, "<u2"),
        "z_step": z_step,
        "pictured": pictured,
        "epochs": epochs,
        "weights": packed_weights(weights),
        "rounding_error": rounding_error(weights, data.test[shown], plots.manifold_z()),
        "tests": _test_images(data, classes),
    }


def _same_run(frames, weights, labels):
    """Returns whether an animation shows these test images, and has a run's bits and few weights.

    An animation of other data or of another machine's arithmetic can lie in the same folder.
    """
    kept = frames["weights"]
    if not np.array_equal(frames["labels"], labels) or _numbers(kept) > MAX_NUMBERS:
        return False
    return all(
        array.tobytes() == kept[epoch][name].tobytes()
        for epoch, arrays in weights.items()
        for name, array in arrays.items()
    )


def _numbers(weights):
    return sum(array.size for arrays in weights.values() for array in arrays.values())


def _test_images(data, classes):
    """Returns the first test image of each class, then the second of each, and so on."""
    members = [np.flatnonzero(data.y_test == label) for label in classes[:MAX_TESTS]]
    rounds = max(1, MAX_TESTS // len(classes))
    tests = [(n, m[k]) for k in range(rounds) for n, m in enumerate(members) if k < len(m)]
    return {
        "labels": [number for number, _ in tests],
        "pixels": as_text(np.round(255 * data.test[[i for _, i in tests]]), "u1"),
    }
