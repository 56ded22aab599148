"""Trains keras_vae on each backend of Keras, and compares the ELBO and the seconds per epoch.

The backends take turns, seed after seed, each training in its own process. Needs `make
setup-backends`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import tyro

from shared.command.line import exit_status
from shared.machine.process import Stopped, end_process
from shared.run.folder import read_config, read_history, read_metrics

# {implementation and backend: (package, KERAS_BACKEND, packages whose version is shown)}
CONTESTANTS = {
    "tf_vae": ("tf_vae", "tensorflow", "tensorflow"),
    "keras_vae on TensorFlow": ("keras_vae", "tensorflow", "tensorflow"),
    "keras_vae on JAX": ("keras_vae", "jax", "jax"),
    "keras_vae on PyTorch": ("keras_vae", "torch", "torch"),
}


@dataclass
class Bench:
    """Compare the backends of Keras by their test loss and their seconds per epoch."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz."""
    epochs: int = 5
    """Epochs of each training; the first includes the compilation and is not timed."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Seeds, each of which is trained on every backend."""


def trained(package, backend, bench, seed, folder):
    """Trains a run, and returns its test loss in nats and the seconds of each timed epoch."""
    command = [sys.executable, "-m", package, "train", "--recipe", "post-keras"]
    command += ["--data", bench.data, "--epochs", str(bench.epochs), "--seed", str(seed)]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [*command, "--out", str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Stopped(f"{package} on {backend}: {done.stderr.strip().splitlines()[-1]}")
    seconds = [row["seconds"] for row in read_history(folder)[1:]]
    return read_metrics(folder)["test_loss"]["value"], seconds, read_config(folder)["data"]


def main():
    """Trains on the backends in turn, and prints a table."""
    bench = tyro.cli(Bench, prog="benchmarks/backends_time.py")
    losses, times = ({name: [] for name in CONTESTANTS} for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        for seed in bench.seeds:
            for name, (package, backend, _) in CONTESTANTS.items():
                out = Path(folder) / f"{name.replace(' ', '-')}-{seed}"
                loss, seconds, data = trained(package, backend, bench, seed, out)
                losses[name].append(loss)
                times[name] += seconds
                print(f"seed {seed}  {name:<26}{loss:9.2f} nats {seconds} s", file=sys.stderr)
    print(f"post-keras, {data['name']}: {data['n_train']:,} images, {bench.epochs} epochs,", end="")
    print(f" seeds {' '.join(map(str, bench.seeds))}; Keras {version('keras')}")
    print(f"{'test loss in nats':<26}{'mean':>9}{'smallest':>10}{'largest':>9}{'s per epoch':>13}")
    for name, (_, _, package) in CONTESTANTS.items():
        each, seconds = losses[name], statistics.median(times[name])
        line = f"{name:<26}{statistics.mean(each):9.2f}{min(each):10.2f}{max(each):9.2f}"
        print(f"{line}{seconds:13.2f}   {package} {version(package)}")


if __name__ == "__main__":
    end_process(exit_status(main))
