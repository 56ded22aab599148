"""What every picture is made of: figures with a caption, colours, points, tiles."""

import numpy as np
from matplotlib import color_sequences
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

__all__ = [
    "CLASS_COLOURS",
    "INK",
    "TEST",
    "TRAIN",
    "ellipse",
    "new_figure",
    "new_panels",
    "scatter",
    "tiled",
]

INK = "#222222"
# Petroff's ten, told apart by the colour-blind (arXiv:2107.02270).
CLASS_COLOURS = [to_hex(colour) for colour in color_sequences["petroff10"]]
TRAIN, TEST = CLASS_COLOURS[:2]


def new_figure(size, caption):
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    figure.suptitle(caption, fontsize=9.5, color=INK)
    return figure, axes


def new_panels(size, caption, rows, columns, **options):
    """A figure of several axes, as lists of rows."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    figure.suptitle(caption, fontsize=9.5, color=INK)
    return figure, axes


def scatter(axes, z_mean, labels, limit, point=None):
    """Points in the plane, one colour a class, and each class's label at its median."""
    colours = CLASS_COLOURS
    classes = np.unique(labels)
    # In one shuffled call: drawn class by class, the last class would hide the others.
    order = np.random.RandomState(0).permutation(len(z_mean))
    index = np.searchsorted(classes, labels) % len(colours)
    axes.scatter(
        *z_mean[order].T,
        c=np.array(colours, dtype=object)[index][order].tolist(),
        s=point or max(3.0, 9e3 / (len(z_mean) + 1000)),
        alpha=0.65,
        linewidths=0,
    )
    for number, label in enumerate(classes):
        centre = np.median(z_mean[labels == label], axis=0)
        axes.annotate(
            str(label),
            np.clip(centre, -0.95 * limit, 0.95 * limit),
            ha="center",
            va="center",
            fontsize=17,
            fontweight="bold",
            color=colours[number % len(colours)],
            path_effects=[withStroke(linewidth=3.5, foreground="white")],
        )


def ellipse(radius, centre=(0, 0), sigma=(1, 1)):
    """Where a diagonal Gaussian in the plane is `radius` standard deviations from its mean."""
    turn = np.linspace(0, 2 * np.pi, 200)
    return (
        centre[0] + radius * sigma[0] * np.cos(turn),
        centre[1] + radius * sigma[1] * np.sin(turn),
    )


def tiled(images, columns, image_shape):
    """(n, input_dim) images as one picture with `columns` images a row."""
    rows = len(images) // columns
    tiles = np.reshape(images, (rows, columns, *image_shape))
    return tiles.transpose(0, 2, 1, 3).reshape(rows * image_shape[0], columns * image_shape[1])
