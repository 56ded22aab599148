"""Measures seconds per epoch of both implementations, and of `fit` as the tutorials call it.

They are timed in turn, round after round, so that other load on the machine affects them equally,
and each in its own process, so that they do not share threads. Noise can only raise the minimum
over all epochs. The median is the time that a user waits, and it includes the variation of a method
itself: 600 calls per epoch depend more on the operating system's scheduler than a single call.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass

import tyro

from shared.cli import exit_status
from shared.config import UsageError, recipe
from shared.data import load_data
from shared.run.folder import versions
from shared.run.implementation import import_implementation, quiet
from shared.run.process import end_process

TUTORIAL = "fit, the tutorial way"
EPOCHS = 5  # per process; the first includes the compilation and is not counted


@dataclass
class Bench:
    """Measure the seconds of training per epoch: minimum, median and ratios."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz."""
    recipe: str = "post-keras"
    """Recipe that is timed."""
    rounds: int = 5
    """Number of rounds; in each round, every method is timed once."""


def seconds_of(name, recipe_name, data_name):
    """Returns the seconds of each counted epoch of an implementation or of the tutorial way."""
    config = recipe(recipe_name, epochs=EPOCHS, step_losses=False)
    data = load_data(data_name)
    # As a user runs them, with the default progress bar, whose output is discarded here.
    with open(os.devnull, "w") as unseen, contextlib.redirect_stdout(unseen):
        if name == TUTORIAL:
            return tutorial(config, data)[1:]
        _, run = import_implementation(name).train(config, data)
        return [row["seconds"] for row in run.history[1:]]


def tutorial(config, data):
    """Trains the same model with `fit` and its defaults: one call per step, no XLA, arrays."""
    with quiet():
        import keras

        from keras_vae.model import build

    model = build(config, data.input_dim)
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    model.compile(optimizer=kinds[config.optimizer](config.learning_rate))
    seconds = []

    class Clock(keras.callbacks.Callback):
        """Times what keras_vae and tf_vae time: from the start of an epoch to its last step."""

        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            self.seconds = time.perf_counter() - self.started

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(self.seconds)

    model.fit(data.x_train, batch_size=config.batch_size, epochs=EPOCHS, callbacks=[Clock()])
    return seconds


def main():
    """Times the three methods in turn, and prints seconds and ratios."""
    bench = tyro.cli(Bench, prog="benchmarks/epoch_time.py")
    if bench.rounds < 1:
        raise UsageError(f"--rounds is {bench.rounds}; expected an integer >= 1")
    config, data = recipe(bench.recipe, epochs=EPOCHS), load_data(bench.data)

    times = {TUTORIAL: [], "keras_vae": [], "tf_vae": []}
    fresh = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, fresh, max_tasks_per_child=1) as process:
        for number in range(1, bench.rounds + 1):
            for name, seconds in times.items():
                epochs = process.submit(seconds_of, name, bench.recipe, bench.data).result()
                seconds.extend(epochs)
                shown = " ".join(f"{each:6.2f}" for each in epochs)
                print(f"round {number}  {name:<22}{shown} s", file=sys.stderr)

    print(f"{bench.recipe}, {data.name}: {data.n_train:,} images, batch {config.batch_size};")
    print(
        f"{bench.rounds} rounds, {len(times[TUTORIAL])} epochs each;"
        f" {platform.processor() or platform.machine()}"
    )
    print(", ".join(f"{name} {number}" for name, number in versions().items()))
    faster = "times as fast"
    print(f"{'seconds per epoch':<22}{'minimum':>9}{faster:>16}{'median':>10}{faster:>16}")
    for name, seconds in times.items():
        line = f"{name:<22}"
        for figure, width in ((min, 9), (statistics.median, 10)):
            ratio = figure(times[TUTORIAL]) / figure(seconds)
            line += f"{figure(seconds):>{width}.2f}{ratio:>16.2f}"
        print(line)


if __name__ == "__main__":
    end_process(exit_status(main))
