"""Maps the files of a folder of shards into memory, after their hashes and sizes were checked."""

import hashlib
import mmap
import re
from pathlib import Path

import numpy as np

from shared.data.arrays import ARRAYS, VALID
from shared.machine.checks import UsageError
from shared.machine.npz import DAMAGE, read_header, reason

__all__ = ["SUMS", "file_sha256", "read_shards", "shard_name"]

SUMS = "SHA256SUMS"
NAME = re.compile(rf"({'|'.join((*ARRAYS, VALID))})-([0-9]+)\.npy")
LARGE = 2**30  # bytes; reading more than this takes seconds, which the user is told


def shard_name(array, number):
    """Returns the name of a file: x_train-00000.npy."""
    return f"{array}-{number:05d}.npy"


def read_shards(directory, say=lambda line: None):
    """Maps the files of a folder into memory, where they take none until they are read.

    Args:
        directory: path of the folder.
        say: called with a line of text if checking takes long.
    Returns:
        (arrays, release). {name: list of its parts} for x_train, y_train, x_test, y_test, of which
        the images are mapped and the labels read; and the function that gives back the memory of
        what was read of the files.
    Raises:
        UsageError: a file is missing, damaged or not as in SHA256SUMS, or two do not match.
    """
    directory = Path(directory)
    names = _names(directory)
    size = sum((directory / name).stat().st_size for each in names.values() for name in each)
    if size > LARGE:
        count = sum(map(len, names.values()))
        say(f"checking {size / 2**30:.1f} GiB in the {count} files of {directory}")
    _check_sums(directory, names)
    maps, arrays = [], {}
    for array, each in names.items():
        arrays[array] = [_map(directory / name, maps) for name in each]
        if array.startswith("y"):
            arrays[array] = [np.array(part) for part in arrays[array]]
    files = {array: list(zip(names[array], arrays[array], strict=True)) for array in arrays}
    for array, each in files.items():
        if array.startswith("x"):
            _check_images(directory, each)
    for part in ("train", "test"):
        _check_labels(directory, files[f"x_{part}"], files[f"y_{part}"])

    def release():
        # The pages stay in the cache of the system, which takes them back whenever it needs to.
        if hasattr(mmap, "MADV_DONTNEED"):
            for each in maps:
                each.madvise(mmap.MADV_DONTNEED)

    release()
    return arrays, release


def _names(directory):
    """Returns {array: names of its files, in order}."""
    numbers = {array: {} for array in (*ARRAYS, VALID)}
    for path in sorted(directory.glob("*.npy")):
        match = NAME.fullmatch(path.name)
        if match:
            numbers[match[1]].setdefault(int(match[2]), []).append(path.name)
    if not numbers[VALID]:
        del numbers[VALID]
    for array, named in numbers.items():
        end = max(numbers[array], default=0) + 1
        for number in range(end):
            if number not in named:
                more = f", as there is {named[end - 1][0]}" if named else ""
                raise UsageError(
                    f"{directory} lacks {shard_name(array, number)}; expected files"
                    f" {array}-NUMBER.npy, numbered from 0{more}"
                )
            if len(named[number]) > 1:
                raise UsageError(
                    f"{directory} holds {' and '.join(named[number])}; expected one file of each"
                    " number"
                )
    return {
        array: [named[number][0] for number in sorted(named)] for array, named in numbers.items()
    }


def _check_sums(directory, names):
    """Raises UsageError if the folder has a record of its files, and they are not as recorded."""
    path = directory / SUMS
    if not path.exists():
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error
    sums = {}
    for line in lines:
        digest, _, name = line.partition(" ")
        sums[name.lstrip(" *")] = digest
    names = [name for each in names.values() for name in each]
    different = sorted({name for name in sums if NAME.fullmatch(name)} ^ set(names))
    if different:
        where = "is in" if different[0] in sums else "is not in"
        other = "is missing" if different[0] in sums else "is there"
        raise UsageError(f"{directory}: {different[0]} {where} {SUMS} and {other}; convert again")
    for name in names:
        if file_sha256(directory / name) != sums[name]:
            raise UsageError(
                f"{directory / name} is damaged: its SHA-256 is not that in {SUMS};"
                " copy or convert the data again"
            )


def file_sha256(path):
    """Returns the SHA-256 of a file, as `sha256sum` prints it."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(path):
    # To open a named pipe would wait for its writer.
    if not path.is_file():
        raise UsageError(f"cannot read {path}: it is not a file")
    return path.open("rb")


def _map(path, maps):
    """Returns the array in a file, and adds the map of the file to `maps`."""
    try:
        with _opened(path) as file:
            shape, fortran, dtype = read_header(file)
            offset = file.tell()
            if fortran and len(shape) > 1:
                raise UsageError(f"{path} is in Fortran order; expected C order")
            size = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
            if path.stat().st_size != size:
                raise UsageError(
                    f"{path} has {path.stat().st_size:,} bytes; its header promises {size:,}"
                )
            if dtype.hasobject or 0 in shape:
                raise UsageError(f"{path} is {dtype} of shape {shape}; expected images or labels")
            maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            return np.frombuffer(maps[-1], dtype, offset=offset).reshape(shape)
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error


def _check_images(directory, images):
    """Raises UsageError unless the images in all files of an array are alike."""
    (first, x), *_ = images
    for name, part in images:
        if part.dtype not in (np.uint8, np.bool_, np.float32):
            raise UsageError(f"{directory / name} is {part.dtype}; expected uint8, bool or float32")
        if (part.dtype, part.shape[1:]) != (x.dtype, x.shape[1:]):
            raise UsageError(
                f"{directory}: {name} is {part.dtype} of shape {part.shape}, and {first} is"
                f" {x.dtype} of shape {x.shape}; expected images of one type and size"
            )


def _check_labels(directory, images, labels):
    """Raises UsageError unless each file of images has a file with their labels."""
    if len(images) != len(labels):
        raise UsageError(
            f"{directory}: {len(images)} files like {images[0][0]} and {len(labels)} like"
            f" {labels[0][0]}; expected a file of labels for each file of images"
        )
    for (name, part), (y_name, y) in zip(images, labels, strict=True):
        if y.shape != part.shape[:1] or y.dtype != labels[0][1].dtype:
            raise UsageError(
                f"{directory}: {y_name} is {y.dtype} of shape {y.shape}; expected"
                f" {labels[0][1].dtype} of shape {part.shape[:1]}, a label for each image of {name}"
            )
