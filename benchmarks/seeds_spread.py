"""Trains `post-keras` with several seeds, so that a reader with one run knows whether it is normal.

Prints mean, standard deviation and range over the seeds at epochs 5 and 50, and draws the test loss
of each epoch. The runs are kept; started again, the command continues.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from shared.command.implementation import import_implementation
from shared.command.line import exit_status
from shared.config import recipe
from shared.data import load_data
from shared.machine.checks import UsageError
from shared.machine.process import end_process
from shared.machine.versions import versions
from shared.measure.metrics import measure_z
from shared.run.folder import read_history
from shared.show.figures import lessons
from shared.show.figures.of_run import save_figure

COLUMNS = {
    "test loss": "val_loss",
    "test log-likelihood": "val_log_likelihood",
    "test KL": "val_kl",
}
KNN = "k-NN accuracy, %"


@dataclass
class Spread:
    """Measure the spread of results between seeds."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz."""
    seeds: int = 10
    """Number of seeds, from 0 on."""
    epochs: int = 50
    """Epochs of each training; epoch 5 is reported as well."""
    rmsprop_epsilon: Literal["outside", "inside"] = "outside"
    """Where RMSprop adds its epsilon, as for train."""
    implementation: str = "tf_vae"
    """tf_vae or keras_vae, which give the same bits."""
    out: Path = Path("runs/seeds")
    """Folder of the runs, of seeds.json and of the figure spread.png."""


def measured(implementation, config, data, folder):
    """Trains a run or continues it; returns its test loss by epoch, and {epoch: {name: value}}."""
    implementation.train(config, data, folder, resume=True)
    history = read_history(folder)
    metrics = measure_z(folder, implementation, data)
    results = {}
    for epoch in config.pictured(data.n_train):
        row = history[epoch - 1]
        knn = metrics[f"test_knn_accuracy_epoch_{epoch:03d}"]["value"]
        results[epoch] = {name: row[key] for name, key in COLUMNS.items()} | {KNN: 100 * knn}
    return [row["val_loss"] for row in history], results


def main():
    """Trains every seed, prints the table, and draws the figure."""
    job = tyro.cli(Spread, prog="benchmarks/seeds_spread.py")
    if job.seeds < 2:
        raise UsageError(f"--seeds is {job.seeds}; expected at least 2")
    data, implementation = load_data(job.data), import_implementation(job.implementation)
    losses, results = [], []
    for seed in range(job.seeds):
        config = recipe(
            "post-keras", epochs=job.epochs, seed=seed, rmsprop_epsilon=job.rmsprop_epsilon
        )
        print(f"seed {seed} of {job.seeds}", flush=True)
        by_epoch, each = measured(implementation, config, data, job.out / f"seed-{seed}")
        losses.append(by_epoch)
        results.append(each)

    about = f"post-keras · {data.name} ({data.n_train:,} + {data.n_test:,})"
    print(f"{about}, seeds 0 to {job.seeds - 1}; ", end="")
    print(", ".join(f"{name} {number}" for name, number in versions().items()))
    print(f"{'':34}{'mean':>9}{'deviation':>11}{'smallest':>10}{'largest':>9}")
    table = {}
    for epoch in results[0]:
        for name in results[0][epoch]:
            values = np.array([each[epoch][name] for each in results])
            table[f"epoch {epoch}, {name}"] = values.tolist()
            line = f"{values.mean():9.2f}{values.std(ddof=1):11.2f}"
            line += f"{values.min():10.2f}{values.max():9.2f}"
            print(f"{f'epoch {epoch}, {name}':<34}{line}")
    text = json.dumps(table, indent=2) + "\n"
    (job.out / "seeds.json").write_text(text, encoding="utf-8", newline="\n")

    losses = np.array(losses)
    label = f"median (line) and range (band) of {job.seeds} seeds"
    figure = lessons.curves(
        np.arange(1, losses.shape[1] + 1),
        {label: np.median(losses, axis=0)},
        f"{about} · test loss after each epoch",
        "epoch",
        "loss = −ELBO, nats per image",
        bands={label: (losses.min(axis=0), losses.max(axis=0))},
        limits=(0.98 * losses.min(), 1.02 * losses[:, min(1, losses.shape[1] - 1)].max()),
    )
    save_figure(figure, job.out, "spread.png")
    print(job.out / "spread.png")


if __name__ == "__main__":
    end_process(exit_status(main))
