"""Measures training on a million images in a folder of .npy files against 60,000 in memory.

Both take turns, round after round, each training in its own process, whose peak of memory is read
at its end. The million images are synthetic: random pixels in the shape of MNIST. The time per
image does not depend on what they show.
"""

import concurrent.futures
import multiprocessing
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.progress import track

from shared.beyond.shards.reading import shard_name
from shared.command.implementation import import_implementation
from shared.command.line import exit_status
from shared.config import recipe
from shared.data import load_data
from shared.machine.backend import IMPLEMENTATIONS
from shared.machine.process import end_process
from shared.machine.versions import versions

TEST = 10_000  # test images of both
PER_FILE = 100_000
EPOCHS = 2  # of which the last is counted; the first includes the compilation


@dataclass
class Bench:
    """Measure microseconds per image and the peak of memory, in memory and on shards."""

    images: int = 1_000_000
    """Images in the folder."""
    rounds: int = 3
    """Number of rounds; in each round, everything is measured once."""


def images(count, seed):
    """Returns (count, 28, 28) uint8 random pixels, four fifths of them black as in MNIST."""
    pixels = np.random.Generator(np.random.SFC64(seed)).integers(0, 1280, (count, 28, 28), np.int16)
    return np.where(pixels < 256, pixels, 0).astype(np.uint8)


def write_data(folder, count):
    """Writes the .npz and the folder of shards; returns their paths."""
    test = {"x_test": images(TEST, 0), "y_test": np.zeros(TEST, np.uint8)}
    small, large = folder / "memory.npz", folder / "shards"
    np.savez(small, x_train=images(60_000, 1), y_train=np.zeros(60_000, np.uint8), **test)
    large.mkdir()
    for name, array in test.items():
        np.save(large / shard_name(name, 0), array)
    for number, start in enumerate(track(range(0, count, PER_FILE), "writing images")):
        rows = min(PER_FILE, count - start)
        np.save(large / shard_name("x_train", number), images(rows, 2 + number))
        np.save(large / shard_name("y_train", number), np.zeros(rows, np.uint8))
    return small, large


def measured(name, path):
    """Returns microseconds per image of the last epoch, and the peak of memory in MiB."""
    import resource  # not on Windows

    data = load_data(str(path))
    config = recipe("post-keras", epochs=EPOCHS, step_losses=False)
    _, run = import_implementation(name).train(config, data, verbose=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return run.history[-1]["seconds"] / data.n_train * 1e6, peak


def main():
    """Measures in turn, and prints time per image, its ratio, and memory."""
    bench = tyro.cli(Bench, prog="benchmarks/shards_time.py")
    fresh = multiprocessing.get_context("spawn")
    results = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ProcessPoolExecutor(1, fresh, max_tasks_per_child=1) as process,
    ):
        small, large = write_data(Path(folder), bench.images)
        for number in range(1, bench.rounds + 1):
            for name in IMPLEMENTATIONS.values():
                for path in (small, large):
                    result = process.submit(measured, name, path).result()
                    results.setdefault((name, path), []).append(result)
                    print(f"round {number} {name} {path.name} {result}", file=sys.stderr)
    print(f"post-keras, 60,000 images in memory and {bench.images:,} in shards;")
    print(f"{bench.rounds} rounds; " + ", ".join(f"{k} {v}" for k, v in versions().items()))
    print(f"{'microseconds per image':<26}{'minimum':>9}{'median':>9}{'peak of memory':>18}")
    for name in IMPLEMENTATIONS.values():
        figures = {}
        for path, where in ((small, "in memory"), (large, "in shards")):
            times, peaks = zip(*results[name, path], strict=True)
            figures[where] = min(times), statistics.median(times)
            line = "".join(f"{each:9.2f}" for each in figures[where])
            print(f"{name + ', ' + where:<26}{line}{max(peaks):>14.0f} MiB")
        ratios = [b / a for a, b in zip(*figures.values(), strict=True)]
        print(f"{'ratio':<26}" + "".join(f"{each:9.2f}" for each in ratios))


if __name__ == "__main__":
    end_process(exit_status(main))
