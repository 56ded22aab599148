"""Defines the canonical names and shapes of the weights, which both implementations use."""

import math

import numpy as np

from shared.machine.checks import INT32_MAX, UsageError
from shared.machine.memory import machine_memory

__all__ = [
    "check_heads",
    "check_posterior",
    "check_size",
    "head_widths",
    "initial_bias",
    "name_weights",
    "slot_shapes",
    "weight_shapes",
]


# What each Keras optimizer keeps for every weight, with the settings that this project uses.
SLOTS = {"rmsprop": ("velocity",), "adam": ("momentum", "velocity"), "sgd": ()}


def head_widths(config, input_dim):
    """Returns the decoder's output layers (heads) that the config's likelihood needs.

    Args:
        config: shared.config.Config.
        input_dim: pixels per image.
    Returns:
        {name: width}
    """
    if config.likelihood == "gaussian":
        names = ("mean", "log_var") if config.fixed_sigma is None else ("mean",)
        return dict.fromkeys(names, input_dim)
    return {"logits": input_dim * (config.levels or 1)}


def weight_shapes(config, input_dim):
    """Returns the shapes of the weights of the config's dense network.

    The decoder mirrors the encoder; its `hidden_1` is the layer next to z.

    Args:
        config: shared.config.Config.
        input_dim: pixels per image.
    Returns:
        {canonical name: shape}, in the order of the computation.
    """
    shapes = {}

    def dense(name, width_in, width_out):
        shapes[f"{name}/kernel"] = (width_in, width_out)
        shapes[f"{name}/bias"] = (width_out,)
        return width_out

    width = input_dim
    for number, hidden_dim in enumerate(config.hidden_dims, start=1):
        width = dense(f"encoder/hidden_{number}", width, hidden_dim)
    dense("encoder/z_mean", width, config.latent_dim)
    if config.posterior == "gaussian":
        dense("encoder/z_log_var", width, config.latent_dim)
    width = config.latent_dim
    for number, hidden_dim in enumerate(reversed(config.hidden_dims), start=1):
        width = dense(f"decoder/hidden_{number}", width, hidden_dim)
    for head, head_width in head_widths(config, input_dim).items():
        dense(f"decoder/{head}", width, head_width)
    return shapes


def slot_shapes(config, shapes):
    """Returns the shapes of the optimizer's slots for the trained weights.

    Args:
        config: shared.config.Config.
        shapes: {name: shape} of the weights that are trained, e.g. `weight_shapes`.
    Returns:
        {"optimizer/SLOT/WEIGHT": shape}
    """
    return {
        f"optimizer/{slot}/{name}": shape
        for name, shape in shapes.items()
        for slot in SLOTS[config.optimizer]
    }


def name_weights(config, input_dim, parts):
    """Returns the weights of a model by name, in the order of the computation.

    The weights of a network get their canonical names if their own names and shapes are those of
    the config's dense network. The weights of any other network are numbered within their part, in
    the given order, and its layer names are ignored: "encoder/0/kernel", "encoder/1/bias", ….

    Args:
        config: shared.config.Config.
        input_dim: pixels per image.
        parts: {"encoder": [(name, variable), …], "decoder": …} with the network's own names.
    Returns:
        {name: variable}
    """
    own = {f"{part}/{name}": each for part, pairs in parts.items() for name, each in pairs}
    shapes = weight_shapes(config, input_dim)
    if shapes == {name: tuple(each.shape) for name, each in own.items()}:
        return {name: own[name] for name in shapes}
    named, seen = {}, set()
    for part, pairs in parts.items():
        for number, (name, each) in enumerate(pairs):
            if id(each) not in seen:  # a weight that both parts use is listed once
                named[f"{part}/{number}/{name.rpartition('/')[2]}"] = each
            seen.add(id(each))
    return named


def check_posterior(config, q):
    """Checks that an encoder returns the parameters of the config's posterior.

    Args:
        config: shared.config.Config.
        q: the encoder's outputs for a batch.
    Raises:
        UsageError: the outputs are others, or have other shapes or another type than float32.
    """
    names = ["z_mean", "z_log_var"] if config.posterior == "gaussian" else ["z_mean"]
    _check_outputs(
        f"with posterior {config.posterior} the encoder returns",
        dict(enumerate(q)) if isinstance(q, (list, tuple)) else q,
        dict.fromkeys(range(len(names)), config.latent_dim),
        f"a list [{', '.join(names)}], each (batch, {config.latent_dim})",
    )


