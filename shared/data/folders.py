"""Reads a folder of PNG and JPEG files, whose sub-folders are labels or the parts train and test.

Rules. Files and folders whose name begins with a dot are ignored, and so are files with another
suffix than .png, .jpg or .jpeg, whose number is told. A photo is turned as its EXIF entry says. A
transparent pixel is laid over black. Sixteen bits per pixel are reduced to eight. Images are grey
if the red, green and blue of every pixel of every file are equal, and otherwise RGB.
"""

import math
import warnings
from pathlib import Path

import numpy as np

from shared.data.parts import Found, drawn_order
from shared.machine.checks import UsageError
from shared.machine.memory import machine_memory
from shared.machine.npz import reason
from shared.machine.text import printable

__all__ = ["SUFFIXES", "holds_images", "read_folder"]

SUFFIXES = (".png", ".jpg", ".jpeg")
PARTS = {"train": "train", "test": "test", "valid": "valid", "val": "valid", "validation": "valid"}
FOUND = "expected images (.png, .jpg, .jpeg), in sub-folders named by their labels or in none"
HELP = "see docs/commands.md#your-own-data"


def holds_images(directory):
    """Returns whether a folder, its sub-folders or theirs have a file with a suffix of SUFFIXES."""
    levels = ("*", "*/*", "*/*/*")
    return any(_is_image(path) for level in levels for path in Path(directory).glob(level))


def read_folder(directory, size=None):
    """Reads the images of a folder.

    Args:
        directory: path of the folder: with images; with sub-folders of images, which are labels;
            or with the sub-folders train and test (and valid, if you like), each as one of these.
        size: (rows, columns) to which every image is resized, or None if all have one size.
    Returns:
        shared.data.parts.Found, with uint8 images.
    Raises:
        UsageError: a file is damaged or of another size, the folder is arranged otherwise, or the
            images do not fit into memory.
    """
    directory = Path(directory)
    folders, _, others = _contents(directory)
    parts = {PARTS[each.name]: each for each in folders if each.name in PARTS}
    if not {"train", "test"} <= parts.keys():
        parts = {"train": directory}
    elif extra := [each for each in folders if each.name not in PARTS]:
        raise UsageError(
            f"{directory} holds {printable(extra[0].name)} beside train and test; expected no other"
            f" sub-folders than train, test and valid; {HELP}"
        )
    files, labels = {}, {}
    for part, folder in parts.items():
        files[part], labels[part], more = _files(folder)
        others = others + more if folder != directory else more
    given = {part: each is not None for part, each in labels.items() if part != "valid"}
    if len(set(given.values())) > 1:
        with_labels = next(part for part, each in given.items() if each)
        raise UsageError(
            f"{directory}: {with_labels} has sub-folders, which are labels, and"
            f" {({*given} - {with_labels}).pop()} has none; expected them in both or in neither;"
            f" {HELP}"
        )
    images = _read(files, size, directory)
    arrays = {}
    for part, x in images.items():
        # In the order of the files, the images of a class would follow one another.
        order = drawn_order(len(x), f"folder/{part}") if len(parts) > 1 else slice(None)
        arrays[f"x_{part}"] = [x[order]]
        if labels[part] is not None and part != "valid":
            arrays[f"y_{part}"] = [np.array(labels[part])[order]]
    found = Found(arrays, labels_from="folder names")
    if len(parts) > 1:
        found.split = " and ".join(f"{len(x):,} in {part}" for part, x in images.items())
    if size:
        found.notes.append(f"resized to {size[0]} × {size[1]} (bilinear)")
    if others:
        name = printable(others[0].name)
        count = f" and {len(others) - 1} more" if len(others) > 1 else ""
        found.notes.append(f"without {name}{count}, no image by its suffix")
    return found


