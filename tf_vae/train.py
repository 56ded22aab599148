"""Trains with `tf.GradientTape`: one step, the loop that calls it, and the training of a run."""

import functools

import keras
import numpy as np
import tensorflow as tf

from shared.data import evaluation_images
from shared.machine.checks import UsageError
from shared.objective import objective_loss
from shared.run.schemas import LOGS, MEANS, PENALTY
from shared.seeds import seed_of
from shared.training.frame import (
    SEVERAL_REPLICAS,
    Implementation,
    step_losses_with,
    train_with,
)
from shared.training.trackers import StepLosses, assign_means, running_means, track_terms
from tf_vae.batches import gathered, in_order, stored_type, training_batches
from tf_vae.model import assemble, build

__all__ = ["step_losses", "train"]


# step


def train_step(model, optimizer, x, noise_seed):
    """Does one training step: computes the loss of a batch and its gradients, and applies them.

    Args:
        model: VAE.
        optimizer: a Keras optimizer built on `model.trainable_variables`; it counts the steps.
        x: (batch, input_dim) float32 in [0, 1].
        noise_seed: () int32; the noise depends on it and on the step.
    Returns:
        loss, terms: a scalar in nats per image, and shared.objective.Terms.
    """
    step = optimizer.iterations
    weights = model.trainable_variables
    with tf.GradientTape() as tape:
        seed = tf.stack([noise_seed, tf.cast(step, tf.int32)])
        terms = model.terms(x, seed, samples=model.config.train_samples, training=True)
        if model.penalty:  # of regularizers and `add_loss`
            terms = terms._replace(penalty=model.penalty())
        loss = objective_loss(model.config, terms, step)
    gradients = tape.gradient(loss, weights)
    optimizer.apply(gradients, weights)
    return loss, terms


def validation_step(model, x, noise_seed):
    """Computes the loss of a batch of held-out images, without a warm-up of the KL.

    Args:
        model, x: as for `train_step`.
        noise_seed: (2,) int32, which determines the noise.
    Returns:
        loss, terms: as for `train_step`.
    """
    terms = model.terms(x, noise_seed)
    return objective_loss(model.config, terms), terms


class Steps:
    """Compiles the two steps of a model, and keeps the running means that they update."""

    def __init__(self, model, optimizer, dtype=tf.float32):
        """Declares the compiled functions; each is traced once, when it is called first.

        XLA compiles the step in the loop as it would compile it alone: docs/proof.md has the rules.

        Args:
            model: VAE.
            optimizer: a Keras optimizer built on `model.trainable_variables`.
            dtype: type of the stored images, uint8 or float32.
        """
        self.model, self.optimizer = model, optimizer
        names = [*MEANS, PENALTY] if model.penalty else MEANS
        self.means = {name: keras.metrics.Mean(name) for name in names}
        self.losses = StepLosses() if model.config.step_losses else None
        # The batch size is unknown, as in `fit`; a known one would be a constant of the step.
        stored = tf.TensorSpec((None, None, model.input_dim), dtype)
        batch, number = tf.TensorSpec((None, model.input_dim)), tf.TensorSpec(())
        integer, pair = tf.TensorSpec((), tf.int32), tf.TensorSpec((2,), tf.int32)
        compiled = functools.partial(tf.function, jit_compile=model.jit_compile)

        # Stored pixels are divided by the white level, 255 or 1. It is an argument, because XLA
        # would multiply by the inverse of a constant, which gives other bits than the feed of
        # `fit`. The number of steps is one, because XLA would unroll a loop of a single step.
        @compiled(input_signature=[stored, number, integer, integer])
        def run_steps(images, white_level, steps, noise_seed):
            """Trains on the first `steps` batches of `images`, (batches, batch, input_dim)."""

            def batch_of(step):
                # `gather`, because an index in brackets would become a constant of the program.
                return tf.cast(tf.gather(images, step), tf.float32) / white_level

            # An iteration begins with its batch in memory and ends with copying the next one, so no
            # copy is fused into the step.
            step = tf.constant(0)
            x = batch_of(step)
            while step < steps:
                loss, terms = train_step(model, optimizer, x, noise_seed)
                self._track(x, loss, terms)
                if self.losses:
                    self.losses.update_state(loss)
                step += 1
                x = batch_of(tf.minimum(step, steps - 1))

        @compiled(input_signature=[batch, pair])
        def validate(x, noise_seed):
            """Adds a batch of held-out images to the running means."""
            self._track(x, *validation_step(model, x, noise_seed))

        self.run_steps, self.validate = run_steps, validate

    def _track(self, x, loss, terms):
        self.means["loss"].update_state(loss, sample_weight=tf.shape(x)[0])
        track_terms(self.means, terms)

    def run(self, images, white_level, noise_seed):
        """Trains on each batch of `images`, and returns the losses if the config asks for them."""
        self.run_steps(images, white_level, tf.constant(len(images)), noise_seed)
        return self.losses.take() if self.losses else []

    def logs(self, reset=False):
        """Returns the running means, {name: float}; with `reset` they are then set to zero."""
        logs = {name: float(mean.result()) for name, mean in self.means.items()}
        if reset:
            for mean in self.means.values():
                mean.reset_state()
        return logs

    def running(self):
        """Returns the running means as a checkpoint holds them, {name: (total, count)}."""
        return running_means(self.means.values())

    def continue_from(self, running):
        """Continues the running means of an interrupted epoch, as `running` returned them."""
        assign_means(self.means.values(), running)


