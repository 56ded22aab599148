"""Reads a CSV: images of one row of pixels each, or a table of numbers, with or without labels."""

import csv
import itertools
import math
import os
import re
import warnings

import numpy as np

from shared.data.parts import Found
from shared.machine.checks import UsageError
from shared.machine.memory import machine_memory
from shared.machine.npz import reason
from shared.machine.text import printable

__all__ = ["read_table"]

LABELS = ("label", "class", "target", "y")  # names of a column of labels, by default
NO_LABEL = "none"  # --label-column none: every column holds numbers
DELIMITERS = ",;\t|"
LINES = 4096  # lines that are converted at once
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
PIXEL = re.compile(r"(?:(?:pixel|pix|px)[ _.-]*\d+|\d+x\d+)", re.IGNORECASE)
NUMBERED = re.compile(r"(.*?)\d+")
HELP = "see docs/commands.md#your-own-data"


def read_table(path, label_column=None, scale=None):
    """Reads a CSV, whose columns are separated by commas, semicolons, tabs or bars.

    Args:
        path: path of the file.
        label_column: name of the column of labels; "none" for no labels; None for the first of
            LABELS that is a column, if any.
        scale: as for shared.data.load_data; without one, numbers must be pixels or in [0, 1].
    Returns:
        shared.data.parts.Found: images, (n, side, side) or (n, pixels), if the columns are numbered
        and hold pixels, and otherwise a table, (n, columns) float64, with the names of its columns.
    Raises:
        UsageError: a value is missing, is no number, or is out of range; there is no such column of
            labels; or the file is no text or does not fit into memory.
    """
    if not os.path.isfile(path):  # to open a named pipe would wait for its writer
        raise UsageError(f"cannot read {path}: it is not a file; expected a CSV")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _read(path, file, label_column, scale)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {path}: {reason(error)}; expected a CSV in UTF-8; {HELP}"
        ) from error


def _read(path, file, label_column, scale):
    first = file.readline()
    delimiter = max(DELIMITERS, key=first.count)
    names = [printable(name.strip()) for name in next(csv.reader([first], delimiter=delimiter), [])]
    if not names:
        raise UsageError(f"{path} is empty; expected a line of column names, then a line per row")
    headed = _is_header(names)
    if not headed:
        names = [f"column_{number}" for number in range(1, len(names) + 1)]
    label = _label(path, names, label_column, headed)
    # What pandas writes without index=False.
    index = 0 if headed and names[0] in ("", "Unnamed: 0") and len(names) > 1 else None
    used = [number for number in range(len(names)) if number not in (label, index)]
    if not used:
        raise UsageError(f"{path} has no column of numbers beside its labels; {HELP}")
    lines = file if headed else itertools.chain([first], file)
    x, y = _Reader(path, names, used, label, delimiter).read(lines)
    columns = tuple(names[number] for number in used)
    notes = [] if headed else ["no line of column names"]
    notes += ["without the first column, which has no name"] if index is not None else []
    found = Found({}, notes=notes)
    if (side := _image_side(columns, x, headed, scale)) is not None:
        shown = columns[0] if len(columns) == 1 else f"{columns[0]} … {columns[-1]}"
        notes.insert(0, f"pixels from the columns {shown}")
        x = x.reshape(-1, side, side) if side else x
    else:
        x, found.columns = x.astype(np.float64, copy=False), columns
    if scale is None and x.dtype != np.uint8:
        _check_unit_range(path, x.reshape(len(x), -1), columns)
    found.arrays["x_train"] = [x]
    if label is not None:
        found.arrays["y_train"], found.labels_from = [y], f"column {names[label]!r}"
    return found


def _is_header(names):
    """Returns whether the first line has the names of the columns.

    It has if no field is a number; or if those that are count the columns, as in `label,0,1,2`.
    """
    numbers = [name for name in names if _number(name) is not None]
    if not numbers:
        return True
    counted = [str(number) for number in range(len(numbers) + 1)]
    return len(numbers) > 1 and numbers in (counted[:-1], counted[1:])


def _number(text):
    if "_" in text:
        return None  # Python reads 1_000 as a number
    try:
        return float(text)
    except ValueError:
        return None


