"""Batches that are windows of the stored order: what both implementations feed, and refusals."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import keras_vae.batches
import tf_vae.batches
from shared.config import recipe
from shared.data import Data, load_data
from shared.data.pixels import Pixels
from shared.machine.checks import UsageError
from shared.measure.parity import compare
from shared.run.state import Run
from shared.seeds import examples_of

N = 30  # images of one pixel, which is their number divided by 255


def numbered(n=N, labels=None):
    x = np.arange(n, dtype=np.uint8)[:, None]
    y = np.arange(n) % 3 if labels is None else np.asarray(labels)
    return Data("numbered", Pixels([x]), y, Pixels([x]), y, (1, 1), "", {})


def windows(**changes):
    fields = {"order": "windows", "batch_size": 8, "hidden_dims": (3,), **changes}
    return recipe("post-keras", **fields)


def fed_by_keras(config, data, step, count):
    batches = keras_vae.batches.training_batches(data.train, config, step)
    return [np.round(255 * each.numpy()[:, 0]) for each in batches.take(count)]


def fed_by_tf(config, data, step, count):
    epochs, batches = tf_vae.batches.training_batches(data.train, config, step), []
    while len(batches) < count:
        images, orders = next(epochs)
        for stored, white_level in tf_vae.batches.gathered(images, orders):
            batches += [255 * (batch / white_level) for batch in tf.cast(stored, tf.float32)]
    return [np.round(each[:, 0]) for each in batches[:count]]


@pytest.mark.parametrize("fed", [fed_by_keras, fed_by_tf])
@pytest.mark.parametrize("order", ["windows", "shuffle"])
@pytest.mark.parametrize("step", [0, 3, 4, 9])
def test_a_feed_that_begins_at_any_step_has_the_batches_of_these_steps(fed, order, step):
    """30 images in batches of 8 are 4 steps per epoch; only a shuffle has a smaller last batch."""
    config, data = windows(), numbered()
    config = dataclasses.replace(config, order=order)
    examples = [examples_of(config, epoch, data.train) for epoch in (1, 2, 3, 4)]
    wanted = [each[i : i + 8] for each in examples for i in range(0, len(each), 8)]
    assert {len(each) for each in wanted} == ({8} if order == "windows" else {8, 6})
    for batch, numbers in zip(fed(config, data, step, 6), wanted[step : step + 6], strict=True):
        np.testing.assert_array_equal(batch, numbers)


@pytest.mark.parametrize("pixels", [1, 3000])
def test_the_feed_of_fit_is_the_same_in_however_many_parts_it_is_gathered(pixels, monkeypatch):
    monkeypatch.setattr(keras_vae.batches, "NUMBERS", pixels)  # one batch, or all, per call
    config, data = windows(order="shuffle"), numbered()
    examples = np.concatenate([examples_of(config, epoch, data.train) for epoch in (1, 2)])
    np.testing.assert_array_equal(np.concatenate(fed_by_keras(config, data, 0, 8)), examples)


def test_both_implementations_train_on_windows_and_resume_to_the_same_bits(
    implementations, tmp_path
):
    """Trained in one piece by one, and up to inside the second epoch and on by the other."""
    data = numbered()
    config = windows(steps=7, step_losses=True)
    keras, tf_ = implementations["keras_vae"], implementations["tf_vae"]
    whole, run = keras.train(config, data, verbose=0)
    part = dataclasses.replace(config, steps=4)
    keras.train(part, data, tmp_path / "run", verbose=0)
    model, resumed = tf_.train(config, data, tmp_path / "run", resume=True, verbose=0)
    differences = compare(keras.gather(whole), tf_.gather(model))
    assert all(each["bit_identical"] for each in differences.values())
    assert run.step_losses == resumed.step_losses and len(run.step_losses) == 7


@pytest.mark.long
def test_binary_pixels_of_images_that_are_stored_as_floats(implementations):
    """Both feeds expect the type in which the grey images are stored."""
    x = np.random.RandomState(0).uniform(size=(N, 1)).astype(np.float32)
    y = np.arange(N) % 3
    data = Data(
        "floats", Pixels([x], white_level=1), y, Pixels([x], white_level=1), y, (1, 1), "", {}
    )
    config = windows(order="shuffle", epochs=2, binarization="dynamic")
    weights = [
        each.gather(each.train(config, data, verbose=0)[0]) for each in implementations.values()
    ]
    assert all(each["bit_identical"] for each in compare(*weights).values())


def refusal(config, data):
    with pytest.raises(UsageError) as error:
        Run(None, config, data, "tf_vae")
    return str(error.value)


def test_windows_need_as_many_images_as_one_window_has():
    message = (
        "order is windows of 8 images, and numbered has 7 training images;"
        " give --order shuffle or a smaller --batch-size"
    )
    assert refusal(windows(), numbered(7)) == message
    Run(None, windows(), numbered(8), "tf_vae")


def test_windows_of_images_that_are_stored_label_by_label_are_refused():
    message = (
        "order is windows and the training images of numbered are stored label by label, so"
        " a window would hold one of 3 labels; give --order shuffle"
    )
    assert refusal(windows(), numbered(labels=np.repeat([2, 0, 1], 10))) == message
    Run(None, windows(), numbered(labels=np.zeros(N, int)), "tf_vae")  # one label says nothing
    Run(None, windows(order="shuffle"), numbered(labels=np.repeat([2, 0, 1], 10)), "tf_vae")


def test_a_window_of_mnist_5k_is_as_mixed_as_one_of_mnist():
    """The package stores the digits by class; windows are drawn from a random order of them."""
    data = load_data("mnist-5k")
    assert (np.diff(data.y_train) >= 0).all()
    Run(None, recipe("post-tf"), data, "tf_vae")  # is not refused
    assert sorted(data.train.mixed) == list(range(4000))
    labels = data.y_train[data.train.mixed]
    counts = [np.bincount(labels[i : i + 100], minlength=10) for i in range(0, 4000, 100)]
    # A count is hypergeometric with mean 10 and standard deviation 2.96.
    assert np.abs(np.array(counts) - 10).max() <= 5 * 2.96 and np.std(counts) > 2
