"""The exercises of notebook 9: rate and sigma² from eigenvalues, water-filling, tangent, log N."""

import math

import numpy as np
from exercises.forms import Exercise, close, near

from shared.measure.linear import linear_optimum

EIGENVALUES = (6.0, 3.0, 1.5, 0.5)


def fills(function):
    """Returns whether a function of (eigenvalues, level) gives the rate and the sum of errors."""
    values = np.array([6.0, 3.0, 1.5, 0.5, 0.0])
    return all(
        close(
            np.ravel(function(values.copy(), level)),
            (0.5 * np.log(values[values > level] / level).sum(), np.minimum(values, level).sum()),
        )
        for level in (0.3, 1.0, 2.0, 8.0)
    )


EXERCISES = {
    1: Exercise(
        near(float(linear_optimum(EIGENVALUES, 4, 2.0, 1.0).kl.sum()), 0.01),
        (
            "Which eigenvalues are above the level βσ²?",
            "Each of them has a KL of half the logarithm of its ratio to the level; sum them.",
        ),
    ),
    2: Exercise(
        near(linear_optimum(EIGENVALUES, 2).noise_variance, 0.005),
        (
            "Which eigenvalues does the model leave out, and how does the noise describe them?",
            "It is a mean, not a sum.",
        ),
    ),
    3: Exercise(
        fills,
        (
            "Every direction has an error: its eigenvalue, or the level, whichever is less.",
            "A direction below the level has no rate; the logarithm of its ratio is negative.",
        ),
    ),
    4: Exercise(
        near(82, 0.01),
        (
            "No model of the family lies below the tangent at the best one.",
            "The tangent has the slope −β. How much does it fall between the two rates?",
        ),
    ),
    5: Exercise(
        near(17 - math.log(1000), 0.01),
        (
            "The mean KL has two parts. How large can the other one be?",
            "The information about which of N images it is has an upper bound that depends on N.",
        ),
    ),
}
