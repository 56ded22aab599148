"""Draws the figures of a finished run, with their captions.

The implementation is an argument, because nothing in `shared` imports one.
"""

import dataclasses
import io
import textwrap
from pathlib import Path

import numpy as np

from shared.config import RECIPES, from_dict
from shared.data import evaluation_images
from shared.data.scale import Scaling
from shared.machine.text import printable
from shared.run.folder import (
    figure_name,
    read_config,
    read_history,
    read_step_losses,
    write_product,
)
from shared.run.stopping import finished_config
from shared.seeds import seed_of
from shared.show.figures import plots, tables

__all__ = [
    "Pictures",
    "caption",
    "draw_figures",
    "prior_samples",
    "save_figure",
]

CAPTION_WIDTH = 88  # characters, as many as the narrowest figure holds
NO_BREAK = "\N{NO-BREAK SPACE}"
NOT_IN_CAPTION = {"recipe", "seed", "epochs", "steps", "patience", "picture_epochs", "step_losses"}


def caption(values, epoch=None):
    """Composes the caption of a figure: implementation, recipe, epoch, data and seed.

    Args:
        values: the dict in a run's config.json.
        epoch: the epoch of the drawn weights, or None.
    Returns:
        str, with line breaks so that every line fits in the narrowest figure.
    """
    config, data = from_dict(values), values["data"]
    changes = [
        f"{field.name} {getattr(config, field.name)}".replace(" ", NO_BREAK)
        for field in dataclasses.fields(config)
        if field.name not in NOT_IN_CAPTION
        and getattr(config, field.name) != getattr(RECIPES[config.recipe], field.name)
    ]
    for change in values.get("changes", []):  # after the training diverged
        changes += [
            f"{name} {old} until step {change['step']}".replace(" ", NO_BREAK)
            for name, (old, _) in ((k, v) for k, v in change.items() if k != "step")
        ]
    recipe = f"{config.recipe}{NO_BREAK}({', '.join(changes)})" if changes else config.recipe
    parts = [" then ".join(values["trained_by"]).replace(" ", NO_BREAK), recipe]
    if (network := values.get("network")) is not None:
        file = printable(Path(network["file"]).name)
        parts.append(f"network {file}:{network['function']}".replace(" ", NO_BREAK))
    sizes = f"({data['n_train']:,} + {data['n_test']:,})"
    rest = [] if epoch is None else [f"epoch {epoch}"]
    if stopped := values.get("stopped_after"):
        by = f" by {values['watched']} loss" if stopped["by"] == "patience" else ""
        whole = config.total_epochs(data["n_train"])
        rest.append(f"stopped{by} after epoch {stopped['epoch']} of {whole}")
    rest += [f"{data['name']} {sizes}", f"seed {config.seed}"]
    parts += [part.replace(" ", NO_BREAK) for part in rest]
    # The remaining spaces are after a comma or a dot, where a line may end.
    text = f"{NO_BREAK}· ".join(parts)
    return textwrap.fill(text, CAPTION_WIDTH, break_on_hyphens=False).replace(NO_BREAK, " ")


