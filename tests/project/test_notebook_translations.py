"""Translations of notebooks: the prose is theirs, and everything else is the original's."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from translations import build, translated

from shared.machine.checks import UsageError

ROOT = Path(__file__).parents[2]
ORIGINAL = {
    "cells": [
        {"cell_type": "markdown", "id": "a", "source": ["# One\n", "\n", "text"]},
        {"cell_type": "markdown", "id": "b", "source": ["two"]},
        {"cell_type": "code", "id": "c", "outputs": ["3"], "source": ["1 +\\\n", "2"]},
        {"cell_type": "code", "id": "d", "outputs": [], "source": []},
        {"cell_type": "markdown", "id": "e", "source": ["end"]},
    ],
    "metadata": {"language_info": {"name": "python"}},
}
PROSE = """# 一

文字

    缩进

<!-- cell -->
二

<!-- code -->
<!-- code -->

完
"""


@pytest.fixture
def prose(tmp_path):
    """The prose of a translation, beside its original."""
    path = tmp_path / "zh-CN" / "08_x.md"
    path.parent.mkdir()
    path.write_text(PROSE, encoding="utf-8")
    (tmp_path / "08_x.ipynb").write_text(json.dumps(ORIGINAL), encoding="utf-8")
    return path


def test_a_translation_has_its_prose_and_the_rest_of_the_original(prose):
    before = json.dumps(ORIGINAL)
    path = build(prose)
    assert path == prose.parents[1] / "08_x.zh-CN.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    sources = [cell.pop("source") for cell in notebook["cells"]]
    assert sources[:2] == [["# 一\n", "\n", "文字\n", "\n", "    缩进"], ["二"]]
    assert sources[2:] == [["1 +\\\n", "2"], [], ["完"]]
    original = json.loads(before)
    for cell in original["cells"]:
        del cell["source"]
    assert notebook == original
    translated(ORIGINAL, prose)
    assert json.dumps(ORIGINAL) == before  # the original itself stays as it is


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "<!-- code -->\n<!-- code -->",
            "<!-- code -->",
            "zh-CN/08_x.md: the line <!-- code --> occurs 1 times; expected 2, as 08_x.ipynb has "
            "code cells",
        ),
        ("完", "完\n<!-- code -->", "zh-CN/08_x.md: the line <!-- code --> occurs 3 times; expec"),
        (
            "<!-- cell -->\n",
            "",
            "zh-CN/08_x.md: number of Markdown cells before code cell 1 is 1; expected 2 as in "
            "08_x.ipynb",
        ),
        ("-->\n<!-- code", "-->\n多\n<!-- code", "cells before code cell 2 is 1; expected 0"),
        ("完", "", "cells after the last code cell is 0; expected 1"),
        ("二", "", "zh-CN/08_x.md: empty cell before code cell 1; expected text on both sides of"),
        ("完", "完\n<!-- cell -->", "zh-CN/08_x.md: empty cell after the last code cell; expected"),
        ("完", "<!-- cell -->", "zh-CN/08_x.md: empty cell after the last code cell; expected"),
        (
            "<!-- cell -->",
            "<!--cell-->",
            "zh-CN/08_x.md, line 7: <!--cell-->; expected <!-- code --> or <!-- cell -->",
        ),
        ("<!-- cell -->", "<!-- cell --> ", "zh-CN/08_x.md, line 7: <!-- cell --> ; expected"),
    ],
)
def test_prose_that_does_not_match_the_original_is_refused_in_one_line(prose, old, new, message):
    assert PROSE.count(old) == 1
    prose.write_text(PROSE.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        build(prose)
    assert "\n" not in str(error.value)
    assert not (prose.parents[1] / "08_x.zh-CN.ipynb").exists()


@pytest.fixture
def folder(tmp_path):
    """A copy of two notebooks and of what builds them."""
    (tmp_path / "zh-CN").mkdir()
    for name in ("execute.py", "translations.py"):
        shutil.copy(ROOT / "notebooks" / name, tmp_path)
    for stem in ("00_a_vae_in_fifty_lines", "02_keras_version"):
        for name in (f"{stem}.py", f"{stem}.ipynb", f"{stem}.zh-CN.ipynb", f"zh-CN/{stem}.md"):
            shutil.copy(ROOT / "notebooks" / name, tmp_path / name)
    return tmp_path


def run(folder, *arguments, start=()):
    """Runs execute.py of a folder."""
    return subprocess.run(
        [sys.executable, *start, str(folder / "execute.py"), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        capture_output=True,
        text=True,
    )


def build_only(folder, *arguments):
    """Runs `execute.py --translations` where no notebook tools are installed."""
    code = """
import runpy, sys
sys.modules.update(jupytext=None, nbformat=None, nbclient=None)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    return run(folder, "--translations", *arguments, start=("-c", code))


def test_translations_are_built_again_without_executing(folder):
    before = {path: path.read_bytes() for path in folder.rglob("0*.*")}
    for path in folder.glob("*.zh-CN.ipynb"):
        path.unlink()
    done = build_only(folder, "02")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "02_keras_version.zh-CN\n"
    assert not (folder / "00_a_vae_in_fifty_lines.zh-CN.ipynb").exists()
    done = build_only(folder)
    assert done.stdout == "00_a_vae_in_fifty_lines.zh-CN\n02_keras_version.zh-CN\n"
    assert {path: path.read_bytes() for path in folder.rglob("0*.*")} == before


def test_what_is_wrong_with_prose_or_names_is_said_in_one_line(folder):
    prose = folder / "zh-CN" / "02_keras_version.md"
    prose.write_text(prose.read_text(encoding="utf-8") + "\n<!-- code -->\n", encoding="utf-8")
    for arguments, message in (
        (("02",), "zh-CN/02_keras_version.md: the line <!-- code --> occurs"),
        (("00", "99"), "no notebook begins with '99'; expected the beginning of one of 00_a_vae"),
    ):
        done = build_only(folder, *arguments)
        assert done.returncode == 2 and done.stdout == ""
        assert message in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.notebooks
def test_an_execution_also_builds_the_translation_and_looks_at_its_prose_first(tmp_path):
    for name in ("execute.py", "translations.py"):
        shutil.copy(ROOT / "notebooks" / name, tmp_path)
    (tmp_path / "08_x.py").write_text("# %% [markdown]\n# one\n\n# %%\n1 + 2\n", encoding="utf-8")
    prose, original = tmp_path / "zh-CN" / "08_x.md", tmp_path / "08_x.ipynb"
    prose.parent.mkdir()
    prose.write_text("一", encoding="utf-8")
    done = run(tmp_path, "08")
    assert done.returncode == 2 and "zh-CN/08_x.md: the line <!-- code --> occurs 0" in done.stderr
    assert not original.exists()
    prose.write_text("一\n<!-- code -->\n", encoding="utf-8")
    done = run(tmp_path, "08")
    assert done.stdout == "executing 08; 1 at a time\n1/1 08_x 08_x.zh-CN\n", done.stderr
    paths = original, tmp_path / "08_x.zh-CN.ipynb"
    notebooks = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    assert [notebook["cells"][0].pop("source") for notebook in notebooks] == [["one"], ["一"]]
    assert notebooks[0] == notebooks[1]
    assert notebooks[0]["cells"][1]["outputs"][0]["data"]["text/plain"] == ["3"]
