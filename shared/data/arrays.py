"""Reads the four arrays of a data set, checks them, and makes images in [0, 1] of their pixels.

The images of an array may lie in several parts, one after another.
"""

import hashlib
import math
import os

import numpy as np

from shared.data.pixels import ROWS, Pixels
from shared.machine.checks import UsageError
from shared.machine.npz import DAMAGE, read_headers, reason

__all__ = ["ARRAYS", "VALID", "array_headers", "checked_arrays", "read_arrays", "sha256"]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
VALID = "x_valid"  # optional; its images need no labels

WANTED = "expected values in [0, 255] (uint8) or [0, 1] (float)"
WANTED_SHAPE = "expected (n, rows, columns), (n, rows, columns, 1, 3 or 4 channels) or (n, pixels)"


def read_arrays(path):
    """Reads the four arrays of an .npz, and x_valid if it has one: {name: list with the array}.

    Raises:
        UsageError: the file is missing, is damaged, or lacks an array.
    """
    if not os.path.exists(path):
        raise UsageError(
            f"no data at {path}; expected auto, mnist, mnist-5k, the path of an .npz or of a"
            " folder of .npy files"
        )
    names = array_headers(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: [file[name]] for name in names}
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error


def array_headers(path, in_memory=True):
    """Reads the shape and dtype of each array of a data set: {name: (shape, dtype)}.

    Args:
        path: path of an .npz.
        in_memory: whether the arrays must fit into memory.
    Raises:
        UsageError: the file is damaged or lacks an array, or the arrays do not fit.
    """
    headers = read_headers(path, in_memory)
    missing = [key for key in ARRAYS if key not in headers]
    if missing:
        raise UsageError(f"{path} lacks {', '.join(missing)}; expected {', '.join(ARRAYS)}")
    return {key: headers[key] for key in (*ARRAYS, VALID) if key in headers}


def sha256(parts, release=None):
    """Returns the SHA-256 of the numbers of an array, which is the same in whatever parts it is.

    Args:
        parts: list of arrays.
        release: called after rows were read, if the parts are files.
    """
    digest = hashlib.sha256()
    for chunk in _chunks(parts, release):
        digest.update(np.ascontiguousarray(chunk))
    return digest.hexdigest()


def _chunks(parts, release):
    """Yields at most ROWS rows at a time, so that files need not fit into memory."""
    for part in map(np.atleast_1d, parts):  # a number in a file is refused later
        for start in range(0, len(part), ROWS):
            yield part[start : start + ROWS]
            if release is not None:
                release()


def checked_arrays(arrays, where, release=None):
    """Checks the arrays of a data set, and converts them.

    Args:
        arrays: {name: list of parts}; the parts of an array have one type and one shape of images.
        where: name of the data in messages.
        release: called after images were read, if the parts are files.
    Returns:
        {"x_train", "y_train", "x_test", "y_test", "image_shape"} and, if there are any, "x_valid",
        as in shared.data.Data.
    Raises:
        UsageError: an array has another shape or type, or a value out of range.
    """
    images = {name: arrays[name] for name in ("x_train", "x_test", VALID) if name in arrays}
    for name, x in images.items():
        _check_images(x, f"{where}: {name}")
    labels = {}
    for name in ("train", "test"):
        shape, y = _shape(images[f"x_{name}"]), arrays[f"y_{name}"]
        if _shape(y) != shape[:1] or y[0].dtype.kind not in "iu":
            raise UsageError(
                f"{where}: y_{name} is {y[0].dtype} of shape {_shape(y)}; expected one integer"
                f" label for each of the {shape[0]} images in x_{name}, which has shape {shape}"
            )
        labels[f"y_{name}"] = np.concatenate(y).astype(np.int64)
    train = _shape(images["x_train"])[1:]
    for name, x in images.items():
        if _shape(x)[1:] != train:
            raise UsageError(
                f"{where}: images are {train} in x_train and {_shape(x)[1:]} in {name};"
                " expected one size"
            )
    # If the only integers are 0 and 1, they are binary pixels, not the two darkest of 256 greys.
    chunks = (chunk for x in images.values() for chunk in _chunks(x, release))
    white_level = 255 if any(chunk.max() > 1 for chunk in chunks) else 1
    images = {
        name: _in_unit_range(x, white_level, f"{where}: {name}", release)
        for name, x in images.items()
    }
    return {**images, **labels, "image_shape": _image_shape(train)}


def _check_images(parts, where):
    shape, dtype = _shape(parts), parts[0].dtype
    if len(shape) < 2 or 0 in shape or shape[3:] not in ((), (1,), (3,), (4,)):
        raise UsageError(f"{where} has shape {shape}; {WANTED_SHAPE}")
    if dtype != np.uint8 and dtype.kind not in "bf":
        raise UsageError(f"{where} is {dtype}; {WANTED}")


def _shape(parts):
    if parts[0].ndim == 0:
        return ()
    return (sum(len(part) for part in parts), *parts[0].shape[1:])


def _image_shape(shape):
    """Returns the shape of an image as it is drawn; flat pixels are a square where possible."""
    if len(shape) > 1:
        return shape[:2] if shape[2:] == (1,) else shape
    side = math.isqrt(shape[0])
    return (side, side) if side**2 == shape[0] else (1, shape[0])


def _in_unit_range(parts, white_level, where, release):
    """Returns the images of (n, …) pixels in [0, 1]: Pixels, or an (n, input_dim) float32 array.

    Integer pixels are divided by `white_level`.
    """
    if parts[0].dtype.kind == "b":
        return Pixels([part.view(np.uint8) for part in parts], 1, release)
    if parts[0].dtype == np.uint8:
        return Pixels(parts, white_level, release)
    first = 0
    for chunk in _chunks(parts, release):
        bad = ~((chunk >= 0) & (chunk <= 1))  # NaN fails both
        if bad.any():
            image = int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
            value = chunk[image][bad[image]][0]
            text = "NaN" if np.isnan(value) else f"{value:g}"
            raise UsageError(f"{where} holds {text} at image {first + image}; {WANTED}")
        first += len(chunk)
    if release is not None:
        return Pixels(parts, 1, release)
    [x] = parts
    return np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float32)
