"""Reads own data from a path, in whatever form they are, and says what was understood."""

import os

import numpy as np

from shared.data.arrays import checked_arrays, read_array, read_arrays, sha256
from shared.data.folders import SUFFIXES, holds_images, read_folder
from shared.data.parts import Found, split_arrays
from shared.data.scale import SCALES
from shared.data.tables import read_table
from shared.machine.checks import INT32_MAX, UsageError, integer
from shared.machine.text import printable, suggestion

__all__ = ["checked_options", "described", "form_of", "read_own"]

NAMES = ("auto", "mnist", "mnist-5k")  # what `--data` takes beside a path
TABLES = (".csv", ".tsv", ".txt")
FORMS = (
    "expected auto, mnist, mnist-5k, or the path of an .npz, an .npy, a .csv, a folder of PNG or"
    " JPEG files, or a folder of .npy files (docs/commands.md#your-own-data)"
)
SCALED = {
    "minmax": "scaled to 0 … 1 by the least and largest value",
    "standard": "scaled to mean 0 and standard deviation 1",
    "none": "not scaled",
}


def checked_options(image_size=None, scale=None, label_column=None):
    """Checks how data are to be read, and returns it as it is written into config.json.

    Args:
        image_size: side of square images, or (rows, columns), or None.
        scale: one of SCALES, or None.
        label_column: name of a column of a CSV, or None.
    Returns:
        {name: value}, without those that are None; image_size is [rows, columns].
    Raises:
        UsageError: a value is not one of these.
    """
    options = {}
    if image_size is not None:
        sizes = [image_size] if isinstance(image_size, int) else list(image_size)
        if len(sizes) not in (1, 2):
            raise UsageError(
                f"image_size is {image_size}; expected a side, e.g. --image-size 64, or rows and"
                " columns, e.g. --image-size 48 64"
            )
        for each in sizes:
            integer("image_size", each, 1, INT32_MAX)
        options["image_size"] = [sizes[0], sizes[-1]]
    if scale is not None:
        if scale not in SCALES:
            raise UsageError(f"scale is {scale!r}; expected one of {', '.join(SCALES)}")
        options["scale"] = scale
    if label_column is not None:
        options["label_column"] = label_column
    return options


def read_own(path, options, scaling=None, say=lambda line: None):
    """Reads the data at a path.

    Args:
        path: pathlib.Path of a file or folder.
        options: as `checked_options` returns them.
        scaling: shared.data.scale.Scaling of other data, or None.
        say: called with a line of text if checking takes long.
    Returns:
        (fields, hashes, form): the fields of shared.data.Data but for source and sha256; the hash
        of each array's bytes; and "npz", "npy", "csv", "images" or "shards".
    Raises:
        UsageError: the data are missing, damaged or of a wrong shape, type or range, or an option
            is for data of another form.
    """
    form = form_of(path)
    allowed = {"image_size": "images", "label_column": "csv"}
    for name, wanted in allowed.items():
        if name in options and form != wanted:
            what = {"images": "a folder of PNG or JPEG files", "csv": "a CSV"}[wanted]
            raise UsageError(
                f"--{name.replace('_', '-')} is for {what}; {path} is none: leave it out"
            )
    if form == "shards" and "scale" in options:
        raise UsageError(
            f"--scale is given and {path} is a folder of .npy files, which are read as they are;"
            " scale the numbers before, or give one file"
        )
    found = _read(path, form, options, say)
    if "x_test" not in found.arrays:
        found.split = split_arrays(found.arrays, str(path))
    hashes = {key: sha256(_hashable(parts), found.release) for key, parts in found.arrays.items()}
    if found.arrays["x_train"][0].dtype == np.uint16 and "scale" not in options:
        found.notes.append(_sixteen_bits(found.arrays))
    fields = checked_arrays(
        found.arrays, str(path), found.release, options.get("scale"), scaling, found.columns
    )
    whole = path.name if form == "images" else path.stem
    fields |= {"name": printable(whole or path.resolve().name), "columns": found.columns}
    if len(fields["image_shape"]) == 1 and not found.columns:
        width = fields["image_shape"][0]
        fields["columns"] = tuple(f"column_{number}" for number in range(1, width + 1))
    return {**fields, "understood": described(fields, found)}, hashes, form


