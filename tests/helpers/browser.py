"""The browser for the tests of the page, and what they read from it; as a script, installs it."""

import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

NO_BROWSER = (
    "no browser to test the page with, and none could be installed; install one with"
    " `apt-get install chromium` or `.venv/bin/python -m playwright install --with-deps chromium`"
)


def executable():
    """The path of a Chromium, or None. One from snap cannot read temporary files: it is ignored."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    names = ("google-chrome", "chromium")
    paths = [own if Path(own).exists() else None, *map(shutil.which, names)]
    return next((path for path in paths if path and not path.startswith("/snap/")), None)


def until(page, script, seconds=15):
    """Waits until a script is true; the page forbids the eval in playwright's own waiting."""
    for _ in range(20 * seconds):
        if page.evaluate(f"Boolean({script})"):
            return
        page.wait_for_timeout(50)
    raise TimeoutError(f"not true within {seconds} s: {script}")


def canvas(page, name):
    """The grey pixels of a canvas, (n,) integers."""
    script = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    rgba = np.array(page.locator(f"#{name}").evaluate(script)).reshape(-1, 4)
    assert (rgba[:, :3] == rgba[:, :1]).all() and (rgba[:, 3] == 255).all()
    return rgba[:, 0]


def z_of(page):
    return np.array(page.evaluate("vae.state.z"))


def choose(page, number):
    """Sets the slider to a stored epoch, by its number from 0."""
    page.locator("#epoch").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        number,
    )


def checked_by_axe(page):
    """What axe finds on a page: [(rule, HTML of what breaks it), …], and the rules that hold."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    violations = [
        (each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]
    ]
    return violations, found["passes"]


def install():
    """Tries playwright's download, then Debian's package."""
    playwright, root = [sys.executable, "-m", "playwright"], os.name == "posix" and not os.geteuid()
    ways = [[[*playwright, "install", "chromium"]]]
    if root:
        ways[0].append([*playwright, "install-deps", "chromium"])
        ways.append([["apt-get", "update"], ["apt-get", "install", "-y", "chromium"]])
    for commands in ways:
        if all(_succeeds(command) for command in commands):
            return


def _succeeds(command):
    print(f"there is no browser yet; trying: {' '.join(command)}", file=sys.stderr)
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    if executable() is None:
        install()
    sys.exit(None if executable() else NO_BROWSER)
