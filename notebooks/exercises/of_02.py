"""The exercises of notebook 2: counting nats, weights and steps; a log; a line in the plane."""

import math

import numpy as np
from exercises.forms import Exercise, close, letter, near

from shared.config import recipe
from shared.weights import weight_shapes


def numbers_in_weights():
    """Returns how many numbers the weights of post-keras with 20 latents have."""
    shapes = weight_shapes(recipe("post-keras", latent_dim=20), 784)
    return sum(math.prod(shape) for shape in shapes.values())


def is_line(line):
    """Returns whether a function of (a, b, n) goes from a to b in equal steps, in 2 and 3 dimensions."""
    for a, b in (([-1.0, 2.0], [1.5, 0.5]), ([0.0, 1.0, 2.0], [1.0, 1.0, -2.0])):
        a, b = np.array(a), np.array(b)
        if not close(line(a, b, 6), [a + (b - a) * share for share in np.arange(6) / 5]):
            return False
    return True


def counted_weights():
    """Returns how many weights the model has that is built."""
    from keras_vae.model import build

    model = build(recipe("post-keras", latent_dim=20), 784)
    return f"{model.count_params():,} weights, counted in the model"


EXERCISES = {
    1: Exercise(
        near(784 * math.log(2), 0.01),
        (
            "Which probability has a pixel whose logit is 0, and what is its logarithm?",
            "The pixels are added. And how far is the prior from itself?",
        ),
    ),
    2: Exercise(
        near(numbers_in_weights(), 0.5),
        (
            "Which weights of the table in section 1 have an edge of length latent_dim?",
            "Three kernels have one, and two biases.",
        ),
        counted_weights,
    ),
    3: Exercise(
        near(recipe("post-keras", epochs=50, batch_size=64).total_steps(4000), 0.5),
        (
            "4,000 / 64 is 62.5. What happens with the remaining images?",
            "Section 6: is the last, smaller batch used?",
        ),
    ),
    4: Exercise(
        letter("b"),
        (
            "Look at the figure of section 2: how long does the effect last?",
            "When, during the epoch, is each of the two losses measured?",
        ),
    ),
    5: Exercise(
        is_line,
        (
            "Are both ends included, and is the first row equal to a?",
            "NumPy has a function for equal steps; it also takes arrays as ends.",
        ),
    ),
}
