"""Times the parts of an epoch of tf_vae: each row adds one part to the row above it.

All loops have the same number of steps in one call compiled by XLA, except for the last row, which
is an epoch of `train` with all that the host does. The rows take turns, round after round.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from typing import Literal

import tyro
from contestants import ours, products

from shared.cli import exit_status
from shared.config import recipe
from shared.data import load_data
from shared.run.implementation import quiet
from shared.run.process import end_process
from shared.show.tables import print_table, text_table


@dataclass
class Parts:
    """Measure what a step costs beside its matrix products."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz."""
    recipe: Literal["post-keras", "post-tf"] = "post-keras"
    """The recipe of the step."""
    rounds: int = 10
    """Number of rounds; in each round, every row is timed once."""


def loops(config, data):
    """Returns {row: function that computes an epoch and returns its seconds}."""
    with quiet():
        import tensorflow as tf

        from shared.objective import objective_loss
        from shared.optimizer import build_optimizer
        from tf_vae.model import build
        from tf_vae.train import compiled_steps

    model = build(config, data.input_dim)
    optimizer = build_optimizer(config, data.n_train, model.trainable_variables)
    weights = list(model.named_weights.values())
    n = data.n_train // config.batch_size * config.batch_size
    steps = n // config.batch_size
    batches = tf.constant(data.x_train[:n].reshape(steps, config.batch_size, -1))
    total = tf.Variable(0.0)
    tracked = compiled_steps(model, optimizer)

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

    def timed(part):
        x = batches[0]  # always the same batch, in memory

        @tf.function(jit_compile=True)
        def loop(steps):
            for step in tf.range(steps):
                part(x, step)

        def run():
            started = time.perf_counter()
            loop(tf.constant(steps))
            total.numpy(), weights[0].numpy()  # waits until all is computed
            return time.perf_counter() - started

        return run

    def whole():
        arguments = tf.constant(1.0), tf.constant(steps), tf.constant(0)
        started = time.perf_counter()
        tracked.run_steps(batches, *arguments)
        weights[0].numpy()
        return time.perf_counter() - started

    return {
        "five large matrix products": lambda: products.epochs(config, data, 2)[1],
        "forward: all layers and both terms of the loss": timed(without_noise),
        "noise": timed(forward),
        "gradients, and plain gradient descent": timed(descent),
        f"{config.optimizer} in place of gradient descent": timed(optimized),
        "running means, and copying of each batch": whole,
        "an epoch of tf_vae: shuffling, copies, calls": lambda: ours.epochs(
            config, data, 2, "tf_vae"
        )[1],
    }


def main():
    """Times the rows in turn, and prints a table."""
    job = tyro.cli(Parts, prog="benchmarks/step_parts.py")
    config, data = recipe(job.recipe, step_losses=False), load_data(job.data)
    rows = loops(config, data)
    seconds = {name: [] for name in rows}
    for number in range(job.rounds + 1):
        for name, run in rows.items():
            seconds[name].append(run())
        print(f"round {number}", file=sys.stderr)
    cells, before = [], None
    for name, (_, *each) in seconds.items():  # the first round compiles
        low = min(each)
        added = "" if before is None else f"{1e3 * (low - before):+.0f}"
        cells.append([name, f"{1e3 * low:.0f}", added, f"{1e3 * statistics.median(each):.0f}"])
        before = low
    header = ["part of an epoch", "minimum", "added", "median"]
    print_table(
        text_table(f"milliseconds per epoch, {job.recipe}, {data.name}", header, cells, left=1)
    )


if __name__ == "__main__":
    end_process(exit_status(main))