def check_heads(config, input_dim, heads):
    """Checks that a decoder returns the heads that the config's likelihood needs.

    Args:
        config: shared.config.Config.
        input_dim: pixels per image.
        heads: the decoder's outputs for a batch.
    Raises:
        UsageError: the outputs are others, or have other shapes or another type than float32.
    """
    widths = head_widths(config, input_dim)
    _check_outputs(
        f"with likelihood {config.likelihood} the decoder returns",
        heads,
        widths,
        "a dict of " + ", ".join(f"{name} (batch, {width})" for name, width in widths.items()),
    )


def _check_outputs(who, outputs, widths, wanted):
    """Raises UsageError unless `outputs` is a dict of float32 (batch, width), keyed as `widths`."""
    if not isinstance(outputs, dict):
        raise UsageError(f"{who} {type(outputs).__name__}; expected {wanted}")
    shapes = {name: tuple(each.shape)[1:] for name, each in outputs.items()}
    if shapes != {name: (width,) for name, width in widths.items()}:
        returned = ", ".join(
            f"{name} ({', '.join(['batch', *map(str, shape)])})" for name, shape in shapes.items()
        )
        raise UsageError(f"{who} {returned}; expected {wanted}")
    for name, each in outputs.items():
        dtype = getattr(each.dtype, "name", each.dtype)  # of TensorFlow and NumPy; Keras has a text
        if dtype != "float32":
            raise UsageError(
                f'{who} {name} as {dtype}; expected float32: give the layers dtype="float32", or'
                " at least the last one"
            )


def check_size(config, input_dim, n, dense=True):
    """Checks, before TensorFlow is imported, that a run can be computed on this machine.

    Args:
        config: shared.config.Config.
        input_dim: pixels per image, times channels.
        n: number of training examples.
        dense: whether the network is the config's; the size of another is not known yet.
    Raises:
        UsageError: the run has too many steps, or its network does not fit into memory.
    """
    steps = config.total_steps(n)
    if steps > INT32_MAX:  # the step is an int32, in the seed of the noise
        raise UsageError(f"the run has {steps:,} steps; expected at most {INT32_MAX:,}")
    if not dense:
        return
    shapes = weight_shapes(config, input_dim)
    numbers = sum(math.prod(shape) for shape in shapes.values())
    outputs = min(config.batch_size, n) * sum(
        shape[0] for shape in shapes.values() if shape[1:] == ()
    )
    # In float32: weights, gradients and two slots of the optimizer, and each output of a layer and
    # its gradient. This is a lower bound: only what cannot fit is refused.
    size = 4 * (4 * numbers + 2 * outputs)
    if size > machine_memory():
        raise UsageError(
            f"a network with hidden_dims {config.hidden_dims} and latent_dim {config.latent_dim},"
            f" trained in batches of {config.batch_size}, needs {size / 2**30:,.0f} GiB; this"
            f" machine has {machine_memory() / 2**30:,.0f} GiB of memory"
        )


def initial_bias(config, x_train):
    """Returns the initial output bias: for "mean-image", the logit of the mean training image.

    With this bias, the output of a decoder whose kernels are near zero is the mean image.

    Args:
        config: shared.config.Config.
        x_train: (n, input_dim) float32 in [0, 1], or None.
    Returns:
        {"decoder/logits/bias": (input_dim,) float32}; {} if the config's output_bias is "zero", or
        without x_train.
    """
    if config.output_bias == "zero" or x_train is None:
        return {}
    # A pixel that is black in every image would have a logit of -inf: it counts as if it were
    # white in half an image, and a pixel that is always white as if it were black in half an image.
    edge = 0.5 / len(x_train)
    mean = x_train.mean(axis=0, dtype=np.float64).clip(edge, 1 - edge)
    return {"decoder/logits/bias": np.log(mean / (1 - mean)).astype(np.float32)}
