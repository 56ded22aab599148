"""Takes the picture of the explorer that docs/results.md shows, with a 3 drawn by the mouse."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from chromium import opened

from shared.command.line import exit_status

# A 3 in the drawing field, in shares of its side.
STROKE = (
    (0.30, 0.28), (0.38, 0.18), (0.52, 0.18), (0.66, 0.24), (0.66, 0.36), (0.58, 0.45),
    (0.46, 0.48), (0.60, 0.52), (0.70, 0.62), (0.68, 0.76), (0.54, 0.84), (0.38, 0.82),
    (0.28, 0.72),
)  # fmt: skip


@dataclass
class Picture:
    """Draw a 3 on a page that reproduce.py wrote, and save a picture of its explorer."""

    page: Annotated[Path, tyro.conf.Positional] = Path("results/index.html")
    """Path of the page."""
    out: Path = Path("docs/figures/explorer.png")
    """File of the picture."""


def main():
    """Opens the page, draws, and takes the picture."""
    job = tyro.cli(Picture, prog="benchmarks/page_picture.py")
    with opened(job.page) as page:
        field = page.locator("#pad")
        field.scroll_into_view_if_needed()
        box = field.bounding_box()
        points = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in STROKE]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=5)
        page.mouse.up()
        page.mouse.move(0, 0)
        page.wait_for_timeout(1500)  # until the marks of changed numbers have faded
        page.locator("main > section").first.screenshot(path=job.out)
    print(f"{job.out} shows the explorer of {job.page}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
