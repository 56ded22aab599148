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
from shared.machine.text import printable
from shared.run.folder import (
    figure_name,
    read_config,
    read_history,
    read_step_losses,
    write_product,
)
from shared.seeds import seed_of
from shared.show.figures import plots

__all__ = [
    "caption",
    "draw_figures",
    "prior_samples",
    "save_figure",
]

CAPTION_WIDTH = 88  # characters, as many as the narrowest figure holds
NO_BREAK = "\N{NO-BREAK SPACE}"
NOT_IN_CAPTION = {"recipe", "seed", "epochs", "steps", "picture_epochs", "step_losses"}


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
    rest += [f"{data['name']} {sizes}", f"seed {config.seed}"]
    parts += [part.replace(" ", NO_BREAK) for part in rest]
    # The remaining spaces are after a comma or a dot, where a line may end.
    text = f"{NO_BREAK}· ".join(parts)
    return textwrap.fill(text, CAPTION_WIDTH, break_on_hyphens=False).replace(NO_BREAK, " ")


def draw_figures(directory, data, implementation):
    """Draws every figure of a finished run, and writes them to its `figures/`.

    For each pictured epoch these are the latent scatter, on the same axes in all epochs, and the
    manifold, if z is 2-D, and otherwise samples and reconstructions. The last figure is the loss.

    Args:
        directory: folder of the run.
        data: shared.data.Data of the run.
        implementation: functions of an implementation; `load`, `encode` and `decode` are used.
    Returns:
        list of the paths of the files.
    """
    values = read_config(directory)
    config = from_dict(values)
    folder = Path(directory) / "figures"
    epochs = config.pictured(data.n_train)
    models = {epoch: implementation.load(directory, epoch)[0] for epoch in epochs}
    paths = []

    history = read_history(directory)

    def keep(name, figure):
        paths.append(folder / name)
        save_figure(figure, directory, f"figures/{name}")

    if config.latent_dim == 2:
        x_test = evaluation_images(data.x_test, config)
        z_means = {e: implementation.encode(model, x_test)[0] for e, model in models.items()}
        limit = plots.latent_limit(*z_means.values())
        for epoch, z_mean in z_means.items():
            text = caption(values, epoch)
            figure = plots.latent_scatter(z_mean, data.y_test, limit, f"{text}\ntest set")
            keep(figure_name("latent", epoch), figure)
            images = implementation.decode(models[epoch], plots.manifold_z())
            keep(figure_name("manifold", epoch), plots.manifold(images, data.image_shape, text))
    else:
        for epoch, model in models.items():
            text = caption(values, epoch)
            images = implementation.decode(model, prior_samples(config, 150))
            figure = plots.image_grid(images, data.image_shape, f"{text}\nsamples, z ~ N(0, I)")
            keep(figure_name("samples", epoch), figure)
            x = evaluation_images(data.test[:75], config)
            probs = implementation.decode(model, implementation.encode(model, x)[0])
            text += "\ntest images, and below each its reconstruction from z_mean"
            figure = plots.reconstructions(x, probs, data.image_shape, text)
            keep(figure_name("reconstructions", epoch), figure)
    if config.step_losses:
        losses = np.array(read_step_losses(directory))
        label = f"loss of each step, batches of {config.batch_size}"
        keep("loss.png", plots.loss_by_step({label: losses}, {}, caption(values)))
    else:
        keep("loss.png", plots.loss_by_epoch(history, caption(values), data.held_out_name))
    return paths


def prior_samples(config, count, seed=None):
    """Draws z ~ N(0, I) for figures, (count, latent_dim) float32; it depends on the seed only."""
    state = np.random.RandomState(seed_of(config.seed if seed is None else seed, "sample"))
    return state.standard_normal((count, config.latent_dim)).astype(np.float32)


def save_figure(figure, directory, name):
    """Writes a figure of a run as PNG, completely or not at all, and records its checksum."""
    buffer = io.BytesIO()
    plots.save(figure, buffer)
    write_product(directory, name, buffer.getvalue())
