"""The elements of every figure: captions, colours, points, tiles of images."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

__all__ = [
    "CLASS_COLOURS",
    "INK",
    "LINE_COLOURS",
    "TEST",
    "TRAIN",
    "class_legend",
    "draw_images",
    "drawn_ratio",
    "ellipse",
    "filled_up",
    "moved_apart",
    "new_figure",
    "new_panels",
    "scatter",
    "tiled",
    "write_caption",
]

INK = "#222222"
LEGEND = 30  # names of classes in a legend
LABEL = 15  # font size of a label in the plane
# One colour for each digit. Each has a contrast of 3 : 1 or more with the light and the dark
# background of the page and of GitHub, which leaves colours of medium lightness only. Among these,
# a random search maximized the least CIEDE2000 difference, over normal and simulated colour-blind
# vision, of digits that overlap in the latent plane of MNIST: it is 18.9, and 9.6 over all pairs.
# Two digits overlap if more than 4 % of the 15 nearest points of one are of the other (mean of both
# directions and of four runs of post-keras): 4-9, 5-8, 7-9, 3-5, 3-8, 2-6, 2-3, 4-7, 0-6, 2-5, 4-8,
# 4-5, 2-8 and 7-8, the most frequent first. Marker shapes would not help, because each of 10,000
# points is only three pixels wide.
CLASS_COLOURS = [
    "#9580bf",
    "#bf00aa",
    "#6a40ff",
    "#409595",
    "#4080ff",
    "#955555",
    "#aa8055",
    "#ea4080",
    "#959500",
    "#008015",
]
# The same colours, in an order in which the first ones differ most.
LINE_COLOURS = [CLASS_COLOURS[number] for number in (4, 8, 7, 5, 9, 1, 3, 6, 2, 0)]
TRAIN, TEST = LINE_COLOURS[:2]


def new_figure(size, caption):
    """Returns a figure of this size in inches, and its axes."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    write_caption(figure, caption)
    return figure, axes


