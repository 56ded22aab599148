"""Prints tables in the terminal, at any width, without cutting a number."""

import shutil
import sys
import textwrap
from typing import NamedTuple

from shared.show.status import tell

__all__ = [
    "Table",
    "line_width",
    "metrics_text",
    "print_table",
    "table_text",
    "text_table",
    "wrapped",
]

GAP = "  "  # between two columns


class Table(NamedTuple):
    """Holds a table whose columns have no lines between them."""

    title: str
    """What stands above it."""
    header: list[str]
    """The names of the columns."""
    rows: list[list[str]]
    """The cells, each row as long as the header."""
    left: int = 1
    """Number of columns, from the first, that are aligned left; they name the rows."""
    facts: tuple[str, ...] = ()
    """The names of columns that go into the title if all their cells are equal."""


def text_table(title, header, rows, left=1, facts=()):
    """Returns a Table of cells that need not be texts.

    Args:
        title: what stands above it.
        header: names of the columns.
        rows: lists of cells, each as long as the header.
        left: number of columns, from the first, that are aligned left; they name the rows.
        facts: names of columns that go into the title if all their cells are equal.
    """
    return Table(title, list(header), [list(map(str, row)) for row in rows], left, tuple(facts))


def table_text(table, width=None):
    """Returns a table as text, in which no cell is cut.

    Columns that the width does not hold follow below, beside the names of the rows again.

    Args:
        table: Table.
        width: number of characters in a line, or None if it is not limited.
    """
    columns = list(zip(table.header, *table.rows, strict=True))
    equal = [each for each in columns if each[0] in table.facts and len({*each[1:]}) == 1]
    names = [each for each in columns[: table.left] if each not in equal]
    values = [each for each in columns[table.left :] if each not in equal]
    facts = [f"{name}: {cell}" for name, cell, *_ in equal if cell]
    lines = wrapped("; ".join(filter(None, [table.title, *facts])), width)
    for part in _parts(names, values, width):
        cells = [_aligned(column, number < len(names)) for number, column in enumerate(part)]
        lines += [GAP.join(row).rstrip() for row in zip(*cells, strict=True)]
    return "\n".join(lines)


def wrapped(text, width=None, indent=""):
    """Returns the lines of a text; no word is cut, and lines after the first are indented."""
    options = {"break_long_words": False, "break_on_hyphens": False}
    if not width:
        return [text] if text else []
    return textwrap.wrap(text, width, subsequent_indent=indent, **options)


def _parts(names, values, width):
    """Yields lists of columns, each of which begins with the names and fits into the width."""
    part, free = [], 0
    for column in values:
        needed = len(GAP) + _width(column)
        if part and width and needed > free:
            yield names + part
            part = []
        if not part:
            free = (width or 0) - len(GAP.join(" " * _width(each) for each in names))
        part.append(column)
        free -= needed
    yield names + part


def _width(column):
    from rich.cells import cell_len  # Chinese characters take two columns

    return max(map(cell_len, column))


def _aligned(column, left):
    from rich.cells import cell_len

    width = _width(column)
    blanks = [" " * (width - cell_len(cell)) for cell in column]
    return [c + b if left else b + c for c, b in zip(column, blanks, strict=True)]


def metrics_text(metrics, title, width=None):
    """Returns the contents of metrics.json as text: a table of the unit that most of them have.

    Below it is a line for each of the others, and for those that are lists.

    Args:
        metrics: the dict in metrics.json.
        title: what stands above it.
        width: number of characters in a line, or None if it is not limited.
    """
    units = [metric["unit"] for metric in metrics.values()]
    unit = max(units, key=units.count)
    in_table = {
        name: metric
        for name, metric in metrics.items()
        if metric["unit"] == unit and not isinstance(metric["value"], list)
    }
    header, rows = ["metric", "value", "± error", "n", "samples", "data", "x"], []
    for name, metric in in_table.items():
        error = metric.get("standard_error")
        row = [name, _number(metric["value"]), "" if error is None else f"{error:.4f}"]
        row += [f"{metric['n']:,}", f"{metric['samples']:,}" if metric["samples"] else ""]
        rows.append([*row, metric["data"], metric["x"]])
    lines = [table_text(text_table(f"{title}; {unit}", header, rows, facts=header[3:]), width)]
    for name, metric in metrics.items():
        if name not in in_table:
            unit = metric["unit"] if metric["unit"].startswith("of ") else f"({metric['unit']})"
            lines += wrapped(f"{name}: {_number(metric['value'])} {unit}", width, GAP)
    return "\n".join(lines)


def _number(value):
    if isinstance(value, list):
        return " ".join(f"{each:.2f}" for each in value)
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.01 else f"{value:.4f}"
    return str(value)


def line_width():
    """Returns the width of the terminal, or None if stdout is none: then no line is too long."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(table):
    """Prints a table at the width of the terminal."""
    tell(table_text(table, line_width()))
