"""The canonical names and shapes of the weights, common to both implementations."""

import zipfile

import numpy as np

from shared.config import UsageError

__all__ = [
    "head_widths",
    "initial_bias",
    "read_weights",
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


def read_weights(path, shapes):
    """Read the weights in an .npz file.

    Args:
        path: the file.
        shapes: {canonical name: shape}, as `weight_shapes` gives them.
    Returns:
        {canonical name: float32 array}, in the order of `shapes`.
    Raises:
        UsageError: the file cannot be read, or its names, shapes or types are not as expected.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            weights = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise UsageError(f"cannot read weights from {path}: {error}") from error
    found = {name: array.shape for name, array in weights.items()}
    for name in sorted(found.keys() | shapes.keys()):
        if found.get(name) != shapes.get(name):
            raise UsageError(
                f"{path}: {name} is {found.get(name, 'missing')};"
                f" expected {shapes.get(name, 'no such weight')}"
            )
        if weights[name].dtype != np.float32:
            raise UsageError(f"{path}: {name} is {weights[name].dtype}; expected float32")
    return {name: weights[name] for name in shapes}
