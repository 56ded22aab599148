"""Checks what a caller gives to `fit`, `evaluate` and `predict` of Keras, before the first step.

Keras ignores a loss that an overridden `compute_loss` does not use, and converts grey values of 0
to 255 to floats without dividing them. Nothing is computed per step: what has been seen by nobody
before, the logs of the first epoch prove.
"""

import inspect
import math

import keras
import numpy as np

from keras_vae import backends
from keras_vae.images import as_array, checked_x, is_array, only, white_level_of
from shared.machine.backend import check_floatx
from shared.machine.checks import UsageError

__all__ = [
    "check_compiled",
    "checked_evaluation",
    "checked_fit",
    "checked_prediction",
    "named",
    "weighted",
]

OF_COMPILE = ("loss", "loss_weights", "metrics", "weighted_metrics")
BATCH_SIZE = 32  # Keras' own, if the caller gives none


def named(function, args, kwargs):
    """Returns the arguments of a call of `function` by name, {name: value}."""
    arguments = inspect.signature(function).bind(*args, **kwargs).arguments
    others = arguments.pop("kwargs", {})
    return {**arguments, **others}


def checked_fit(model, arguments):
    """Returns the arguments of `fit`, {name: value}, with checked images.

    Args:
        model: VAE, compiled.
        arguments: as `named` returns them.
    Raises:
        UsageError: an argument cannot be used, or has no effect on this model.
    """
    check_compiled(model)
    if model.compiled and model.optimizer is None:
        raise UsageError('the model was compiled without an optimizer; give one, as "adam"')
    x, y = arguments.get("x"), arguments.get("y")
    held_out = arguments.get("validation_data")
    xs = [x, keras.utils.unpack_x_y_sample_weight(held_out)[0]]
    white_level = white_level_of(xs)
    _check_weights(arguments)
    x = checked_x(x, model, "x", white_level)
    _check_target(x, y, model.input_dim)
    _check_replicas(model, x, arguments.get("batch_size"), arguments.get("steps_per_epoch"))
    arguments = _with_target({**arguments, "x": x})
    sizes = [arguments.get(name) for name in ("validation_batch_size", "batch_size")]
    if held_out is not None:
        arguments["validation_data"] = _checked_held_out(model, held_out, white_level, sizes)
    if any(each is not None and not isinstance(each, np.ndarray) for each in (x, xs[1])):
        arguments["callbacks"] = _with_callback(arguments.get("callbacks"), Proof())
    return arguments


def checked_evaluation(model, arguments):
    """Returns the arguments of `evaluate`, {name: value}, with checked images.

    Args, Raises:
        as for `checked_fit`.
    """
    if arguments.get("_use_cached_eval_dataset"):  # the validation of a `fit`
        return arguments
    check_compiled(model)
    x = arguments.get("x")
    _check_weights(arguments)
    checked = checked_x(x, model, "x", white_level_of([x]))
    _check_target(checked, arguments.get("y"), model.input_dim)
    _check_replicas(model, checked, arguments.get("batch_size"), arguments.get("steps"))
    arguments = _with_target({**arguments, "x": checked})
    if not isinstance(checked, np.ndarray):
        arguments["callbacks"] = _with_callback(arguments.get("callbacks"), Proof())
    return arguments


def checked_prediction(model, arguments):
    """Returns the arguments of `predict`, {name: value}, with checked images.

    Args, Raises:
        as for `checked_fit`.
    """
    check_floatx()
    x = arguments.get("x")
    return {**arguments, "x": checked_x(x, model, "x", white_level_of([x]))}


# compile


def check_compiled(model):
    """Checks that a model was compiled without a loss, metrics or weights of losses.

    Args:
        model: VAE, compiled or not.
    Raises:
        UsageError: it was compiled with one of them, or cannot be trained as it was compiled.
    """
    check_floatx()
    if not model.compiled:
        return  # Keras says what to do
    config = model._compile_config.config
    given = [name for name in OF_COMPILE if config.get(name) not in (None, [], {})]
    if given:
        raise UsageError(
            f"the model was compiled with {' and '.join(given)}, which it does not use: its loss is"
            " minus the ELBO of its config, and it logs log_likelihood and kl; compile it with an"
            " optimizer alone"
        )
    # Keras keeps those of an earlier call of `compile`, which was refused here.
    model._compile_loss = model._compile_metrics = None
    if replicas_of(model) > 1 and model.jit_compile:
        raise UsageError(
            "the model was compiled with jit_compile=True under a strategy of several replicas,"
            " which XLA cannot compile; compile it with jit_compile=False"
        )


def _checked_held_out(model, held_out, white_level, sizes):
    x, y, weight = keras.utils.unpack_x_y_sample_weight(held_out)
    _check_weights({"sample_weight": weight})
    x = checked_x(x, model, "x of validation_data", white_level)
    _check_target(x, y, model.input_dim)
    _check_replicas(model, x, sizes[0] or sizes[1])
    if weight is None:
        return x if y is None else (x, y)
    return x, _with_target({"x": x, "y": y, "sample_weight": weight})["y"], weight


