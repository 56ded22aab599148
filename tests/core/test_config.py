"""Config: the values that each field accepts and refuses, the recipes, the steps of a run."""

import dataclasses
import json

import numpy as np
import pytest

from shared.config import ADDED, RECIPES, Config, from_dict, recipe
from shared.machine.checks import FLOAT32_MAX, FLOAT32_MIN, UsageError

HUGE = 10**400  # too large for a float, so converting it would raise OverflowError
NAMES = ("latent_dim", "batch_size", "epochs", "steps", "train_samples", "patience")
INTEGERS = dict.fromkeys(NAMES, 1)
INTEGERS["kl_warmup_steps"] = 0
POSITIVE = (
    "initializer_stddev",
    "learning_rate",
    "learning_rate_decay",
    "optimizer_epsilon",
    "fixed_sigma",
)
OPTIONAL = ("epochs", "steps", "patience", "optimizer_epsilon", "fixed_sigma", "scale")
CHOICES = {
    "recipe": "post-keras, post-tf, nats",
    "activation": "relu, tanh",
    "initializer": "glorot_uniform, truncated_normal",
    "optimizer": "rmsprop, adam, sgd",
    "rmsprop_epsilon": "outside, inside",
    "order": "shuffle, windows",
    "likelihood": "bernoulli, gaussian, categorical, continuous-bernoulli",
    "binarization": "none, fixed, dynamic",
    "posterior": "gaussian, delta",
    "output_bias": "zero, mean-image",
    "objective": "elbo, iwae",
    "scale": "minmax, standard, none",
}


def refusal(**changes):
    """The message with which a config is refused."""
    with pytest.raises(UsageError) as error:
        recipe("post-keras", **changes)
    return str(error.value)


@pytest.mark.parametrize("name", INTEGERS)
def test_an_integer_field_takes_integers_in_its_range_and_nothing_else(name):
    least = INTEGERS[name]
    for value in (least, 2**31 - 1):
        assert getattr(recipe("post-keras", **{name: value}), name) == value
    for value in (least - 1, -7, True, False, 2.0, 2.5, float("nan"), float("inf"), "2", [2]):
        message = refusal(**{name: value})
        assert message == f"{name} is {value!r}; expected an integer >= {least}"
    for value in (2**31, HUGE):
        assert refusal(**{name: value}) == f"{name} is {value}; expected an integer <= 2147483647"
    if name not in OPTIONAL:
        assert refusal(**{name: None}) == f"{name} is None; expected an integer >= {least}"


def test_a_seed_is_any_integer_that_is_not_negative():
    for value in (0, 2**64):
        assert recipe("post-keras", seed=value).seed == value
    for value in (-1, True, 1.0, "1", None, float("nan")):
        assert refusal(seed=value) == f"seed is {value!r}; expected an integer >= 0"


@pytest.mark.parametrize("name", ["hidden_dims", "picture_epochs"])
def test_a_list_field_takes_lists_of_integers_and_nothing_else(name):
    for values in ((3,), [3, 2**31 - 1, 1]):
        assert getattr(recipe("post-keras", **{name: values}), name) == tuple(values)
    for values in (3, None, "34", {3, 4}, {3: 4}):
        wanted = f"{name} is {values!r}; expected a list of integers >= 1"
        assert refusal(**{name: values}) == wanted
    for value in (0, -1, True, 2.0, "2", float("nan"), None):
        assert refusal(**{name: (3, value)}) == f"{name} is {value!r}; expected an integer >= 1"
    assert refusal(**{name: (2**31,)}) == f"{name} is 2147483648; expected an integer <= 2147483647"


def test_hidden_dims_cannot_be_empty_but_picture_epochs_can():
    message = "hidden_dims is empty; expected at least one width, e.g. 256"
    assert refusal(hidden_dims=()) == message
    assert recipe("post-keras", picture_epochs=()).picture_epochs == ()


