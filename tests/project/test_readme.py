"""Each Chinese page says what the English one says, and documents name files that exist."""

import re
from collections import Counter
from pathlib import Path

import pytest

from reproduce import QUICK

ROOT = Path(__file__).parents[2]
PAIRS = [
    (ROOT / "README.md", ROOT / "README.zh-CN.md"),
    (ROOT / "docs" / "from-2018.md", ROOT / "docs" / "zh-CN" / "from-2018.md"),
]


def blocks(text):
    """Code blocks, and the prose without them."""
    fenced = re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)
    return fenced, re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def parts(path):
    """The parts that a translation does not change, in order or as a count."""
    code, prose = blocks(path.read_text())
    # A line break inside a code span is not a part of the command.
    spans = [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose)]
    links = [each for each in re.findall(r"\]\(([^)]+)\)", prose) if not each.startswith("#")]
    # A page may link to a translation, from its own folder and with its own titles.
    links = [re.sub(r"\.\./|zh-CN/|\.zh-CN|#.*", "", each) for each in links]
    numbers = re.findall(r"\d+(?:[.,]\d+)*", re.sub(r"\]\([^)]*\)", "]", prose))
    return {
        "headings": [len(level) for level in re.findall(r"^(#+) ", prose, re.MULTILINE)],
        "code blocks": code,
        "code spans": Counter(spans),
        "links": Counter(links),
        "numbers": Counter(numbers),
        "table rows": [line.count("|") for line in prose.splitlines() if line.startswith("|")],
        "questions": len(re.findall(r"^\*\*", prose, re.MULTILINE)),
    }


@pytest.mark.parametrize("part", list(parts(PAIRS[0][0])))
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].stem)
def test_the_two_agree(pair, part):
    english, chinese = pair
    assert parts(english)[part] == parts(chinese)[part]


def anchors(path):
    """The anchors of a page's titles."""
    titles = re.findall(r"^#+ (.*)$", blocks(path.read_text())[1], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", sum(PAIRS, ()), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_targets_of_links_exist(path):
    text = blocks(path.read_text())[1]
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        file = path.parent / file if file else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target
    assert not re.search(r"@@|TODO|[A-Z]+(?:TABLE|BOUND|TEXT)\b", text)


@pytest.mark.parametrize("name", ["teaching.md", "zh-CN/teaching.md"])
def test_a_class_opens_the_page_that_its_command_writes(name):
    text = (ROOT / "docs" / name).read_text()
    assert "`make quick`" in text and "make reproduce" not in text
    pages = set(re.findall(r"`([^`]+/index\.html)`", text)) - {"docs/index.html"}  # it is committed
    assert pages == {str(QUICK.out / "index.html")}


@pytest.mark.parametrize("path", PAIRS[0], ids=["en", "zh-CN"])
def test_the_readme_says_which_k_the_dots_of_published_png_have(path):
    """It is not that of the table beside the figure, which is measured by `evaluate`."""
    source = (ROOT / "benchmarks" / "published.py").read_text()
    (dots,) = re.findall(r"^    samples: int = (\d+)$", source, re.MULTILINE)
    text = path.read_text()
    after = text[text.index("](docs/figures/published.png)") :]
    table = set(re.findall(r"--importance-samples (\d+)$", text, re.MULTILINE))
    named = re.findall(r"K (?:=|is|是)\s*(\d+)", " ".join(after.split("\n\n")[1].split()))
    assert [dots, *table] == named
