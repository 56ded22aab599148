"""Numbers that are not pixels: statistics of the training part, their inverse, and the refusals."""

import json

import numpy as np
import pytest
from small_data import write

from shared.config import from_dict, recipe
from shared.data import check_scale, load_data
from shared.data.arguments import checked_images
from shared.data.scale import Scaling
from shared.machine.checks import UsageError

RANDOM = np.random.RandomState(0)
WIDTHS = np.array([1, 50, 1e6, 1e-4, 3])
TRAIN = RANDOM.normal(5, 1, (40, 5)) * WIDTHS
TRAIN[:, 4] = 0.1  # constant; its mean differs from 0.1 in the last digit
TEST = RANDOM.normal(5, 1, (7, 5)) * WIDTHS
IMAGES = RANDOM.uniform(-20, 300, (40, 4, 4))
GAUSSIAN = {"likelihood": "gaussian"}


def table(tmp_path, scale, **more):
    path = write(tmp_path / "t.npz", x_train=TRAIN, x_test=TEST, y_train=None, y_test=None)
    return load_data(path, scale=scale, **more)


def refusal(function, *arguments, **options):
    with pytest.raises(UsageError) as error:
        function(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_table_is_scaled_column_by_column_by_its_training_part(tmp_path):
    """Compared with float64; a float32 has a relative error of 6e-8."""
    constant = np.array([False] * 4 + [True])
    low, high = TRAIN.min(axis=0), TRAIN.max(axis=0)
    mean, deviation = TRAIN.mean(axis=0), TRAIN.std(axis=0)
    for scale, shift, width in (
        ("minmax", low, np.where(constant, 1, high - low)),
        ("standard", np.where(constant, low, mean), np.where(constant, 1, deviation)),
        ("none", np.zeros(5), np.ones(5)),
    ):
        data = table(tmp_path, scale)
        assert data.image_shape == (5,) and data.columns[4] == "column_5"
        for x, ours in ((TRAIN, data.x_train), (TEST, data.x_test)):
            np.testing.assert_allclose(ours, (x - shift) / width, rtol=1e-6, atol=1e-6)
            assert np.isfinite(ours).all()
        assert data.scaling.scale == scale
    assert (table(tmp_path, "minmax").x_train[:, 4] == 0).all()
    assert (table(tmp_path, "standard").x_train[:, 4] == 0).all()
    x = table(tmp_path, "minmax").x_train
    assert x.min() == 0 and x.max() == 1


def test_the_scale_of_images_is_one_for_all_pixels(tmp_path):
    path = write(tmp_path / "i.npz", x_train=IMAGES, x_test=IMAGES[:3] * 1.5, y_test=[0] * 3,
                 y_train=np.arange(40))  # fmt: skip
    low, high = IMAGES.min(), IMAGES.max()
    data = load_data(path, scale="minmax")
    assert data.image_shape == (4, 4) and len(data.scaling.shift) == 1
    expected = (IMAGES.reshape(40, 16) - low) / (high - low)
    np.testing.assert_allclose(data.x_train, expected, atol=1e-6)
    data = load_data(path, scale="standard")
    expected = (IMAGES.reshape(40, 16) - IMAGES.mean()) / IMAGES.std()
    np.testing.assert_allclose(data.x_train, expected, atol=1e-5)
    # As they are drawn, the training part's range is black to white.
    drawn = data.scaling.drawn(data.x_train)
    np.testing.assert_allclose(drawn, (IMAGES.reshape(40, 16) - low) / (high - low), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, bool])
def test_numbers_of_any_type_are_scaled(tmp_path, dtype):
    x = (RANDOM.uniform(0, 200, (20, 3, 3)) > 90 if dtype is bool else
         RANDOM.uniform(0, 200, (20, 3, 3))).astype(dtype)  # fmt: skip
    np.save(tmp_path / "x.npy", x)
    data = load_data(str(tmp_path / "x.npy"), scale="minmax")
    both = np.concatenate([data.x_train, data.x_test])
    original = data.scaling.original(both)
    # The range is that of the training part; the rounding of a float32 in [0, 1] is 3e-8.
    np.testing.assert_allclose(
        np.sort(original.ravel()), np.sort(x.ravel().astype(float)), atol=1e-4
    )


@pytest.mark.parametrize("scale", ["minmax", "standard", "none"])
def test_the_inverse_has_the_units_of_the_data(tmp_path, scale):
    data = table(tmp_path, scale)
    for x, ours in ((TRAIN, data.x_train), (TEST, data.x_test)):
        # Relative to the width of the column: the numbers of the model are float32.
        error = np.abs(data.scaling.original(ours) - x) / (WIDTHS * 10)
        assert error.max() < 1e-6


