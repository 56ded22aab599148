"""The mathematics of the VAE, in the order of the derivation.

It uses `keras.ops` only, so it runs on every Keras backend and in a plain TensorFlow loop. Results
have the dtype of the arguments, float32 or float64; half precision is computed in float32, because
a sum over 784 pixels would have too few digits. Per-example results are (batch,) in nats. Constants
come from `math`: `ops.log` of a Python number is float32, which does not combine with float64.
"""

import math

from keras import ops

__all__ = [
    "bernoulli_log_likelihood",
    "categorical_log_likelihood",
    "continuous_bernoulli_log_likelihood",
    "elbo",
    "gaussian_log_likelihood",
    "importance_bound",
    "kl_to_standard_normal",
    "log_importance_weight",
    "mean_terms",
    "negative_elbo",
    "reparameterize",
    "warmed_up",
]

LOG_2PI = math.log(2 * math.pi)


def reparameterize(z_mean, z_log_var, epsilon):
    """A sample of q(z|x) that is differentiable: z = z_mean + exp(z_log_var / 2) · epsilon.

    Args:
        z_mean: (batch, latent_dim), mean of q.
        z_log_var: same shape; natural log of the variance of q.
        epsilon: same shape; a draw from N(0, I).
    Returns:
        z, same shape.
    Raises:
        ValueError: the shapes differ.
    Source: Kingma & Welling, arXiv:1312.6114, section 2.4.
    """
    z_mean, z_log_var, epsilon = _tensors(z_mean=z_mean, z_log_var=z_log_var, epsilon=epsilon)
    return z_mean + ops.exp(0.5 * z_log_var) * epsilon


def kl_to_standard_normal(z_mean, z_log_var):
    """KL(q(z|x) || N(0, I)) of a diagonal Gaussian q, in closed form.

    Args:
        z_mean: (batch, latent_dim), mean of q.
        z_log_var: same shape; natural log of the variance of q.
    Returns:
        (batch,) nats, >= 0: summed over latents, not averaged.
    Raises:
        ValueError: the shapes differ.
    Source: Kingma & Welling, arXiv:1312.6114, appendix B.
    """
    z_mean, z_log_var = _tensors(z_mean=z_mean, z_log_var=z_log_var)
    # Near v = 0, exp(v) - 1 - v loses all its digits and can become negative; expm1 keeps them.
    return 0.5 * ops.sum(ops.expm1(z_log_var) - z_log_var + ops.square(z_mean), axis=-1)


def bernoulli_log_likelihood(x, logits):
    """log p(x|z) of independent Bernoulli pixels, from logits.

    With p = sigmoid(logits), x · log p + (1 - x) · log(1 - p) = x · logits - softplus(logits). This
    form has no sigmoid that saturates and no log of zero, and its gradient is exactly x - p.

    Args:
        x: (batch, input_dim) in [0, 1]; only for x in {0, 1} is this a normalised likelihood.
        logits: same shape.
    Returns:
        (batch,) nats, summed over pixels.
    Raises:
        ValueError: the shapes differ.
    """
    x, logits = _tensors(x=x, logits=logits)
    return ops.sum(x * logits - ops.softplus(logits), axis=-1)


def continuous_bernoulli_log_likelihood(x, logits):
    """log p(x|z) of independent pixels in [0, 1] with density C(l) · exp(x · l).

    It has the exponent of the Bernoulli on grey pixels and the constant that makes it integrate to
    one: log C(l) = log(l / (exp(l) - 1)), and log C(l) + l/2 is an even function of l.

    Args:
        x: (batch, input_dim) in [0, 1].
        logits: same shape.
    Returns:
        (batch,) nats, a log density summed over pixels.
    Raises:
        ValueError: the shapes differ.
    Source: Loaiza-Ganem & Cunningham, arXiv:1907.06845.
    """
    x, logits = _tensors(x=x, logits=logits)
    size = ops.abs(logits)
    small = size < 0.1
    # At l = 0, (exp(l) - 1) / l is 0 / 0, so near 0 its series is used. Each branch gets a harmless
    # argument where the other is used, because a NaN in an unused branch would reach the gradient.
    # The first term left out of the series is l^8 / 9.7e6, which is 1e-15 at 0.1.
    square = ops.square(ops.where(small, logits, ops.zeros_like(logits)))
    series = square * (1 / 24 - square * (1 / 2880 - square / 181440))
    size = ops.where(small, ops.ones_like(size), size)
    # log((exp(l) - 1) / l) - l/2 is even in l: |l|/2 + log(1 - exp(-|l|)) - log|l|.
    far = 0.5 * size + ops.log(-ops.expm1(-size)) - ops.log(size)
    return ops.sum((x - 0.5) * logits - ops.where(small, series, far), axis=-1)


def gaussian_log_likelihood(x, mean, log_var):
    """log p(x|z) of independent Gaussian pixels.

    Args:
        x: (batch, input_dim).
        mean: same shape.
        log_var: same shape, natural log of each pixel's variance; or one number for all pixels
            (a fixed sigma), where only -|x - mean|² / (2 sigma²) depends on z: the MSE.
    Returns:
        (batch,) nats, a log density summed over pixels.
    Raises:
        ValueError: the shapes differ.
    """
    if not len(getattr(log_var, "shape", ())):
        x, mean = _tensors(x=x, mean=mean)
        log_var = ops.convert_to_tensor(log_var, dtype=mean.dtype)
        squares = ops.exp(-log_var) * ops.sum(ops.square(x - mean), axis=-1)
        return -0.5 * (squares + x.shape[-1] * (log_var + LOG_2PI))
    x, mean, log_var = _tensors(x=x, mean=mean, log_var=log_var)
    in_sigmas = (x - mean) * ops.exp(-0.5 * log_var)
    return -0.5 * ops.sum(ops.square(in_sigmas) + log_var + LOG_2PI, axis=-1)


