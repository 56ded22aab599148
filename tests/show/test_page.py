"""The results page: its HTML, and its display in a real browser (make test-page)."""

import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from browser import canvas
from jinja2 import UndefinedError
from PIL import Image

from shared.config import recipe
from shared.data import load_data
from shared.show.page.explorer import explorable
from shared.show.page.html import page as assemble

pytest_plugins = ["page_fixtures"]


@pytest.mark.browser
def test_a_hostile_name_is_text_and_odd_images_break_nothing(visit, odd_results):
    hostile, equal, _ = odd_results
    page = visit(equal)
    assert hostile in page.locator(".badge").inner_text()
    assert page.locator("img[src=x]").count() == 0
    page.locator("#plane").hover(position={"x": 100, "y": 100})
    assert len(canvas(page, "digit")) == 5 * 7
    assert page.locator("#digit").evaluate("c => [c.width, c.height]") == [7, 5]
    assert not page.locator("#pad").is_visible()  # likeMnist makes 28 × 28
    page.locator("#tests button").first.click()
    assert "mean" in page.locator("#posterior").inner_text()
    assert not page.locator("#epoch").is_visible()  # there is one epoch
    assert page.locator("#epoch-value").inner_text() == "epoch 1 of 1"
    assert page.locator(".bad").count() == 0
    assert "are bit-identical" in page.inner_text("main")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_differing_bit_is_reported_in_red(visit, odd_results, scheme):
    page = visit(odd_results[2], color_scheme=scheme)
    for where in (".badge.bad", "section > p.bad", ".proof.bad"):
        assert "A BIT DIFFERS" in page.locator(where).inner_text()
        colour = page.locator(where).evaluate("e => getComputedStyle(e).color")
        red, green, blue = (int(part) for part in colour[4:-1].split(","))
        assert red > green + 100 and red > blue + 100


@pytest.mark.browser
def test_a_name_that_ends_the_script_is_text(visit, results, tmp_path):
    """A text that no file name can have, in every text of a page that still works."""
    source = (results / "index.html").read_text(encoding="utf-8")
    assert source.count("</script>") == 12
    found = {}
    for part in ("explorer-data", "trainer-data"):
        start = source.index(f'id="{part}">') + len(f'id="{part}">')
        found[part] = json.loads(source[start : source.index("</script>", start)])
    data, trainer = found.values()
    name = "<script>alert(1)</script>"
    for each in (data, trainer):
        each["classes"] = [name] * len(each["classes"])
    sections = [(name, [("explorer", (data, True, [name], [])), ("code", name)])]
    path = tmp_path / "hostile.html"
    html = assemble(name, [name], True, sections, trainer=trainer)
    path.write_text(html, encoding="utf-8")
    page = visit(path)
    assert page.locator("h1").inner_text() == page.locator("h2").first.inner_text() == name
    assert name in page.locator("#tests button").first.get_attribute("aria-label")
    assert page.evaluate("document.scripts.length") == 12


def test_a_run_on_colour_images_has_no_explorer():
    config, grey = recipe("post-keras"), load_data("mnist-5k")
    assert explorable(config, grey)
    # The same 784 numbers per image, as 28 × 14 pixels of two channels.
    assert not explorable(config, dataclasses.replace(grey, image_shape=(28, 14, 2)))
    assert not explorable(dataclasses.replace(config, latent_dim=3), grey)
    assert not explorable(dataclasses.replace(config, activation="tanh"), grey)


