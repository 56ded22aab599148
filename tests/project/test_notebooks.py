"""The notebooks: the committed files have the cells of their sources, and exercises are checked.

`make test-notebooks` runs their code; the tests here need neither a kernel nor training.
"""

import ast
import contextlib
import io
import json
import re
from pathlib import Path

import notebook_answers
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
ORIGINALS = [path for path in SOURCES if path.suffixes == [".py"]]
TWINS = [path for path in SOURCES if path not in ORIGINALS]
LARGEST = 600_000  # bytes of a notebook with its figures, so that it loads quickly
# An absolute path shows where a notebook was executed: /home/…, /tmp/…, C:\….
ABSOLUTE = re.compile(r"(?<![\w.:/])/(home|tmp|work|root|usr|opt|var|content|Users)\b|\b[A-Z]:\\")
BEGINNING = {".py": "## What you will learn", ".zh-CN": "## 你将学到什么"}
END = {".py": "## Exercises", ".zh-CN": "## 练习"}


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


def executed(source):
    return json.loads(source.with_suffix(".ipynb").read_text(encoding="utf-8"))


def outputs_of(source):
    return [out for cell in executed(source)["cells"] for out in cell.get("outputs", [])]


by_name = {"ids": lambda path: path.stem}
every_source = pytest.mark.parametrize("source", SOURCES, **by_name)
every_original = pytest.mark.parametrize("source", ORIGINALS, **by_name)
every_twin = pytest.mark.parametrize("source", TWINS, **by_name)


# ---- what is committed


@every_source
def test_the_executed_cells_are_those_of_the_source(source):
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in executed(source)["cells"]]
    assert cells == cells_of(source), "run: make notebooks"


@every_source
def test_the_outputs_are_complete_and_do_not_depend_on_the_machine(source):
    assert source.with_suffix(".ipynb").stat().st_size < LARGEST
    notebook = executed(source)
    counts = [c["execution_count"] for c in notebook["cells"] if c["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))  # every cell was run, in this order
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    outputs = outputs_of(source)
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


@every_twin
def test_a_translation_has_the_same_code_and_outputs(source):
    original = source.with_name(source.name.split(".")[0] + ".py")
    assert code_of(source) == code_of(original)
    assert outputs_of(source) == outputs_of(original)
    kinds = [kind for kind, _ in cells_of(source)]
    assert kinds == [kind for kind, _ in cells_of(original)]


@every_twin
def test_a_translation_has_the_same_equations(source):
    original = source.with_name(source.name.split(".")[0] + ".py")
    translated, wanted = [
        [
            re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)
            for kind, text in cells_of(path)
            if kind == "markdown"
        ]
        for path in (source, original)
    ]
    assert translated == wanted


# ---- how a notebook is built


def test_every_notebook_begins_with_the_same_set_up():
    assert len({code_of(source)[0] for source in SOURCES}) == 1


@every_source
def test_a_notebook_lists_what_is_learned_and_ends_with_exercises(source):
    suffix, cells = source.suffixes[0], cells_of(source)
    prose = [text for kind, text in cells if kind == "markdown"]
    assert any(BEGINNING[suffix] in text for text in prose[:2])
    (start,) = [i for i, (kind, text) in enumerate(cells) if text.startswith(END[suffix])]
    exercises = [text for kind, text in cells[start:] if kind == "code"]
    assert exercises and cells[-1][0] == "code"
    for text in exercises:
        assert re.search(r"^answer_\d+ = None", text, re.MULTILINE) and "check(" in text


@pytest.mark.parametrize("name", ["01_derivation", "01_derivation.zh-CN"])
def test_every_equation_of_the_derivation_is_followed_by_a_check(name):
    cells = cells_of(ROOT / "notebooks" / f"{name}.py")
    equations = [i for i, (kind, text) in enumerate(cells) if kind == "markdown" and "$$" in text]
    assert len(equations) > 20
    for i in equations:
        kind, text = cells[i + 1]
        assert kind == "code" and "assert " in text and "print(" in text, cells[i][1]


def project_names():
    """Every function and class that the project defines."""
    packages = ("shared", "keras_vae", "tf_vae")
    paths = [path for package in packages for path in (ROOT / package).glob("*.py")]
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
@every_original
def test_right_answers_are_accepted_and_wrong_ones_are_not(source, monkeypatch):
    monkeypatch.chdir(source.parent)
    answers, cells = notebook_answers.ANSWERS[source.stem], code_of(source)
    exercises = {re.search(r"^(answer_\d+) = None", text, re.MULTILINE): text for text in cells}
    exercises = {match[1]: text for match, text in exercises.items() if match}
    assert sorted(exercises) == sorted(answers)
    namespace = {"__name__": "__main__"}
    for text in needed(cells, list(exercises.values())):
        exec(compile(text, source.name, "exec"), namespace)
    for name, (right, *wrong) in answers.items():
        assert wrong
        text = exercises[name]
        assert said(text, name, None, namespace).endswith(": not answered yet\n")
        assert said(text, name, right, namespace).endswith(": right\n"), name
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
