"""Config, recipes and seeds."""

import dataclasses
import json

import numpy as np
import pytest

from shared.config import RECIPES, UsageError, from_dict, recipe
from shared.seeds import epoch_order, seed_of


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_dim": 0}, "latent_dim is 0; expected an integer >= 1"),
        ({"latent_dim": 2.5}, "latent_dim is 2.5"),
        ({"hidden_dims": ()}, "hidden_dims is empty"),
        ({"hidden_dims": (3, 0)}, "hidden_dims is 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": None}, "given as neither"),
        ({"steps": 3, "epochs": 3}, "given as both"),
        ({"seed": -1}, "seed is -1"),
        ({"beta": float("nan")}, "beta is nan"),
        ({"beta": -1.0}, "beta is -1"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"optimizer": "magic"}, "optimizer is 'magic'; expected one of rmsprop, adam, sgd"),
        ({"recipe": "mine"}, "recipe is 'mine'"),
        ({"wings": 2}, "'wings' is not a config field"),
        ({"likelihood": "categorical", "levels": 1}, "levels is 1; expected an integer from 2"),
        ({"levels": 4}, "levels is 4 but likelihood is bernoulli; only likelihood categorical"),
        (
            {"likelihood": "gaussian", "fixed_sigma": 0.0},
            "fixed_sigma is 0.0; expected a number > 0",
        ),
        ({"fixed_sigma": 0.1}, "fixed_sigma is 0.1 but likelihood is bernoulli; only .* gaussian"),
        ({"likelihood": "categorical", "output_bias": "mean-image"}, "only likelihood bernoulli"),
        ({"posterior": "delta", "beta": 2.0}, "only posterior gaussian takes it"),
        ({"kl_warmup_steps": -1}, "kl_warmup_steps is -1"),
        ({"optimizer": "sgd", "optimizer_epsilon": 1e-4}, "sgd, which takes none"),
    ],
)
def test_values_out_of_range_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        recipe("post-keras", **changes)


def test_a_config_survives_json():
    for config in RECIPES.values():
        assert from_dict(json.loads(json.dumps(dataclasses.asdict(config)))) == config
    with pytest.raises(UsageError, match="lacks 'seed'"):
        from_dict({"recipe": "post-keras"})


def test_a_length_replaces_the_recipes_own():
    assert recipe("post-tf", epochs=3).steps is None
    assert recipe("post-keras", steps=7).epochs is None
    with pytest.raises(UsageError, match="recipe is 'nope'; expected one of"):
        recipe("nope")


def test_the_recipes_are_those_of_2018():
    assert RECIPES["post-keras"].hidden_dims == (256,) and RECIPES["post-keras"].latent_dim == 2
    post_tf = RECIPES["post-tf"]
    assert (post_tf.hidden_dims, post_tf.latent_dim, post_tf.steps) == ((400,), 20, 1000)
    assert (post_tf.optimizer, post_tf.learning_rate) == ("adam", 0.01)


@pytest.mark.parametrize(
    ("config", "n", "ends"),
    [
        (recipe("post-keras", epochs=2), 60000, [(1, 0, 600), (2, 600, 1200)]),
        (recipe("post-tf"), 60000, [(1, 0, 600), (2, 600, 1000)]),
        # 937.5 batches of 64: the half one is a step of its own.
        (recipe("post-keras", epochs=2, batch_size=64), 60000, [(1, 0, 938), (2, 938, 1876)]),
        (recipe("post-keras", steps=5), 60000, [(1, 0, 5)]),
        (recipe("post-keras", epochs=1, batch_size=500), 40, [(1, 0, 1)]),
    ],
)
def test_epochs_end_at_the_right_step(config, n, ends):
    assert config.epoch_ends(n) == ends
    assert config.total_steps(n) == ends[-1][2] and config.total_epochs(n) == ends[-1][0]
    assert config.epoch_ends(n, ends[0][2]) == ends[1:]


def test_pictured_epochs_include_the_last():
    assert recipe("post-keras").pictured(60000) == [5, 50]
    assert recipe("post-keras", epochs=3).pictured(60000) == [3]
    assert recipe("post-keras", epochs=7).pictured(60000) == [5, 7]
    assert recipe("post-tf").pictured(60000) == [2]


def test_seeds_depend_on_all_their_arguments_and_fit_31_bits():
    seeds = {seed_of(s, r, i) for s in range(20) for r in ("order", "noise") for i in range(20)}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**31 for seed in seeds)
    # CRC-32 of "0/noise/" by its definition, so that no release may change the numbers.
    crc = 0xFFFFFFFF
    for byte in b"0/noise/":
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    assert seed_of(0, "noise") == (crc ^ 0xFFFFFFFF) & 0x7FFFFFFF


def test_an_order_is_a_proper_shuffle():
    orders = np.stack([epoch_order(0, epoch, 1000) for epoch in range(1, 201)])
    assert (np.sort(orders, axis=1) == np.arange(1000)).all()
    # An example's mean place over 200 epochs: 499.5 with a standard error of 1000/√12/√200 = 20.4.
    assert np.abs(orders.argsort(axis=1).mean(axis=0) - 499.5).max() < 5 * 20.4
    # The 2018 script drew contiguous windows; here neighbours are neighbours by chance alone.
    assert (np.abs(np.diff(orders, axis=1)) == 1).mean() < 0.01
