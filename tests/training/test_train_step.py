"""One training step of the loop, `tf_vae.train.train_step`, compared with the oracle."""

import numpy as np
import oracle
import pytest
import tensorflow as tf
from bits import differing

from shared.config import recipe
from shared.elbo import negative_elbo
from shared.seeds import examples_of, seed_of
from shared.training.optimizer import build_optimizer
from tf_vae.checkpoint import gather
from tf_vae.model import build
from tf_vae.train import train, train_step

CONFIG = {
    "hidden_dims": (24, 16),
    "latent_dim": 3,
    "activation": "tanh",
    "beta": 2.0,
    "kl_warmup_steps": 10,
}
NOISE_SEED = 3


def one_step(data, step=0, **changes):
    """Calls `train_step` on 20 images at a step: config, start, end, optimizer, logs, x, ε."""
    config = recipe("post-keras", **{**CONFIG, **changes})
    model = build(config, data.input_dim)
    optimizer = build_optimizer(config, len(data.x_train), model.trainable_variables)
    optimizer.iterations.assign(step)
    start, x = gather(model), data.x_train[:20]
    loss, terms = train_step(model, optimizer, tf.constant(x), tf.constant(NOISE_SEED))
    logs = {"loss": float(loss)}
    logs |= {name: float(np.mean(term)) for name, term in terms.outputs().items()}
    epsilon = tf.random.stateless_normal((20, config.latent_dim), [NOISE_SEED, step]).numpy()
    return config, start, gather(model), optimizer, logs, x, epsilon


@pytest.mark.parametrize("step, beta", [(0, 0.2), (6, 1.4), (9, 2.0), (600, 2.0)])
def test_a_step_applies_the_gradient_of_the_loss(data, step, beta):
    """Tests a step of the warm-up, with the noise of that step.

    With SGD at a learning rate of 1024, the change of a weight has all digits of the gradient.
    """
    config, start, end, optimizer, logs, x, epsilon = one_step(
        data, step, optimizer="sgd", learning_rate=1024.0
    )
    expected = oracle.gradient(start, x, epsilon, config.activation, beta)
    for name, gradient in expected.items():
        ours = (np.float64(start[name]) - end[name]) / 1024
        # Relative to the largest entry of the same weight, of which float32 has seven digits.
        atol = 1e-5 * np.abs(gradient).max()
        np.testing.assert_allclose(ours, gradient, rtol=0, atol=atol, err_msg=name)
    assert int(optimizer.iterations) == step + 1

    # What is logged: the loss that was minimised, and the terms without a weight.
    out = oracle.forward(start, x, epsilon, config.activation)
    loss = oracle.loss(start, x, epsilon, config.activation, beta)
    expected = {"loss": loss, **{name: out[name].mean() for name in ("log_likelihood", "kl")}}
    for name, value in expected.items():
        assert logs[name] == pytest.approx(value, rel=1e-5)  # float32 sums


@pytest.mark.parametrize(
    "name, epsilon",
    [
        ("sgd", None),
        ("outside", None),
        ("outside", 1e-2),
        ("inside", None),
        ("inside", 1e-2),
        ("adam", None),
        ("adam", 1e-2),
    ],
)
def test_the_optimizers_are_those_of_keras(data, name, epsilon):
    """The first step of each optimizer, by its textbook formula, from the oracle's gradient."""
    rate, e = 0.5, 1e-7 if epsilon is None else epsilon
    kind = {"optimizer": name}
    if name in ("outside", "inside"):
        kind = {"optimizer": "rmsprop", "rmsprop_epsilon": name}
    config, start, end, _, _, x, noise = one_step(
        data, **kind, learning_rate=rate, optimizer_epsilon=epsilon
    )
    gradients = oracle.gradient(start, x, noise, config.activation, beta=0.2)
    for weight, g in gradients.items():
        step = {
            "sgd": g,
            "outside": g / (np.sqrt(0.1 * g**2) + e),
            "inside": g / np.sqrt(0.1 * g**2 + e),
            # Bias-corrected moments of one gradient are the gradient and its square; Keras corrects
            # them in the step size, so its epsilon is divided by the square root of 1 - 0.999.
            "adam": g / (np.sqrt(g**2) + e / np.sqrt(1 - 0.999)),
        }[name]
        clear = np.abs(g) > 1e-4  # below, an error of float32 in g changes the step
        moved = (np.float64(start[weight]) - end[weight])[clear]
        # 2e-3: an error of 1e-7 in a gradient of 1e-4, which is in the ratio.
        np.testing.assert_allclose(moved, rate * step[clear], rtol=2e-3, atol=1e-6, err_msg=weight)


@pytest.mark.long
def test_a_compiled_step_by_hand_is_that_of_train(data):
    """A user's own compiled step that calls the model has the same bits as `train`."""
    config = recipe("post-tf", steps=1, hidden_dims=(24,), latent_dim=5)
    model = build(config, data.input_dim)
    optimizer = build_optimizer(config, len(data.x_train), model.trainable_variables)
    variables = list(model.named_weights.values())

    @tf.function(jit_compile=True)
    def step(x, noise_seed):
        with tf.GradientTape() as tape:
            loss = negative_elbo(**model(x, noise_seed))
        optimizer.apply(tape.gradient(loss, variables), variables)

    rows = examples_of(config, 1, data.train)[: config.batch_size]
    step(tf.constant(data.x_train[rows]), tf.constant([seed_of(config.seed, "noise"), 0]))
    assert differing(gather(model), gather(train(config, data, verbose=0)[0])) == []
