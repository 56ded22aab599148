"""Checks project 2, the importance bound, on weights whose mean is known."""

import numpy as np
from checking import expect
from scipy import special


def weights(n, spread, seed):
    """Returns n log weights of one image with log p(x) = 0: w = exp(s ε - s²/2) has the mean 1."""
    return spread * np.random.RandomState(seed).normal(size=(n, 1)) - spread**2 / 2


def one_bound(work):
    """Requires the bound of several images, also where the weights are 0 in float64."""
    log_weights = np.random.RandomState(0).normal([-2.0, -1000.0, 900.0], 3.0, (5, 3))
    right = special.logsumexp(log_weights, axis=0) - np.log(5)
    found = np.asarray(work.bound(log_weights.copy()))
    expect(np.shape(found) == (3,), f"bound has shape {np.shape(found)}; expected (3,)")
    expect(np.isfinite(found).all(), f"bound is {found}; take the largest logarithm out first")
    away = np.abs(found - right).max()
    expect(away < 1e-9, f"bound is {away:.3g} nats away; is the mean over K, before the logarithm?")


def groups(work):
    """Requires groups that do not overlap, and K = 1 as the mean of the logarithms."""
    log_weights = np.random.RandomState(1).normal(size=(14, 2))
    found = np.asarray(work.bound_of_k(log_weights, 1))
    expect(np.allclose(found, log_weights.mean(axis=0)), "with k = 1 it must be the ELBO")
    parts = [special.logsumexp(log_weights[i : i + 4], axis=0) - np.log(4) for i in (0, 4, 8)]
    found = np.asarray(work.bound_of_k(log_weights, 4))
    text = "14 samples are three groups of four; the last two are not used"
    expect(np.shape(found) == (2,) and np.allclose(found, np.mean(parts, axis=0)), text)


def rate(work):
    """Requires the gap of the delta method, and a measured slope near -1."""
    spread, n = 0.5, 400_000
    log_weights = weights(n, spread, seed=2)
    exact = np.expm1(spread**2)  # the variance of w, whose mean is 1
    for k in (1, 100):
        found = np.asarray(work.predicted_gap(log_weights, k))
        expect(np.shape(found) == (1,), f"predicted_gap has shape {np.shape(found)}; expected (1,)")
        # The standard error of this variance is below 1 %.
        text = f"predicted_gap for k = {k} is {found[0]:.5f}; expected {exact / 2 / k:.5f}"
        expect(
            abs(found[0] / (exact / 2 / k) - 1) < 0.03, f"{text}: of the weights, not their logs"
        )
    shifted = np.asarray(work.predicted_gap(log_weights - 1000, 100))
    expect(np.allclose(shifted, found), "weights of e^-1000 have the same relative variance")
    known = float(work.slope(np.array([1.0, 4.0, 16.0]), np.array([8.0, 2.0, 0.5])))
    expect(abs(known + 1) < 1e-9, f"the slope of 8, 2, 0.5 at 1, 4, 16 is {known:.3f}; expected -1")
    ks = np.array([4, 8, 16, 32])
    bounds = [float(np.asarray(work.bound_of_k(log_weights, k))[0]) for k in ks]
    # From the bound of all samples, as its error is that of all groups, and cancels.
    gaps = float(np.asarray(work.bound(log_weights))[0]) - np.array(bounds)
    measured = float(work.slope(ks, gaps))
    expect(abs(measured + 1) < 0.1, f"the measured slope is {measured:.2f}; expected about -1")
    return (
        f"gap at K = 4, 8, 16, 32: {', '.join(f'{gap:.4f}' for gap in gaps)}; slope {measured:.2f}"
    )


REQUIREMENTS = (
    ("the bound of one set of samples", one_bound),
    ("the bound for any K, by groups", groups),
    ("the gap falls as 1/K, as predicted", rate),
)
