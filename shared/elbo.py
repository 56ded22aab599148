"""The mathematics of the VAE, in the order of the derivation.

It uses `keras.ops` only, so it runs on every Keras backend and in a plain TensorFlow loop. Results
have the dtype of the arguments, float32 or float64. Half precision is converted to float32, because
a sum over 784 pixels in half precision has too few digits. Results per example are (batch,), in
nats. Constants come from `math`: `ops.log` of a Python number is a float32 tensor, which raises an
error beside a float64 tensor.
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
    "negative_elbo",
    "reparameterize",
    "warmed_up",
]

LOG_2PI = math.log(2 * math.pi)


def reparameterize(z_mean, z_log_var, epsilon):
    """Computes a differentiable sample of q(z|x): z = z_mean + exp(z_log_var / 2) · epsilon.

    Args:
        z_mean, z_log_var: (batch, latent_dim), mean of q and natural log of its variance.
        epsilon: same shape; a draw from N(0, I).
    Returns:
        z, same shape.
    Raises:
        ValueError: the shapes differ.
    Source: Kingma & Welling, arXiv:1312.6114, section 2.4.
    """
    z_mean, z_log_var, epsilon = _tensors(z_mean=z_mean, z_log_var=z_log_var, epsilon=epsilon)
    return z_mean + ops.exp(0.5 * z_log_var) * epsilon  # (batch, latent_dim)


def kl_to_standard_normal(z_mean, z_log_var):
    """Computes KL(q(z|x) || N(0, I)) of a diagonal Gaussian q, in closed form.

    Args:
        z_mean, z_log_var: (batch, latent_dim), mean of q and natural log of its variance.
    Returns:
        (batch,) nats, >= 0: summed over latents, not averaged.
    Raises:
        ValueError: the shapes differ.
    Source: Kingma & Welling, arXiv:1312.6114, appendix B.
    Example:
        >>> float(kl_to_standard_normal([[3.0, 4.0]], [[0.0, 0.0]])[0])
        12.5
    """
    z_mean, z_log_var = _tensors(z_mean=z_mean, z_log_var=z_log_var)
    # Near v = 0, exp(v) - 1 - v loses all its digits and can become negative; expm1 keeps them.
    # (batch, latent_dim) -> (batch,)
    return 0.5 * ops.sum(ops.expm1(z_log_var) - z_log_var + ops.square(z_mean), axis=-1)


def bernoulli_log_likelihood(x, logits):
    """Computes log p(x|z) of independent Bernoulli pixels, from logits.

    With p = sigmoid(logits), x · log p + (1 - x) · log(1 - p) = x · logits - softplus(logits). This
    form has no sigmoid that saturates and no log of zero, and its gradient is exactly x - p.

    Args:
        x: (batch, input_dim) in [0, 1]; only for x in {0, 1} is this a normalised likelihood.
        logits: same shape; the decoder's output before the sigmoid.
    Returns:
        (batch,) nats, summed over pixels.
    Raises:
        ValueError: the shapes differ.
    Source: Kingma & Welling, arXiv:1312.6114, appendix C.1.
    Example:
        >>> round(float(bernoulli_log_likelihood([[1.0, 0.0]], [[0.0, 0.0]])[0]), 4)  # -2 ln 2
        -1.3863
    """
    x, logits = _tensors(x=x, logits=logits)
    return ops.sum(x * logits - ops.softplus(logits), axis=-1)  # (batch, input_dim) -> (batch,)


def continuous_bernoulli_log_likelihood(x, logits):
    """Computes log p(x|z) of independent pixels in [0, 1] with density C(l) · exp(x · l).

    The exponent is that of the Bernoulli likelihood. The constant C(l) makes the density integrate
    to one: log C(l) = log(l / (exp(l) - 1)), and log C(l) + l/2 is an even function of l.

    Args:
        x: (batch, input_dim) in [0, 1].
        logits: same shape; l above.
    Returns:
        (batch,) nats, a log density summed over pixels.
    Raises:
        ValueError: the shapes differ.
    Source: Loaiza-Ganem & Cunningham, arXiv:1907.06845.
    """
    x, logits = _tensors(x=x, logits=logits)
    size = ops.abs(logits)
    small = size < 0.1
    # At l = 0, (exp(l) - 1) / l is 0 / 0, so its series is used near 0. Where one branch is used,
    # the other gets an argument at which it is finite: a NaN in an unused branch would reach the
    # gradient. The first omitted term of the series is l^8 / 9.7e6, which is 1e-15 at 0.1.
    square = ops.square(ops.where(small, logits, ops.zeros_like(logits)))
    series = square * (1 / 24 - square * (1 / 2880 - square / 181440))
    size = ops.where(small, ops.ones_like(size), size)
    # log((exp(l) - 1) / l) - l/2 is even in l: |l|/2 + log(1 - exp(-|l|)) - log|l|.
    far = 0.5 * size + ops.log(-ops.expm1(-size)) - ops.log(size)
    return ops.sum((x - 0.5) * logits - ops.where(small, series, far), axis=-1)  # (batch,)


def gaussian_log_likelihood(x, mean, log_var):
    """Computes log p(x|z) of independent Gaussian pixels.

    Args:
        x, mean: (batch, input_dim).
        log_var: natural log of the variance: same shape, or a scalar for all pixels (fixed sigma).
            With a scalar, only the squared error depends on z: -|x - mean|² / (2 sigma²).
    Returns:
        (batch,) nats, a log density summed over pixels.
    Raises:
        ValueError: the shapes differ.
    """
    if not len(getattr(log_var, "shape", ())):
        x, mean = _tensors(x=x, mean=mean)
        log_var = ops.convert_to_tensor(log_var, dtype=mean.dtype)
        squares = ops.exp(-log_var) * ops.sum(ops.square(x - mean), axis=-1)  # (batch,)
        return -0.5 * (squares + x.shape[-1] * (log_var + LOG_2PI))
    x, mean, log_var = _tensors(x=x, mean=mean, log_var=log_var)
    in_sigmas = (x - mean) * ops.exp(-0.5 * log_var)  # (batch, input_dim)
    return -0.5 * ops.sum(ops.square(in_sigmas) + log_var + LOG_2PI, axis=-1)


def categorical_log_likelihood(x, logits):
    """Computes log p(x|z) of independent pixels with a softmax over grey levels.

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
    # (batch, input_dim, levels) -> (batch, input_dim) -> (batch,)
    per_pixel = ops.sum(chosen * logits, axis=-1) - ops.logsumexp(logits, axis=-1)
    return ops.sum(per_pixel, axis=-1)


