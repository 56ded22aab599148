"""Draws the latent plane, epoch by epoch, as an animated GIF, and keeps its points."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from shared.data import evaluation_images
from shared.machine.checks import UsageError
from shared.run.files import read_npz, write_npz
from shared.run.folder import read_config
from shared.show.figures import plots
from shared.show.figures.of_run import caption

__all__ = ["animate", "read_frames"]

FRAMES = 50
POINTS = 2500  # test images; more make the file larger and the picture no clearer
POINT = 10.0  # area of a point in square points, visible at the low resolution of a frame


def animate(path, config, data, implementation, on_epoch=None):
    """Trains a run in a temporary folder, and draws the latents of test images after each epoch.

    The points are written beside the GIF, to an .npz of the same name: epochs, z_mean (epochs,
    points, 2) and the labels of the points.

    Args:
        path: path of the GIF.
        config: shared.config.Config with a 2-D latent space.
        data: shared.data.Data.
        implementation: functions of an implementation; `train`, `load` and `encode` are used.
        on_epoch: as for `train`.
    """
    last, epochs = config.total_epochs(data.n_train), _epochs(config, data)
    config = dataclasses.replace(config, picture_epochs=epochs)
    shown = np.random.RandomState(0).permutation(data.n_test)[:POINTS]
    x = evaluation_images(data.x_test, config)[shown]
    labels = np.zeros(len(shown), np.int64) if data.y_test is None else data.y_test[shown]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        implementation.train(config, data, run, verbose=0, on_epoch=on_epoch)
        z_means = {e: implementation.encode(implementation.load(run, e)[0], x)[0] for e in epochs}
        values = read_config(run)
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
    write_npz(path.with_suffix(".npz"), points)


def read_frames(path, config, data):
    """Reads the points that `animate` wrote; returns None if they are missing, damaged or other.

    Args:
        path: path of the GIF.
        config, data: as for `animate`.
    Returns:
        {"epochs": (frames,), "z_mean": (frames, points, 2), "labels": (points,)}.
    """
    epochs, points = _epochs(config, data), min(POINTS, data.n_test)
    shapes = {
        "epochs": (len(epochs),),
        "z_mean": (len(epochs), points, 2),
        "labels": (points,),
    }
    try:
        frames = read_npz(path.with_suffix(".npz"), shapes)
    except UsageError:
        return None  # they can be computed again, so the job does not stop
    return frames if path.exists() and frames["epochs"].tolist() == epochs else None


def _epochs(config, data):
    last = config.total_epochs(data.n_train)
    return np.unique(np.linspace(1, last, min(FRAMES, last)).astype(int)).tolist()
