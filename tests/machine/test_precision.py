"""Types of floats and switches of the frameworks: what changes no bit, and what is refused."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from networks import outputs

from shared.config import recipe
from shared.machine.checks import UsageError

CONFIG = recipe("post-keras", steps=3, hidden_dims=(4,), batch_size=100)


@pytest.fixture
def settings():
    """Sets Keras back to what it was."""
    yield keras.config
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


def bits(implementation, data):
    """All that a training and an evaluation compute, as bytes."""
    model, run = implementation.train(CONFIG, data, verbose=0)
    arrays = [*implementation.gather(model).values(), *implementation.encode(model, data.x_test)]
    assert all(array.dtype == np.float32 for array in arrays)
    terms = implementation.elbo_terms(model, data.x_test, CONFIG)
    history = {name: value for name, value in run.history[-1].items() if name != "seconds"}
    return [each.tobytes() for each in (*arrays, *terms)], history


@pytest.fixture(scope="module")
def expected(implementations, data):
    return bits(implementations["tf_vae"], data)


def set_policy(name):
    return lambda settings: settings.set_dtype_policy(name)


@pytest.mark.parametrize(
    "change",
    [
        set_policy("mixed_float16"),
        pytest.param(set_policy("mixed_bfloat16"), marks=pytest.mark.long),
        pytest.param(set_policy("float64"), marks=pytest.mark.long),
        pytest.param(lambda settings: settings.set_epsilon(0.01), marks=pytest.mark.long),
        pytest.param(
            lambda settings: settings.set_image_data_format("channels_first"),
            marks=pytest.mark.long,
        ),
    ],
    ids=["mixed_float16", "mixed_bfloat16", "float64", "epsilon", "image_data_format"],
)
def test_a_policy_and_other_settings_change_no_bit(
    implementations, data, expected, settings, change
):
    change(settings)
    assert bits(implementations["keras_vae"], data) == expected
    assert bits(implementations["tf_vae"], data) == expected


def test_keras_does_not_scale_the_loss_under_a_policy(implementations, settings, tmp_path):
    """Also of a saved model; with a scaled loss, Keras' own `fit` would take other steps."""
    settings.set_dtype_policy("mixed_float16")
    model = implementations["keras_vae"].build(CONFIG, 36)
    model.compile("adam")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.RandomState(0).rand(5, 36)
    for each in (model, loaded):
        each.compile("adam")
        assert type(each.optimizer) is keras.optimizers.Adam
        assert {v.dtype for v in each.variables if v.dtype.startswith("float")} == {"float32"}
        assert {term.dtype for term in each.predict(x, verbose=0).values()} == {np.dtype("float32")}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_network_with_other_floats_is_refused(implementation, dtype):
    def cast(network):
        def cast_network(x):
            return keras.tree.map_structure(lambda y: keras.ops.cast(y, dtype), network(x))

        return cast_network

    encoder, decoder = outputs(2, 2), outputs(logits=36)
    for pair, who in (
        ((cast(encoder), decoder), "encoder returns 0"),
        ((encoder, cast(decoder)), "decoder returns logits"),
    ):
        with pytest.raises(UsageError, match=f"the {who} as {dtype}; expected float32: give the"):
            implementation.assemble(*pair, CONFIG, 36)


def test_layers_under_a_policy_are_refused_and_with_their_own_type_accepted(
    implementation, settings
):
    settings.set_dtype_policy("mixed_float16")

    def pair(dtype):
        def dense(n):
            return keras.layers.Dense(n, dtype=dtype)

        x, z = keras.Input((6, 6, 1)), keras.Input((2,))
        h = keras.layers.Flatten(dtype=dtype)(x)
        encoder = keras.Model(x, [dense(2)(h), dense(2)(h)])
        image = keras.layers.Reshape((6, 6, 1), dtype=dtype)(dense(36)(z))
        return encoder, keras.Model(z, {"logits": image})

    with pytest.raises(UsageError, match="the encoder returns 0 as float16; expected float32"):
        implementation.assemble(*pair(None), CONFIG, 36)
    model = implementation.assemble(*pair("float32"), CONFIG, 36)
    x = np.random.RandomState(0).rand(5, 36).astype(np.float32)
    kernel, bias = list(implementation.gather(model).values())[:2]
    # float32 sums of 36 products; pixels that were rounded to float16 would differ by 1e-4.
    np.testing.assert_allclose(
        implementation.encode(model, x)[0], np.float64(x) @ kernel + bias, rtol=1e-5, atol=1e-6
    )


def test_another_floatx_is_refused(implementation, implementations, data, settings, tmp_path):
    model = implementations["keras_vae"].build(CONFIG, 36)
    model.compile("adam")
    settings.set_floatx("float64")
    calls = [
        lambda: implementation.assemble(outputs(2, 2), outputs(logits=36), CONFIG, 36),
        lambda: implementation.train(CONFIG, data, tmp_path / "run"),
        lambda: implementation.step_losses(CONFIG, data, [0]),
        lambda: model.fit(data.x_test),
        lambda: model.evaluate(data.x_test),
        lambda: model.predict(data.x_test),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=r"floatx\(\) is float64; .*set_floatx\(\"float32\"\)"):
            call()
    assert list(tmp_path.iterdir()) == []


DETERMINISM = """
import hashlib
import os
import sys
import tensorflow as tf

if sys.argv[1] == "on":
    tf.config.experimental.enable_op_determinism()

from shared.command.implementation import import_implementation
from shared.config import recipe
from shared.data import load_data
from shared.machine.checks import UsageError

data, config = load_data(sys.argv[2]), recipe("post-keras", steps=20, hidden_dims=(4,))
for package in ("tf_vae", "keras_vae"):
    implementation = import_implementation(package)
    try:
        model, run = implementation.train(config, data, sys.argv[3], overwrite=True, verbose=0)
        weights = b"".join(v.tobytes() for v in implementation.gather(model).values())
        print(hashlib.sha256(weights).hexdigest())
        os.rename(sys.argv[3], sys.argv[3] + package)
    except UsageError as error:
        print(error)
        assert not os.path.exists(sys.argv[3])
        given = implementation.build(config, data.input_dim)
        free = implementation.assemble(
            given.encoder, given.decoder, config, data.input_dim, jit_compile=False)
        implementation.train(config, data, model=free, verbose=0)
"""


@pytest.mark.long
def test_determinism_of_operations_changes_no_bit_or_is_refused(data_path, tmp_path):
    """With it, Keras compiles without XLA whatever `jit_compile` says."""
    lines = {}
    for switch in ("off", "on"):
        done = subprocess.run(
            [sys.executable, "-c", DETERMINISM, switch, str(data_path), str(tmp_path / switch)],
            check=True,
            capture_output=True,
            text=True,
        )
        lines[switch] = done.stdout.splitlines()
    assert lines["off"][0] == lines["off"][1] == lines["on"][0]
    assert lines["on"][1].startswith("tf.config.experimental.enable_op_determinism is on")
