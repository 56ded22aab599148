"""The versions that a run records: those of which its bits are made."""

import platform

import numpy as np

from shared.machine import versions


def test_versions_name_what_the_bits_depend_on():
    found = versions.versions()
    assert list(found) == ["python", "machine", "tensorflow", "keras", "numpy"]
    assert found["python"] == platform.python_version()
    assert found["machine"] == platform.machine()
    assert found["numpy"] == np.__version__


def test_versions_name_tensorflow_under_any_distribution(monkeypatch):
    real = versions.metadata.version

    def version(name):
        if name == "tensorflow":
            raise versions.metadata.PackageNotFoundError(name)
        return "2.21.0" if name == "tensorflow-cpu" else real(name)

    distributions = {"tensorflow": ["tensorflow-cpu"]}
    monkeypatch.setattr(versions.metadata, "version", version)
    monkeypatch.setattr(versions.metadata, "packages_distributions", lambda: distributions)
    assert versions.versions()["tensorflow"] == "2.21.0"
    distributions.clear()
    assert versions.versions()["tensorflow"] == "unknown"
