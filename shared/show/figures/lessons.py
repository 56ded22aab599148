"""Draws figures for notebooks and benchmarks, from arrays to matplotlib Figures."""

from itertools import cycle

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm

from shared.show.figures.canvas import (
    INK,
    LINE_COLOURS,
    TEST,
    TRAIN,
    draw_images,
    drawn_ratio,
    ellipse,
    new_figure,
    new_panels,
    scatter,
    tiled,
    write_caption,
)
from shared.show.figures.plots import latent_limit

__all__ = [
    "aggregate_posterior",
    "curves",
    "evidence_split",
    "image_rows",
    "kl_areas",
    "kl_bars",
    "latent_panels",
    "posterior_contours",
]


def image_rows(rows, image_shape, caption):
    """Draws rows of images, one below the other, each with its name.

    Args:
        rows: {name: (n, input_dim) in [0, 1]}, with the same n for all.
        image_shape: (rows, columns) or (rows, columns, channels) of an image.
        caption: implementation, recipe, data, seed.
    """
    n = len(next(iter(rows.values())))
    # In inches, without a constrained layout, which cuts off long names at axes of a fixed aspect.
    across, down = 0.5 * n, 0.5 * len(rows) * drawn_ratio(image_shape)
    lines = caption.split("\n")
    names, title = 0.085 * max(map(len, rows)), 0.085 * max(map(len, lines))
    size = (max(across + names + 0.3, title + 0.3), down + 0.33 + 0.17 * len(lines))
    figure = Figure(figsize=size)
    axes = figure.add_axes(
        ((names + 0.2) / size[0], 0.1 / size[1], across / size[0], down / size[1])
    )
    write_caption(figure, caption, y=1 - 0.08 / size[1], va="top")
    picture = np.concatenate([tiled(images, n, image_shape) for images in rows.values()])
    draw_images(axes, picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks(image_shape[0] * (np.arange(len(rows)) + 0.5), rows)
    axes.tick_params(length=0)
    return figure


def latent_panels(panels, labels, caption):
    """Draws the latents of one set by several models, each with a circle of the prior.

    Args:
        panels: {title: (n, 2)}, the latent means of each model.
        labels: (n,) integers.
        caption: caption of the figure.
    """
    figure, rows = new_panels((4.4 * len(panels), 4.9), caption, 1, len(panels))
    limits = [max(latent_limit(z_mean), 3.5) for z_mean in panels.values()]
    if max(limits) < 2 * min(limits):  # otherwise the smallest set would be a spot
        limits = [max(limits)] * len(limits)
    for axes, limit, (title, z_mean) in zip(rows[0], limits, panels.items(), strict=True):
        scatter(axes, z_mean, labels, limit)
        # A standard normal point in the plane is within radius 3 with probability 1 - e^-4.5.
        text = "99 % of the prior"
        axes.plot(*ellipse(3), color=INK, linewidth=1.4, linestyle="--", zorder=5, label=text)
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="z[0]")
        axes.grid(alpha=0.25)
    rows[0][0].set(ylabel="z[1]")
    rows[0][0].legend(fontsize="small", loc="upper left")
    return figure


def curves(
    x, lines, caption, xlabel, ylabel, bands=None, levels=None, points=None, limits=None, log=()
):
    """Draws several lines over one axis.

    Args:
        x: (n,), the same for all lines.
        lines: {label: (n,)}.
        caption: caption of the figure.
        xlabel, ylabel: names of the axes, with the unit.
        bands: {label of a line: (low, high)}, (n,) each, shaded in the line's colour.
        levels: {label: number}, drawn as dashed horizontal lines.
        points: {label: (x, y)}, drawn as markers.
        limits: (low, high) of the vertical axis.
        log: the axes with a logarithmic scale: "x", "y" or both.
    """
    figure, axes = new_figure((6.8, 4.2), caption)
    colours = cycle(LINE_COLOURS)
    marker = ".-" if len(x) < 20 else "-"  # markers if there are only a few values
    shown = {}  # what the legend shows of each label
    for label, values in lines.items():
        colour = next(colours)
        (shown[label],) = axes.plot(x, values, marker, color=colour)
        if label in (bands or {}):
            band = axes.fill_between(x, *bands[label], color=colour, alpha=0.2, linewidth=0)
            shown[label] = (band, shown[label])
    for label, value in (levels or {}).items():
        shown[label] = axes.axhline(value, color=INK, linewidth=1, linestyle="--")
    for label, place in (points or {}).items():
        (shown[label],) = axes.plot(*place, "o", color=next(colours), markersize=7)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if np.issubdtype(np.asarray(x).dtype, np.integer):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no latent 2.5
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    if limits:
        axes.set_ylim(limits)
    axes.margins(x=0.01)
    axes.legend(shown.values(), shown, frameon=False, fontsize="small")
    axes.grid(alpha=0.25)
    return figure


