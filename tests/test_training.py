"""Training: what the first loss must be, what a history says, where an epoch ends."""

import dataclasses

import numpy as np
import pytest

from shared.config import recipe
from shared.data import load_data
from shared.run.folder import COLUMNS, read_history, read_step_losses

CONFIG = recipe("post-keras", epochs=4, hidden_dims=(16,), batch_size=64, picture_epochs=(2,))


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


def test_a_history_is_that_of_its_objective(implementation, data, tmp_path):
    for beta in (1.0, 4.0):
        config = dataclasses.replace(CONFIG, beta=beta)
        model, run = implementation.train(config, data, tmp_path / str(beta), verbose=0)
        assert [tuple(row) for row in run.history] == [COLUMNS] * 4
        for row in run.history:
            for prefix in ("", "val_"):  # one objective in training and in validation
                loss = beta * row[f"{prefix}kl"] - row[f"{prefix}log_likelihood"]
                assert row[f"{prefix}loss"] == pytest.approx(loss, abs=1e-4)  # float32 means
        # Validation is the test set at the noise of sample 0: what `evaluate` measures again.
        measured = implementation.evaluate(model, data.x_test, config)
        for name in ("log_likelihood", "kl"):
            assert run.history[-1][f"val_{name}"] == pytest.approx(measured[name], rel=1e-5)
        assert measured["loss"] == pytest.approx(measured["kl"] - measured["log_likelihood"])
        assert run.history[-1]["loss"] < run.history[0]["loss"]


def test_every_step_is_counted_where_the_batch_does_not_divide_the_data(
    implementation, data, tmp_path
):
    # 330 images in batches of 64: 5 whole ones and one of 10.
    config = dataclasses.replace(CONFIG, step_losses=True)
    _, run = implementation.train(config, data, tmp_path / "run", verbose=0)
    assert [row["step"] for row in run.history] == [6, 12, 18, 24]
    assert sorted(path.name for path in (tmp_path / "run").glob("weights*")) == [
        "weights.npz",
        "weights_epoch_002.npz",
        "weights_epoch_004.npz",
    ]
    assert read_history(tmp_path / "run") == [
        {key: pytest.approx(value, rel=1e-8, abs=1e-3) for key, value in row.items()}
        for row in run.history
    ]
    losses = read_step_losses(tmp_path / "run")
    assert losses == run.step_losses and len(losses) == 24
    for epoch, row in enumerate(run.history):
        # The epoch's loss weighs every image alike: the last batch counts for its ten.
        mean = np.average(losses[6 * epoch : 6 * epoch + 6], weights=[64] * 5 + [10])
        assert row["loss"] == pytest.approx(mean, rel=1e-6)
    with np.load(tmp_path / "run" / "checkpoints" / "last.npz") as checkpoint:
        assert checkpoint["step"] == 24
    # The weights kept at epoch 2 are those of a run that ends there.
    short = dataclasses.replace(config, epochs=2)
    implementation.train(short, data, tmp_path / "short", verbose=0)
    kept = (tmp_path / "run" / "weights_epoch_002.npz").read_bytes()
    assert kept == (tmp_path / "short" / "weights.npz").read_bytes()


def test_a_length_in_steps_ends_inside_an_epoch(implementation, data, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=None, steps=15, step_losses=True)
    _, run = implementation.train(config, data, tmp_path / "run", verbose=0)
    assert [(row["epoch"], row["step"]) for row in run.history] == [(1, 6), (2, 12), (3, 15)]
    longer = dataclasses.replace(config, steps=18)
    _, other = implementation.train(longer, data, verbose=0)
    assert other.step_losses[:15] == run.step_losses


def test_one_seed_gives_one_run_and_two_give_two(implementation, data, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        config = dataclasses.replace(CONFIG, epochs=1, seed=seed)
        implementation.train(config, data, tmp_path / name, verbose=0)
    a, b, c = ((tmp_path / name / "weights.npz").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_evaluation_samples_the_posterior(implementation, data):
    """An ELBO is a mean over z ~ q(z|x): every sample draws noise, and z = z_mean is another."""
    import oracle

    config = dataclasses.replace(CONFIG, epochs=3)
    model, _ = implementation.train(config, data, verbose=0)
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


def test_images_are_probabilities_and_not_logits(implementation, data):
    model, _ = implementation.train(dataclasses.replace(CONFIG, epochs=2), data, verbose=0)
    probs = implementation.decode(model, np.float32([[0, 0], [30, -30], [-30, 30]]))
    assert probs.shape == (3, 36) and probs.min() >= 0 and probs.max() <= 1


def test_the_ten_lines_of_the_readme(data_path, tmp_path, monkeypatch):
    """The README's example, run as it stands but for its data and its folder."""
    from pathlib import Path

    text = (Path(__file__).parent.parent / "README.md").read_text()
    code = text.split("<!-- library -->\n```python\n")[1].split("```")[0]
    for name in ("keras_vae", "tf_vae"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        source = code.replace("keras_vae", name).replace('"auto"', repr(str(data_path)))
        scope = {}
        exec(source, scope)
        assert scope["images"].shape == (len(scope["z_mean"]), 36)
        assert set(scope["metrics"]) == {"loss", "log_likelihood", "kl"}
