"""Trains with `tf.GradientTape`, in a loop of compiled calls of up to 128 steps each."""

import dataclasses
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from shared.objective import objective_loss
from shared.run.state import Run, check_checkpoint_steps
from shared.seeds import seed_of
from shared.training.optimizer import build_optimizer, reset_optimizer
from shared.training.trackers import StepLosses, assign_means, running_means, track_terms
from shared.weights import check_model, initial_bias
from tf_vae.batches import evaluation_batches, gathered, stored_type, training_batches
from tf_vae.checkpoint import assign, gather, restore, snapshot
from tf_vae.model import build

__all__ = ["step_losses", "train"]

IMAGES = 12800  # at most so many are in memory for one call
TERMS = ("loss", "log_likelihood", "kl")  # the logged running means, in the order of the columns


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
    with Run(out, config, data, "tf_vae", resume, overwrite) as run:
        # build
        if model is None:
            model = build(config, data.input_dim)
            assign(model, {**gather(model), **initial_bias(config, data.train)})
        optimizer = build_optimizer(config, data.n_train, model.trainable_variables)

        # restore
        if run.checkpoint:
            restore(model, optimizer, run.checkpoint)
        run.begin()

        # loop
        steps = compiled_steps(model, optimizer, stored_type(data.train))

        def save(step, losses, seconds):
            means = running_means(steps.means)
            run.save_inside_epoch(step, losses, means, seconds, snapshot(model, optimizer))

        saving = run.running, checkpoint_steps, save
        for row, losses in _loop(steps, config, data, run.step, verbose, saving=saving):
            run.finish_epoch(row, losses, gather(model), snapshot(model, optimizer))
            if on_epoch:
                on_epoch(row)

        # finish
        run.finish(gather(model))
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
    optimizer = build_optimizer(config, data.n_train, model.trainable_variables)
    steps = compiled_steps(model, optimizer, stored_type(data.train))

    # loop
    losses = []
    for seed in seeds:
        seeded = dataclasses.replace(config, seed=seed)
        weights = gather(build(seeded, data.input_dim))
        assign(model, {**weights, **initial_bias(seeded, data.train)})
        reset_optimizer(optimizer)
        epochs = _loop(steps, seeded, data, 0, verbose=0, validated=False)
        losses.append(np.concatenate([each for _, each in epochs]))
        if on_seed:
            on_seed(seed)
    return np.array(losses, dtype=np.float32)


# update


def update(model, optimizer, trackers, x, noise_seed):
    """Does one training step: computes the loss of a batch and its gradients, and applies them.

    Args:
        model: VAE.
        optimizer: a Keras optimizer built on `model.trainable_variables`; it counts the steps.
        trackers: {name: keras.metrics.Metric}, as in `compiled_steps`; they are updated.
        x: (batch, input_dim) float32 in [0, 1].
        noise_seed: () int32; the noise depends on it and on the step.
    """
    config, step = model.config, optimizer.iterations
    weights = list(model.named_weights.values())
    with tf.GradientTape() as tape:
        noise_seed = tf.stack([noise_seed, tf.cast(step, tf.int32)])
        terms = model.terms(x, noise_seed, samples=config.train_samples)
        loss = objective_loss(config, terms, step)
    optimizer.apply(tape.gradient(loss, weights), weights)
    _track(trackers, x, loss, terms)
    if config.step_losses:
        trackers["step_loss"].update_state(loss)


def validate(model, trackers, x, noise_seed):
    """Computes the loss of a batch of held-out images, without a warm-up, for the trackers.

    Args:
        model, trackers, x: as for `update`.
        noise_seed: (2,) int32, which determines the noise.
    """
    terms = model.terms(x, noise_seed)
    loss = objective_loss(model.config, terms)
    _track(trackers, x, loss, terms)


def _track(trackers, x, loss, terms):
    trackers["loss"].update_state(loss, sample_weight=tf.shape(x)[0])
    track_terms(trackers, terms["log_likelihood"], terms["kl"])


