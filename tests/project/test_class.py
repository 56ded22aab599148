"""The class: slides, handout and homework in both languages, with numbers that were measured."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from shared.command.arguments import Evaluate, Train
from shared.config import Config

pytest_plugins = ["page_fixtures"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FOLDERS = {"en": DOCS / "class", "zh-CN": DOCS / "zh-CN" / "class"}
NAMES = ("slides", "handout", "homework")
PLANS = [DOCS / "teaching.md", DOCS / "zh-CN" / "teaching.md"]

each_language = pytest.mark.parametrize("language", FOLDERS)


def text_of(language, name):
    return (FOLDERS[language] / f"{name}.md").read_text(encoding="utf-8")


def parts_of(language, name):
    return text_of(language, name).split("\n---\n")


def equations_of(text):
    displayed = re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)
    return [" ".join(each.split()) for each in displayed]


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_parts(name):
    """Slides and pages, equations, pictures, code, and rows and numbers of tables."""
    english, chinese = parts_of("en", name), parts_of("zh-CN", name)
    assert len(english) == len(chinese)
    for one, other in zip(english, chinese, strict=True):
        assert equations_of(one) == equations_of(other)
        assert re.findall(r"```.*?```", one, re.DOTALL) == re.findall(
            r"```.*?```", other, re.DOTALL
        )
        pictures = [
            [(Path(path).name, title) for path, title in re.findall(pattern, text)]
            for text in (one, other)
            for pattern in [r'!\[[^]]*\]\(([^ )]+)(?: "([^"]+)")?\)']
        ]
        assert pictures[0] == pictures[1]
        rows = [
            [line.count(" | ") for line in t.splitlines() if line[:1] == "|"] for t in (one, other)
        ]
        assert rows[0] == rows[1]


@each_language
@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(language, name):
    for target in re.findall(r'\]\(([^)# "]+)', text_of(language, name)):
        assert (FOLDERS[language] / target).exists(), target


@each_language
@pytest.mark.parametrize("name", NAMES)
def test_every_flag_exists(language, name):
    known = {field.name for kind in (Config, Train, Evaluate) for field in fields(kind)}
    for flag in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text_of(language, name)):
        assert flag.replace("-", "_") in known, flag


def measured_text():
    """The outputs of all notebooks, and the page of results."""
    texts = [(DOCS / "results.md").read_text(encoding="utf-8")]
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            texts += ["".join(out.get("text", "")) for out in cell.get("outputs", [])]
    return "\n".join(texts).replace("−", "-").replace(",", "")


def decimals_of(text):
    """The numbers with decimals in a text, as strings, and the large whole ones."""
    plain = text.replace("−", "-").replace(",", "")
    return re.findall(r"(?<![\w.])-?\d+\.\d+(?![\w.])|(?<![\w.])\d{5,}(?![\w.])", plain)


# What is no measurement: β of the table, and what follows from a formula in the same line.
STATED = {"0.5", "2.3", "1.443", "543.4", "0.01", "40000"}


@each_language
@pytest.mark.parametrize("name", ["slides", "handout"])
def test_every_number_was_measured_by_a_notebook_or_is_in_the_results(language, name):
    """A number of fewer digits has to be the rounded one."""
    wanted = set(decimals_of(text_of(language, name))) - STATED
    measured = set(decimals_of(measured_text()))
    rounded = {
        f"{float(number):.{digits}f}"
        for number in measured
        for digits in range(1 + len(number.partition(".")[2]))
    }
    assert len(wanted) > 1
    assert not wanted - rounded


@each_language
def test_the_five_questions_of_the_slides_are_those_of_the_quiz(language):
    """In the order that the last line of the slide names."""
    (slide,) = [
        part
        for part in parts_of(language, "slides")
        if re.search(r"^5\. .+206", part, re.MULTILINE)
    ]
    asked = re.findall(r"^\d\. (.+)$", slide, re.MULTILINE)
    numbers = [int(n) for n in re.findall(r"(?<!\w)\d+(?=[, 、]|\b)", slide.partition("\n> ")[2])]
    plan = PLANS[list(FOLDERS).index(language)].read_text(encoding="utf-8")
    quiz = dict(
        re.findall(r"^\| (\d+) \| ([^|]+(?:\\\|[^|]+)*?) \| .+\|$", quiz_of(plan), re.MULTILINE)
    )
    for question, number in zip(asked, [n for n in numbers if str(n) in quiz], strict=True):
        assert comparable(question) == comparable(quiz[str(number)])
    assert len(asked) == 5


def quiz_of(plan):
    start = re.search(r"^## (Quiz|测验)$", plan, re.MULTILINE).end()
    return plan[start : plan.index("\n## ", start)]


def comparable(question):
    return re.sub(r"[\s$\\]", "", question)


@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.parent.name)
def test_the_quiz_has_forty_questions_and_names_the_place_of_each_answer(plan):
    rows = re.findall(
        r"^\| (\d+) \|.*\| ([^|]+) \|$", quiz_of(plan.read_text(encoding="utf-8")), re.MULTILINE
    )
    assert [int(number) for number, _ in rows] == list(range(1, 41))
    sections = {
        path.name[:2]: set(
            re.findall(r"^# ## (\d+)\. ", path.read_text(encoding="utf-8"), re.MULTILINE)
        )
        for path in (ROOT / "notebooks").glob("[0-9]*.py")
    }
    for _, place in rows:
        named = re.findall(r"(?<![§\d])(\d\d)\b((?:[ 、,]+§\d+)*)", place)
        assert named, place
        for notebook, numbers in named:
            assert set(re.findall(r"\d+", numbers)) <= sections[notebook], place


@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.parent.name)
def test_the_plan_has_no_gap_and_uses_every_slide(plan):
    text = plan.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)–(\d+) \| .*\| ([^|]*) \|$", text, re.MULTILINE)
    begins, ends = [int(row[0]) for row in rows], [int(row[1]) for row in rows]
    assert begins == [0, *ends[:-1]] and ends[-1] == 120
    used = set()
    for _, _, slides in rows:
        for first, last in re.findall(r"(\d+)(?:–(\d+))?", slides):
            used |= set(range(int(first), int(last or first) + 1))
    assert used == set(range(1, 1 + len(parts_of("en", "slides"))))
    assert f"{len(used)}" in text.partition("slides.html")[2][:30]


@pytest.mark.notebooks
@each_language
@pytest.mark.parametrize("name", ["slides", "handout"])
def test_the_committed_files_are_those_of_their_markdown(language, name):
    import class_pages  # in benchmarks/, which pyproject.toml puts on the path of the tests

    path = FOLDERS[language] / f"{name}.html"
    same = path.read_text(encoding="utf-8") == class_pages.built(path.with_suffix(".md"), language)
    assert same, "run: make class"


@pytest.mark.notebooks
def test_a_picture_of_a_notebook_is_found_by_the_beginning_of_its_description():
    import class_pages

    from shared.machine.checks import UsageError

    notebook = ROOT / "notebooks" / "05_latent_space.ipynb"
    assert class_pages.picture_of(notebook, "beta = 784: every digit").startswith("iVBOR")
    for beginning, count in (("there is none", 0), ("T", 2)):
        with pytest.raises(UsageError, match=rf"[{count}-9] pictures begin with"):
            class_pages.picture_of(notebook, beginning)


def test_the_files_need_no_network():
    for path in [path for folder in FOLDERS.values() for path in folder.glob("*.html")]:
        sources = re.findall(
            r"\b(?:src|srcset|data)=\"([^\"]{0,10})", path.read_text(encoding="utf-8")
        )
        assert all(source == "data:image" for source in sources), path
        assert not re.findall(
            r"<link|@import|url\(|fetch\(|import\(", path.read_text(encoding="utf-8")
        ), path


@pytest.mark.browser
@each_language
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080), (1024, 768)])
def test_no_slide_is_higher_than_the_screen(chromium, language, width, height):
    """With its answer open, on the sizes of projectors."""
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.goto((FOLDERS[language] / "slides.html").as_uri())
    for number in range(1, 1 + len(parts_of(language, "slides"))):
        page.keyboard.press("a")
        assert page.evaluate("document.documentElement.scrollHeight") <= height, number
        assert page.locator("#place").inner_text().startswith(f"{number} /")
        page.keyboard.press("ArrowRight")
    page.close()


@pytest.mark.browser
@each_language
def test_the_handout_fills_two_pages(chromium, language):
    page = chromium.new_page()
    page.goto((FOLDERS[language] / "handout.html").as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2
    page.close()


@pytest.mark.browser
@each_language
@pytest.mark.parametrize("name", ["slides", "handout"])
def test_axe_finds_nothing(chromium, language, name):
    from browser import checked_by_axe

    page = chromium.new_page(viewport={"width": 1280, "height": 720})
    page.goto((FOLDERS[language] / f"{name}.html").as_uri())
    broken, held = checked_by_axe(page)
    assert not broken and held
    page.close()
