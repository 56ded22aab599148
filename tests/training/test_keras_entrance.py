"""Keras' own `fit`, `evaluate` and `predict` on the model: what they take, and what they refuse."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.config import recipe
from shared.data.pixels import Pixels
from shared.machine.checks import UsageError

CONFIG = recipe("post-keras", hidden_dims=(4,))
X = np.random.RandomState(0).rand(8, 9).astype(np.float32)
GREY = np.random.RandomState(1).randint(0, 256, (8, 9), np.uint8)
BINARY = GREY // 128


@pytest.fixture
def build(implementations):
    """Returns a new model, with the initial weights of the config's seed.

    Its steps are not compiled unless a test asks for it, because that takes most of the time.
    """

    def built(config=CONFIG, optimizer="adam", compiled=False):
        model = implementations["keras_vae"].build(config, 9)
        model.compile(optimizer, run_eagerly=not compiled)
        return model

    return built


@pytest.fixture
def gather(implementations):
    return implementations["keras_vae"].gather


def equal(one, other):
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


# compile


@pytest.mark.parametrize(
    "given",
    [
        {"loss": "mse"},
        {"loss": {"kl": "mse", "log_likelihood": "mse"}, "metrics": {"kl": ["mae"]}},
        {"metrics": ["mae"]},
        {"weighted_metrics": ["mae"]},
        {"loss_weights": [1.0]},
    ],
    ids=lambda given: " and ".join(given),
)
def test_a_loss_and_metrics_of_compile_are_refused_before_training(build, gather, given):
    model = build()
    start = gather(model)
    model.compile("adam", **given)  # compiled steps: they are refused while they are traced
    message = f"compiled with {' and '.join(given)}, which it does not use.*an optimizer alone"
    calls = [model.evaluate, model.train_on_batch, model.test_on_batch]
    for call in (lambda x: model.fit(x, x, verbose=0), *calls):
        with pytest.raises(UsageError, match=message):
            call(X)
    assert equal(gather(model), start)
    model.compile("adam")  # as the message says; Keras itself keeps the metrics of the first call
    history = model.fit(X, verbose=0).history
    assert set(history) == {"loss", "log_likelihood", "kl"}
    assert not equal(gather(model), start)


def test_a_model_without_an_optimizer_is_evaluated_but_not_trained(build):
    model = build(optimizer=None)
    with pytest.raises(UsageError, match="compiled without an optimizer"):
        model.fit(X)
    assert len(model.evaluate(X, verbose=0)) == 3


# images

BAD = {
    "grey values of 0 to 255": (X * 255, r"holds values outside \[0, 1\]"),
    "below 0": (X - 1, r"holds values outside \[0, 1\]"),
    "NaN": (np.where(X > 0.9, np.nan, X), "holds .* or NaN"),
    "integers": (GREY.astype(int), "is int64; expected floats"),
    "another width": (X[:, :8], r"has shape \(8, 8\); expected \(n, 9\)"),
    "no image": (X[:0], r"has shape \(0, 9\)"),
    "images with rows": (GREY.reshape(8, 3, 3), r"has shape \(8, 3, 3\)"),
    "a tensor of grey values": (tf.constant(X * 255), r"holds values outside \[0, 1\]"),
    "missing": (None, r"is missing; expected images, \(n, 9\)"),
}


@pytest.mark.filterwarnings("ignore:x is uint8")
@pytest.mark.parametrize("x, message", BAD.values(), ids=BAD.keys())
def test_arrays_that_are_not_in_the_unit_range_are_refused(build, gather, x, message):
    model = build()
    start = gather(model)
    for call in (model.fit, model.evaluate, model.predict):
        with pytest.raises(UsageError, match=f"^x {message}"):
            call(x)
    for held_out in (x, (x, x)) if x is not None else ((None, X),):
        with pytest.raises(UsageError, match=f"^x of validation_data {message}"):
            model.fit(X, validation_data=held_out)
    assert equal(gather(model), start)


@pytest.mark.parametrize(
    "given, floats, message",
    [
        (GREY, GREY / np.float32(255), "divided by 255"),
        (tf.constant(GREY), GREY / np.float32(255), "divided by 255"),
        (BINARY, BINARY.astype(np.float32), "all 0 or 1, and taken as binary pixels"),
        (BINARY > 0, BINARY.astype(np.float32), None),
        (Pixels([GREY]), GREY / np.float32(255), None),
        ((GREY / np.float32(255)).tolist(), GREY / np.float32(255), None),
    ],
    ids=["uint8", "a uint8 tensor", "binary uint8", "booleans", "Pixels", "nested lists"],
)
def test_integers_and_booleans_are_those_of_load_data(build, gather, given, floats, message):
    ends = []
    for x in (given, floats):
        model = build()
        if x is given and message:
            with pytest.warns(UserWarning, match=message):
                history = model.fit(x, shuffle=False, verbose=0, validation_data=(x, None)).history
        else:
            history = model.fit(x, shuffle=False, verbose=0, validation_data=(x, None)).history
        ends.append((history, gather(model)))
    assert ends[0][0] == ends[1][0] and equal(ends[0][1], ends[1][1])


def test_dark_images_of_a_validation_are_divided_as_those_of_the_training(build):
    model = build()
    with pytest.warns(UserWarning, match="divided by 255"):
        history = model.fit(GREY, validation_data=(BINARY, None), verbose=0).history
    model.sampling.start_evaluation_noise(CONFIG.seed)
    start = build()
    start.set_weights(model.get_weights())
    expected = start.evaluate(BINARY / np.float32(255), verbose=0)[0]
    assert history["val_loss"][0] == pytest.approx(expected, rel=1e-6)  # float32


def never():
    raise AssertionError("the dataset was read")
    yield


@pytest.mark.parametrize(
    "spec, message",
    [
        (tf.TensorSpec((None, 9), tf.uint8), "x yields uint8; expected floats"),
        ((tf.TensorSpec((None, 9), tf.int32), tf.TensorSpec((None,))), "x yields int32"),
        (tf.TensorSpec((None, 8)), r"elements of shape \(None, 8\); expected batches"),
        (tf.TensorSpec((9,)), r"elements of shape \(9,\); expected batches"),
    ],
)
def test_a_dataset_is_refused_by_its_types_without_being_read(build, spec, message):
    dataset = tf.data.Dataset.from_generator(never, output_signature=spec)
    model = build()
    for call in (model.fit, model.evaluate, model.predict):
        with pytest.raises(UsageError, match=message):
            call(dataset)
    with pytest.raises(
        UsageError, match=message.replace("x yields", "x of validation_data yields")
    ):
        model.fit(X, validation_data=dataset)


def test_a_dataset_that_reshuffles_itself_has_the_order_that_it_has_for_keras(build, gather):
    ends = []
    for fit in (lambda model, *a, **k: model.fit(*a, **k), keras.Model.fit):
        dataset = tf.data.Dataset.from_tensor_slices(X).shuffle(8, seed=3).batch(2)
        model = build()
        fit(model, dataset, epochs=2, verbose=0)
        ends.append(gather(model))
    assert equal(*ends)


class Batches(keras.utils.PyDataset):
    """Two batches of one array."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (self.x,)


