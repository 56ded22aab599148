"""The explorer's state in the URL, its saved picture, and its form in a frame (make test-page)."""

import io

import numpy as np
import pytest
from browser import canvas, choose, until
from PIL import Image

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser
NUMBERS = ("mean", "epsilon", "z", "loss")


def graph(page):
    return [page.locator(f"#net-{name}").text_content() for name in NUMBERS]


def opened(page, url):
    page.goto("about:blank")
    page.goto(url)
    until(page, "window.vae")


@pytest.fixture
def context(chromium):
    with chromium.new_context() as context:
        yield context


def test_the_url_shows_the_same_epoch_image_and_z_again(context, results):
    page = context.new_page()
    opened(page, (results / "index.html").as_uri())
    assert "#" not in page.url  # nothing was chosen yet
    choose(page, 0)
    page.locator("#tests button").nth(4).click()
    page.evaluate("vae.moveTo([0.5, -0.25])")
    until(page, "location.hash.includes('z=0.500,-0.250')")
    wanted, url = graph(page), page.url
    opened(page, url)
    assert page.evaluate("vae.state.epoch.epoch") == 1
    assert graph(page) == wanted and page.evaluate("vae.state.held")
    pressed = page.locator("#tests button[aria-pressed=true]")
    assert pressed.count() == 1 and "class 4" in pressed.get_attribute("aria-label")


def test_the_url_holds_the_strokes_of_a_drawing(context, results):
    page = context.new_page()
    opened(page, (results / "index.html").as_uri())
    box = page.locator("#pad").bounding_box()
    for stroke in ([(0.3, 0.2), (0.7, 0.2), (0.5, 0.8)], [(0.4, 0.5), (0.6, 0.5)]):
        page.mouse.move(*(box[k] + u * box["width"] for k, u in zip("xy", stroke[0], strict=True)))
        page.mouse.down()
        for u, v in stroke[1:]:
            page.mouse.move(box["x"] + u * box["width"], box["y"] + v * box["width"])
        page.mouse.up()
    until(page, "location.hash.includes('pen=')")
    strokes, seen = page.evaluate("vae.state.strokes"), canvas(page, "seen").astype(int)
    opened(page, page.url)
    again = page.evaluate("vae.state.strokes")
    assert [len(each) for each in again] == [len(each) for each in strokes] == [3, 2]
    for ours, theirs in zip(again, strokes, strict=True):
        # To the nearest hundredth of the pad's side.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.005 + 1e-9)
    # A hundredth is a quarter of a pixel, which anti-aliasing shows as part of a grey; a shape that
    # is another one would differ by more than a quarter on average over its ink.
    assert np.abs(canvas(page, "seen") - seen).sum() < 0.25 * seen.sum()
    assert page.locator("#tests button[aria-pressed=true]").count() == 0


@pytest.mark.parametrize(
    "fragment",
    ["z=nan,1", "z=99999,0", "z=1", "epoch=7&test=99", "pen=12x", "pen=", "test=-1", "%", "proof"],
)
def test_a_fragment_that_says_nothing_changes_nothing(visit, results, fragment):
    page = visit(results / "index.html")
    before = page.evaluate("[vae.state.epoch.epoch, vae.state.held]"), canvas(page, "seen").tolist()
    page.evaluate("hash => { location.hash = hash; }", fragment)
    page.wait_for_timeout(50)
    after = page.evaluate("[vae.state.epoch.epoch, vae.state.held]"), canvas(page, "seen").tolist()
    assert after == before and not page.evaluate("vae.state.held")


def test_the_link_is_copied_or_shown(chromium, results):
    for permissions in (["clipboard-read", "clipboard-write"], []):
        with chromium.new_context(permissions=permissions) as context:
            page = context.new_page()
            opened(page, (results / "index.html").as_uri())
            page.evaluate("vae.moveTo([0.5, -0.25])")
            if not permissions:  # as where the browser forbids it
                page.evaluate(
                    "() => { navigator.clipboard.writeText = () => Promise.reject(new Error()); }"
                )
            page.locator("#copy").click()
            until(page, "document.getElementById('shared').textContent")
            if permissions:
                copied = page.evaluate("navigator.clipboard.readText()")
                assert not page.locator("#link").is_visible()
            else:
                copied = page.locator("#link").input_value()
                assert page.locator("#link").is_visible()
            assert copied.startswith("file:///") and "z=0.500,-0.250" in copied


def test_the_saved_picture_has_the_plane_and_the_images(context, results, tmp_path):
    page = context.new_page()
    opened(page, (results / "index.html").as_uri())
    with page.expect_download() as download:
        page.locator("#save").click()
    assert download.value.suggested_filename == "vae.png"
    download.value.save_as(tmp_path / "vae.png")
    with Image.open(io.BytesIO((tmp_path / "vae.png").read_bytes())) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] == 1200
    coloured = np.ptp(pixels, axis=-1) > 60
    assert coloured[:, :600].sum() > 500  # dots of the classes
    assert (pixels[:, 600:] == 0).all(axis=-1).sum() > 50_000  # the black of the four images


def test_in_a_frame_only_the_explorer_is_shown(context, results):
    page = context.new_page()
    page.set_viewport_size({"width": 960, "height": 540})  # a frame of a slide
    opened(page, (results / "index.html").as_uri() + "?embed=1")
    for name in ("plane", "pad", "digit", "epoch"):
        assert page.locator(f"#{name}").is_visible()
        box = page.locator(f"#{name}").bounding_box()
        assert box["y"] + box["height"] <= 540, name
    for where in ("h1", "#proof", "#graph", ".badge"):
        assert not page.locator(where).is_visible(), where
