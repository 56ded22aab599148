"""Fixtures: both implementations, and small synthetic data."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before any test imports TensorFlow

import numpy as np
import pytest

from shared.data import load_data
from shared.run.implementation import IMPLEMENTATIONS, import_implementation


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
    """An .npz of 330 + 620 grey 6 × 6 images: bars of three kinds, with noise.

    330 is not a multiple of the batch sizes in the tests, and 620 is not one of EVALUATION_BATCH.
    """
    random = np.random.RandomState(0)

    def images(n):
        labels = random.randint(0, 3, n)
        pixels = random.uniform(0, 0.3, (n, 6, 6))
        for image, label in zip(pixels, labels, strict=True):
            image[:, 2 * label : 2 * label + 2] += random.uniform(0.3, 0.7)
        return (pixels * 255).astype(np.uint8), labels

    (x_train, y_train), (x_test, y_test) = images(330), images(620)
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def data(data_path):
    """The synthetic data, loaded."""
    return load_data(str(data_path))
