"""Draws the importance bound of runs of the recipe `nats` beside published values.

The runs are trained and evaluated first:

    python -m tf_vae train --recipe nats --data mnist --out runs/nats
    python -m tf_vae train --recipe nats --data mnist --objective iwae --train-samples 5 \
        --out runs/iwae5
    python -m tf_vae evaluate runs/nats --importance-samples 5000       # and the same of iwae5
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from shared.command.implementation import import_implementation
from shared.command.line import exit_status
from shared.config import from_dict
from shared.data import pixels_of
from shared.machine.checks import UsageError
from shared.measure.metrics import measure_bound
from shared.run.folder import read_config, read_history, read_metrics, run_data
from shared.show.figures import canvas, plots

# -log p(x) in nats of the setting of Burda et al., arXiv:1509.00519, table 1, at 3,280 epochs, and
# the range of reruns by others: yoonholee/pytorch-vae, xqding/Importance_Weighted_Autoencoders and
# nbip/IWAE (with 100 latents).
PUBLISHED = {1: (86.76, (86.35, 87.78)), 5: (85.54, (85.18, 85.46))}


@dataclass
class Published:
    """Draw the bounds of runs of `nats` against epochs, and print them as a table."""

    runs: Annotated[list[Path], tyro.conf.Positional]
    """Folders of the runs, each evaluated with --importance-samples."""
    samples: int = 500
    """K of the dots: the bound at each pictured epoch, including the last. The printed table has
    the K of the evaluation."""
    out: Path = Path("docs/figures/published.png")
    """File of the figure."""


def bounds_of(directory, config, data, samples):
    """Returns {epoch: -(importance bound) in nats} at each pictured epoch of a run."""
    implementation, bounds = import_implementation("tf_vae"), {}
    for epoch in config.pictured(data.n_train):
        model, _ = implementation.load(directory, epoch)
        measured = measure_bound(directory, implementation, model, data, samples)
        bounds[epoch] = -measured["test_importance_bound"]["value"]
        print(f"{directory}: epoch {epoch}, {bounds[epoch]:.2f} nats", file=sys.stderr)
    return bounds


def name_of(k):
    """Returns the name of an objective with k samples of z."""
    return "VAE" if k == 1 else f"IWAE-{k}"


def draw(lines, samples, text):
    """Draws −ELBO and the importance bound of each run, and what is published for its objective.

    Args:
        lines: list of (samples of z in the objective, rows of the history, {epoch: −bound}).
        samples: K of the bounds.
        text: caption of the figure.
    """
    figure, axes = canvas.new_figure((7, 4.4), text)
    shown = {}  # what the legend shows of each label
    for (k, history, bounds), colour in zip(lines, canvas.LINE_COLOURS, strict=False):
        name = name_of(k)
        epochs, losses = zip(*((row["epoch"], row["val_loss"]) for row in history), strict=True)
        (shown[f"{name}: −ELBO"],) = axes.plot(epochs, losses, c=colour, lw=1)
        label = f"{name}: −importance bound, K = {samples}"
        (shown[label],) = axes.plot(list(bounds), list(bounds.values()), "o--", c=colour)
        if k in PUBLISHED:
            value, band = PUBLISHED[k]
            shown[f"{name}, Burda et al.: {value}"] = axes.axhline(value, c=colour, ls=":")
            label = f"{name}, reruns by others: {band[0]} to {band[1]}"
            shown[label] = axes.axhspan(*band, color=colour, alpha=0.25, lw=0)
    lowest = min(low for _, (low, _) in PUBLISHED.values())
    axes.set(xscale="log", xlabel="epoch", ylabel="nats per image", ylim=(lowest - 1, 122))
    axes.xaxis.set_major_formatter("{x:g}")  # 100, not 10²
    axes.xaxis.set_minor_formatter("")
    axes.legend(shown.values(), shown, loc="upper right", fontsize="small")  # above all lines
    return figure


def main():
    """Draws the figure, and prints a row for each run."""
    job = tyro.cli(Published, prog="benchmarks/published.py")
    if not job.runs:
        raise UsageError("no run is given; expected the folders of finished runs of nats")
    lines = []
    for directory in job.runs:
        config, metrics = from_dict(read_config(directory)), read_metrics(directory)
        if "test_importance_bound" not in metrics:
            raise UsageError(
                f"{directory} has no importance bound; measure it with: python -m tf_vae evaluate"
                f" {directory} --importance-samples 5000"
            )
        k = config.train_samples if config.objective == "iwae" else 1
        history, data = read_history(directory), run_data(directory)
        bounds = bounds_of(directory, config, data, job.samples)
        lines.append((k, history, bounds, metrics["test_importance_bound"]))

    for k, history, _, final in lines:
        seconds = np.nansum([row["seconds"] for row in history])
        value = f"{-final['value']:.2f} ± {final['standard_error']:.2f}"
        row = f"{name_of(k):<8} K = {final['samples']}: {value} nats, trained in {seconds:,.0f} s"
        if k in PUBLISHED:
            published, (low, high) = PUBLISHED[k]
            row += f"; published {published}, reruns {low} to {high}"
        print(row)
    text = (
        f"{data.name}, {pixels_of(data, config, 'test')}: recipe nats, {config.epochs} epochs,"
        f" batch {config.batch_size}, seed {config.seed}"
    )
    plots.save(draw([line[:3] for line in lines], job.samples, text), job.out)
    print(f"{job.out}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