# loop

IMAGES = 12800  # at most so many are in memory for one call


def run_epochs(steps, run, record, verbose=1, validated=True, callbacks=()):
    """Trains the remaining epochs of a run.

    Args:
        steps: Steps, or an object with the same methods (tf_vae/beyond/workers.py).
        run: shared.run.state.Run.
        record: shared.training.record.EpochRecord.
        verbose: 1 for a progress bar, 0 for no output.
        validated: whether the loss of the held-out images is computed after each epoch.
        callbacks: functions of (model, optimizer, row), called before the epoch is recorded.
    """
    config, data = run.config, run.data
    noise_seed = tf.constant(seed_of(config.seed, "noise"))
    feed = training_batches(data.train, config, run.step)
    # As `evaluation_batches`, but the pixels are drawn once and read in every epoch.
    held_out = evaluation_images(data.held_out, config) if validated else ()
    for epoch, start, end in config.epoch_ends(data.n_train, run.step):
        if run.stopped:
            break
        if verbose:
            print(f"Epoch {epoch}/{config.total_epochs(data.n_train)}")
        bar = progress_bar(end - start, verbose)
        images, orders = next(feed)
        if running := record.begin(epoch, end):
            steps.continue_from(running)
        done = start
        for stored, white_level in gathered(images, calls(orders, start, end, record)):
            losses = steps.run(stored, white_level, noise_seed)
            done += len(stored)
            record.add(done, losses, steps.running)
            bar(done - start, steps.logs)
        values = steps.logs(reset=True)

        if validated:
            seed = seed_of(config.seed, "evaluation", 0)
            for number, x in enumerate(in_order(held_out)):
                steps.validate(x, tf.constant([seed, number]))
            logs = steps.logs(reset=True)
            values |= {f"val_{name}": logs[name] for name in MEANS}
        bar(end - start, lambda values=values: values, finalize=True)
        row = record.row(values)
        answers = [each(steps.model, steps.optimizer, dict(row)) for each in callbacks]
        # An answer may be anything, e.g. an assigned variable; True alone ends the training.
        record.finish(values, any(isinstance(a, bool | np.bool_) and a for a in answers))


def progress_bar(target, verbose):
    """Returns a function of (step, logs) that draws Keras' progress bar, or nothing.

    `logs` is a function, because reading the running means takes time.
    """
    if not verbose:
        return lambda *_, **__: None
    bar = keras.utils.Progbar(target, stateful_metrics=LOGS)  # otherwise the bar averages them
    return lambda done, logs, finalize=False: bar.update(done, [*logs().items()], finalize)


def calls(orders, start, end, record):
    """Returns the parts of an epoch's order, (batches, batch), that each compiled call computes.

    A call has batches of one size, ends at a checkpoint, and holds its images in memory.
    """
    parts, every = [], record.checkpoint_steps
    for order in orders:  # the whole batches, then a smaller last batch
        limit = min(StepLosses.CAPACITY, max(1, IMAGES // order.shape[1]))
        order, first = order[: end - start], 0
        while first < len(order):
            last = first + limit
            last = min(last, first + every - (start + first) % every) if every else last
            parts.append(order[first:last])
            first = min(last, len(order))
        start += len(order)
    return parts


# train


def prepare(model, optimizer, run, checkpoint_steps):
    """Compiles the step, and returns the first argument of `run_epochs`; calls end anywhere."""
    return Steps(model, optimizer, stored_type(run.data.train))


def check_callbacks(callbacks, config):
    """Checks that the loop can call the callbacks.

    Args:
        callbacks: list.
        config: shared.config.Config, which excludes none.
    Raises:
        UsageError: one is no function.
    """
    for number, each in enumerate(callbacks):
        if isinstance(each, type) or not callable(each):
            raise UsageError(
                f"callbacks[{number}] is {each!r}; tf_vae takes functions of"
                " (model, optimizer, row), and callbacks of Keras only keras_vae"
            )


def check_devices(model=None):
    """Checks that `train` can compute on one device, as it does.

    Args:
        model: VAE that is given to `train`, or None.
    Raises:
        UsageError: it is called in the scope of a strategy of several replicas.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        raise UsageError(SEVERAL_REPLICAS.format(replicas))


IMPLEMENTATION = Implementation(
    "tf_vae", check_devices, build, assemble, prepare, run_epochs, check_callbacks
)
train = train_with(IMPLEMENTATION)
step_losses = step_losses_with(IMPLEMENTATION)