def kl_areas(z, p, panels, caption):
    """Draws KL(q || p) in one dimension as the signed area under q · log(q / p).

    Args:
        z: (n,), equally spaced.
        p: (n,), density of the prior.
        panels: {title: (n,)}, density of each q; it may be 0.
        caption: caption of the figure.
    """
    figure, rows = new_panels((3.4 * len(panels), 4.6), caption, 2, len(panels), sharex=True)
    for column, (title, q) in enumerate(panels.items()):
        above, below = rows[0][column], rows[1][column]
        above.plot(z, p, color=INK, linewidth=1.2, linestyle="--", label="p = N(0, 1)")
        above.plot(z, q, color=TRAIN, label="q")
        above.set_title(title, fontsize=10)
        with np.errstate(divide="ignore", invalid="ignore"):
            integrand = np.where(q > 0, q * np.log(q / p), 0.0)
        # q log q → 0 where q → 0, so the positive and the negative area are both finite.
        for part, colour, text in (
            (integrand > 0, TRAIN, "q > p: above 0"),
            (integrand < 0, TEST, "q < p: below 0"),
        ):
            style = {"color": colour, "alpha": 0.55, "linewidth": 0, "label": text}
            below.fill_between(z, integrand, where=part, **style)
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
    rows[1][0].legend(frameon=False, fontsize="small", loc="lower left")
    return figure


def posterior_contours(
    half_width, log_posteriors, z_mean, z_log_var, images, image_shape, titles, caption
):
    """Draws the exact p(z|x) of some images in the plane, and ellipses of q(z|x) over it.

    Args:
        half_width: half the side of the square window around each z_mean.
        log_posteriors: (n, side, side), log p(z|x) on an equally spaced grid over each window, with
            z[1] by rows upward and z[0] by columns; an additive constant has no effect.
        z_mean, z_log_var: (n, 2), q of each image.
        images: (n, input_dim) in [0, 1], drawn in the corner with the lowest density.
        image_shape: (rows, columns) or (rows, columns, channels) of an image.
        titles: list of n texts.
        caption: caption of the figure.
    """
    n = len(images)
    figure, rows = new_panels((max(3.1 * n, 6.2), 4.1), caption, 1, n)  # 6.2 for the caption
    line = {"color": "white", "linewidth": 1.3}
    line["path_effects"] = [withStroke(linewidth=2.2, foreground=INK)]
    for i, axes in enumerate(rows[0]):
        density = np.exp(log_posteriors[i] - np.max(log_posteriors[i]))
        ticks = np.linspace(-half_width, half_width, len(density))
        grid = z_mean[i][0] + ticks, z_mean[i][1] + ticks
        axes.contourf(*grid, density, levels=np.linspace(0.02, 1, 14), cmap="viridis")
        axes.set_facecolor(colormaps["viridis"](0.0))
        sigma = np.exp(z_log_var[i] / 2)
        for radius in (1, 2):
            axes.plot(*ellipse(radius, z_mean[i], sigma), **line)
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
        draw_images(corner, tiled(images[i : i + 1], 1, image_shape))
        corner.set_box_aspect(drawn_ratio(image_shape))
        corner.set(xticks=[], yticks=[])
        corner.spines[:].set_color("white")
    rows[0][0].set(ylabel="z[1]")
    shown = {
        "p(z|x), the brighter the denser": Patch(color=colormaps["viridis"](0.8)),
        "q(z|x) at 1 and 2 σ": Line2D([], [], **line),
    }
    legend = {"loc": "outside lower center", "ncols": 2, "frameon": False, "fontsize": 9}
    figure.legend(shown.values(), shown, **legend)
    return figure


