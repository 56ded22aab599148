"""Estimators of gradients, on functions and models with a known gradient."""

import numpy as np
import oracle
import pytest
from small_models import network

from shared.measure import gradients
from shared.measure.gradients import (
    bernoulli_log_joint,
    gradient_estimators,
    importance_gradients,
    signal_to_noise,
)
from shared.measure.linear_gaussian import LinearGaussian


def test_both_gradient_estimators_have_the_known_mean_of_a_quadratic():
    # f = Σ a z² + b z: E_q[f] = Σ a (μ² + σ²) + b μ, so d/dμ = 2 a μ + b and d/d log σ² = a σ².
    a, b = np.array([1.0, -2.0, 0.5]), np.array([3.0, 0.0, -1.0])
    mean, log_var = np.array([0.5, 1.0, -2.0]), np.array([-2.0, 0.0, 1.0])
    result = gradient_estimators(
        lambda z: (a * z**2 + b * z).sum(axis=1),
        lambda z: 2 * a * z + b,
        mean,
        log_var,
        samples=200_000,
    )
    exact = {"z_mean": 2 * a * mean + b, "z_log_var": a * np.exp(log_var)}
    for name, estimates in result.items():
        for kind in ("reparameterized", "score"):
            away = np.abs(estimates[kind] - exact[name])
            assert (away < 5 * estimates[f"{kind}_error"]).all(), (name, kind)
        joint = np.hypot(estimates["reparameterized_error"], estimates["score_error"])
        assert (np.abs(estimates["reparameterized"] - estimates["score"]) < 5 * joint).all()
        assert (estimates["variance_ratio"] > 1).all()
    # The variance of the reparameterized estimate has a closed form, var(2 a z + b) = 4 a² σ²; 2 %
    # is six standard errors of a variance from 200,000 normal draws.
    variance = result["z_mean"]["reparameterized_error"] ** 2 * 200_000
    np.testing.assert_allclose(variance, 4 * a**2 * np.exp(log_var), rtol=0.02)


def test_a_baseline_lowers_the_variance_and_leaves_the_mean():
    def estimate(baseline):
        return gradient_estimators(
            lambda z: -90 - (z**2).sum(axis=1),
            lambda z: -2 * z,
            np.ones(2),
            np.zeros(2),
            samples=50_000,
            baseline=baseline,
        )["z_mean"]

    without, with_baseline = estimate(0.0), estimate(-94.0)
    assert (with_baseline["score_error"] < 0.2 * without["score_error"]).all()
    for estimates in (without, with_baseline):  # d/dμ of E[-z²] is -2 μ
        assert (np.abs(estimates["score"] + 2) < 5 * estimates["score_error"]).all()


# ---- the importance bound of a linear-Gaussian model with one latent

MODEL = LinearGaussian(np.array([0.4, -1.0, 0.8]), np.array([[0.9, -0.5, 0.2]]), 0.5, np.zeros(1))
MEAN, LOG_VAR = np.array([0.1]), np.array([-0.2])  # a q that is not the posterior


def exact_bound(mean, log_var, k):
    """E[log-mean-exp of k weights], k = 1 or 2, by Gauss-Hermite quadrature over epsilon."""
    nodes, shares = np.polynomial.hermite_e.hermegauss(60)
    shares = shares / shares.sum()
    z = mean + np.exp(log_var / 2) * nodes[:, None]
    log_q = -0.5 * (nodes**2 + log_var + np.log(2 * np.pi))
    log_w = MODEL.log_joint(z)[0] - log_q
    if k == 1:
        return shares @ log_w
    pairs = np.logaddexp(log_w[:, None], log_w) - np.log(2)
    return shares @ pairs @ shares


def exact_gradient(k, step=1e-4):
    """By z_mean and by z_log_var; a central difference has an error of 1e-8."""
    return np.array(
        [
            exact_bound(MEAN + step, LOG_VAR, k) - exact_bound(MEAN - step, LOG_VAR, k),
            exact_bound(MEAN, LOG_VAR + step, k) - exact_bound(MEAN, LOG_VAR - step, k),
        ]
    ).ravel() / (2 * step)


