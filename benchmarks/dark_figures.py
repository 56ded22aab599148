"""Draws the figures of docs/figures again for a dark page, to the folder `dark` beside them.

A dark figure is computed from the pixels of the light one: every colour keeps its hue and becomes
as light as it was dark, and white becomes the background of GitHub's dark pages. Images, such as
the digits of a manifold, stay as they are. So no figure has to be measured again for it, and
`make test` notices a dark figure that is older than its light one.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["BACKGROUND", "dark_bytes", "darkened", "figures"]

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
BACKGROUND = (13, 17, 23)  # of GitHub's dark pages
AS_IT_IS = ("explorer.png",)  # a picture of the page in its light colours
WITH_IMAGES = ("autoencoder.png", "manifold_epoch_005.png", "manifold_epoch_050.png")
LUMA = np.array([0.2126, 0.7152, 0.0722])  # how light each channel looks, BT.709
GIF_HEADER = 13  # bytes before the first table of colours


def darkened(rgb):
    """Returns colours for a dark page: black becomes white, white the background; the hue stays.

    Args:
        rgb: (..., 3) uint8.
    Returns:
        array of the same shape and dtype.
    """
    rgb = np.asarray(rgb) / 255
    # One number is added to all channels, so that their differences, which are the hue, stay.
    turned = np.clip(rgb + 1 - 2 * (rgb @ LUMA)[..., None], 0, 1)
    background = np.array(BACKGROUND) / 255
    return np.round(255 * (background + (1 - background) * turned)).astype(np.uint8)


def dark_bytes(path):
    """Returns the bytes of the dark figure of a light one, a PNG or a GIF."""
    if path.suffix == ".gif":
        return _dark_gif(path.read_bytes())
    with Image.open(path) as picture:
        light = np.asarray(picture.convert("RGB"))
    dark = darkened(light)
    if path.name in WITH_IMAGES:
        box = _image_box(light)
        dark[box] = light[box]
    picture = Image.fromarray(dark)
    picture = picture.quantize(256, Image.Quantize.MAXCOVERAGE, 1, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _image_box(rgb):
    """Returns the slices of the rows and columns with images, whose background is black."""
    black = (rgb < 64).all(axis=2)
    rows, columns = (np.flatnonzero(black.mean(axis=axis) > 0.3) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _dark_gif(content):
    """Returns a GIF with dark tables of colours; the indices of its pixels stay as they are."""
    content = bytearray(content)

    def darken(flags, start):
        """Darkens the table that begins at `start`, if there is one, and returns its end."""
        end = start + (3 << (flags & 7) + 1 if flags & 128 else 0)
        table = np.frombuffer(bytes(content[start:end]), np.uint8).reshape(-1, 3)
        content[start:end] = darkened(table).tobytes() if len(table) else b""
        return end

    place = darken(content[10], GIF_HEADER)
    while content[place] != 0x3B:  # the end of the file
        if content[place] == 0x2C:  # a frame: its place and size, its table, the size of its codes
            place = darken(content[place + 9], place + 10) + 1
        else:  # an extension and its kind
            place += 2
        while content[place]:  # blocks, each after its length
            place += content[place] + 1
        place += 1
    return bytes(content)


def figures():
    """Returns {path of a light figure: path of its dark one}, of both languages."""
    folders = FIGURES, FIGURES / "zh-CN"
    paths = [path for folder in folders for path in sorted(folder.glob("*.[pg][ni][gf]"))]
    return {path: path.parent / "dark" / path.name for path in paths if path.name not in AS_IT_IS}


def main():
    """Writes the dark figures."""
    for light, dark in figures().items():
        dark.parent.mkdir(exist_ok=True)
        dark.write_bytes(dark_bytes(light))
    print(f"{len(figures())} figures have dark variants in {FIGURES} and in its folder zh-CN")


if __name__ == "__main__":
    main()
