"""The notebooks: the committed files are those of their sources, and exercises are checked.

`make test-notebooks` runs their code; the tests here need neither a kernel nor training.
"""

import ast
import contextlib
import io
import itertools
import json
import re
from pathlib import Path

import notebook_answers
import pytest
from translations import all_prose, as_text, original_of, translated, translation_of

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
PROSE = all_prose(ROOT / "notebooks")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LARGEST = 600_000  # bytes of a notebook with its figures, so that it loads quickly
# An absolute path shows where a notebook was executed: /home/…, /tmp/…, C:\….
ABSOLUTE = re.compile(r"(?<![\w.:/])/(home|tmp|work|root|usr|opt|var|content|Users)\b|\b[A-Z]:\\")
BEGINNING = {".ipynb": "## What you will learn", ".zh-CN": "## 你将学到什么"}
END = {".ipynb": "## Exercises", ".zh-CN": "## 练习"}


def cells_of(source):
    """[("code" or "markdown", text)] of a py:percent file, by its three rules."""
    cells = []
    for part in re.split(r"^# %%", source.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        kind = "markdown" if heading.strip() == "[markdown]" else "code"
        assert heading.strip() in ("", "[markdown]"), f"{source.name}: # %%{heading}"
        text = text.strip("\n")
        if kind == "markdown":
            text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
        cells.append((kind, text))
    return cells


def code_of(source):
    return [text for kind, text in cells_of(source) if kind == "code"]


def executed(path):
    return json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))


def executed_cells(path):
    """As `cells_of`, of the notebook that is built from a source."""
    return [(cell["cell_type"], "".join(cell["source"])) for cell in executed(path)["cells"]]


def prose_of(path):
    return [text for kind, text in executed_cells(path) if kind == "markdown"]


by_name = {"ids": lambda path: path.stem}
every_source = pytest.mark.parametrize("source", SOURCES, **by_name)
every_prose = pytest.mark.parametrize("prose", PROSE, **by_name)
every_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, **by_name)


# ---- what is committed


@every_source
def test_the_executed_cells_are_those_of_the_source(source):
    assert executed_cells(source) == cells_of(source), "run: make notebooks"


def test_every_notebook_has_a_translation():
    assert [prose.stem for prose in PROSE] == [source.stem for source in SOURCES]
    built = [*(original_of(prose) for prose in PROSE), *(translation_of(prose) for prose in PROSE)]
    assert sorted(built) == NOTEBOOKS


@every_prose
def test_a_translation_is_what_its_prose_and_the_executed_original_give(prose):
    built = as_text(translated(executed(original_of(prose)), prose)).encode()
    same = built == translation_of(prose).read_bytes()  # with a bool, a failure is one line
    assert same, "run: python notebooks/execute.py --translations"


@every_notebook
def test_a_notebook_is_not_too_large(notebook):
    assert notebook.stat().st_size < LARGEST


