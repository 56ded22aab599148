"""The exercises of notebook 6: a file, bits, errors, a recipe, and a density of levels."""

import math
import tempfile
from pathlib import Path

import numpy as np
from exercises.forms import Exercise, near

from shared.config import recipe
from shared.data import load_data


def arrives(prepare):
    """Returns whether scans have all their grey levels after they are prepared, saved and loaded."""
    scans = np.array([[0, 1024, 2048, 4095]] * 2, np.uint16)
    with tempfile.TemporaryDirectory() as place:
        x, y = np.asarray(prepare(scans)), np.array([0, 1])
        np.savez(Path(place, "scans.npz"), x_train=x, y_train=y, x_test=x, y_test=y)
        loaded = load_data(str(Path(place, "scans.npz")))
    return np.allclose(loaded.x_train, scans / 4095, atol=1e-4)  # half a level is 1.2e-4


def draws_binary_images(changes):
    """Returns whether a recipe with these changes draws binary pixels once, with their likelihood."""
    changed = recipe("post-keras", **changes)
    return changed.likelihood == "bernoulli" and changed.binarization == "fixed"


EXERCISES = {
    1: Exercise(
        arrives,
        (
            "The file takes floats in [0, 1]: which number must become exactly 1?",
            "With uint8 there are only 256 levels, and these images have 4,096.",
        ),
    ),
    2: Exercise(
        near(40 / (8 * 8 * math.log(2)), 1e-3),
        (
            "Two divisions: by the number of pixels, and from nats to bits.",
            "A bit is log 2 = 0.693 nats.",
        ),
    ),
    3: Exercise(
        near(3600, 2),
        (
            "How does a standard error depend on the number of images?",
            "It is the standard deviation over the square root of n.",
        ),
    ),
    4: Exercise(
        draws_binary_images,
        (
            "The table of section 4 has a row for this. The likelihood is already right.",
            "Which field says when the pixels are drawn?",
        ),
    ),
    5: Exercise(
        near(-5.2 + math.log2(256), 1e-3),
        (
            "Section 4 does the same for 17 levels.",
            "How many bits select one of 256 steps of equal width?",
        ),
    ),
}
