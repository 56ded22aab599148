"""Parity: the two implementations agree in every bit, from initial weights to whole trainings.

This holds on a CPU, with XLA in both. The results are also compared with the oracle, because parity
alone cannot show an error that both implementations have.
"""

import dataclasses
import itertools

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf
from bits import both, differing, same_bits

from shared import seeds
from shared.config import recipe

CONFIGS = {
    "the post's Keras recipe, small": recipe("post-keras", epochs=3, hidden_dims=(32,)),
    "Adam, two layers, partial batch": recipe(
        "post-keras",
        epochs=3,
        hidden_dims=(24, 16),
        latent_dim=7,
        batch_size=64,
        optimizer="adam",
        activation="tanh",
        beta=4.0,
        seed=3,
    ),
    "the post's TensorFlow recipe, small": recipe(
        "post-tf", steps=23, hidden_dims=(40,), latent_dim=5, batch_size=32, seed=11
    ),
    "SGD": recipe("post-keras", epochs=2, optimizer="sgd", learning_rate=1e-3, batch_size=33),
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request):
    return request.param


def some_long(*short):
    """All CONFIGS, of which those not named are long."""
    return pytest.mark.parametrize(
        "config",
        [
            pytest.param(each, id=name, marks=[] if name in short else pytest.mark.long)
            for name, each in CONFIGS.items()
        ],
    )


@tf.function(jit_compile=True)
def compiled_noise(like, noise_seed):
    """Noise as a compiled step draws it, by XLA's generator, which differs from an eager call."""
    return tf.random.stateless_normal(tf.shape(like), noise_seed)


def test_initial_weights(implementations, config, data):
    ours, theirs = both(implementations, lambda v: v.gather(v.build(config, data.input_dim)))
    assert differing(ours, theirs) == []
    # Equal heads would be trained equally; other seeds must give other weights.
    assert not same_bits(ours["encoder/z_mean/kernel"], ours["encoder/z_log_var/kernel"])
    other = implementations["keras_vae"]
    moved = other.gather(other.build(dataclasses.replace(config, seed=99), data.input_dim))
    assert set(differing(ours, moved)) == {name for name in ours if name.endswith("kernel")}


def test_order_of_examples(config, uneven_data):
    import keras_vae.batches
    import tf_vae.batches

    per_epoch = config.steps_per_epoch(len(uneven_data.x_train))
    for step in (0, 2, per_epoch, per_epoch + 1):
        stream = iter(keras_vae.batches.training_batches(uneven_data.x_train, config, step))
        epochs = tf_vae.batches.training_batches(uneven_data.x_train, config, step)
        for images, orders in (next(epochs), next(epochs)):
            for rows in itertools.chain.from_iterable(orders):
                assert same_bits(next(stream).numpy(), images[rows])


def test_every_epoch_trains_on_every_training_image_once(config, uneven_data):
    """A shuffle does; windows are another order (tests/data/test_order.py)."""
    import tf_vae.batches

    config = dataclasses.replace(config, order="shuffle")
    epochs = tf_vae.batches.training_batches(uneven_data.x_train, config)
    (images, first), (_, second) = next(epochs), next(epochs)
    assert same_bits(np.asarray(images), uneven_data.x_train)
    first, second = (np.concatenate([np.ravel(part) for part in each]) for each in (first, second))
    assert sorted(first) == sorted(second) == list(range(len(uneven_data.x_train)))
    assert (first != second).any()


def test_noise(implementations, config, data):
    """The noise of a step depends on seed and step: it is (z - z_mean) / sigma in `fit`'s graph."""
    model = implementations["keras_vae"].build(config, data.input_dim)
    sampling = model.sampling
    zeros = np.zeros((5, config.latent_dim), np.float32)
    noise_seed = seeds.seed_of(config.seed, "noise")
    for step in (0, 1, 600):
        sampling.start_training_noise(config.seed, step)
        for each in (step, step + 1):
            drawn = sampling([zeros, zeros], training=True).numpy()
            loop = tf.random.stateless_normal(zeros.shape, [noise_seed, each]).numpy()
            assert same_bits(drawn, loop)
    # An evaluation in between does not change the noise of training.
    sampling.start_training_noise(config.seed, 7)
    sampling([zeros, zeros], training=False)
    drawn = sampling([zeros, zeros], training=True).numpy()
    assert same_bits(drawn, tf.random.stateless_normal(zeros.shape, [noise_seed, 7]).numpy())


@pytest.mark.parametrize("config", list(CONFIGS.values())[:2], ids=list(CONFIGS)[:2])
def test_encoder_and_decoder_outputs(implementations, config, data):
    """For one hidden layer with relu and for two with tanh, before any training."""
    x = data.x_test
    models = {name: v.build(config, data.input_dim) for name, v in implementations.items()}
    (mean, log_var), (other_mean, other_log_var) = both(
        implementations, lambda v: v.encode(models[v.name], x)
    )
    assert same_bits(mean, other_mean) and same_bits(log_var, other_log_var)
    probs, other_probs = both(implementations, lambda v: v.decode(models[v.name], mean))
    assert same_bits(probs, other_probs)

    weights = implementations["tf_vae"].gather(models["tf_vae"])
    out = oracle.forward(weights, x, np.zeros_like(mean), config.activation)
    # 1e-5: float32 sums of some ten terms of order one.
    np.testing.assert_allclose(mean, out["z_mean"], atol=1e-5)
    np.testing.assert_allclose(log_var, out["z_log_var"], atol=1e-5)
    np.testing.assert_allclose(probs, 1 / (1 + np.exp(-out["logits"])), atol=1e-5)


