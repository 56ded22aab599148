"""The optimizer of a config: its step size at every step, and its epsilon.

Each test applies a gradient of its own and compares the change of a weight with the formula of the
optimizer, so no model is compiled.
"""

import importlib
import math

import numpy as np
import pytest

from shared.config import recipe
from shared.training.optimizer import build_optimizer

N = 3  # training examples: two batches of two, so six steps in three epochs


def built(name, config):
    """(variables, optimizer) of a tiny model of the implementation `name`, every variable at 0."""
    build = importlib.import_module(f"{name}.model").build
    model = build(config, 2)
    variables = model.trainable_variables
    optimizer = build_optimizer(config, N, variables)
    for variable in variables:
        variable.assign(np.zeros(variable.shape))
    return variables, optimizer


def change(variables, optimizer, gradient):
    """How far one step moves each weight when every gradient has the value `gradient`: a number."""
    before = [np.array(v) for v in variables]
    gradients = [np.full(v.shape, gradient, np.float32) for v in variables]
    optimizer.apply(gradients, variables)
    changes = [np.array(v) - b for v, b in zip(variables, before, strict=True)]
    changes = np.concatenate([np.ravel(each) for each in changes])
    # The elements of long and of short arrays may be rounded differently.
    np.testing.assert_allclose(changes, changes[0], rtol=1e-6)
    return changes[0]


def small(**changes):
    return recipe("post-keras", hidden_dims=(1,), batch_size=2, **changes)


@pytest.mark.parametrize("name", ["keras_vae", "tf_vae"])
@pytest.mark.parametrize("decay", [8.0, 1.0])
@pytest.mark.parametrize("length", [{"epochs": 3}, {"steps": 6}])
def test_the_step_size_falls_by_the_decay_over_the_run(name, decay, length):
    config = small(optimizer="sgd", learning_rate=0.5, learning_rate_decay=decay, **length)
    variables, optimizer = built(name, config)
    for step in range(7):
        # sgd moves a weight by the step size times the gradient. After all six steps the step size
        # is an eighth, so it falls by the whole factor. 1e-5: float32 differences of weights.
        exact = -0.5 * decay ** (-step / 6) * 0.25
        assert change(variables, optimizer, 0.25) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("name", ["keras_vae", "tf_vae"])
@pytest.mark.parametrize("epsilon", [None, 1e-4])
@pytest.mark.parametrize("kind", ["adam", "rmsprop outside", "rmsprop inside"])
def test_epsilon_is_in_the_denominator(name, kind, epsilon):
    kind, *place = kind.split()
    place = {"rmsprop_epsilon": place[0]} if place else {}
    config = small(optimizer=kind, learning_rate=0.5, optimizer_epsilon=epsilon, steps=6, **place)
    variables, optimizer = built(name, config)
    epsilon = epsilon or 1e-7  # Keras' default
    g = 1e-5  # where 1e-4 outweighs the gradient and 1e-7 does not
    exact = {
        # The first moments are 0.1 g and 0.001 g², each corrected for its start at zero; epsilon
        # stands beside the second before its correction, as in the paper's efficient form.
        (): g / (g + epsilon / math.sqrt(0.001)),
        ("outside",): g / (math.sqrt(0.1) * g + epsilon),
        ("inside",): g / math.sqrt(0.1 * g**2 + epsilon),
    }[tuple(place.values())]
    # 1e-3: Keras corrects by 1 - 0.999 in float32, which has four digits.
    assert change(variables, optimizer, g) == pytest.approx(-0.5 * exact, rel=1e-3)
