"""Compares the training in the browser with tf_vae: the same images and settings, several seeds.

The random numbers differ, so the losses agree as those of different seeds do. Each row has the mean
over the seeds and their standard deviation.

    python benchmarks/browser_training.py results/index.html --seeds 5 --epochs 10 50
"""

import base64
import statistics
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from chromium import opened

from shared.command.implementation import quiet
from shared.command.line import exit_status
from shared.config import recipe
from shared.data import load_data
from shared.machine.process import end_process
from shared.show.terminal import print_table, text_table

TERMS = {"loss": "loss", "log_likelihood": "logLikelihood", "kl": "kl"}
# Trains on the page's own thread for some epochs; returns the means of each epoch and the time.
TRAINING = """async ([beta, seed, epochs]) => {
  const packed = JSON.parse(document.getElementById("trainer-data").textContent);
  const pixels = await inflated(packed.pixels), inputDim = pixels.length / packed.count;
  const data = { x: Float32Array.from(pixels, (value) => value / 255), inputDim };
  const settings = { ...packed.settings, latentDim: 2, beta, seed };
  const all = trainerMath.begin(data, settings), begin = performance.now(), rows = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const sums = { loss: 0, logLikelihood: 0, kl: 0 };
    do {
      const result = trainerMath.trainStep(all);
      for (const name in sums) sums[name] += (result[name] * result.rows) / packed.count;
    } while (all.step % trainerMath.stepsPerEpoch(data, settings.batchSize));
    rows.push(sums);
  }
  const seconds = (performance.now() - begin) / 1000 / epochs;
  return { rows, seconds, spread: trainerMath.spread(trainerMath.posteriors(all).zMean, 2) };
}"""


@dataclass
class Job:
    """Compare the losses of the training in the browser with those of tf_vae."""

    page: Annotated[Path, tyro.conf.Positional] = Path("results/index.html")
    """Path of a page that reproduce.py wrote."""
    betas: tuple[float, ...] = (0.0, 1.0, 30.0)
    """Weights of the KL."""
    seeds: int = 5
    """Number of seeds."""
    epochs: tuple[int, ...] = (10, 50)
    """Epochs of which the losses are printed."""


def in_browser(page, job):
    """Returns {beta: [result of each seed]}, as TRAINING returns it."""
    return {
        beta: [page.evaluate(TRAINING, [beta, seed, max(job.epochs)]) for seed in range(job.seeds)]
        for beta in job.betas
    }


def by_tf(packed, job):
    """Returns {beta: [history and spread of the means, of each seed]} of tf_vae."""
    with quiet():
        from tf_vae.model import encode
        from tf_vae.train import train

    content = zlib.decompress(base64.b64decode(packed["pixels"]))
    images = np.frombuffer(content, np.uint8).reshape(-1, *packed["image_shape"])
    labels = np.frombuffer(base64.b64decode(packed["labels"]), "<u2")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.npz"
        np.savez(path, x_train=images, y_train=labels, x_test=images[:100], y_test=labels[:100])
        data = load_data(str(path))
        for beta in job.betas:
            results[beta] = []
            for seed in range(job.seeds):
                config = recipe(
                    "post-keras",
                    hidden_dims=(packed["settings"]["hiddenDim"],),
                    epochs=max(job.epochs),
                    beta=beta,
                    seed=seed,
                )
                model, run = train(config, data, verbose=0)
                spread = float(np.sqrt(encode(model, data.x_train)[0].var(axis=0).mean()))
                results[beta].append({"rows": run.history, "spread": spread})
    return results


def table_rows(name, results, job):
    """Yields the cells of each beta and epoch: means and deviations over the seeds."""
    for beta, runs in results.items():
        for epoch in job.epochs:
            cells = []
            for ours, theirs in TERMS.items():
                values = [run["rows"][epoch - 1] for run in runs]
                values = [row.get(ours, row.get(theirs)) for row in values]
                cells.append(f"{statistics.fmean(values):.2f} ± {statistics.pstdev(values):.2f}")
            last = epoch == max(job.epochs)
            spread = f"{statistics.fmean(run['spread'] for run in runs):.2f}" if last else ""
            yield [f"{beta:g}", epoch, name, *cells, spread]


def main():
    """Trains in Chromium and with tf_vae, and prints both."""
    job = tyro.cli(Job, prog="benchmarks/browser_training.py")
    with opened(job.page) as page:
        packed = page.evaluate("JSON.parse(document.getElementById('trainer-data').textContent)")
        ours = in_browser(page, job)
        version = page.context.browser.version
    theirs = by_tf(packed, job)
    rows = [*table_rows("browser", ours, job), *table_rows("tf_vae", theirs, job)]
    rows.sort(key=lambda row: (float(row[0]), row[1], row[2]))
    title = f"{packed['count']} images, {job.seeds} seeds, nats per image; Chromium {version}"
    header = ["beta", "epoch", "", "loss", "log-likelihood", "KL", "spread of the means"]
    print_table(text_table(title, header, rows, left=3))
    seconds = [run["seconds"] for runs in ours.values() for run in runs]
    print(f"seconds per epoch in the browser: {min(seconds):.2f} to {max(seconds):.2f}")


if __name__ == "__main__":
    end_process(exit_status(main))
