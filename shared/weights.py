"""The canonical names and shapes of the weights, common to both implementations."""

import numpy as np

from shared.config import UsageError

__all__ = [
    "check_heads",
    "check_model",
    "check_posterior",
    "head_widths",
    "initial_bias",
    "name_weights",
    "weight_shapes",
]


def head_widths(config, input_dim):
    """The decoder's output layers (heads), {name: width}."""
    if config.likelihood == "gaussian":
        names = ("mean", "log_var") if config.fixed_sigma is None else ("mean",)
        return dict.fromkeys(names, input_dim)
    return {"logits": input_dim * (config.levels or 1)}


def weight_shapes(config, input_dim):
    """The weights of a config's model, {canonical name: shape}, in the order of the computation.

    The decoder mirrors the encoder; its `hidden_1` is the layer next to z.
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


def name_weights(config, input_dim, parts):
    """{name: variable} of a model's weights, in the order of the computation.

    A network whose weights have the names and shapes of the config's dense network has the
    canonical names. The weights of any other network are numbered within their part, in the order
    given: "encoder/0/kernel", "encoder/1/bias", …, whatever its layers are called.

    Args:
        config: shared.config.Config.
        input_dim: pixels per image.
        parts: {"encoder": [(name, variable), …], "decoder": …} with the network's own names.
    """
    own = {f"{part}/{name}": each for part, pairs in parts.items() for name, each in pairs}
    shapes = weight_shapes(config, input_dim)
    if shapes == {name: tuple(each.shape) for name, each in own.items()}:
        return {name: own[name] for name in shapes}
    named, seen = {}, set()
    for part, pairs in parts.items():
        for number, (name, each) in enumerate(pairs):
            if id(each) not in seen:  # a weight of both parts is one weight, under its first name
                named[f"{part}/{number}/{name.rpartition('/')[2]}"] = each
            seen.add(id(each))
    return named


def check_posterior(config, q):
    """Refuse an encoder whose outputs are not the parameters of the config's posterior.

    Args:
        config: shared.config.Config.
        q: what the encoder returns for a batch.
    Raises:
        UsageError: other outputs, or outputs of other shapes.
    """
    names = ["z_mean", "z_log_var"] if config.posterior == "gaussian" else ["z_mean"]
    _check_outputs(
        f"with posterior {config.posterior} the encoder returns",
        dict(enumerate(q)) if isinstance(q, (list, tuple)) else q,
        dict.fromkeys(range(len(names)), config.latent_dim),
        f"a list [{', '.join(names)}], each (batch, {config.latent_dim})",
    )


def check_heads(config, input_dim, heads):
    """Refuse a decoder whose outputs are not the heads that the config's likelihood takes.

    Args:
        config: shared.config.Config.
        input_dim: pixels per image.
        heads: what the decoder returns for a batch.
    Raises:
        UsageError: other outputs, or outputs of other shapes.
    """
    widths = head_widths(config, input_dim)
    _check_outputs(
        f"with likelihood {config.likelihood} the decoder returns",
        heads,
        widths,
        "a dict of " + ", ".join(f"{name} (batch, {width})" for name, width in widths.items()),
    )


def _check_outputs(who, outputs, widths, wanted):
    """Raise UsageError where `outputs` is no dict of (batch, width), by the names of `widths`."""
    if not isinstance(outputs, dict):
        raise UsageError(f"{who} {type(outputs).__name__}; expected {wanted}")
    shapes = {name: tuple(each.shape)[1:] for name, each in outputs.items()}
    if shapes != {name: (width,) for name, width in widths.items()}:
        found = ", ".join(
            f"{name} ({', '.join(['batch', *map(str, shape)])})" for name, shape in shapes.items()
        )
        raise UsageError(f"{who} {found}; expected {wanted}")


def check_model(model, config, data, out):
    """Refuse to train a given model where its training could not mean what was asked for.

    Args:
        model: VAE of either implementation.
        config, data, out: the arguments of `train`.
    Raises:
        UsageError: in one line.
    """
    if out is not None:
        raise UsageError(
            f"out is {out} and a model is given; a run folder is loaded by its config, which does"
            " not hold a given network: leave out `out`, and save the weights of `gather`"
        )
    if model.config != config:
        raise UsageError(
            "the given model was assembled with another config; give model.config, or assemble"
            " the model with this config"
        )
    if model.input_dim != data.input_dim:
        raise UsageError(
            f"the given model takes {model.input_dim} pixels and the images of {data.name} have"
            f" {data.input_dim}; assemble it with input_dim={data.input_dim}"
        )
    if config.output_bias != "zero":
        raise UsageError(
            f"output_bias is {config.output_bias} and a model is given, which is trained from the"
            " weights that it has: leave it out, and assign the bias of initial_bias"
        )


def initial_bias(config, x_train):
    """The initial output bias of `output_bias="mean-image"`: the logit of the mean training image.

    With it, a decoder whose kernels are near zero gives every pixel its mean.

    Args:
        config: shared.config.Config.
        x_train: (n, input_dim) float32 in [0, 1].
    Returns:
        {"decoder/logits/bias": (input_dim,) float32}; {} where the config has a bias of zero.
    """
    if config.output_bias == "zero":
        return {}
    # A pixel that is black in every image would have a logit of -inf; it gets half a count in n.
    edge = 0.5 / len(x_train)
    mean = x_train.mean(axis=0, dtype=np.float64).clip(edge, 1 - edge)
    return {"decoder/logits/bias": np.log(mean / (1 - mean)).astype(np.float32)}
