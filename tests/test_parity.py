"""The parity ladder: the two implementations agree in every bit, rung by rung.

On a CPU, with XLA on both sides. The oracle stands beside them, since a shared error would climb
the whole ladder unseen.
"""

import dataclasses
import itertools

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf
from tools import KeepGradient

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


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def differing(weights, others):
    """Names of the weights that differ in any bit; their names and order must agree."""
    assert list(weights) == list(others)
    return [name for name in weights if not same_bits(weights[name], others[name])]


@tf.function(jit_compile=True)
def compiled_noise(like, noise_seed):
    """Noise as a compiled step draws it: XLA's generator, other numbers than an eager call's."""
    return tf.random.stateless_normal(tf.shape(like), noise_seed)


def both(implementations, function):
    return [function(implementations[name]) for name in ("keras_vae", "tf_vae")]


def test_initial_weights(implementations, config, data):
    ours, theirs = both(implementations, lambda v: v.gather(v.build(config, data.input_dim)))
    assert differing(ours, theirs) == []
    # Heads that start equal would move together; other seeds start elsewhere.
    assert not same_bits(ours["encoder/z_mean/kernel"], ours["encoder/z_log_var/kernel"])
    other = implementations["keras_vae"]
    moved = other.gather(other.build(dataclasses.replace(config, seed=99), data.input_dim))
    assert set(differing(ours, moved)) == {name for name in ours if name.endswith("kernel")}


def test_order_of_examples(config, data):
    import keras_vae.batches
    import tf_vae.batches

    per_epoch = config.steps_per_epoch(len(data.x_train))
    for step in (0, 2, per_epoch, per_epoch + 1):
        stream = iter(keras_vae.batches.training_batches(data.x_train, config, step))
        epochs = tf_vae.batches.training_batches(data.x_train, config, step)
        for images, orders in (next(epochs), next(epochs)):
            for rows in itertools.chain.from_iterable(orders):
                assert same_bits(next(stream).numpy(), images.numpy()[rows])


def test_every_epoch_trains_on_every_training_image_once(config, data):
    import tf_vae.batches

    epochs = tf_vae.batches.training_batches(data.x_train, config)
    (images, first), (_, second) = next(epochs), next(epochs)
    assert same_bits(images.numpy(), data.x_train)
    first, second = (np.concatenate([np.ravel(part) for part in each]) for each in (first, second))
    assert sorted(first) == sorted(second) == list(range(len(data.x_train)))
    assert (first != second).any()


def test_noise(implementations, config, data):
    """Each step draws f(seed, step): z of `fit`'s graph less its mean, over its deviation."""
    model = implementations["keras_vae"].build(config, data.input_dim)
    sampling = model.get_layer("sampling")
    zeros = np.zeros((5, config.latent_dim), np.float32)
    noise_seed = seeds.seed_of(config.seed, "noise")
    for step in (0, 1, 600):
        sampling.start_training_noise(config.seed, step)
        for each in (step, step + 1):
            drawn = sampling([zeros, zeros], training=True).numpy()
            loop = tf.random.stateless_normal(zeros.shape, [noise_seed, each]).numpy()
            assert same_bits(drawn, loop)
    # An evaluation in between shifts nothing.
    sampling.start_training_noise(config.seed, 7)
    sampling([zeros, zeros], training=False)
    drawn = sampling([zeros, zeros], training=True).numpy()
    assert same_bits(drawn, tf.random.stateless_normal(zeros.shape, [noise_seed, 7]).numpy())


