"""The exercises of notebook 3: the first step of Adam, dead units, a level, and a way out."""

import keras
import numpy as np
from exercises.forms import Exercise, near, number
from scipy import special

from shared.config import recipe
from shared.measure import diagnostics

USED = ({"learning_rate": 0.001}, {"learning_rate": 0.01}, {"initializer_stddev": 0.001})


def first_move(gradient, learning_rate, epsilon):
    """Returns how far Keras' Adam moves a weight in its first step."""
    weight = keras.Variable(0.0)
    adam = keras.optimizers.Adam(learning_rate, epsilon=epsilon)
    adam.apply([keras.ops.convert_to_tensor(gradient)], [weight])
    return abs(float(weight))


def is_first_move(answer):
    """Returns whether an answer is the length of the step, to two digits."""
    return abs(number(answer) / first_move(2e-8, 0.01, 1e-8) - 1) < 0.02


def finds_the_dead(function):
    """Returns whether a function of a layer's output finds its dead units; some are rarely above 0."""
    random = np.random.RandomState(0)
    x = random.uniform(size=(50, 4))
    names = ("encoder/hidden_1", "decoder/hidden_1")
    weights = {f"{name}/kernel": random.normal(size=(4, 30)) for name in names}
    weights |= {f"{name}/bias": np.linspace(-3, 1, 30) for name in names}
    dead = diagnostics.dead_units(weights, "relu", x, x)["encoder/hidden_1"]
    h = np.maximum(x @ weights["encoder/hidden_1/kernel"] + weights["encoder/hidden_1/bias"], 0)
    return np.array_equal(np.asarray(function(h)), dead)


def collapsed_loss():
    """Returns the loss of a collapsed VAE on two pictures that differ in ten pixels, in nats."""
    pictures = np.zeros((2, 784))
    pictures[1, :10] = 1
    mean = pictures.mean(axis=0)
    return float(special.entr([mean, 1 - mean]).sum())


def keeps_the_units(changes, first_steps):
    """Returns whether one changed setting keeps 50 units of seed 4 alive for 20 steps."""
    if len(changes) != 1 or not set(changes) <= {"learning_rate", "initializer_stddev"}:
        return False
    config = recipe("post-tf", seed=4, optimizer_epsilon=1e-7, **changes)
    return changes not in USED and first_steps(config, 20)[0][-1] >= 50


EXERCISES = {
    1: Exercise(
        is_first_move,
        (
            "Is this gradient large or small beside ε?",
            "Section 2 has the formula. Where does ε stand: beside the root, or the corrected root?",
        ),
        lambda: f"{first_move(2e-8, 0.01, 1e-8):.3g}, by the Adam of Keras",
    ),
    2: Exercise(
        finds_the_dead,
        (
            "Dead is zero for *every* image.",
            "Along which axis are the images? The result has one bool per unit.",
        ),
    ),
    3: Exercise(
        near(collapsed_loss(), 0.01),
        (
            "Which image does a collapsed decoder give, and what is its loss called in section 4?",
            "Pixels that are equal in both pictures add nothing.",
        ),
    ),
    4: Exercise(
        keeps_the_units,
        (
            "A dict with one entry, and a value that this notebook has not used.",
            "Smaller steps, or units that differ more from each other at the start.",
        ),
    ),
}