def compiled_steps(model, optimizer, dtype=tf.float32):
    """Returns the compiled functions: a loop over training steps, and one step of validation.

    XLA compiles the step in the loop as it would compile it alone. Each iteration starts with its
    batch in memory and ends with copying the next one, so no copy is fused into the step. The
    number of steps is an argument, so XLA cannot unroll a loop of a single step. The number by
    which images are divided is an argument, too: XLA would multiply by the inverse of a constant,
    and some bits would differ.

    Args:
        model: VAE.
        optimizer: a Keras optimizer built on `model.trainable_variables`.
        dtype: type of the images, uint8 or float32.
    Returns:
        Compiled
    """
    trackers, xla = {name: keras.metrics.Mean(name) for name in TERMS}, model.jit_compile
    if model.config.step_losses:
        trackers["step_loss"] = StepLosses()
    # The batch size is unknown, so that each function is traced once, as in `fit`.
    x, white = tf.TensorSpec((None, model.input_dim)), tf.TensorSpec(())
    images = tf.TensorSpec((None, None, model.input_dim), dtype)
    number, seed = tf.TensorSpec((), tf.int32), tf.TensorSpec((2,), tf.int32)

    @tf.function(jit_compile=xla, input_signature=[images, white, number, number])
    def run_steps(images, white, steps, noise_seed):
        """Trains on the first `steps` batches of `images`, (batches, batch, input_dim)."""
        # `gather`, because an index in brackets would become a constant of the compiled program.
        step = tf.constant(0)
        x = tf.cast(tf.gather(images, step), tf.float32) / white
        while step < steps:
            update(model, optimizer, trackers, x, noise_seed)
            step += 1
            x = tf.cast(tf.gather(images, tf.minimum(step, steps - 1)), tf.float32) / white

    @tf.function(jit_compile=xla, input_signature=[x, seed])
    def validation_step(x, noise_seed):
        validate(model, trackers, x, noise_seed)

    return Compiled(run_steps, validation_step, trackers)


class Compiled(NamedTuple):
    """Holds the compiled functions of a model, and the trackers that they update."""

    run_steps: Callable
    validation_step: Callable
    trackers: dict[str, keras.metrics.Metric]

    @property
    def means(self):
        """The trackers that are running means."""
        return [self.trackers[name] for name in TERMS]


# loop


def _loop(compiled, config, data, step, verbose, validated=True, saving=({}, None, None)):
    """Trains the remaining epochs after `step` steps; yields the row and step losses of each.

    `saving` holds the running means from which an interrupted epoch continues, the number of steps
    between checkpoints inside an epoch, and the function that writes one.
    """
    running, every, save = saving
    n = data.n_train
    noise_seed = tf.constant(seed_of(config.seed, "noise"))
    feed = training_batches(data.train, config, step)
    held_out = evaluation_batches(data.held_out, config) if validated else ()
    shown_as_given = [*TERMS, *(f"val_{name}" for name in TERMS)]  # otherwise the bar averages them
    for epoch, start, end in config.epoch_ends(n, step):
        images, orders = next(feed)
        if verbose:
            print(f"Epoch {epoch}/{config.total_epochs(n)}")
            progress = keras.utils.Progbar(end - start, stateful_metrics=shown_as_given)

        started, losses, done = time.perf_counter() - float(running.get("seconds", 0)), [], start
        if running:
            assign_means(compiled.means, running)
            running = {}
        calls = list(calls_of(orders, start, end, every))
        for stored, white in gathered(images, calls):
            steps = len(stored)
            compiled.run_steps(stored, white, tf.constant(steps), noise_seed)
            done += steps
            if config.step_losses:
                losses += compiled.trackers["step_loss"].take()
            if verbose:
                progress.update(done - start, list(_logs(compiled).items()), finalize=False)
            if every and done % every == 0 and done < end:
                paused = time.perf_counter()
                save(done, losses, paused - started)
                started += time.perf_counter() - paused
        row = {"epoch": epoch, "step": end, **_logs(compiled, reset=True)}
        seconds = time.perf_counter() - started  # without checkpoints and validation

        if validated:
            seed = seed_of(config.seed, "evaluation", 0)
            for number, x in enumerate(held_out):
                compiled.validation_step(x, tf.constant([seed, number]))
            row |= {f"val_{name}": value for name, value in _logs(compiled, reset=True).items()}
        row["seconds"] = seconds
        if verbose:
            shown = {key: row[key] for key in row if key not in ("epoch", "step", "seconds")}
            progress.update(end - start, list(shown.items()), finalize=True)
        yield row, losses


def calls_of(orders, start, end, every):
    """Yields the part of an epoch's order, (batches, batch), that each compiled call computes.

    A call has batches of one size, ends at a checkpoint, and holds its images in memory.
    """
    for order in orders:  # the whole batches, then a smaller last batch
        limit = min(StepLosses.CAPACITY, max(1, IMAGES // order.shape[1]))
        order, first = order[: end - start], 0
        while first < len(order):
            last = first + limit
            last = min(last, first + every - (start + first) % every) if every else last
            yield order[first:last]
            first = min(last, len(order))
        start += len(order)


def _logs(compiled, reset=False):
    """Returns the current running means; with `reset` they are then set to zero."""
    logs = {mean.name: float(mean.result()) for mean in compiled.means}
    if reset:
        for mean in compiled.means:
            mean.reset_state()
    return logs
