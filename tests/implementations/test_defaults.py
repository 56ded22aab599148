"""What each framework does by default where this model meets it: the rows of docs/from-2018.md.

Every optimizer is built with its own defaults and takes three steps with given gradients. Of the
formulas below, written in float64, exactly one must give its weights. The gradients are small,
smaller and large, because the constants and their places differ for small gradients only.
"""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf
from scipy import stats

from shared.config import recipe
from shared.data import load_data

v1 = tf.compat.v1
ROOT = Path(__file__).parents[2]
GRADIENTS = (1e-9, 1e-6, 1e-2)


def adam(gradients, epsilon, corrected=False):
    """Adam at 1e-3; epsilon stands beside the root of v, before or after its correction."""
    w, m, v, weights = 0.0, 0.0, 0.0, []
    for step, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        m_hat, root = m / (1 - 0.9**step), np.sqrt(1 - 0.999**step)
        if corrected:
            w -= 1e-3 * m_hat / (np.sqrt(v) / root + epsilon)
        else:
            w -= 1e-3 * m_hat * root / (np.sqrt(v) + epsilon)
        weights.append(w)
    return weights


def rmsprop(gradients, epsilon, inside, rate=1e-3, rho=0.9, start=0.0, momentum=0.0):
    """RMSprop; epsilon is added to the mean square, inside the root, or to its root."""
    w, a, velocity, weights = 0.0, start, 0.0, []
    for g in gradients:
        a = rho * a + (1 - rho) * g**2
        divisor = np.sqrt(a + epsilon) if inside else np.sqrt(a) + epsilon
        velocity = momentum * velocity + rate * g / divisor
        w -= velocity
        weights.append(w)
    return weights


FORMULAS = {
    "Adam of TensorFlow 1": lambda g: adam(g, 1e-8),
    "Adam of Keras": lambda g: adam(g, 1e-7),
    "Adam of PyTorch": lambda g: adam(g, 1e-8, corrected=True),
    "RMSProp of TensorFlow 1": lambda g: rmsprop(g, 1e-10, inside=True, start=1.0),
    "RMSprop of Keras 2 in 2018": lambda g: rmsprop(g, 1e-7, inside=False),
    "RMSprop of Keras 3": lambda g: rmsprop(g, 1e-7, inside=True),
    "RMSprop of Keras 3, momentum 0.5": lambda g: rmsprop(g, 1e-7, inside=True, momentum=0.5),
    "RMSprop of PyTorch": lambda g: rmsprop(g, 1e-8, inside=False, rate=1e-2, rho=0.99),
}


def formulas_of(weights):
    """The names of the formulas that give these weights after the steps of GRADIENTS."""
    # 2e-5: float32 keeps five digits of 1 - 0.999, which Adam divides by; the rest is rounding.
    return [n for n, f in FORMULAS.items() if np.allclose(weights, f(GRADIENTS), rtol=2e-5, atol=0)]


def tensorflow_1_weights(optimizer):
    """The weight after each step in a session of TensorFlow 1, whose optimizers are graph ops."""
    with tf.Graph().as_default(), v1.Session() as session:
        # Without use_resource=False it is a variable of TensorFlow 2, with other ops.
        variable = v1.Variable(0.0, use_resource=False)
        gradient, weights = v1.placeholder(tf.float32, []), []
        step = optimizer().apply_gradients([(gradient, variable)])
        session.run(v1.global_variables_initializer())
        for value in GRADIENTS:
            session.run(step, {gradient: value})
            weights.append(session.run(variable))
    return weights


def keras_3_weights(optimizer):
    """The weight after each step of a Keras 3 optimizer."""
    variable, weights = keras.Variable(0.0), []
    optimizer.build([variable])
    for value in GRADIENTS:
        optimizer.apply([tf.constant(value)], [variable])
        weights.append(float(variable.numpy()))
    return weights


def test_no_two_formulas_agree():
    for name, formula in FORMULAS.items():
        assert formulas_of(formula(GRADIENTS)) == [name]


def test_the_page_gives_the_first_step_of_each_formula():
    """In units of the learning rate, for gradients of three sizes, to four digits."""
    text = (ROOT / "docs" / "from-2018.md").read_text(encoding="utf-8")
    for name, formula in FORMULAS.items():
        rate = 1e-2 if name == "RMSprop of PyTorch" else 1e-3
        row = " | ".join(f"{-formula([g])[0] / rate:.4g}" for g in (2e-8, 1e-5, 1e-2))
        assert f"| {row} |" in text, name


def test_the_optimizers_of_tensorflow_1():
    assert formulas_of(tensorflow_1_weights(v1.train.AdamOptimizer)) == ["Adam of TensorFlow 1"]
    weights = tensorflow_1_weights(lambda: v1.train.RMSPropOptimizer(1e-3))
    assert formulas_of(weights) == ["RMSProp of TensorFlow 1"]