def generated(x):
    while True:
        yield (x,)


@pytest.mark.parametrize("source", [Batches, generated])
def test_integers_of_a_source_of_batches_are_refused_before_the_first_step(build, gather, source):
    model = build(compiled=True)
    start = gather(model)
    with pytest.raises(UsageError, match="x yields uint8"):
        model.fit(source(GREY), steps_per_epoch=2, verbose=0)
    with pytest.raises(UsageError, match="x yields uint8"):
        model.evaluate(source(GREY), steps=2, verbose=0)
    with pytest.raises(UsageError, match="x yields uint8"):
        model.predict(source(GREY), steps=2, verbose=0)
    assert equal(gather(model), start)


@pytest.mark.parametrize(
    "x, message",
    [
        (X * np.nan, "^loss is nan after the first epoch: x holds NaN or values outside"),
        # With these pixels, logits above 0 give x · logits - softplus(logits) > 0.
        (1 + 2 * X, r"^log_likelihood is [\d.]+ after .* Bernoulli likelihood is at most 0"),
    ],
)
def test_the_first_epoch_proves_that_batches_were_outside_the_range(build, x, message):
    model = build(optimizer=keras.optimizers.SGD(0.01))
    epochs = []
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    batches = tf.data.Dataset.from_tensors(x).repeat(20)
    with pytest.raises(UsageError, match=message) as refusal:
        model.fit(batches, epochs=3, verbose=0, callbacks=[count])
    assert epochs == [0] and "\n" not in str(refusal.value)
    message = message.replace("after the first epoch", "in this evaluation").replace("after", "in")
    with pytest.raises(UsageError, match=message):
        model.evaluate(batches, verbose=0)


