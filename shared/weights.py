"""Canonical names and shapes of the weights, by which each implementation reads the other's."""

import numpy as np

__all__ = [
    "head_widths",
    "initial_bias",
    "weight_shapes",
]


def head_widths(config, input_dim):
    """{name: width} of the decoder's output layers."""
    if config.likelihood == "gaussian":
        names = ("mean", "log_var") if config.fixed_sigma is None else ("mean",)
        return dict.fromkeys(names, input_dim)
    return {"logits": input_dim * (config.levels or 1)}


def weight_shapes(config, input_dim):
    """{canonical name: shape} of a config's weights, in the order of the computation.

    The decoder mirrors the encoder: its `hidden_1` is nearest z.
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


def initial_bias(config, x_train):
    """The output bias that depends on the data: {} or {"decoder/logits/bias": array}.

    The logit of the mean image: a decoder that knows nothing yet then gives every pixel its mean.
    """
    if config.output_bias == "zero":
        return {}
    # A pixel that is black in every image has a logit of -inf; one count in 2 n does not.
    edge = 0.5 / len(x_train)
    mean = x_train.mean(axis=0, dtype=np.float64).clip(edge, 1 - edge)
    return {"decoder/logits/bias": np.log(mean / (1 - mean)).astype(np.float32)}
