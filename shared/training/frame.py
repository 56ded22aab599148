"""The frame of a training: build, restore, loop, finish.

An implementation gives its model, its step and its loop. What surrounds them is the same for both.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from shared.machine.backend import check_floatx
from shared.machine.checks import UsageError
from shared.run.network import network_of
from shared.run.state import Run, check_checkpoint_steps
from shared.training.architecture import keep, kept_networks, kept_text, networks_of
from shared.training.optimizer import build_optimizer, reset_optimizer
from shared.training.record import EpochRecord
from shared.training.variables import assign, gather, restore, snapshot

__all__ = ["SEVERAL_REPLICAS", "Implementation", "check_model", "step_losses_with", "train_with"]

# Of either implementation; the number of replicas is filled in.
SEVERAL_REPLICAS = (
    "train is called in the scope of a strategy with {} replicas; call it outside of the scope, and"
    " train on several devices with the flags --virtual-devices or --workers"
)


class Implementation(NamedTuple):
    """Holds the functions of an implementation of which a training consists."""

    name: str
    """keras_vae or tf_vae."""
    check: Callable
    """Raises UsageError, given the model or None, if the framework is not set to one device."""
    build: Callable
    """Returns the model with its initial weights, from (config, input_dim, x_train)."""
    assemble: Callable
    """Returns the model of given networks, from (encoder, decoder, config, input_dim, xla)."""
    prepare: Callable
    """Compiles the step, from (model, optimizer, run, checkpoint_steps), and returns what
    `run_epochs` takes first."""
    run_epochs: Callable
    """Trains the remaining epochs of a run, from (prepared, run, record, verbose, validated,
    callbacks); returns None, or what is called after the run's files have been written."""
    check_callbacks: Callable
    """Raises UsageError, from (callbacks, config), for callbacks that `run_epochs` cannot call."""
    save: Callable | None = None
    """Writes the whole model, from (model, path ending in .keras), if the framework can."""


def train_with(implementation):
    """Returns the function `train` of an implementation, from its functions."""

    def train(
        config,
        data,
        out=None,
        resume=False,
        overwrite=False,
        verbose=1,
        on_epoch=None,
        model=None,
        checkpoint_steps=None,
        network=None,
        callbacks=(),
        on_steps=None,
    ):
        """Trains a VAE, or continues an interrupted training.

        Args:
            config: shared.config.Config.
            data: shared.data.Data.
            out: folder of the run (shared/run/state.py), or None to write no files.
            resume: whether to continue from the last finished epoch in the folder.
            overwrite: whether to replace the run in the folder.
            verbose: 1 for a progress bar, 0 for no output.
            on_epoch: called with each new row of the history, a dict with the keys of
                shared.run.schemas.COLUMNS.
            model: VAE from `assemble` or `build`, whose current weights are the initial ones, for a
                training without `out`; None builds the config's dense network, or `network`.
            checkpoint_steps: number of steps between checkpoints inside an epoch, or None for
                checkpoints at the end of each epoch only. It does not change any result.
            network: "FILE.py:FUNCTION", or a function of (config, image_shape) that returns an
                encoder and a decoder, as `assemble` takes them; the folder keeps what it takes to
                build them again.
            callbacks: for keras_vae, a list of keras.callbacks.Callback, which `fit` calls; for
                tf_vae, a list of functions of (model, optimizer, row), called after each epoch with
                its row of the history, which end the training if they return True. They may assign
                `optimizer.learning_rate`, which checkpoints then hold. A checkpoint has no other
                state of them: a resumed training begins with new callbacks.
            on_steps: called with the number of steps done after each call of the compiled step.
        Returns:
            model, run: the trained VAE, and its shared.run.state.Run, which holds the history. The
            run's weights are those of its last epoch, also if a callback of Keras has given the
            model its best weights back.
        Raises:
            UsageError: the folder cannot be used as requested, the model does not fit the other
                arguments, a callback is none of this implementation, or the framework is set to
                several devices or to another type of floats.
            shared.machine.process.Stopped: a loss or a weight is not finite.
        Example:
            model, run = train(recipe("post-keras", epochs=1), load_data("mnist-5k"))
        """
        implementation.check(model)
        check_floatx()
        if model is not None:
            check_model(model, config, data, out, network)
        check_checkpoint_steps(checkpoint_steps, out)
        check_list(callbacks)
        implementation.check_callbacks(callbacks, config)
        network = network_of(network)
        with Run(out, config, data, implementation.name, resume, overwrite, network) as run:
            # build
            if model is None:
                model = build_model(implementation, run)
            optimizer = build_optimizer(config, data.n_train, model.trainable_variables)
            prepared = implementation.prepare(model, optimizer, run, checkpoint_steps)

            # restore
            if run.checkpoint:
                restore(model, optimizer, run.checkpoint)
            run.begin(callbacks)

            # loop
            record = EpochRecord(
                run, lambda: snapshot(model, optimizer), on_epoch, checkpoint_steps, on_steps
            )
            end = implementation.run_epochs(prepared, run, record, verbose, callbacks=callbacks)

            # finish
            save = implementation.save and functools.partial(implementation.save, model)
            run.finish(gather(model), save)
            if end:
                end()
        return model, run

    return train


