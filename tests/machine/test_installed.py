"""The packages that are found: too old ones, none at all, another `shared`, strict warnings."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from shared.machine.versions import LOWEST

ROOT = Path(__file__).parents[2]
BOTH = pytest.mark.parametrize("package", ["keras_vae", "tf_vae"])


def python(*arguments, cwd, path="", **variables):
    """Runs Python in a folder, with the project behind the folders of `path`."""
    path = os.pathsep.join([*([str(path)] if path else []), str(ROOT)])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
        capture_output=True,
        encoding="utf-8",
    )


# ---- versions


def old(folder, name, version):
    """Installs a version of a package into a folder, as far as `importlib.metadata` sees."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(text, encoding="utf-8")


@BOTH
@pytest.mark.parametrize(
    ("name", "version", "wanted"), [("keras", "3.10.0", "3.12"), ("tensorflow", "2.19.1", "2.20")]
)
def test_an_old_version_is_one_line_and_one_exception(package, name, version, wanted, tmp_path):
    old(tmp_path, name, version)
    line = f"{name} is {version}; expected {wanted} or later: pip install '{name}>={wanted}'"
    done = python("-c", f"from {package}.train import train", cwd=tmp_path, path=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"shared.machine.checks.UsageError: {line}"
    command = ["-m", package, "evaluate", ROOT / "pretrained" / "post-keras", "--data", "mnist-5k"]
    done = python(*command, cwd=tmp_path, path=tmp_path)
    assert (done.returncode, done.stderr.splitlines()) == (2, [line])


def test_the_lowest_and_later_versions_are_accepted(tmp_path):
    for name, (major, minor) in LOWEST.items():
        old(tmp_path, name, f"{major}.{minor}.0rc1")
    assert python("-c", "import keras_vae, tf_vae", cwd=tmp_path, path=tmp_path).returncode == 0
    (tmp_path / "keras-3.12.0rc1.dist-info").rename(tmp_path / "keras-4.0.dist-info")
    assert python("-c", "import keras_vae, tf_vae", cwd=tmp_path, path=tmp_path).returncode == 0


def ranges():
    """The requirements in pyproject.toml: {name in small letters: range}."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = [re.match(r"([\w-]+)(.*)", e) for e in tomllib.loads(text)["project"]["dependencies"]]
    return {match[1].lower(): match[2] for match in found}


def test_the_lock_is_within_the_ranges_of_the_package():
    text = (ROOT / "requirements" / "base.in").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)", text.lower(), re.MULTILINE))
    assert ranges().keys() <= pinned.keys()
    for name, text in ranges().items():
        found = number(pinned[name])
        for sign, limit in re.findall(r"(>=|<)([\d.]+)", text):
            assert found >= number(limit) if sign == ">=" else found < number(limit), name
    for name, lowest in LOWEST.items():
        assert ranges()[name].startswith(f">={'.'.join(map(str, lowest))}")


def number(version):
    return [int(part) for part in version.split(".")]


# ---- no packages, and another package `shared`


@pytest.mark.parametrize("program", [["reproduce.py"], ["-m", "keras_vae"], ["-m", "tf_vae"]])
def test_without_packages_one_line_says_what_to_do(program):
    done = python("-S", *program, cwd=ROOT)  # without site-packages
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "has no package numpy; run `make setup` and use" in line


@BOTH
@pytest.mark.parametrize("regular", [True, False])
def test_a_program_finds_its_own_shared(package, regular, tmp_path):
    """Called from a folder that has another one, with or without an __init__.py."""
    (tmp_path / "shared").mkdir()
    if regular:
        (tmp_path / "shared" / "__init__.py").write_text("1 / 0", encoding="utf-8")
    done = python("-m", package, "evaluate", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "nowhere holds no run (no config.json)\n")


@BOTH
def test_a_library_names_both_packages_shared(package, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "__init__.py").write_text("", encoding="utf-8")
    for before in ("", "import shared; "):
        done = python("-c", f"{before}from {package}.train import train", cwd=tmp_path)
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 1 and last.startswith("ImportError: ")
        assert str(tmp_path / "shared") in last and str(ROOT / "shared") in last
    # Another program started by -m is no program of ours.
    (tmp_path / "mine.py").write_text(f"import {package}", encoding="utf-8")
    assert "ImportError: " in python("-m", "mine", cwd=tmp_path).stderr


# ---- warnings


@BOTH
@pytest.mark.long
def test_a_training_warns_of_nothing(package, data_path, tmp_path):
    train = ["train", "--data", data_path, "--hidden-dims", "4", "--epochs", "2", "--out", "run"]
    done = python("-m", package, *train, cwd=tmp_path, PYTHONWARNINGS="error")
    assert done.returncode == 0, done.stderr
