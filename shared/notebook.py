"""What the notebooks need beside the project itself: pictures in a cell, short runs, answers.

Import it first: it loads Keras, without the notes on the machine that TensorFlow writes at start.
"""

import io
import logging
import os

from shared import plots
from shared.cli import quiet

__all__ = ["check", "fast", "show"]

with quiet():  # loads Keras itself
    pass
# TensorFlow sets its own level back where Python is interactive.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

DPI = 100


def fast(full, quick):
    """`full`, or `quick` where the environment says FAST=1, as `make test-notebooks` does.

    Args:
        full: what the reader sees, e.g. a number of epochs.
        quick: what is enough to see that every cell runs.
    """
    return quick if os.environ.get("FAST") == "1" else full


def show(figure):
    """A figure as the result of a cell: the same pixels everywhere, in a small PNG.

    Args:
        figure: what a function of shared.plots returns.
    """
    return _Picture(figure)


class _Picture:
    def __init__(self, figure):
        buffer = io.BytesIO()
        plots.save(figure, buffer, dpi=DPI)
        self.png, self.caption = buffer.getvalue(), figure.get_suptitle()

    def _repr_png_(self):  # IPython looks for this name
        return self.png

    def __repr__(self):  # where no picture can be shown
        return f"picture: {self.caption}"


def check(name, answer, right, hint):
    """Print what an answer is worth: not answered yet, right, or not yet with a hint.

    Args:
        name: of the exercise.
        answer: the reader's; None as long as there is none.
        right: function from the answer to a bool; a TypeError or ValueError counts as no.
        hint: told with a wrong answer.
    """
    if answer is None:
        print(f"{name}: not answered yet")
        return
    try:
        accepted = bool(right(answer))
    except (TypeError, ValueError):
        accepted = False
    print(f"{name}: right" if accepted else f"{name}: not yet. {hint}")
