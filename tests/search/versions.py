"""Runs both implementations with the ends of the ranges of versions in pyproject.toml.

    make test-versions

Each combination gets an environment of its own in .venv-versions/, into which pip installs the
project as a user does. There, every bit of both implementations is compared on random configs, and
the installed package trains from another folder, twice with each implementation. The environment
`colab` also runs the first cell of the notebooks, and notebooks, as on Colab.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from shared.command.line import exit_status
from shared.machine.arithmetic import VARIABLES
from shared.machine.backend import IMPLEMENTATIONS
from shared.machine.checks import UsageError
from shared.machine.process import Stopped, end_process

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-versions"
SHOWN = ("tensorflow", "keras", "numpy")
TESTS = "hypothesis==6.170.17"  # what parity_search.py imports beside the project
# What Colab has (2026-08), and what it has not is left out: the first cell installs that.
ON_COLAB = ["tensorflow==2.20.0", "keras==3.13.2", "numpy==2.1.3", "mlxtend==0.23.4"]
ON_COLAB += ["matplotlib", "scipy", "scikit-learn", "rich", "filelock", "Jinja2", "pillow"]
NOTEBOOKS = ("00_a_vae_in_fifty_lines", "02_keras_version")


def lowest(dependencies):
    """Returns the lowest versions of the ranges, as requirements."""
    return [re.sub(r">=([\d.]+).*", r"==\1", each) for each in dependencies]


def dependencies():
    """Returns the requirements in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["dependencies"]


COMBINATIONS = {
    "lowest": lowest(dependencies()),
    "colab": ["tensorflow==2.20.0", "keras==3.13.2", "numpy==2.1.3", "mlxtend==0.23.4"],
    "highest": ["tensorflow==2.21.0", "keras==3.15.1"],
}
# With TensorFlow 2.20 the recorded loss of a step may differ in its last bit: `step_losses` of the
# run and of its checkpoint then differ, and nothing else may.
WITH_2_20 = ("lowest", "colab")
STEP_LOSSES = re.compile(r"2 of \d+ differ, first step_losses, by ")


@dataclass
class Versions:
    """Compare every bit of both implementations with the ends of the supported versions."""

    names: Positional[tuple[str, ...]] = ()
    """Combinations, of lowest, colab and highest; without them, all."""
    python: str = sys.executable
    """Python of the environments."""
    count: int = 8
    """Number of random configs per combination."""
    seed: int = 0
    """Seed of the configs."""


def run(*command, cwd=ROOT, accepted=(0,), **variables):
    """Runs a command and returns its output; raises Stopped with its end if it fails."""
    # What this process has set for its own TensorFlow is not for another one.
    dropped = {"PYTHONPATH", "MNIST_NPZ", "XLA_FLAGS", *VARIABLES}
    environment = {k: v for k, v in os.environ.items() if k not in dropped}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode not in accepted:
        words, end = " ".join(map(str, command[:4])), (done.stdout + done.stderr)[-2000:]
        raise Stopped(f"{words} ended with {done.returncode}: {end}")
    return done.stdout


def environment(name, python, requirements):
    """Returns the Python of an environment, which is created if it is missing."""
    folder = FOLDER / name
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not interpreter.exists():
        run(python, "-m", "venv", folder)
    pip = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, *requirements)
    return interpreter


def trained(python, package, out):
    """Trains an epoch from a folder outside the project; returns the SHA-256 of the weights."""
    train = ["--data", "mnist-5k", "--epochs", "1", "--hidden-dims", "64"]
    run(python, "-m", package, "train", *train, "--out", out, cwd=out.parent)
    return hashlib.sha256((out / "weights.npz").read_bytes()).hexdigest()[:12]


def as_on_colab(python, folder):
    """Runs the first cell twice, once more after a restart, and then notebooks; returns a line."""
    repository, work = folder / "repository", folder / "content"
    work.mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", repository]
    files = run("git", "ls-files", "-z").split("\0")[:-1]
    for name in files:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_bytes((ROOT / name).read_bytes())
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "all"]):
        run(*git, *command)
    start = "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab')\n"
    before, seconds = run(python, "-m", "pip", "freeze").splitlines(), 0.0
    for name in NOTEBOOKS:
        source = (ROOT / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
        source = source.replace('REPOSITORY = ""', f'REPOSITORY = "{repository.as_uri()}"')
        first = source[: source.index("# %%", source.index("# @title Set-up."))]
        began = time.perf_counter()
        run(
            python,
            "-P",
            "-c",
            f"{start}import numpy\ncell = {first!r}\nexec(cell)\nexec(cell)",
            cwd=work,
        )
        seconds = max(seconds, time.perf_counter() - began)
        code = f"{start}exec(compile({source!r}, 'notebook', 'exec'))"
        run(python, "-P", "-c", code, cwd=work, FAST="1", MPLBACKEND="agg")
    after = run(python, "-m", "pip", "freeze").splitlines()
    if gone := {*before} - {*after}:
        raise UsageError(f"the first cell has replaced {', '.join(sorted(gone))}")
    new = sorted(line.split("==")[0] for line in {*after} - {*before})
    return f"first cell {seconds:.0f} s, installs {', '.join(new)}; {', '.join(NOTEBOOKS)} run"


def measured(name, job):
    """Returns the row of the table for one combination, and whether it is as it should be."""
    python = environment(name, job.python, [".", TESTS, *COMBINATIONS[name]])
    script = "import platform, sys; from importlib.metadata import version\n"
    script += "print(platform.python_version(), *map(version, sys.argv[1:]))"
    found = run(python, "-c", script, *SHOWN).split()
    search = [ROOT / "tests/search/parity_search.py", "--count", job.count, "--seed", job.seed]
    search += ["--no-reduce"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
    lines = run(python, *search, accepted=(0, 1), PYTHONPATH=path).strip().splitlines()
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        hashes = [
            trained(python, package, Path(folder) / f"{package}{again}")
            for package in IMPLEMENTATIONS.values()
            for again in (1, 2)
        ]
        note = ""
        if name == "colab":
            shutil.rmtree(FOLDER / "colab-bare", ignore_errors=True)  # without what the cell adds
            bare = environment("colab-bare", job.python, ON_COLAB)
            note = as_on_colab(bare, Path(folder))
    equal = all(STEP_LOSSES.match(line) and name in WITH_2_20 for line in lines[:-1])
    row = [name, *found, lines[-1], " ".join(dict.fromkeys(hashes)), note]
    return row, equal and len({*hashes}) == 1


def main():
    """Runs the combinations named on the command line, and prints the table."""
    job = tyro.cli(Versions, prog="tests/search/versions.py")
    if unknown := {*job.names} - {*COMBINATIONS}:
        raise UsageError(f"no combination {min(unknown)}; expected {', '.join(COMBINATIONS)}")
    table = Table("", "Python", *SHOWN, "parity", "weights", "as on Colab")
    status = 0
    for name in job.names or COMBINATIONS:
        row, agrees = measured(name, job)
        table.add_row(*row)
        status = status if agrees else 1
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    return status


if __name__ == "__main__":
    end_process(exit_status(main))
