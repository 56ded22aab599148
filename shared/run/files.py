"""Writes the files of a run, each completely or not at all, and reads .npz files.

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

from shared.config import UsageError
from shared.npz import DAMAGE, read_headers, reason

__all__ = [
    "read_npz",
    "step_of",
    "write_archive",
    "write_atomically",
    "write_csv",
    "write_json",
    "write_npz",
]


def read_npz(path, shapes):
    """Reads the arrays of an .npz, which must be those in `shapes`, float32 and finite.

    Names, shapes and dtypes are checked in the headers, before any array is read.

    Args:
        path: path of the file.
        shapes: {name: shape}; arrays named "step" or "seeds" must be int64.
    Returns:
        {name: array}, in the order of `shapes`.
    Raises:
        UsageError: the file cannot be read, or holds other arrays.
    """
    headers = read_headers(path)
    for name in [*shapes, *headers]:
        dtype = np.dtype(np.int64 if name in ("step", "seeds") else np.float32)
        expected = (tuple(shapes[name]), dtype) if name in shapes else "no such array"
        actual = headers.get(name, "missing")
        if actual != expected:
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


def _text(header):
    return header if isinstance(header, str) else f"{header[1]} of shape {header[0]}"


def step_of(path):
    """Returns the training step that is stored in an archive, or None if there is none."""
    try:
        with zipfile.ZipFile(path) as file:
            name, _, step = file.comment.partition(b" ")
            return int(step) if name == b"step" else None
    except DAMAGE:
        return None


def write_atomically(path, content):
    """Writes bytes to `path`, completely or not at all, and to the disk before it returns.

    The bytes are written to a new file in the same folder, which is then renamed. The new file has
    a random name and must not exist before, so that an existing link is not followed.

    Args:
        path: path of the file; missing folders are created.
        content: bytes.
    Raises:
        OSError: the file cannot be written; `path` is then unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # writes the new name to the disk; Windows has no such call
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def write_archive(path, content, step):
    """Writes the bytes of a zip archive (.npz, .keras) atomically, with its step in the comment."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as file:
        file.comment = f"step {step}".encode()
    write_atomically(path, buffer.getvalue())


def write_npz(path, arrays, step=None):
    """Writes named arrays as .npz, atomically; equal arrays give equal bytes.

    Args:
        path: path of the file.
        arrays: {name: array}.
        step: the training step of the arrays, if any.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    if step is None:
        write_atomically(path, buffer.getvalue())
    else:
        write_archive(path, buffer.getvalue(), step)


def write_json(path, values):
    """Writes a dict as indented JSON, atomically."""
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())


def write_csv(path, header, rows):
    """Writes a header and rows as CSV, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())
