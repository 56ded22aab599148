"""The exercises of notebook 4: sums that depend on the order, noise, bytes, and the last digit."""

import numpy as np
from exercises.forms import Exercise, near

from shared.config import recipe


def depends_on_order(numbers):
    """Returns whether the float32 sum of three numbers depends on the order."""
    with np.errstate(over="ignore", invalid="ignore"):  # an infinite sum is not right
        a, b, c = (np.float32(each) for each in numbers)
        total = (a + b) + c, a + (b + c)
    return bool(np.isfinite(total).all() and total[0] != total[1])


def equal_with_other_bytes(pair):
    """Returns whether two arrays are equal but differ in type, shape or bytes."""
    a, b = pair[0], pair[1]
    if not np.array_equal(a, b):
        return False
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes()


def is_order(order):
    """Returns whether a function of (n, seed, epoch) is an order of images that resumes exactly."""
    pairs = [(seed, epoch) for seed in range(4) for epoch in range(1, 5)]
    found = {}
    for pair in pairs:
        found[pair] = np.asarray(order(50, *pair)).tolist()
        np.random.random(3)  # somebody else draws numbers
    again = [np.asarray(order(50, *pair)).tolist() for pair in reversed(pairs)][::-1]
    permuted = all(sorted(each) == list(range(50)) for each in found.values())
    different = len({tuple(each) for each in found.values()}) == len(pairs)
    return permuted and different and list(found.values()) == again


EXERCISES = {
    1: Exercise(
        depends_on_order,
        (
            "Float32 has about seven digits.",
            "What happens to a small number that is added to a large one, and when is the large one "
            "taken away again?",
        ),
    ),
    2: Exercise(
        near(recipe("post-keras", batch_size=64, epochs=3).total_steps(4000), 0.5),
        (
            "How many steps are done? Count the smaller batches, too.",
            "The first step has number 0: which number has the step after n steps?",
        ),
    ),
    3: Exercise(
        equal_with_other_bytes,
        (
            "Which number exists with both signs?",
            "Or: can equal numbers have different types?",
        ),
    ),
    4: Exercise(
        near(1, 0.01),
        (
            "The spacing of float32 at 0.05, not that of float64; it is larger at larger numbers.",
            "Divide the difference by np.spacing(np.float32(0.05)).",
        ),
    ),
    5: Exercise(
        is_order,
        (
            "Called twice with the same seed and epoch, it must return the same, whatever was drawn "
            "in between.",
            "Make a new generator in each call. Do seed 1, epoch 2 and seed 2, epoch 1 get the same "
            "order?",
        ),
    ),
}