def log_importance_weight(log_likelihood, z, z_mean, z_log_var):
    """Computes log p(x|z) + log p(z) - log q(z|x) at a sample z of q.

    Args:
        log_likelihood: (batch,) nats, log p(x|z).
        z, z_mean, z_log_var: (batch, latent_dim); as for `reparameterize`.
    Returns:
        (batch,) nats; its mean under q is the ELBO.
    Raises:
        ValueError: the shapes differ.
    Source: Burda et al., arXiv:1509.00519, section 3.
    Example:
        >>> float(log_importance_weight([-90.0], [[0.5]], [[0.0]], [[0.0]])[0])  # q is the prior
        -90.0
    """
    z, z_mean, z_log_var = _tensors(z=z, z_mean=z_mean, z_log_var=z_log_var)
    # Log densities of each latent, (batch, latent_dim).
    log_prior = -0.5 * (ops.square(z) + LOG_2PI)
    log_q = -0.5 * (ops.square(z - z_mean) * ops.exp(-z_log_var) + z_log_var + LOG_2PI)
    ratio = ops.sum(log_prior - log_q, axis=-1)  # log p(z) - log q(z|x), (batch,)
    log_likelihood, ratio = _tensors(log_likelihood=log_likelihood, log_ratio=ratio)
    return log_likelihood + ratio


def elbo(log_likelihood, kl, beta=1.0):
    """Computes the evidence lower bound (ELBO), log p(x|z) - beta · KL, of each example.

    Args:
        log_likelihood, kl: (batch,) nats.
        beta: weight of the KL; with 1 the result is the ELBO.
    Returns:
        (batch,) nats.
    Raises:
        ValueError: the shapes differ ((batch,) and (batch, 1) would broadcast to a matrix).
    Source: Kingma & Welling, arXiv:1312.6114, equation 3; beta: Higgins et al., ICLR 2017.
    Example:
        >>> float(elbo([-90.0], [10.0])[0])
        -100.0
    """
    log_likelihood, kl = _tensors(log_likelihood=log_likelihood, kl=kl)
    return log_likelihood - beta * kl


def negative_elbo(log_likelihood, kl, beta=1.0):
    """Computes the loss, -mean(elbo), the only reduction over the batch.

    Args and errors are those of `elbo`.

    Returns:
        scalar, nats per example.
    Example:
        >>> float(negative_elbo([-90.0, -110.0], [10.0, 20.0]))
        115.0
    """
    return -ops.mean(elbo(log_likelihood, kl, beta))


def warmed_up(beta, step, steps):
    """Computes the weight of the KL at a training step; during a warm-up it rises linearly to beta.

    Args:
        beta: the weight after the warm-up.
        step: number of training steps already done: 0 at the first step.
        steps: length of the warm-up in steps; with 0 the weight is beta from the first step.
    Returns:
        scalar, beta · min((step + 1) / steps, 1).
    Source: Sønderby et al., arXiv:1602.02282.
    Example:
        >>> float(warmed_up(1.0, step=0, steps=4))
        0.25
    """
    if not steps:
        return beta
    return beta * ops.minimum((ops.cast(step, "float32") + 1) / steps, 1.0)


def importance_bound(log_weights, axis=0):
    """Computes the log of the mean of K importance weights.

    Its expectation is a lower bound on log p(x), which grows with K and is the ELBO at K = 1.

    Args:
        log_weights: nats, with the K samples along `axis`.
        axis: the axis that is reduced.
    Returns:
        nats, in the shape of `log_weights` without that axis.
    Source: Burda et al., arXiv:1509.00519, equation 8.
    Example:
        >>> float(importance_bound([[-90.0], [-90.0]])[0])  # K = 2 equal weights
        -90.0
    """
    (log_weights,) = _tensors(log_weights=log_weights)
    return ops.logsumexp(log_weights, axis=axis) - math.log(log_weights.shape[axis])


def _tensors(**named):
    """Returns the arguments as tensors of equal shape, in float32 or float64."""
    tensors = [ops.convert_to_tensor(value) for value in named.values()]
    first, *others = [tuple(tensor.shape) for tensor in tensors]
    for shape in others:
        # While a graph is traced, an unknown dimension is None; it may equal any other dimension.
        agree = len(shape) == len(first) and all(
            a is None or b is None or a == b for a, b in zip(first, shape, strict=True)
        )
        if not agree:
            shapes = ", ".join(
                f"{name} {tuple(t.shape)}" for name, t in zip(named, tensors, strict=True)
            )
            raise ValueError(f"shapes differ: {shapes}; expected equal shapes")
    return [_at_least_single(tensor) for tensor in tensors]


def _at_least_single(tensor):
    # The type of a dtype depends on the backend, its text does not; "bfloat16" contains "float16".
    return ops.cast(tensor, "float32") if "float16" in str(tensor.dtype) else tensor