def _label(path, names, wanted, headed):
    """Returns the number of the column of labels, or None."""
    if wanted is not None and wanted in names:
        return names.index(wanted)
    if wanted == NO_LABEL:
        return None
    if wanted is not None:
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        more = "" if headed else ", numbered because its first line holds numbers"
        raise UsageError(
            f"{path} has no column {wanted!r}; expected --label-column with one of {shown}{more}"
        )
    lower = [name.lower() for name in names]
    return next((lower.index(name) for name in LABELS if name in lower), None)


def _image_side(columns, x, headed, scale):
    """Returns the side of square images, 0 for images of one row of pixels, None for a table.

    Columns with names of pixels (pixel0, px_1, 3x7) are images. Other numbered columns, or columns
    without names, are images if they have the integers 0 to 255 and their number is a square.
    """
    side = math.isqrt(len(columns))
    side = side if side**2 == len(columns) else 0
    if headed and all(PIXEL.fullmatch(name) for name in columns):
        return side
    matches = [NUMBERED.fullmatch(name) for name in columns]
    numbered = all(matches) and len({match[1] for match in matches}) == 1
    pixels = scale is None and x.dtype == np.uint8 and x.max() > 1
    return side if numbered and pixels and side > 1 else None


def _check_unit_range(path, x, columns):
    """Raises UsageError that names the first number that is neither in [0, 1] nor a pixel."""
    pixels = all(PIXEL.fullmatch(name) for name in columns) and (x == np.floor(x)).all()
    bad = np.argwhere((x < 0) | (x > (255 if pixels else 1)))
    if len(bad):
        row, column = bad[0]
        raise UsageError(
            f"{path}: row {row + 1}, column {columns[column]!r} holds {x[row, column]:g}; without"
            " --scale, expected pixels (integers from 0 to 255 in numbered columns) or numbers in"
            " [0, 1]: give --scale minmax, or --scale standard --likelihood gaussian;"
            f" {HELP}"
        )


