"""Trains with `compile` and `fit`: Keras runs the loop, and callbacks set the noise and record."""

import dataclasses
import itertools
import math
import time

import keras
import numpy as np

from keras_vae import backends
from keras_vae.batches import evaluation_batches, training_batches
from keras_vae.checkpoint import assign, gather, restore, snapshot
from keras_vae.model import build
from shared.run.state import Run, check_checkpoint_steps
from shared.training.optimizer import build_optimizer, reset_optimizer
from shared.training.trackers import StepLosses, assign_means, running_means
from shared.weights import check_model, initial_bias

__all__ = ["step_losses", "train"]


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
):
    """Trains a VAE, or continues an interrupted training.

    Args:
        config: shared.config.Config.
        data: shared.data.Data.
        out: folder of the run (shared/run/state.py), or None to write no files.
        resume: whether to continue from the last finished epoch in the folder.
        overwrite: whether to replace the run in the folder.
        verbose: 1 for a progress bar, 0 for no output.
        on_epoch: called with each new row of the history, a dict with the keys of folder.COLUMNS.
        model: VAE from `assemble` or `build`, whose current weights are the initial ones, for a
            training without `out`; None builds the config's dense network.
        checkpoint_steps: number of steps between checkpoints inside an epoch, or None for
            checkpoints at the end of each epoch only. It does not change any result.
    Returns:
        model, run: the trained VAE, and its shared.run.state.Run, which holds the history.
    Raises:
        UsageError: the folder cannot be used as requested, or the model does not fit the other
            arguments.
    Example:
        model, run = train(recipe("post-keras", epochs=1), load_data("mnist-5k"))
    """
    if model is not None:
        check_model(model, config, data, out)
    check_checkpoint_steps(checkpoint_steps, out)
    with Run(out, config, data, "keras_vae", resume, overwrite) as run:
        # build
        if model is None:
            model = build(config, data.input_dim)
            assign(model, {**gather(model), **initial_bias(config, data.train)})
        optimizer = compile_model(model, config, data.n_train, run.step, checkpoint_steps)

        # restore
        if run.checkpoint:
            restore(model, optimizer, run.checkpoint)
        run.begin()

        # loop
        recorder = Recorder(run, on_epoch, checkpoint_steps)
        _fit(model, config, data, run.step, [recorder], verbose)

        # finish
        run.finish(gather(model), model.save)
    return model, run


def step_losses(config, data, seeds, on_seed=None):
    """Computes the training loss of every step for several seeds, compiling only once.

    Args:
        config: shared.config.Config; its own seed is ignored.
        data: shared.data.Data.
        seeds: list of seeds.
        on_seed: called with each seed after its training.
    Returns:
        (len(seeds), steps) float32 array, nats per image.
    """
    # build
    config = dataclasses.replace(config, step_losses=True)
    model = build(config, data.input_dim)
    optimizer = compile_model(model, config, data.n_train)

    # loop
    losses = []
    for seed in seeds:
        seeded = dataclasses.replace(config, seed=seed)
        weights = gather(build(seeded, data.input_dim))
        assign(model, {**weights, **initial_bias(seeded, data.train)})
        reset_optimizer(optimizer)
        recorder = Recorder(Run(None, seeded, data, "keras_vae"))
        _fit(model, seeded, data, 0, [recorder], verbose=0, validated=False)
        losses.append(recorder.run.step_losses)
        if on_seed:
            on_seed(seed)
    return np.array(losses, dtype=np.float32)


# update


