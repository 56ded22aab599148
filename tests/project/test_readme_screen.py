"""The first screen of the README in a browser, with the measures of GitHub's style sheet."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
SCREEN = 900  # pixels of height below which a reader scrolls
STYLE = """
body { margin: 0; font: 16px/1.5 "Liberation Sans", sans-serif; color: #1f2328; }
p, ul, table, pre { margin: 0 0 16px; }
h1 { font-size: 2em; line-height: 1.25; margin: 0 0 16px; padding-bottom: .3em;
     border-bottom: 1px solid #d1d9e0; }
h2 { font-size: 1.5em; line-height: 1.25; margin: 24px 0 16px; padding-bottom: .3em;
     border-bottom: 1px solid #d1d9e0; }
ul { padding-left: 2em; } li + li { margin-top: .25em; }
pre { padding: 16px; overflow: auto; font-size: 85%; line-height: 1.45; background: #f6f8fa; }
img { max-width: 100%; } img[align=right] { padding-left: 20px; box-sizing: content-box; }
table { display: block; max-width: 100%; overflow: auto; border-collapse: collapse; }
th, td { padding: 6px 13px; border: 1px solid #d1d9e0; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #f0f6fc; }
  pre { background: #151b23; } a { color: #4493f8; } }
"""
pytestmark = pytest.mark.browser
pytest_plugins = ["page_fixtures"]


def rendered(path):
    """A Markdown file as a page that stands beside it, so that its pictures are found."""
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    html = markdown.render(path.read_text(encoding="utf-8"))
    head = f'<meta charset="utf-8"><base href="{path.parent.as_uri()}/"><style>{STYLE}</style>'
    return f"<!doctype html><html><head>{head}</head><body>{html}</body></html>"


@pytest.mark.parametrize("width", [1000, 830, 390])
@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_first_screen_says_what_it_is_shows_it_and_says_how_to_try_it(
    chromium, tmp_path, name, width
):
    """At the widths of GitHub with and without its side bar; on a phone, nothing is cut off."""
    (tmp_path / "page.html").write_text(rendered(ROOT / name), encoding="utf-8")
    text = (ROOT / name).read_text(encoding="utf-8")
    (target,) = re.findall(r"^\[page\]: (\S+)$", text, re.MULTILINE)
    page = chromium.new_page(viewport={"width": width, "height": SCREEN})
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    figure = page.locator("img").first
    assert figure.evaluate("each => each.complete && each.naturalWidth") > 300
    assert figure.bounding_box()["width"] >= min(360, width - 40)
    if width > 390:
        notebook = page.locator("a[href*='00_a_vae_in_fifty_lines']").first
        link = page.locator(f"a[href='{target}']").first
        for each in (figure, link, notebook, page.locator("pre").first):
            box = each.bounding_box()
            assert box["y"] + box["height"] <= SCREEN, each
        commands = page.locator("pre").first
        assert commands.evaluate("each => each.scrollWidth <= each.clientWidth")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_dark_page_shows_the_dark_figures(chromium, tmp_path, scheme):
    (tmp_path / "page.html").write_text(rendered(ROOT / "README.md"), encoding="utf-8")
    page = chromium.new_page(color_scheme=scheme)
    page.goto((tmp_path / "page.html").as_uri())
    shown = page.locator("picture img").evaluate_all("all => all.map(each => each.currentSrc)")
    assert len(shown) == 5 and all(("/dark/" in each) == (scheme == "dark") for each in shown)
    page.close()