def test_encoder_and_decoder_outputs(implementations, config, data):
    x = data.x_test
    (mean, log_var), (other_mean, other_log_var) = both(
        implementations, lambda v: v.encode(v.build(config, data.input_dim), x)
    )
    assert same_bits(mean, other_mean) and same_bits(log_var, other_log_var)
    probs, other_probs = both(
        implementations, lambda v: v.decode(v.build(config, data.input_dim), mean)
    )
    assert same_bits(probs, other_probs)

    weights = implementations["tf_vae"].gather(
        implementations["tf_vae"].build(config, data.input_dim)
    )
    out = oracle.forward(weights, x, np.zeros_like(mean), config.activation)
    # 1e-5: float32 sums of some ten terms of order one.
    np.testing.assert_allclose(mean, out["z_mean"], atol=1e-5)
    np.testing.assert_allclose(log_var, out["z_log_var"], atol=1e-5)
    np.testing.assert_allclose(probs, 1 / (1 + np.exp(-out["logits"])), atol=1e-5)


def first_batch(config, data):
    """x and epsilon of the first step of training."""
    order = seeds.epoch_order(config.seed, 1, len(data.x_train))[: config.batch_size]
    like = np.zeros((len(order), config.latent_dim), np.float32)
    noise = [seeds.seed_of(config.seed, "noise"), 0]
    return data.x_train[order], compiled_noise(like, noise).numpy()


def test_loss_and_gradients(implementations, config, data, tmp_path, monkeypatch):
    """What each implementation's own training step hands to its optimizer."""
    monkeypatch.setattr(keras.optimizers, "SGD", KeepGradient)
    # Weights of 1e-3 would put exp(v) - 1 in the gradient of the KL below float32's digits, where
    # the oracle could check nothing: so all start from Glorot's here.
    one_step = dataclasses.replace(
        config,
        initializer="glorot_uniform",
        optimizer="sgd",
        epochs=None,
        steps=1,
        step_losses=True,
    )
    losses, gradients = [], []
    for name, implementation in implementations.items():
        _, run = implementation.train(one_step, data, tmp_path / name, verbose=0)
        losses.append(np.float32(run.step_losses[0]))
        with np.load(run.checkpoint) as slots:
            prefix = "optimizer/gradient/"
            kept = {key: slots[key] for key in slots.files if key.startswith(prefix)}
            gradients.append({key.removeprefix(prefix): array for key, array in kept.items()})
    assert same_bits(*losses)
    assert differing(*gradients) == []

    x, epsilon = first_batch(config, data)
    weights = implementations["tf_vae"].gather(
        implementations["tf_vae"].build(one_step, data.input_dim)
    )
    exact = oracle.loss(weights, x, epsilon, config.activation, config.beta)
    assert abs(losses[0] - exact) < 1e-5 * abs(exact)  # float32 sums over 36 pixels
    by_hand = oracle.gradient(weights, x, epsilon, config.activation, config.beta)
    assert list(gradients[0]) == list(weights) and set(by_hand) == set(weights)
    for name, gradient in gradients[0].items():
        # Against the largest entry of the same weight: float32 keeps seven digits of that.
        atol = 1e-5 * np.abs(by_hand[name]).max()
        np.testing.assert_allclose(gradient, by_hand[name], rtol=0, atol=atol, err_msg=name)


def test_weights_after_one_step(implementations, config, data):
    config = dataclasses.replace(config, epochs=None, steps=1)
    trained = both(implementations, lambda v: v.gather(v.train(config, data, verbose=0)[0]))
    assert differing(*trained) == []
    start = implementations["tf_vae"].gather(
        implementations["tf_vae"].build(config, data.input_dim)
    )
    assert len(differing(trained[0], start)) >= len(start) - 2  # it moved


def test_training_and_evaluation(implementations, config, data, tmp_path):
    """Weights and optimizer after several epochs, the last batch partial; losses; evaluation."""
    (fit, fit_run), (tape, tape_run) = both(
        implementations, lambda v: v.train(config, data, tmp_path / v.name, verbose=0)
    )
    gathered = implementations["keras_vae"].gather(fit), implementations["tf_vae"].gather(tape)
    assert differing(*gathered) == []
    files = ["weights.npz", "checkpoints/last.npz"]
    files += [f"weights_epoch_{e:03d}.npz" for e in config.pictured(len(data.x_train))]
    for name in files:
        paths = [tmp_path / implementation / name for implementation in ("keras_vae", "tf_vae")]
        assert paths[0].read_bytes() == paths[1].read_bytes(), name
    assert fit_run.step_losses == tape_run.step_losses
    assert len(fit_run.step_losses) == (config.steps or 0)
    for ours, theirs in zip(fit_run.history, tape_run.history, strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}

    evaluated = [
        implementations[name].evaluate(model, data.x_test, config, samples=2)
        for name, model in (("keras_vae", fit), ("tf_vae", tape))
    ]
    assert evaluated[0] == evaluated[1]


