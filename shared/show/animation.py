"""Draws the latent plane, epoch by epoch, as an animated GIF."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from shared.data import evaluation_images
from shared.run.folder import read_config
from shared.show import plots
from shared.show.report import caption

__all__ = ["animate"]

FRAMES = 50
POINTS = 2500  # test images; more make the file larger and the picture no clearer
POINT = 10.0  # area of a point in square points, visible at the low resolution of a frame


def animate(path, implementation, config, data, on_epoch=None):
    """Trains a run in a temporary folder, and draws the latents of test images after each epoch.

    Args:
        path: path of the GIF.
        implementation: functions of an implementation; `train`, `load` and `encode` are used.
        config: shared.config.Config with a 2-D latent space.
        data: shared.data.Data.
        on_epoch: as for `train`.
    """
    last = config.total_epochs(data.n_train)
    epochs = np.unique(np.linspace(1, last, min(FRAMES, last)).astype(int)).tolist()
    config = dataclasses.replace(config, picture_epochs=epochs)
    shown = np.random.RandomState(0).permutation(data.n_test)[:POINTS]
    x, labels = evaluation_images(data.x_test, config)[shown], data.y_test[shown]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        implementation.train(config, data, run, verbose=0, on_epoch=on_epoch)
        z_means = {e: implementation.encode(implementation.load(run, e)[0], x)[0] for e in epochs}
        values = read_config(run)
    # In the first epochs some points can be so far out that all later clusters would look tiny, so
    # the axes are chosen for the epochs after the first fifth.
    limit = plots.latent_limit(*(z for epoch, z in z_means.items() if epoch > last / 5))
    figures = (
        plots.latent_scatter(z_mean, labels, limit, caption(values, epoch), POINT)
        for epoch, z_mean in z_means.items()
    )
    plots.save_animation(figures, path)
