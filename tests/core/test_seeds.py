"""Seeds: stable, distinct for distinct roles, in the range that both frameworks accept."""

import itertools

import numpy as np
import pytest

from shared import seeds
from shared.config import recipe
from shared.data.pixels import Pixels
from shared.seeds import epoch_order, examples_of, seed_of, window_order

ROLES = (
    "weights",
    "order",
    "window",
    "noise",
    "evaluation",
    "binarization",
    "importance",
    "sample",
)


def crc32(data):
    """CRC-32 by its definition, bit by bit, independent of any library."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_crc_above_has_its_published_check_value():
    assert crc32(b"123456789") == 0xCBF43926


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, "noise"), b"0/noise/"),
        ((0, "order", 1), b"0/order/1"),
        (
            (2**40, "weights", "encoder/z_mean/kernel"),
            b"1099511627776/weights/encoder/z_mean/kernel",
        ),
        ((1, "evaluation", 0), b"1/evaluation/0"),
        ((7, "ε"), "7/ε/".encode()),
    ],
)
def test_a_seed_is_the_crc_of_its_arguments(arguments, text):
    assert seed_of(*arguments) == crc32(text) % 2**31 % (2**31 - 2)


def test_the_arguments_are_separated():
    """(1, "order", 11) and (11, "order", 1), or a role that ends with a digit, give other seeds."""
    texts = [(1, "a", 23), (12, "a", 3), (1, "a2", 3), ("1/a", "", 3), (1, "a", "2/3")]
    assert len({seed_of(*each) for each in texts}) == len(texts)


def test_distinct_roles_seeds_and_indices_give_distinct_seeds():
    cases = list(itertools.product(range(10), ROLES, range(20)))
    values = [seed_of(*case) for case in cases]
    assert len(set(values)) == len(cases) == 1600
    assert all(isinstance(value, int) for value in values)


def test_seeds_stay_below_the_modulus_of_keras(monkeypatch):
    """Keras reduces a generator's state modulo 2^31 - 2, and TensorFlow does not."""
    most = 2**31 - 2
    for crc, wanted in (
        (0, 0),
        (most - 1, most - 1),
        (most, 0),
        (2**31 - 1, 1),
        (2**31, 0),
        (2**32 - 1, 1),
    ):
        monkeypatch.setattr(seeds.zlib, "crc32", lambda _, crc=crc: crc)
        assert seed_of(0, "noise") == wanted


def test_distinct_roles_draw_independent_numbers():
    streams = np.array(
        [np.random.RandomState(seed_of(0, role)).normal(size=10_000) for role in ROLES]
    )
    correlations = np.corrcoef(streams)[np.triu_indices(len(ROLES), 1)]
    assert np.abs(correlations).max() < 0.05  # five standard errors, 5 / √10,000


def test_an_order_is_the_permutation_of_its_own_seed():
    order = epoch_order(3, 2, 50)
    assert order.dtype == np.int32 and order.shape == (50,)
    seed = crc32(b"3/order/2") % 2**31 % (2**31 - 2)
    np.testing.assert_array_equal(order, np.random.RandomState(seed).permutation(50))


def test_an_order_is_a_proper_shuffle():
    orders = np.stack([epoch_order(0, epoch, 1000) for epoch in range(1, 201)])
    assert (np.sort(orders, axis=1) == np.arange(1000)).all()
    # An example's mean place over 200 epochs: 499.5 with a standard error of 1000/√12/√200 = 20.4.
    assert np.abs(orders.argsort(axis=1).mean(axis=0) - 499.5).max() < 5 * 20.4
    # Contiguous windows of the data would keep neighbours together, a shuffle only by chance.
    assert (np.abs(np.diff(orders, axis=1)) == 1).mean() < 0.01
    assert len({epoch_order(seed, 1, 1000).tobytes() for seed in range(20)}) == 20


def test_a_window_is_that_of_its_own_step():
    """Each batch starts at a number drawn for its step alone, whatever epoch it is in."""
    order = window_order(3, 2, 50, 8)  # 7 steps per epoch, so step 7 is the first of epoch 2
    assert order.dtype == np.int32 and order.shape == (56,)
    windows = order.reshape(7, 8)
    for number, window in enumerate(windows, start=7):
        seed = crc32(f"3/window/{number}".encode()) % 2**31 % (2**31 - 2)
        start = np.random.RandomState(seed).randint(0, 43)
        np.testing.assert_array_equal(window, np.arange(start, start + 8))


def test_windows_start_at_every_example_equally_often():
    starts = [window_order(seed, 1, 1000, 10).reshape(-1, 10)[:, 0] for seed in range(400)]
    # 40,000 starts in 0 … 990, both ends included. In each tenth of the range an expected 4,000,
    # with a standard error of 60; the first tenth has 100 of 991 starts, the last 91.
    counts, _ = np.histogram(starts, bins=[*range(0, 1000, 100), 990.5])
    expected = 40_000 * np.array([100] * 9 + [91]) / 991
    assert np.abs(counts - expected).max() < 5 * 60
    assert (np.min(starts), np.max(starts)) == (0, 990)
    assert window_order(0, 1, 10, 10).tolist() == list(range(10))  # a single window


def test_a_config_trains_on_its_own_order():
    x, config = Pixels([np.zeros((50, 1))]), recipe("post-keras", seed=4, batch_size=8)
    np.testing.assert_array_equal(examples_of(config, 2, x), epoch_order(4, 2, 50))
    config = recipe("post-keras", seed=4, batch_size=8, order="windows")
    np.testing.assert_array_equal(examples_of(config, 2, x), window_order(4, 2, 50, 8))
    x.mixed = np.random.RandomState(0).permutation(50)
    wanted = x.mixed[window_order(4, 2, 50, 8)]
    np.testing.assert_array_equal(examples_of(config, 2, x), wanted)
