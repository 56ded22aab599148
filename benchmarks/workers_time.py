"""Measures training by one and by two workers, and fits a cost model to the times of a step.

One worker is measured on one core, and two share two cores: the efficiency is then that of adding a
machine, not of dividing one. (Two workers are not bound to a core each, because an engine that
waits for the network on its only core keeps the thread that serves the network from running.) A
step of W workers on a batch of B images, with P weights, is modelled as

    t = fixed + update · P + compute · P · B / W  +  latency · log2(W) + sent / bandwidth

where sent = 2 · (W - 1) / W · 4 · P bytes is what each worker sends in an all-reduce that halves
and doubles its messages, in log2(W) rounds each way. The first three constants are fitted to one
worker, the last two to what two workers take more. Needs `make setup-backends` for keras_vae.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from shared.command.line import exit_status
from shared.config import recipe
from shared.machine.checks import UsageError
from shared.machine.memory import cores
from shared.machine.process import Stopped, end_process
from shared.machine.versions import versions
from shared.run.folder import read_history
from shared.weights import weight_shapes

BATCHES = (100, 1000)
WIDTHS = (128, 512, 2048)  # of the hidden layer: 0.2, 0.8 and 3.2 million weights
INPUT_DIM = 784
ENGINES = {"tf_vae": "tensorflow", "keras_vae": "jax"}
WORKERS = (1, 2)


@dataclass
class Bench:
    """Measure the time of a training step by one and by two workers on this machine."""

    rounds: int = 2
    """Number of rounds; in each round, everything is measured once."""
    epochs: int = 4
    """Epochs of each training, of 4,000 images; the first includes the compilation."""


def weights_of(width):
    """Returns the number of weights of the network."""
    shapes = weight_shapes(recipe("post-keras", hidden_dims=(width,)), INPUT_DIM)
    return sum(int(np.prod(shape)) for shape in shapes.values())


def free_addresses(count):
    """Returns addresses on the loopback interface whose ports are not in use."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)


def seconds_per_step(package, count, width, batch, epochs):
    """Trains by `count` workers on as many cores; returns the median of the epochs."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": ENGINES[package],
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", package, "train", "--recipe", "post-keras"]
        command += ["--data", "mnist-5k", "--hidden-dims", str(width), "--epochs", str(epochs)]
        command += ["--batch-size", str(batch)]
        addresses, workers, cores = free_addresses(count), [], f"0-{count - 1}"
        for index in range(count):
            more = ["--workers", addresses, "--worker", str(index)] if count > 1 else []
            out = f"{folder}/{index}"
            workers.append(
                subprocess.Popen(
                    ["taskset", "--cpu-list", cores, *command, *more, "--out", out],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        for worker in workers:
            _, error = worker.communicate()
            if worker.returncode:
                raise Stopped(f"{package} by {count}: {error.strip().splitlines()[-1]}")
        seconds = [row["seconds"] for row in read_history(Path(folder) / "0")[1:]]
    return statistics.median(seconds) * batch / 4000


def fitted(times):
    """Fits the cost model to {(workers, width, batch): seconds}; returns its five constants."""
    one = [(weights_of(w), b, t) for (count, w, b), t in times.items() if count == 1]
    p, b, t = np.array(one, np.float64).T
    # Relative errors count, so that short steps are fitted as well as long ones.
    table = np.stack([np.ones_like(p), p, p * b], axis=1)
    single = np.maximum(np.linalg.lstsq(table / t[:, None], np.ones_like(t), rcond=None)[0], 0)
    extra = []
    for (count, w, batch), t in times.items():
        if count == 2:
            p = weights_of(w)
            extra.append((p, t - single @ (1, p, p * batch / 2), t))
    p, more, t = np.array(extra).T
    table = np.stack([np.ones_like(p), 4 * p], axis=1)
    both = np.linalg.lstsq(table / t[:, None], more / t, rcond=None)[0]
    return (*single, *np.maximum(both, 1e-12))


def predicted(constants, workers, p, batch):
    """Returns the seconds of a step by the cost model."""
    fixed, update, compute, latency, per_byte = constants
    alone = fixed + update * p + compute * p * batch / workers
    if workers == 1:
        return alone
    return alone + latency * np.log2(workers) + per_byte * 2 * (workers - 1) / workers * 4 * p


def main():
    """Measures in turn, prints the efficiency, and the cost model beyond what was measured."""
    bench = tyro.cli(Bench, prog="benchmarks/workers_time.py")
    if cores() < max(WORKERS):
        raise UsageError("this machine has one core; expected two")
    results = {}
    for number in range(1, bench.rounds + 1):
        for package in ENGINES:
            for width in WIDTHS:
                for batch in BATCHES:
                    for count in WORKERS:
                        t = seconds_per_step(package, count, width, batch, bench.epochs)
                        results.setdefault((package, count, width, batch), []).append(t)
                        print(f"round {number} {package} {count} {width} {batch} {t * 1e3:.2f} ms")
    print(", ".join(f"{name} {number}" for name, number in versions().items()))
    for package in ENGINES:
        times = {key[1:]: min(t) for key, t in results.items() if key[0] == package}
        constants = fitted(times)
        report(package, times, constants)


def report(package, times, constants):
    """Prints the measured times of an implementation, its constants and their extrapolation."""
    print(f"\n{package}, milliseconds per step   efficiency = one / (2 · two)")
    print(f"{'hidden':>8}{'batch':>7}{'one':>9}{'two':>9}{'efficiency':>12}{'model: two':>12}")
    for width in WIDTHS:
        for batch in BATCHES:
            one, two = (times[count, width, batch] for count in WORKERS)
            model = predicted(constants, 2, weights_of(width), batch)
            line = f"{width:>8}{batch:>7}{one * 1e3:9.2f}{two * 1e3:9.2f}{one / two / 2:12.0%}"
            print(f"{line}{model * 1e3:12.2f}")
    fixed, update, compute, latency, per_byte = constants
    print(
        f"fixed {fixed * 1e3:.2f} ms, update {update * 1e9:.2f} ns per weight, compute"
        f" {compute * 1e12:.1f} ps per weight and image, latency {latency * 1e3:.2f} ms, all-reduce"
        f" {1e-9 / per_byte:.2f} GB/s"
    )
    print("extrapolated to a billion images, 1,000 images per worker and step:")
    print(f"{'hidden':>8}{'workers':>9}{'step, ms':>10}{'efficiency':>12}", end="")
    print(f"{'hours per epoch':>17}{'input, MB/s per worker':>24}")
    for width in (512, 2048):
        p = weights_of(width)
        for workers in (1, 2, 10, 100, 1000):
            batch = 1000 * workers
            step = predicted(constants, workers, p, batch)
            efficiency = predicted(constants, 1, p, 1000) / step
            hours = 1e9 / batch * step / 3600
            print(f"{width:>8}{workers:>9}{step * 1e3:10.1f}{efficiency:12.0%}", end="")
            print(f"{hours:17.2f}{1000 * INPUT_DIM / step / 1e6:24.1f}")


if __name__ == "__main__":
    end_process(exit_status(main))
