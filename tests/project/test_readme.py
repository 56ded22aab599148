"""Each Chinese page says what the English one says, links lead somewhere, the README is short."""

import re
from pathlib import Path

import pytest

from reproduce import QUICK

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
READMES = ROOT / "README.md", ROOT / "README.zh-CN.md"
PAIRS = [READMES, *((DOCS / path.name, path) for path in sorted((DOCS / "zh-CN").glob("*.md")))]
PAGES = [*READMES, *sorted(DOCS.rglob("*.md"))]
NUMBER = r"−?\d+(?:[.,]\d+)*(?:e-?\d+)?"
LINES = 200  # of a README

named = {"ids": lambda path: str(path.relative_to(ROOT))}
every_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].stem)


def blocks(text):
    """Code blocks, and the prose without them."""
    fenced = re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)
    return fenced, re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def links(path):
    """The targets of links and figures, in order."""
    return re.findall(r"\]\(([^)]+)\)", blocks(path.read_text(encoding="utf-8"))[1])


def rows(path):
    """The cells of every row of a table, without the targets of links."""
    prose = re.sub(r"\]\([^)]*\)", "]", blocks(path.read_text(encoding="utf-8"))[1])
    lines = [line.strip() for line in prose.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line[1:-1]) for line in lines]


# ---- both languages


def english(path, target):
    """The page or figure to which a target leads, from the root; for a translation, its original.

    An anchor is the title of a section, which is translated.
    """
    file, anchor = re.fullmatch(r"([^#]*)(#.+)?", target).groups()
    if not target.startswith("http"):
        file = str((path.parent / file).resolve().relative_to(ROOT)) if file else ""
        file = re.sub(r"zh-CN/|\.zh-CN", "", file)
    return file, bool(anchor)


def cells(path):
    """The numbers in each cell of each table."""
    return [[sorted(re.findall(NUMBER, cell)) for cell in row] for row in rows(path)]


PARTS = {
    "headings": lambda path: [
        len(level)
        for level in re.findall(
            r"^(#+) ", blocks(path.read_text(encoding="utf-8"))[1], re.MULTILINE
        )
    ],
    "code blocks": lambda path: blocks(path.read_text(encoding="utf-8"))[0],
    # A translation may order a sentence differently, and may name a thing more often. A line break
    # inside a code span is not a part of the command.
    "code spans": lambda path: {
        re.sub(r"\s+", " ", span)
        for span in re.findall(r"`([^`]+)`", blocks(path.read_text(encoding="utf-8"))[1])
    },
    "links": lambda path: sorted(english(path, target) for target in links(path)),
    "numbers in tables": cells,
    "questions": lambda path: len(
        re.findall(r"^\*\*", path.read_text(encoding="utf-8"), re.MULTILINE)
    ),
}


@pytest.mark.parametrize("part", PARTS)
@every_pair
def test_the_two_agree(pair, part):
    original, translation = pair
    assert PARTS[part](translation) == PARTS[part](original)


@every_pair
def test_each_page_leads_to_the_other(pair):
    for path, other in (pair, pair[::-1]):
        heads = path.read_text(encoding="utf-8").split("\n\n")[:2]
        assert heads[0].startswith("# ") and "·" in heads[1]
        (target,) = re.findall(r"\]\(([^)]+)\)", heads[1])
        assert (path.parent / target).resolve() == other


# ---- links


def anchors(path):
    """The anchors of a page's titles."""
    titles = re.findall(r"^#+ (.*)$", blocks(path.read_text(encoding="utf-8"))[1], re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.mark.parametrize("path", PAGES, **named)
def test_the_targets_of_links_exist(path):
    for target in links(path):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        file = path.parent / file if file else path
        assert file.exists(), target
        assert not anchor or anchors(file).count(anchor) == 1, target
    assert not re.search(
        r"@@|TODO|[A-Z]+(?:TABLE|BOUND|TEXT)\b", blocks(path.read_text(encoding="utf-8"))[1]
    )


# ---- the README


@pytest.mark.parametrize("path", READMES, **named)
def test_a_readme_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize("path", READMES, **named)
def test_the_documentation_has_what_a_readme_repeats(path):
    """Its code blocks, and the rows of its table of results."""
    folder = DOCS if path == READMES[0] else DOCS / "zh-CN"
    pages = {page.stem: page.read_text(encoding="utf-8") for page in folder.glob("*.md")}
    for block in blocks(path.read_text(encoding="utf-8"))[0]:
        assert any(block in text for text in pages.values()), block
    repeated = re.findall(r"^\| `post-.*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(repeated) == 3 and set(repeated) <= set(pages["results"].splitlines())


# ---- what single pages say


@pytest.mark.parametrize("name", ["teaching.md", "zh-CN/teaching.md"])
def test_a_class_opens_the_page_that_its_command_writes(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    assert "`make quick`" in text and "make reproduce" not in text
    pages = set(re.findall(r"`([^`]+/index\.html)`", text)) - {"docs/index.html"}  # it is committed
    assert pages == {str(QUICK.out / "index.html")}


@pytest.mark.parametrize("name", ["results.md", "zh-CN/results.md"])
def test_the_results_say_which_k_the_dots_of_published_png_have(name):
    """It is not that of the table beside the figure, which is measured by `evaluate`."""
    source = (ROOT / "benchmarks" / "published.py").read_text(encoding="utf-8")
    (dots,) = re.findall(r"^    samples: int = (\d+)$", source, re.MULTILINE)
    text = (DOCS / name).read_text(encoding="utf-8")
    after = text[text.index("figures/published.png)") :]
    table = set(re.findall(r"--importance-samples (\d+)$", text, re.MULTILINE))
    named = re.findall(r"K (?:=|is|是)\s*(\d+)", " ".join(after.split("\n\n")[1].split()))
    assert [dots, *table] == named
