"""Each Chinese page says what the English one says, links lead somewhere, the README is short."""

import re
from pathlib import Path

import address
import pytest
from markdown_it import MarkdownIt

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


TARGETS = r'\]\(([^) ]+)(?: "[^"]*")?\)|\b(?:src|srcset)="([^"]+)"|^\[\w+\]: (\S+)$'


def links(path):
    """The targets of links, figures and named links, in order."""
    prose = blocks(path.read_text(encoding="utf-8"))[1]
    return ["".join(groups) for groups in re.findall(TARGETS, prose, re.MULTILINE)]


def without_comments(block):
    """A code block whose comments are cut off, because a translation translates them."""
    return re.sub(r"\s+# .*$", "", block, flags=re.MULTILINE)


def rows(path):
    """The cells of every row of a table, without the targets of links."""
    prose = re.sub(r"\]\([^)]*\)", "]", blocks(path.read_text(encoding="utf-8"))[1])
    prose = re.sub(r'\b(?:src|srcset)="[^"]*"', "", prose)
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
    "code blocks": lambda path: [
        without_comments(block) for block in blocks(path.read_text(encoding="utf-8"))[0]
    ],
    "comments": lambda path: "".join(blocks(path.read_text(encoding="utf-8"))[0]).count(" # "),
    "named links": lambda path: re.findall(
        r"\]\[(\w+)\]", blocks(path.read_text(encoding="utf-8"))[1]
    ),
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


# ---- what a reader of Chinese sees


@every_pair
def test_a_translation_translates_the_comments(pair):
    for block in blocks(pair[1].read_text(encoding="utf-8"))[0]:
        for comment in re.findall(r" # (.*)$", block, re.MULTILINE):
            # What has no two words, as "a/1.jpg, b/2.png", is the same in both languages.
            assert re.search("[一-鿿]", comment) or not re.search("[a-z]{2} [a-z]", comment), (
                comment
            )


WIDE = "[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"  # Chinese characters and punctuation
FULL = "[，。；：、！？（）《》「」]"  # has its own space
STRAY = re.compile(rf"{WIDE}[ \t\n]+{WIDE}|{FULL}[ \t\n]+\S|\S[ \t\n]+{FULL}")


def stray_spaces(text):
    """The spaces inside of Chinese text, and the ends of lines, which are drawn as spaces."""
    prose = blocks(text)[1]
    # A list, a quotation, a row of a table and a title begin lines of their own.
    parts = re.split(r"\n(?=\s*(?:[-*>|#<]|\d+\.)\s|\s*\n|\||<)", prose)
    return [
        match.group()
        for part in parts
        if not part.startswith("|")
        for match in STRAY.finditer(part.strip())
    ]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("训练中从不使用标\n签。", 1),
        ("训练 集", 1),
        ("三行，\nKeras 和\nTensorFlow 的", 1),
        ("两个实现（\n`fit`）", 1),
        ("读\n（英文）", 1),
        ("- 第一行\n- 第二行\n  还是第二行", 1),
        ("# 标题\n\n正文。\n\n下一段", 0),
        ("- 一\n- 二\n\n1. 三\n2. 四", 0),
        ("用 Keras 的\n`fit`", 0),
        ("```\n一 二\n```", 0),
    ],
)
def test_a_stray_space_is_found(text, count):
    assert len(stray_spaces(text)) == count


CHINESE = [*(pair[1] for pair in PAIRS), *sorted((ROOT / "notebooks" / "zh-CN").glob("*.md"))]


@pytest.mark.parametrize("path", CHINESE, **named)
def test_no_space_is_inside_of_chinese_text(path):
    assert not stray_spaces(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [*PAGES, *CHINESE[len(PAIRS) :]], **named)
def test_bold_text_is_bold(path):
    """After 。 and before a character, ** does not end it: Markdown shows two asterisks instead."""
    shown = MarkdownIt("commonmark").enable("table").render(path.read_text(encoding="utf-8"))
    shown = re.sub(r"<code.*?</code>|\$.*?\$", "", shown, flags=re.DOTALL)
    assert "**" not in shown


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
def test_a_readme_begins_with_what_it_is_and_how_to_try_it(path):
    """Before its first section; test_readme_screen.py looks at where a browser shows it."""
    start = path.read_text(encoding="utf-8").split("\n## ")[0]
    language = "" if path == READMES[0] else ".zh-CN"
    for wanted in (
        "**variational autoencoder**" if path == READMES[0] else "variational autoencoder",
        'src="docs/figures/latent.gif"',
        "][page]",
        f"(notebooks/00_a_vae_in_fifty_lines{language}.ipynb)",
    ):
        assert start.count(wanted) == 1, wanted
    (block,) = blocks(start)[0]
    assert re.findall("^make \\w+", block, re.MULTILINE) == ["make quick", "make reproduce"]


@pytest.mark.parametrize("path", READMES, **named)
def test_the_address_of_the_page_is_in_one_place(path):
    text = path.read_text(encoding="utf-8")
    (target,) = re.findall(r"^\[page\]: (\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"docs/index\.html|https://\S+/", target)
    assert "index.html)" not in text  # every link to it has its name


def test_the_address_of_a_copy_leads_to_its_published_page(tmp_path):
    for path in READMES:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    page = "https://someone.github.io/a.copy-1/"
    assert address.write_page_address(tmp_path, "Someone/a.copy-1") == page
    for path in READMES:
        old, new = (each.read_text(encoding="utf-8") for each in (path, tmp_path / path.name))
        lines = zip(old.splitlines(), new.splitlines(), strict=True)
        assert [line for before, line in lines if before != line] == [f"[page]: {page}"]


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
    after = text[text.index('figures/published.png"') :]
    table = set(re.findall(r"--importance-samples (\d+)$", text, re.MULTILINE))
    named = re.findall(r"K (?:=|is|是)\s*(\d+)", " ".join(after.split("\n\n")[1].split()))
    assert [dots, *table] == named
