"""Pictures: arrays in, matplotlib Figure out. No model, no data, no files but in `save`."""

import io

import numpy as np
from matplotlib import color_sequences, colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from PIL import Image
from scipy.stats import norm

from shared.run import write_atomically

__all__ = [
    "CLASS_COLOURS",
    "MANIFOLD_SIDE",
    "aggregate_posterior",
    "curves",
    "evidence_split",
    "image_grid",
    "image_rows",
    "kl_areas",
    "kl_bars",
    "latent_limit",
    "latent_panels",
    "latent_scatter",
    "loss_by_epoch",
    "loss_by_step",
    "manifold",
    "manifold_z",
    "posterior_contours",
    "reconstructions",
    "save",
    "save_animation",
]

MANIFOLD_SIDE = 15
QUANTILES = (0.05, 0.95)
DPI = 130
INK = "#222222"
# Petroff's ten, told apart by the colour-blind (arXiv:2107.02270).
CLASS_COLOURS = [to_hex(colour) for colour in color_sequences["petroff10"]]
TRAIN, TEST = CLASS_COLOURS[:2]


def latent_limit(*z_means):
    """Half the side of a square about the origin that holds 99.8 % of the points of every set."""
    return max(float(np.quantile(np.abs(z_mean), 0.998)) for z_mean in z_means) * 1.05


def latent_scatter(z_mean, labels, limit, caption, point=None):
    """The posterior means of a set in the plane, one colour a class.

    Args:
        z_mean: (n, 2).
        labels: (n,) integers.
        limit: both axes run from -limit to limit, so that pictures of two epochs compare.
        caption: version, recipe, epoch, data, seed.
        point: area of a point, square points; by the number of points where None.
    """
    figure, axes = _figure((6.4, 6.6), caption)
    _scatter(axes, z_mean, labels, limit, point)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.set(xlabel="z[0], mean of q(z|x)", ylabel="z[1], mean of q(z|x)")
    axes.grid(alpha=0.25)
    return figure


def manifold_z():
    """The grid of Gaussian quantiles that the manifold is decoded on.

    Returns:
        (225, 2): rows from the top (z[1] large) down, columns from z[0] small to large.
    """
    ticks = norm.ppf(np.linspace(*QUANTILES, MANIFOLD_SIDE))
    first, second = np.meshgrid(ticks, ticks[::-1])
    return np.stack([first.ravel(), second.ravel()], axis=1).astype(np.float32)


def manifold(images, image_shape, caption):
    """The decoder's mean image at each z of `manifold_z`: z[0] to the right, z[1] upward.

    Args:
        images: (225, input_dim) in [0, 1].
        image_shape: rows and columns of an image.
        caption: version, recipe, epoch, data, seed.
    """
    figure, axes = _figure((6.4, 6.6), caption)
    side = MANIFOLD_SIDE
    axes.imshow(_tiled(images, side, image_shape), cmap="gray", vmin=0, vmax=1, aspect="auto")
    axes.set_box_aspect(image_shape[0] / image_shape[1])
    ticks = norm.ppf(np.linspace(*QUANTILES, side))
    shown = np.array([0, 2, 4, 7, 10, 12, 14])  # the outermost and z = 0 among them
    rows, columns = image_shape
    texts = [f"{abs(tick):.1f}" if tick > -0.05 else f"−{-tick:.1f}" for tick in ticks[shown]]
    axes.set_xticks((shown + 0.5) * columns - 0.5, texts)
    axes.set_yticks((side - shown - 0.5) * rows - 0.5, texts)  # rows count downward, z[1] upward
    axes.set(xlabel="z[0], at quantiles 0.05 to 0.95 of N(0, 1)", ylabel="z[1], likewise")
    return figure


def image_grid(images, image_shape, caption, columns=15):
    """Images in rows of `columns`; the last row is filled up with black."""
    missing = -len(images) % columns
    images = np.concatenate([images, np.zeros((missing, images.shape[1]), images.dtype)])
    rows = len(images) // columns
    height = 6.4 * rows * image_shape[0] / (columns * image_shape[1])
    figure, axes = _figure((6.4, height + 0.4), caption)
    axes.imshow(_tiled(images, columns, image_shape), cmap="gray", vmin=0, vmax=1)
    axes.set_axis_off()
    return figure


