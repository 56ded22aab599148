"""Any given encoder and decoder, with the project's objective and noise."""

import dataclasses
import importlib
from pathlib import Path

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf
from networks import Decoder, Encoder, dense_pair, images, keras_colour, outputs

from shared import seeds
from shared.config import recipe
from shared.machine.checks import UsageError

COLOUR = recipe(
    "post-keras", steps=30, latent_dim=3, batch_size=16, learning_rate=0.01, step_losses=True
)


@pytest.fixture(scope="module")
def colour():
    return images(80, (8, 8, 3))


PAIRS = {
    "keras_vae, Keras models": ("keras_vae", keras_colour),
    "tf_vae, Keras models": ("tf_vae", keras_colour),
    "tf_vae, tf.Modules": ("tf_vae", lambda: (Encoder(), Decoder())),
    "tf_vae, functions": ("tf_vae", lambda: (Encoder().__call__, Decoder().__call__)),
}


@pytest.mark.parametrize("name, pair", PAIRS.values(), ids=PAIRS.keys())
def test_a_convolutional_pair_in_colour(implementations, colour, name, pair):
    implementation = implementations[name]
    model = implementation.assemble(*pair(), COLOUR, colour.input_dim, jit_compile=False)
    x = colour.x_test

    # The terms of the ELBO before training, from what the network itself returns.
    z_mean, z_log_var = implementation.encode(model, x)
    noise_seed = seeds.seed_of(COLOUR.seed, "evaluation", 0)
    # Without XLA a compiled call draws what an eager one draws.
    epsilon = tf.random.stateless_normal(z_mean.shape, [noise_seed, 0]).numpy()
    z = z_mean + np.exp(z_log_var / 2) * epsilon
    logits = np.float64(model.decoder(tf.constant(z))["logits"])
    log_likelihood, kl = implementation.elbo_terms(model, x, COLOUR)
    # 1e-5: float32 sums over 192 pixels.
    expected = oracle.bernoulli_log_likelihood(x, logits)
    np.testing.assert_allclose(log_likelihood, expected, rtol=1e-5)
    expected = oracle.kl_to_standard_normal(np.float64(z_mean), np.float64(z_log_var))
    np.testing.assert_allclose(kl, expected, rtol=1e-4, atol=1e-6)
    probs = implementation.decode(model, z)
    np.testing.assert_allclose(probs, 1 / (1 + np.exp(-logits)), atol=1e-6)

    # One importance sample, by the oracle's densities.
    weight = implementation.log_weights(model, x, z_mean, z_log_var, noise_seed, 1)
    zeros = np.zeros_like(z)
    prior, q = oracle.log_normal(z, zeros, zeros), oracle.log_normal(z, z_mean, z_log_var)
    expected = oracle.bernoulli_log_likelihood(x, logits) + prior - q
    np.testing.assert_allclose(weight, [expected], rtol=1e-5)

    trained, run = implementation.train(COLOUR, colour, verbose=0, model=model)
    assert trained is model
    losses = run.step_losses
    assert len(losses) == 30 and np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:3])
    after = implementation.evaluate(model, x, COLOUR)
    assert after["loss"] == pytest.approx(run.history[-1]["val_loss"], rel=1e-5)
    assert after["loss"] < np.mean(kl - log_likelihood)


