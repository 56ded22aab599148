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


def spread_of_means():
    """Returns how much the means of test sets of 3,600 images vary, by drawing a thousand."""
    random = np.random.RandomState(6)
    means = [random.normal(-100, 30, 3600).mean() for _ in range(1000)]
    return (
        f"the means of 1,000 such test sets have a standard deviation of {np.std(means):.2f} nats"
    )


def is_paired_error(error):
    """Returns whether a function of two arrays is the standard error of their mean difference."""
    a = np.random.RandomState(7).normal(100, 30, 500)
    b = a + np.random.RandomState(8).normal(1, 2, 500)  # the same images: hard for both, or easy
    right = (a - b).std() / math.sqrt(500)
    return abs(float(error(a.copy(), b.copy())) / right - 1) < 0.005  # with ddof 0 or 1


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
        spread_of_means,
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
    6: Exercise(
        is_paired_error,
        (
            "The images are the same: an image that is hard for A is mostly hard for B. What does that "
            "do to the difference of each image?",
            "Subtract first; then the standard deviation of the differences, over the root of n.",
        ),
    ),
}
