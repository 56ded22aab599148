"""The results page: its HTML, and in a real browser what a reader sees of it (make test-page)."""

import json

import pytest
from browser import canvas

from shared.show.page import page as assemble

pytest_plugins = ["page_fixtures"]


@pytest.mark.browser
def test_a_hostile_name_is_text_and_odd_images_break_nothing(visit, odd_results):
    hostile, equal, _ = odd_results
    page = visit(equal)
    assert hostile in page.locator("h1").inner_text()
    assert page.locator("img[src=x]").count() == 0
    page.locator("#plane").hover(position={"x": 100, "y": 100})
    assert len(canvas(page, "digit")) == 5 * 7
    assert page.locator("#digit").evaluate("c => [c.width, c.height]") == [7, 5]
    assert not page.locator("#pad").is_visible()  # likeMnist makes 28 × 28
    page.locator("#tests button").first.click()
    assert "mean" in page.locator("#posterior").inner_text()
    assert page.locator("#epochs label").count() == 1
    assert page.locator("p.bad").count() == 0
    assert "bit-identical at every epoch shown" in page.inner_text("body")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_differing_bit_is_told_in_red(visit, odd_results, scheme):
    page = visit(odd_results[2], color_scheme=scheme)
    assert "serves both" not in page.inner_text("body").replace("no copy serves both", "")
    for where in ("p.bad", ".proof.bad"):
        assert "A BIT DIFFERS" in page.locator(where).inner_text()
        colour = page.locator(where).evaluate("e => getComputedStyle(e).color")
        red, green, blue = (int(part) for part in colour[4:-1].split(","))
        assert red > green + 100 and red > blue + 100


@pytest.mark.browser
def test_a_name_that_ends_the_script_is_text(visit, results, tmp_path):
    """What no file can be called, put into every text of a page that works."""
    source = (results / "index.html").read_text()
    assert source.count("</script>") == 2
    start = source.index('id="explorer-data">') + len('id="explorer-data">')
    data = json.loads(source[start : source.index("</script>", start)])
    name = "<script>alert(1)</script>"
    data["classes"] = [name] * len(data["classes"])
    sections = [(name, [("explorer", (data, name, True)), ("code", name)])]
    path = tmp_path / "hostile.html"
    path.write_text(assemble(name, [name], True, sections))
    page = visit(path)
    assert page.locator("h1").inner_text() == page.locator("h2").inner_text() == name
    assert name in page.locator("#tests button").first.get_attribute("aria-label")
    assert page.evaluate("document.scripts.length") == 2