@pytest.mark.parametrize("name", [*POSITIVE, "beta"])
def test_a_number_field_takes_what_float32_holds_and_nothing_else(name):
    others = {"likelihood": "gaussian"} if name == "fixed_sigma" else {}
    limits = np.finfo(np.float32)
    smallest = 0 if name == "beta" else float(limits.tiny)  # below it float32 has no full precision
    for value in (smallest, 1, 0.25, float(limits.max)):
        ours = getattr(recipe("post-keras", **others, **{name: value}), name)
        assert ours == value and isinstance(ours, float)  # 1 is written as 1.0 into config.json
    wanted = "expected a finite number, at most 3.4e+38 (float32)"
    values = [float("nan"), float("inf"), -float("inf"), True, "1", [1.0], 3.5e38, -3.5e38, HUGE]
    for value in values if name in OPTIONAL else [*values, None]:
        assert refusal(**others, **{name: value}) == f"{name} is {value!r}; {wanted}"
    wanted = ">= 0" if name == "beta" else "> 0, at least 1.2e-38 (float32)"
    for value in (-1.0, -1e-9) if name == "beta" else (-1.0, -1, 0, 0.0, 1e-38, 1e-300):
        message = f"{name} is {value}; expected a number {wanted}"
        assert refusal(**others, **{name: value}) == message


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_field_takes_its_choices_and_nothing_else(name):
    for value in CHOICES[name].split(", "):
        others = {"posterior": "gaussian"} | ({"likelihood": "gaussian"} if name == "scale" else {})
        assert getattr(recipe("post-keras", **{**others, name: value}), name) == value
    absent = [] if name in OPTIONAL else [None]
    for value in ("", "magic", CHOICES[name].upper().split(", ")[0], 1, ["relu"], *absent):
        assert refusal(**{name: value}) == f"{name} is {value!r}; expected one of {CHOICES[name]}"
    assert f"{name} is array" in refusal(**{name: np.zeros(2)})


def test_step_losses_are_on_or_off():
    assert recipe("post-keras", step_losses=True).step_losses is True
    assert recipe("post-keras").step_losses is False
    for value in (0, 1, "no", None):
        assert refusal(step_losses=value) == f"step_losses is {value!r}; expected True or False"


def test_every_field_has_one_of_the_tests_above():
    tested = {"seed", "hidden_dims", "picture_epochs", "beta", "step_losses", "levels"}
    tested |= {*INTEGERS, *POSITIVE, *CHOICES}
    assert tested == {field.name for field in dataclasses.fields(Config)}


def test_levels_are_2_to_256():
    assert recipe("post-keras", likelihood="categorical").levels == 8
    for value in (2, 256):
        assert recipe("post-keras", likelihood="categorical", levels=value).levels == value
    for value in (1, 257, 0, -8, True, 8.0, "8", float("nan")):
        message = f"levels is {value!r}; expected an integer from 2 to 256"
        assert refusal(likelihood="categorical", levels=value) == message


def test_a_length_is_given_in_epochs_or_in_steps():
    message = "{} given; expected either epochs or steps"
    assert refusal(epochs=None) == message.format("no length is")
    assert refusal(epochs=3, steps=3) == message.format("epochs and steps are")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"levels": 4},
            "levels is 4 but likelihood is bernoulli; only likelihood categorical takes it",
        ),
        (
            {"fixed_sigma": 0.1},
            "fixed_sigma is 0.1 but likelihood is bernoulli; only likelihood gaussian takes it",
        ),
        (
            {"likelihood": "categorical", "output_bias": "mean-image"},
            "output_bias is mean-image but likelihood is categorical;"
            " only likelihood bernoulli takes it",
        ),
        (
            {"posterior": "delta", "beta": 2.0},
            "beta is 2.0 but posterior is delta; only posterior gaussian takes it",
        ),
        (
            {"posterior": "delta", "kl_warmup_steps": 1},
            "kl_warmup_steps is 1 but posterior is delta; only posterior gaussian takes it",
        ),
        (
            {"optimizer": "adam", "rmsprop_epsilon": "inside"},
            "rmsprop_epsilon is inside but optimizer is adam; only optimizer rmsprop takes it",
        ),
    ],
)
def test_a_field_without_effect_is_refused(changes, message):
    assert refusal(**changes) == f"{message}: leave it out"


def test_the_fields_that_belong_to_a_choice_are_accepted_with_it():
    assert recipe("post-keras", likelihood="gaussian", fixed_sigma=0.1).fixed_sigma == 0.1
    assert recipe("post-keras", output_bias="mean-image").output_bias == "mean-image"
    config = recipe("post-keras", beta=2, kl_warmup_steps=5)
    assert (config.beta, config.kl_warmup_steps) == (2.0, 5)
    # At their neutral values they are accepted with every choice.
    assert recipe("post-keras", posterior="delta", beta=1, kl_warmup_steps=0).beta == 1
    message = "optimizer_epsilon is given but optimizer is sgd, which takes none"
    assert refusal(optimizer="sgd", optimizer_epsilon=1e-4) == message
    assert recipe("post-keras", optimizer="sgd").optimizer_epsilon is None


