"""Reads and assigns the variables of a model and its optimizer by name.

The model of either implementation has `named_weights`, a dict from canonical names to its
variables; everything else in this module is the same for both.
"""

import math

import numpy as np

from shared.run.checkpoints import LEARNING_RATE, read_checkpoint
from shared.run.folder import read_run_weights
from shared.run.stopping import finished_config
from shared.training.optimizer import NO_SLOTS, constant_rate, optimizer_slots

__all__ = ["assign", "gather", "load_with", "named_variables", "restore", "snapshot"]


def gather(model):
    """Returns {canonical name: array} of a model's weights, in the order of the computation."""
    return {name: np.array(variable) for name, variable in model.named_weights.items()}


def assign(model, weights):
    """Assigns the weights {canonical name: array} to a model."""
    for name, variable in model.named_weights.items():
        variable.assign(weights[name])


def snapshot(model, optimizer):
    """Returns the weights and the optimizer's slots, {name: array}.

    A constant learning rate is there, too, if a callback has changed it from that of the config.
    """
    variables, rate = optimizer_slots(model, optimizer), constant_rate(optimizer)
    if rate is not None and np.array(rate) != np.float32(model.config.learning_rate):
        variables[LEARNING_RATE] = rate
    return {**gather(model), **{name: np.array(each) for name, each in variables.items()}}


def restore(model, optimizer, path):
    """Assigns a checkpoint of either implementation to a model and its optimizer.

    Args:
        model: VAE.
        optimizer: its optimizer, as `build_optimizer` returns it.
        path: path of the checkpoint.
    Raises:
        UsageError: the file lacks a variable or holds one of another shape.
    """
    variables = {**model.named_weights, **optimizer_slots(model, optimizer)}
    checkpoint = read_checkpoint(path, {name: tuple(v.shape) for name, v in variables.items()})
    for name, variable in variables.items():
        variable.assign(checkpoint.variables[name])
    rate = constant_rate(optimizer)
    if LEARNING_RATE in checkpoint.variables and rate is not None:
        rate.assign(checkpoint.variables[LEARNING_RATE])
    optimizer.iterations.assign(checkpoint.step)


def named_variables(model, optimizer, trackers=()):
    """Returns all variables that a training step reads and writes.

    Args:
        model: VAE.
        optimizer: its optimizer.
        trackers: keras.metrics that the step updates.
    Returns:
        {name: variable}
    """
    named = {**model.named_weights, **optimizer_slots(model, optimizer)}
    named |= {v.name: v for v in optimizer.variables if v.name in NO_SLOTS}
    return named | {f"{each.name}/{v.name}": v for each in trackers for v in each.variables}


def load_with(build):
    """Returns the function `load` of an implementation, given its `build`."""

    def load(directory, epoch=None):
        """Loads the model of a run, which either implementation may have trained.

        Args:
            directory: folder of the run.
            epoch: a pictured epoch, "best" for the weights that a run with patience keeps of its
                best epoch, or None for the end of the run.
        Returns:
            model, config: of a run that stopped early, the config has the length at which it did.
        Raises:
            UsageError: the folder holds no run, or it has no such weights.
        """
        values, weights = read_run_weights(directory, epoch)
        config = finished_config(values)
        model = build(config, math.prod(values["data"]["image_shape"]))
        assign(model, weights)
        return model, config

    return load
