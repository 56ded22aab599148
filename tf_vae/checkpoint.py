"""Gather and assign the variables of a model and its optimizer by canonical name."""

import math

import numpy as np
import tensorflow as tf

from shared.config import from_dict
from shared.run.folder import read_run_weights
from shared.run.run import read_checkpoint
from tf_vae.model import build

__all__ = ["assign", "gather", "load", "named_variables", "restore", "snapshot"]


def gather(model):
    """{canonical name: array} of a model's weights, in the order of the computation."""
    return {name: variable.numpy() for name, variable in model.weights.items()}


def assign(model, weights):
    """Give a model the weights {canonical name: array}."""
    for name, variable in model.weights.items():
        variable.assign(weights[name])


def snapshot(model, optimizer, step):
    """Everything that training goes on from after `step` steps: {name: array}."""
    slots = {name: np.array(variable) for name, variable in _slots(model, optimizer).items()}
    return {"step": np.int64(step), **gather(model), **slots}


def restore(model, optimizer, path):
    """Assign a checkpoint of either implementation.

    Raises:
        UsageError: the file lacks a variable or holds one of another shape.
    """
    variables = {**model.weights, **_slots(model, optimizer)}
    arrays = read_checkpoint(path, {name: tuple(v.shape) for name, v in variables.items()})
    for name, variable in variables.items():
        variable.assign(arrays[name])
    optimizer.iterations.assign(int(arrays["step"]))


def named_variables(model, optimizer, trackers=()):
    """{name: TensorFlow variable} of all that a training step reads and writes.

    Args:
        model: VAE.
        optimizer: its optimizer.
        trackers: keras.metrics that the step updates.
    """
    named = {**model.weights, **_slots(model, optimizer)}
    named |= {v.name: v for v in optimizer.variables if v.name in ("iteration", "learning_rate")}
    named |= {f"{each.name}/{v.name}": v for each in trackers for v in each.variables}
    return {name: v if isinstance(v, tf.Variable) else v.value for name, v in named.items()}


def load(directory, epoch=None):
    """The model of a run, of either implementation, at the end of `epoch` or of the run.

    Returns:
        model, config
    Raises:
        UsageError: no run there, or it has no such weights.
    """
    values, weights = read_run_weights(directory, epoch)
    config = from_dict(values)
    model = build(config, math.prod(values["data"]["image_shape"]))
    assign(model, weights)
    return model, config


def _slots(model, optimizer):
    # Keras lists an optimizer's slots weight by weight, in the order it was built with.
    slots = [v for v in optimizer.variables if v.name not in ("iteration", "learning_rate")]
    weights = list(model.weights)
    per_weight = len(slots) // len(weights)
    return {
        f"optimizer/{slot.name.rsplit('_', 1)[-1]}/{weights[i // per_weight]}": slot
        for i, slot in enumerate(slots)
    }
