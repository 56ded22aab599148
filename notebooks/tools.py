"""Tools of the notebooks: figures in a cell, short runs, blocks of source.

Import this module first: it loads Keras without TensorFlow's messages about the machine.
"""

import html
import io
import logging
import os
import re
import textwrap
from itertools import zip_longest

from shared.command.implementation import quiet
from shared.show.figures import plots

__all__ = ["KeepGradient", "block", "fast", "show", "side_by_side"]

with quiet():
    import keras
# In an interactive Python, TensorFlow resets the level of its logger.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

DPI = 100


def fast(full, quick):
    """Returns `full`, or `quick` if the environment variable FAST is 1, as in `make test-notebooks`.

    Args:
        full: the value for the reader, e.g. a number of epochs.
        quick: the value for a test that every cell runs.
    """
    return quick if os.environ.get("FAST") == "1" else full


def show(figure, dpi=DPI):
    """Returns a figure as the result of a cell, in a small PNG with the same pixels everywhere.

    Args:
        figure: matplotlib Figure, e.g. from a function in shared.show.figures.plots.
        dpi: pixels per inch; a figure with many grey pixels needs fewer for a small file.
    """
    return _Picture(figure, dpi)


class _Picture:
    def __init__(self, figure, dpi):
        buffer = io.BytesIO()
        plots.save(figure, buffer, dpi=dpi)
        self.png, self.text = buffer.getvalue(), _described(figure)

    def _repr_png_(self):  # IPython looks for this name; Jupyter displays "alt" as alternative text
        return self.png, {"alt": self.text}

    def __repr__(self):  # shown where pictures are not possible
        return f"picture: {self.text}"


def _described(figure):
    """Returns a description of a figure in words: its title, and the titles and axes of its parts."""
    sentences = [figure.get_suptitle()]
    for axes in figure.axes:
        names = [f"{n}: {getattr(axes, f'get_{n}label')()}" for n in ("x", "y")]
        legend = axes.get_legend()  # it may name what has no label of its own
        named = [text.get_text() for text in legend.get_texts()] if legend else []
        labels = named or axes.get_legend_handles_labels()[1]
        lines = [text for text in labels if text[:1] != "_"]
        parts = [axes.get_title(), *(name for name in names if name[3:]), ", ".join(lines)]
        sentences.append("; ".join(part for part in parts if part))
    # Parts that say the same, such as the cells of a grid of images, are described once.
    return ". ".join(dict.fromkeys(" ".join(each.split()) for each in sentences if each.strip()))


class KeepGradient(keras.optimizers.SGD):
    """An optimizer that stores each gradient in a slot, and does not change the weights."""

    def build(self, variables):
        super().build(variables)
        self.kept = self.add_optimizer_variables(variables, "gradient")

    def update_step(self, gradient, variable, learning_rate):
        self.assign(self.kept[self._get_variable_index(variable)], gradient)


def block(source, word):
    """Returns the lines after the heading `# word`, up to the next heading or the end of the block.

    Args:
        source: Python code, e.g. from inspect.getsource.
        word: a heading in the code of the implementations: "encode", "sample", "step", …
    Returns:
        str, the heading and its lines, without their common indentation.
    Raises:
        ValueError: there is no such heading.
    """
    heading = re.search(rf"^( *)# {word}\n", source, re.MULTILINE)
    if heading is None:
        raise ValueError(f"the source has no heading # {word}")
    indent, rest = heading[1], source[heading.end() :]
    lines = []
    for line in rest.splitlines():
        if re.fullmatch(r" *# [a-z]+", line) or (line.strip() and not line.startswith(indent)):
            break
        lines.append(line)
    return textwrap.dedent("\n".join([f"{indent}# {word}", *lines])).rstrip()


def side_by_side(left, right, titles):
    """Returns two texts as the result of a cell, in two columns.

    Args:
        left, right: texts of several lines.
        titles: titles of the two columns.
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