def test_other_data_are_scaled_by_the_statistics_of_the_run(tmp_path):
    data = table(tmp_path, "standard")
    written = json.loads(json.dumps(data.scaling.describe()))
    assert Scaling.from_entry(written) == data.scaling
    path = write(tmp_path / "o.npz", x_train=TEST * 2, x_test=TRAIN, y_train=None, y_test=None)
    other = load_data(path, scale="standard", scaling=written)
    assert (other.x_test == data.x_train).all() and other.scaling == data.scaling
    path = write(tmp_path / "p.npz", x_train=TEST[:, :3], x_test=TRAIN[:, :3], y_train=None,
                 y_test=None)  # fmt: skip
    message = refusal(load_data, path, scale="standard", scaling=written)
    assert "has 3 columns and the run's statistics have 5" in message


def test_a_number_that_cannot_be_scaled_is_named(tmp_path):
    for value, text in ((np.nan, "NaN"), (np.inf, "inf"), (1e39, "1e+39")):
        x = TRAIN.copy()
        x[17, 2] = value
        path = write(tmp_path / "t.npz", x_train=x, x_test=TEST, y_train=None, y_test=None)
        assert f"x_train holds {text} at image 17" in refusal(load_data, path, scale="standard")
    x = np.tile([[0.0], [1e-36]], (20, 5))
    path = write(tmp_path / "t.npz", x_train=x, x_test=TEST, y_train=None, y_test=None)
    assert "too large once it is scaled" in refusal(load_data, path, scale="minmax")


def test_the_config_and_the_data_have_one_scale(tmp_path):
    for given in (None, "minmax", "standard", "none"):
        data = table(tmp_path, given) if given else load_data(write(tmp_path / "own.npz"))
        for wanted in (None, "minmax", "standard", "none"):
            config = recipe("post-keras", scale=wanted, **GAUSSIAN)
            if wanted == given:
                check_scale(config, data)
            else:
                message = refusal(check_scale, config, data)
                assert f"has scale {wanted} and" in message and f"scale {given};" in message


def test_a_likelihood_of_pixels_needs_all_parts_in_0_to_1(tmp_path):
    x = TRAIN.copy()
    inside = TRAIN[:3].copy()
    inside[1, 1] = x[:, 1].max() + 50
    path = write(tmp_path / "t.npz", x_train=x, x_test=inside, y_train=None, y_test=None)
    data = load_data(path, scale="minmax")
    check_scale(recipe("post-keras", scale="minmax", **GAUSSIAN), data)
    message = refusal(check_scale, recipe("post-keras", scale="minmax"), data)
    assert f"x_test holds {inside[1, 1]:g} at row 1, column 'column_2'" in message
    assert message.endswith("likelihood bernoulli needs [0, 1]: give --likelihood gaussian")
    drawn = recipe("post-keras", scale="minmax", binarization="fixed", **GAUSSIAN)
    assert "give --binarization none" in refusal(check_scale, drawn, data)
    path = write(tmp_path / "t.npz", x_train=x, x_test=TRAIN[:3], y_train=None, y_test=None)
    check_scale(recipe("post-keras", scale="minmax"), load_data(path, scale="minmax"))


@pytest.mark.parametrize("scale", ["standard", "none"])
def test_other_scales_than_minmax_take_a_gaussian_likelihood_only(scale):
    assert recipe("post-keras", scale=scale, **GAUSSIAN).scale == scale
    for likelihood in ("bernoulli", "continuous-bernoulli", "categorical"):
        message = refusal(recipe, "post-keras", scale=scale, likelihood=likelihood)
        assert f"scale is {scale} and likelihood is {likelihood}, which needs [0, 1]" in message
        assert recipe("post-keras", scale="minmax", likelihood=likelihood).scale == "minmax"
    message = refusal(recipe, "post-keras", scale=scale, binarization="dynamic", **GAUSSIAN)
    assert "--binarization none" in message


def test_a_config_from_before_the_scale_has_none():
    values = {**vars(recipe("post-keras"))}
    del values["scale"]
    assert from_dict(values).scale is None


def test_a_model_of_scaled_numbers_takes_numbers_of_any_size():
    x = TRAIN.astype(np.float32)
    assert (checked_images(x, 5, scale="none") == x).all()
    assert "outside [0, 1]" in refusal(checked_images, x, 5)
    for value in (np.nan, np.inf):
        x[3, 2] = value
        assert "NaN or infinity" in refusal(checked_images, x, 5, scale="standard")
    assert "has shape (40, 5)" in refusal(checked_images, x, 4, scale="standard")


def test_a_scale_is_for_numbers_in_memory(tmp_path):
    np.save(tmp_path / "x_train-00000.npy", TRAIN)
    assert "--scale is given" in refusal(load_data, str(tmp_path), scale="minmax")
    assert "--scale is for own data" in refusal(load_data, "mnist-5k", scale="minmax")
    path = write(tmp_path / "own.npz")
    assert "expected one of minmax" in refusal(load_data, path, scale="max")
