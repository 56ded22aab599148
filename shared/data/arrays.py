"""Reads the arrays of a data set, checks them, and makes images in [0, 1] of their pixels.

The images of an array may lie in several parts, one after another.
"""

import hashlib
import math
import os

import numpy as np

from shared.data.parts import coded_labels
from shared.data.pixels import ROWS, Pixels
from shared.data.scale import number_text, out_of_range, scaling_of
from shared.machine.checks import UsageError
from shared.machine.memory import machine_memory
from shared.machine.npz import DAMAGE, read_header, read_headers, reason

__all__ = [
    "ARRAYS",
    "VALID",
    "array_headers",
    "checked_arrays",
    "read_array",
    "read_arrays",
    "sha256",
]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
VALID = "x_valid"  # optional; its images need no labels

WANTED = "expected values in [0, 255] (uint8) or [0, 1] (float), or --scale minmax"
WANTED_SHAPE = "expected (n, rows, columns), (n, rows, columns, 1, 3 or 4 channels) or (n, pixels)"
WHITE16 = np.float32(65535)  # the largest uint16


def read_arrays(path):
    """Reads the arrays of an .npz: {name: list with the array}.

    These are x_train and, if it has them, y_train, x_test, y_test and x_valid.

    Raises:
        UsageError: the file is missing, is damaged, lacks x_train, or has labels for one part only.
    """
    headers = array_headers(path, required=ARRAYS[:1])
    for name, (_, dtype) in headers.items():
        _check_objects(path, name, dtype)
    for part in ("train", "test") if "x_test" in headers else ("test",):
        other = "test" if part == "train" else "train"
        if f"y_{part}" in headers and f"y_{other}" not in headers and "x_test" in headers:
            raise UsageError(
                f"{path} lacks y_{other} and holds y_{part}; expected labels for both parts, or for"
                " neither"
            )
        if f"y_{part}" in headers and f"x_{part}" not in headers:
            raise UsageError(f"{path} lacks x_{part} and holds y_{part}; expected both or neither")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: [file[name]] for name in headers}
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error


def read_array(path):
    """Reads the array of an .npy.

    Raises:
        UsageError: the file is damaged, holds Python objects, or does not fit into memory.
    """
    if not os.path.isfile(path):  # to open a named pipe would wait for its writer
        raise UsageError(f"cannot read {path}: it is not a file; expected an .npy")
    try:
        with open(path, "rb") as file:
            shape, _, dtype = read_header(file)
        _check_objects(path, "its array", dtype)
        size = math.prod(shape) * dtype.itemsize
        if size > machine_memory():
            raise UsageError(
                f"{path} holds an array of {size / 2**30:,.1f} GiB; this machine has"
                f" {machine_memory() / 2**30:,.1f} GiB of memory; a folder of .npy files need not"
                " fit (docs/scaling.md)"
            )
        return np.load(path, allow_pickle=False)
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {reason(error)}; expected an .npy") from error


def _check_objects(path, name, dtype):
    """Raises UsageError for an array of Python objects, which would have to be unpickled."""
    if dtype.hasobject:
        kind = "names.astype(str)" if name.startswith("y") else 'x.astype("float32")'
        raise UsageError(
            f"cannot read {path}: {name} holds Python objects, which are not unpickled; save it as"
            f" {'text or integers' if name.startswith('y') else 'numbers'}, e.g. {kind}"
        )


def array_headers(path, in_memory=True, required=ARRAYS):
    """Reads the shape and dtype of each array of a data set: {name: (shape, dtype)}.

    Args:
        path: path of an .npz.
        in_memory: whether the arrays must fit into memory.
        required: names of the arrays that it must have.
    Raises:
        UsageError: the file is damaged or lacks an array, or the arrays do not fit.
    """
    headers = read_headers(path, in_memory)
    missing = [key for key in required if key not in headers]
    if missing:
        others = [name for name in headers if name not in (*ARRAYS, VALID)][:4]
        holds = f"; it holds {', '.join(others)}" if others else ""
        optional = "" if required == ARRAYS else " and, if there are any, y_train, x_test, y_test"
        raise UsageError(
            f"{path} lacks {', '.join(missing)}{holds}; expected {', '.join(required)}{optional}"
        )
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


