"""Why the bits agree: both implementations hand XLA one step, which it makes one program of."""

import dataclasses
import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity_search import Images, difference, first_step, run_examples, shown

import tf_vae.model
from shared.config import Config, recipe
from shared.measure import programs
from tf_vae.train import update

# One for each cause found: before, these configs gave different weights.
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
    "an epoch of a single step": (
        Config(hidden_dims=(8,), batch_size=30, epochs=1, likelihood="gaussian", step_losses=True),
        Images("grey", 30, 4, (6, 6), 2),
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
    modules = [importlib.import_module(f"{package}.program") for package in packages]
    return [each.step_program(config, n, input_dim, batch, stage) for each in modules]


@pytest.mark.parametrize("example", COUNTEREXAMPLES.values(), ids=COUNTEREXAMPLES.keys())
def test_configs_that_once_differed(implementations, example):
    assert difference(implementations, *example) is None


def test_a_searched_dozen(implementations):
    examples = []

    def check(*example):
        examples.append(example)
        assert difference(implementations, *example) is None, shown(*example)

    run_examples(12, 5, check)
    assert len(set(examples)) == 12


@pytest.mark.parametrize("stage", programs.STAGES)
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
def test_both_versions_hand_xla_one_step(config, stage):
    ours, theirs = both_steps(config, 330, 36, 30, stage)
    assert programs.differences(ours, theirs) == []
    # The results are all that training leaves: weights, slots, running means.
    assert ours.results.items() >= theirs.results.items()
    per_weight = {"rmsprop": 2, "adam": 3}[config.optimizer]
    weights = tf_vae.model.build(config, 36).weights
    assert set(weights) <= set(theirs.results)
    assert len(theirs.results) >= per_weight * len(weights) + 6


def test_programs_that_differ_are_told_apart(monkeypatch):
    """The comparison sees a changed constant, another order of operands, and another operation."""
    config = recipe("post-keras", hidden_dims=(3,))
    ours, _ = both_steps(config, 100, 36, 10, "before")
    other, _ = both_steps(dataclasses.replace(config, beta=2.0), 100, 36, 10, "before")
    assert programs.differences(ours, other)

    def dense(self, name, h):
        return tf.matmul(h, self.weights[f"{name}/kernel"]) + self.weights[f"{name}/bias"]

    monkeypatch.setattr(tf_vae.model.VAE, "dense", dense)
    _, theirs = both_steps(config, 100, 36, 10, "before")
    lines = programs.differences(ours, theirs)
    assert any(line.startswith("- f32[") and "BiasAddGrad" in line for line in lines)
    assert any(line.startswith("+ f32[") for line in lines)


def test_the_search_finds_and_places_a_difference(implementations, monkeypatch):
    """A last bit of one weight, at the second step alone."""
    config = Config(hidden_dims=(3,), batch_size=10, epochs=1)
    images = Images("grey", 30, 2, (4, 4), 0)

    def wrong(model, optimizer, trackers, x, noise_seed):
        bias = model.weights["encoder/z_mean/bias"]
        second = tf.cast(tf.equal(optimizer.iterations, 1), tf.float32)
        bias.assign_add(second * 1e-7 * tf.ones_like(bias))
        update(model, optimizer, trackers, x, noise_seed)

    monkeypatch.setattr("tf_vae.train.update", wrong)
    assert "differ, first" in difference(implementations, config, images)
    step, line = first_step(implementations, config, images)
    assert step == 2 and "differ" in line


def test_a_step_is_the_loss_its_gradient_and_the_optimizer(data):
    """`update` by itself: SGD at a rate of 1 moves each weight by its gradient."""
    config = recipe("post-keras", hidden_dims=(3,), beta=2.0)
    model = tf_vae.model.build(config, data.input_dim)
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(list(model.weights.values()))
    trackers = {n: keras.metrics.Mean(n) for n in ("loss", "log_likelihood", "kl")}
    x, seed = tf.constant(data.x_train[:20]), tf.constant(3)
    before = {name: weight.numpy() for name, weight in model.weights.items()}
    with tf.GradientTape() as tape:
        log_likelihood, kl = model.terms(x, tf.constant([3, 0]))
        loss = -tf.reduce_mean(log_likelihood - 2 * kl)
    gradients = tape.gradient(loss, list(model.weights.values()))
    update(model, optimizer, trackers, x, seed)
    for (name, weight), gradient in zip(model.weights.items(), gradients, strict=True):
        # 1e-6: the difference of two float32 weights of order 1.
        np.testing.assert_allclose(before[name] - weight.numpy(), gradient, atol=1e-6)
    assert int(optimizer.iterations) == 1
    assert float(trackers["loss"].result()) == pytest.approx(float(loss), rel=1e-6)
    means = [float(trackers[name].result()) for name in ("loss", "log_likelihood", "kl")]
    assert means[0] == pytest.approx(2 * means[2] - means[1], rel=1e-6)
