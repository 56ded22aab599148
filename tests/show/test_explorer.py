"""The display and actions of the explorer of results/index.html, in a browser (make test-page)."""

import numpy as np
import pytest
from browser import canvas, z_of

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser


def test_the_pointer_moves_z_and_a_click_fixes_it(page):
    plane, limit = page.locator("#plane"), page.evaluate("vae.limit")
    side = plane.bounding_box()["width"]
    pixel = 2 * limit / side  # in z: the pointer is at whole pixels
    before = canvas(page, "digit")
    plane.hover(position={"x": side / 4, "y": side / 4})
    np.testing.assert_allclose(z_of(page), [-limit / 2, limit / 2], atol=pixel)
    assert (canvas(page, "digit") != before).any()
    plane.click(position={"x": 3 * side / 4, "y": side / 4})
    plane.hover(position={"x": side / 2, "y": side / 2})
    np.testing.assert_allclose(z_of(page), [limit / 2, limit / 2], atol=pixel)
    plane.dblclick(position={"x": side / 4, "y": side / 4})
    plane.hover(position={"x": side / 2, "y": side / 2})
    np.testing.assert_allclose(z_of(page), [0, 0], atol=pixel)


def test_keys_move_z_and_the_focus_is_visible(page):
    limit = page.evaluate("vae.limit")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "plane":
            break
    outline = page.locator("#plane").evaluate("c => getComputedStyle(c).outline")
    assert "solid" in outline and "3px" in outline
    page.keyboard.press("Home")
    before, scrolled = canvas(page, "digit"), page.evaluate("scrollY")
    for key, moved in (
        ("ArrowRight", (1, 0)),
        ("ArrowUp", (1, 1)),
        ("Shift+ArrowLeft", (-4, 1)),
        ("Shift+ArrowDown", (-4, -4)),
    ):
        page.keyboard.press(key)
        np.testing.assert_allclose(z_of(page), limit / 50 * np.array(moved), atol=1e-9)
    assert (canvas(page, "digit") != before).any() and page.evaluate("scrollY") == scrolled
    for _ in range(20):
        page.keyboard.press("Shift+ArrowUp")
    assert z_of(page)[1] == limit  # z stays in the plane
    page.keyboard.press("Home")
    assert (z_of(page) == 0).all() and (canvas(page, "digit") == before).all()


def test_the_slider_changes_the_digit_and_keeps_z(page):
    page.evaluate("vae.moveTo([1, 1])")
    last = canvas(page, "digit")
    page.locator("#epoch").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("vae.state.epoch.epoch") == 1
    assert (canvas(page, "digit") != last).any() and (z_of(page) == 1).all()
    page.keyboard.press("ArrowRight")
    assert (canvas(page, "digit") == last).all()


def touch_stroke(page, name, points):
    """Moves a finger over a canvas, through points in units of its side."""
    page.locator(f"#{name}").scroll_into_view_if_needed()
    box, session = page.locator(f"#{name}").bounding_box(), page.context.new_cdp_session(page)

    def send(kind, *at):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(at)})

    at = [{"x": box["x"] + u * box["width"], "y": box["y"] + v * box["width"]} for u, v in points]
    send("touchStart", at[0])
    for each in at[1:]:
        send("touchMove", each)
    send("touchEnd")


def test_a_finger_moves_z_and_draws_on_a_phone(visit, results):
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = visit(results / "index.html", **phone, device_scale_factor=2)
    assert (
        page.evaluate("document.documentElement.scrollWidth") == 360
    )  # nothing is wider than the window
    limit = page.evaluate("vae.limit")
    # Sideways first: a finger that moves up or down scrolls the page.
    touch_stroke(page, "plane", [(0.5, 0.5), (0.6, 0.49), (0.7, 0.4), (0.75, 0.25)])
    np.testing.assert_allclose(z_of(page), [limit / 2, limit / 2], rtol=0.03)  # 3 pixels of 328 / 4
    touch_stroke(page, "pad", [(0.5, 0.2), (0.5, 0.5), (0.5, 0.8)])
    assert canvas(page, "seen").any()
    assert "mean" in page.locator("#posterior").inner_text()


@pytest.mark.parametrize(
    "points",
    [
        [(0.1, 0.1), (0.3, 0.1), (0.3, 0.5), (0.25, 0.9)],  # a 7 at the left, large
        [(0.7, 0.8), (0.75, 0.85), (0.8, 0.8)],  # small, in a corner
        [(0.5, 0.5)],  # a dot
    ],
)
def test_a_drawing_becomes_an_image_like_mnists(page, points):
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    at = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for each in at[1:]:
        page.mouse.move(*each, steps=3)
    page.mouse.up()
    seen = canvas(page, "seen").reshape(28, 28) / 255
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if len(points) > 1:  # the longer side fills 20 pixels, as in 9,979 of MNIST's test images
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    indices = np.arange(28)
    for axis in (0, 1):  # as in all of MNIST's test images; 0.01 for 256 greys
        centre = (seen.sum(axis=1 - axis) * indices).sum() / seen.sum()
        assert 13.49 <= centre <= 14.51
    edge = seen[(seen > 0) & (seen < 1)]
    assert seen.max() == 1 and len(edge) > 3  # anti-aliased
    page.locator("#clear").click()
    assert page.evaluate("vae.state.strokes.length") == 0


