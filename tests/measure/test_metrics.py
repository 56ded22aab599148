"""The contents of metrics.json: each number is compared with its definition."""

import dataclasses
import json
import math

import numpy as np
import pytest

from shared.config import recipe
from shared.data.pixels import is_binary
from shared.machine.checks import UsageError
from shared.measure import metrics
from shared.measure.evaluation import mean_terms
from shared.run.folder import store_metrics

SMALL = {"hidden_dims": (16,), "epochs": 4, "picture_epochs": (1,), "batch_size": 60}


@pytest.fixture(scope="module")
def trained(implementations, data, tmp_path_factory):
    """A run on binary pixels: folder, implementation, model, data."""
    implementation, folder = implementations["tf_vae"], tmp_path_factory.mktemp("metrics") / "run"
    config = recipe("post-keras", binarization="fixed", learning_rate=0.01, **SMALL)
    model, _ = implementation.train(config, data, folder, verbose=0)
    return folder, implementation, model, data


def test_loss_and_bits_are_the_same_number_in_two_units(trained):
    folder, implementation, model, data = trained
    written = metrics.write_metrics(folder, data, metrics.measure(*trained, samples=3))
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == written
    loss, bits = written["test_loss"], written["test_bits_per_pixel"]
    parts = written["test_kl"]["value"] - written["test_log_likelihood"]["value"]
    assert loss["value"] == pytest.approx(parts, rel=1e-12)
    scale = 36 * math.log(2)
    for name in ("value", "standard_error", "noise_error"):
        assert bits[name] * scale == pytest.approx(loss[name], rel=1e-12)
    assert (loss["x"], loss["n"], loss["samples"]) == ("binary", 500, 3)
    # Training images, which are many more, get one sample each.
    assert (written["train_loss"]["n"], written["train_loss"]["samples"]) == (data.n_train, 1)
    evaluated = implementation.evaluate(model, data.x_test, model.config, samples=3)
    assert evaluated["loss"] == pytest.approx(loss["value"], rel=1e-12)
    written = metrics.write_metrics(folder, data, metrics.measure(*trained, samples=1))
    assert written["test_loss"]["noise_error"] is None


def test_a_bernoulli_of_grey_pixels_has_no_bits_per_pixel():
    """It is not a likelihood of grey values, so it is not the length of a code for them."""
    bernoulli = recipe("post-keras")
    assert metrics._bits_unit(bernoulli, "grey") is None
    assert metrics._bits_unit(bernoulli, "binary") == "bits per pixel"
    delta = dataclasses.replace(bernoulli, posterior="delta")
    assert metrics._bits_unit(delta, "binary") is None
    for likelihood in ("gaussian", "continuous-bernoulli"):
        config = recipe("post-keras", likelihood=likelihood)
        assert "density" in metrics._bits_unit(config, "grey")


@pytest.fixture(scope="module")
def trained_grey(implementations, data, tmp_path_factory):
    """A run without binarization: folder, implementation, model, data."""
    implementation, folder = implementations["tf_vae"], tmp_path_factory.mktemp("grey") / "run"
    model, _ = implementation.train(recipe("post-keras", **SMALL), data, folder, verbose=0)
    return folder, implementation, model, data


@pytest.mark.long
@pytest.mark.parametrize("binary", ["train", "test"])
def test_each_metric_says_what_the_pixels_are_on_which_it_was_measured(
    binary, trained_grey, monkeypatch
):
    """Images that hold only 0 and 1 are binary, whatever the config draws."""
    *run, data = trained_grey
    looked_at = []
    monkeypatch.setattr("shared.data.is_binary", lambda x: looked_at.append(x) or is_binary(x))
    x = {"x_train": data.x_train, "x_test": data.x_test[:4], "y_test": data.y_test[:4]}
    data = dataclasses.replace(data, **{**x, f"x_{binary}": np.round(x[f"x_{binary}"])})
    measured = metrics.measure(*run, data) | metrics.measure_z(*run[:2], data)
    measured |= metrics.measure_bound(*run, data, 10) | metrics.measure_exact(*run, data, 1)
    written = metrics.write_metrics(run[0], data, measured)
    for name in measured:
        part = "train" if name.startswith("train") else "test"
        assert written[name]["x"] == ("binary" if part == binary else "grey"), name
    assert [name for name in measured if "bits" in name] == [f"{binary}_bits_per_pixel"]
    assert len(looked_at) == 2  # all training images, and all test images, once each


def test_the_use_of_z(trained):
    folder, implementation, _, data = trained
    measured = metrics.measure(*trained), metrics.measure_z(folder, implementation, data)
    written = metrics.write_metrics(folder, data, *measured)
    per_dimension = written["test_kl_per_dimension"]["value"]
    assert len(per_dimension) == 2
    assert sum(per_dimension) == pytest.approx(
        written["test_kl"]["value"], rel=1e-5
    )  # float32 sums
    assert 0 <= written["active_units"]["value"] <= 2
    assert written["dead_units_encoder_hidden_1"]["unit"].startswith("of 16 ")
    for epoch in (1, 4):
        assert 0 <= written[f"test_knn_accuracy_epoch_{epoch:03d}"]["value"] <= 1
    # Three kinds of bars are in different columns; a random guess is right for a third of them.
    assert written["test_knn_accuracy_epoch_004"]["value"] > 0.5
    assert -1 <= written["test_silhouette_epoch_004"]["value"] <= 1


