"""The page on screens of all sizes, in both schemes, on paper, and for assistive technology."""

import re

import pytest
from browser import canvas, checked_by_axe, until, z_of

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser

PHONE = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}


def boxes(page, *names):
    """{name: [left, top, right, bottom]} of elements, in pixels from the top of the page."""
    script = """names => names.map((name) => {
      const box = document.getElementById(name).getBoundingClientRect();
      return [box.left, box.top + scrollY, box.right, box.bottom + scrollY];
    })"""
    return dict(zip(names, page.evaluate(script, list(names)), strict=True))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1280, 720), (1024, 768)])
def test_on_a_desktop_the_plane_and_the_pad_are_side_by_side(
    visit, results, width, height, language
):
    page = visit(
        results / "index.html", viewport={"width": width, "height": height}, locale=language
    )
    seen = boxes(page, "plane", "pad", "digit", "seen", "reconstruction", "epoch")
    for name, (_, _, _, bottom) in seen.items():
        assert bottom <= height, name
    plane, pad = seen["plane"], seen["pad"]
    assert plane[2] <= pad[0] and max(plane[1], pad[1]) < min(plane[3], pad[3])
    assert pad[2] - pad[0] >= 240 and plane[2] - plane[0] >= 300


@pytest.mark.parametrize("language", ["en", "zh"])
def test_on_a_phone_the_plane_and_then_the_pad_are_within_two_screens(visit, results, language):
    page = visit(
        results / "index.html", viewport={"width": 390, "height": 844}, locale=language, **PHONE
    )
    seen = boxes(page, "plane", "pad", "digit")
    assert seen["plane"][3] <= 844 and seen["digit"][3] <= 844
    assert seen["plane"][3] <= seen["pad"][1] and seen["pad"][3] <= 2 * 844
    assert seen["pad"][2] - seen["pad"][0] >= 240


@pytest.mark.parametrize("width", [320, 390, 640, 720, 844, 1024, 1440])
def test_no_window_is_too_narrow(visit, results, width):
    """640 and 720 are windows of 1280 and 1440 at 200 %."""
    page = visit(results / "index.html", viewport={"width": width, "height": 800})
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    plane, pad = boxes(page, "plane", "pad").values()
    for box in (plane, pad):
        assert box[0] >= 0 and box[2] <= width and box[2] - box[0] >= 200


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("width", [320, 390, 640, 844, 1280])
def test_no_button_of_the_header_covers_words(visit, results, width, language):
    page = visit(results / "index.html", viewport={"width": width, "height": 844}, locale=language)
    script = """() => {
      const edges = (box) => [box.left, box.top, box.right, box.bottom];
      const boxes = (each) => Array.from(each.getClientRects(), edges);
      const header = document.querySelector("header"), words = [];
      const walker = document.createTreeWalker(header, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const text = walker.currentNode;
        if (!text.data.trim() || text.parentElement.closest("button")) continue;
        const range = document.createRange();
        range.selectNodeContents(text);
        words.push(...boxes(range));
      }
      return [words, Array.from(header.querySelectorAll("button"), (each) => boxes(each)[0])];
    }"""
    words, buttons = page.evaluate(script)
    assert len(words) > 3 and len(buttons) == 2
    for a in buttons:
        for b in words:
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, (a, b)


def swipe(page, name, begin, end):
    """A finger on an element, from one place to another, in shares of its size."""
    box, session = page.locator(f"#{name}").bounding_box(), page.context.new_cdp_session(page)
    at = [
        {"x": box["x"] + u * box["width"], "y": box["y"] + v * box["height"]}
        for u, v in [
            tuple(a + (b - a) * n / 10 for a, b in zip(begin, end, strict=True)) for n in range(11)
        ]
    ]
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at[0]]})
    for each in at[1:]:
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [each]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_that_moves_up_on_the_plane_scrolls_the_page(visit, results):
    page = visit(results / "index.html", viewport={"width": 390, "height": 844}, **PHONE)
    z = z_of(page)
    swipe(page, "plane", (0.5, 0.9), (0.5, 0.1))
    until(page, "scrollY > 100")
    assert (z_of(page) == z).all() and not page.evaluate("vae.state.held")
    page.wait_for_timeout(1500)  # until the page has come to rest
    page.evaluate("scrollTo(0, 0)")
    swipe(page, "plane", (0.1, 0.5), (0.9, 0.5))
    assert page.evaluate("scrollY") == 0
    assert z_of(page)[0] > 0.7 * page.evaluate("vae.limit")


def test_on_paper_the_page_has_one_or_two_sides(visit, results):
    page = visit(results / "index.html")
    page.emulate_media(media="print")
    content = page.pdf(format="A4", print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", content)) <= 2
    assert page.evaluate("colour('--paper')").strip() == "#fff"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_with_forced_colours_lines_and_text_are_visible(visit, results, scheme):
    page = visit(results / "index.html", forced_colors="active", color_scheme=scheme)
    script = """([selector, name]) => {
      const probe = document.body.appendChild(document.createElement("p"));
      probe.style.color = "CanvasText";
      const [text, own] = [probe, document.querySelector(selector)].map((e) => getComputedStyle(e));
      return [text.color, own[name]];
    }"""
    for selector, name in (("#net text", "fill"), ("#net .term", "stroke"), ("h1", "color")):
        wanted, found = page.evaluate(script, [selector, name])
        assert wanted == found, selector
    assert canvas(page, "digit").max() > 100


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(visit, results, scheme, language):
    page = visit(results / "index.html", color_scheme=scheme, locale=language)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.evaluate("vae.moveTo([vae.limit, vae.limit])")  # with the line that z is far
    violations, passes = checked_by_axe(page)
    assert violations == []
    assert len(passes) > 20


def test_the_keyboard_reaches_every_control_in_the_order_of_the_page(page):
    wanted = ["language", "plane", "epoch", "clear", "copy", "save", "draw"]
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.id")
        if name in wanted:
            reached.append(name)
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", name
        if name == wanted[-1]:
            break
    assert reached == wanted


def test_a_line_says_that_the_model_is_loaded_before_it_is(chromium, results):
    """The first paint does not wait for the data: the line and the sentence are there before."""
    source = (results / "index.html").read_text(encoding="utf-8")
    assert source.index('id="loading"') < source.index('id="explorer-data"')
    with chromium.new_context() as context:
        page = context.new_page()
        page.add_init_script(
            "window.requestAnimationFrame = () => 0;"  # the explorer never begins
        )
        page.goto((results / "index.html").as_uri())
        assert page.locator("#loading").is_visible()
        assert "variational autoencoder" in page.locator(".lead").inner_text()
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto((results / "index.html").as_uri())
        until(page, "window.vae")
        assert not page.locator("#loading").is_visible()


def test_a_browser_that_cannot_unpack_says_so(chromium, results):
    with chromium.new_context() as context:
        page = context.new_page()
        page.add_init_script("delete window.DecompressionStream;")
        page.goto((results / "index.html").as_uri())
        until(page, "document.getElementById('loading').textContent.includes('2023')")