@pytest.mark.parametrize("k", [1, 2])
def test_the_estimators_have_the_gradient_of_the_bound_as_mean(k):
    estimates = importance_gradients(MODEL.log_joint, MEAN, LOG_VAR, k, 100_000)
    exact, away = exact_gradient(k), {}
    for name, values in estimates.items():
        error = values[:, :, 0].std(axis=0) / np.sqrt(len(values))
        away[name] = np.abs(values[:, :, 0].mean(axis=0) - exact) / error
    assert (away["total"] < 5).all() and (away["double"] < 5).all()
    # Without the score the estimator is unbiased for one sample only (Tucker et al., 2018).
    assert (away["path"] < 5).all() if k == 1 else (away["path"] > 20).any()


def test_the_path_and_the_double_estimator_are_one_for_one_sample():
    estimates = importance_gradients(MODEL.log_joint, MEAN, LOG_VAR, 1, 50)
    np.testing.assert_array_equal(estimates["path"], estimates["double"])
    assert (estimates["path"] != estimates["total"]).any()


def test_at_the_exact_posterior_every_estimate_without_the_score_is_zero():
    mean, covariance = MODEL.posterior()
    for k in (1, 5):
        estimates = importance_gradients(MODEL.log_joint, mean, np.log(np.diag(covariance)), k, 100)
        for name in ("path", "double"):
            assert np.abs(estimates[name]).max() < 1e-12  # rounding in float64
        assert estimates["total"].std(axis=0).min() > 0.05


def test_the_gradient_by_the_model_is_that_of_the_evidence_for_many_samples():
    """d log p(x) / d prior_mean is E[z - prior_mean] under the exact posterior."""
    estimates = importance_gradients(
        MODEL.log_joint, MEAN, LOG_VAR, 500, 400, model_slope=lambda z: z - MODEL.prior_mean
    )["model"]
    assert estimates.shape == (400, 1)
    error = estimates.std() / 20
    assert abs(estimates.mean() - MODEL.posterior()[0][0]) < 5 * error + 1e-3  # bias of order 1/K


def test_the_estimates_do_not_depend_on_how_many_are_in_memory(monkeypatch):
    one = importance_gradients(MODEL.log_joint, MEAN, LOG_VAR, 3, 20)
    monkeypatch.setattr(gradients, "SAMPLES", 7)
    other = importance_gradients(MODEL.log_joint, MEAN, LOG_VAR, 3, 20)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12)  # other sizes, other sums


def test_the_signal_to_noise_ratio_of_known_numbers():
    estimates = np.array([[1.0, -4.0], [3.0, 0.0]])  # means 2 and -2, deviations √2 and √8
    np.testing.assert_allclose(signal_to_noise(estimates), [2**0.5, 0.5**0.5])
    np.testing.assert_allclose(signal_to_noise(estimates, np.array([0.0, 8.0])), [0, 8**0.5])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_joint_of_a_network_and_its_slope(activation):
    weights, x, _, _ = network(1)
    log_joint = bernoulli_log_joint(weights, activation, x[0])
    z = np.random.RandomState(0).normal(size=(2, 3, 2))
    value, slope = log_joint(z)
    logits = oracle.decode(weights, z.reshape(-1, 2), activation)
    given_z = oracle.bernoulli_log_likelihood(x[[0]], logits).reshape(2, 3)
    prior = oracle.log_normal(z, 0.0, np.zeros(2))
    np.testing.assert_allclose(value, given_z + prior, rtol=1e-12)
    for j, step in enumerate(1e-6 * np.eye(2)):
        difference = (log_joint(z + step)[0] - log_joint(z - step)[0]) / 2e-6
        np.testing.assert_allclose(slope[..., j], difference, atol=1e-6)  # rounding 1e-14 / 1e-6
