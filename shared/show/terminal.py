"""Prints tables and shows progress bars in the terminal."""

import contextlib

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

__all__ = ["metrics_table", "on_epoch_of", "print_table", "progress", "text_table"]

PIPE_WIDTH = 200  # characters; without a terminal, rich would cut every line at 80


@contextlib.contextmanager
def progress(total):
    """Shows a progress bar with the remaining time on stderr.

    Args:
        total: total number of steps.
    Yields:
        advance(steps, text), which moves the bar, and say(line), which prints above it.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("", total=total)
        yield (
            lambda steps, text: bar.update(task, advance=steps, description=text),
            lambda line: bar.console.print(line, highlight=False),
        )


def on_epoch_of(run, name, advance):
    """Returns a callback for `train` that moves the bar by the steps of each epoch.

    Args:
        run: shared.run.state.Run before its training.
        name: text beside the bar.
        advance: the function that `progress` yields.
    """
    last = [run.step]

    def on_epoch(row):
        advance(row["step"] - last[0], f"{name} epoch {row['epoch']:>2} loss {row['loss']:.2f}")
        last[0] = row["step"]

    return on_epoch


def text_table(title, header, rows, left=1):
    """Returns a table without lines between its cells.

    Args:
        title: one line above it.
        header: names of the columns.
        rows: lists of cells, each as long as the header.
        left: number of columns, from the first, that are aligned left.
    Returns:
        rich.table.Table
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    return table


def metrics_table(metrics, title):
    """Returns the contents of metrics.json as a table.

    Args:
        metrics: the dict in metrics.json.
        title: one line above it.
    Returns:
        rich.table.Table
    """
    header = ["metric", "value", "± standard error", "n", "samples", "data", "unit"]
    rows = []
    for name, metric in metrics.items():
        error = metric.get("standard_error")
        row = [name, _number(metric["value"]), "" if error is None else f"{error:.4f}"]
        row += [f"{metric['n']:,}", metric["samples"] or ""]
        row.append(f"{metric['data']}, x: {metric['x']}")
        rows.append([*row, metric["unit"]])
    table = text_table(title, header, rows)
    table.columns[-1].justify = "left"
    return table


def _number(value):
    if isinstance(value, list):
        return " ".join(f"{each:.2f}" for each in value)
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.01 else f"{value:.4f}"
    return str(value)


def print_table(table):
    """Prints a table at the width of the terminal, or without a terminal at its own width."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)
