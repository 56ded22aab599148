"""Opens a results page in Chromium, for the benchmark and for the figure of its explorer."""

import contextlib
import sys
from pathlib import Path

from shared.machine.checks import UsageError

__all__ = ["opened"]

VIEWPORT = {"width": 1280, "height": 900}


@contextlib.contextmanager
def opened(path, throttle=1):
    """Opens a page that reproduce.py wrote, and waits until its explorer runs.

    Args:
        path: path of index.html.
        throttle: by how much the browser slows its processor down.
    Yields:
        playwright's page.
    Raises:
        UsageError: there is no page, no playwright or no Chromium.
    """
    if not path.is_file():
        raise UsageError(f"there is no page at {path}; write one with: python reproduce.py")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UsageError(
            "needs playwright and Chromium; install both with: make test-page"
        ) from None
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))
    from browser import NO_BROWSER, executable, until

    chromium = executable()
    if chromium is None:
        raise UsageError(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page(viewport=VIEWPORT)
        if throttle != 1:
            session = page.context.new_cdp_session(page)
            session.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
        page.goto(path.resolve().as_uri())
        until(page, "window.vae")
        yield page
        browser.close()