def categorical_log_likelihood(x, logits):
    """log p(x|z) of independent pixels with a softmax over grey levels.

    Args:
        x: (batch, input_dim), integer levels 0 … levels - 1.
        logits: (batch, input_dim, levels).
    Returns:
        (batch,) nats, summed over pixels.
    Raises:
        ValueError: the shapes differ.
    """
    (logits,) = _tensors(logits=logits)
    chosen = ops.one_hot(ops.cast(x, "int32"), logits.shape[-1], dtype=logits.dtype)
    chosen, logits = _tensors(x_one_hot=chosen, logits=logits)
    per_pixel = ops.sum(chosen * logits, axis=-1) - ops.logsumexp(logits, axis=-1)
    return ops.sum(per_pixel, axis=-1)


def log_importance_weight(log_likelihood, z, z_mean, z_log_var):
    """log p(x|z) + log p(z) - log q(z|x) at a sample z of q.

    Args:
        log_likelihood: (batch,) nats, log p(x|z).
        z: (batch, latent_dim).
        z_mean: same shape; mean of q.
        z_log_var: same shape; natural log of the variance of q.
    Returns:
        (batch,) nats; its mean under q is the ELBO.
    Raises:
        ValueError: the shapes differ.
    Source: Burda et al., arXiv:1509.00519, section 3.
    """
    z, z_mean, z_log_var = _tensors(z=z, z_mean=z_mean, z_log_var=z_log_var)
    log_prior = -0.5 * (ops.square(z) + LOG_2PI)
    log_q = -0.5 * (ops.square(z - z_mean) * ops.exp(-z_log_var) + z_log_var + LOG_2PI)
    ratio = ops.sum(log_prior - log_q, axis=-1)
    log_likelihood, ratio = _tensors(log_likelihood=log_likelihood, log_ratio=ratio)
    return log_likelihood + ratio


def elbo(log_likelihood, kl, beta=1.0):
    """The evidence lower bound log p(x|z) - beta · KL, per example.

    Args:
        log_likelihood: (batch,) nats.
        kl: (batch,) nats.
        beta: weight of the KL; only 1 gives a bound on log p(x).
    Returns:
        (batch,) nats.
    Raises:
        ValueError: the shapes differ ((batch,) and (batch, 1) would broadcast to a matrix).
    """
    log_likelihood, kl = _tensors(log_likelihood=log_likelihood, kl=kl)
    return log_likelihood - beta * kl


def negative_elbo(log_likelihood, kl, beta=1.0):
    """The loss, -mean(elbo): a scalar, nats per example. Nothing else is reduced over the batch."""
    return -ops.mean(elbo(log_likelihood, kl, beta))


def warmed_up(beta, step, steps):
    """The weight of the KL at a training step, which rises linearly to beta in a warm-up.

    Args:
        beta: the weight after the warm-up.
        step: training steps already done, so 0 at the first step.
        steps: length of the warm-up; at 0 the weight is beta from the first step.
    Returns:
        beta · min((step + 1) / steps, 1).
    """
    if not steps:
        return beta
    return beta * ops.minimum((ops.cast(step, "float32") + 1) / steps, 1.0)


def importance_bound(log_weights, axis=0):
    """The log of the mean of K importance weights, a lower bound on log p(x) in expectation.

    The expectation grows with K; at K = 1 it is the ELBO.

    Args:
        log_weights: nats, with the K samples along `axis`.
        axis: the axis that is reduced.
    Returns:
        nats, without that axis.
    Source: Burda et al., arXiv:1509.00519, equation 8.
    """
    (log_weights,) = _tensors(log_weights=log_weights)
    return ops.logsumexp(log_weights, axis=axis) - math.log(log_weights.shape[axis])


def mean_terms(terms):
    """Means of the terms of the ELBO over a set of images and over samples of q(z|x).

    Args:
        terms: NumPy array (samples, 2, n), nats: log p(x|z) and KL of each image at each sample.
    Returns:
        {"loss", "log_likelihood", "kl"}: floats, nats per image, summed in float64; loss is -ELBO
        at beta = 1.
    """
    log_likelihood, kl = terms.mean(axis=(0, 2), dtype="float64")
    return {
        "loss": float(kl - log_likelihood),
        "log_likelihood": float(log_likelihood),
        "kl": float(kl),
    }


def _tensors(**named):
    """The arguments as tensors of one shape and of at least single precision."""
    tensors = [ops.convert_to_tensor(value) for value in named.values()]
    first, *others = [tuple(tensor.shape) for tensor in tensors]
    for shape in others:
        # While a graph is traced, an unknown dimension is None, which agrees with any other.
        agree = len(shape) == len(first) and all(
            a is None or b is None or a == b for a, b in zip(first, shape, strict=True)
        )
        if not agree:
            found = ", ".join(
                f"{name} {tuple(t.shape)}" for name, t in zip(named, tensors, strict=True)
            )
            raise ValueError(f"shapes differ: {found}; expected one shape")
    return [_at_least_single(tensor) for tensor in tensors]


def _at_least_single(tensor):
    # Each backend has its own type for dtypes, but their text is common; "bfloat16" contains it.
    return ops.cast(tensor, "float32") if "float16" in str(tensor.dtype) else tensor