BEYOND_THE_POST = {
    "gaussian": recipe("post-keras", likelihood="gaussian"),
    "gaussian, fixed sigma": recipe("post-keras", likelihood="gaussian", fixed_sigma=0.3),
    # 1/30 is no power of two and 36 outputs are few: XLA then puts the constants of the objective
    # and the sum of a bias' gradient into one kernel.
    "gaussian, batch 30": recipe("post-keras", likelihood="gaussian", batch_size=30),
    "fixed sigma, batch 30": recipe(
        "post-keras", likelihood="gaussian", fixed_sigma=0.3, batch_size=30
    ),
    "categorical": recipe("post-keras", likelihood="categorical", levels=4),
    "continuous Bernoulli": recipe("post-keras", likelihood="continuous-bernoulli"),
    "binarized once": recipe("post-keras", binarization="fixed"),
    "autoencoder": recipe("post-keras", posterior="delta"),
    "KL warm-up": recipe("post-keras", kl_warmup_steps=8, beta=2.0),
    "nats": recipe("nats", latent_dim=4),
}


@pytest.mark.parametrize("config", BEYOND_THE_POST.values(), ids=BEYOND_THE_POST.keys())
def test_every_likelihood_posterior_and_binarization(implementations, config, data, tmp_path):
    """Weights, optimizer, losses of every step, evaluation and pictures, in bits."""
    batch_size = 64 if config.batch_size == 100 else config.batch_size
    config = dataclasses.replace(
        config, epochs=2, hidden_dims=(16,), batch_size=batch_size, step_losses=True
    )
    (fit, fit_run), (tape, tape_run) = both(
        implementations, lambda v: v.train(config, data, tmp_path / v.name, verbose=0)
    )
    for name in ("weights.npz", "checkpoints/last.npz"):
        paths = [tmp_path / implementation / name for implementation in ("keras_vae", "tf_vae")]
        assert paths[0].read_bytes() == paths[1].read_bytes(), name
    assert fit_run.step_losses == tape_run.step_losses
    assert np.isfinite(fit_run.step_losses).all()
    assert np.mean(fit_run.step_losses[-6:]) < fit_run.step_losses[0] or config.kl_warmup_steps
    models = {"keras_vae": fit, "tf_vae": tape}
    evaluated = [implementations[n].evaluate(m, data.x_test, config) for n, m in models.items()]
    assert evaluated[0] == evaluated[1]
    z_mean, other = (implementations[n].encode(m, data.x_test)[0] for n, m in models.items())
    assert same_bits(z_mean, other)
    images, other = (implementations[n].decode(m, z_mean) for n, m in models.items())
    assert same_bits(images, other) and images.shape == data.x_test.shape
    # The other implementation reads the run.
    loaded, found = implementations["keras_vae"].load(tmp_path / "tf_vae")
    assert found == config and differing(*both_gathered(implementations, loaded, tape)) == []


def both_gathered(implementations, fit, tape):
    return implementations["keras_vae"].gather(fit), implementations["tf_vae"].gather(tape)