def aggregate_posterior(half_width, log_density, z, caption):
    """Draws the aggregate posterior q(z) and the prior, in the plane and for each latent alone.

    Args:
        half_width: half the side of the square window around the origin.
        log_density: (side, side), log q(z) on an equally spaced grid over the window, with z[1] by
            rows upward and z[0] by columns.
        z: (n, 2), samples of q(z).
        caption: caption of the figure.
    """
    figure, rows = new_panels((9.2, 4.6), caption, 1, 2)
    plane, lines = rows[0]
    ticks = np.linspace(-half_width, half_width, len(log_density))
    plane.contourf(ticks, ticks, np.exp(log_density), levels=14, cmap="viridis")
    for radius in (1, 2, 3):
        plane.plot(*ellipse(radius), color="white", linewidth=1.2, linestyle="--")
    plane.set(xlim=(-half_width, half_width), ylim=(-half_width, half_width), aspect="equal")
    plane.set(xlabel="z[0]", ylabel="z[1]")
    plane.set_title("density q(z); circles: 1, 2, 3 σ of the prior", fontsize=10)
    edges = np.linspace(-half_width, half_width, 61)
    for latent, colour in ((0, TRAIN), (1, TEST)):
        share, _ = np.histogram(z[:, latent], edges)
        density = share / len(z) / (edges[1] - edges[0])  # of all samples, also those outside
        lines.stairs(
            density, edges, color=colour, linewidth=1.4, label=f"samples of q(z): z[{latent}]"
        )
    lines.plot(ticks, norm.pdf(ticks), color=INK, linestyle="--", label="prior N(0, 1)")
    lines.set(xlabel="z[0] or z[1]", ylabel="density")
    lines.legend(frameon=False, fontsize="small")
    lines.grid(alpha=0.25)
    return figure


def kl_bars(panels, caption):
    """Draws the KL of each latent dimension, the largest first, in one panel per model.

    Args:
        panels: {title: (kl, active)}, (latent_dim,) nats and (latent_dim,) bool; the bar of a
            dimension that is not active is pale, and the title says how many are active.
        caption: caption of the figure.
    """
    widths = [len(kl) + 4 for kl, _ in panels.values()]  # + 4 for the title
    size = 0.17 * sum(widths) + 1.2, 3.4
    figure, rows = new_panels(size, caption, 1, len(panels), sharey=True, width_ratios=widths)
    for axes, (title, (kl, active)) in zip(rows[0], panels.items(), strict=True):
        order = np.argsort(kl)[::-1]
        for number, dimension in enumerate(order, start=1):
            axes.bar(number, kl[dimension], color=TRAIN, alpha=1 if active[dimension] else 0.35)
        axes.set_title(f"{title}\n{np.sum(active)} active", fontsize=10)
        axes.set_xticks([1, len(kl)])
        axes.set_xlim(0, len(kl) + 1)
        axes.grid(alpha=0.25, axis="y")
    rows[0][0].set(ylabel="KL, nats per image")
    pale = any(not np.all(active) for _, active in panels.values())
    text = "latent dimensions, by KL" + ("; pale: not active" if pale else "")
    figure.supxlabel(text, fontsize=10)
    return figure


def evidence_split(x, elbo, log_px, chosen, caption, xlabel):
    """Draws log p(x) as the sum of the ELBO and KL(q || p(z|x)), for different q.

    Args:
        x: (n,), the parameter in which the q differ.
        elbo: (n,) nats, the ELBO of one image with each q.
        log_px: log p(x) of that image, in nats.
        chosen: x of the trained encoder's q.
        caption, xlabel: caption of the figure and name of the horizontal axis.
    """
    figure, axes = new_figure((6.8, 4.2), caption)
    low = min(elbo) - 0.12 * ((log_px - min(elbo)) or 1.0)
    axes.fill_between(x, low, elbo, color=TRAIN, alpha=0.3, linewidth=0, label="ELBO")
    axes.fill_between(
        x, elbo, log_px, color=TEST, alpha=0.35, linewidth=0, label="KL(q(z|x) ‖ p(z|x))"
    )
    axes.plot(x, elbo, color=TRAIN)
    axes.axhline(log_px, color=INK, linewidth=1.4, label="log p(x), the same for every q")
    axes.axvline(chosen, color=INK, linewidth=1, linestyle=":", label="q of the trained encoder")
    axes.set(xlabel=xlabel, ylabel="nats", ylim=(low, log_px + 0.08 * (log_px - low)))
    axes.margins(x=0)
    axes.legend(fontsize="small", loc="lower right", framealpha=0.9)
    return figure
