"""The address of the repository in the notebooks, and their first cell on Colab."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import address
import numpy as np
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
    assert len(notebooks) == 40
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


def first_cell():
    source = (ROOT / "notebooks" / f"{STEM}.py").read_text(encoding="utf-8")
    start = source.index("# @title Set-up.")
    return source[start : source.index("# %%", start)]


def hosted(cell, work, start="import sys; sys.modules['google.colab'] = sys", **variables):
    """Runs a first cell twice, as a reader may, in a process that can import nothing by chance."""
    code = f"""{start}
cell = {cell!r}
for _ in range(2):
    exec(cell)
import shared, tools, keras_vae
for module in (shared, tools, keras_vae):
    print(module.__file__)
"""
    environment = {**os.environ, "COLAB_JUPYTER_IP": "127.0.0.1", "KMP_TARGET_PORT": "9"}
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=work,
        env=environment | variables,
        capture_output=True,
        encoding="utf-8",
    )


@pytest.fixture
def repository(tmp_path):
    """A clone of this project as it is now, in which everything is committed."""
    folder = tmp_path / "repository"
    ignored = shutil.ignore_patterns(".git", ".venv*", "runs", "results", "build", "*.ipynb")
    shutil.copytree(ROOT, folder, ignore=ignored)
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "--quiet"], ["add", "-A"], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    (tmp_path / "content").mkdir()
    return folder


def downloaded(done, work):
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    return len(found) == 3 and all(Path(path).is_relative_to(work / "vae") for path in found)


@pytest.mark.long
@pytest.mark.parametrize("place", ["colab", "kaggle"])
def test_the_first_cell_downloads_the_project(place, repository, tmp_path):
    """In an empty folder, and again after a restart, with this repository as the address."""
    cell = first_cell().replace(f'{FIRST}""', f'{FIRST}"{repository.as_uri()}"')
    options = {"start": "", "KAGGLE_KERNEL_RUN_TYPE": "Batch"} if place == "kaggle" else {}
    work = tmp_path / "content"
    for _ in range(2):
        assert downloaded(hosted(cell, work, **options), work)


@pytest.mark.long
def test_on_colab_the_address_is_that_from_which_the_notebook_was_opened(repository, tmp_path):
    """Colab's list of sessions has it; git gets the copy on GitHub from this repository."""
    opened = "fileId=https%3A//github.com/someone/copy/blob/main/notebooks/02_keras_version.ipynb"

    class Sessions(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/api/sessions" else 404)
            self.end_headers()
            self.wfile.write(json.dumps([{"path": opened}]).encode())

    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/someone/copy",
    }
    with http.server.HTTPServer(("127.0.0.1", 0), Sessions) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = str(server.server_port)
        done = hosted(first_cell(), tmp_path / "content", KMP_TARGET_PORT=port, **instead)
        server.shutdown()
    assert downloaded(done, tmp_path / "content")


def test_without_an_address_the_first_cell_says_what_is_missing(tmp_path):
    done = hosted(first_cell(), tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "REPOSITORY is empty: fill in the address" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_the_project_is_kept(tmp_path):
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "mine.txt").write_text("mine", encoding="utf-8")
    done = hosted(first_cell().replace(f'{FIRST}""', f'{FIRST}"{ROOT.as_uri()}"'), tmp_path)
    assert done.returncode == 1
    assert "was not downloaded to vae" in done.stderr.splitlines()[-1]
    assert (tmp_path / "vae" / "mine.txt").exists()


def test_what_is_missing_is_installed_beside_what_is_there(monkeypatch, tmp_path):
    """pip's constraints are the versions of all installed packages, so nothing is replaced."""
    import hosted

    assert hosted.missing() == []
    project = tmp_path / "pyproject.toml"
    text = '[project]\ndependencies = ["no-such-package>=1", "NumPy<2"]\n'
    project.write_text(text, encoding="utf-8")
    monkeypatch.setattr(hosted, "PROJECT", project)
    assert hosted.missing() == ["no-such-package>=1"]  # NumPy is there, in whatever version
    lines = dict(hosted._distributions())
    assert lines["numpy"] == np.__version__
    with pytest.raises(SystemExit, match="no-such-package>=1 cannot be installed beside"):
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        hosted.install_missing()
