"""Converts the decoder's outputs (heads) to log p(x|z) and to an image, for each likelihood.

This is the only module that chooses between the likelihoods; shared/elbo.py has the formulas.
"""

import math

import numpy as np
from keras import ops

from shared import elbo

__all__ = ["log_likelihood", "mean_image"]

# On pixels that are black in every image, a learned variance would go to zero and the density to
# infinity. A lower bound, applied by a softplus, keeps sigma above one grey level of 256.
LOG_VAR_MIN = -2 * math.log(255)


def log_likelihood(config, x, heads):
    """Computes log p(x|z) under the likelihood of the config.

    Args:
        config: shared.config.Config.
        x: (batch, input_dim) in [0, 1].
        heads: {name: (batch, width)}, the decoder's outputs, named as in weights.head_widths.
    Returns:
        (batch,) nats, summed over pixels.
    Raises:
        ValueError: the shapes of x and the heads differ.
    """
    if config.likelihood == "bernoulli":
        return elbo.bernoulli_log_likelihood(x, heads["logits"])
    if config.likelihood == "continuous-bernoulli":
        return elbo.continuous_bernoulli_log_likelihood(x, heads["logits"])
    if config.likelihood == "categorical":
        # Level k holds the grey values in [k / levels, (k + 1) / levels); the last also holds 1.
        level = ops.minimum(ops.floor(x * config.levels), config.levels - 1)
        return elbo.categorical_log_likelihood(level, _by_level(config, heads["logits"]))
    if config.likelihood != "gaussian":
        raise ValueError(f"the likelihood {config.likelihood!r} has no formula here")
    if config.fixed_sigma is not None:
        return elbo.gaussian_log_likelihood(x, heads["mean"], 2 * math.log(config.fixed_sigma))
    log_var = LOG_VAR_MIN + ops.softplus(heads["log_var"] - LOG_VAR_MIN)
    return elbo.gaussian_log_likelihood(x, heads["mean"], log_var)


def mean_image(config, heads):
    """Computes the mean of p(x|z), for figures.

    Args:
        config: shared.config.Config.
        heads: {name: (batch, width)}, as in `log_likelihood`.
    Returns:
        (batch, input_dim), in [0, 1] except for a Gaussian likelihood.
    """
    if config.likelihood == "gaussian":
        return heads["mean"]
    logits = heads["logits"]
    if config.likelihood == "bernoulli":
        return ops.sigmoid(logits)
    if config.likelihood == "categorical":
        # A NumPy array, because an exported Keras graph treats a tensor as one of its inputs.
        grey = np.arange(config.levels, dtype=np.float32) / np.float32(config.levels - 1)
        probs = ops.softmax(_by_level(config, logits), axis=-1)
        return ops.sum(ops.multiply(probs, grey), axis=-1)
    if config.likelihood != "continuous-bernoulli":
        raise ValueError(f"the likelihood {config.likelihood!r} has no mean here")
    # The mean of the density C · exp(x · l) on [0, 1] is 1 / (1 - exp(-l)) - 1 / l, written with
    # tanh, because ONNX has no expm1. Near 0, where this is a difference of infinities, its series
    # 1/2 + l/12 - l³/720 is used.
    small = ops.abs(logits) < 0.1
    safe = ops.where(small, ops.ones_like(logits), logits)
    near = 0.5 + logits / 12 - ops.power(logits, 3) / 720
    return ops.where(small, near, 0.5 + 0.5 / ops.tanh(safe / 2) - 1 / safe)


def _by_level(config, logits):
    """Reshapes (batch, input_dim · levels) to (batch, input_dim, levels)."""
    return ops.reshape(logits, (-1, logits.shape[1] // config.levels, config.levels))
