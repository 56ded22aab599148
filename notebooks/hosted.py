"""Makes a clone ready for a notebook on Colab or Kaggle; the first cell of a notebook calls it.

What the project needs and is missing there is installed, and nothing is replaced: a hosted session
has loaded NumPy before the first cell, and another version on the disk breaks it.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent / "pyproject.toml"


def prepare():
    """Installs what is missing, and makes this clone the folder of the session and importable.

    Raises:
        SystemExit: as for `install_missing`; the folder of the session is then as before, so that
            the first cell can be run again.
    """
    install_missing()
    os.chdir(FOLDER)
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]


def missing():
    """Returns those requirements in pyproject.toml that are not installed in any version."""
    installed = {re.sub(r"[-_.]+", "-", name).lower() for name, _ in _distributions()}
    requirements = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [each for each in requirements if re.match(r"[\w-]+", each)[0].lower() not in installed]


def install_missing():
    """Installs what is missing, beside the installed versions of all other packages.

    Raises:
        SystemExit: pip could not do it.
    """
    needed = missing()
    if not needed:
        return
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "installed.txt"
        lines = [f"{name}=={version}\n" for name, version in _distributions()]
        kept.write_text("".join(lines), encoding="utf-8", newline="\n")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--constraint", kept, *needed]).returncode:
            raise SystemExit(
                f"{', '.join(needed)} cannot be installed beside the packages of this session;"
                " on Kaggle, switch Internet on"
            )


def _distributions():
    """Returns (name, version) of every installed package, of each the one that is imported."""
    found = {}
    for each in metadata.distributions():
        name, version = each.metadata["Name"], each.version
        if name and version and re.fullmatch(r"[\w.!+-]+", version):
            found.setdefault(name, version)
    return list(found.items())
