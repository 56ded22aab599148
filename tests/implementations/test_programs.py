"""Why the bits agree: XLA gets the same step from both implementations, and compiles it equally."""

import dataclasses
import importlib

import pytest
import tensorflow as tf
from parity_search import Images, difference, first_step

import tf_vae.model
from shared.config import Config, recipe
from shared.measure import programs
from tf_vae.train import train_step

# Configs that once gave different weights, one for each cause.
COUNTEREXAMPLES = {
    "hidden layers of one unit": (
        Config(
            hidden_dims=(1, 39, 1),
            latent_dim=8,
            activation="tanh",
            optimizer="adam",
            optimizer_epsilon=1e-4,
            batch_size=32,
            epochs=2,
            likelihood="categorical",
            levels=5,
            beta=0.3,
        ),
        Images("binary", 9, 1, (5, 5), 84),
    ),
    "a batch larger than the data": (
        Config(hidden_dims=(8,), batch_size=500, epochs=2),
        Images("digits", 37, 5, (28, 28), 1),
    ),
    "a batch of one image without a KL": (
        Config(
            hidden_dims=(1,),
            latent_dim=1,
            activation="tanh",
            learning_rate=1e-4,
            batch_size=1,
            epochs=None,
            steps=1,
            likelihood="categorical",
            levels=2,
            posterior="delta",
        ),
        Images("digits", 2, 1, (28, 28), 0),
    ),
    "an epoch of a single step": (
        Config(hidden_dims=(8,), batch_size=30, epochs=1, likelihood="gaussian", step_losses=True),
        Images("grey", 30, 4, (6, 6), 2),
    ),
    "an epoch of a single step, a layer of one unit": (
        Config(hidden_dims=(1,), batch_size=8, epochs=1),
        Images("grey", 7, 3, (4, 4), 6),
    ),
    "a fixed sigma, 1/30, a partial batch": (
        Config(
            hidden_dims=(4,),
            batch_size=30,
            epochs=2,
            likelihood="gaussian",
            fixed_sigma=0.3,
            step_losses=True,
        ),
        Images("grey", 70, 1, (6, 6), 3),
    ),
    "a fixed sigma, 1/30, whole batches": (
        Config(hidden_dims=(4,), batch_size=30, epochs=1, likelihood="gaussian", fixed_sigma=0.3),
        Images("grey", 60, 1, (6, 6), 3),
    ),
    "a warm-up with a learned sigma": (
        Config(hidden_dims=(5,), batch_size=16, epochs=2, likelihood="gaussian", kl_warmup_steps=7),
        Images("grey", 50, 9, (6, 6), 4),
    ),
    "no width of q, categorical, SGD": (
        Config(
            hidden_dims=(5,),
            batch_size=32,
            epochs=2,
            optimizer="sgd",
            posterior="delta",
            likelihood="categorical",
            levels=3,
        ),
        Images("grey", 50, 9, (6, 6), 5),
    ),
    "one unit twice, batches of two": (
        Config(
            hidden_dims=(1, 1),
            batch_size=2,
            epochs=2,
            likelihood="continuous-bernoulli",
            kl_warmup_steps=7,
        ),
        Images("grey", 7, 3, (4, 4), 6),
    ),
}


def both_steps(config, n, input_dim, batch, stage):
    packages = ("keras_vae", "tf_vae")
    modules = [importlib.import_module(f"{package}.beyond.program") for package in packages]
    return [each.step_program(config, n, input_dim, batch, stage) for each in modules]


# One for each rule of the loop in tf_vae (docs/proof.md).
SHORT = (
    "hidden layers of one unit",
    "a batch of one image without a KL",
    "an epoch of a single step, a layer of one unit",
    "a fixed sigma, 1/30, whole batches",
)


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(example, id=name, marks=[] if name in SHORT else pytest.mark.long)
        for name, example in COUNTEREXAMPLES.items()
    ],
)
def test_configs_that_once_differed(implementations, example):
    assert difference(implementations, *example) is None


@pytest.mark.parametrize("stage", ["before", pytest.param("after", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "config",
    [
        recipe("post-keras"),
        recipe("post-tf"),
        recipe("nats"),
        recipe("post-keras", likelihood="gaussian", kl_warmup_steps=7, hidden_dims=(1, 3)),
        recipe("post-tf", likelihood="categorical", posterior="delta", hidden_dims=(8,)),
    ],
    ids=["post-keras", "post-tf", "nats", "learned sigma", "autoencoder"],
)
def test_both_implementations_pass_the_same_step_to_xla(config, stage):
    ours, theirs = both_steps(config, 300, 36, 30, stage)
    assert programs.differences(ours, theirs) == []
    # The results are everything that training changes: weights, slots, running means.
    assert ours.results.items() >= theirs.results.items()
    per_weight = {"rmsprop": 2, "adam": 3}[config.optimizer]
    weights = tf_vae.model.build(config, 36).named_weights
    assert set(weights) <= set(theirs.results)
    assert len(theirs.results) >= per_weight * len(weights) + 6


def test_different_programs_are_distinguished(monkeypatch):
    """The comparison sees a changed constant, another order of operands, and another operation."""
    config = recipe("post-keras", hidden_dims=(3,))
    ours, _ = both_steps(config, 100, 36, 10, "before")
    other, _ = both_steps(dataclasses.replace(config, beta=2.0), 100, 36, 10, "before")
    assert programs.differences(ours, other)

    def dense(h, kernel, bias):
        return tf.matmul(h, kernel) + bias

    monkeypatch.setattr(tf_vae.model, "dense", dense)
    _, theirs = both_steps(config, 100, 36, 10, "before")
    lines = programs.differences(ours, theirs)
    assert any(line.startswith("- f32[") and "BiasAddGrad" in line for line in lines)
    assert any(line.startswith("+ f32[") for line in lines)


@pytest.mark.long
def test_the_search_finds_a_difference_and_its_first_step(implementations, monkeypatch):
    """A small change of one weight, only at the second step."""
    config = Config(hidden_dims=(3,), batch_size=10, epochs=1)
    images = Images("grey", 20, 2, (4, 4), 0)

    def wrong(model, optimizer, x, noise_seed):
        done = train_step(model, optimizer, x, noise_seed)
        bias = model.named_weights["encoder/z_mean/bias"]
        second = tf.cast(tf.equal(optimizer.iterations, 2), tf.float32)
        bias.assign_add(second * 1e-7 * tf.ones_like(bias))
        return done

    monkeypatch.setattr("tf_vae.train.train_step", wrong)
    step, line = first_step(implementations, config, images)
    assert step == 2 and "differ, first encoder/z_mean/bias" in line