def test_images_without_labels_have_no_clusters(trained):
    folder, implementation, _, data = trained
    for labels in (np.zeros(500), np.arange(500)):
        unlabelled = dataclasses.replace(data, y_test=labels, sha256="other", name=f"{labels[-1]}")
        measured = metrics.measure_z(folder, implementation, unlabelled)
        written = metrics.write_metrics(folder, unlabelled, measured)
        assert f"active_units_on_{labels[-1]}" in written
        assert f"test_knn_accuracy_epoch_004_on_{labels[-1]}" not in written


def test_bounds_and_the_exact_value_in_order(trained):
    *_, data = trained
    first = dataclasses.replace(data, x_test=data.x_test[:4], y_test=data.y_test[:4])
    run = (*trained[:3], first)
    measured = metrics.measure(*run, samples=50) | metrics.measure_bound(*run, 500)
    measured |= metrics.measure_exact(*run, 4)
    exact, elbo = (measured[f"test_exact_{name}"]["value"] for name in ("log_px", "elbo"))
    assert elbo < exact
    assert exact - elbo == pytest.approx(measured["test_exact_kl_to_posterior"]["value"], abs=1e-3)
    assert measured["test_exact_residual"]["value"] < 1e-3
    assert (
        0.5 < measured["test_exact_mass"]["value"] <= measured["test_exact_mass"]["largest"] < 1.001
    )
    # Sampling errors: that of the mean ELBO is measured; that of the bound is below 0.1 nats.
    error = measured["test_loss"]["noise_error"]
    assert -measured["test_loss"]["value"] == pytest.approx(elbo, abs=5 * error)
    assert measured["test_importance_bound"]["value"] == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize(
    ("check", "changes", "number", "message"),
    [
        (metrics.check_bound, {}, 0, "--importance-samples is 0; expected an integer >= 1"),
        (metrics.check_bound, {"posterior": "delta"}, 5, "has no importance weights"),
        (metrics.check_exact, {}, 0, "--exact-images is 0; expected an integer >= 1"),
        (metrics.check_exact, {"latent_dim": 3}, 5, "latent_dim 3; quadrature needs 2"),
        (metrics.check_exact, {"likelihood": "gaussian"}, 5, "quadrature needs bernoulli"),
    ],
)
def test_what_cannot_be_measured_is_refused(check, changes, number, message):
    with pytest.raises(UsageError, match=message):
        check(recipe("post-keras", **changes), number)


def test_fixed_pixels_are_measured_as_they_were_trained(implementations, data, tmp_path):
    """Fixed pixels are drawn once, so without training and noise their mean does not change."""
    # A learning rate of 1e-12 changes no digit of float32 sums, and a delta posterior has no noise.
    changes = {**SMALL, "epochs": 1, "learning_rate": 1e-12, "posterior": "delta"}
    config = recipe("post-keras", binarization="fixed", **changes)
    model, run = implementations["tf_vae"].train(config, data, tmp_path, verbose=0)
    measured = metrics.measure(tmp_path, implementations["tf_vae"], model, data)
    logged = run.history[0]["log_likelihood"]
    # 1e-5: float32 sums over 36 pixels and 300 images; other pixels change it by 1e-3 or more.
    assert measured["train_log_likelihood"]["value"] == pytest.approx(logged, rel=1e-5)


def test_metrics_of_an_earlier_length_are_left_out(trained):
    folder, *_, data = trained
    stale = {"value": 1.0, "unit": "nats", "step": 3}
    store_metrics(folder, {"test_loss": stale, "test_importance_bound": stale})
    written = metrics.write_metrics(folder, data, metrics.measure(*trained))
    # 300 images in batches of 60 for 4 epochs.
    assert {metric["step"] for metric in written.values()} == {20}
    assert "test_importance_bound" not in written


def test_a_rare_label_leaves_out_what_is_undefined_and_nothing_else(trained):
    """One of 500 labels is different: a sample may not have it, and then has no silhouette."""
    folder, implementation, _, data = trained
    rare = dataclasses.replace(data, y_test=(np.arange(500) == 499).astype(int), name="rare")
    measured = metrics.measure_z(folder, implementation, rare)
    assert {"active_units", "test_kl_per_dimension", "test_knn_accuracy_epoch_004"} <= set(measured)
    assert all(not math.isnan(metric["value"]) for metric in measured.values() if metric["n"] == 1)
    written = metrics.write_metrics(folder, dataclasses.replace(rare, sha256="other"), measured)
    assert "active_units_on_rare" in written


def test_mean_terms_are_those_of_a_float64_sum():
    terms = (
        np.random.RandomState(0)
        .normal([[[-100.0], [9.0]]], 3.0, (2, 2, 100_000))
        .astype(np.float32)
    )
    # The mean over images and samples, summed by Python without any rounding.
    log_likelihood, kl = (math.fsum(terms[:, i].ravel().tolist()) / 200_000 for i in (0, 1))
    means = mean_terms(terms)
    assert list(means) == ["loss", "log_likelihood", "kl"]
    assert all(type(value) is float for value in means.values())
    # 1e-13: float64 sums; float32 sums of so many numbers err by 1e-6.
    np.testing.assert_allclose(means["log_likelihood"], log_likelihood, rtol=1e-13)
    np.testing.assert_allclose(means["kl"], kl, rtol=1e-13)
    assert means["loss"] == means["kl"] - means["log_likelihood"]
