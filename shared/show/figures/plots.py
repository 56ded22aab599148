"""Draws the figures of a run, from arrays to matplotlib Figures; only `save*` writes files."""

import io
from itertools import cycle

import numpy as np
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from PIL import Image
from scipy.stats import norm

from shared.run.files import write_atomically
from shared.show.figures.canvas import (
    LINE_COLOURS,
    TEST,
    TRAIN,
    class_legend,
    draw_images,
    drawn_ratio,
    filled_up,
    new_figure,
    scatter,
    tiled,
)

__all__ = [
    "MANIFOLD_SIDE",
    "image_grid",
    "latent_limit",
    "latent_scatter",
    "loss_by_epoch",
    "loss_by_step",
    "manifold",
    "manifold_z",
    "reconstructions",
    "save",
    "save_animation",
]

MANIFOLD_SIDE = 15
DPI = 130
AXIS = 12.5  # font size along the axes of the figures that are shown side by side, at half size
QUANTILES = (0.05, 0.95)


def latent_limit(*z_means):
    """Returns half the side of a square around the origin with 99.8 % of the points of every set.

    Args:
        z_means: sets of points, (n, 2) each.
    Returns:
        float > 0, with a margin of 5 %; 1.0 if every point is at the origin.
    """
    # A point is inside if its larger coordinate is. The inverted CDF is the smallest side with this
    # share of the points; an interpolated quantile would have a smaller share of a small set.
    larger = [np.abs(z_mean).max(axis=1) for z_mean in z_means]
    side = max(float(np.quantile(each, 0.998, method="inverted_cdf")) for each in larger)
    return 1.05 * side or 1.0


def latent_scatter(z_mean, labels, limit, caption, point=None):
    """Draws the posterior means of a set in the plane, one colour per class.

    Args:
        z_mean: (n, 2).
        labels: (n,) integers, which are written at their places; or names of classes, for which
            there is a legend; or None for one colour.
        limit: both axes are from -limit to limit, so that figures of two epochs can be compared.
        caption: implementation, recipe, epoch, data, seed.
        point: area of a point in square points; None chooses it by the number of points.
    """
    figure, axes = new_figure((6.4, 6.6), caption)
    scatter(axes, z_mean, labels, limit, point)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.set_xlabel("z[0], mean of q(z|x)", fontsize=AXIS)
    axes.set_ylabel("z[1], mean of q(z|x)", fontsize=AXIS)
    axes.tick_params(labelsize=AXIS)
    axes.grid(alpha=0.25)
    if labels is not None and np.asarray(labels).dtype.kind == "U":
        class_legend(figure, labels)
    return figure


def manifold_z():
    """Returns the grid of Gaussian quantiles on which the manifold is decoded.

    Returns:
        (225, 2) float32, row by row from the largest z[1] to the smallest, and within a row from
        the smallest z[0] to the largest.
    """
    ticks = norm.ppf(np.linspace(*QUANTILES, MANIFOLD_SIDE))
    first, second = np.meshgrid(ticks, ticks[::-1])
    return np.stack([first.ravel(), second.ravel()], axis=1).astype(np.float32)


def manifold(images, image_shape, caption):
    """Draws the decoder's mean image at each z of `manifold_z`: z[0] to the right, z[1] upward.

    Args:
        images: (225, input_dim) in [0, 1].
        image_shape: (rows, columns) or (rows, columns, channels) of an image.
        caption: implementation, recipe, epoch, data, seed.
    """
    figure, axes = new_figure((6.4, 6.6), caption)
    side = MANIFOLD_SIDE
    draw_images(axes, tiled(images, side, image_shape))
    axes.set_box_aspect(drawn_ratio(image_shape))
    ticks = norm.ppf(np.linspace(*QUANTILES, side))
    shown = np.array([0, 2, 4, 7, 10, 12, 14])  # with the outermost and z = 0
    rows, columns = image_shape[:2]
    texts = [f"{abs(tick):.1f}" if tick > -0.05 else f"−{-tick:.1f}" for tick in ticks[shown]]
    axes.set_xticks((shown + 0.5) * columns - 0.5, texts)
    axes.set_yticks((side - shown - 0.5) * rows - 0.5, texts)  # z[1] is upward, rows downward
    place = "at quantiles 0.05 to 0.95 of N(0, 1)"
    axes.set_xlabel(f"z[0], {place}", fontsize=AXIS)
    axes.set_ylabel(f"z[1], {place}", fontsize=AXIS)
    axes.tick_params(labelsize=AXIS)
    return figure


def image_grid(images, image_shape, caption, columns=15):
    """Draws images in rows; black images fill up the last row.

    Args:
        images: (n, input_dim) in [0, 1], n >= 1.
        image_shape: (rows, columns) or (rows, columns, channels) of an image.
        caption: caption of the figure.
        columns: images per row.
    """
    images = filled_up(images, columns)
    rows = len(images) // columns
    side = min(6.4 / columns, 1.2)  # inches; at most 1.2 for a few images
    height = side * rows * drawn_ratio(image_shape)
    figure, axes = new_figure((6.4, height + 0.25 + 0.17 * (1 + caption.count("\n"))), caption)
    draw_images(axes, tiled(images, columns, image_shape))
    axes.set_box_aspect(height / (side * columns))
    axes.set_axis_off()
    return figure