def test_both_implementations_take_one_pair_of_keras_models(implementations, colour):
    """The first implementation trains a pair of models, and the second evaluates it."""
    pair = keras_colour()
    fit, tape = (
        each.assemble(*pair, COLOUR, colour.input_dim, jit_compile=False)
        for each in implementations.values()
    )
    for name, implementation in implementations.items():
        model = {"keras_vae": fit, "tf_vae": tape}[name]
        implementation.train(COLOUR, colour, verbose=0, model=model)
        ours, theirs = (
            v.elbo_terms(m, colour.x_test, COLOUR)
            for v, m in zip(implementations.values(), (fit, tape), strict=True)
        )
        # Without XLA: float32 sums over 192 pixels in another order.
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    weights = [implementations["keras_vae"].gather(fit), implementations["tf_vae"].gather(tape)]
    assert list(weights[0]) == list(weights[1])
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_the_lines_of_the_documentation(implementation, tmp_path, monkeypatch):
    """Runs the convolutional pair of docs/commands.md on 28 x 28 images, with other data."""
    data = images(400, (28, 28))
    np.savez(
        tmp_path / "own.npz",
        **{name: getattr(data, name) for name in ("y_train", "y_test")},
        **{name: getattr(data, name).reshape(-1, 28, 28) for name in ("x_train", "x_test")},
    )
    text = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    code = text.split("<!-- own network -->\n```python\n")[1].split("```")[0]
    code = code.replace("keras_vae", implementation.name)
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(code.replace('"auto"', '"own.npz"'), scope)
    losses = [row["loss"] for row in scope["run"].history]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert scope["metrics"]["loss"] == pytest.approx(scope["run"].history[-1]["val_loss"], rel=1e-5)


@pytest.mark.either
def test_a_dense_pair_is_the_network_of_build_in_every_bit(implementation, data):
    config = recipe("post-keras", steps=3, hidden_dims=(5,), batch_size=100)
    built = implementation.build(config, data.input_dim)
    own = implementation.assemble(*dense_pair(implementation.name), config, data.input_dim)
    start, named = implementation.gather(built), implementation.gather(own)
    assert list(named)[:2] in (
        ["encoder/0/kernel", "encoder/1/bias"],
        ["encoder/0/Variable", "encoder/1/Variable"],
    )
    assert [array.shape for array in named.values()] == [array.shape for array in start.values()]
    implementation.assign(own, dict(zip(named, start.values(), strict=True)))
    ends = [
        implementation.gather(implementation.train(config, data, verbose=0, model=model)[0])
        for model in (built, own)
    ]
    for one, other in zip(*(end.values() for end in ends), strict=True):
        assert one.tobytes() == other.tobytes()
    assert (ends[0]["encoder/z_mean/kernel"] != start["encoder/z_mean/kernel"]).any()


def test_outputs_may_come_as_a_tuple_and_by_a_function(implementation, data):
    config = recipe("post-keras")
    network = outputs(2, 2)
    model = implementation.assemble(lambda x: tuple(network(x)), outputs(logits=36), config, 36)
    z_mean, z_log_var = implementation.encode(model, data.x_test)
    assert (z_mean == data.x_test[:, :1]).all() and (z_log_var == z_mean).all()
    assert implementation.gather(model) == {}  # this network has no weights


DELTA = {
    "a function with a list": lambda x: [x[:, :2]],
    "a function without a list": lambda x: x[:, :2],
    # Keras returns the only output of a model without its list, but not of a symbolic call.
    "a Keras model": keras.Sequential([keras.layers.Dense(2, kernel_initializer="ones")]),
}


@pytest.mark.parametrize("encoder", DELTA.values(), ids=DELTA.keys())
def test_the_only_output_of_an_encoder_may_come_without_a_list(implementation, data, encoder):
    config = recipe("post-keras", steps=2, posterior="delta")
    decoder = keras.Sequential([keras.layers.Dense(36)])
    model = implementation.assemble(encoder, lambda z: {"logits": decoder(z)}, config, 36)
    z_mean, z_log_var = implementation.encode(model, data.x_test)
    expected = keras.tree.flatten(encoder(data.x_test))[0]
    np.testing.assert_allclose(z_mean, expected, rtol=1e-6)  # a float32 sum over 36 pixels
    assert np.isneginf(z_log_var).all()
    log_likelihood, kl = implementation.elbo_terms(model, data.x_test, config)
    assert log_likelihood.shape == kl.shape == (len(data.x_test),) and not kl.any()


