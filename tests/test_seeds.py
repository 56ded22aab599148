"""Seeds: stable, distinct for distinct roles, in the range that both frameworks accept."""

import itertools

import numpy as np
import pytest

from shared import seeds
from shared.seeds import epoch_order, seed_of

ROLES = ("weights", "order", "noise", "evaluation", "binarization", "importance", "sample")


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
    assert len(set(values)) == len(cases) == 1400
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