def form_of(path):
    """Returns of what form the data at a path are, by its name and, for a folder, its files.

    Args:
        path: pathlib.Path.
    Returns:
        "npz", "npy", "csv", "images" or "shards".
    Raises:
        UsageError: there is nothing, or a single image.
    """
    if not os.path.exists(path):
        meant = suggestion(str(path), NAMES)
        raise UsageError(f"no data at {path}{meant or f'; {FORMS}'}")
    suffix = path.suffix.lower()
    if path.is_dir():
        return "images" if not any(path.glob("*.npy")) and holds_images(path) else "shards"
    if suffix in TABLES:
        return "csv"
    if suffix == ".npy":
        return "npy"
    if suffix in SUFFIXES:
        raise UsageError(
            f"{path} is a single image; give the folder that holds the images: {FORMS}"
        )
    return "npz"  # whatever its name is


def _read(path, form, options, say):
    """Returns what a reader has found."""
    if form == "shards":
        from shared.beyond.shards import read_shards

        arrays, release = read_shards(path, say)
        return Found(arrays, labels_from="y_train", release=release)
    if form == "images":
        return read_folder(path, options.get("image_size"))
    if form == "csv":
        return read_table(path, options.get("label_column"), options.get("scale"))
    if form == "npy":
        return Found({"x_train": [read_array(path)]})
    return Found(read_arrays(path), labels_from="y_train")


def _hashable(parts):
    """Returns parts whose bytes are numbers: texts are hashed as UTF-8, each with its end."""
    if parts[0].dtype.kind != "U":
        return parts
    return [np.frombuffer("".join(f"{text}\0" for text in y).encode(), np.uint8) for y in parts]


def _sixteen_bits(arrays):
    """Returns what is told about pixels of sixteen bits, which may hold eight."""
    images = [parts[0] for name, parts in arrays.items() if name.startswith("x")]
    most = max(int(x.max()) for x in images if x.size)
    dark = f"; the largest value is {most}: save x.astype('uint8') if white is 255"
    return f"divided by 65535{dark if most <= 255 else ''}"


def described(fields, found):
    """Returns one line that says what was understood.

    Args:
        fields: fields of shared.data.Data.
        found: shared.data.parts.Found.
    """
    shape, n_train, n_test = fields["image_shape"], len(fields["x_train"]), len(fields["x_test"])
    one_split = found.split and " in train" not in found.split
    count = f"{n_train + n_test:,}" if one_split else f"{n_train:,} + {n_test:,}"
    if len(shape) == 1:
        names = ", ".join(fields["columns"][:3]) + (", …" if shape[0] > 3 else "")
        what = f"rows of {shape[0]} columns ({names})"
    else:
        kind = {(): "grey", (3,): "RGB", (4,): "RGBA"}[tuple(shape[2:])]
        what = f"{kind} images of {shape[0]} × {shape[1]}"
    if fields["y_train"] is None:
        labels = "no labels (figures without colours, no k-NN accuracy, no silhouette)"
    else:
        classes = len(np.union1d(fields["y_train"], fields["y_test"]))
        labels = f"{classes:,} class{'es' * (classes != 1)} from {found.labels_from}"
    parts = [f"{fields['name']}: {count} {what}", labels, found.split or "train and test as given"]
    if "x_valid" in fields:
        parts.append(f"{len(fields['x_valid']):,} to watch in training")
    if fields["scaling"]:
        scale = fields["scaling"].scale
        of = " of each column" if len(shape) == 1 else " of all pixels"
        parts.append(SCALED[scale] + (f"{of} in the training part" if scale != "none" else ""))
    return ", ".join([*parts, *found.notes])
