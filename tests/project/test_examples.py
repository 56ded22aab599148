"""The files of examples/ do what they say: shapes, order of pixels, bounds, and as scripts."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import oracle
import pytest
from networks import images

from examples import conditional, conv
from shared.config import recipe
from shared.machine.checks import UsageError

ROOT = Path(__file__).parents[2]
SHAPES = {"grey": (7, 9), "colour": (6, 5, 3), "one row": (1, 5), "alpha": (8, 8, 4)}
CONFIGS = {
    "bernoulli": {},
    "delta": {"posterior": "delta"},
    "gaussian": {"likelihood": "gaussian"},
    "fixed sigma": {"likelihood": "gaussian", "fixed_sigma": 0.5},
    "categorical": {"likelihood": "categorical", "levels": 3},
    "continuous Bernoulli": {"likelihood": "continuous-bernoulli"},
}


def config_of(**changes):
    """A short training of a small model."""
    settings = {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 20, "latent_dim": 3}
    return recipe("post-keras", steps=20, step_losses=True, **settings, **changes)


# ---- examples/conv.py


@pytest.mark.parametrize("shape", [SHAPES["grey"], SHAPES["colour"]], ids=["grey", "colour"])
def test_the_convolutional_pair_is_trained(implementation, shape):
    data, config = images(80, shape), config_of()
    keras.utils.set_random_seed(0)
    pair = conv.networks(config, shape)
    model = implementation.assemble(*pair, config, data.input_dim, jit_compile=False)
    _, run = implementation.train(config, data, verbose=0, model=model)
    losses = run.step_losses
    assert len(losses) == 20 and np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:3])


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_the_convolutional_pair_fits_every_config_and_size(implementations, shape, changes):
    """`assemble` checks every output and its width; both implementations call Keras models."""
    config, x, vae = config_of(**changes), images(8, shape).x_train, implementations["tf_vae"]
    model = vae.assemble(*conv.networks(config, shape), config, x.shape[1], jit_compile=False)
    z_mean, z_log_var = vae.encode(model, x)
    assert z_mean.shape == z_log_var.shape == (len(x), 3)
    assert vae.decode(model, z_mean).shape == x.shape
    log_likelihood, kl = vae.elbo_terms(model, x, config)
    assert np.isfinite(log_likelihood).all() and np.isfinite(kl).all()


def test_rows_columns_and_channels_are_in_the_order_of_the_data():
    """Pixels of one corner are felt in this corner of the encoder, and so in the decoder."""
    rows, columns, channels = 7, 9, 3
    encoder, decoder = conv.networks(config_of(), (rows, columns, channels))
    felt = keras.Model(encoder.input, encoder.layers[1].output)
    assert felt.output.shape[1:3] == (4, 5)  # half of 7 and 9, rounded up
    x = np.zeros((2, rows, columns, channels), np.float32)
    x[1, 0, -1] = 1  # the first row, the last column
    outputs = felt.predict(x, verbose=0)
    changed = np.argwhere(np.any(outputs[0] != outputs[1], axis=-1))
    # Kernels of 3 pixels and strides of 2: row i is felt in the rows from i/2 - 1 to i/2.
    assert len(changed) and changed[:, 0].max() == 0 and changed[:, 1].min() >= 3

    dense = next(layer for layer in decoder.layers if isinstance(layer, keras.layers.Dense))
    bias = np.zeros((2, 3, 32), np.float32)  # a quarter of 7 and 9, rounded up
    outputs = []
    for value in (0, 1):
        bias[0, -1] = value
        dense.set_weights([np.zeros((3, bias.size), np.float32), bias.ravel()])
        outputs.append(decoder(np.zeros((1, 3), np.float32))["logits"].numpy())
    outputs = np.reshape(outputs, (2, rows, columns, channels))
    changed = np.argwhere(np.any(outputs[0] != outputs[1], axis=-1))
    # One cell of the smallest picture becomes 2 · 2 + 3 = 7 pixels: 0 to 6, and 8 to 14, cut at 9.
    assert len(changed) and changed[:, 0].max() <= 6 and changed[:, 1].min() >= 8


def test_each_channel_has_its_own_levels(implementations):
    """With zero kernels the mean is that of the levels of its channel, at every pixel."""
    vae, shape, config = implementations["tf_vae"], (5, 6, 3), config_of(**CONFIGS["categorical"])
    encoder, decoder = conv.networks(config, shape)
    kernel, bias = decoder.get_layer("logits").get_weights()
    bias = np.linspace(-2, 3, len(bias)) ** 2
    decoder.get_layer("logits").set_weights([0 * kernel, bias])
    model = vae.assemble(encoder, decoder, config, 90, jit_compile=False)
    probs = np.exp(bias.reshape(3, 3)) / np.exp(bias.reshape(3, 3)).sum(axis=1, keepdims=True)
    decoded = vae.decode(model, np.zeros((1, 3))).reshape(shape)
    # float32
    np.testing.assert_allclose(decoded, np.tile(probs @ [0, 0.5, 1], (5, 6, 1)), rtol=1e-6)


def test_the_convolutional_pair_can_be_saved_and_loaded(tmp_path):
    x = images(8, (7, 9)).x_train
    inputs_of = x.reshape(-1, 7, 9, 1), x[:, :3]
    for part, inputs in zip(conv.networks(config_of(), (7, 9)), inputs_of, strict=True):
        assert all(type(layer).__module__.startswith("keras.") for layer in part.layers)
        part.save(tmp_path / "part.keras")
        loaded = keras.saving.load_model(tmp_path / "part.keras")
        ours, theirs = (keras.tree.flatten(each(inputs)) for each in (part, loaded))
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


# ---- examples/conditional.py


def test_the_terms_are_those_of_log_p_of_x_given_y():
    """With q = p(z) and a decoder that reads only y, the bound is log p(x|y), and KL is 0."""
    random, (encoder, decoder) = np.random.RandomState(0), conditional.networks(12, 2, 3)
    encoder.set_weights([0 * weight for weight in encoder.get_weights()])
    logits = random.normal(size=(3, 12)).astype(np.float32)
    kernels = [np.zeros((2 + 3, 256), np.float32), np.zeros((256, 12), np.float32)]
    kernels[0][2:, :3], kernels[1][:3] = np.eye(3), logits
    decoder.set_weights([kernels[0], np.zeros(256), kernels[1], np.zeros(12)])
    x, y = random.uniform(size=(9, 12)).astype(np.float32), np.arange(9) % 3
    labels = np.eye(3, dtype=np.float32)[y]
    log_likelihood, kl = conditional.terms((encoder, decoder), x, labels, [1, 2])
    expected = oracle.bernoulli_log_likelihood(np.float64(x), np.float64(logits[y]))
    np.testing.assert_allclose(log_likelihood, expected, rtol=1e-6)  # a float32 sum of 12
    assert np.all(kl.numpy() == 0)
    grid = conditional.grid((encoder, decoder), random.normal(size=(2, 2)), 3)
    # float32
    np.testing.assert_allclose(grid, [1 / (1 + np.exp(-np.float64(logits)))] * 2, rtol=1e-6)


def test_only_a_model_with_the_label_can_pass_minus_the_entropy():
    """Four binary images, equally often: no model of x alone has a mean log p(x) above -log 4."""
    patterns = np.float32(np.random.RandomState(0).uniform(size=(4, 12)) < 0.5)
    assert len(np.unique(patterns, axis=0)) == 4
    y = np.arange(400) % 4
    x, labels, bounds = patterns[y], np.eye(4, dtype=np.float32)[y], []
    for given in (0 * labels, labels):
        keras.utils.set_random_seed(0)
        pair = conditional.networks(12, 2, 4)
        conditional.fit(pair, x, given, epochs=60, batch_size=50, verbose=0)
        bounds.append(
            np.subtract(*(each.numpy() for each in conditional.terms(pair, x, given, [0, 9])))
        )
    error = bounds[0].std() / np.sqrt(400)  # of a mean over samples of z
    assert bounds[0].mean() < -np.log(4) + 5 * error
    assert bounds[1].mean() > -np.log(4)


# ---- as scripts


MAINS = pytest.mark.parametrize("main", [conv.main, conditional.main], ids=["conv", "conditional"])


@MAINS
def test_main_prints_what_it_measured_and_draws(main, data_path, tmp_path, capsys):
    main(data=str(data_path), epochs=1, out=tmp_path / "drawn.png")
    printed = capsys.readouterr().out
    assert printed.endswith(f"{tmp_path / 'drawn.png'}\n") and " nats" in printed
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
@pytest.mark.parametrize("name", ["conv", "conditional"])
def test_a_script_prints_nothing_of_tensorflow(name, data_path, tmp_path):
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--data", str(data_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for flags, status, errors in ((["--epochs", "1"], 0, ""), (["--epochs", "0"], 2, "epochs is")):
        done = subprocess.run(
            [*command, *flags], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr[:9]) == (status, errors), done.stderr
        assert done.stderr.count("\n") == (status != 0)
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.png"]


@MAINS
def test_bad_input_is_refused_before_the_training(main, data_path, tmp_path):
    for changes, message in (
        ({"out": tmp_path / "gone" / "a.png"}, "a file in a folder that exists"),
        ({"out": tmp_path}, "a file in a folder that exists"),
        ({"epochs": 0}, "epochs is 0"),
        ({"latent_dim": 0}, "latent_dim is 0"),
        ({"data": str(tmp_path / "gone.npz")}, "gone.npz"),
    ):
        with pytest.raises(UsageError, match=message):
            main(**{"data": str(data_path), "out": tmp_path / "a.png", **changes})
    assert list(tmp_path.iterdir()) == []


def test_a_single_class_is_refused(tmp_path):
    x, y = np.zeros((4, 6, 6), np.uint8), np.ones(4, int)
    np.savez(tmp_path / "one.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(UsageError, match=r"y_train of .* has 1 classes; expected 2 to 100"):
        conditional.main(data=str(tmp_path / "one.npz"), out=tmp_path / "a.png")
