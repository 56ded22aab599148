"""The versions of Python and of the packages that decide the bits of a run."""

import platform
import re
import sys
from importlib.util import find_spec

from shared.machine.backend import backend
from shared.machine.checks import UsageError
from shared.machine.packages import installed_version
from shared.machine.process import say

__all__ = ["check_versions", "require_packages", "version_line", "versions"]

# The first versions that are supported, as in pyproject.toml. Up to Keras 3.11, `fit` tells its
# callbacks the first step of a compiled call and not its last: every count would be wrong.
LOWEST = {"tensorflow": (2, 20), "keras": (3, 12)}

# The packages that every program imports
REQUIRED = ("numpy", "msgspec", "rich", "filelock", "keras", "tensorflow")


def require_packages():
    """Ends the process with status 2 and one line if a package is not installed at all."""
    missing = [name for name in REQUIRED if find_spec(name) is None]
    if missing:
        say(
            f"{sys.executable} has no package {missing[0]}; run `make setup` and use"
            " .venv/bin/python, or `pip install .`"
        )
        raise SystemExit(2)


def check_versions():
    """Checks that TensorFlow and Keras are not older than what is supported; imports neither.

    Raises:
        UsageError: one of them is older.
    """
    for name, lowest in LOWEST.items():
        found = installed_version(name) or ""  # a missing package is reported elsewhere
        numbers = re.match(r"(\d+)\.(\d+)", found)
        if numbers and tuple(map(int, numbers.groups())) < lowest:
            wanted = ".".join(map(str, lowest))
            raise UsageError(
                f"{name} is {found}; expected {wanted} or later: pip install '{name}>={wanted}'"
            )


def versions():
    """Returns the versions of Python and the packages, and the machine type, as a dict of texts."""
    names = dict.fromkeys(("tensorflow", "keras", "numpy", backend()))
    packages = {name: installed_version(name) or "unknown" for name in names}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}


def version_line():
    """Returns the versions of the project, of Python and of the packages in one line."""
    project = installed_version("vae-written-twice") or "not installed"
    found = {name: each for name, each in versions().items() if name != "machine"}
    return ", ".join([f"vae-written-twice {project}", *(f"{k} {v}" for k, v in found.items())])
