"""The address of the repository in the notebooks, and their first cell on Colab."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import address
import pytest
from translations import all_prose, as_text, translated, translation_of

from shared.machine.checks import UsageError

ROOT = Path(__file__).parents[2]
COLAB = "https://colab.research.google.com/github"
FIRST = "REPOSITORY = "
STEM = "02_keras_version"


@pytest.fixture
def copies(tmp_path):
    """A notebook and its translation, with their source and prose."""
    (tmp_path / "zh-CN").mkdir()
    for name in (f"{STEM}.py", f"{STEM}.ipynb", f"{STEM}.zh-CN.ipynb", f"zh-CN/{STEM}.md"):
        shutil.copy(ROOT / "notebooks" / name, tmp_path / name)
    return tmp_path


def files(folder):
    """The notebooks, sources and prose of a folder."""
    return [*sorted(folder.glob("[0-9]*.*")), *all_prose(folder)]


def opened(path):
    """The notebook that the badge of a file opens."""
    return (translation_of(path) if path.suffix == ".md" else path.with_suffix(".ipynb")).name


def lines(path):
    """The lines of a source or of prose, or of the cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text.splitlines()
    cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"]]
    return "\n".join(cells).splitlines()


def test_an_address_is_written_into_every_notebook_and_changes_nothing_else(copies):
    before = {path: lines(path) for path in files(copies)}
    texts = {path: path.read_text(encoding="utf-8") for path in files(copies)}
    assert len(texts) == 4
    assert address.write_address(copies, "someone/a.copy-1", "dev") == 2
    for path, old in before.items():
        new = lines(path)
        changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        assert len(changed) == (1 if path.suffix == ".md" else 2)  # the prose has no code
        badge = f"{COLAB}/someone/a.copy-1/blob/dev/notebooks/{opened(path)}"
        assert badge in changed[0][1] and f"{COLAB}/OWNER/NAME/blob/main/" in changed[0][0]
        for old_line, new_line in changed[1:]:
            assert new_line.startswith(f'{FIRST}"https://github.com/someone/a.copy-1"  #')
            assert old_line.startswith(f'{FIRST}""  #')
    (prose,) = all_prose(copies)  # the translation is still what its prose and the original give
    original = json.loads((copies / f"{STEM}.ipynb").read_text(encoding="utf-8"))
    built = translation_of(prose).read_text(encoding="utf-8")
    assert as_text(translated(original, prose)) == built
    # A second address replaces the first; the file is otherwise the same in every byte.
    address.write_address(copies, "OWNER/NAME")
    for path, old in texts.items():
        text = path.read_text(encoding="utf-8")
        assert text.replace("https://github.com/OWNER/NAME", "") == old


def test_every_notebook_has_its_badge_and_no_address():
    notebooks = files(ROOT / "notebooks")
    assert len(notebooks) == 32
    for path in notebooks:
        text = "\n".join(lines(path))
        assert text.count(f"{COLAB}/OWNER/NAME/blob/main/notebooks/{opened(path)})") == 1
        assert text.count(f'{FIRST}""  #') == (path.suffix != ".md")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no-slash",), "the repository is 'no-slash'; expected OWNER/NAME"),
        (("https://github.com/a/b",), "expected OWNER/NAME"),
        (('a/b"',), "expected OWNER/NAME"),
        (("a/b", "x/y"), "--branch is 'x/y'"),
    ],
)
def test_an_address_of_another_form_is_refused(copies, arguments, message):
    before = {path: path.read_bytes() for path in files(copies)}
    with pytest.raises(UsageError, match=message):
        address.write_address(copies, *arguments)
    assert {path: path.read_bytes() for path in files(copies)} == before


@pytest.mark.long
def test_the_first_cell_downloads_the_project_on_colab(tmp_path):
    """In an empty folder, with a module of Colab's name, and this repository as the address.

    pip finds all requirements installed, so it needs no network.
    """
    repository = tmp_path / "repository"
    ignored = shutil.ignore_patterns(".git", ".venv", "runs", "results", "*.ipynb")
    shutil.copytree(ROOT, repository, ignore=ignored)
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "--quiet"], ["add", "-A"], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    source = (ROOT / "notebooks" / "02_keras_version.py").read_text(encoding="utf-8")
    cell = source[source.index("# Set-up.") : source.index("# %%", source.index("# Set-up."))]
    code = f"""
import sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
cell = {cell.replace(f'{FIRST}""', f'{FIRST}"{repository.as_uri()}"')!r}
for _ in range(2):  # a reader may run the cell again
    exec(cell)
import shared, tools, keras_vae
for module in (shared, tools, keras_vae):
    print(module.__file__)
"""
    work = tmp_path / "content"
    work.mkdir()
    # -P and an empty PYTHONPATH: nothing of this checkout's folder is importable by chance.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=work, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert all(Path(path).is_relative_to(work / "vae") for path in found) and len(found) == 3


def test_without_an_address_the_first_cell_says_what_is_missing(tmp_path):
    source = (ROOT / "notebooks" / "02_keras_version.py").read_text(encoding="utf-8")
    cell = source[source.index("# Set-up.") : source.index("# %%", source.index("# Set-up."))]
    code = f"import sys\nsys.modules['google.colab'] = sys\nexec({cell!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "REPOSITORY is empty: fill in the address" in done.stderr
    assert list(tmp_path.iterdir()) == []
