"""Validation images: watched in place of the test set, checked as the other arrays are."""

import numpy as np
import pytest
from small_data import write

from shared.config import recipe
from shared.data import load_data
from shared.machine.checks import UsageError


@pytest.mark.either
def test_validation_images_are_watched_in_place_of_the_test_set(implementation, tmp_path):
    """The same training with other val_loss: that of x_valid, as of a test set of these images."""
    images = np.random.RandomState(0).randint(0, 256, (60, 3, 3), np.uint8)
    parts = {
        "x_train": images[:40],
        "y_train": np.arange(40),
        "x_test": images[50:],
        "y_test": np.arange(10),
    }
    usual = load_data(write(tmp_path / "usual.npz", **parts))
    valid = load_data(write(tmp_path / "valid.npz", **parts, x_valid=images[40:50]))
    other = load_data(write(tmp_path / "other.npz", **{**parts, "x_test": images[40:50]}))
    assert (usual.held_out_name, valid.held_out_name) == ("test", "validation")
    assert valid.describe()["n_valid"] == 10 and "n_valid" not in usual.describe()
    assert set(valid.sha256) == {*usual.sha256, "x_valid"} and usual.x_valid is None
    np.testing.assert_array_equal(valid.x_valid, other.x_test)
    config = recipe("post-keras", hidden_dims=(3,), epochs=1, batch_size=20)
    rows = [implementation.train(config, each, verbose=0)[1].history for each in (valid, other)]
    del rows[0][0]["seconds"], rows[1][0]["seconds"]
    assert rows[0] == rows[1]
    _, run = implementation.train(config, usual, verbose=0)
    assert run.history[0]["loss"] == rows[0][0]["loss"]
    assert run.history[0]["val_loss"] != rows[0][0]["val_loss"]


def test_validation_images_are_checked_like_the_others(tmp_path):
    with pytest.raises(UsageError, match=r"x_valid has shape \(0, 2, 2\)"):
        load_data(write(tmp_path / "a.npz", x_valid=np.zeros((0, 2, 2), np.uint8)))
    with pytest.raises(UsageError, match=r"\(2, 2\) in x_train and \(3, 2\) in x_valid"):
        load_data(write(tmp_path / "b.npz", x_valid=np.zeros((4, 3, 2), np.uint8)))


def test_the_message_about_labels_says_what_the_images_are(tmp_path):
    single = np.zeros((2, 2), np.uint8)  # two images of two pixels, and not one of 2 × 2
    with pytest.raises(UsageError, match=r"of the 2 images in x_train, which has shape \(2, 2\)"):
        load_data(write(tmp_path / "a.npz", x_train=single))
