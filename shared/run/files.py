"""Whole files: each is written completely or not at all."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np

__all__ = [
    "write_atomically",
    "write_csv",
    "write_json",
    "write_npz",
]


def write_atomically(path, content):
    """Write bytes to `path`, whole or not at all, and onto the disk before this returns."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    if os.name == "posix":  # the new name itself must reach the disk; Windows has no such call
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def write_json(path, values):
    """Write a dict as indented JSON, atomically."""
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())


def write_npz(path, arrays):
    """Write named arrays as .npz, atomically; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def write_csv(path, header, rows):
    """Write rows below a header as CSV, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())
