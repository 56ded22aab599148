"""Times every contestant: epochs, start, evaluation, and growth with the size of the model.

The contestants take turns, round after round, so that other load on the machine affects them
equally, and each runs in a process of its own, so that they do not share threads. Noise can only
raise the minimum over all epochs. The median is the time that a user waits. Ratios are to the
matrix products of a step, timed in the same rounds. PyTorch and JAX come with `make
setup-backends`; without them, their rows are left out.
"""

import functools
import importlib.util
import json
import platform
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import bench_figures
import tyro
from benchmark_tasks import CONTESTANTS, evaluation_of, growth_of, in_new_process, seconds_of
from rich.console import Console

from shared.command.line import exit_status
from shared.config import recipe
from shared.data import load_data
from shared.machine.checks import UsageError
from shared.machine.process import end_process
from shared.machine.versions import versions
from shared.run.files import read_text, write_json
from shared.show.figures import plots
from shared.show.terminal import print_table, text_table

PARTS = ("epochs", "start", "evaluation", "growth")
FLOOR = "five matrix products"
# What changes in each series of the part "growth": a field of the config, or the number of images.
SERIES = {
    "batch_size": (32, 100, 512, 2048, 4096),
    "hidden_dims": (64, 256, 1024, 4096),
    "images": (5_000, 60_000, 600_000),
}
OURS = ("keras_vae", "tf_vae")


@dataclass
class Bench:
    """Measure seconds per epoch and what a user waits for elsewhere, of all contestants."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz."""
    parts: list[Literal["epochs", "start", "evaluation", "growth"]] = field(
        default_factory=lambda: list(PARTS)
    )
    """What to measure."""
    rounds: int = 5
    """Number of rounds; in each round, every contestant is timed once."""
    epochs: int = 5
    """Epochs per contestant and round; the first includes the compilation and is not counted."""
    threads: list[int] = field(default_factory=lambda: [1, 2])
    """Numbers of threads that compute an operation, for the part "epochs". Both implementations
    have one unless they are given --threads; the other parts are of the first."""
    out: Path = Path("runs/bench")
    """Folder of bench.json, bench_epochs.png and bench_growth.png."""
    draw: bool = False
    """Measure nothing; draw the figures again from the bench.json in the folder."""


@functools.cache  # so that the lines are printed once
def contestants():
    """Returns the names of those whose packages are installed, and prints a line for each other."""
    present = []
    for name, contestant in CONTESTANTS.items():
        if importlib.util.find_spec(contestant.package) is None:
            print(f"{name}: left out, {contestant.package} is not installed", file=sys.stderr)
        else:
            present.append(name)
    return present


def measure_epochs(bench, say):
    """Returns {recipe: {contestant: {threads, as a string: seconds of each counted epoch}}}."""
    timed = {"post-keras": contestants(), "post-tf": OURS}
    found = {
        recipe_name: {name: {str(threads): [] for threads in bench.threads} for name in names}
        for recipe_name, names in timed.items()
    }
    turns = [
        (recipe_name, name, threads)
        for recipe_name, names in timed.items()
        for threads in bench.threads
        for name in names
    ]
    for number in range(1, bench.rounds + 1):
        for turn in turns:
            recipe_name, name, threads = turn
            arguments = name, recipe_name, bench.data, bench.epochs, threads
            seconds = in_new_process(seconds_of, *arguments)["epochs"]
            found[recipe_name][name][str(threads)] += seconds[1:]
            shown = " ".join(f"{value:.2f}" for value in seconds)
            say(f"round {number}, {recipe_name}, {name}, {threads} threads: {shown} s")
    return found


def measure_start(bench, say):
    """Returns {contestant: {"import", "first_step", "peak"}}, the medians over the rounds."""
    found = {name: [] for name in contestants()}
    for number in range(1, bench.rounds + 1):
        for name, results in found.items():
            results.append(in_new_process(seconds_of, name, "post-keras", bench.data, 0))
            say(f"round {number}, {name}: first step after {results[-1]['first_step']:.1f} s")
    keys = ("import", "first_step", "peak")
    return {
        name: {key: statistics.median(each[key] for each in results) for key in keys}
        for name, results in found.items()
    }


def measure_evaluation(bench, say):
    """Returns {implementation: {what: seconds}}, the minima over the rounds."""
    found = {name: [] for name in OURS}
    for number in range(1, bench.rounds + 1):
        for name, results in found.items():
            results.append(in_new_process(evaluation_of, name, bench.data))
            say(f"round {number}, {name}: {results[-1]}")
    return {
        name: {key: min(each[key] for each in results) for key in results[0]}
        for name, results in found.items()
    }