def test_a_config_survives_json():
    for config in RECIPES.values():
        written = json.loads(json.dumps(dataclasses.asdict(config)))
        assert from_dict({**written, "data": "is no field"}) == config
        for name in written.keys() - ADDED.keys():
            lacking = {key: value for key, value in written.items() if key != name}
            with pytest.raises(UsageError) as error:
                from_dict(lacking)
            message = f"the config lacks {name!r}; expected every field of Config"
            assert str(error.value) == message


def test_a_run_from_before_a_field_keeps_what_it_was_trained_with():
    """Its RMSprop was that of Keras 3, and its order a shuffle, also in post-tf."""
    for config in RECIPES.values():
        written = dataclasses.asdict(config)
        for name in ADDED:
            del written[name]
        inside = "inside" if config.optimizer == "rmsprop" else "outside"
        earlier = {"order": "shuffle", "rmsprop_epsilon": inside}
        assert from_dict(written) == dataclasses.replace(config, **earlier)


def test_a_length_replaces_the_recipes_own():
    assert (recipe("post-tf", epochs=3).epochs, recipe("post-tf", epochs=3).steps) == (3, None)
    assert (recipe("post-keras", steps=7).epochs, recipe("post-keras", steps=7).steps) == (None, 7)
    assert recipe("post-tf", epochs=None).steps == 1000  # None gives no length


def test_a_recipe_refuses_unknown_names_and_fields():
    with pytest.raises(UsageError) as error:
        recipe("nope")
    assert str(error.value) == "recipe is 'nope'; expected one of post-keras, post-tf, nats"
    message = "'wings' is not a config field; see shared/config.py"
    assert refusal(wings=2, zeal=3) == message


def test_a_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe("post-keras").beta = 2.0


def test_the_recipes_are_those_that_the_readme_describes():
    """Compares every field, because a run is reproduced by the name of its recipe."""
    post_keras = {
        "recipe": "post-keras",
        "seed": 0,
        "hidden_dims": (256,),
        "latent_dim": 2,
        "activation": "relu",
        "initializer": "glorot_uniform",
        "initializer_stddev": 0.001,
        "optimizer": "rmsprop",
        "learning_rate": 0.001,
        "learning_rate_decay": 1.0,
        "optimizer_epsilon": None,
        "rmsprop_epsilon": "outside",
        "batch_size": 100,
        "order": "shuffle",
        "epochs": 50,
        "steps": None,
        "patience": None,
        "picture_epochs": (5, 50),
        "step_losses": False,
        "likelihood": "bernoulli",
        "fixed_sigma": None,
        "levels": None,
        "binarization": "none",
        "posterior": "gaussian",
        "output_bias": "zero",
        "beta": 1.0,
        "kl_warmup_steps": 0,
        "objective": "elbo",
        "train_samples": 1,
        "scale": None,
    }
    post_tf = {"recipe": "post-tf", "hidden_dims": (400,), "latent_dim": 20}
    post_tf |= {"initializer": "truncated_normal", "optimizer": "adam", "learning_rate": 0.01}
    post_tf |= {"optimizer_epsilon": 1e-8, "order": "windows"}
    post_tf |= {"epochs": None, "steps": 1000, "step_losses": True}
    nats = {"recipe": "nats", "hidden_dims": (200, 200), "latent_dim": 50, "activation": "tanh"}
    nats |= {"optimizer": "adam", "learning_rate": 0.002, "learning_rate_decay": 10.0}
    nats |= {"optimizer_epsilon": 1e-4, "epochs": 500}
    nats |= {"binarization": "dynamic", "output_bias": "mean-image"}
    wanted = {"post-keras": post_keras, "post-tf": post_tf, "nats": nats}
    assert list(RECIPES) == list(wanted)
    for name, fields in wanted.items():
        assert dataclasses.asdict(recipe(name)) == {**post_keras, **fields}


def test_the_bounds_are_those_of_float32():
    assert np.finfo(np.float32).max == FLOAT32_MAX
    assert np.finfo(np.float32).smallest_normal == FLOAT32_MIN
