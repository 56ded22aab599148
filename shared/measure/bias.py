"""Measures how far the importance bound is below a known log p(x), in NumPy float64."""

import numpy as np

from shared.machine.checks import UsageError

__all__ = ["bound_bias", "leading_bias", "log_log_slope"]


def bound_bias(log_weights, log_px, k, order=0):
    """Measures the bias of the importance bound at K samples, as an estimate of log p(x).

    With r = w / p(x), the mean of K ratios has expectation 1, so mean(r) - 1 is subtracted from
    each estimate: this leaves the expectation and removes most of the noise. It needs log p(x).

    Args:
        log_weights: (n,) nats, independent log importance weights of one image.
        log_px: log p(x) of that image, in nats.
        k: number of samples in a bound; n // k bounds are formed.
        order: 0 for the importance bound; 1 for its jackknife, K times the bound minus K - 1 times
            the mean of the bounds without one sample, in which the term in 1/K cancels.
    Returns:
        (bias, standard error) in nats; the bias of the bound is negative.
    Raises:
        UsageError: there are fewer than 2 k weights, or k is too small for the order.
    Source: Nowozin, Debiasing Evidence Approximations, ICLR 2018.
    """
    count = len(log_weights) // k if k > order else 0
    if count < 2:
        raise UsageError(f"{len(log_weights)} weights, k = {k}; expected k > {order}, 2 k weights")
    ratios = np.exp(np.asarray(log_weights[: count * k], np.float64) - log_px).reshape(count, k)
    mean = ratios.mean(axis=1)
    estimates = np.log(mean)
    if order == 1:
        # The mean of the others is positive; rounding at one dominant ratio must not make it 0.
        others = (k * mean[:, None] - ratios) / (k - 1)
        dominant = others < 1e-8 * mean[:, None]
        for row, column in np.argwhere(dominant):
            others[row, column] = np.delete(ratios[row], column).mean()
        estimates = k * estimates - (k - 1) * np.log(others).mean(axis=1)
    estimates = estimates - (mean - 1)
    return float(estimates.mean()), float(estimates.std(ddof=1) / np.sqrt(count))


def leading_bias(log_weights, log_px):
    """Computes the coefficient of 1/K in the bias of the importance bound, -Var(w) / (2 p(x)²).

    Args:
        log_weights: (n,) nats, independent log importance weights of one image.
        log_px: log p(x) of that image, in nats.
    Returns:
        float, nats, <= 0. It is finite for any sample, also where the variance is infinite.
    Source: Nowozin, Debiasing Evidence Approximations, ICLR 2018.
    """
    return -0.5 * float(((np.exp(np.asarray(log_weights, np.float64) - log_px) - 1) ** 2).mean())


def log_log_slope(x, y):
    """Returns the slope of the straight line through log |y| over log x, by least squares.

    Args:
        x, y: (n,) each, not 0.
    """
    return float(np.polyfit(np.log(x), np.log(np.abs(y)), 1)[0])
