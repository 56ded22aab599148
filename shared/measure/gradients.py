"""Estimates gradients of the ELBO and of the importance bound in several ways, in float64."""

import numpy as np
from scipy.special import expit, softmax

from shared.elbo import LOG_2PI
from shared.machine.checks import UsageError
from shared.measure.diagnostics import hidden64
from shared.seeds import seed_of

__all__ = [
    "bernoulli_log_joint",
    "gradient_estimators",
    "importance_gradients",
    "signal_to_noise",
]

SAMPLES = 2**17  # values of z in memory at a time


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


def importance_gradients(log_joint, z_mean, z_log_var, k, repetitions, seed=0, model_slope=None):
    """Estimates the gradient of the importance bound of one image by the parameters of q.

    With K = 1 the bound is the ELBO. All estimators use the same samples z = mean + sigma · epsilon
    and the normalized weights v = w / sum(w):
    "total", sum of v · d log w: the derivative of the bound, as a program of training computes it;
    "path", the same without the derivative of log q(z|x) by the parameters at fixed z, which has
    expectation 0 for K = 1; "double", the sum of v² · d log w along the path alone. "total" and
    "double" have the same expectation for every K.

    Args:
        log_joint: function from z (..., latent_dim) to (value, slope): log p(x, z) in nats, (...),
            and its derivative by z.
        z_mean, z_log_var: (latent_dim,), the Gaussian q.
        k: number of samples in a bound.
        repetitions: number of independent estimates.
        seed: seed of the draws.
        model_slope: function from z to the derivative of log p(x, z) by parameters of the model,
            (..., parameters).
    Returns:
        {"total", "path", "double"}: (repetitions, 2, latent_dim), by z_mean and by z_log_var; with
        model_slope also "model": (repetitions, parameters), the gradient by those parameters.
    Source: Roeder et al., arXiv:1703.09194; Tucker et al., arXiv:1810.04152.
    """
    mean, log_var = np.asarray(z_mean, np.float64), np.asarray(z_log_var, np.float64)
    random = np.random.RandomState(seed_of(seed, "importance-gradient"))
    sigma, parts = np.exp(log_var / 2), []
    rows = max(1, SAMPLES // k)
    for start in range(0, repetitions, rows):
        epsilon = random.normal(size=(min(rows, repetitions - start), k, len(mean)))
        z = mean + sigma * epsilon
        value, slope = log_joint(z)
        log_q = -0.5 * ((epsilon**2).sum(-1) + log_var.sum() + len(mean) * LOG_2PI)
        v = softmax(value - log_q, axis=1)
        # Along the path, log q(z) adds epsilon / sigma to the slope. Its derivative at fixed z is
        # the score: epsilon / sigma by the mean, (epsilon² - 1) / 2 by log_var.
        along = slope + epsilon / sigma
        path = np.stack([along, along * sigma * epsilon / 2], axis=2)
        score = np.stack([epsilon / sigma, (epsilon**2 - 1) / 2], axis=2)
        part = {
            "total": np.einsum("rk,rkpd->rpd", v, path - score),
            "path": np.einsum("rk,rkpd->rpd", v, path),
            "double": np.einsum("rk,rkpd->rpd", v**2, path),
        }
        if model_slope is not None:
            part["model"] = np.einsum("rk,rkp->rp", v, model_slope(z))
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def signal_to_noise(estimates, signal=None):
    """Computes the signal-to-noise ratio of a gradient estimator, for each parameter.

    Args:
        estimates: (repetitions, ...), independent estimates.
        signal: the expectation (...), if it is known better than by the mean of the estimates.
    Returns:
        (...), |expectation| divided by the standard deviation of one estimate.
    Source: Rainforth et al., arXiv:1802.04537, equation 4.
    """
    signal = estimates.mean(axis=0) if signal is None else signal
    return np.abs(signal) / estimates.std(axis=0, ddof=1)


def bernoulli_log_joint(weights, activation, x):
    """Returns log p(x, z) of one image under a decoder of Bernoulli logits, as a function of z.

    Args:
        weights: {canonical name: array}.
        activation: "relu" or "tanh".
        x: (input_dim,), the image.
    Returns:
        function from z (..., latent_dim) to (value, slope): log p(x|z) + log p(z) in nats, (...),
        and its derivative by z.
    """
    x = np.asarray(x, np.float64)

    def log_joint(z):
        layers = hidden64(weights, "decoder", z.reshape(-1, z.shape[-1]), activation)
        kernel, bias = (
            np.asarray(weights[f"decoder/logits/{w}"], np.float64) for w in ("kernel", "bias")
        )
        logits = layers[-1] @ kernel + bias
        value = logits @ x - np.logaddexp(0, logits).sum(axis=1)
        delta = (x - expit(logits)) @ kernel.T
        for number in range(len(layers) - 1, 0, -1):
            h = layers[number]
            delta *= (h > 0) if activation == "relu" else 1 - h**2
            delta = delta @ np.asarray(weights[f"decoder/hidden_{number}/kernel"], np.float64).T
        value = value.reshape(z.shape[:-1]) - 0.5 * (z**2).sum(-1) - z.shape[-1] * LOG_2PI / 2
        return value, delta.reshape(z.shape) - z

    return log_joint