@every_source
def test_the_outputs_are_complete_and_do_not_depend_on_the_machine(source):
    notebook = executed(source)
    counts = [c["execution_count"] for c in notebook["cells"] if c["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))  # every cell was run, in this order
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    outputs = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    kinds = [(out["output_type"], out.get("name")) for out in outputs]
    assert not [kind for kind in kinds if kind[0] == "error" or kind[1] == "stderr"]
    assert any("image/png" in out.get("data", {}) for out in outputs)
    for out in outputs:
        texts = {"text": out.get("text", ""), **out.get("data", {})}
        text = "\n".join("".join(value) for kind, value in texts.items() if kind[:4] == "text")
        assert not ABSOLUTE.search(text), text
        assert "WARNING" not in text, text
        assert not re.search(r"\b0x[0-9a-f]{6}", text), text  # an address differs in each run
        if "image/png" in out.get("data", {}):  # and its description, for readers who cannot see it
            assert len(out["metadata"]["image/png"]["alt"].split()) >= 3


@pytest.mark.parametrize(
    ("text", "absolute"),
    [
        ("saved /home/me/x", True),
        ("/tmp/a.png", True),
        ("('/home/a')", True),
        ("C:\\data", True),
        ("runs/01/weights.npz", False),
        ("nats/image, and/or notebooks/tmp", False),
        ("https://example.org/home", False),
    ],
)
def test_an_absolute_path_is_distinguished_from_a_relative_one(text, absolute):
    assert bool(ABSOLUTE.search(text)) == absolute


def equations_of(path):
    """The displayed equations of each cell, without the words in them, which are translated."""
    found = [re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL) for text in prose_of(path)]
    return [[re.sub(r"\\text\{[^{}]*\}", r"\\text{}", each) for each in cell] for cell in found]


@every_prose
def test_a_translation_has_the_same_equations(prose):
    assert equations_of(translation_of(prose)) == equations_of(original_of(prose))


@every_prose
def test_the_words_in_the_equations_of_a_translation_are_translated(prose):
    equations = re.findall(r"\$\$(.+?)\$\$", "\n".join(prose_of(translation_of(prose))), re.DOTALL)
    words = re.findall(r"\\text\{([^{}]*)\}", " ".join(equations))
    assert not [each for each in words if re.search("[a-z]{2}", each)]


@every_notebook
def test_every_picture_is_an_output(notebook):
    """Colab opens a notebook without the files beside it, and ignores attachments."""
    pictures = re.findall(r"!\[[^]]*\]\(([^)]*)\)", "\n".join(prose_of(notebook)))
    assert pictures == ["https://colab.research.google.com/assets/colab-badge.svg"]
    assert not [cell for cell in executed(notebook)["cells"] if "attachments" in cell]


@every_notebook
def test_links_lead_from_the_folder_of_the_notebooks(notebook):
    for target in re.findall(r"\]\(([^)#]+)", "\n".join(prose_of(notebook))):
        assert target.startswith("https://") or (notebook.parent / target).exists(), target


# ---- how a notebook is built


def test_every_notebook_begins_with_the_same_set_up():
    assert len({code_of(source)[0] for source in SOURCES}) == 1


@every_notebook
def test_the_set_up_is_folded_to_its_title_and_nothing_else_is(notebook):
    """By Colab, by Jupyter, and by what makes web pages of notebooks, each in its own way."""
    first, *others = [c for c in executed(notebook)["cells"] if c["cell_type"] == "code"]
    assert first["source"][0].startswith("# @title Set-up. ") and first["outputs"] == []
    folded = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    assert first["metadata"] == folded
    assert not [cell for cell in others if cell["metadata"]]


@pytest.mark.parametrize("source", SOURCES, **by_name)
def test_no_later_cell_needs_a_name_of_the_set_up(source):
    """It is plumbing: what a reader sees imports what it uses."""
    first, *others = code_of(source)
    defined, used = set(), set()
    for text in others:
        names, wanted = names_of(text)
        used |= wanted - defined - names
        defined |= names
    assert not used & names_of(first)[0]


def test_the_first_picture_of_the_first_notebook_comes_before_its_first_training():
    cells = [c for c in executed(SOURCES[0])["cells"] if c["cell_type"] == "code"]
    pictures = ["image/png" in str(cell["outputs"]) for cell in cells]
    training = ["optimizer.apply" in "".join(cell["source"]) for cell in cells]
    assert pictures.index(True) == 1  # in the first cell that is not folded
    assert pictures.index(True) < training.index(True)


@pytest.mark.parametrize("notebook", [p for p in NOTEBOOKS if p.name[:2] == "00"], **by_name)
def test_the_first_notebook_counts_its_fifty_lines(notebook):
    """Lines of code before a cell tries it, without blank lines, prints and asserts."""
    cells, counts = executed_cells(notebook), []
    for (kind, text), (_, code) in itertools.pairwise(cells):
        stated = re.findall(r"^## .+?(\d+) (?:lines|行)$", text, re.MULTILINE)
        if kind == "markdown" and stated:
            lines = code.partition("# Try it.")[0].splitlines()
            counted = [line for line in lines if not re.match(r"\s*($|#|print|assert)", line)]
            assert len(counted) == int(stated[0]), text
            counts.append(len(counted))
    assert len(counts) == 4 and sum(counts) == 50


@every_notebook
def test_a_notebook_lists_what_is_learned_and_ends_with_exercises(notebook):
    suffix, cells = notebook.suffixes[0], executed_cells(notebook)
    assert any(BEGINNING[suffix] in text for text in prose_of(notebook)[:2])
    (start,) = [i for i, (kind, text) in enumerate(cells) if text.startswith(END[suffix])]
    exercises = [text for kind, text in cells[start:] if kind == "code"]
    assert exercises and cells[-1][0] == "code"
    for text in exercises:
        assert re.search(r"^answer_\d+ = None", text, re.MULTILINE) and "check(" in text


def test_every_equation_of_the_derivation_is_followed_by_a_check():
    cells = cells_of(ROOT / "notebooks" / "01_derivation.py")
    equations = [i for i, (kind, text) in enumerate(cells) if kind == "markdown" and "$$" in text]
    assert len(equations) > 20
    for i in equations:
        kind, text = cells[i + 1]
        assert kind == "code" and "assert " in text and "print(" in text, cells[i][1]


def project_names():
    """Every function and class that the project defines."""
    packages = ("shared", "keras_vae", "tf_vae")
    paths = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in [*paths, *ROOT.glob("*.py")]]
    return {node.name for tree in trees for node in ast.walk(tree) if is_definition(node)}