def checked_arrays(arrays, where, release=None, scale=None, scaling=None, columns=None):
    """Checks the arrays of a data set, and converts them.

    Args:
        arrays: {name: list of parts}; the parts of an array have one type and one shape of images.
        where: name of the data in messages.
        release: called after images were read, if the parts are files.
        scale: one of shared.data.scale.SCALES, or None if the numbers are pixels.
        scaling: shared.data.scale.Scaling of other data, or None to compute it from x_train.
        columns: names of the columns, if the images are rows of a table.
    Returns:
        {"x_train", "y_train", "x_test", "y_test", "image_shape", "classes", "scaling"} and, if
        there are any, "x_valid", as in shared.data.Data.
    Raises:
        UsageError: an array has another shape or type, or a value out of range.
    """
    images = {name: arrays[name] for name in ("x_train", "x_test", VALID) if name in arrays}
    for name, x in images.items():
        _check_images(x, f"{where}: {name}", scale)
    labels, classes = {"y_train": None, "y_test": None}, None
    if "y_train" in arrays:
        shapes = {name: _shape(x) for name, x in images.items()}
        given = {name: arrays[name] for name in labels}
        labels, classes = coded_labels(given, shapes, where)
    train = _shape(images["x_train"])[1:]
    for name, x in images.items():
        if _shape(x)[1:] != train:
            raise UsageError(
                f"{where}: images are {train} in x_train and {_shape(x)[1:]} in {name};"
                " expected one size"
            )
    image_shape = train if columns else _image_shape(train, scale)
    if scale is None:
        # If the only integers are 0 and 1, they are binary pixels, not the two darkest of 256.
        chunks = (chunk for x in images.values() for chunk in _chunks(x, release))
        white_level = 255 if any(chunk.max() > 1 for chunk in chunks) else 1
        images = {
            name: _in_unit_range(x, white_level, f"{where}: {name}", release)
            for name, x in images.items()
        }
    else:
        for name, x in images.items():
            _check_finite(x, f"{where}: {name}", columns)
        width = math.prod(train) if len(image_shape) == 1 else 1
        scaling = scaling or scaling_of(images["x_train"], scale, len(image_shape) == 1)
        if len(scaling.shift) != width:
            raise UsageError(
                f"{where} has {width} columns and the run's statistics have {len(scaling.shift)};"
                " expected the columns of the run's own data"
            )
        images = {
            name: _scaled(x, scaling, f"{where}: {name}", columns) for name, x in images.items()
        }
    fields = {"image_shape": image_shape, "classes": classes, "scaling": scaling}
    return {**images, **labels, **fields}


def _check_images(parts, where, scale=None):
    shape, dtype = _shape(parts), parts[0].dtype
    if len(shape) < 2 or 0 in shape or shape[3:] not in ((), (1,), (3,), (4,)):
        raise UsageError(f"{where} has shape {shape}; {WANTED_SHAPE}")
    if scale is not None and dtype.kind in "iu":
        return
    if dtype not in (np.uint8, np.uint16) and dtype.kind not in "bf":
        raise UsageError(f"{where} is {dtype}; {WANTED}")


def _check_finite(parts, where, columns):
    first = 0
    for chunk in _chunks(parts, None):
        if (place := out_of_range(chunk)) is not None:
            text = number_text(float(chunk[place]))
            raise UsageError(
                f"{where} holds {text} at {_place(first, place, columns)}; expected finite numbers"
                " that fit in float32"
            )
        first += len(chunk)


def _place(first, place, columns):
    """Returns where a number is, in words; `place` is within the chunk that begins at `first`."""
    if columns:
        return f"row {first + place[0]}, column {columns[place[1]]!r}"
    return f"image {first + place[0]}"


def _scaled(parts, scaling, where, columns):
    """Returns the numbers of (n, …) parts as the model sees them, (n, input_dim) float32."""
    result, first = np.empty((_shape(parts)[0], math.prod(_shape(parts)[1:])), np.float32), 0
    for chunk in _chunks(parts, None):
        rows = chunk.reshape(len(chunk), -1)
        scaled = result[first : first + len(rows)] = scaling.scaled(rows)
        if (place := out_of_range(scaled)) is not None:
            raise UsageError(
                f"{where} holds {number_text(float(rows[place]))} at"
                f" {_place(first, place, columns)}, which is too large once it is scaled by the"
                " training part; expected numbers of its size"
            )
        first += len(rows)
    return result


def _shape(parts):
    if parts[0].ndim == 0:
        return ()
    return (sum(len(part) for part in parts), *parts[0].shape[1:])


def _image_shape(shape, scale=None):
    """Returns the shape of an image as it is drawn; flat pixels are a square where possible.

    Numbers that are not pixels and not a square are the row of a table: (columns,).
    """
    if len(shape) > 1:
        return shape[:2] if shape[2:] == (1,) else shape
    side = math.isqrt(shape[0])
    if side**2 == shape[0]:
        return side, side
    return (1, shape[0]) if scale is None else shape


def _in_unit_range(parts, white_level, where, release):
    """Returns the images of (n, …) pixels in [0, 1]: Pixels, or an (n, input_dim) float32 array.

    Integer pixels are divided by `white_level`.
    """
    if parts[0].dtype.kind == "b":
        return Pixels([part.view(np.uint8) for part in parts], 1, release)
    if parts[0].dtype == np.uint8:
        return Pixels(parts, white_level, release)
    if parts[0].dtype == np.uint16:
        return np.concatenate([part.reshape(len(part), -1) / WHITE16 for part in parts])
    first = 0
    for chunk in _chunks(parts, release):
        bad = ~((chunk >= 0) & (chunk <= 1))  # NaN fails both
        if bad.any():
            image = int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
            value = chunk[image][bad[image]][0]
            text = number_text(value)
            raise UsageError(f"{where} holds {text} at image {first + image}; {WANTED}")
        first += len(chunk)
    if release is not None:
        return Pixels(parts, 1, release)
    [x] = parts
    return np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float32)
