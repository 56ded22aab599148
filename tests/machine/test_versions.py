"""The versions that a run records: those of which its bits are made."""

import platform

import numpy as np
import pytest

from shared.machine import packages, versions
from shared.machine.checks import UsageError


def test_versions_name_what_the_bits_depend_on():
    found = versions.versions()
    assert list(found) == ["python", "machine", "tensorflow", "keras", "numpy"]
    assert found["python"] == platform.python_version()
    assert found["machine"] == platform.machine()
    assert found["numpy"] == np.__version__


def test_versions_name_tensorflow_under_any_distribution(monkeypatch):
    real, found = packages.metadata.version, {"tensorflow-cpu": "2.21.0"}

    def version(name):
        if name == "tensorflow":
            raise packages.metadata.PackageNotFoundError(name)
        return found.get(name) or real(name)

    distributions = {"tensorflow": ["tensorflow-cpu"]}
    monkeypatch.setattr(packages.metadata, "version", version)
    monkeypatch.setattr(packages.metadata, "packages_distributions", lambda: distributions)
    assert versions.versions()["tensorflow"] == "2.21.0"
    versions.check_versions()
    found["tensorflow-cpu"] = "2.19.1"
    with pytest.raises(UsageError, match=r"tensorflow is 2\.19\.1; expected 2\.20 or later"):
        versions.check_versions()
    distributions.clear()
    assert versions.versions()["tensorflow"] == "unknown"
