"""Scales numbers that are not pixels, and inverts it: `--scale minmax`, `standard` or `none`.

The statistics are those of the training part alone. They are kept in the run's config.json, so that
other data are scaled alike and samples have the units of the data.
"""

import math
from dataclasses import dataclass

import numpy as np

from shared.data.pixels import ROWS, as_stored
from shared.machine.checks import FLOAT32_MAX, UsageError

__all__ = ["SCALES", "Scaling", "check_scale", "scaling_of"]

SCALES = ("minmax", "standard", "none")


@dataclass(frozen=True)
class Scaling:
    """Holds how numbers were scaled: (x - shift) / width.

    Each tuple has one number for all pixels of images, or one for each column of a table.
    """

    scale: str
    """minmax (to 0 … 1), standard (to mean 0 and standard deviation 1) or none."""
    shift: tuple[float, ...]
    """What is subtracted: the least value or the mean of the training part, or 0."""
    width: tuple[float, ...]
    """What the rest is divided by: the range or the standard deviation, or 1; 1 if constant."""
    low: tuple[float, ...]
    """The least value of the training part, in the units of the data."""
    high: tuple[float, ...]
    """The largest value of the training part."""

    @classmethod
    def from_entry(cls, entry):
        """Returns the Scaling of the dict that `describe` returns, or None for None."""
        if entry is None:
            return None
        return cls(**{k: v if k == "scale" else tuple(v) for k, v in entry.items()})

    def scaled(self, x):
        """Returns (n, input_dim) numbers in the units of the data as the model sees them."""
        x = np.asarray(x, np.float64)
        with np.errstate(over="ignore"):  # a number that is too large becomes infinite
            return ((x - self.shift) / self.width).astype(np.float32)

    def original(self, x):
        """Returns (n, input_dim) numbers of the model in the units of the data, float64."""
        return np.asarray(x, np.float64) * self.width + self.shift

    def drawn(self, x):
        """Returns images of the model as they are drawn: the training part's range is 0 to 1."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return (self.original(x) - low) / np.where(high > low, high - low, 1)

    def describe(self):
        """Returns the entry `scaling` of the data in config.json."""
        return {
            name: value if name == "scale" else list(value) for name, value in vars(self).items()
        }


def scaling_of(parts, scale, per_column):
    """Computes the statistics of the training part.

    Args:
        parts: list of (n, …) arrays of finite numbers.
        scale: one of SCALES.
        per_column: whether each column has statistics of its own, or all pixels have one.
    Returns:
        Scaling
    """

    def chunks():
        for part in parts:
            for start in range(0, len(part), ROWS):
                rows = np.asarray(part[start : start + ROWS], np.float64)
                yield rows.reshape(len(rows), -1) if per_column else rows.reshape(-1, 1)

    low = np.min([chunk.min(axis=0) for chunk in chunks()], axis=0)
    high = np.max([chunk.max(axis=0) for chunk in chunks()], axis=0)
    constant = low == high  # a mean of equal numbers may differ from them in the last digit
    shift, width = np.zeros_like(low), np.ones_like(low)
    if scale == "minmax":
        shift, width = low, np.where(constant, 1, high - low)
    elif scale == "standard":
        count = sum(len(chunk) for chunk in chunks())
        shift = np.sum([chunk.sum(axis=0) for chunk in chunks()], axis=0) / count
        shift = np.where(constant, low, shift)
        squares = np.sum([((chunk - shift) ** 2).sum(axis=0) for chunk in chunks()], axis=0)
        width = np.where(constant, 1, np.sqrt(squares / count))
    return Scaling(scale, *(tuple(each.tolist()) for each in (shift, width, low, high)))


def check_scale(config, data):
    """Checks that data were read with the scale of a config, and are as its likelihood needs them.

    Args:
        config: shared.config.Config.
        data: shared.data.Data.
    Raises:
        UsageError: the scales differ; or after minmax a value is outside [0, 1], as one of the test
            set may be, and the likelihood or the binarization needs values in it.
    """
    scale = data.scaling.scale if data.scaling else None
    if config.scale != scale:
        raise UsageError(
            f"the config has scale {config.scale} and {data.name} was read with scale {scale};"
            " give both the same: load_data(…, scale=config.scale)"
        )
    if config.scale is None or (config.likelihood == "gaussian" and config.binarization == "none"):
        return
    for part, x in (("train", data.train), ("test", data.test), ("valid", data.held_out)):
        stored = as_stored(x)
        for start in range(0, len(stored), ROWS):
            rows = stored[start : start + ROWS]
            bad = np.argwhere((rows < 0) | (rows > 1))
            if len(bad):
                row, column = bad[0]
                place = part, start + row, column
                raise UsageError(_outside(config, data, *place, rows[row : row + 1]))


def _outside(config, data, part, row, column, numbers):
    """Returns the message about a value that is outside [0, 1] after minmax."""
    value, place, each = data.scaling.original(numbers)[0, column], f"image {row}", 0
    if data.columns:
        place, each = f"row {row}, column {data.columns[column]!r}", column
    low, high = data.scaling.low[each], data.scaling.high[each]
    need, remedy = f"likelihood {config.likelihood}", "--likelihood gaussian"
    if config.binarization != "none":
        need, remedy = f"binarization {config.binarization}", "--binarization none"
    return (
        f"{data.name}: x_{part} holds {value:g} at {place}, outside the {low:g} to {high:g} of the"
        f" training part; scaled it is {numbers[0, column]:.4g}, and {need} needs [0, 1]: give"
        f" {remedy}"
    )


def out_of_range(x):
    """Returns the place of the first number that float32 does not hold, as a tuple, or None."""
    # The comparison is False for NaN.
    bad = np.argwhere(~(np.abs(np.asarray(x, np.float64)) <= FLOAT32_MAX))
    return tuple(bad[0].tolist()) if len(bad) else None


def number_text(value):
    """Returns a number for a message: NaN, or few digits."""
    return "NaN" if math.isnan(value) else f"{value:g}"