def build_model(implementation, run):
    """Builds the model of a run: the config's dense network, or the one that the run brings.

    Args:
        implementation: Implementation.
        run: shared.run.state.Run.
    Returns:
        VAE, with its initial weights.
    Raises:
        UsageError: the network cannot be built, or is not the one of the run's folder.
    """
    config, data, kept = run.config, run.data, run.progress.network
    if run.network is None and kept is None:
        return implementation.build(config, data.input_dim, data.train)
    if config.output_bias != "zero":
        raise UsageError(
            f"output_bias is {config.output_bias}, which is the bias of the dense network; leave it"
            " out, or set the initial weights in the function of the network"
        )
    if kept is None:
        pair, xla = networks_of(run.network, config, data.image_shape), None
    else:
        pair = kept_networks(run.directory, kept, run.network, config, data.image_shape)
        xla = kept["jit_compile"]
    model = implementation.assemble(*pair, config, data.input_dim, xla)
    if run.directory is not None:
        text = kept and kept_text(run.directory, kept)
        run.keep_network(*((kept, text) if text else keep(run.network, pair, model)))
    return model


def step_losses_with(implementation):
    """Returns the function `step_losses` of an implementation, from its functions."""

    def step_losses(config, data, seeds, on_seed=None):
        """Computes the training loss of every step for several seeds, compiling only once.

        Args:
            config: shared.config.Config; its own seed is ignored.
            data: shared.data.Data.
            seeds: list of seeds.
            on_seed: called with each seed after its training.
        Returns:
            (len(seeds), steps) float32 array, nats per image.
        Raises:
            UsageError: the framework is set to several devices or to another type of floats.
            shared.machine.process.Stopped: a loss or a weight is not finite.
        """
        implementation.check(None)
        check_floatx()
        config = dataclasses.replace(config, step_losses=True, patience=None)  # no validation
        model = implementation.build(config, data.input_dim, data.train)
        optimizer = build_optimizer(config, data.n_train, model.trainable_variables)
        prepared = implementation.prepare(
            model, optimizer, Run(None, config, data, implementation.name), None
        )
        losses = []
        for seed in seeds:
            run = Run(None, dataclasses.replace(config, seed=seed), data, implementation.name)
            assign(model, gather(implementation.build(run.config, data.input_dim, data.train)))
            reset_optimizer(optimizer)
            record = EpochRecord(run, lambda: snapshot(model, optimizer))
            implementation.run_epochs(prepared, run, record, verbose=0, validated=False)
            losses.append(run.step_losses)
            if on_seed:
                on_seed(seed)
        return np.array(losses, dtype=np.float32)

    return step_losses


def check_list(callbacks):
    """Raises UsageError unless the callbacks are a list or tuple."""
    if not isinstance(callbacks, list | tuple):
        raise UsageError(f"callbacks is {callbacks!r}; expected a list of callbacks")


def check_model(model, config, data, out, network=None):
    """Checks that a model given to `train` fits the other arguments.

    Args:
        model: VAE of either implementation.
        config, data, out, network: the arguments of `train`.
    Raises:
        UsageError: a run folder is given, the model has another config or image size, or the config
            asks for an initial output bias, which a given model already has.
    """
    if network is not None:
        raise UsageError("model and network exclude each other; give one")
    if out is not None:
        raise UsageError(
            f"out is {out} and a model is given, which a run folder cannot build again: give the"
            " function that returns its encoder and decoder as `network`, or leave out `out`"
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
            f"output_bias is {config.output_bias} and a model is given, whose current weights are"
            " the initial ones: leave out output_bias, and assign the bias from initial_bias"
        )
