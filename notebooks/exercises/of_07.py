"""The exercises of notebook 7: which number is reported, inputs, and a traversal."""

import numpy as np
from exercises.forms import Exercise, close, near


def is_traversal(path):
    """Returns whether a function of (z_mean, dimension, values) moves the chosen coordinate alone."""
    start, values = np.array([0.1, -0.2, 0.3, 0.7]), np.array([-1.0, 0.0, 2.0])
    right = [[0.1, -0.2, value, 0.7] for value in values]
    return close(path(start.copy(), 2, values), right)


def counted_inputs():
    """Returns how many inputs the decoder of such a conditional VAE has, once it is built."""
    from examples import conditional

    _, decoder = conditional.networks(784, 20, 26)
    return f"{decoder.input_shape[-1]} inputs of the decoder in examples/conditional.py"


EXERCISES = {
    1: Exercise(
        near(103.4, 1e-3),
        (
            "Which of the two models do you choose?",
            "The test set has no vote: choose by the validation loss, and report what follows.",
        ),
    ),
    2: Exercise(
        near(46, 0.5),
        (
            "What does the decoder get beside z?",
            "Is anything of the image x among its inputs?",
        ),
        counted_inputs,
    ),
    3: Exercise(
        is_traversal,
        (
            "The result has one row per value; in each row one coordinate differs from z_mean.",
            "Repeat z_mean, then set one column.",
        ),
    ),
}
