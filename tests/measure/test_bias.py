"""The bias of the importance bound, for weights whose moments are known."""

import numpy as np
import pytest

from shared.machine.checks import UsageError
from shared.measure.bias import bound_bias, leading_bias, log_log_slope

LOG_PX = -3.0


def log_weights(spread, n, seed=0):
    """Log-normal weights with expectation p(x): log w ~ N(log p(x) - spread²/2, spread²)."""
    return LOG_PX + np.random.RandomState(seed).normal(-(spread**2) / 2, spread, n)


def test_the_bias_of_one_sample_is_that_of_the_elbo():
    bias, error = bound_bias(log_weights(0.8, 200_000), LOG_PX, 1)
    assert abs(bias + 0.8**2 / 2) < 5 * error and error < 0.005  # E[log w] is known


def test_the_exact_evidence_removes_most_of_the_noise():
    """The noise of a bound is sqrt(Var / K); with the subtraction it is of order 1/K."""
    logs = log_weights(0.5, 400_000)
    _, error = bound_bias(logs, LOG_PX, 100)
    bounds = np.log(np.exp(logs - LOG_PX).reshape(-1, 100).mean(axis=1))
    assert error < 0.1 * bounds.std(ddof=1) / np.sqrt(len(bounds))


def test_the_bias_approaches_its_leading_term():
    logs, exact = log_weights(0.6, 2_000_000), -np.expm1(0.6**2) / 2
    # 1 %: six standard errors of the variance of two million such weights.
    np.testing.assert_allclose(leading_bias(logs, LOG_PX), exact, rtol=0.01)
    ks = np.array([4, 16, 64, 256])
    biases, errors = np.transpose([bound_bias(logs, LOG_PX, k) for k in ks])
    assert (biases < 0).all()
    away = np.abs(ks * biases - exact)
    assert away[0] > 10 * ks[0] * errors[0]  # higher orders are visible at K = 4
    assert away[-1] < 5 * ks[-1] * errors[-1] + 0.01 * abs(exact)  # the next order is 1/K of it
    assert abs(log_log_slope(ks[1:], biases[1:]) + 1) < 0.05


def test_the_jackknife_cancels_the_term_in_1_over_k():
    logs, ks = log_weights(0.6, 2_000_000), np.array([4, 8, 16])
    plain = np.array([bound_bias(logs, LOG_PX, k)[0] for k in ks])
    jackknifed = np.array([bound_bias(logs, LOG_PX, k, order=1)[0] for k in ks])
    assert (np.abs(jackknifed) < 0.3 * np.abs(plain)).all()
    assert abs(log_log_slope(ks, jackknifed) + 2) < 0.25  # of order 1/K², seen at small K


def test_the_jackknife_is_k_bounds_minus_the_bounds_without_one_sample():
    """Also where one weight is 1e20 times the others, and a difference of sums would be 0."""
    for logs in (
        np.array([0.1, -0.4, 0.7, 0.0, 0.3, -1.0]),
        np.array([46.0, 0, 0, 0.5, 46.0, 1.0]),
    ):
        estimates = []
        for group in logs.reshape(2, 3):
            w = np.exp(group)
            others = np.mean([np.log(np.delete(w, i).mean()) for i in range(3)])
            estimates.append(3 * np.log(w.mean()) - 2 * others - (w.mean() - 1))
        bias, error = bound_bias(logs, 0.0, 3, order=1)
        np.testing.assert_allclose(bias, np.mean(estimates), rtol=1e-12)
        np.testing.assert_allclose(error, np.std(estimates, ddof=1) / 2**0.5, rtol=1e-6)


@pytest.mark.parametrize(("n", "k", "order"), [(3, 2, 0), (10, 1, 1), (10, 0, 0)])
def test_too_few_weights_are_refused(n, k, order):
    with pytest.raises(UsageError, match=f"{n} weights, k = {k}"):
        bound_bias(np.zeros(n), 0.0, k, order=order)


def test_the_slope_of_a_power_is_its_exponent():
    x = np.array([1, 10, 100])
    assert abs(log_log_slope(x, -3.0 * x**-1.5) + 1.5) < 1e-12
