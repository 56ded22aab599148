"""The latent plane, epoch by epoch, as an animated GIF."""

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
POINTS = 2500  # test images: more make a larger file and no clearer picture
POINT = 10.0  # square points: seen at a frame's low resolution


def animate(path, implementation, config, data, on_epoch=None):
    """Train once more, keep the weights of every epoch for a while, and draw where they put z.

    Args:
        path: of the GIF.
        implementation: functions of an implementation; `train`, `load` and `encode` are used.
        config: shared.config.Config with a 2-D latent space.
        data: shared.data.Data.
        on_epoch: as for `train`.
    """
    last = config.total_epochs(len(data.x_train))
    epochs = np.unique(np.linspace(1, last, min(FRAMES, last)).astype(int)).tolist()
    config = dataclasses.replace(config, picture_epochs=epochs)
    shown = np.random.RandomState(0).permutation(len(data.x_test))[:POINTS]
    x, labels = evaluation_images(data.x_test, config)[shown], data.y_test[shown]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        implementation.train(config, data, run, verbose=0, on_epoch=on_epoch)
        z_means = {e: implementation.encode(implementation.load(run, e)[0], x)[0] for e in epochs}
        values = read_config(run)
    # The first epochs may throw points far out, and the clusters would move in a corner.
    limit = plots.latent_limit(*(z for epoch, z in z_means.items() if epoch > last / 5))
    figures = (
        plots.latent_scatter(z_mean, labels, limit, caption(values, epoch), POINT)
        for epoch, z_mean in z_means.items()
    )
    plots.save_animation(figures, path)