def test_every_kind_of_block_is_on_the_page_and_its_text_is_escaped(tmp_path):
    texts = iter(f"<i>{number}&'\"</i>" for number in range(100))
    path = tmp_path / "figure.png"
    Image.new("RGB", (3, 2), "red").save(path)
    table = ([next(texts), next(texts)], [[next(texts), 1.5]])
    blocks = [
        ("text", next(texts)),
        ("code", next(texts)),
        ("figures", [(path, next(texts))]),
        ("table", table),
        ("explorer", ({"classes": [next(texts)]}, True, [next(texts)], [(path, next(texts))])),
    ]
    html = assemble(next(texts), [next(texts)], True, [(next(texts), blocks)])
    used = int(re.search(r"\d+", next(texts))[0])
    for number in range(used):
        # The original text, escaped in HTML or in the explorer's JSON, and in no other form.
        assert f"&lt;i&gt;{number}&amp;" in html or f"\\u003ci\\u003e{number}\\u0026" in html
    assert "<i>" not in html
    assert "figcaption" in html
    assert base64.b64encode(path.read_bytes()).decode() in html
    assert "default-src 'none'" in html  # what it forbids is tested in a browser
    assert html.startswith("<!doctype html>") and html.endswith("</html>\n")


def test_a_grey_figure_is_stored_with_one_channel_and_the_same_pixels(tmp_path):
    random = np.random.RandomState(0)
    grey = random.randint(0, 256, (40, 50), np.uint8)
    coloured = np.stack([grey] * 3 + [np.full_like(grey, 255)], axis=-1)
    transparent, tinted = coloured.copy(), coloured.copy()
    transparent[0, 0, 3], tinted[5, 5, 0] = 254, grey[5, 5] ^ 1
    for name, pixels, mode in (
        ("grey", coloured, "L"),
        ("transparent", transparent, "RGBA"),
        ("tinted", tinted, "RGBA"),
    ):
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        html = assemble("t", [], True, [("s", [("figures", [(path, name)])])])
        content = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])
        with Image.open(io.BytesIO(content)) as image:
            assert image.mode == mode
            assert (np.asarray(image.convert("RGBA")) == pixels).all()
        assert len(content) < path.stat().st_size or mode == "RGBA"


def test_columns_of_numbers_are_aligned_at_the_right():
    rows = [["a", "−", "-1.50", 3, ""], ["b", "2", "1e-3", 0.0, "163.0"], ["c", "3", "0", 1, ""]]
    html = assemble("t", [], True, [("s", [("table", ("ABCDE", rows))])])
    for name, number in zip("ABCDE", (False, False, True, True, True), strict=True):
        assert (f'<th class="number">{name}</th>' in html) is number
    assert html.count('<td class="number">') == 3 * 3
    assert "<tbody>" in assemble("t", [], True, [("s", [("table", (["A"], []))])])  # no rows


def test_a_block_of_an_unknown_kind_is_refused():
    with pytest.raises(UndefinedError, match="poem"):
        assemble("t", [], True, [("s", [("poem", "roses")])])


@pytest.mark.browser
def test_without_javascript_the_text_and_pictures_are_there(chromium, results):
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((results / "index.html").as_uri())
        assert "variational autoencoder" in page.locator("h1").inner_text()
        assert "variational autoencoder" in page.locator(".lead").inner_text()
        assert "needs JavaScript" in page.locator("[data-text=explorer-noscript]").inner_text()
        for name in ("plane", "seen", "manifold", "epoch", "loading", "language"):
            assert not page.locator(f"#{name}").is_visible(), name
        pictures = page.locator("noscript img")
        assert pictures.count() == 2
        for n in range(2):
            assert pictures.nth(n).evaluate("image => image.complete && image.naturalWidth > 300")
            assert pictures.nth(n).is_visible()


@pytest.mark.browser
def test_the_policy_of_the_page_forbids_requests(chromium, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(assemble("t", [], True, []), encoding="utf-8")
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(path.as_uri())
        for directive, script in (
            ("connect-src", "fetch('http://127.0.0.1:9/').catch(() => {});"),
            ("img-src", "new Image().src = 'http://127.0.0.1:9/a.png';"),
        ):
            refused = page.evaluate(
                "() => new Promise((done) => { addEventListener('securitypolicyviolation',"
                f" (event) => done(event.effectiveDirective), {{ once: true }}); {script} }})"
            )
            assert refused == directive