def new_panels(size, caption, rows, columns, **options):
    """Returns a figure of this size in inches, and its axes as a list of rows."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    write_caption(figure, caption)
    return figure, axes


def write_caption(figure, caption, **place):
    """Writes the caption above a figure."""
    # A dollar sign in the name of a data file does not start a formula.
    figure.suptitle(caption, fontsize=9.5, color=INK, parse_math=False, **place)


def scatter(axes, z_mean, labels, limit, point=None):
    """Draws points in the plane, one colour per class, and a label at the median of each class.

    Labels that would overlap are moved apart. Names of classes are not written into the plane, as
    they would cover it: `class_legend` has them. Without labels (None) all points have one colour.
    """
    # In random order: drawn class by class, the last class would hide the others.
    order = np.random.RandomState(0).permutation(len(z_mean))
    colour = TRAIN
    if labels is not None:
        classes, index = np.unique(labels, return_inverse=True)
        named = classes.dtype.kind == "U"
        colours = _class_colours(len(classes)) if named else CLASS_COLOURS
        colour = np.array(colours, dtype=object)[index % len(colours)][order].tolist()
    axes.scatter(
        *z_mean[order].T,
        c=colour,
        s=point or max(3.0, 9e3 / (len(z_mean) + 1000)),
        linewidths=0,  # and opaque, since a pale point has less contrast than its colour
    )
    if labels is None or named:
        return
    medians = [np.median(z_mean[labels == label], axis=0) for label in classes]
    places = _label_places(axes, classes, np.clip(medians, -0.95 * limit, 0.95 * limit), limit)
    for number, (label, place) in enumerate(zip(classes, places, strict=True)):
        shape = "circle" if len(str(label)) == 1 else "round"
        colour = colours[number % len(colours)]
        axes.annotate(
            str(label),
            place,
            ha="center",
            va="center_baseline",
            fontsize=LABEL,
            fontweight="bold",
            color="white",
            bbox={"boxstyle": f"{shape},pad=0.12", "facecolor": colour, "edgecolor": "white"},
        )


def _label_places(axes, classes, medians, limit):
    """Returns the places of the labels of classes, moved from their medians if they overlap."""
    width = axes.get_position().width * axes.figure.get_figwidth() * 72  # points; drawn, it is more
    longest = max(len(str(label)) for label in classes)
    # The box of a label is this large for a font size of 1, and the box of one figure is a disc.
    size = LABEL * np.array([0.8 * longest + 0.7, 1.5]) * 2 * limit / width
    return moved_apart(np.asarray(medians) / size, 1 if longest == 1 else 2**0.5) * size


def moved_apart(places, distance):
    """Moves points that are too close to each other by about as little as is needed.

    Args:
        places: (n, 2).
        distance: the least distance that two points shall have.
    Returns:
        (n, 2); points that are far enough from all others stay where they are.
    """
    places = np.array(places, np.float64)
    first, second = np.triu_indices(len(places), 1)
    for _ in range(500):  # enough for ten labels at one point; more may still be a little close
        between = places[second] - places[first]
        length = np.hypot(*between.T)
        close = length < distance
        if not close.any():
            break
        # Points at the same place leave it in different directions.
        turn = 2.4 * second[length == 0]
        between[length == 0] = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        between[length > 0] /= length[length > 0, None]
        move = (0.505 * (distance - length) + 1e-9)[close, None] * between[close]
        np.add.at(places, first[close], -move)
        np.add.at(places, second[close], move)
    return places


def class_legend(figure, names):
    """Writes the names of classes below a figure, each with its colour; of many, the first.

    Args:
        figure: a figure with a `scatter` of these names, whose height grows by that of the legend.
        names: (n,) the name of each point's class.
    """
    classes = np.unique(names)
    shown = classes[:LEGEND] if len(classes) > LEGEND else classes
    texts = [_shortened(str(name), 28) for name in shown]
    across = max(1, min(5, len(shown), 88 // (max(map(len, texts)) + 6)))
    if len(shown) < len(classes):
        texts.append(f"… and {len(classes) - len(shown)} more")
    colours = [*_class_colours(len(classes))[: len(shown)], "none"]
    marks = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=text)
        for colour, text in zip(colours, texts, strict=False)
    ]
    (width, height), rows = figure.get_size_inches(), -(-len(texts) // across)
    figure.set_size_inches(width, height + 0.2 + 0.18 * rows)
    legend = figure.legend(
        handles=marks,
        loc="outside lower center",
        ncols=across,
        frameon=False,
        fontsize=8.5,
        borderaxespad=0,  # the layout makes room for the legend without this
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _class_colours(count):
    """Returns a colour for each of `count` classes that have names: ten, or those of a map."""
    if count <= len(LINE_COLOURS):
        return LINE_COLOURS
    return [to_hex(colour) for colour in colormaps["turbo"](np.linspace(0.03, 0.97, count))]


def _shortened(text, width):
    """Returns a name without its middle, if it is long: its end often tells it from others."""
    half = (width - 1) // 2
    return text if len(text) <= width else f"{text[:half]}…{text[-half:]}"


def ellipse(radius, centre=(0, 0), sigma=(1, 1)):
    """Returns x and y of the ellipse at `radius` standard deviations of a diagonal Gaussian."""
    turn = np.linspace(0, 2 * np.pi, 200)
    return (
        centre[0] + radius * sigma[0] * np.cos(turn),
        centre[1] + radius * sigma[1] * np.sin(turn),
    )


def filled_up(images, columns):
    """Appends zeros to (n, input_dim) images, up to a multiple of `columns` images.

    An image of zeros is black, or transparent if it has an alpha channel.
    """
    missing = -len(images) % columns
    return np.concatenate([images, np.zeros((missing, images.shape[1]), images.dtype)])


def tiled(images, columns, image_shape):
    """Joins images to one picture, with `columns` images per row.

    Args:
        images: (n, input_dim), n a multiple of `columns`.
        columns: images per row.
        image_shape: (rows, columns) or (rows, columns, channels) of an image.
    Returns:
        (height, width) or (height, width, channels) array, like an image.
    """
    height, width, *channels = image_shape
    rows = len(images) // columns
    tiles = np.reshape(images, (rows, columns, height, width, *channels))
    return tiles.swapaxes(1, 2).reshape(rows * height, columns * width, *channels)


def draw_images(axes, picture, interpolation=None):
    """Draws a picture of images: grey values from black (0) to white (1), colours unchanged."""
    # The mean of a Gaussian can be outside [0, 1], and matplotlib warns about such colours.
    picture = np.clip(picture, 0, 1)
    axes.imshow(picture, "gray", vmin=0, vmax=1, interpolation=interpolation, aspect="auto")


def drawn_ratio(image_shape):
    """Returns the ratio of height to width with which an image is drawn, from 1/8 to 8.

    Flat images whose length is not a square are one row of pixels, which would be too thin to see.
    """
    return min(max(image_shape[0] / image_shape[1], 1 / 8), 8)
