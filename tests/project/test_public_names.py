"""The modules of the core and of a run define everything in their __all__, with docstrings."""

import importlib

import pytest

CORE = ("config", "elbo", "likelihoods", "objective", "seeds", "weights")
MACHINE = ("backend", "checks", "memory", "npz", "process", "text", "versions")
RUN = ("checkpoints", "checksums", "files", "folder", "network", "resume", "schemas", "state")
MODULES = [*CORE, *(f"machine.{name}" for name in MACHINE), *(f"run.{name}" for name in RUN)]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_what_it_exports(name):
    module = importlib.import_module(f"shared.{name}")
    for each in module.__all__:
        assert each == "RECIPES" or getattr(module, each).__doc__
    own = {
        each
        for each, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not each.startswith("_")
    }
    assert own <= set(module.__all__)