def reconstructions(x, probs, image_shape, caption):
    """Pairs of rows: images, and below each its reconstruction."""
    columns = 15
    pairs = [
        part[start : start + columns]
        for start in range(0, len(x) - len(x) % columns, columns)
        for part in (x, probs)
    ]
    return image_grid(np.concatenate(pairs), image_shape, caption, columns)


def image_rows(rows, image_shape, caption):
    """Rows of images with a name each, one below the other.

    Args:
        rows: {name: (n, input_dim) in [0, 1]}, n the same for all.
        image_shape: (height, width).
        caption: version, recipe, data, seed.
    """
    height, width = image_shape
    n = len(next(iter(rows.values())))
    # Inches, laid out by hand: a constrained layout cuts long names beside axes of a fixed aspect.
    across, down, names = 0.5 * n, 0.5 * len(rows) * height / width, 0.085 * max(map(len, rows))
    size = (across + names + 0.3, down + 0.5)
    figure = Figure(figsize=size)
    axes = figure.add_axes(
        ((names + 0.2) / size[0], 0.1 / size[1], across / size[0], down / size[1])
    )
    figure.suptitle(caption, fontsize=9.5, color=INK, y=1 - 0.08 / size[1], va="top")
    picture = np.concatenate([_tiled(images, n, image_shape) for images in rows.values()])
    axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks(height * (np.arange(len(rows)) + 0.5), rows)
    axes.tick_params(length=0)
    return figure


def loss_by_epoch(history, caption):
    """Loss of the training set (a running mean) and of the test set after each epoch.

    Args:
        history: rows of a history (dicts with the keys of run.COLUMNS).
        caption: version, recipe, data, seed.
    """
    figure, axes = _figure((6.4, 4.4), caption)
    epochs = [row["epoch"] for row in history]
    axes.plot(
        epochs, [r["loss"] for r in history], ".-", color=TRAIN, label="training, running mean"
    )
    axes.plot(
        epochs, [r["val_loss"] for r in history], ".-", color=TEST, label="test, end of epoch"
    )
    axes.set(xlabel="epoch", ylabel="loss = −ELBO, nats per image")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    return figure


def loss_by_step(lines, bands, caption, limits=None):
    """The training loss of every step.

    Args:
        lines: {label: (steps,)}, drawn thin.
        bands: {label: (seeds, steps)}, drawn as the range over seeds about its median.
        caption: recipe, data, seeds.
        limits: of the loss axis; the first steps of a run lie far above all others.
    """
    figure, axes = _figure((7.2, 4.8), caption)
    colours = iter(CLASS_COLOURS)
    for label, losses in bands.items():
        colour = next(colours)
        losses = _smoothed(losses)
        steps = np.arange(1, losses.shape[1] + 1)
        axes.fill_between(
            steps, losses.min(0), losses.max(0), color=colour, alpha=0.25, linewidth=0
        )
        axes.plot(steps, np.median(losses, axis=0), color=colour, label=label)
    for number, (label, losses) in enumerate(lines.items()):
        # Two equal lines are both seen when the upper one is dashed.
        style = {"linestyle": (0, (4, 4)), "linewidth": 0.9} if number else {"linewidth": 0.9}
        colour = next(colours)
        axes.plot(np.arange(1, len(losses) + 1), losses, color=colour, label=label, **style)
    axes.set(xlabel="step", ylabel="training loss = −ELBO, nats per image")
    if limits:
        axes.set_ylim(limits)
    axes.legend(fontsize="small", loc="upper right")
    axes.grid(alpha=0.25)
    return figure


# ---- pictures of the mathematics


def latent_panels(panels, labels, caption):
    """Several models' latents of one set, each on axes of its own, with the prior's circle.

    Args:
        panels: {title: (n, 2)}, what each model's encoder gives.
        labels: (n,) integers.
        caption: of the whole.
    """
    figure, rows = _panels((4.4 * len(panels), 4.9), caption, 1, len(panels))
    for axes, (title, z_mean) in zip(rows[0], panels.items(), strict=True):
        limit = max(latent_limit(z_mean), 3.5)
        _scatter(axes, z_mean, labels, limit)
        # A standard normal in the plane lies within radius 3 with probability 1 - e^-4.5.
        axes.plot(*_ellipse(3), color=INK, linewidth=1.4, linestyle="--", zorder=5)
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="z[0]")
        axes.grid(alpha=0.25)
    rows[0][0].set(ylabel="z[1]")
    return figure