def test_the_optimizers_of_keras_3():
    assert formulas_of(keras_3_weights(keras.optimizers.Adam())) == ["Adam of Keras"]
    assert formulas_of(keras_3_weights(keras.optimizers.RMSprop())) == ["RMSprop of Keras 3"]


@pytest.fixture(scope="module")
def keras_2():
    """The results of keras2_steps.py."""
    command = [sys.executable, str(Path(__file__).parents[1] / "helpers" / "keras2_steps.py")]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [*command, *map(str, GRADIENTS)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_optimizers_of_keras_2(keras_2):
    """The legacy RMSprop is that of 2018; with momentum, and in the new one, epsilon moved."""
    assert {name: formulas_of(weights) for name, weights in keras_2["weights"].items()} == {
        "Adam": ["Adam of Keras"],
        "legacy Adam": ["Adam of Keras"],
        "RMSprop": ["RMSprop of Keras 3"],
        "legacy RMSprop": ["RMSprop of Keras 2 in 2018"],
        "legacy RMSprop, momentum 0.5": ["RMSprop of Keras 3, momentum 0.5"],
    }


def test_other_defaults_of_keras_2(keras_2):
    # Keras 2 clips at 1e-7 and adds 1e-7 again before the logarithm. 1e-6: float32.
    upper = np.float64(np.float32(1 - 1e-7))
    white, black = keras_2["white pixel, probability 0"], keras_2["black pixel, probability 1"]
    assert white == pytest.approx(-np.log(2e-7), rel=1e-6)
    assert black == pytest.approx(-np.log(1 - upper + 1e-7), rel=1e-6)
    # Of 200,704 uniform numbers the largest is within 1e-3 of the limit (but for a chance e^-200).
    assert keras_2["largest kernel of Dense"] == pytest.approx(np.sqrt(6 / (784 + 256)), rel=1e-3)
    assert keras_2["largest bias of Dense"] == 0
    assert keras_2["black pixel, logit 30"] == 30  # it finds the logits of a sigmoid
    assert keras_2["stddev of TruncatedNormal"] == pytest.approx(0.8796, abs=0.0065)
    assert keras_2["fit shuffles"] is True


def test_keras_cross_entropy_averages_the_last_axis():
    x, logits = np.random.RandomState(0).uniform(size=(2, 3, 784)), np.linspace(-4, 4, 784)
    probs = np.broadcast_to(1 / (1 + np.exp(-logits)), x.shape)
    exact = -np.sum(x * np.log(probs) + (1 - x) * np.log1p(-probs), axis=-1)
    mean = np.array(keras.losses.binary_crossentropy(x.astype("float32"), probs.astype("float32")))
    assert mean.shape == (2, 3)
    np.testing.assert_allclose(784 * mean, exact, rtol=1e-5)  # float32
    logits = tf.constant(np.broadcast_to(logits, x.shape), tf.float32)
    each = tf.nn.sigmoid_cross_entropy_with_logits(labels=x.astype("float32"), logits=logits)
    assert each.shape == x.shape
    np.testing.assert_allclose(tf.reduce_sum(each, axis=-1), exact, rtol=1e-5)


def test_keras_clips_probabilities_and_not_logits():
    def from_probs(x, probs):
        return keras.losses.binary_crossentropy(tf.constant([[x]]), probs)

    # 1 - 1e-7 is 1 - 1.19e-7 in float32, so the two limits differ. 1e-6: float32.
    black = -np.log(1 - np.float64(np.float32(1 - 1e-7)))
    assert float(from_probs(1.0, tf.constant([[0.0]]))[0]) == pytest.approx(-np.log(1e-7), rel=1e-6)
    assert float(from_probs(0.0, tf.constant([[1.0]]))[0]) == pytest.approx(black, rel=1e-6)
    assert black < 16 < -np.log(1e-7)

    logit = tf.Variable([[30.0]])
    with tf.GradientTape(persistent=True) as tape:
        clipped = from_probs(0.0, tf.sigmoid(logit))
        exact = tf.nn.sigmoid_cross_entropy_with_logits(labels=[[0.0]], logits=logit)
    assert tape.gradient(clipped, logit).numpy() == 0  # a pixel that is wrong, and learns nothing
    assert exact.numpy() == tape.gradient(exact, logit).numpy() * 30 == 30
    # Keras 3 finds the logits of a layer with this activation, and then does not clip.
    assert float(from_probs(0.0, keras.activations.sigmoid(logit))[0]) == 30


def test_truncated_normal_is_narrower_than_its_stddev():
    exact = stats.truncnorm.std(-2, 2)
    assert exact == pytest.approx(0.8796, abs=5e-5)
    for kernel in (
        keras.initializers.TruncatedNormal(stddev=1e-3, seed=0)((784, 400)),
        tf.random.truncated_normal((784, 400), stddev=1e-3, seed=0),
    ):
        sigmas = np.array(kernel) / 1e-3
        assert np.abs(sigmas).max() <= 2 + 1e-6  # float32
        # The standard deviation of n numbers errs by less than 1/√(2n), here 0.0013; five times.
        assert sigmas.std() == pytest.approx(exact, abs=0.0065)
    scaled = keras.initializers.VarianceScaling(1.0, "fan_in", "truncated_normal", seed=0)
    assert np.array(scaled((784, 400))).std() * 28 == pytest.approx(1, abs=0.0065)


def test_the_recipes_start_as_the_scripts_did(implementation):
    weights = implementation.gather(implementation.build(recipe("post-tf"), 784))
    kernel = weights["encoder/hidden_1/kernel"]
    assert kernel.std() == pytest.approx(0.8796e-3, abs=6.5e-6)
    assert np.abs(kernel).max() <= 2e-3 * (1 + 1e-6)
    weights = implementation.gather(implementation.build(recipe("post-keras"), 784))
    limit = np.sqrt(6 / (784 + 256))
    assert np.abs(weights["encoder/hidden_1/kernel"]).max() == pytest.approx(limit, rel=1e-3)
    assert not any(np.any(w) for name, w in weights.items() if name.endswith("bias"))


def test_the_first_gradients_of_post_tf(implementation):
    """They are what the epsilon of Adam meets: tiny in the encoder, and not in the decoder."""
    config, x = recipe("post-tf"), load_data("mnist-5k").x_train[::40]
    weights = implementation.gather(implementation.build(config, 784))
    epsilon = np.random.RandomState(0).normal(size=(len(x), 20))
    gradient = oracle.gradient(weights, x, epsilon, "relu", beta=1.0)
    for name, low, high in (
        ("encoder/hidden_1", 1.5e-8, 2.5e-8),
        ("decoder/hidden_1", 4e-4, 8e-4),
        ("decoder/logits", 4e-4, 8e-4),
    ):
        sizes = np.abs(gradient[f"{name}/kernel"])
        assert low < np.median(sizes[sizes > 0]) < high  # a pixel that is always black has none


def test_dtypes_of_the_input():
    """Keras 3 makes float64 float32 and keeps integers; a session makes both float32."""
    seen = []

    class Model(keras.Model):
        def call(self, x):
            seen.append(keras.backend.standardize_dtype(x.dtype))
            return x

    for dtype in ("float64", "uint8"):
        Model().predict(np.ones((1, 1), dtype), verbose=0)
    assert list(dict.fromkeys(seen)) == ["float32", "uint8"]
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder("float", [None])
        for dtype in ("float64", "uint8"):
            assert session.run(x, {x: np.ones(1, dtype)}).dtype == np.float32


def test_fit_shuffles_by_default():
    assert inspect.signature(keras.Model.fit).parameters["shuffle"].default is True


def test_a_saver_writes_no_file_of_the_name_it_is_given(tmp_path):
    """So the 2018 script, which looks for tf_model/model.ckpt, never restores."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.Variable(0.0, use_resource=False)
        session.run(v1.global_variables_initializer())
        saved = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    assert saved == str(tmp_path / "model.ckpt") and not Path(saved).exists()
    assert Path(f"{saved}.index").is_file()


@pytest.mark.backends
def test_the_defaults_of_pytorch():
    import torch

    for optimizer, name in ((torch.optim.Adam, "Adam"), (torch.optim.RMSprop, "RMSprop")):
        weight, weights = torch.zeros([], requires_grad=True), []
        step = optimizer([weight]).step
        for gradient in GRADIENTS:
            weight.grad = torch.tensor(gradient)
            step()
            weights.append(weight.item())
        assert formulas_of(weights) == [f"{name} of PyTorch"]

    cross_entropy = torch.nn.functional.binary_cross_entropy
    wrong, pixels = torch.tensor([[1.0, 0.5]]), torch.tensor([[0.0, 0.0]])
    # The mean over all elements; the logarithm is at least -100. 1e-6: float32.
    assert cross_entropy(wrong, pixels).item() == pytest.approx((100 + np.log(2)) / 2, rel=1e-6)
    with pytest.raises(RuntimeError, match="Double"):
        cross_entropy(wrong, pixels.double())

    layer = torch.nn.Linear(784, 256)
    assert layer.weight.abs().max().item() == pytest.approx(1 / 28, rel=1e-3)
    assert 0.9 / 28 < layer.bias.abs().max().item() <= 1 / 28
    # It cuts at ±2 and not at two standard deviations.
    sigmas = torch.nn.init.trunc_normal_(torch.empty(784, 400), std=1e-3) / 1e-3
    assert sigmas.abs().max() > 3 and sigmas.std().item() == pytest.approx(1, abs=0.0065)
    order = list(torch.utils.data.DataLoader(range(100), batch_size=None))
    assert order == list(range(100))
