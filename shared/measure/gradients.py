"""Two estimators of the gradient of an expectation: the reparameterization trick, measured."""

import numpy as np

from shared.config import UsageError
from shared.seeds import seed_of

__all__ = ["gradient_estimators"]


def gradient_estimators(value, gradient, z_mean, z_log_var, samples, seed=0, baseline=0.0):
    """The gradient of E_q[f(z)] by z = mean + sigma · epsilon, and by the score function.

    Args:
        value: function from z (samples, latent_dim) to f, (samples,).
        gradient: function from z to df/dz, (samples, latent_dim).
        z_mean, z_log_var: (latent_dim,), the Gaussian q.
        samples: draws of z, the same for both estimators.
        seed: of the draws.
        baseline: a constant taken from f in the score function, whose mean it leaves as it is.
    Returns:
        {"z_mean", "z_log_var": {"reparameterized", "score", each with its "…_error" (standard
        error), and "variance_ratio", score over reparameterized}}: (latent_dim,) arrays.
    Raises:
        UsageError: fewer than two samples.
    Source: Kingma & Welling, arXiv:1312.6114, section 2.4; Williams 1992.
    """
    if samples < 2:
        raise UsageError(f"samples is {samples}; expected 2 or more, to measure a variance")
    mean, log_var = np.asarray(z_mean, np.float64), np.asarray(z_log_var, np.float64)
    random = np.random.RandomState(seed_of(seed, "gradient"))
    epsilon, sigma = random.normal(size=(samples, len(mean))), np.exp(log_var / 2)
    z = mean + sigma * epsilon
    slope, f = gradient(z), (value(z) - baseline)[:, None]
    # By z: dz/dmean = 1 and dz/dlog_var = sigma · epsilon / 2. By q: d log q / d the same.
    pairs = {
        "z_mean": (slope, f * epsilon / sigma),
        "z_log_var": (slope * sigma * epsilon / 2, f * (epsilon**2 - 1) / 2),
    }
    result = {}
    for name, (path, score) in pairs.items():
        variances = path.var(axis=0, ddof=1), score.var(axis=0, ddof=1)
        with np.errstate(divide="ignore"):  # a linear f has one gradient everywhere: infinite
            ratio = variances[1] / variances[0]
        result[name] = {
            "reparameterized": path.mean(axis=0),
            "reparameterized_error": np.sqrt(variances[0] / samples),
            "score": score.mean(axis=0),
            "score_error": np.sqrt(variances[1] / samples),
            "variance_ratio": ratio,
        }
    return result
