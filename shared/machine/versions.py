"""The versions of Python and of the packages that decide the bits of a run."""

import platform
from importlib import metadata

from shared.machine.backend import backend

__all__ = ["versions"]


def versions():
    """Returns the versions of Python and the packages, and the machine type, as a dict of texts."""
    names = dict.fromkeys(("tensorflow", "keras", "numpy", backend()))
    packages = {name: _version(name) for name in names}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # the package may have another name, as tensorflow-cpu
        distributions = metadata.packages_distributions().get(name, [])
        return metadata.version(distributions[0]) if distributions else "unknown"