def curves(
    x,
    lines,
    caption,
    xlabel,
    ylabel,
    bands=None,
    levels=None,
    points=None,
    limits=None,
    log=(),
):
    """Lines over one axis, each in a colour of its own.

    Args:
        x: (n,), shared by all lines.
        lines: {label: (n,)}.
        caption: of the whole.
        xlabel, ylabel: what the axes hold, with the unit.
        bands: {label of a line: (low, high)}, (n,) each, shaded in the line's colour.
        levels: {label: number}, dashed horizontal lines.
        points: {label: (x, y)}, marked.
        limits: (low, high) of the vertical axis.
        log: the axes with a logarithmic scale, of "x" and "y".
    """
    figure, axes = _figure((6.8, 4.2), caption)
    colours = iter(CLASS_COLOURS)
    marker = ".-" if len(x) < 20 else "-"  # a line of a few values shows where they are
    for label, values in lines.items():
        colour = next(colours)
        axes.plot(x, values, marker, color=colour, label=label)
        if label in (bands or {}):
            axes.fill_between(x, *bands[label], color=colour, alpha=0.2, linewidth=0)
    for label, value in (levels or {}).items():
        axes.axhline(value, color=INK, linewidth=1, linestyle="--", label=label)
    for label, place in (points or {}).items():
        axes.plot(*place, "o", color=next(colours), markersize=7, label=label)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    if limits:
        axes.set_ylim(limits)
    axes.margins(x=0.01)
    axes.legend(frameon=False, fontsize="small")
    axes.grid(alpha=0.25)
    return figure


def kl_areas(z, p, panels, caption):
    """KL(q || p) in one dimension, seen as an area: that of q · log(q / p), signs and all.

    Args:
        z: (n,), equally spaced.
        p: (n,), density of the prior.
        panels: {title: (n,)}, density of each q; 0 where it vanishes.
        caption: of the whole.
    """
    figure, rows = _panels((3.4 * len(panels), 4.6), caption, 2, len(panels), sharex=True)
    for column, (title, q) in enumerate(panels.items()):
        above, below = rows[0][column], rows[1][column]
        above.plot(z, p, color=INK, linewidth=1.2, linestyle="--", label="p = N(0, 1)")
        above.plot(z, q, color=TRAIN, label="q")
        above.set_title(title, fontsize=10)
        with np.errstate(divide="ignore", invalid="ignore"):
            integrand = np.where(q > 0, q * np.log(q / p), 0.0)
        # q log q → 0 where q → 0, so what is added and what is taken away are both finite.
        for part, colour in ((integrand > 0, TRAIN), (integrand < 0, TEST)):
            below.fill_between(z, integrand, where=part, color=colour, alpha=0.55, linewidth=0)
        below.axhline(0, color=INK, linewidth=0.8)
        area = integrand.sum() * (z[1] - z[0])
        below.annotate(
            f"area {area:.3f} nats", (0.03, 0.9), xycoords="axes fraction", fontsize=9, color=INK
        )
        below.margins(y=0.25)
        below.set(xlabel="z")
        for axes in (above, below):
            axes.grid(alpha=0.25)
    rows[0][0].set(ylabel="density")
    rows[1][0].set(ylabel="q · log(q / p)")
    rows[0][0].legend(frameon=False, fontsize="small")
    return figure


