"""Fixtures of the browser tests, a pytest plugin: results pages, and a Chromium that opens them."""

import numpy as np
import pytest
from browser import NO_BROWSER, executable, until

import reproduce
from shared.run.files import npz_bytes, step_of
from shared.run.folder import write_product

HOSTILE = "<img src=x onerror=alert(1)><!--<script>"  # '/' can't stand in a file's name


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """A small real job on real digits: post-keras after epochs 1 and 2."""
    folder = tmp_path_factory.mktemp("page") / "results"
    arguments = ["--data", "mnist-5k", "--epochs", "1", "2", "--steps", "10", "--out", str(folder)]
    assert reproduce.main(arguments) == 0
    return folder


@pytest.fixture(scope="session")
def odd_results(tmp_path_factory):
    """A job on images that are not square, under a hostile name, with one bit changed after it.

    The name, the page while all bits are equal, and the page after one has changed.
    """
    folder = tmp_path_factory.mktemp("odd")
    path, random = folder / f"{HOSTILE}.npz", np.random.RandomState(0)
    x, y = random.randint(0, 256, (300, 5, 7)).astype(np.uint8), random.randint(0, 3, 300)
    np.savez(path, x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    arguments = ["--data", str(path), "--epochs", "1", "--steps", "2", "--out", str(folder / "out")]
    assert reproduce.main(arguments) == 0
    equal = (folder / "out" / "index.html").rename(folder / "equal.html")
    weights_path = folder / "out" / "tf" / "post-keras" / "weights_epoch_001.npz"
    with np.load(weights_path) as file:
        weights = dict(file)
    weights["decoder/logits/bias"].view(np.uint32)[3] ^= 1
    content = npz_bytes(weights, step_of(weights_path))
    write_product(weights_path.parent, weights_path.name, content)  # as if trained so
    assert reproduce.main([*arguments, "--resume"]) == 1
    return HOSTILE, equal, folder / "out" / "index.html"


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """A job with weights after epochs 1 and 3, and with the animation, which also shows epoch 2."""
    folder = tmp_path_factory.mktemp("film")
    random = np.random.RandomState(0)
    x, y = random.randint(0, 256, (300, 5, 7)).astype(np.uint8), random.randint(0, 3, 300)
    np.savez(folder / "x.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    arguments = ["--quick", "--data", str(folder / "x.npz"), "--epochs", "1", "3", "--animate"]
    assert reproduce.main([*arguments, "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    path = executable()
    assert path, NO_BROWSER
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """visit(path, **context options): the page once its explorer runs.

    After the test: no error was logged, nothing was asked of any network, no dialog opened.
    """
    contexts, seen = [], {"errors": [], "requests": [], "dialogs": []}

    def visit(path, **options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda each: each.type == "error" and seen["errors"].append(each.text))
        page.on("pageerror", lambda error: seen["errors"].append(str(error)))
        page.on("request", lambda request: seen["requests"].append(request.url))
        page.on("dialog", lambda dialog: (seen["dialogs"].append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        until(page, "window.vae")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert seen["errors"] == [] and seen["dialogs"] == []
    # A worker is a file that the page has made of its own text.
    requests = [url for url in seen["requests"] if not url.startswith("blob:")]
    assert len(requests) == len(contexts)
    assert all(url.startswith("file:///") for url in requests)


@pytest.fixture
def page(visit, results):
    return visit(results / "index.html")
