"""How fast the explorer of a results page is, in Chromium: first paint, and the redraw of a drag.

A redraw is timed in the page, by `performance.now` around one pointer event: from the pointer to
the digit decoded and drawn, with a pixel of both canvases read back so that no drawing is left for
later. Beside it the time between two frames while a real mouse drags.
"""

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from shared.cli import exit_status
from shared.config import UsageError

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
    """First paint, and the redraw of a drag, of a page that reproduce.py wrote."""

    page: Annotated[Path, tyro.conf.Positional] = Path("results/index.html")
    """The page."""
    moves: int = 2000
    """Pointer moves that are timed."""


def main():
    """Open the page, drag, print."""
    drag = tyro.cli(Drag, prog="benchmarks/page_drag.py")
    if drag.moves < 100:
        raise UsageError(f"--moves is {drag.moves}; expected an integer >= 100")
    if not drag.page.is_file():
        raise UsageError(f"no page at {drag.page}; make one with: python reproduce.py")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UsageError("needs playwright and a Chromium; get both by: make test-page") from None
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from browser import NO_BROWSER, executable, until

    path = executable()
    if path is None:
        raise UsageError(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(drag.page.resolve().as_uri())
        until(page, "window.vae")
        ready = page.evaluate("performance.now()")
        page.wait_for_timeout(1000)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        redraws = sorted(page.evaluate(REDRAWS, drag.moves))
        frames = _frames_of_a_drag(page)
        version = browser.version
        browser.close()
    print(f"{drag.page}, {drag.page.stat().st_size:,} bytes; Chromium {version}, 1280 × 900")
    print(f"first paint {paint:.0f} ms, explorer ready {ready:.0f} ms after opening")
    print(f"{drag.moves:,} redraws: {_summary(redraws)}")
    within = sum(each <= FRAME for each in redraws) / len(redraws)
    print(f"within {FRAME} ms: {within:.1%}")
    print(f"{len(frames)} frames of a mouse's drag: {_summary(sorted(frames))}")


def _frames_of_a_drag(page):
    """The ms between two frames while a mouse circles in the plane with its button down."""
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
