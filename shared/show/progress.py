"""Shows one progress bar for several trainings."""

import contextlib

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["on_epoch_of", "progress"]


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
        run: shared.run.run.Run before its training.
        name: text beside the bar.
        advance: the function that `progress` yields.
    """
    last = [run.step]

    def on_epoch(row):
        advance(row["step"] - last[0], f"{name} epoch {row['epoch']:>2} loss {row['loss']:.2f}")
        last[0] = row["step"]

    return on_epoch
