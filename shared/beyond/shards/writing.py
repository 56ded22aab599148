"""Writes the arrays of an .npz as a folder of shards, without reading them at once."""

import shutil
import zipfile
from pathlib import Path

import numpy as np

from shared.beyond.shards.reading import SUMS, file_sha256, shard_name
from shared.data.arrays import array_headers
from shared.machine.checks import UsageError
from shared.machine.npz import DAMAGE, read_header, reason

__all__ = ["write_shards"]


def write_shards(path, directory, per_file=100_000, on_progress=None):
    """Writes x_train, y_train, x_test, y_test and x_valid of an .npz as a new folder of .npy files.

    The folder appears when it is complete. Memory for the images of one file is needed.

    Args:
        path: path of the .npz.
        directory: path of the folder, which must not exist.
        per_file: images per file, at least 1.
        on_progress: called with the number of files written and their number in all.
    Raises:
        UsageError: the .npz is missing or damaged, or the folder exists.
    """
    path, directory = Path(path), Path(directory)
    if per_file < 1:
        raise UsageError(f"{per_file} images per file; expected at least 1")
    if directory.exists() or directory.is_symlink():
        raise UsageError(f"{directory} exists; name another folder, or remove it first")
    if not path.exists():
        raise UsageError(f"no data at {path}; expected the path of an .npz")
    headers = array_headers(path, in_memory=False)
    if any(not shape for shape, _ in headers.values()):
        raise UsageError(f"{path} holds a single number as an array; expected images and labels")
    total = sum(-(-shape[0] // per_file) for shape, _ in headers.values())
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        lines = []
        for array in headers:
            for number, rows in enumerate(_read_rows(path, array, per_file)):
                name = shard_name(array, number)
                np.save(partial / name, rows)
                lines.append(f"{file_sha256(partial / name)}  {name}\n")
                if on_progress is not None:
                    on_progress(len(lines), total)
        (partial / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")
        partial.rename(directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read_rows(path, array, count):
    """Yields the rows of an array in an .npz, `count` at a time."""
    try:
        with zipfile.ZipFile(path) as file, file.open(f"{array}.npy") as stream:
            shape, fortran, dtype = read_header(stream)
            if fortran and len(shape) > 1:
                raise UsageError(f"{path}: {array} is in Fortran order; expected C order")
            row = int(np.prod(shape[1:], dtype=object)) * dtype.itemsize
            for start in range(0, shape[0], count):
                rows = min(count, shape[0] - start)
                content = stream.read(rows * row)
                yield np.frombuffer(content, dtype).reshape(rows, *shape[1:])
            stream.read()  # to the end, where the checksum of the archive is compared
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error
