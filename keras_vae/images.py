"""The images that a caller gives to Keras: arrays, datasets, and other sources of batches.

Arrays are checked once, datasets by the types that they declare, batches while a step is traced.
"""

import warnings

import keras
import numpy as np

from shared.data.arguments import checked_images
from shared.machine.checks import UsageError

__all__ = ["as_array", "check_batch", "checked_x", "is_array", "only", "white_level_of"]


def checked_x(x, model, name, white_level):
    """Returns the images of a call of Keras as a checked array, or a checked dataset as it is.

    Args:
        x: what Keras takes: an array, a tensor, nested lists, a list or dict with one array, a
            tf.data.Dataset, or another source of batches.
        model: VAE; if its config has a scale, any finite numbers are right.
        name: what the message calls the images.
        white_level: by which uint8 pixels are divided, 255 or 1.
    Returns:
        (n, input_dim) float32 array, or x itself if it is no array.
    Raises:
        UsageError: x has another shape or type, or a value outside [0, 1], or NaN.
    """
    x, input_dim, scale = only(x), model.input_dim, model.config.scale
    if x is None:
        raise UsageError(f"{name} is missing; expected images, (n, {input_dim})")
    if hasattr(x, "element_spec"):
        _check_spec(x, input_dim, name)
    elif is_array(x):
        array = as_array(x)
        if scale is None and _type_of(array) == "uint8":
            array = array / np.float32(white_level)
        return np.asarray(checked_images(array, input_dim, name, scale=scale))
    return x


def is_array(x):
    """Returns whether all images are in memory: an array, a tensor, a table or nested lists."""
    return isinstance(x, (list, tuple)) or hasattr(x, "__array__") or keras.ops.is_tensor(x)


def as_array(x):
    """Returns x as a NumPy array; nested lists of different lengths stay a list."""
    if isinstance(x, (list, tuple)):
        return x
    return keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else np.asarray(x)


def _type_of(x):
    """Returns the name of the type of the numbers in an array or tensor of any framework."""
    dtype = getattr(x, "dtype", None)
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def only(x):
    """Returns the only element of a list or dict of inputs, as Keras accepts them."""
    if isinstance(x, dict) and len(x) == 1:
        return next(iter(x.values()))
    if isinstance(x, (list, tuple)) and len(x) == 1 and getattr(x[0], "ndim", 0) > 1:
        return x[0]
    return x


def white_level_of(xs):
    """Returns the value of a white pixel in uint8 arrays, and says so if there are any.

    As in `shared.data.load_data`: if the only integers are 0 and 1, they are binary pixels.
    """
    xs = [only(x) for x in xs]
    integers = [as_array(x) for x in xs if is_array(x) and _type_of(x) == "uint8"]
    if not integers:
        return 1
    white_level = 255 if any(x.max(initial=0) > 1 for x in integers) else 1
    taken = "divided by 255" if white_level == 255 else "all 0 or 1, and taken as binary pixels"
    warnings.warn(f"x is uint8: its grey values are {taken}, as by load_data", stacklevel=4)
    return white_level


def _check_spec(dataset, input_dim, name):
    """Checks the type and shape of the images that a dataset declares, without reading it."""
    spec = dataset.element_spec
    spec = only(spec[0] if isinstance(spec, tuple) else spec)
    if hasattr(spec, "dtype"):
        _check_type(spec, name)
    shape = getattr(spec, "shape", None)
    if shape is None or shape.rank is None:
        return
    if shape.rank != 2 or shape[1] not in (None, input_dim):
        raise UsageError(
            f"{name} is a dataset of elements of shape {tuple(shape)}; expected batches of flat"
            f" images, (None, {input_dim}), as from dataset.batch"
        )


def _check_type(x, name):
    dtype = _type_of(x)
    if "float" not in dtype and dtype != "bool":
        raise UsageError(
            f"{name} yields {dtype}; expected floats in [0, 1]: divide grey values of 0 to 255 by"
            " 255, and cast binary pixels to float32"
        )


def check_batch(x):
    """Checks what is known of a batch while the step is traced, from any source of batches.

    Args:
        x: the images of the batch, as the source yields them.
    Raises:
        UsageError: they are integers.
    """
    x = only(x)
    if hasattr(x, "dtype"):
        _check_type(x, "x")
