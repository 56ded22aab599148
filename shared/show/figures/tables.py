"""Draws the figures of a table: one small panel per column, in the units of the data."""

import textwrap

import numpy as np

from shared.show.figures.canvas import INK, TEST, TRAIN, new_panels
from shared.show.figures.plots import MANIFOLD_SIDE, manifold_z

__all__ = ["SHOWN", "column_maps", "column_reconstructions", "column_samples"]

SHOWN = 16  # columns; the panels of more would be too small to read
ACROSS = 4  # panels side by side
NAME_WIDTH = 17  # characters of a name in a line
POINTS = 500  # rows that are drawn as points


def column_reconstructions(x, means, columns, caption):
    """Draws each row's reconstruction against its value, a panel per column.

    Args:
        x, means: (n, columns) values of rows, and the means of p(x|z) at their z_mean.
        columns: names of the columns.
        caption: caption of the figure.
    """
    figure, panels = _panels(columns, caption)
    for number, axes in panels:
        value, mean = x[:POINTS, number], means[:POINTS, number]
        axes.plot(value, mean, ".", color=TRAIN, markersize=3, alpha=0.6, markeredgewidth=0)
        # One range for both axes, so that the diagonal is where both are equal.
        low, high = _range(value, mean)
        axes.plot([low, high], [low, high], color=INK, linewidth=0.8)
        axes.set(xlim=(low, high), ylim=(low, high))
        axes.set_yticks(axes.get_xticks())
        axes.set(xlim=(low, high), ylim=(low, high))
    figure.supxlabel("value", fontsize=9)
    figure.supylabel("reconstruction", fontsize=9)
    return figure


def column_samples(samples, columns, caption, x=None):
    """Draws the distribution of each column: samples of the model, and the data beside them.

    Args:
        samples: (n, columns) means of p(x|z) at samples of the prior.
        columns: names of the columns.
        caption: caption of the figure.
        x: (m, columns) values of the data, or None.
    """
    figure, panels = _panels(columns, caption)
    handles = []
    for number, axes in panels:
        sets = [samples[:, number]] + ([] if x is None else [x[:, number]])
        # The outermost values of a long tail would squeeze all others into one bar.
        edges = np.linspace(*_range(*(np.quantile(each, (0.005, 0.995)) for each in sets)), 25)
        clipped = [np.clip(each, edges[0], edges[-1]) for each in sets]
        handles = []
        if x is not None:
            handles += _bars(axes, clipped[1], edges, color=TEST, alpha=0.55, label="data")
        line = {
            "histtype": "step",
            "color": TRAIN,
            "linewidth": 1.4,
            "label": "samples (mean of p(x|z))",
        }
        handles += _bars(axes, clipped[0], edges, **line)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_yticks([])
    figure.legend(handles=handles, loc="outside lower right", ncols=2, frameon=False, fontsize=9)
    figure.supylabel("share of rows", fontsize=9)
    return figure


def column_maps(means, columns, caption):
    """Draws each column's mean of p(x|z) over the latent plane, z[0] to the right and z[1] upward.

    Args:
        means: (225, columns), at each z of shared.show.figures.plots.manifold_z.
        columns: names of the columns.
        caption: implementation, recipe, epoch, data, seed.
    """
    side = MANIFOLD_SIDE
    ticks = manifold_z()[:side, 0]
    figure, panels = _panels(columns, caption)
    for number, axes in panels:
        values = means[:, number].reshape(side, side)[::-1]  # the first row is the largest z[1]
        low, high = _range(values, margin=0)
        colours = axes.pcolormesh(ticks, ticks, values, vmin=low, vmax=high, cmap="viridis")
        axes.set(aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        bar = figure.colorbar(colours, ax=axes, shrink=0.85, pad=0.03)
        bar.ax.tick_params(labelsize=7, length=2)
        bar.ax.yaxis.get_offset_text().set_fontsize(7)
        bar.ax.locator_params(nbins=4)
        bar.outline.set_linewidth(0.5)
    figure.supxlabel("z[0], at quantiles 0.05 to 0.95 of N(0, 1)", fontsize=9)
    figure.supylabel("z[1]", fontsize=9)
    return figure


def _panels(columns, caption):
    """Returns a figure, and (number, axes) of each column that is shown, with its name as title."""
    count = min(len(columns), SHOWN)
    if count < len(columns):
        caption = f"{caption}, the first {count} of {len(columns)} columns"
    across = min(ACROSS, count)
    rows = -(-count // across)
    size = (max(6.4, 2.0 * across), 0.9 + 1.75 * rows)
    figure, grid = new_panels(size, caption, rows, across)
    flat = [axes for row in grid for axes in row]
    for axes in flat[count:]:
        axes.set_axis_off()
    for number, axes in enumerate(flat[:count]):
        axes.set_title(_short(columns[number]), fontsize=8, color=INK, parse_math=False)
        axes.tick_params(labelsize=7, length=2)
        axes.locator_params(nbins=4)
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_offset_text().set_fontsize(7)
    return figure, list(enumerate(flat[:count]))


def _short(name):
    """Returns the name of a column in at most two lines."""
    # A line may end after an underscore.
    lines = textwrap.wrap(name.replace("_", "_ "), NAME_WIDTH) or [""]
    lines = [line.replace("_ ", "_") for line in lines]
    if len(lines) > 2:
        lines = [lines[0], lines[1][: NAME_WIDTH - 1] + "…"]
    return "\n".join(lines)


def _bars(axes, values, edges, **style):
    """Draws a histogram whose bars are shares, and returns what a legend shows of it."""
    weights = np.full(len(values), 1 / len(values))
    return [axes.hist(values, edges, weights=weights, **style)[2][0]]


def _range(*values, margin=0.05):
    """Returns the least and largest value with a margin, and 1 around a constant."""
    low = min(float(np.min(each)) for each in values)
    high = max(float(np.max(each)) for each in values)
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        size = max(0.5, 0.05 * abs(low))
        return low - size, high + size
    return low - margin * (high - low), high + margin * (high - low)