def test_a_posterior_without_width_is_the_autoencoder(implementations, data):
    """z_log_var far below: z is z_mean, and the log-likelihood that of the delta posterior."""
    for implementation in implementations.values():
        config = recipe("post-keras", hidden_dims=(16,))
        model = implementation.build(config, data.input_dim)
        weights = implementation.gather(model)
        weights["encoder/z_log_var/kernel"] = 0 * weights["encoder/z_log_var/kernel"]
        weights["encoder/z_log_var/bias"] = np.full_like(weights["encoder/z_log_var/bias"], -80)
        implementation.assign(model, weights)
        delta = dataclasses.replace(config, posterior="delta")
        autoencoder = implementation.build(delta, data.input_dim)
        implementation.assign(autoencoder, weights)
        narrow, kl = implementation.elbo_terms(model, data.x_test, config)
        exact, none = implementation.elbo_terms(autoencoder, data.x_test, delta)
        # exp(-40) moves z by 4e-18 of epsilon, below float32: only sums in another order differ.
        np.testing.assert_allclose(narrow, exact, rtol=1e-6)
        assert (none == 0).all() and kl.min() > 70
        assert (implementation.encode(autoencoder, data.x_test)[1] == -np.inf).all()


def test_losses_of_every_step_over_seeds(implementations, data):
    config = CONFIGS["the post's TensorFlow recipe, small"]
    ours, theirs = both(implementations, lambda v: v.step_losses(config, data, [4, 5, 4]))
    assert same_bits(ours, theirs)
    assert ours.shape == (3, config.steps)
    assert same_bits(ours[0], ours[2])  # nothing of seed 5 is left in the optimizer or the noise
    assert (ours[0] != ours[1]).any()
    alone = implementations["tf_vae"].train(dataclasses.replace(config, seed=4), data, verbose=0)[1]
    assert np.array_equal(np.float32(alone.step_losses), ours[0])


def test_without_xla_the_versions_agree_only_closely(implementations, config, data):
    """Kernels are fused in other ways then, so bits cannot agree; a step still does, to 1e-5."""
    x = data.x_train[: config.batch_size]
    noise = [seeds.seed_of(config.seed, "noise"), 0]
    fit = implementations["keras_vae"].build(config, data.input_dim)
    fit.get_layer("sampling").start_training_noise(config.seed, 0)
    terms = fit(x, training=True)
    tape = implementations["tf_vae"].build(config, data.input_dim)
    tf.config.run_functions_eagerly(True)
    try:
        log_likelihood, kl = tape.terms(tf.constant(x), tf.constant(noise))
    finally:
        tf.config.run_functions_eagerly(False)
    # float32 sums over 36 pixels in another order.
    np.testing.assert_allclose(terms["log_likelihood"], log_likelihood, rtol=1e-5)
    np.testing.assert_allclose(terms["kl"], kl, rtol=1e-5, atol=1e-7)


def test_the_optimizers_are_those_of_keras(implementations, config, data):
    """One step of the config's optimizer, by its textbook formula, from the oracle's gradient."""
    config = dataclasses.replace(config, epochs=None, steps=1)
    weights = implementations["tf_vae"].gather(
        implementations["tf_vae"].build(config, data.input_dim)
    )
    x, epsilon = first_batch(config, data)
    gradients = oracle.gradient(weights, x, epsilon, config.activation, config.beta)
    trained = implementations["tf_vae"].gather(
        implementations["tf_vae"].train(config, data, verbose=0)[0]
    )
    rate = config.learning_rate
    for name, g in gradients.items():
        size = {
            "sgd": g,
            "rmsprop": g / np.sqrt(0.1 * g**2 + 1e-7),
            # Bias-corrected moments of one gradient are the gradient and its square.
            "adam": g / (np.sqrt(g**2) + 1e-7 / np.sqrt(1 - 0.999)),
        }[config.optimizer]
        clear = np.abs(g) > 1e-4  # below, an error of float32 in g turns the step about
        step = (trained[name] - weights[name])[clear]
        np.testing.assert_allclose(step, (-rate * size)[clear], rtol=2e-3, atol=1e-7, err_msg=name)


def test_keras_is_on_its_tensorflow_backend():
    assert keras.backend.backend() == "tensorflow"
