"""Compares a training by several replicas with the same training by one, seed by seed.

The replicas are virtual devices of this machine. They compute the sums over a batch in another
order, so some last bits differ. This shows how far the two trainings are apart after ten steps, and
after two epochs, when a difference that began in one bit may have become a large one (see
docs/scaling.md). With other threads, other bits differ.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.progress import track

from shared.command.line import exit_status
from shared.machine.process import Stopped, end_process
from shared.machine.versions import versions
from shared.run.folder import read_metrics, read_run_weights

LENGTHS = {"10 steps": ["--steps", "10"], "2 epochs": ["--epochs", "2"]}
LARGE = 1e-4  # a tenth of the learning rate, and hundreds of times the rounding of a weight


@dataclass
class Bench:
    """Compare trainings of post-keras by several replicas and by one."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    """Seeds of the trainings."""
    replicas: int = 2
    """Number of virtual devices."""
    data: str = "mnist-5k"
    """Data, named as for train."""
    threads: int = 1
    """Number of threads, as for train."""


def trained(seed, data, length, more):
    """Trains a run in a process of its own; returns its metrics and final weights."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tf_vae", "train", "--recipe", "post-keras", *length]
        command += ["--data", data, "--seed", str(seed), "--out", f"{folder}/run", *more]
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise Stopped(f"seed {seed}: {done.stderr.strip().splitlines()[-1]}")
        metrics = read_metrics(Path(folder) / "run")
        return metrics, read_run_weights(Path(folder) / "run")[1]


def compared(one, several):
    """Returns relative differences of metrics, and the weights' largest difference and its place.

    Args:
        one, several: what `trained` returns.
    """
    apart = {name: abs(several[1][name] - weight) for name, weight in one[1].items()}
    name = max(apart, key=lambda name: apart[name].max())
    place = np.unravel_index(apart[name].argmax(), apart[name].shape)
    names = "test_loss", "test_kl"
    values = [[run[0][each]["value"] for run in (one, several)] for each in names]
    metrics = [abs(second / first - 1) for first, second in values]
    large = sum(int((each > LARGE).sum()) for each in apart.values())
    return metrics, apart[name].max(), f"{name}{list(map(int, place))}", large


def main():
    """Trains in turn, and prints a row for each length and seed."""
    bench = tyro.cli(Bench, prog="benchmarks/workers_difference.py")
    jobs = [(length, seed) for length in LENGTHS for seed in bench.seeds]
    threads = ["--threads", str(bench.threads)]
    replicas = [*threads, "--virtual-devices", str(bench.replicas)]
    rows = []
    for length, seed in track(jobs, "training"):
        one, several = (
            trained(seed, bench.data, LENGTHS[length], more) for more in (threads, replicas)
        )
        rows.append((length, seed, *compared(one, several)))
    print(f"post-keras, {bench.data}, {bench.replicas} replicas and one; threads: {bench.threads};")
    print(", ".join(f"{k} {v}" for k, v in versions().items()))
    print(f"after     seed  -ELBO    KL       weights  above {LARGE:.0e}  the largest is of")
    for length, seed, (loss, kl), apart, place, large in rows:
        numbers = f"{loss:.1e}  {kl:.1e}  {apart:.1e}  {large:>11,}"
        print(f"{length:<10}{seed:<6}{numbers}  {place}")


if __name__ == "__main__":
    end_process(exit_status(main))