def measure_growth(bench, say):
    """Returns {series: {implementation: {value: microseconds per image}}}, of one epoch each."""
    found = {}
    for series, values in SERIES.items():
        found[series] = {name: {} for name in OURS}
        for value in values:
            for name, results in found[series].items():
                results[value] = in_new_process(growth_of, name, bench.data, series, value)
                say(f"{series} {value:,}, {name}: {results[value]:.2f} µs per image")
    return found


def tables(results):
    """Yields a table of each part."""
    for recipe_name, all_found in results.get("epochs", {}).items():
        for threads in next(iter(all_found.values())):
            found = {name: seconds[threads] for name, seconds in all_found.items()}
            floor = min(found[FLOOR]) if FLOOR in found else None
            rows = []
            for name, seconds in found.items():
                low, middle = min(seconds), statistics.median(seconds)
                ratio = "" if floor is None else f"{low / floor:.2f}"
                rows.append([name, f"{low:.2f}", ratio, f"{middle:.2f}"])
            header = ["contestant", "minimum", "times the products", "median"]
            title = f"{recipe_name}, threads: {threads}; seconds per epoch"
            yield text_table(title, header, rows, left=1)
    if found := results.get("start"):
        rows = [
            [name, f"{each['import']:.1f}", f"{each['first_step']:.1f}", f"{each['peak']:,.0f}"]
            for name, each in found.items()
        ]
        header = ["contestant", "import", "first step", "peak MiB"]
        yield text_table("seconds after the start of a process, medians", header, rows, left=1)
    if found := results.get("evaluation"):
        names = list(next(iter(found.values())))
        rows = [[what, *(f"{found[name][what]:.2f}" for name in OURS)] for what in names]
        yield text_table("evaluation: seconds, minima", ["", *OURS], rows, left=1)
    for series, found in results.get("growth", {}).items():
        rows = [
            [f"{value:,}", *(f"{found[name][value]:.2f}" for name in OURS)]
            for value in found[OURS[0]]
        ]
        yield text_table("microseconds per image and epoch", [series, *OURS], rows, left=1)


def draw(results, folder):
    """Draws what was measured to bench_epochs.png (of `post-keras`) and bench_growth.png.

    Args:
        results: the dict in bench.json.
        folder: folder of the figures.
    Returns:
        list of the paths of the files.
    """
    about = f"{results['data']}, {results['n_train']:,} images"
    paths = []
    if found := results.get("epochs"):
        paths.append(folder / "bench_epochs.png")
        text = f"post-keras · {about} · {results['rounds']} rounds · {results['machine']}"
        plots.save(bench_figures.draw_epochs(found["post-keras"], text), paths[-1])
    if found := results.get("growth"):
        paths.append(folder / "bench_growth.png")
        text = f"post-keras, changed in one thing · {about} · {results['machine']}"
        plots.save(bench_figures.draw_growth(found, text), paths[-1])
    return paths


def main():
    """Measures the parts, and writes tables, bench.json and the figures."""
    bench = tyro.cli(Bench, prog="benchmarks/bench.py")
    if bench.draw:
        path = bench.out / "bench.json"
        if not path.exists():
            raise UsageError(f"there is no {path} to draw; measure first, without --draw")
        print(*draw(json.loads(read_text(path)), bench.out), sep="\n")
        return
    for name, least in (("rounds", 1), ("epochs", 2)):
        if getattr(bench, name) < least:
            raise UsageError(f"--{name} is {getattr(bench, name)}; expected an integer >= {least}")
    if not bench.threads or min(bench.threads) < 1:
        raise UsageError("--threads expects integers >= 1")
    data, config = load_data(bench.data), recipe("post-keras")
    results = {
        "data": data.name,
        "n_train": data.n_train,
        "batch_size": config.batch_size,
        "rounds": bench.rounds,
        "threads": bench.threads,
        "machine": platform.processor() or platform.machine(),
        "versions": versions(),
    }
    console = Console(stderr=True)
    for part in bench.parts:
        measure = globals()[f"measure_{part}"]
        with console.status(part) as status:
            results[part] = measure(bench, lambda line: status.console.print(line, highlight=False))
        write_json(bench.out / "bench.json", results)  # what is measured is kept
    for table in tables(results):
        print_table(table)
    draw(results, bench.out)
    print(f"{bench.out / 'bench.json'} has all numbers")


if __name__ == "__main__":
    end_process(exit_status(main))
