"""The two estimators of the gradient of an expectation, on functions with a known gradient."""

import numpy as np

from shared.measure.gradients import gradient_estimators


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