@pytest.mark.parametrize(
    "encoder, decoder, changes, message",
    [
        (outputs(2), outputs(logits=36), {}, r"the encoder returns \w*Tensor; expected a list \[z"),
        (outputs(2, 3), outputs(logits=36), {}, r"0 \(batch, 2\), 1 \(batch, 3\); expected"),
        (outputs(2, 2), outputs(logits=36), {"posterior": "delta"}, r"list \[z_mean\], each"),
        (outputs(2, 2), outputs(logits=35), {}, r"logits \(batch, 35\); expected .*\(batch, 36\)"),
        (outputs(2, 2), outputs(36), {}, r"the decoder returns \w*Tensor; expected a dict of log"),
        (outputs(2, 2), outputs(logits=36), {"likelihood": "gaussian"}, r"mean \(batch, 36\), log"),
    ],
)
def test_a_network_with_other_outputs_is_refused(
    implementation, encoder, decoder, changes, message
):
    config = dataclasses.replace(recipe("post-keras"), **changes)
    with pytest.raises(UsageError, match=message) as refusal:
        implementation.assemble(encoder, decoder, config, 36)
    assert "\n" not in str(refusal.value)


def test_a_given_model_that_does_not_fit_the_other_arguments_is_refused(
    implementation, data, colour, tmp_path
):
    config = recipe("post-keras", steps=1, hidden_dims=(3,))
    model = implementation.build(config, data.input_dim)
    mean_image = dataclasses.replace(config, output_bias="mean-image")
    biased = implementation.build(mean_image, data.input_dim)
    for arguments, options, message in (
        (
            (config, data, tmp_path / "run"),
            {"model": model},
            "which a run folder cannot build again",
        ),
        ((dataclasses.replace(config, seed=1), data), {"model": model}, "give model.config"),
        ((config, colour), {"model": model}, "takes 36 pixels and the images of halves have 192"),
        ((mean_image, data), {"model": biased}, "output_bias is mean-image and a model is given"),
    ):
        with pytest.raises(UsageError, match=message):
            implementation.train(*arguments, verbose=0, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_weight_that_both_parts_use_is_listed_once():
    kernel = tf.Variable(tf.ones((36, 2)), name="kernel")
    model = importlib.import_module("tf_vae.model").assemble(
        lambda x: [x @ kernel, x @ kernel],
        lambda z: {"logits": z @ tf.transpose(kernel)},
        recipe("post-keras"),
        36,
    )
    assert list(model.named_weights) == ["encoder/0/kernel"]


def test_jit_compile_false_does_not_use_xla(implementations, colour):
    from shared.training.optimizer import build_optimizer
    from tf_vae.train import Steps

    fit, tape = (
        each.assemble(*keras_colour(), COLOUR, 192, jit_compile=False)
        for each in implementations.values()
    )
    implementations["keras_vae"].train(COLOUR, colour, verbose=0, model=fit)
    implementations["keras_vae"].encode(fit, colour.x_test)
    assert not fit.jit_compile and not fit.encoder.jit_compile
    steps = Steps(tape, build_optimizer(COLOUR, 60, tape.trainable_variables))
    for function in (steps.validate, tape.compiled["outputs"]):
        inputs = tf.constant(colour.x_test), tf.constant([0, 0])
        with pytest.raises(ValueError, match="jit_compile=True"):  # without XLA there is no program
            function.experimental_get_compiler_ir(*inputs)


def test_a_given_network_can_be_saved_and_loaded(implementations, colour, tmp_path):
    implementation = implementations["keras_vae"]
    model = implementation.assemble(*keras_colour(), COLOUR, 192, jit_compile=False)
    model.save(tmp_path / "own.keras")
    reloaded = keras.saving.load_model(tmp_path / "own.keras")
    assert reloaded.config == COLOUR and not reloaded.objective.jit_compile
    ours, theirs = (
        implementation.elbo_terms(each, colour.x_test, COLOUR) for each in (model, reloaded)
    )
    assert np.array_equal(ours, theirs)
    assert list(implementation.gather(reloaded)) == list(implementation.gather(model))
