"""The weights that are packed for the page, unpacked here by their description."""

import base64
import zlib

import numpy as np
import pytest

from shared.show.page.packing import packed_weights, rounded_weights


@pytest.fixture
def weights():
    """Weights after three epochs: columns of very different sizes, one of zeros, large changes."""
    random = np.random.RandomState(0)
    scale = np.array([1e-6, 1, 1000, 0, 3])
    first = {"a/kernel": random.normal(size=(7, 5)) * scale, "a/bias": random.normal(size=5)}
    first |= {"b/kernel": random.normal(size=(5, 2)), "b/bias": random.normal(size=2)}
    later = {epoch: {n: (-1) ** epoch * a * epoch for n, a in first.items()} for epoch in (2, 7)}
    return {
        epoch: {name: array.astype(np.float32) for name, array in arrays.items()}
        for epoch, arrays in {1: first, **later}.items()
    }


def unpacked(packed):
    """[{name: array}] of each epoch."""
    later, epochs = 0, []
    for stream in reversed(packed["epochs"]):
        content, arrays = zlib.decompress(base64.b64decode(stream)), {}
        for name, length in packed["biases"]:
            arrays[name] = np.frombuffer(content[: 4 * length], "<f4")
            content = content[4 * length :]
        later = np.frombuffer(content, np.int8) + later  # modulo 256
        later = later.astype(np.int8)
        rest = later.astype(np.float64)
        for name, steps, rows in packed["kernels"]:
            steps = np.frombuffer(base64.b64decode(steps), "<f4")
            kernel, rest = np.split(rest, [rows * len(steps)])
            arrays[name] = kernel.reshape(rows, -1) * steps
        assert len(rest) == 0
        epochs.insert(0, arrays)
    return epochs


def test_biases_are_exact_and_kernels_are_within_half_a_step(weights):
    packed = packed_weights(weights)
    for arrays, exact in zip(unpacked(packed), weights.values(), strict=True):
        assert arrays.keys() == exact.keys()
        for name, array in arrays.items():
            if array.ndim == 1:
                assert array.tobytes() == exact[name].tobytes()
                continue
            largest = np.max([np.abs(each[name]).max(axis=0) for each in weights.values()], axis=0)
            # A step is 1/127 of the largest weight of a column, itself rounded to float32.
            assert (np.abs(array - exact[name]) <= (0.5 + 1e-5) * largest / 127).all()


def test_the_rounded_weights_are_those_that_are_packed(weights):
    rounded = rounded_weights(weights)
    for arrays, ours in zip(unpacked(packed_weights(weights)), rounded.values(), strict=True):
        for name, array in arrays.items():
            assert ours[name].dtype == np.float32
            assert (array.astype(np.float32) == ours[name]).all(), name


def test_one_epoch_is_packed_too(weights):
    packed = packed_weights({1: weights[1]})
    assert len(packed["epochs"]) == 1 and unpacked(packed)[0].keys() == weights[1].keys()
