"""Times the parts of an epoch of tf_vae and of keras_vae: each row adds one to the row above it.

All loops have the same number of steps. Those of tf_vae are one call compiled by XLA. The last row
of each table is an epoch of `train` with all that the host does. The rows take turns, round after
round.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from typing import Literal

import tyro
from contestants import ours, products

from shared.command.implementation import quiet
from shared.command.line import exit_status
from shared.config import recipe
from shared.data import load_data
from shared.machine.process import end_process
from shared.show.terminal import print_table, text_table


@dataclass
class Parts:
    """Measure what a step costs beside its matrix products."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz."""
    recipe: Literal["post-keras", "post-tf"] = "post-keras"
    """The recipe of the step."""
    rounds: int = 10
    """Number of rounds; in each round, every row is timed once."""


def timed(call, *variables):
    """Returns a function that calls, waits for the variables, and returns the seconds."""

    def run():
        started = time.perf_counter()
        call()
        for variable in variables:
            variable.numpy()
        return time.perf_counter() - started

    return run


def parts_of_tf(config, data):
    """Returns {row: function that computes an epoch and returns its seconds}."""
    with quiet():
        import tensorflow as tf

        from shared.objective import objective_loss
        from shared.training.optimizer import build_optimizer
        from tf_vae.model import build
        from tf_vae.train import Steps

    model = build(config, data.input_dim)
    optimizer = build_optimizer(config, data.n_train, model.trainable_variables)
    weights = list(model.named_weights.values())
    n = data.n_train // config.batch_size * config.batch_size
    steps = n // config.batch_size
    batches = tf.constant(data.x_train[:n].reshape(steps, config.batch_size, -1))
    total = tf.Variable(0.0)
    tracked = Steps(model, optimizer)

    def loss_of(x, step, draw=None):
        return objective_loss(config, model.terms(x, tf.stack([0, step]), draw), step)

    def no_noise(shape, seed):
        return tf.zeros(shape)

    # Each part uses the value of the loss, so that XLA computes it.
    def without_noise(x, step):
        total.assign_add(loss_of(x, step, no_noise))

    def forward(x, step):
        total.assign_add(loss_of(x, step))

    def gradients(x, step):
        with tf.GradientTape() as tape:
            loss = loss_of(x, step)
        total.assign_add(loss)
        return tape.gradient(loss, weights)

    def descent(x, step):
        for weight, gradient in zip(weights, gradients(x, step), strict=True):
            weight.assign_sub(1e-9 * gradient)

    def optimized(x, step):
        optimizer.apply(gradients(x, step), weights)

    def repeated(part):
        x = batches[0]  # always the same batch, in memory

        @tf.function(jit_compile=True)
        def loop(steps):
            for step in tf.range(steps):
                part(x, step)

        return timed(lambda: loop(tf.constant(steps)), total, weights[0])

    arguments = tf.constant(1.0), tf.constant(steps), tf.constant(0)
    return {
        "five large matrix products": lambda: products.epochs(config, data, 2)[1],
        "forward: all layers and both terms of the loss": repeated(without_noise),
        "noise": repeated(forward),
        "gradients, and plain gradient descent": repeated(descent),
        f"{config.optimizer} in place of gradient descent": repeated(optimized),
        "running means, and copying of each batch": timed(
            lambda: tracked.run_steps(batches, *arguments), weights[0]
        ),
        "an epoch of tf_vae: shuffling, copies, calls": lambda: ours.epochs(
            config, data, 2, "tf_vae"
        )[1],
    }


def parts_of_keras(config, data):
    """Returns rows as `parts_of_tf`; both implementations compute the same step."""
    with quiet():
        import keras
        import tensorflow as tf

        import keras_vae.train
        import tf_vae.train
        from shared.run.schemas import MEANS
        from shared.training.optimizer import build_optimizer
        from shared.training.trackers import track_terms

    model = tf_vae.train.build(config, data.input_dim)
    optimizer = build_optimizer(config, data.n_train, model.trainable_variables)
    means = {name: keras.metrics.Mean(name) for name in MEANS}
    weight = next(iter(model.named_weights.values()))
    x = tf.constant(data.x_train[: config.batch_size])
    steps = config.steps_per_epoch(data.n_train)

    def step():
        _, terms = tf_vae.train.train_step(model, optimizer, x, tf.constant(0))
        track_terms(means, terms)

    def repeated(step, **compiled):
        @tf.function(**compiled)
        def loop(steps):
            for _ in tf.range(steps):
                step()

        return timed(lambda: loop(tf.constant(steps)), weight)

    fitted = keras_vae.train.build(config, data.input_dim)
    fit_optimizer = build_optimizer(config, data.n_train, fitted.trainable_variables)
    per_call = keras_vae.train.steps_per_call(config, data.n_train)
    keras_vae.train.compile_step(fitted, fit_optimizer, per_call)
    dataset = tf.data.Dataset.from_tensors(x).repeat()

    return {
        "the step of tf_vae, always with one batch": repeated(step, jit_compile=True),
        "a call of the compiled step per batch": repeated(tf.function(step, jit_compile=True)),
        "`fit`, with the noise of its SeedGenerator": timed(
            lambda: fitted.fit(dataset, epochs=1, steps_per_epoch=steps, verbose=0)
        ),
        "an epoch of keras_vae: stream of batches, callbacks": lambda: ours.epochs(
            config, data, 2, "keras_vae"
        )[1],
    }


def main():
    """Times the rows in turn, and prints a table for each implementation."""
    job = tyro.cli(Parts, prog="benchmarks/step_parts.py")
    config, data = recipe(job.recipe, step_losses=False), load_data(job.data)
    tables = parts_of_tf(config, data), parts_of_keras(config, data)
    seconds = [{name: [] for name in rows} for rows in tables]
    for number in range(job.rounds + 1):
        for rows, times in zip(tables, seconds, strict=True):
            for name, run in rows.items():
                times[name].append(run())
        print(f"round {number}", file=sys.stderr)
    for times in seconds:
        cells, before = [], None
        for name, (_, *each) in times.items():  # the first round compiles
            low = min(each)
            added = "" if before is None else f"{1e3 * (low - before):+.0f}"
            cells.append([name, f"{1e3 * low:.0f}", added, f"{1e3 * statistics.median(each):.0f}"])
            before = low
        header = ["part of an epoch", "minimum", "added", "median"]
        title = f"milliseconds per epoch, {job.recipe}, {data.name}"
        print_table(text_table(title, header, cells, left=1))


if __name__ == "__main__":
    end_process(exit_status(main))