def _check_target(x, y, input_dim):
    """Refuses images as a target that are not those of x, because the model reconstructs x."""
    if not isinstance(x, np.ndarray) or y is None or y is x or not is_array(only(y)):
        return
    y = np.asarray(as_array(only(y)))
    if y.ndim == 2 and y.shape == x.shape and input_dim > 1:
        white_level = 255 if y.dtype == np.uint8 and y.max() > 1 else 1
        if not np.array_equal(x, (y / np.float32(white_level)).astype(np.float32)):
            raise UsageError(
                "y holds images that are not those of x; the model reconstructs x, and does not"
                " use y: leave it out"
            )


# weights


def _check_weights(arguments):
    """Checks `sample_weight` and `class_weight` as far as they are arrays."""
    x, weight = arguments.get("x"), arguments.get("sample_weight")
    if arguments.get("class_weight") is not None:
        spec = getattr(x, "element_spec", None)
        labelled = isinstance(spec, tuple) if spec is not None else arguments.get("y") is not None
        if not labelled and (spec is not None or is_array(only(x))):
            raise UsageError("class_weight needs the class of each image: give the labels as y")
    if weight is None:
        return
    if isinstance(weight, (dict, list, tuple)):
        raise UsageError(
            f"sample_weight is a {type(weight).__name__}; expected an array, one weight per image"
        )
    _check_weight_shape(weight)
    if not np.isfinite(as_array(weight)).all():
        raise UsageError("sample_weight holds NaN or infinity; expected finite numbers")


def _with_target(arguments):
    """Returns the arguments with a target if there are weights, which Keras drops without one."""
    x, weight = arguments["x"], arguments.get("sample_weight")
    if weight is None or arguments.get("y") is not None or not isinstance(x, np.ndarray):
        return arguments
    return {**arguments, "y": np.zeros(len(x), np.float32)}


def _check_weight_shape(weight):
    if getattr(weight.shape, "rank", 0) is None:  # unknown in a step for weights of several shapes
        return
    shape = tuple(weight.shape)
    if len(shape) != 1 and not (len(shape) == 2 and shape[1] == 1):
        raise UsageError(f"sample_weight has shape {shape}; expected (n,), one weight per image")


def weighted(outputs, sample_weight):
    """Multiplies the terms of the objective of each image by its weight.

    Keras divides a weighted sum by the number of images, and not by the sum of the weights.

    Args:
        outputs: {name: (batch,)}, the outputs of the model.
        sample_weight: (batch,) or (batch, 1), or None for weights of 1.
    Returns:
        as `outputs`.
    Raises:
        UsageError: the weights have another shape.
    """
    if sample_weight is None:
        return outputs
    if isinstance(sample_weight, (dict, list, tuple)):
        raise UsageError("sample_weight has several parts; expected one weight per image")
    _check_weight_shape(sample_weight)
    weight = keras.ops.reshape(sample_weight, (-1,))
    return {name: term * keras.ops.cast(weight, term.dtype) for name, term in outputs.items()}


# logs


class Proof(keras.callbacks.Callback):
    """Stops after the first epoch if its logs prove that x held NaN or values outside [0, 1].

    For batches that nobody has seen before: those of a dataset, a generator or a loader.
    """

    def __init__(self):
        super().__init__()
        self.trains = self.done = False

    def on_train_begin(self, logs=None):
        self.trains = True

    def on_epoch_end(self, epoch, logs=None):
        if not self.done:
            self._check(logs, "after the first epoch")
        self.done = True

    def on_test_end(self, logs=None):
        if not self.trains:  # otherwise these logs are among those of the epoch
            self._check(logs, "in this evaluation")

    def _check(self, logs, when):
        for name in ("loss", "log_likelihood", "val_loss", "val_log_likelihood"):
            value = float((logs or {}).get(name, 0))
            if not math.isfinite(value):
                raise UsageError(
                    f"{name} is {value} {when}: x holds NaN or values outside [0, 1], or the"
                    " learning rate is too high"
                )
            if "likelihood" in name and value > 0 and self.model.config.likelihood == "bernoulli":
                raise UsageError(
                    f"{name} is {value:g} {when}; with pixels in [0, 1] a Bernoulli likelihood is"
                    " at most 0: divide grey values of 0 to 255 by 255"
                )


def _with_callback(callbacks, callback):
    """Returns the callbacks of a call with one more."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(callback)
        return callbacks
    if callbacks is None or isinstance(callbacks, (list, tuple)):
        return [*(callbacks or ()), callback]
    return [callbacks, callback]


# replicas


def replicas_of(model):
    """Returns the number of replicas that train a model, of the strategy in which it was built."""
    strategy = getattr(model, "distribute_strategy", None)  # on TensorFlow
    return strategy.num_replicas_in_sync if strategy is not None else backends.replicas()


def _check_replicas(model, x, batch_size, steps=None):
    """Checks that Keras can divide the first batch, which it averages over the replicas."""
    count = replicas_of(model)
    if count == 1 or not isinstance(x, np.ndarray):
        return
    batch_size = batch_size or (math.ceil(len(x) / steps) if steps else BATCH_SIZE)
    first = min(batch_size, len(x))
    if first % count:
        raise UsageError(
            f"the first batch has {first} images for {count} replicas; Keras needs a multiple of"
            f" {count}: give another batch_size"
        )