def test_a_density_above_one_proves_nothing(build):
    """A Gaussian with a small sigma has a log-likelihood above 0 for pixels in [0, 1]."""
    model = build(recipe("post-keras", hidden_dims=(4,), likelihood="gaussian", fixed_sigma=0.3))
    batches = tf.data.Dataset.from_tensors(np.zeros((8, 9), np.float32))
    assert model.fit(batches, verbose=0).history["log_likelihood"][0] > 0


def test_images_as_a_target_have_to_be_those_of_x(build):
    model = build()
    model.fit(X, X.copy(), verbose=0)
    with pytest.raises(UsageError, match="y holds images that are not those of x"):
        model.fit(X * 0.5, X)
    with pytest.raises(UsageError, match="y holds images that are not those of x"):
        model.evaluate(X * 0.5, X)


# weights


def test_a_weighted_loss_is_the_weighted_sum_over_the_number_of_images(build):
    """By the terms of each image, which `predict` returns with the noise of `evaluate`."""
    config = recipe("post-keras", hidden_dims=(4,), beta=3.0)
    model, w = build(config), np.random.RandomState(2).rand(8)
    terms = model.predict(X, batch_size=3, verbose=0)
    model = build(config)
    logs = model.evaluate(X, sample_weight=w, batch_size=3, verbose=0, return_dict=True)
    for name, each in terms.items():
        assert logs[name] == pytest.approx((w * each).sum() / 8, rel=1e-5)  # float32 sums
    expected = (w * (3 * terms["kl"] - terms["log_likelihood"])).sum() / 8
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)
    history = build(config).fit(X, validation_data=(X, None, w), validation_batch_size=3, verbose=0)
    assert set(history.history) == {f"{v}{n}" for n in logs for v in ("", "val_")}


def test_a_validation_is_weighted_as_an_evaluation(build):
    w = np.random.RandomState(2).rand(8)
    model = build(optimizer=keras.optimizers.SGD(0.0))  # the weights stay
    history = model.fit(X, validation_data=(X, None, w), verbose=0).history
    expected = build().evaluate(X, sample_weight=w, verbose=0)[0]
    assert history["val_loss"][0] == pytest.approx(expected, rel=1e-6)


def steps_of(model, gather, *arguments, **options):
    """The change of each weight by one call of `fit`, and the loss."""
    start = gather(model)
    loss = model.fit(*arguments, shuffle=False, verbose=0, **options).history["loss"][0]
    return {name: value - start[name] for name, value in gather(model).items()}, loss


