"""Training: the first loss, the history, and the ends of epochs."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.config import recipe
from shared.data import load_data
from shared.objective import Terms
from shared.run.folder import COLUMNS, read_history, read_step_losses
from shared.training.trackers import StepLosses, track_terms

CONFIG = recipe(
    "post-keras",
    epochs=4,
    hidden_dims=(16,),
    batch_size=64,
    picture_epochs=(2,),
    step_losses=True,
    beta=4.0,
)


@pytest.fixture(scope="module")
def trained(implementations, data, tmp_path_factory):
    """{implementation: (model, run)} of CONFIG, each in its own folder."""
    folder = tmp_path_factory.mktemp("trained")
    return {
        name: implementation.train(CONFIG, data, folder / name, verbose=0)
        for name, implementation in implementations.items()
    }


def test_with_zero_output_weights_the_first_likelihood_is_784_ln_2(implementation):
    from shared.elbo import negative_elbo

    data = load_data("mnist-5k")
    config = recipe("post-keras", hidden_dims=(32,), beta=3.0)
    model = implementation.build(config, data.input_dim)
    weights = implementation.gather(model)
    weights["decoder/logits/kernel"] = np.zeros_like(weights["decoder/logits/kernel"])
    implementation.assign(model, weights)
    log_likelihood, kl = implementation.elbo_terms(model, data.x_test, config)
    # Every pixel, grey or not, then costs ln 2; 1e-6 relative is float32.
    np.testing.assert_allclose(-log_likelihood, 784 * np.log(2), rtol=1e-6)
    assert (784 * np.log(2)).round(2) == 543.43
    assert kl.min() > 0
    loss = float(negative_elbo(log_likelihood, kl, config.beta))
    assert loss == pytest.approx(784 * np.log(2) + 3 * kl.mean(), rel=1e-6)


def test_a_history_agrees_with_its_objective(implementation, data, trained):
    model, run = trained[implementation.name]
    assert [tuple(row) for row in run.history] == [COLUMNS] * 4
    for row in run.history:
        for prefix in ("", "val_"):  # the same objective in training and validation
            loss = 4 * row[f"{prefix}kl"] - row[f"{prefix}log_likelihood"]
            assert row[f"{prefix}loss"] == pytest.approx(loss, abs=1e-4)  # float32 means
    # Validation uses the test set with the noise of sample 0, as `evaluate` does.
    measured = implementation.evaluate(model, data.x_test, CONFIG)
    for name in ("log_likelihood", "kl"):
        assert run.history[-1][f"val_{name}"] == pytest.approx(measured[name], rel=1e-5)
    # `evaluate` always measures the bound, at beta = 1.
    assert measured["loss"] == pytest.approx(measured["kl"] - measured["log_likelihood"])
    assert run.history[-1]["loss"] < run.history[0]["loss"]


def test_every_step_is_counted_where_the_batch_does_not_divide_the_data(implementation, trained):
    # 300 images in batches of 64: 4 whole ones and one of 44.
    _, run = trained[implementation.name]
    assert [row["step"] for row in run.history] == [5, 10, 15, 20]
    assert sorted(path.name for path in run.directory.glob("weights*")) == [
        "weights.npz",
        "weights_epoch_002.npz",
        "weights_epoch_004.npz",
    ]
    assert read_history(run.directory) == [
        {key: pytest.approx(value, rel=1e-8, abs=1e-3) for key, value in row.items()}
        for row in run.history
    ]
    losses = read_step_losses(run.directory)
    assert losses == run.step_losses and len(losses) == 20
    for epoch, row in enumerate(run.history):
        # The epoch's loss weights all images equally, those of the small last batch too.
        mean = np.average(losses[5 * epoch : 5 * epoch + 5], weights=[64] * 4 + [44])
        assert row["loss"] == pytest.approx(mean, rel=1e-6)
    with np.load(run.directory / "checkpoints" / "last.npz") as checkpoint:
        assert checkpoint["step"] == 20


@pytest.mark.either
def test_more_steps_than_one_call_can_record(implementation, data, trained, monkeypatch):
    """With room for three losses, an epoch of five steps takes several calls."""
    monkeypatch.setattr(StepLosses, "CAPACITY", 3)
    _, run = implementation.train(dataclasses.replace(CONFIG, epochs=1), data, verbose=0)
    _, longer = trained[implementation.name]
    assert run.step_losses == longer.step_losses[:5]


def test_the_log_keeps_the_digits_of_the_terms():
    """The mean over images is not merged with the sum over pixels into one float32 sum.

    The exact means are those of float64. Merged, the sum of three million numbers of one sign loses
    6e-3 nats; four roundings of a float32 of this size are 5e-4.
    """
    random = np.random.RandomState(0)
    logits = random.normal(-3, 3, (4000, 784)).astype(np.float32)
    trackers = {name: keras.metrics.Mean(name) for name in ("log_likelihood", "kl")}
    unknown = tf.TensorSpec((None, 784))

    @tf.function(jit_compile=True, input_signature=[unknown])
    def step(logits):
        terms = Terms(tf.reduce_sum(logits, axis=1), tf.reduce_sum(logits**2, axis=1))
        track_terms(trackers, terms)

    step(logits)
    exact = logits.astype(np.float64)
    for name, numbers in (("log_likelihood", exact), ("kl", exact**2)):
        mean = numbers.sum(axis=1).mean()
        assert abs(float(trackers[name].result()) - mean) < 4 * np.spacing(np.float32(abs(mean)))


@pytest.mark.either
def test_a_length_in_steps_ends_inside_an_epoch(implementation, data, trained):
    config = dataclasses.replace(CONFIG, epochs=None, steps=12)
    _, run = implementation.train(config, data, verbose=0)
    assert [(row["epoch"], row["step"]) for row in run.history] == [(1, 5), (2, 10), (3, 12)]
    _, longer = trained[implementation.name]
    assert longer.step_losses[:12] == run.step_losses


@pytest.mark.long
def test_one_seed_gives_one_run(implementation, data, trained, tmp_path):
    """A second run of two epochs ends with the weights that the first one saved after epoch 2."""
    implementation.train(dataclasses.replace(CONFIG, epochs=2), data, tmp_path, verbose=0)
    _, run = trained[implementation.name]
    saved = (run.directory / "weights_epoch_002.npz").read_bytes()
    assert saved == (tmp_path / "weights.npz").read_bytes()


def test_evaluation_samples_the_posterior(implementation, data, trained):
    """An ELBO is a mean over z ~ q(z|x): samples differ from each other and from z = z_mean."""
    import oracle

    config, (model, _) = CONFIG, trained[implementation.name]
    weights = implementation.gather(model)
    x = data.x_test
    terms = np.array([implementation.elbo_terms(model, x, config, sample) for sample in range(8)])
    assert (terms[0, 0] != terms[1, 0]).any()
    assert (terms[0, 1] == terms[1, 1]).all()  # the KL is in closed form: no noise in it
    # An independent Monte Carlo estimate in float64, with other noise.
    random = np.random.RandomState(5)
    draws = []
    for _ in range(40):
        out = oracle.forward(weights, x, random.normal(size=(len(x), 2)), config.activation)
        draws.append(out["log_likelihood"].mean())
    error = np.hypot(np.std(draws) / 40**0.5, terms[:, 0].mean(axis=1).std() / 8**0.5)
    assert abs(terms[:, 0].mean() - np.mean(draws)) < 5 * error
    at_mean = oracle.forward(weights, x, np.zeros((len(x), 2)), config.activation)
    assert abs(at_mean["log_likelihood"].mean() - np.mean(draws)) > 4 * error


def test_images_are_probabilities_and_not_logits(implementation, trained):
    model, _ = trained[implementation.name]
    probs = implementation.decode(model, np.float32([[0, 0], [30, -30], [-30, 30]]))
    assert probs.shape == (3, 36) and probs.min() >= 0 and probs.max() <= 1


def test_the_ten_lines_of_the_readme(data_path, tmp_path, monkeypatch):
    """Runs the README's example, with other data and another folder."""
    from pathlib import Path

    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = text.split("<!-- library -->\n```python\n")[1].split("```")[0]
    for name in ("keras_vae", "tf_vae"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        source = code.replace("keras_vae", name).replace('"auto"', repr(str(data_path)))
        scope = {}
        exec(source, scope)
        assert scope["images"].shape == (len(scope["z_mean"]), 36)
        assert set(scope["metrics"]) == {"loss", "log_likelihood", "kl"}