def first_batch(config, data):
    """x and epsilon of the first step of training."""
    order = seeds.examples_of(config, 1, data.train)[: config.batch_size]
    like = np.zeros((len(order), config.latent_dim), np.float32)
    noise = [seeds.seed_of(config.seed, "noise"), 0]
    return data.x_train[order], compiled_noise(like, noise).numpy()


@some_long("Adam, two layers, partial batch")
def test_the_first_step(implementations, config, data):
    """Compares loss, gradients and weights of one step, in bits, and with the oracle.

    SGD with a learning rate of 16 changes each weight by 16 times its gradient, so the rounding of
    the weight, about 1e-8, is only a sixteenth of that in the gradient. (With a larger rate, the
    validation after the step would not be finite.)
    """
    # With weights of 1e-3, exp(v) - 1 in the gradient of the KL would be smaller than float32 can
    # resolve, and could not be compared with the oracle: so all start with Glorot weights here.
    config = dataclasses.replace(
        config,
        initializer="glorot_uniform",
        optimizer="sgd",
        optimizer_epsilon=None,
        learning_rate=16.0,
        epochs=None,
        steps=1,
        step_losses=True,
    )
    build = implementations["tf_vae"].build
    weights = implementations["tf_vae"].gather(build(config, data.input_dim))
    losses, ends = [], []
    for implementation in implementations.values():
        model, run = implementation.train(config, data, verbose=0)
        losses.append(np.float32(run.step_losses[0]))
        ends.append(implementation.gather(model))
    assert same_bits(*losses)
    assert differing(*ends) == []

    x, epsilon = first_batch(config, data)
    exact = oracle.loss(weights, x, epsilon, config.activation, config.beta)
    assert abs(losses[0] - exact) < 1e-5 * abs(exact)  # float32 sums over 36 pixels
    by_hand = oracle.gradient(weights, x, epsilon, config.activation, config.beta)
    assert set(by_hand) == set(weights)
    for name, start in weights.items():
        gradient = (np.float64(start) - ends[0][name]) / 16
        # Relative to the largest entry of the same weight, of which float32 has seven digits.
        atol = 1e-5 * np.abs(by_hand[name]).max()
        np.testing.assert_allclose(gradient, by_hand[name], rtol=0, atol=atol, err_msg=name)


@some_long("the post's Keras recipe, small", "the post's TensorFlow recipe, small")
def test_training_and_evaluation(implementations, config, uneven_data, tmp_path):
    """Compares weights, optimizer, losses and evaluation after epochs with a partial last batch."""
    (fit, fit_run), (tape, tape_run) = both(
        implementations, lambda v: v.train(config, uneven_data, tmp_path / v.name, verbose=0)
    )
    gathered = implementations["keras_vae"].gather(fit), implementations["tf_vae"].gather(tape)
    assert differing(*gathered) == []
    files = ["weights.npz", "checkpoints/last.npz"]
    files += [f"weights_epoch_{e:03d}.npz" for e in config.pictured(len(uneven_data.x_train))]
    for name in files:
        paths = [tmp_path / implementation / name for implementation in ("keras_vae", "tf_vae")]
        assert paths[0].read_bytes() == paths[1].read_bytes(), name
    assert fit_run.step_losses == tape_run.step_losses
    assert len(fit_run.step_losses) == (config.steps or 0)
    for ours, theirs in zip(fit_run.history, tape_run.history, strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}

    evaluated = [
        implementations[name].evaluate(model, uneven_data.x_test, config, samples=2)
        for name, model in (("keras_vae", fit), ("tf_vae", tape))
    ]
    assert evaluated[0] == evaluated[1]


def test_losses_of_every_step_over_seeds(implementations, data):
    config = CONFIGS["the post's TensorFlow recipe, small"]
    ours, theirs = both(implementations, lambda v: v.step_losses(config, data, [4, 5, 4]))
    assert same_bits(ours, theirs)
    assert ours.shape == (3, config.steps)
    assert same_bits(ours[0], ours[2])  # optimizer and noise do not depend on seed 5
    assert (ours[0] != ours[1]).any()
    alone = implementations["tf_vae"].train(dataclasses.replace(config, seed=4), data, verbose=0)[1]
    assert np.array_equal(np.float32(alone.step_losses), ours[0])


def test_without_xla_the_implementations_agree_only_closely(implementations, config, data):
    """Kernels are then fused differently, so bits cannot agree; a step still agrees to 1e-5."""
    x = data.x_train[: config.batch_size]
    noise = [seeds.seed_of(config.seed, "noise"), 0]
    fit = implementations["keras_vae"].build(config, data.input_dim)
    fit.sampling.start_training_noise(config.seed, 0)
    terms = fit(x, training=True)
    tape = implementations["tf_vae"].build(config, data.input_dim)
    tf.config.run_functions_eagerly(True)
    try:
        expected = tape.terms(tf.constant(x), tf.constant(noise))
    finally:
        tf.config.run_functions_eagerly(False)
    # float32 sums over 36 pixels in another order.
    for name in ("log_likelihood", "kl"):
        np.testing.assert_allclose(terms[name], getattr(expected, name), rtol=1e-5, atol=1e-7)


def test_keras_is_on_its_tensorflow_backend():
    assert keras.backend.backend() == "tensorflow"
