"""Fixtures: both implementations, and small synthetic data."""

import os
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before any test imports TensorFlow

import pytest
from small_data import write_bars

from shared.command.implementation import import_implementation
from shared.data import load_data
from shared.machine.backend import IMPLEMENTATIONS


def pytest_addoption(parser):
    """Adds an option with which one commit runs a part of the tests, and the next another."""
    parser.addoption("--part", default="0/1", help="K/N: the Kth of N parts of the tests, from 0")


@pytest.hookimpl(tryfirst=True)  # before pytest looks at marks
def pytest_collection_modifyitems(config, items):
    """Chooses a part of the tests, and marks those as long that tf_vae alone can show.

    Both implementations have equal histories and weights, so one is enough in the short run.
    """
    part, parts = map(int, config.getoption("--part").split("/"))
    others = [item for item in items if zlib.crc32(item.nodeid.encode()) % parts != part]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
    for item in items:
        if item.get_closest_marker("either") and "keras_vae" in item.callspec.params.values():
            item.add_marker("long")


@pytest.fixture(params=IMPLEMENTATIONS.values())
def implementation(request):
    """Each implementation in turn, as the functions of its modules."""
    return import_implementation(request.param)


@pytest.fixture(scope="session")
def implementations():
    """Both implementations: {name: functions}."""
    return {name: import_implementation(name) for name in IMPLEMENTATIONS.values()}


@pytest.fixture(scope="session")
def data_path(tmp_path_factory):
    """An .npz of 300 + 500 images.

    They make whole batches of 50, 60 or 100, and one batch of an evaluation: XLA compiles a program
    for each length of a batch, and compiling takes most of the time of these tests.
    """
    return write_bars(tmp_path_factory.mktemp("data"), 300, 500)


@pytest.fixture(scope="session")
def data(data_path):
    """The images of `data_path`."""
    return load_data(str(data_path))


@pytest.fixture(scope="session")
def uneven_data(tmp_path_factory):
    """330 + 620 images, which end in a partial batch in training and in evaluation."""
    return load_data(str(write_bars(tmp_path_factory.mktemp("uneven"), 330, 620)))