def reconstructions(x, probs, image_shape, caption):
    """Draws pairs of rows: images, and below each image its reconstruction.

    Args:
        x, probs: (n, input_dim) in [0, 1], n >= 1; black images fill up the last two rows.
        image_shape: (rows, columns) or (rows, columns, channels) of an image.
        caption: caption of the figure.
    """
    columns = min(15, len(x))
    parts = [filled_up(part, columns).reshape(-1, columns, part.shape[1]) for part in (x, probs)]
    pairs = np.stack(parts, axis=1).reshape(-1, x.shape[1])
    return image_grid(pairs, image_shape, caption, columns)


def loss_by_epoch(history, caption, held_out="test"):
    """Draws the loss of each epoch: the training set's running mean, and that of held-out images.

    Args:
        history: rows of a history, dicts with the keys of shared.run.schemas.COLUMNS.
        caption: implementation, recipe, data, seed.
        held_out: what the images of `val_loss` are called: "test" or "validation".
    """
    figure, axes = new_figure((6.4, 4.4), caption)
    epochs = [row["epoch"] for row in history]
    axes.plot(
        epochs, [r["loss"] for r in history], ".-", color=TRAIN, label="training, running mean"
    )
    label = f"{held_out}, end of epoch"
    axes.plot(epochs, [r["val_loss"] for r in history], ".-", color=TEST, label=label)
    axes.set(xlabel="epoch", ylabel="loss = −ELBO, nats per image")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    return figure


def loss_by_step(lines, bands, caption, limits=None):
    """Draws the training loss of every step; that of several seeds as running means over 10 steps.

    Args:
        lines: {label: (steps,) or (seeds, steps)}, each seed drawn as a thin line.
        bands: {label: (seeds, steps)}, drawn as the range over seeds and its median.
        caption: recipe, data, seeds.
        limits: (low, high) of the loss axis; the first losses of a run are far above all others.
    """
    figure, axes = new_figure((7.2, 4.8), caption)
    colours = cycle(LINE_COLOURS)
    shown = {}  # what the legend shows of each label
    for label, losses in bands.items():
        colour = next(colours)
        losses = _smoothed(losses)
        steps = np.arange(1, losses.shape[1] + 1)
        band = axes.fill_between(
            steps, losses.min(0), losses.max(0), color=colour, alpha=0.25, linewidth=0
        )
        (median,) = axes.plot(steps, np.median(losses, axis=0), color=colour)
        shown[label] = (band, median)
    for label, losses in lines.items():
        colour = next(colours)
        rows = _smoothed(losses) if np.ndim(losses) == 2 else [losses]
        for row in rows:
            steps = np.arange(1, len(row) + 1)
            (shown[label],) = axes.plot(steps, row, color=colour, linewidth=0.9)
    axes.set(xlabel="step", ylabel="training loss = −ELBO, nats per image")
    if limits:
        axes.set_ylim(limits)
    axes.legend(shown.values(), shown, fontsize="small", loc="upper right")
    axes.grid(alpha=0.25)
    return figure


def save(figure, path, dpi=DPI):
    """Writes a figure as PNG; equal figures give equal bytes."""
    picture = _rendered(figure, dpi)
    if not any(np.ndim(image.get_array()) == 3 for image in figure.findobj(AxesImage)):
        # If no image is in colour, 256 colours are enough and halve the file size. The default
        # method would merge rare colours, and labels would differ from the points of their class.
        picture = picture.quantize(256, Image.Quantize.MAXCOVERAGE, 1, dither=Image.Dither.NONE)
    picture.save(path, format="PNG", optimize=True)


def save_animation(figures, path, dpi=65, seconds=0.2):
    """Writes figures of one size as the frames of a GIF; the last is shown for two seconds.

    Args:
        figures: iterable of figures, which are drawn one after another.
        path: path of the GIF, which is written completely or not at all.
        dpi: pixels per inch.
        seconds: duration of each other frame.
    """
    frames = []
    for figure in figures:
        picture = _rendered(figure, dpi)
        # One palette for all frames, otherwise the colour of a class would change.
        palette = frames[0] if frames else picture.quantize(128, Image.Quantize.MAXCOVERAGE)
        frames.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    buffer = io.BytesIO()
    durations = [int(1000 * seconds)] * (len(frames) - 1) + [2000]
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
    )
    write_atomically(path, buffer.getvalue())


def _rendered(figure, dpi):
    """Renders a figure as an RGB image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, format="png")
    return Image.open(buffer).convert("RGB")


def _smoothed(losses, window=10):
    """Returns running means over `window` steps, so that bands show seeds and not batches."""
    if losses.shape[1] < window:
        return losses
    sums = np.cumsum(np.pad(losses.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    counts = np.minimum(np.arange(1, losses.shape[1] + 1), window)
    starts = np.arange(1, losses.shape[1] + 1) - counts
    return (sums[:, 1:] - sums[:, starts]) / counts