def is_definition(node):
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


@pytest.mark.parametrize("source", [p for p in SOURCES if p.name[:2] != "00"], **by_name)
def test_a_notebook_uses_the_project_and_writes_none_of_it_again(source):
    """Except for notebook 0, which writes a VAE without the project and compares the two."""
    tree = ast.parse("\n".join(code_of(source)))
    names, modules = project_names(), set()
    for node in ast.walk(tree):
        if is_definition(node):
            assert node.name not in names, node.name
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            assert not {target.id for target in node.targets} & names, ast.unparse(node)
        elif isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module.split(".")[0])
    assert "shared" in modules
    assert "matplotlib" not in modules  # shared/show/figures/plots.py draws


# ---- the exercises, by the notebook's own code


@pytest.mark.notebooks
@every_source
def test_right_answers_are_accepted_and_wrong_ones_are_not(source, monkeypatch):
    monkeypatch.chdir(source.parent)
    answers, cells = notebook_answers.ANSWERS[source.stem], code_of(source)
    exercises = {re.search(r"^(answer_\d+) = None", text, re.MULTILINE): text for text in cells}
    exercises = {match[1]: text for match, text in exercises.items() if match}
    assert sorted(exercises) == sorted(answers)
    namespace = {"__name__": "__main__"}
    for text in needed(cells, list(exercises.values())):
        exec(compile(text, source.name, "exec"), namespace)
    for name, (right, wrong) in answers.items():
        text = exercises[name]
        assert said(text, name, None, namespace).endswith(": not answered yet\n")
        for answer in right:
            assert said(text, name, answer, namespace).endswith(": right\n"), (name, answer)
        for answer in wrong:
            assert ": not yet. " in said(text, name, answer, namespace), (name, answer)


def needed(cells, exercises):
    """The cells that define the names used by the exercises, directly or through other cells."""
    wanted, defining = set(), []
    for text in reversed(cells):
        defined, used = names_of(text)
        if text in exercises:
            wanted |= used - defined
        elif defined & wanted:
            wanted |= used
            defining.append(text)
    return defining[::-1]


def names_of(text):
    """What a cell defines, and what it uses."""
    defined, used = set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            (defined if isinstance(node.ctx, ast.Store) else used).add(node.id)
        elif is_definition(node):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.alias):
            defined.add((node.asname or node.name).split(".")[0])
    return defined, used


def said(text, name, answer, namespace):
    """What an exercise's cell prints with `answer` filled in."""
    filled = re.sub(rf"^{name} = None.*$", f"{name} = FILLED_IN", text, flags=re.MULTILINE)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(filled, name, "exec"), {**namespace, "FILLED_IN": answer})
    return printed.getvalue()
