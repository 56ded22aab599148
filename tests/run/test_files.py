"""The readers of .npz and of text files: what they return and what they refuse."""

import io
import os
import re
import sys
import zipfile

import numpy as np
import pytest

from shared.machine import npz
from shared.machine.checks import UsageError
from shared.run.files import TEXT_LIMIT, npz_bytes, read_npz, read_text

NAN = "a/bias holds NaN or infinity; expected finite numbers"
RANDOM = np.random.RandomState(3)
SHAPES = {"a/kernel": (2, 3), "a/bias": (3,)}
WEIGHTS = {name: RANDOM.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def test_weights_are_read_in_the_order_of_their_shapes(tmp_path):
    np.savez(tmp_path / "weights.npz", **dict(reversed(WEIGHTS.items())))
    weights = read_npz(tmp_path / "weights.npz", SHAPES)
    assert list(weights) == list(SHAPES)
    for name, array in weights.items():
        np.testing.assert_array_equal(array, WEIGHTS[name])
        assert array.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a/bias": None}, "a/bias is missing; expected float32 of shape (3,)"),
        ({"b": np.zeros(2, np.float32)}, "b is float32 of shape (2,); expected no such array"),
        (
            {"a/bias": np.zeros((3, 1), np.float32)},
            "a/bias is float32 of shape (3, 1); expected float32 of shape (3,)",
        ),
        (
            {"a/kernel": np.zeros((3, 2), np.float32)},
            "a/kernel is float32 of shape (3, 2); expected float32 of shape (2, 3)",
        ),
        (
            {"a/kernel": np.zeros((2, 3))},
            "a/kernel is float64 of shape (2, 3); expected float32 of shape (2, 3)",
        ),
        (
            {"a/bias": np.array(["1", "2", "3"])},
            "a/bias is <U1 of shape (3,); expected float32 of shape (3,)",
        ),
        # Of several errors, the message has the first in the order of the shapes.
        (
            {"a/kernel": None, "a/bias": None, "Z": np.zeros(1)},
            "a/kernel is missing; expected float32 of shape (2, 3)",
        ),
        ({"a/bias": np.array([0, np.nan, 0], np.float32)}, NAN),
        ({"a/bias": np.array([0, np.inf, 0], np.float32)}, NAN),
    ],
)
def test_other_weights_are_refused(changes, message, tmp_path):
    path = tmp_path / "weights.npz"
    arrays = {**WEIGHTS, **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(UsageError) as error:
        read_npz(path, SHAPES)
    assert str(error.value) == f"{path}: {message}"


def _save_npy(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: None,  # no file
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04 and no more"),
        lambda path: path.write_text("text", encoding="utf-8"),
        _save_npy,  # a single array
    ],
)
def test_a_file_that_is_no_npz_is_refused_in_one_line(write, tmp_path):
    path = tmp_path / "weights.npz"
    write(path)
    with pytest.raises(UsageError) as error:
        read_npz(path, SHAPES)
    assert re.fullmatch(f"cannot read {re.escape(str(path))}: .+", str(error.value))


def test_a_text_file_is_read_or_refused_with_its_reason(tmp_path):
    path = tmp_path / "text"
    with pytest.raises(FileNotFoundError):
        read_text(path)
    path.write_bytes("σ\n".encode())
    assert read_text(path) == "σ\n"
    path.write_bytes(b"a\xff")
    with pytest.raises(UsageError) as error:
        read_text(path)
    reason = "'utf-8' codec can't decode byte 0xff in position 1: invalid start byte"
    assert str(error.value) == f"cannot read {path}: {reason}"
    with path.open("wb") as file:
        file.truncate(TEXT_LIMIT + 1)  # a hole, which takes no space on the disk
    with pytest.raises(UsageError) as error:
        read_text(path)
    assert str(error.value) == f"cannot read {path}: it has more than 1 GiB"
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError) as error:
        read_text(path)
    assert str(error.value) == f"cannot read {path}: it is not a file"


def _npz(path, version, dtype):
    """Writes an .npz with one array of ten million numbers, of which only the header exists."""
    header = {"descr": dtype, "fortran_order": False, "shape": (10**7,)}
    with zipfile.ZipFile(path, "w") as file, file.open("x.npy", "w") as stream:
        write = {
            1: np.lib.format.write_array_header_1_0,
            2: np.lib.format.write_array_header_2_0,
        }
        write[version](stream, header)


@pytest.mark.parametrize("version", [1, 2])
def test_both_formats_of_a_header_are_read(tmp_path, version):
    path = tmp_path / "data.npz"
    _npz(path, version, "<f4")
    assert npz.read_headers(path) == {"x": ((10**7,), np.dtype(np.float32))}


def test_a_header_of_another_format_is_refused_by_its_number(tmp_path):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", b"\x93NUMPY\x03\x00" + b"{}")
    with pytest.raises(UsageError) as error:
        npz.read_headers(path)
    assert str(error.value) == f"cannot read {path}: an array has the unknown format (3, 0)"


def test_arrays_beyond_the_memory_are_refused_with_both_sizes(tmp_path):
    path = tmp_path / "data.npz"
    _npz(path, 1, "S1048576")  # strings of 1 MiB each
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    with pytest.raises(UsageError) as error:
        npz.read_headers(path)
    needed = 10**7 / 1024
    assert str(error.value) == (
        f"{path} holds arrays of {needed:,.1f} GiB; this machine has {memory:,.1f} GiB of memory"
    )
    assert npz.read_headers(path, in_memory=False)["x"][0] == (10**7,)


def test_the_bytes_of_an_npz_are_those_of_numpy_and_of_every_system(monkeypatch):
    arrays = {"encoder/z_mean/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "step": 3}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content = npz_bytes(arrays, step=3)
    assert npz_bytes(arrays) == buffer.getvalue()
    monkeypatch.setattr(sys, "platform", "win32")  # zipfile records it
    assert npz_bytes(arrays, step=3) == content
