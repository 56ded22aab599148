"""Measures what a checkpoint costs, and how long it takes to read and check the state of a run.

python benchmarks/checkpoint_time.py [--out DIR]     # the folder decides which disk is measured
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from shared.config import recipe
from shared.data import load_data
from shared.run.checkpoints import CHECKPOINT
from shared.run.schemas import COLUMNS
from shared.run.state import Run
from shared.weights import slot_shapes, weight_shapes

EPOCHS = 40


def milliseconds(action):
    """The time of one call."""
    started = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - started)


def main():
    """Prints minimum and median for two recipes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for temporary files")
    out, data = parser.parse_args().out, load_data("auto")
    for name in ("post-keras", "nats"):
        config = recipe(name, epochs=EPOCHS + 1)
        shapes = weight_shapes(config, data.input_dim)
        random, writing, reading = np.random.RandomState(0), [], []
        variables = {
            each: random.normal(size=shape).astype(np.float32)
            for each, shape in {
                **shapes,
                **slot_shapes(config, weight_shapes(config, data.input_dim)),
            }.items()
        }
        with tempfile.TemporaryDirectory(dir=out) as folder:
            directory = Path(folder) / "run"
            with Run(directory, config, data, "tf_vae") as run:
                run.begin()
                for epoch, _, end in config.epoch_ends(data.n_train):
                    row = dict.fromkeys(COLUMNS, 1.0) | {"epoch": epoch, "step": end}
                    if epoch <= EPOCHS:
                        record = (row, [], variables)
                        writing.append(milliseconds(lambda r=record: run.finish_epoch(*r)))
            for _ in range(EPOCHS):
                again = (directory, config, data, "tf_vae", True)
                reading.append(milliseconds(lambda a=again: Run(*a).check()))
            size = (directory / CHECKPOINT).stat().st_size / 1e6
        for what, times in (("checkpoint", writing), ("state read and checked", reading)):
            print(
                f"{name}, {what}: {min(times):.1f} ms, median {statistics.median(times):.1f} ms"
                f" ({size:.1f} MB, {data.name})"
            )


if __name__ == "__main__":
    main()