class _Reader:
    """Converts the lines of a CSV to numbers and labels, some thousand lines at a time."""

    def __init__(self, path, names, used, label, delimiter):
        self.path, self.names = path, names
        self.used, self.label, self.delimiter = used, label, delimiter
        self.text_labels = False
        self.integers = True  # whether every value so far was an integer from 0 to 255
        self.rows = 0  # read so far

    def read(self, lines):
        """Returns x, (n, columns) uint8 or float64, and y, (n,) int64 or text, or None."""
        xs, ys, taken = [], [], 0
        size = os.path.getsize(self.path)
        while chunk := list(itertools.islice(lines, LINES)):
            taken += sum(map(len, chunk))  # characters, at most as many as bytes
            chunk = [line for line in chunk if line.strip()]
            if not chunk:
                continue
            x, y = self._converted(chunk)
            xs.append(_as_integers(x))
            ys.append(y)
            self.rows += len(chunk)
            numbers = 8 if any(each.dtype != np.uint8 for each in xs) else 1
            self._check_memory(2 * self.rows * size / taken * len(self.used) * numbers)
        if not xs:
            raise UsageError(f"{self.path} has no rows below its column names; expected at least 2")
        x = np.concatenate(xs)  # float64 if one of them is
        return x, (None if self.label is None else np.concatenate(ys))

    def _check_memory(self, needed):
        """Raises UsageError if the whole file would not fit, judged by the rows so far."""
        if needed > machine_memory():
            raise UsageError(
                f"{self.path} would need about {needed / 2**30:,.1f} GiB of memory; this machine"
                f" has {machine_memory() / 2**30:,.1f} GiB: take fewer rows, or store integers from"
                " 0 to 255, or a folder of .npy files (docs/scaling.md)"
            )

    def _converted(self, lines):
        """Returns the numbers and the labels of some lines; the first lines decide on the type."""
        if self.rows == 0 and self.label is not None:
            cells = (row[self.label] for row in self._fields(lines) if len(row) > self.label)
            self.text_labels = any(_number(cell) is None for cell in cells if cell.strip())
        if self.integers and not self.text_labels and (found := self._integers(lines)) is not None:
            # A view of one column would keep all of them in memory.
            label = None if self.label is None else found[:, self.label].copy()
            return found[:, self.used], label
        self.integers = False
        numeric = [] if self.label is None or self.text_labels else [self.label]
        options = {"delimiter": self.delimiter, "comments": None, "quotechar": '"', "ndmin": 2}
        try:
            # With quotes, a delimiter may be inside a field; loadtxt then finds a line too short.
            width = len(self.names) - 1
            if any(line.count(self.delimiter) != width and '"' not in line for line in lines):
                raise ValueError("a line has another number of values")
            values = np.loadtxt(lines, np.float64, usecols=[*self.used, *numeric], **options)
            if len(values) != len(lines) or not np.isfinite(values).all():
                raise ValueError("a value is missing")
            if self.text_labels:
                texts = np.loadtxt(lines, str, usecols=[self.label], **options)[:, 0]
                texts = np.char.strip(texts)
                if (np.char.str_len(texts) == 0).any() or len(texts) != len(lines):
                    raise ValueError("a label is missing")
        except ValueError as error:
            self._refuse(lines, error)
        if self.text_labels:
            return values, texts
        if self.label is None:
            return values, None
        return values[:, :-1], self._integer_labels(values[:, -1])

    def _integers(self, lines):
        """Returns the values of some lines if all are integers from 0 to 255, or None.

        It takes a seventh of the time of `numpy.loadtxt`: a second for 60,000 images of 28 × 28.
        """
        text = self.delimiter.join(line.strip("\r\n") for line in lines)
        if text.encode().translate(None, b"0123456789" + self.delimiter.encode()):
            return None  # `fromstring` would read a space or a sign alone as 0
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the rest of the text is no integer
            try:
                values = np.fromstring(text, np.int64, sep=self.delimiter)
            except (ValueError, DeprecationWarning):
                return None
        width = len(self.names) - 1
        whole = values.size == len(lines) * len(self.names)
        if not whole or any(line.count(self.delimiter) != width for line in lines):
            return None
        return values.reshape(len(lines), -1) if ((values >= 0) & (values <= 255)).all() else None

    def _integer_labels(self, y):
        bad = np.flatnonzero((y != np.floor(y)) | (np.abs(y) > 2**53))
        if len(bad):
            row, name = self.rows + bad[0] + 1, self.names[self.label]
            raise UsageError(
                f"{self.path}: row {row}, column {name!r} holds {y[bad[0]]:g}; expected labels,"
                " integers or names: give --label-column none if it is a number like the others"
            )
        return y.astype(np.int64)

    def _fields(self, lines):
        return csv.reader(lines, delimiter=self.delimiter)

    def _refuse(self, lines, error):
        """Raises UsageError that names the first row and column that is not as expected."""
        for number, row in enumerate(self._fields(lines), start=self.rows + 1):
            place = f"{self.path}: row {number}"
            if len(row) != len(self.names):
                raise UsageError(
                    f"{place} has {len(row)} values; expected {len(self.names)}, as in the first"
                    " line"
                )
            for column, cell in enumerate(row):
                place = f"{self.path}: row {number}, column {self.names[column]!r}"
                text = cell.strip()
                label, number_wanted = column == self.label, column in self.used
                if not (label or number_wanted):
                    continue
                if text.lower() in MISSING and not (label and self.text_labels and text):
                    what = "no label" if label else "a number"
                    found = f"is missing ({printable(text)})" if text else "is missing"
                    expected = "a label in every row" if label else f"{what} in every row"
                    raise UsageError(
                        f"{place} {found}; expected {expected}: remove the row or the column, or"
                        f" fill it in; {HELP}"
                    )
                value = _number(text)
                if (value is None or not math.isfinite(value)) and not (label and self.text_labels):
                    text = printable(text)[:40]
                    advice = "leave the column out, or write its values as numbers"
                    if column not in self.used:
                        advice = "write it as an integer, as the labels above it"
                    elif any(character.isalpha() for character in text):
                        advice = f"{advice}; or name it as the labels: --label-column"
                    raise UsageError(f"{place} holds {text!r}; expected a number: {advice}; {HELP}")
        raise UsageError(
            f"cannot read {self.path} near row {self.rows + 1}: {reason(error)}; expected one line"
            f" per row; {HELP}"
        )


def _as_integers(x):
    """Returns numbers as uint8 if all are integers from 0 to 255."""
    if ((x >= 0) & (x <= 255)).all():
        integers = x.astype(np.uint8)
        if (integers == x).all():
            return integers
    return x
