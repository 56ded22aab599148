"""Draws the latent plane, epoch by epoch, as an animated GIF; keeps its points and some weights."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from shared.data import evaluation_images
from shared.machine.checks import UsageError
from shared.run.files import read_npz, write_npz
from shared.run.folder import read_config, read_run_weights
from shared.show.figures import plots
from shared.show.figures.of_run import caption
from shared.weights import weight_shapes

__all__ = ["POINTS", "animate", "read_frames"]

FRAMES = 50
KEPT = 8  # epochs whose weights are kept for the page, beside the pictured ones
POINTS = 2500  # test images; more make the file larger and the picture no clearer
POINT = 10.0  # area of a point in square points, visible at the low resolution of a frame


def animate(path, config, data, implementation, on_epoch=None):
    """Trains a run in a temporary folder, and draws the latents of test images after each epoch.

    The points are written beside the GIF, to an .npz of the same name: epochs, z_mean (epochs,
    points, 2), the labels of the points, and the weights after some of the epochs as EPOCH/NAME.

    Args:
        path: path of the GIF.
        config: shared.config.Config with a 2-D latent space.
        data: shared.data.Data.
        implementation: functions of an implementation; `train`, `load` and `encode` are used.
        on_epoch: as for `train`.
    """
    last, epochs = config.total_epochs(data.n_train), _epochs(config, data)
    kept = _kept(config, data)
    config = dataclasses.replace(config, picture_epochs=epochs)
    shown = np.random.RandomState(0).permutation(data.n_test)[:POINTS]
    x = evaluation_images(data.x_test, config)[shown]
    labels = np.zeros(len(shown), np.int64) if data.y_test is None else data.y_test[shown]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        implementation.train(config, data, run, verbose=0, on_epoch=on_epoch)
        z_means = {e: implementation.encode(implementation.load(run, e)[0], x)[0] for e in epochs}
        values = read_config(run)
        weights = {epoch: read_run_weights(run, epoch)[1] for epoch in kept}
    # In the first epochs some points can be so far out that all later clusters would look tiny, so
    # the axes are chosen for the epochs after the first fifth.
    limit = plots.latent_limit(*(z for epoch, z in z_means.items() if epoch > last / 5))
    names = None if data.y_test is None else data.names_of(labels)
    figures = (
        plots.latent_scatter(z_mean, names, limit, caption(values, epoch), POINT)
        for epoch, z_mean in z_means.items()
    )
    plots.save_animation(figures, path)
    points = {"epochs": np.array(epochs), "z_mean": np.stack([*z_means.values()]), "labels": labels}
    for epoch, arrays in weights.items():
        points |= {f"{epoch}/{name}": array for name, array in arrays.items()}
    write_npz(path.with_suffix(".npz"), points)


def read_frames(path, config, data):
    """Reads what `animate` wrote; returns None if it is missing, damaged or of another run.

    Args:
        path: path of the GIF.
        config, data: as for `animate`.
    Returns:
        {"epochs": (frames,), "z_mean": (frames, points, 2), "labels": (points,),
        "weights": {epoch: {canonical name: array}}}, the weights of fewer epochs.
    """
    epochs, points = _epochs(config, data), min(POINTS, data.n_test)
    names, kept = weight_shapes(config, data.input_dim), _kept(config, data)
    shapes = {
        "epochs": (len(epochs),),
        "z_mean": (len(epochs), points, 2),
        "labels": (points,),
    }
    shapes |= {f"{epoch}/{name}": shape for epoch in kept for name, shape in names.items()}
    try:
        frames = read_npz(path.with_suffix(".npz"), shapes)
    except UsageError:
        return None  # they can be computed again, so the job does not stop
    if not path.exists() or frames["epochs"].tolist() != epochs:
        return None
    weights = {epoch: {name: frames.pop(f"{epoch}/{name}") for name in names} for epoch in kept}
    return {**frames, "weights": weights}


def _epochs(config, data):
    """Returns the epochs of the frames, in order, with those whose weights are kept."""
    last = config.total_epochs(data.n_train)
    evenly = np.linspace(1, last, min(FRAMES, last)).astype(int)
    return np.unique([*evenly, *_kept(config, data)]).tolist()


def _kept(config, data):
    """Returns the epochs whose weights are kept: each is about as many times the one before.

    Most changes in the first epochs. Of 50 epochs these are 1, 2, 3, 5, 9, 16, 29 and 50.
    """
    last = config.total_epochs(data.n_train)
    spread = np.round(np.geomspace(1, last, min(KEPT, last))).astype(int)
    return np.unique([*spread, *config.pictured(data.n_train)]).tolist()
