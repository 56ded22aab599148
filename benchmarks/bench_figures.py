"""Draws what bench.py measured: the seconds per epoch, and the growth with the size of the model.

Both figures are eight inches wide, so that their text is readable at the width of a page.
"""

import statistics

from matplotlib.ticker import LogLocator, NullLocator

from shared.show.figures import canvas

__all__ = ["draw_epochs", "draw_growth"]

WIDTH = 8.2  # inches
MEDIAN = "#8b949e"  # grey
XLABELS = {"batch_size": "batch size", "hidden_dims": "hidden units", "images": "images"}


def draw_epochs(found, text):
    """Draws the minimum and the median of the seconds per epoch, one panel per number of threads.

    Args:
        found: {contestant: {number of threads, as a string: seconds of each counted epoch}}.
        text: caption of the figure.
    Returns:
        a figure whose panels have the contestants in one order, the fastest of the first on top.
    """
    counts = list(next(iter(found.values())))
    names = sorted(found, key=lambda name: -min(found[name][counts[0]]))
    size = (WIDTH, 1.2 + 0.29 * len(names))
    figure, [row] = canvas.new_panels(size, text, 1, len(counts), sharex=True, sharey=True)
    for axes, count in zip(row, counts, strict=True):
        seconds = [found[name][count] for name in names]
        medians = axes.barh(names, [statistics.median(each) for each in seconds], color=MEDIAN)
        minima = axes.barh(names, [min(each) for each in seconds], color=canvas.TRAIN)
        axes.set_title(f"{count} thread{'s' * (count != '1')}", fontsize=10)
        axes.set_xlabel("seconds per epoch")
        axes.grid(alpha=0.25, axis="x")
        axes.set_axisbelow(True)
    _legend(figure, [minima, medians], ["minimum", "median"])
    return figure


def draw_growth(found, text):
    """Draws the time per image against the size of a batch, of a layer, and of the data.

    Args:
        found: {series: {implementation: {value: microseconds per image}}}; after JSON, the values
            are strings.
        text: caption of the figure.
    Returns:
        a figure with a panel per series, whose axes are logarithmic and have plain numbers.
    """
    figure, [row] = canvas.new_panels((WIDTH, 3.1), text, 1, len(found))
    for axes, (series, lines) in zip(row, found.items(), strict=True):
        shown = {}
        for (name, values), colour, marker in zip(
            lines.items(), (canvas.TRAIN, canvas.TEST), "os", strict=True
        ):
            x = [int(value) for value in values]
            (shown[name],) = axes.plot(x, list(values.values()), f"{marker}-", c=colour)
        axes.set(xscale="log", yscale="log", xlabel=XLABELS[series])
        ticks = sorted({x[0], x[len(x) // 2], x[-1]})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 9 * low else range(1, 10)))
        axes.yaxis.set_major_formatter("{x:g}")  # 20, not 2 × 10¹
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.25)
    row[0].set_ylabel("microseconds per image")
    _legend(figure, shown.values(), shown)
    return figure


def _legend(figure, handles, names):
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