def draw_figures(directory, data, implementation):
    """Draws every figure of a finished run, and writes them to its `figures/`.

    For each pictured epoch these are the latent scatter, on the same axes in all epochs, and the
    manifold, if z is 2-D, and otherwise samples and reconstructions. The last figure is the loss.
    Of a table, the manifold is a map of each column over the latent plane.

    Args:
        directory: folder of the run.
        data: shared.data.Data of the run.
        implementation: functions of an implementation; `load`, `encode` and `decode` are used.
    Returns:
        list of the paths of the files.
    """
    values = read_config(directory)
    config = finished_config(values)
    folder = Path(directory) / "figures"
    epochs = config.pictured(data.n_train)
    models = {epoch: implementation.load(directory, epoch)[0] for epoch in epochs}
    paths = []

    history, pictures = read_history(directory), Pictures(values["data"])

    def keep(name, figure):
        paths.append(folder / name)
        save_figure(figure, directory, f"figures/{name}")

    if config.latent_dim == 2:
        x_test = evaluation_images(data.x_test, config)
        z_means = {e: implementation.encode(model, x_test)[0] for e, model in models.items()}
        limit = plots.latent_limit(*z_means.values())
        for epoch, z_mean in z_means.items():
            text = caption(values, epoch)
            labels = data.names_of(data.y_test)
            figure = plots.latent_scatter(z_mean, labels, limit, f"{text}\ntest set")
            keep(figure_name("latent", epoch), figure)
            images = implementation.decode(models[epoch], plots.manifold_z())
            keep(figure_name("manifold", epoch), pictures.manifold(images, text))
    else:
        for epoch, model in models.items():
            text = caption(values, epoch)
            images = implementation.decode(model, prior_samples(config, pictures.samples_count))
            x_test = data.test[: tables.POINTS]
            figure = pictures.samples(images, f"{text}\nsamples, z ~ N(0, I)", x=x_test)
            keep(figure_name("samples", epoch), figure)
            x = evaluation_images(data.test[: pictures.rows_count], config)
            probs = implementation.decode(model, implementation.encode(model, x)[0])
            keep(figure_name("reconstructions", epoch), pictures.reconstructions(x, probs, text))
    if config.step_losses:
        losses = np.array(read_step_losses(directory))
        label = f"loss of each step, batches of {config.batch_size}"
        keep("loss.png", plots.loss_by_step({label: losses}, {}, caption(values)))
    else:
        keep("loss.png", plots.loss_by_epoch(history, caption(values), data.held_out_name))
    return paths


class Pictures:
    """Draws what a model returns: images as images, and the rows of a table column by column.

    Args:
        entry: the entry `data` of a run's config.json, which has the shape of an image, and of
            numbers that are not pixels the statistics by which they were scaled.
    """

    def __init__(self, entry):
        self.shape = tuple(entry["image_shape"])
        self.scaling = Scaling.from_entry(entry.get("scaling"))
        self.columns = entry.get("columns")
        self.table = len(self.shape) == 1
        self.samples_count = 2000 if self.table else 150  # a distribution needs more than a grid
        self.rows_count = tables.POINTS if self.table else 75

    def original(self, x):
        """Returns numbers of the model in the units of the data."""
        return x if self.scaling is None else self.scaling.original(x)

    def manifold(self, images, caption):
        """Draws what is decoded on the grid of `plots.manifold_z`."""
        if self.table:
            text = f"{caption}\nmean of p(x|z) over the latent plane"
            return tables.column_maps(self.original(images), self.columns, text)
        return plots.manifold(self._drawn(images), self.shape, caption)

    def samples(self, images, caption, columns=15, x=None):
        """Draws samples; of a table beside the rows x of the data, if they are given."""
        if self.table:
            x = None if x is None else self.original(x)
            return tables.column_samples(self.original(images), self.columns, caption, x)
        return plots.image_grid(self._drawn(images), self.shape, caption, columns)

    def reconstructions(self, x, means, caption):
        """Draws test images or rows, and their reconstructions from z_mean."""
        if self.table:
            text = f"{caption}\ntest rows: value, and its reconstruction from z_mean"
            return tables.column_reconstructions(
                self.original(x), self.original(means), self.columns, text
            )
        text = f"{caption}\ntest images, and below each its reconstruction from z_mean"
        return plots.reconstructions(self._drawn(x), self._drawn(means), self.shape, text)

    def _drawn(self, images):
        return images if self.scaling is None else self.scaling.drawn(images)


def prior_samples(config, count, seed=None):
    """Draws z ~ N(0, I) for figures, (count, latent_dim) float32; it depends on the seed only."""
    state = np.random.RandomState(seed_of(config.seed if seed is None else seed, "sample"))
    return state.standard_normal((count, config.latent_dim)).astype(np.float32)


def save_figure(figure, directory, name):
    """Writes a figure of a run as PNG, completely or not at all, and records its checksum."""
    buffer = io.BytesIO()
    plots.save(figure, buffer)
    write_product(directory, name, buffer.getvalue())
