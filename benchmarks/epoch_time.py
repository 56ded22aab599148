"""Seconds an epoch of the two versions, beside `fit` the way the tutorials have it.

All run in turn, round after round, in one process, so that a noisy machine disturbs them alike; the
minimum over the rounds is the figure that noise can only raise.
"""

import dataclasses
import platform
import sys
import time
from dataclasses import dataclass

import tyro

from shared.cli import exit_status, import_version
from shared.config import UsageError, recipe
from shared.data import load_data
from shared.run import versions


@dataclass
class Bench:
    """Minimum seconds of one epoch, of training alone, and ratios."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz."""
    recipe: str = "post-keras"
    """Recipe that is timed."""
    rounds: int = 5
    """Epochs of each, in turn, after one that compiles."""


def tutorial(config, data):
    """One epoch of the same model by `fit` with its defaults: a call a step, no XLA, arrays."""
    import keras

    from keras_vae.model import build

    model = build(config, data.input_dim)
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    model.compile(optimizer=kinds[config.optimizer](config.learning_rate))

    def epoch():
        started = time.perf_counter()
        model.fit(data.x_train, batch_size=config.batch_size, epochs=1, verbose=0)
        return time.perf_counter() - started

    return epoch


def version(module, config, data):
    """Epochs of one version, as its own `train` runs and times them, one a call."""
    import queue
    import threading

    seconds, turn = queue.Queue(), threading.Semaphore(0)

    def on_epoch(row):
        seconds.put(row["seconds"])
        turn.acquire()  # the others have their turn

    def train():
        turn.acquire()
        module.train(config, data, verbose=0, on_epoch=on_epoch)

    threading.Thread(target=train, daemon=True).start()

    def epoch():
        turn.release()
        return seconds.get()

    return epoch


def main():
    """Time the three in turn and print minimum seconds and ratios."""
    bench = tyro.cli(Bench, prog="benchmarks/epoch_time.py")
    if bench.rounds < 1:
        raise UsageError(f"--rounds is {bench.rounds}; expected an integer >= 1")
    config = dataclasses.replace(
        recipe(bench.recipe, epochs=bench.rounds + 1), picture_epochs=(), step_losses=False
    )
    data = load_data(bench.data)
    modules = [import_version(package) for package in ("keras_vae", "tf_vae")]
    epochs = {"fit, the tutorial way": tutorial(config, data)}
    epochs |= {module.name: version(module, config, data) for module in modules}

    times = {name: [] for name in epochs}
    for number in range(bench.rounds + 1):
        for name, epoch in epochs.items():
            seconds = epoch()
            if number:  # the first epoch compiles
                times[name].append(seconds)
            print(f"round {number}  {name:<22} {seconds:6.2f} s", file=sys.stderr)

    slow = min(times["fit, the tutorial way"])
    print(f"{bench.recipe}, {data.name}: {len(data.x_train):,} images, batch {config.batch_size};")
    print(f"minimum of {bench.rounds} rounds in turn; {platform.processor() or platform.machine()}")
    print(", ".join(f"{name} {number}" for name, number in versions().items()))
    for name, seconds in times.items():
        print(
            f"{name:<22} {min(seconds):6.2f} s an epoch   {slow / min(seconds):5.2f} times as fast"
        )


if __name__ == "__main__":
    sys.exit(exit_status(main))
