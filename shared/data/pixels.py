"""Images that stay integers in memory, or in files, until a batch of them is read as floats."""

import math

import numpy as np

__all__ = ["AsFloats", "Pixels", "as_stored", "binarized", "is_binary"]

ROWS = 4096  # images that are converted at once where all of them are needed
# Images that are read before their memory is given back. The system maps up to 16 pages of 4 kB
# around each of them.
READ = 512


class Pixels:
    """Holds images as they are stored, and returns those that are asked for as float32 in [0, 1].

    `x[rows]` with a slice or an array of numbers is the same as for the (n, input_dim) float32
    array of all images, in every bit, but only these rows are converted. A quarter of the memory of
    the floats is needed for integers, and almost none if the parts are files that are mapped into
    memory.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, parts, white_level=255, release=None, mixed=None):
        """Holds arrays of images, one after another.

        Args:
            parts: list of (n, …) arrays, all uint8 or all float32, with images of one shape.
            white_level: the value of a white pixel, 255 or 1.
            release: called after rows were read, if they are read from files.
            mixed: (n,) permutation of the images, of which windows are drawn in place of the stored
                order, if that is the order of their labels.
        """
        width = math.prod(parts[0].shape[1:])
        self.parts = [part.reshape(-1, width) for part in parts if len(part)]
        self.ends = np.cumsum([len(part) for part in self.parts])
        self.shape = int(self.ends[-1]), width  # number of images, numbers per image
        self.stored_dtype = self.parts[0].dtype
        self.white_level = np.float32(white_level)
        self.release = release
        self.mixed = mixed

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return self.stored(rows).astype(np.float32) / self.white_level

    def stored(self, rows):
        """Returns the chosen images as they are stored, (n, input_dim) of `stored_dtype`.

        Divided by `white_level`, a float32, they are `x[rows]`.
        """
        if len(self.parts) == 1 and self.release is None:
            return self.parts[0][rows]
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        rows = (
            np.flatnonzero(rows)
            if rows.dtype == bool
            else np.where(rows < 0, rows + len(self), rows)
        )
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"a row is out of range for {len(self)} images")
        return self._gathered(rows)

    def _gathered(self, rows):
        """Reads the rows in the order of the files, and returns them in the order of `rows`."""
        chosen = np.empty((len(rows), self.shape[1]), self.stored_dtype)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        first, start = 0, 0
        for part, end in zip(self.parts, self.ends, strict=True):
            last = np.searchsorted(ordered, end)
            for each in range(first, last, READ):
                here = slice(each, min(each + READ, last))
                chosen[order[here]] = part[ordered[here] - start]
                if self.release is not None:
                    self.release()
            first, start = last, end
        return chosen

    def __array__(self, dtype=None, copy=None):
        result = np.empty(self.shape, np.float32)
        for start in range(0, len(self), ROWS):
            result[start : start + ROWS] = self[start : start + ROWS]
        return result if dtype is None else result.astype(dtype, copy=False)

    def mean(self, axis=0, dtype=np.float64):
        """Computes the mean image with the bits of `numpy.mean`, which adds the rows in order."""
        if axis != 0:
            raise ValueError(f"axis is {axis}; expected 0")
        total = np.zeros((1, self.shape[1]), dtype)
        for start in range(0, len(self), ROWS):
            rows = self[start : start + ROWS].astype(dtype)
            total = np.add.reduce(np.concatenate([total, rows]), axis=0, keepdims=True)
        return total[0] / len(self)


def as_stored(x):
    """Returns images as Pixels, so that they can be read as they are stored.

    Args:
        x: (n, input_dim) float32 array, or Pixels.
    """
    return x if isinstance(x, Pixels) else Pixels([x], white_level=1)


class AsFloats:
    """A field of a dataclass that is read as a float32 array, whatever holds the images."""

    def __init__(self, name):
        self.name = name

    def __get__(self, instance, owner=None):
        images = instance.__dict__[self.name]
        return None if images is None else np.asarray(images)

    def __set__(self, instance, images):
        instance.__dict__[self.name] = images


def binarized(x, seed):
    """Draws each pixel as 1 with its grey value as probability, to within 2^-16.

    Args:
        x: (n, input_dim) float32 in [0, 1], an array or Pixels.
        seed: integer in [0, 2^32).
    Returns:
        the same type as x.
    """
    random = np.random.RandomState(seed)
    stored = isinstance(x, Pixels)
    binary = np.empty(x.shape, x.stored_dtype if stored else np.float32)
    for start in range(0, len(x), 5000):  # in parts, to use less memory
        rows = x[start : start + 5000]
        bits = np.frombuffer(random.bytes(2 * rows.size), "<u2").reshape(rows.shape)
        binary[start : start + 5000] = rows * np.float32(65536) > bits
    return Pixels([binary], white_level=1) if stored else binary


def is_binary(x):
    """Returns whether every pixel is exactly 0 or 1.

    Images that are stored as integers are compared as integers, a few thousand at a time, up to the
    first that is grey.

    Args:
        x: (n, input_dim) float32 in [0, 1], an array or Pixels.
    """
    x = as_stored(x)
    white_level = x.stored_dtype.type(x.white_level)
    for start in range(0, len(x), ROWS):
        pixels = x.stored(slice(start, start + ROWS))
        if not ((pixels == 0) | (pixels == white_level)).all():
            return False
    return True