def press_and_drag(page, start, points):
    """Presses the mouse at `start` and moves it through points, in pixels of the window."""
    page.mouse.move(*start)
    page.mouse.down()
    for each in points:
        page.mouse.move(*each, steps=3)
    page.mouse.up()


def test_a_drag_that_begins_outside_the_pad_or_the_plane_changes_nothing(page):
    # The fixture fails the test if the page logs an error, as it did when no stroke was begun.
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    beside = box["x"] + box["width"] / 2, box["y"] - 8
    press_and_drag(page, beside, [middle])
    assert page.evaluate("vae.state.strokes.length") == 0
    press_and_drag(page, middle, [(middle[0] + 20, middle[1])])
    strokes = page.evaluate("vae.state.strokes")
    assert len(strokes) == 1
    press_and_drag(page, beside, [middle])  # it must not go on with the finished stroke
    assert page.evaluate("vae.state.strokes") == strokes

    plane = page.locator("#plane")
    plane.scroll_into_view_if_needed()
    plane.click(position={"x": 30, "y": 30})  # holds z
    held, box = z_of(page), plane.bounding_box()
    below = box["x"] + box["width"] / 2, box["y"] + box["height"] + 8
    press_and_drag(page, below, [(below[0], box["y"] + box["height"] / 2)])
    assert (z_of(page) == held).all()


def test_only_the_first_finger_and_the_left_button_draw(page):
    pad = page.locator("#pad")
    pad.click(button="right")
    assert page.evaluate("vae.state.strokes.length") == 0
    pad.dispatch_event("pointerdown", {"button": 0, "isPrimary": False, "pointerId": 7})
    assert page.evaluate("vae.state.strokes.length") == 0


def test_every_canvas_has_an_image_when_the_page_opens(page):
    seen = canvas(page, "seen")
    assert len(seen) == 28 * 28 and seen.max() > 200  # a test image, white on black
    first = page.locator("#tests canvas").first
    pixels = first.evaluate(
        "c => Array.from(c.getContext('2d').getImageData(0, 0, 28, 28).data)"
        ".filter((value, i) => i % 4 === 0)"
    )
    assert (seen == pixels).all()
    assert len(canvas(page, "reconstruction")) == 28 * 28 and canvas(page, "reconstruction").any()
    lens = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(Boolean)"
    assert page.locator("#lens").evaluate(lens)  # transparent where nothing is drawn
    for name in ("seen", "reconstruction", "lens", "digit"):
        box = page.locator(f"#{name}").bounding_box()
        # One pixel: the side of a square in a flexible grid is not a whole number.
        assert abs(box["width"] - box["height"]) < 1 and box["width"] >= 90, name
    text = page.locator("#posterior").inner_text()
    assert "mean" in text and "KL" in text
    pressed = page.locator("#tests button[aria-pressed=true]")
    assert pressed.count() == 1 and "class 0" in pressed.get_attribute("aria-label")


def test_the_pressed_test_image_is_the_one_that_is_shown(page):
    page.locator("#tests button").nth(4).click()
    pressed = page.locator("#tests button[aria-pressed=true]")
    assert pressed.count() == 1 and "class 4" in pressed.get_attribute("aria-label")
    page.locator("#pad").click()
    assert pressed.count() == 0  # now a drawing is shown


def test_labels_of_classes_do_not_cover_each_other(page):
    """Labels 24 pixels high are moved apart, however close the centres of their classes are."""
    for points in ([[50, 50]] * 10, [[50, 50], [51, 50], [50, 52], [200, 200]]):
        moved = np.array(page.evaluate("p => apart(p, 22)", points))
        distances = np.hypot(*(moved[:, None] - moved[None]).transpose(2, 0, 1))
        # Each round at least halves the missing distance; half a pixel is not visible.
        assert distances[np.triu_indices(len(moved), 1)].min() > 21.5
    assert moved[-1].tolist() == [200, 200]  # far from all others: not moved


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_window(visit, results, width):
    page = visit(results / "index.html", viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_axes_are_named_in_full(page):
    for axis in (0, 1):
        name = f"z[{axis}], at quantiles 0.05 to 0.95 of N(0, 1)"
        assert page.get_by_text(name, exact=True).is_visible()
