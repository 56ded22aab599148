"""Measures the speed of the explorer of a results page in Chromium: first paint and redraws.

A redraw is timed in the page with `performance.now`, from one pointer event until the digit is
decoded and drawn. A pixel of both canvases is read back, so that no drawing is deferred. The time
between two frames, while a simulated mouse drags, is measured too.
"""

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from chromium import opened

from shared.command.line import exit_status
from shared.machine.checks import UsageError

FRAME = 16  # ms
REDRAWS = """moves => {
  const plane = document.getElementById("plane"), digit = document.getElementById("digit");
  const box = plane.getBoundingClientRect(), times = [];
  for (let n = 0; n < moves; n++) {
    const x = box.left + box.width * (0.5 + 0.4 * Math.cos(0.37 * n));
    const y = box.top + box.height * (0.5 + 0.4 * Math.sin(0.53 * n));
    const event = new PointerEvent("pointermove", { clientX: x, clientY: y, buttons: 1 });
    const begin = performance.now();
    plane.dispatchEvent(event);
    for (const canvas of [plane, digit]) canvas.getContext("2d").getImageData(0, 0, 1, 1);
    times.push(performance.now() - begin);
  }
  return times;
}"""
FRAMES = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const step = (now) => {
    window.frames_ms.push(now - last);
    last = now;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}"""


@dataclass
class Drag:
    """Measure the first paint and the redraws of a page that reproduce.py wrote."""

    page: Annotated[Path, tyro.conf.Positional] = Path("results/index.html")
    """Path of the page."""
    moves: int = 2000
    """Number of pointer moves to time."""
    throttle: float = 1.0
    """By how much Chromium slows its processor down, e.g. 6 for a cheap phone."""


def main():
    """Opens the page, drags, and prints the times."""
    drag = tyro.cli(Drag, prog="benchmarks/page_drag.py")
    if drag.moves < 100:
        raise UsageError(f"--moves is {drag.moves}; expected an integer >= 100")
    if drag.throttle < 1:
        raise UsageError(f"--throttle is {drag.throttle}; expected a number >= 1")
    with opened(drag.page, drag.throttle) as page:
        usable, ready = (
            page.evaluate(f"performance.getEntriesByName('{name}')[0].startTime")
            for name in ("explorer usable", "explorer complete")
        )
        page.wait_for_timeout(1000)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        redraws = sorted(page.evaluate(REDRAWS, drag.moves))
        frames = _frames_of_a_drag(page)
        version = page.context.browser.version
    size = f"{drag.page.stat().st_size:,} bytes"
    print(f"{drag.page}, {size}; Chromium {version}, 1280 × 900, throttled {drag.throttle:g} times")
    print(
        f"after opening: first paint {paint:.0f} ms, explorer with the last epoch {usable:.0f} ms,"
        f" with all epochs {ready:.0f} ms"
    )
    print(f"{drag.moves:,} redraws: {_summary(redraws)}")
    within = sum(each <= FRAME for each in redraws) / len(redraws)
    print(f"within {FRAME} ms: {within:.1%}")
    print(f"{len(frames)} frames of a mouse's drag: {_summary(sorted(frames))}")


def _frames_of_a_drag(page):
    """Returns the ms between frames while a mouse with its button down moves over the plane."""
    page.locator("#plane").scroll_into_view_if_needed()
    box = page.locator("#plane").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.evaluate(FRAMES)
    for n in range(300):
        u, v = (n * 7 % 100) / 100, (n * 3 % 100) / 100
        page.mouse.move(box["x"] + u * box["width"], box["y"] + v * box["height"])
    frames = page.evaluate("window.frames_ms")
    page.mouse.up()
    return frames[1:]


def _summary(times):
    quantile = statistics.quantiles(times, n=100)
    return f"median {quantile[49]:.2f} ms, 99 % {quantile[98]:.2f} ms, largest {times[-1]:.2f} ms"


if __name__ == "__main__":
    sys.exit(exit_status(main))
