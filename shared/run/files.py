"""Writes the files of a run, each completely or not at all, and reads .npz and text files.

An .npz of a run stores its training step in the comment of the zip archive. NumPy ignores the
comment, and a file of another step is recognised without reading its arrays.
"""

import csv
import io
import json
import os
import secrets
import zipfile
from pathlib import Path

import numpy as np

from shared.machine.checks import UsageError
from shared.machine.npz import DAMAGE, read_headers, reason

__all__ = [
    "csv_bytes",
    "npz_bytes",
    "read_npz",
    "read_text",
    "step_of",
    "with_step",
    "write_atomically",
    "write_csv",
    "write_json",
    "write_npz",
]


# A text file of a run has one line per step or epoch: a larger file is not one.
TEXT_LIMIT = 2**30  # bytes
# Arrays that are not weights or losses; all others are float32.
INTEGERS = ("step", "seeds", "epochs", "labels")
DTYPES = {**dict.fromkeys(INTEGERS, np.int64), "history": np.float64}


def read_npz(path, shapes, dtypes=None):
    """Reads the arrays of an .npz, which must be those in `shapes`, float32 and finite.

    Names, shapes and dtypes are checked in the headers, before any array is read.

    Args:
        path: path of the file.
        shapes: {name: shape}; an axis that is None may have any length. Arrays named "step" or
            "seeds" must be int64, and one named "history" float64.
        dtypes: {name: dtype} of other arrays that are not float32.
    Returns:
        {name: array}, in the order of `shapes`.
    Raises:
        UsageError: the file cannot be read, or holds other arrays.
    """
    headers, dtypes = read_headers(path), {**DTYPES, **(dtypes or {})}
    for name in [*shapes, *headers]:
        dtype = np.dtype(dtypes.get(name, np.float32))
        expected = (tuple(shapes[name]), dtype) if name in shapes else "no such array"
        actual = headers.get(name, "missing")
        if actual != expected and not _fits(actual, expected):
            raise UsageError(f"{path}: {name} is {_text(actual)}; expected {_text(expected)}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in shapes}
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise UsageError(f"{path}: {name} holds NaN or infinity; expected finite numbers")
    return arrays


def _fits(actual, expected):
    """Whether a header is the expected one, in which None stands for any length of an axis."""
    if isinstance(actual, str) or isinstance(expected, str) or actual[1] != expected[1]:
        return False
    lengths = zip(actual[0], expected[0], strict=False)
    return len(actual[0]) == len(expected[0]) and all(b in (a, None) for a, b in lengths)


def _text(header):
    return header if isinstance(header, str) else f"{header[1]} of shape {header[0]}"


def read_text(path):
    """Reads a UTF-8 text file of a run.

    Raises:
        FileNotFoundError: there is no such file.
        UsageError: it cannot be read, is too large, or is not text.
    """
    # To open a named pipe would wait for its writer.
    if os.path.lexists(path) and not os.path.isfile(path):
        raise UsageError(f"cannot read {path}: it is not a file")
    try:
        if os.path.getsize(path) > TEXT_LIMIT:
            raise UsageError(f"cannot read {path}: it has more than {TEXT_LIMIT / 2**30:.0f} GiB")
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error


def step_of(path):
    """Returns the training step that is stored in an archive, or None if there is none."""
    try:
        with zipfile.ZipFile(path) as file:
            name, _, step = file.comment.partition(b" ")
            return int(step) if name == b"step" else None
    except DAMAGE:
        return None


def write_atomically(path, content, earlier=None):
    """Writes bytes to `path`, completely or not at all, and to the disk before it returns.

    The bytes are written to a new file in the same folder, which is then renamed. The new file has
    a random name and must not exist before, so that an existing link is not followed.

    Args:
        path: path of the file; missing folders are created.
        content: bytes.
        earlier: path in the same folder that gets the earlier file, or None to replace it.
    Raises:
        OSError: the file cannot be written; its earlier content is then unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if earlier is not None and os.path.lexists(path):
            os.replace(path, earlier)
        os.replace(partial, path)
    except OSError as error:
        error.filename = str(path)  # that of the new file does not say anything to a user
        partial.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # writes the new name to the disk; Windows has no such call
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def with_step(content, step):
    """Returns the bytes of a zip archive (.npz, .keras) with a step in the archive's comment."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as file:
        file.comment = f"step {step}".encode()
    return buffer.getvalue()


def npz_bytes(arrays, step=None):
    """Returns named arrays as the bytes of an .npz; equal arrays give equal bytes.

    Args:
        arrays: {name: array}.
        step: the training step of the arrays, if any.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            # As `np.savez` writes it, but for the system, which is Unix also on Windows.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.create_system = 3
            with file.open(entry, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue() if step is None else with_step(buffer.getvalue(), step)


def write_npz(path, arrays, step=None):
    """Writes named arrays as .npz, atomically; the arguments are those of `npz_bytes`."""
    write_atomically(path, npz_bytes(arrays, step))


def write_json(path, values):
    """Writes a dict as indented JSON, atomically."""
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())


def csv_bytes(header, rows):
    """Returns a header and rows as the bytes of a CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def write_csv(path, header, rows):
    """Writes a header and rows as CSV, atomically."""
    write_atomically(path, csv_bytes(header, rows))