def test_a_step_is_linear_in_the_weights(build, gather):
    """With SGD of rate 1 a step is minus the gradient; posterior delta draws no noise."""
    config = recipe("post-keras", hidden_dims=(4,), posterior="delta")

    def step(x, **options):
        return steps_of(build(config, keras.optimizers.SGD(1.0)), gather, x, **options)

    alone, loss = step(X[:1])
    pair, half = step(X[:2], sample_weight=np.array([1.0, 0.0]))
    assert half == pytest.approx(loss / 2, rel=1e-6)
    for name in alone:  # 1e-6: float32
        np.testing.assert_allclose(pair[name], alone[name] / 2, rtol=1e-4, atol=1e-6)
    doubled, twice = step(X[:1], sample_weight=np.array([2.0]))
    assert twice == 2 * loss
    for name in alone:
        np.testing.assert_allclose(doubled[name], 2 * alone[name], rtol=1e-4, atol=1e-6)
    none, zero = step(X, sample_weight=np.zeros(8))
    assert zero == 0 and not any(change.any() for change in none.values())


def test_class_weights_and_weights_of_one_column_are_weights_of_images(build, gather):
    labels, w = np.arange(8) % 2, np.where(np.arange(8) % 2, 0.25, 3.0)
    ends = []
    for options in (
        {"sample_weight": w},
        {"sample_weight": w[:, None]},
        {"y": labels, "class_weight": {0: 3.0, 1: 0.25}},
        {"x": tf.data.Dataset.from_tensor_slices((X, labels, w)).batch(32)},
    ):
        model = build()
        history = model.fit(**{"x": X, "shuffle": False, "verbose": 0} | options).history
        ends.append((history, gather(model)))
    for history, weights in ends[1:]:
        assert history == ends[0][0] and equal(weights, ends[0][1])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sample_weight": np.ones((8, 9))}, r"sample_weight has shape \(8, 9\)"),
        ({"sample_weight": np.full(8, np.nan)}, "sample_weight holds NaN"),
        ({"sample_weight": {"kl": np.ones(8)}}, "sample_weight is a dict"),
        ({"class_weight": {0: 1.0}}, "class_weight needs the class of each image"),
        (
            {"x": tf.data.Dataset.from_tensor_slices(X).batch(4), "class_weight": {0: 1.0}},
            "class_weight needs the class of each image",
        ),
        (
            {"x": tf.data.Dataset.from_tensor_slices((X, X, np.ones((8, 2)))).batch(4)},
            r"sample_weight has shape \(\w+, 2\)",
        ),
    ],
)
def test_weights_that_are_not_one_number_per_image_are_refused(build, gather, options, message):
    model = build()
    start = gather(model)
    with pytest.raises(UsageError, match=message):
        model.fit(**{"x": X, "verbose": 0} | options)
    assert equal(gather(model), start)


ON_BACKEND = """
import keras
import numpy as np
from keras_vae.checkpoint import gather
from keras_vae.model import build
from shared.config import recipe
from shared.machine.checks import UsageError

x = np.random.RandomState(0).rand(8, 9).astype("float32")
model = build(recipe("post-keras", hidden_dims=(4,)), 9)
model.compile("adam")
start = gather(model)

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return ((x * 255).astype("uint8"),)

model.fit(x, sample_weight=np.zeros(8), verbose=0)
for call in (model.fit, model.evaluate, model.predict):
    for images in (Batches(), x * 255):
        try:
            call(images, verbose=0)
        except UsageError as error:
            assert "in [0, 1]" in str(error) or "outside [0, 1]" in str(error)
        else:
            raise AssertionError(call)
assert all((gather(model)[name] == value).all() for name, value in start.items())
loss, doubled = (model.evaluate(x, sample_weight=np.full(8, w), verbose=0)[0] for w in (1, 2))
# The noise of the second evaluation follows that of the first.
assert doubled > 1.5 * loss
assert model.fit((x * 255).astype("uint8"), verbose=0).history["loss"][0] > 0
"""


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_entrance_on_other_backends(backend):
    """JAX takes the values out of a model's variables while it trains: they are put back."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", ON_BACKEND], check=True, env=environment)


def test_the_lines_of_the_documentation(implementations, data_path):
    text = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    code = text.split("<!-- keras fit -->\n```python\n")[1].split("```")[0]
    scope = {}
    exec(code.replace('"auto"', repr(str(data_path))).replace("epochs=3", "verbose=0"), scope)
    assert scope["model"].history.history["val_loss"][0] > 0
