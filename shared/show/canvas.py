"""What every picture is made of: figures with a caption, colours, points, tiles."""

import numpy as np
from matplotlib import color_sequences
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

__all__ = [
    "CLASS_COLOURS",
    "INK",
    "LINE_COLOURS",
    "TEST",
    "TRAIN",
    "draw_images",
    "drawn_ratio",
    "ellipse",
    "filled_up",
    "new_figure",
    "new_panels",
    "scatter",
    "tiled",
    "write_caption",
]

INK = "#222222"
# Petroff's ten, told apart by the colour-blind (arXiv:2107.02270).
LINE_COLOURS = [to_hex(colour) for colour in color_sequences["petroff10"]]
TRAIN, TEST = LINE_COLOURS[:2]
# The same ten, given to the digits so that those which mix in the latent plane of MNIST differ
# most. Two digits mix where more than 4 % of the 15 nearest points of one belong to the other
# (mean of both directions and of four runs of post-keras): 4-9, 5-8, 7-9, 3-5, 3-8, 2-6, 2-3,
# 4-7, 0-6, 2-5, 4-8, 4-5, 2-8 and 7-8, the most frequent first. Of all 10! orders, this one has
# the largest minimum of the CIEDE2000 difference over these pairs and over normal and simulated
# colour-blind vision: 26.5, against 13.4 in the order of the palette. Marker shapes would not
# help: a point of 10,000 is three pixels wide.
CLASS_COLOURS = [LINE_COLOURS[number] for number in (7, 5, 2, 3, 9, 1, 0, 6, 4, 8)]


def new_figure(size, caption):
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    write_caption(figure, caption)
    return figure, axes


def new_panels(size, caption, rows, columns, **options):
    """A figure of several axes, as lists of rows."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    write_caption(figure, caption)
    return figure, axes


def write_caption(figure, caption, **place):
    """Write the caption above a figure."""
    # A dollar sign in the name of a data file is no formula.
    figure.suptitle(caption, fontsize=9.5, color=INK, parse_math=False, **place)


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


def filled_up(images, columns):
    """(n, input_dim) images, and zeros up to a multiple of `columns`.

    A picture of zeros is black, or transparent where pixels have an alpha.
    """
    missing = -len(images) % columns
    return np.concatenate([images, np.zeros((missing, images.shape[1]), images.dtype)])


def tiled(images, columns, image_shape):
    """Images as one picture, `columns` of them in each row.

    Args:
        images: (n, input_dim), n a multiple of `columns`.
        columns: images per row.
        image_shape: (rows, columns) or (rows, columns, channels) of an image.
    Returns:
        (rows of pixels, columns of pixels), and the channels after them where images have any.
    """
    height, width, *channels = image_shape
    rows = len(images) // columns
    tiles = np.reshape(images, (rows, columns, height, width, *channels))
    return tiles.swapaxes(1, 2).reshape(rows * height, columns * width, *channels)


def draw_images(axes, picture, cmap="gray", interpolation=None):
    """Draw a picture of images: grey values by the colour map, colours as they are."""
    # A Gaussian mean can lie outside [0, 1], where matplotlib warns about colours.
    picture = np.clip(picture, 0, 1)
    axes.imshow(picture, cmap, vmin=0, vmax=1, interpolation=interpolation, aspect="auto")


def drawn_ratio(image_shape):
    """Height by width of an image on paper: that of its pixels, from 1/8 to 8.

    Flat images of a length that is no square are one row; undistorted, nobody would see them.
    """
    return min(max(image_shape[0] / image_shape[1], 1 / 8), 8)