def compile_model(model, config, n, step=0, checkpoint_steps=None):
    """Compiles a model for a run on `n` training examples, and returns its new optimizer."""
    optimizer = build_optimizer(config, n, model.trainable_variables)
    # If the steps per execution do not divide the steps per epoch, `fit` overruns the epoch. The
    # first epoch may be the rest of an interrupted one, and the last may be partial.
    total, per_epoch = config.total_steps(n), config.steps_per_epoch(n)
    lengths = min(per_epoch, total), total % per_epoch, step % per_epoch
    common = math.gcd(*lengths, checkpoint_steps or 0) if backends.runs_several_steps() else 1
    backends.check_gradients(model)
    model.compile(
        optimizer=optimizer,
        jit_compile=model.objective.jit_compile,  # "auto" does not use XLA on a CPU
        steps_per_execution=max(d for d in range(1, StepLosses.CAPACITY + 1) if common % d == 0),
    )
    return optimizer


# loop


def _fit(model, config, data, step, callbacks, verbose, validated=True, share=lambda feed: feed):
    """Trains the remaining epochs after `step` steps, one call of `fit` per length of an epoch.

    `share` takes a dataset of batches and returns one of those parts that this process computes.
    """
    n = data.n_train
    held_out = share(evaluation_batches(data.held_out, config)) if validated else None
    ends = config.epoch_ends(n, step)
    for steps, stretch in itertools.groupby(ends, key=lambda epoch: epoch[2] - epoch[1]):
        stretch = list(stretch)
        (first, start, _), (last, _, _) = stretch[0], stretch[-1]
        model.fit(
            share(training_batches(data.train, config, start)),
            initial_epoch=first - 1,
            epochs=last,
            steps_per_epoch=steps,
            validation_data=held_out,
            callbacks=[Noise(config.seed, start), *callbacks],
            shuffle=False,  # the stream is shuffled already
            verbose=verbose,
        )


class Noise(keras.callbacks.Callback):
    """Sets the noise: of training by seed and step, of an evaluation by seed and batch."""

    def __init__(self, seed, step):
        super().__init__()
        self.seed = seed
        self.step = step

    def on_train_begin(self, logs=None):
        self.model.sampling.start_training_noise(self.seed, self.step)

    def on_test_begin(self, logs=None):
        self.model.sampling.start_evaluation_noise(self.seed)


class Recorder(keras.callbacks.Callback):
    """Records each finished epoch in the run: its row, its step losses and its checkpoint."""

    def __init__(self, run, on_epoch=None, checkpoint_steps=None):
        super().__init__()
        self.run = run
        self.on_epoch = on_epoch
        self.every = checkpoint_steps
        self.running = run.running  # of an epoch that was interrupted

    def on_epoch_begin(self, epoch, logs=None):
        self.steps = 0
        self.losses = []
        self.first = self.run.step
        self.started = time.perf_counter() - float(self.running.get("seconds", 0))
        self.means = [each for each in self.model.metrics if isinstance(each, keras.metrics.Mean)]
        if self.running:
            assign_means(self.means, self.running)
            self.running = {}

    def on_train_batch_end(self, batch, logs=None):
        self.seconds = time.perf_counter() - self.started  # without checkpoints and validation
        self.steps = batch + 1
        step, metric = self.first + self.steps, self.model.objective.step_losses
        save = self.every and step % self.every == 0 and self.steps < self.params["steps"]
        if metric is not None or save:
            backends.synchronize(self.model)
        if metric is not None:
            self.losses.extend(metric.take())
        if save:
            means = running_means(self.means)
            variables = snapshot(self.model, self.model.optimizer)
            self.run.save_inside_epoch(step, self.losses, means, self.seconds, variables)
            self.started = time.perf_counter() - self.seconds

    def on_epoch_end(self, epoch, logs=None):
        step = self.first + self.steps
        names = ("loss", "log_likelihood", "kl")
        names = (*names, *(f"val_{name}" for name in names))
        values = {name: float(logs[name]) for name in names if name in logs}
        row = {"epoch": epoch + 1, "step": step, **values}
        row["seconds"] = self.seconds
        variables = snapshot(self.model, self.model.optimizer)
        self.run.finish_epoch(row, self.losses, gather(self.model), variables)
        if self.on_epoch:
            self.on_epoch(row)