def posterior_contours(
    half_width, log_posteriors, z_mean, z_log_var, images, image_shape, titles, caption
):
    """The exact p(z|x) of some images in the plane, and q(z|x) as ellipses over it.

    Args:
        half_width: half the side of the square window about each z_mean.
        log_posteriors: (n, side, side), log p(z|x) on an even grid over each window, z[1] by
            rows upward and z[0] by columns; a constant more or less changes nothing.
        z_mean, z_log_var: (n, 2), q of each image.
        images: (n, input_dim) in [0, 1], drawn in the emptiest corner.
        image_shape: rows and columns of an image.
        titles: n texts.
        caption: of the whole.
    """
    n = len(images)
    figure, rows = _panels((3.1 * n, 3.8), caption, 1, n)
    for i, axes in enumerate(rows[0]):
        density = np.exp(log_posteriors[i] - np.max(log_posteriors[i]))
        ticks = np.linspace(-half_width, half_width, len(density))
        grid = z_mean[i][0] + ticks, z_mean[i][1] + ticks
        axes.contourf(*grid, density, levels=np.linspace(0.02, 1, 14), cmap="viridis")
        axes.set_facecolor(colormaps["viridis"](0.0))
        sigma = np.exp(z_log_var[i] / 2)
        for radius in (1, 2):
            axes.plot(
                *_ellipse(radius, z_mean[i], sigma),
                color="white",
                linewidth=1.3,
                path_effects=[withStroke(linewidth=2.2, foreground=INK)],
            )
        axes.set(xlim=grid[0][[0, -1]], ylim=grid[1][[0, -1]], aspect="equal", xlabel="z[0]")
        axes.set_title(titles[i], fontsize=10)
        third = len(density) // 3
        corners = {
            (0.02, 0.7): density[-third:, :third],
            (0.7, 0.7): density[-third:, -third:],
            (0.02, 0.02): density[:third, :third],
            (0.7, 0.02): density[:third, -third:],
        }
        place = min(corners, key=lambda corner: corners[corner].sum())
        corner = axes.inset_axes([*place, 0.28, 0.28])
        corner.imshow(np.reshape(images[i], image_shape), cmap="gray", vmin=0, vmax=1)
        corner.set(xticks=[], yticks=[])
        corner.spines[:].set_color("white")
    rows[0][0].set(ylabel="z[1]")
    return figure


def aggregate_posterior(half_width, log_density, z, caption):
    """The aggregate posterior q(z) in the plane against the prior, and each of its latents alone.

    Args:
        half_width: half the side of the square window about the origin.
        log_density: (side, side), log q(z) on an even grid over the window, z[1] by rows upward
            and z[0] by columns.
        z: (n, 2), draws of q(z).
        caption: of the whole.
    """
    figure, rows = _panels((9.2, 4.6), caption, 1, 2)
    plane, lines = rows[0]
    ticks = np.linspace(-half_width, half_width, len(log_density))
    plane.contourf(ticks, ticks, np.exp(log_density), levels=14, cmap="viridis")
    for radius in (1, 2, 3):
        plane.plot(*_ellipse(radius), color="white", linewidth=1.2, linestyle="--")
    plane.set(xlim=(-half_width, half_width), ylim=(-half_width, half_width), aspect="equal")
    plane.set(xlabel="z[0]", ylabel="z[1]")
    plane.set_title("density q(z); circles: 1, 2, 3 σ of the prior", fontsize=10)
    edges = np.linspace(-half_width, half_width, 61)
    for latent, colour in ((0, TRAIN), (1, TEST)):
        share, _ = np.histogram(z[:, latent], edges)
        density = share / len(z) / (edges[1] - edges[0])  # of all draws, those outside too
        lines.stairs(
            density, edges, color=colour, linewidth=1.4, label=f"draws of q(z): z[{latent}]"
        )
    lines.plot(ticks, norm.pdf(ticks), color=INK, linestyle="--", label="prior N(0, 1)")
    lines.set(xlabel="z[0] or z[1]", ylabel="density")
    lines.legend(frameon=False, fontsize="small")
    lines.grid(alpha=0.25)
    return figure


def kl_bars(panels, caption):
    """KL of each latent dimension, the largest first, one panel a model on one scale.

    Args:
        panels: {title: (kl, active)}, (latent_dim,) nats and (latent_dim,) bool; a bar of a
            dimension that is not active is pale.
        caption: of the whole.
    """
    widths = [len(kl) + 4 for kl, _ in panels.values()]  # a panel of two bars holds its title
    size = 0.17 * sum(widths) + 1.2, 3.4
    figure, rows = _panels(size, caption, 1, len(panels), sharey=True, width_ratios=widths)
    for axes, (title, (kl, active)) in zip(rows[0], panels.items(), strict=True):
        order = np.argsort(kl)[::-1]
        for number, dimension in enumerate(order, start=1):
            axes.bar(number, kl[dimension], color=TRAIN, alpha=1 if active[dimension] else 0.35)
        axes.set_title(title, fontsize=10)
        axes.set_xticks([1, len(kl)])
        axes.set_xlim(0, len(kl) + 1)
        axes.grid(alpha=0.25, axis="y")
    rows[0][0].set(ylabel="KL, nats per image")
    figure.supxlabel("latent dimensions, by KL", fontsize=10)
    return figure


