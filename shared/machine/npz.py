"""Reads the headers of .npz files, before their arrays, and reports damage in one line."""

import math
import os
import tokenize
import zipfile
import zlib

import numpy as np

from shared.machine.checks import UsageError
from shared.machine.memory import machine_memory

__all__ = ["DAMAGE", "read_header", "read_headers", "reason"]

# What a damaged, encrypted or foreign archive raises while it is opened or read; zipfile raises
# RuntimeError for an encrypted member and NotImplementedError for an unknown compression, and NumPy
# parses the header of an array as an expression of Python.
DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    RecursionError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_headers(path, in_memory=True):
    """Reads the shape and dtype of each array in an .npz, without reading the arrays.

    Args:
        path: path of the file.
        in_memory: whether the arrays must fit into memory.
    Returns:
        {name: (shape, dtype)}, in the order of the file.
    Raises:
        UsageError: the file is not an .npz, is damaged, or its arrays do not fit into memory.
    """
    # To open a named pipe would wait for its writer.
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"cannot read {path}: it is not a file; expected an .npz")
    try:
        with zipfile.ZipFile(path) as file:
            headers = {}
            for member in file.namelist():
                with file.open(member) as stream:
                    headers[member.removesuffix(".npy")] = read_header(stream)[::2]
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error
    # A header can claim any size, and zeros compress to almost nothing.
    size = sum(math.prod(shape) * dtype.itemsize for shape, dtype in headers.values())
    if in_memory and size > machine_memory():
        raise UsageError(
            f"{path} holds arrays of {size / 2**30:,.1f} GiB; this machine has"
            f" {machine_memory() / 2**30:,.1f} GiB of memory"
        )
    return headers


def read_header(stream):
    """Reads the header of an .npy: its shape, whether it is in Fortran order, and its dtype."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"an array has the unknown format {version}")
    return readers[version](stream)


def reason(error):
    """Returns the text of an exception in one line."""
    return " ".join(str(error).split()) or type(error).__name__
