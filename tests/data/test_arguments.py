"""What a caller may pass to the functions of a model: the same in both implementations."""

import numpy as np
import pytest
import tensorflow as tf

from shared.config import recipe
from shared.data.arguments import checked_images, checked_latents, checked_samples
from shared.machine.checks import UsageError

CONFIG = recipe("post-keras", hidden_dims=(4,))
GREY = np.random.RandomState(0).randint(0, 257, (5, 9)) / 256  # exact in float16 and float32


@pytest.mark.parametrize(
    "same",
    [
        lambda x: x.astype(np.float16),
        lambda x: x.astype(np.float32),
        lambda x: x,
        lambda x: x.tolist(),
        lambda x: tf.constant(x),
        lambda x: np.asfortranarray(x),
    ],
    ids=["float16", "float32", "float64", "lists", "tensor", "columns first"],
)
def test_images_of_any_float_type_are_the_same_images(same):
    checked = checked_images(same(GREY), 9)
    assert checked.dtype == np.float32 and checked.flags.c_contiguous
    assert (checked == GREY).all()
    assert (checked_latents(same(GREY), 9) == GREY).all()


def test_booleans_are_black_and_white():
    checked = checked_images(GREY > 0.5, 9)
    assert checked.dtype == np.float32 and (checked == (GREY > 0.5)).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((5, 9), 255, np.uint8), r"x is uint8; expected floats, .* divide .* by 255"),
        (GREY * 255, r"x holds values outside \[0, 1\]"),
        (np.where(GREY[0, 0] == GREY, np.nan, GREY), "or NaN"),
        (GREY - 0.1, r"outside \[0, 1\]"),
        (GREY[:, :8], r"x has shape \(5, 8\); expected \(n, 9\)"),
        (GREY[0], r"x has shape \(9,\)"),
        (GREY[:0], r"x has shape \(0, 9\); .* n >= 1"),
        (GREY.reshape(5, 3, 3), r"x has shape \(5, 3, 3\)"),
        ([[0.5] * 9, [0.5]], "x is not an array"),
        (np.array([["a"] * 9]), "x is <U1; expected floats"),
        (None, "x is object"),
        (GREY + 0j, "x is complex128"),
    ],
)
def test_other_images_are_refused_in_one_line(x, message):
    with pytest.raises(UsageError, match=message) as refusal:
        checked_images(x, 9)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.full((3, 2), np.inf), "z holds NaN or infinity"),
        (np.full((3, 2), 1e300), "z holds NaN or infinity"),  # in float32
        (np.zeros((3, 1)), r"z has shape \(3, 1\); expected \(n, 2\)"),
        (np.zeros((3, 2), int), "z is int64; expected floats"),
    ],
)
def test_other_latents_are_refused(z, message):
    with pytest.raises(UsageError, match=message):
        checked_latents(z, 2)


@pytest.mark.parametrize("samples", [0, -1, 1.0, True, None, "1"])
def test_samples_are_at_least_one(samples):
    with pytest.raises(UsageError, match="samples is"):
        checked_samples(samples)


def test_both_implementations_check_in_all_functions(implementation):
    model = implementation.build(CONFIG, 9)
    z_mean, z_log_var = implementation.encode(model, GREY.tolist())
    calls = {
        "encode": lambda x: implementation.encode(model, x),
        "elbo_terms": lambda x: implementation.elbo_terms(model, x, CONFIG),
        "evaluate": lambda x: implementation.evaluate(model, x, CONFIG),
        "log_weights": lambda x: implementation.log_weights(model, x, z_mean, z_log_var, 1, 2),
    }
    for name, call in calls.items():
        expected = call(GREY.astype(np.float32))
        for same in (GREY, GREY.tolist()):
            np.testing.assert_equal(call(same), expected, err_msg=name)
        for wrong in (GREY[:, :3], GREY[:0], np.full((5, 9), 7, np.uint8)):
            with pytest.raises(UsageError):
                call(wrong)
    images = implementation.decode(model, z_mean.astype(np.float64))
    assert images.tobytes() == implementation.decode(model, z_mean).tobytes()
    with pytest.raises(UsageError, match="z has shape"):
        implementation.decode(model, GREY)
    with pytest.raises(UsageError, match="samples is 0"):
        implementation.evaluate(model, GREY, CONFIG, samples=0)