def evidence_split(x, elbo, log_px, chosen, caption, xlabel):
    """log p(x) as the sum of the ELBO and of KL(q || p(z|x)), while q changes.

    Args:
        x: (n,), what is changed about q.
        elbo: (n,) nats, of one image at each q.
        log_px: nats, of that image.
        chosen: the x of the q that training chose.
        caption, xlabel: of the picture and of its axis.
    """
    figure, axes = _figure((6.8, 4.2), caption)
    low = min(elbo) - 0.12 * (log_px - min(elbo))
    axes.fill_between(x, low, elbo, color=TRAIN, alpha=0.3, linewidth=0, label="ELBO, up to here")
    axes.fill_between(
        x, elbo, log_px, color=TEST, alpha=0.35, linewidth=0, label="KL(q(z|x) ‖ p(z|x))"
    )
    axes.plot(x, elbo, color=TRAIN)
    axes.axhline(log_px, color=INK, linewidth=1.4, label="log p(x), whatever q is")
    axes.axvline(chosen, color=INK, linewidth=1, linestyle=":", label="the trained encoder's q")
    axes.set(xlabel=xlabel, ylabel="nats", ylim=(low, log_px + 0.08 * (log_px - low)))
    axes.set(xlim=(min(x), max(x)))
    axes.legend(fontsize="small", loc="lower right", framealpha=0.9)
    return figure


def save(figure, path, dpi=DPI):
    """Write a figure as PNG; equal figures give equal bytes."""
    # 256 colours are enough for any of these pictures, and halve the file.
    picture = _rendered(figure, dpi).quantize(256, dither=Image.Dither.NONE)
    picture.save(path, format="PNG", optimize=True)


def save_animation(figures, path, dpi=65, seconds=0.2):
    """Write figures of one size as the frames of a GIF; the last stands still for two seconds.

    Args:
        figures: iterable of figures, drawn one by one.
        path: of the GIF, written whole or not at all.
        dpi: pixels an inch.
        seconds: of a frame.
    """
    frames = []
    for figure in figures:
        picture = _rendered(figure, dpi)
        # One palette for all frames, or a class would change its colour.
        palette = frames[0] if frames else picture.quantize(128, Image.Quantize.MAXCOVERAGE)
        frames.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    buffer = io.BytesIO()
    durations = [int(1000 * seconds)] * (len(frames) - 1) + [2000]
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
    )
    write_atomically(path, buffer.getvalue())


def _rendered(figure, dpi):
    """A figure as an RGB image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, format="png")
    return Image.open(buffer).convert("RGB")


def _figure(size, caption):
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    figure.suptitle(caption, fontsize=9.5, color=INK)
    return figure, axes


def _panels(size, caption, rows, columns, **options):
    """A figure of several axes, as lists of rows."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    figure.suptitle(caption, fontsize=9.5, color=INK)
    return figure, axes


def _scatter(axes, z_mean, labels, limit, point=None):
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


def _ellipse(radius, centre=(0, 0), sigma=(1, 1)):
    """Where a diagonal Gaussian in the plane is `radius` standard deviations from its mean."""
    turn = np.linspace(0, 2 * np.pi, 200)
    return (
        centre[0] + radius * sigma[0] * np.cos(turn),
        centre[1] + radius * sigma[1] * np.sin(turn),
    )


def _tiled(images, columns, image_shape):
    """(n, input_dim) images as one picture with `columns` images a row."""
    rows = len(images) // columns
    tiles = np.reshape(images, (rows, columns, *image_shape))
    return tiles.transpose(0, 2, 1, 3).reshape(rows * image_shape[0], columns * image_shape[1])


def _smoothed(losses, window=10):
    """A running mean over `window` steps: the range over seeds, not over batches."""
    if losses.shape[1] < window:
        return losses
    sums = np.cumsum(np.pad(losses.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    counts = np.minimum(np.arange(1, losses.shape[1] + 1), window)
    starts = np.arange(1, losses.shape[1] + 1) - counts
    return (sums[:, 1:] - sums[:, starts]) / counts
