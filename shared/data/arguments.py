"""Checks the arrays that a caller passes to the functions of a model, in one place for both."""

import numpy as np

from shared.data.pixels import Pixels
from shared.machine.checks import UsageError

__all__ = ["checked_images", "checked_latents", "checked_samples"]


def checked_images(x, input_dim, name="x", scale=None):
    """Returns images as the model computes with them.

    Args:
        x: (n, input_dim) booleans or floats in [0, 1]: an array, a tensor or nested lists.
        input_dim: pixels per image, times channels.
        name: what the message calls the images.
        scale: the config's field; if it is given, x is numbers that were scaled, of any size.
    Returns:
        (n, input_dim) float32 array, or x itself if it is shared.data.pixels.Pixels.
    Raises:
        UsageError: x has another shape, integers, or a value outside [0, 1]; or, with a scale, one
            that is not finite.
    """
    if isinstance(x, Pixels) and x.shape[1] == input_dim:
        return x
    if scale is not None:
        x = _floats(name, x, input_dim, "numbers that were scaled as in training")
        if not np.isfinite(x).all():
            raise UsageError(f"{name} holds NaN or infinity; expected finite numbers")
        return x
    x = _floats(name, x, input_dim, "images in [0, 1]: divide grey values of 0 to 255 by 255")
    # The comparison is False for NaN.
    if not (x.min() >= 0 and x.max() <= 1):
        raise UsageError(f"{name} holds values outside [0, 1], or NaN; expected grey values in it")
    return x


def checked_latents(z, latent_dim, name="z"):
    """Returns latents as the model computes with them.

    Args:
        z: (n, latent_dim) finite floats: an array, a tensor or nested lists.
        latent_dim: number of latent dimensions.
        name: what the message calls the latents.
    Returns:
        (n, latent_dim) float32 array.
    Raises:
        UsageError: z has another shape, is not of floats, or is not finite.
    """
    z = _floats(name, z, latent_dim, "latents")
    if not np.isfinite(z).all():
        raise UsageError(f"{name} holds NaN or infinity; expected finite numbers")
    return z


def checked_samples(samples):
    """Raises UsageError unless `samples` is an integer >= 1."""
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 1:
        raise UsageError(f"samples is {samples!r}; expected an integer >= 1")


def _floats(name, values, width, wanted):
    """Returns `values` as a (n, width) float32 array; raises UsageError if they are not that."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # nested lists of different lengths
        raise UsageError(f"{name} is not an array: {error}") from error
    if array.dtype.kind not in "bf":
        raise UsageError(f"{name} is {array.dtype}; expected floats, (n, {width}) {wanted}")
    if array.ndim != 2 or array.shape[1] != width or not len(array):
        raise UsageError(f"{name} has shape {array.shape}; expected (n, {width}), with n >= 1")
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite
        return np.ascontiguousarray(array, np.float32)