def _is_image(path):
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _contents(directory):
    """Returns the sub-folders, the images and the other files, each sorted by name."""
    try:
        paths = sorted(p for p in directory.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise UsageError(f"cannot read {directory}: {error.strerror or error}") from error
    folders = [path for path in paths if path.is_dir()]
    images = [path for path in paths if _is_image(path) and path not in folders]
    return folders, images, [p for p in paths if p not in folders and not _is_image(p)]


def _files(directory):
    """Returns the images of a part, their labels or None, and the files that are ignored."""
    folders, images, others = _contents(directory)
    if images and folders:
        raise UsageError(
            f"{directory} holds {printable(images[0].name)} beside the sub-folder"
            f" {printable(folders[0].name)}; expected images either in sub-folders, which are their"
            f" labels, or beside each other; {HELP}"
        )
    if not folders:
        if not images:
            raise UsageError(f"{directory} holds no images; {FOUND}; {HELP}")
        return images, None, others
    files, labels = [], []
    for folder in folders:
        deeper, images, more = _contents(folder)
        if deeper:
            raise UsageError(
                f"{folder} holds the folder {printable(deeper[0].name)}; expected images in it,"
                f" because a sub-folder is a label: give --data {folder}, or move it; {HELP}"
            )
        if not images:
            raise UsageError(f"{folder} holds no images; {FOUND}: remove it, or add images; {HELP}")
        files += images
        labels += [printable(folder.name)] * len(images)
        others = others + more
    return files, labels, others


def _read(files, size, directory):
    """Returns {part: (n, rows, columns) or (n, rows, columns, 3) uint8 array}."""
    paths = [path for each in files.values() for path in each]
    images, first = None, None
    for number, path in enumerate(paths):
        pixels = _pixels(path, size)
        if images is None:
            first = path
            images = _empty(len(paths), pixels.shape, directory)
        if pixels.shape[:2] != images.shape[1:3]:
            raise UsageError(
                f"{path} has {pixels.shape[0]} × {pixels.shape[1]} pixels and {first} has"
                f" {images.shape[1]} × {images.shape[2]} (rows × columns); expected one size: give"
                f" --image-size {images.shape[1]} {images.shape[2]}"
            )
        if pixels.ndim == 3 and images.ndim == 3:  # the first file that is not grey
            grey, images = images, _empty(len(paths), pixels.shape, directory)
            images[:number] = grey[:number, ..., None]
        images[number] = pixels if pixels.ndim == images.ndim - 1 else pixels[..., None]
    ends = np.cumsum([len(each) for each in files.values()])
    return dict(zip(files, np.split(images, ends[:-1]), strict=True))


def _empty(n, shape, directory):
    """Returns an array for n images; raises UsageError if they do not fit into memory."""
    bytes_needed = n * math.prod(shape)
    if bytes_needed > machine_memory():
        raise UsageError(
            f"{directory} holds {n:,} images, together {bytes_needed / 2**30:,.1f} GiB; this"
            f" machine has {machine_memory() / 2**30:,.1f} GiB of memory: give a smaller"
            " --image-size"
        )
    return np.empty((n, *shape), np.uint8)


def _pixels(path, size):
    """Returns the pixels of a file as uint8: (rows, columns) if they are grey, else (…, 3)."""
    from PIL import Image, ImageOps

    if not path.is_file():  # to open a named pipe would wait for its writer
        raise UsageError(f"cannot read {path}: it is not a file; expected an image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual entries, and large images
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                picture = _opaque(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UsageError(
            f"cannot read {path}: {reason(error)}; expected a PNG or JPEG: replace or remove it"
        ) from error
    if size and (picture.height, picture.width) != tuple(size):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        return pixels[..., 0]
    return pixels


def _opaque(image):
    """Returns an image as grey values (L) or colours (RGB), with transparent pixels over black."""
    from PIL import Image

    if image.mode.startswith("I"):  # sixteen bits per pixel
        return Image.fromarray((np.asarray(image).astype(np.int64) // 257).astype(np.uint8))
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return image.convert("L")
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image).convert("RGB")
    return image.convert("RGB")
