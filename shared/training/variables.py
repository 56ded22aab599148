"""Reads and assigns the variables of a model and its optimizer by name.

The model of either implementation has `named_weights`, a dict from canonical names to its
variables; everything else in this module is the same for both.
"""

import math

import keras
import numpy as np

from shared.machine.checks import UsageError
from shared.run.checkpoints import LEARNING_RATE, read_checkpoint
from shared.run.folder import read_run_weights
from shared.run.network import check_same, network_of
from shared.run.stopping import finished_config
from shared.training.architecture import kept_networks
from shared.training.optimizer import NO_SLOTS, constant_rate, optimizer_slots

__all__ = ["assign", "copied", "gather", "load_with", "named_variables", "restore", "snapshot"]


def copied(variable):
    """Returns a copy of a variable's value as an array.

    `np.array` warns that variables do not know its argument `copy`; `np.asarray` does not pass it.
    """
    return np.array(np.asarray(variable))


def gather(model):
    """Returns {canonical name: array} of a model's weights, in the order of the computation.

    Of networks that were given to `assemble` these are all variables, trained or not: moving
    statistics, frozen weights, and the seeds of the noise of dropout.
    """
    return {name: copied(variable) for name, variable in model.named_weights.items()}


def assign(model, weights):
    """Assigns weights to a model.

    Args:
        model: VAE.
        weights: {canonical name: array}, as `gather` returns them from a model of the same
            networks, in either implementation.
    Raises:
        UsageError: a variable of the model is missing, has another shape, or is not the model's.
    """
    named = {name: tuple(variable.shape) for name, variable in model.named_weights.items()}
    given = {name: np.shape(array) for name, array in weights.items()}
    for name in [*named, *given]:
        if named.get(name) != given.get(name):
            found, wanted = (each.get(name, "no such weight") for each in (given, named))
            raise UsageError(
                f"the given weights have {name}: {found}, the model: {wanted}; expected the weights"
                " of a model with the same networks"
            )
    for name, variable in model.named_weights.items():
        variable.assign(weights[name])


def snapshot(model, optimizer):
    """Returns the weights and the optimizer's slots, {name: array}.

    A constant learning rate is there, too, if a callback has changed it from that of the config.
    """
    variables, rate = optimizer_slots(model, optimizer), constant_rate(optimizer)
    if rate is not None and copied(rate) != np.float32(model.config.learning_rate):
        variables[LEARNING_RATE] = rate
    return {**gather(model), **{name: copied(each) for name, each in variables.items()}}


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
    kinds = {k: keras.backend.standardize_dtype(v.dtype) for k, v in variables.items()}
    shapes = {name: tuple(v.shape) for name, v in variables.items()}
    checkpoint = read_checkpoint(path, shapes, kinds)
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


def load_with(build, assemble):
    """Returns the function `load` of an implementation, given its `build` and its `assemble`."""

    def load(directory, epoch=None, network=None):
        """Loads the model of a run, which either implementation may have trained.

        Args:
            directory: folder of the run.
            epoch: a pictured epoch, "best" for the weights that a run with patience keeps of its
                best epoch, or None for the end of the run.
            network: "FILE.py:FUNCTION", or the function of the run's own networks, which is needed
                if they are not of Keras' own layers; None never executes code of the folder.
        Returns:
            model, config: of a run that stopped early, the config has the length at which it did.
        Raises:
            UsageError: the folder holds no run, or it has no such weights, or the network is
                another one.
        """
        values, weights = read_run_weights(directory, epoch)
        config = finished_config(values)
        shape, kept = values["data"]["image_shape"], values.get("network")
        network = network_of(network)
        check_same(directory, kept, network)
        if kept is None:
            model = build(config, math.prod(shape))
        else:
            pair = kept_networks(directory, kept, network, config, shape)
            model = assemble(*pair, config, math.prod(shape), kept["jit_compile"])
        assign(model, weights)
        return model, config

    return load
