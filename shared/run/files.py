"""Files of a run, written whole or not at all, and the one reader of .npz files.

An .npz of a run says which training step it is of, in the comment of the archive: programs that
read the arrays with NumPy alone do not see it, and a file of another step is never mistaken.
"""

import csv
import io
import json
import os
import secrets
import zipfile
import zlib
from pathlib import Path

import numpy as np

from shared.config import UsageError

__all__ = [
    "read_npz",
    "step_of",
    "write_archive",
    "write_atomically",
    "write_csv",
    "write_json",
    "write_npz",
]

# What a damaged, encrypted or foreign archive raises while it is opened or read; zipfile raises
# RuntimeError for an encrypted member and NotImplementedError for an unknown compression.
DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path, shapes):
    """The arrays of an .npz: exactly those that `shapes` names, float32 and finite.

    Names, shapes and dtypes are checked in the headers, before any array is read.

    Args:
        path: of the file.
        shapes: {name: shape}; an array named "step" is an int64.
    Returns:
        {name: array}, in the order of `shapes`.
    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as file:
            found = {}
            for member in file.namelist():
                with file.open(member) as stream:
                    found[member.removesuffix(".npy")] = _header(stream)
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {_one_line(error)}") from error
    for name in [*shapes, *found]:
        dtype = np.dtype(np.int64 if name == "step" else np.float32)
        expected = (tuple(shapes[name]), dtype) if name in shapes else "no such array"
        if found.get(name, "missing") != expected:
            raise UsageError(
                f"{path}: {name} is {_text(found.get(name, 'missing'))}; expected {_text(expected)}"
            )
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in shapes}
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {_one_line(error)}") from error
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise UsageError(f"{path}: {name} holds NaN or infinity; expected finite numbers")
    return arrays


def _header(stream):
    """Shape and dtype of an array in an archive, from its header alone."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"an array in format {version}")
    shape, _, dtype = readers[version](stream)
    return shape, dtype


def _text(found):
    return found if isinstance(found, str) else f"{found[1]} of shape {found[0]}"


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def step_of(path):
    """The training step that an archive says it is of, or None where it says none."""
    try:
        with zipfile.ZipFile(path) as file:
            name, _, step = file.comment.partition(b" ")
            return int(step) if name == b"step" else None
    except DAMAGE:
        return None


def write_atomically(path, content):
    """Write bytes to `path`, whole or not at all, and onto the disk before this returns.

    The bytes go to a new file beside it, which then takes its name. Its own name is random and it
    is created, never opened: a link that lies there already is not followed.
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
    if os.name == "posix":  # the new name itself must reach the disk; Windows has no such call
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def write_archive(path, content, step):
    """Write the bytes of a zip archive (.npz, .keras) atomically, with its step in the comment."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as file:
        file.comment = f"step {step}".encode()
    write_atomically(path, buffer.getvalue())


def write_npz(path, arrays, step=None):
    """Write named arrays as .npz, atomically; equal arrays give equal bytes.

    Args:
        path: of the file.
        arrays: {name: array}.
        step: the training step that the arrays are of, if any.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    if step is None:
        write_atomically(path, buffer.getvalue())
    else:
        write_archive(path, buffer.getvalue(), step)


def write_json(path, values):
    """Write a dict as indented JSON, atomically."""
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())


def write_csv(path, header, rows):
    """Write rows below a header as CSV, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())
