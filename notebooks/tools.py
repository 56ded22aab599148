"""What the notebooks need beside the project itself: pictures in a cell, short runs, answers.

Import it first: it loads Keras, without the notes on the machine that TensorFlow writes at start.
"""

import html
import io
import logging
import os
import re
import textwrap
from itertools import zip_longest

from shared.show import plots
from shared.run.implementation import quiet

__all__ = ["KeepGradient", "block", "check", "fast", "show", "side_by_side"]

with quiet():
    import keras
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


def show(figure, dpi=DPI):
    """A figure as the result of a cell: the same pixels everywhere, in a small PNG.

    Args:
        figure: what a function of shared.show.plots returns.
        dpi: lower for a picture of many grey pixels, which makes a large file.
    """
    return _Picture(figure, dpi)


class _Picture:
    def __init__(self, figure, dpi):
        buffer = io.BytesIO()
        plots.save(figure, buffer, dpi=dpi)
        self.png, self.caption = buffer.getvalue(), figure.get_suptitle()

    def _repr_png_(self):  # IPython looks for this name
        return self.png

    def __repr__(self):  # where no picture can be shown
        return f"picture: {self.caption}"


class KeepGradient(keras.optimizers.SGD):
    """Keeps each gradient it is given in a slot, and leaves the weights where they are."""

    def build(self, variables):
        super().build(variables)
        self.kept = self.add_optimizer_variables(variables, "gradient")

    def update_step(self, gradient, variable, learning_rate):
        self.assign(self.kept[self._get_variable_index(variable)], gradient)


def block(source, word):
    """The lines of a source under its first heading `# word`, up to the next heading or a dedent.

    Args:
        source: Python code, e.g. of inspect.getsource.
        word: a heading of the twins: "encode", "sample", "update", …
    Raises:
        ValueError: no such heading.
    """
    found = re.search(rf"^( *)# {word}\n", source, re.MULTILINE)
    if found is None:
        raise ValueError(f"the source has no heading # {word}")
    indent, rest = found[1], source[found.end() :]
    lines = []
    for line in rest.splitlines():
        if re.fullmatch(r" *# [a-z]+", line) or (line.strip() and not line.startswith(indent)):
            break
        lines.append(line)
    return textwrap.dedent("\n".join([f"{indent}# {word}", *lines])).rstrip()


def side_by_side(left, right, titles):
    """Two texts as the result of a cell, in two columns.

    Args:
        left, right: texts of several lines.
        titles: of the two columns.
    """
    return _Columns(left, right, titles)


class _Columns:
    def __init__(self, left, right, titles):
        self.texts, self.titles = (left, right), titles

    def _repr_html_(self):  # IPython looks for this name
        heads = "".join(f"<th>{html.escape(title)}</th>" for title in self.titles)
        cells = "".join(
            f'<td style="text-align: left; vertical-align: top"><pre>{html.escape(text)}</pre></td>'
            for text in self.texts
        )
        return f"<table><tr>{heads}</tr><tr>{cells}</tr></table>"

    def __repr__(self):
        columns = [
            [title, "", *text.splitlines()]
            for title, text in zip(self.titles, self.texts, strict=True)
        ]
        width = max(map(len, columns[0]))
        rows = zip_longest(*columns, fillvalue="")
        return "\n".join(f"{a:{width}} │ {b}".rstrip() for a, b in rows)


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
