"""Estimates the gradient of an expectation, with and without reparameterization."""

import numpy as np

from shared.machine.checks import UsageError
from shared.seeds import seed_of

__all__ = ["gradient_estimators"]


def gradient_estimators(value, gradient, z_mean, z_log_var, samples, seed=0, baseline=0.0):
    """Estimates the gradient of E_q[f(z)] by reparameterization and by the score function.

    Args:
        value: function from z (samples, latent_dim) to f, (samples,).
        gradient: function from z to df/dz, (samples, latent_dim).
        z_mean, z_log_var: (latent_dim,), the Gaussian q.
        samples: number of draws of z, which both estimators use.
        seed: seed of the draws.
        baseline: a constant that is subtracted from f in the score-function estimator; its mean
            does not depend on it.
    Returns:
        {"z_mean": estimates, "z_log_var": estimates}, each a dict of (latent_dim,) arrays:
        "reparameterized" and "score", the two estimates; "reparameterized_error" and "score_error",
        their standard errors; "variance_ratio", the variance of "score" divided by that of
        "reparameterized".
    Raises:
        UsageError: there are fewer than two samples.
    Source: Kingma & Welling, arXiv:1312.6114, section 2.4; Williams 1992.
    """
    if samples < 2:
        raise UsageError(f"samples is {samples}; expected 2 or more, to measure a variance")
    mean, log_var = np.asarray(z_mean, np.float64), np.asarray(z_log_var, np.float64)
    random = np.random.RandomState(seed_of(seed, "gradient"))
    epsilon, sigma = random.normal(size=(samples, len(mean))), np.exp(log_var / 2)
    z = mean + sigma * epsilon
    slope, f = gradient(z), (value(z) - baseline)[:, None]
    # Reparameterized: dz/dmean = 1 and dz/dlog_var = sigma · epsilon / 2. Score: d log q / dmean =
    # epsilon / sigma and d log q / dlog_var = (epsilon² - 1) / 2.
    pairs = {
        "z_mean": (slope, f * epsilon / sigma),
        "z_log_var": (slope * sigma * epsilon / 2, f * (epsilon**2 - 1) / 2),
    }
    result = {}
    for name, (path, score) in pairs.items():
        variances = path.var(axis=0, ddof=1), score.var(axis=0, ddof=1)
        with np.errstate(divide="ignore"):  # infinite for a linear f, which has a constant gradient
            ratio = variances[1] / variances[0]
        result[name] = {
            "reparameterized": path.mean(axis=0),
            "reparameterized_error": np.sqrt(variances[0] / samples),
            "score": score.mean(axis=0),
            "score_error": np.sqrt(variances[1] / samples),
            "variance_ratio": ratio,
        }
    return result
