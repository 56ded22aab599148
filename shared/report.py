"""What is told of a finished run: its metrics and its figures.

The caller gives the version's own functions, since nothing here imports a version.
"""

import io
import time
from pathlib import Path

import numpy as np

from shared import plots
from shared.config import UsageError, from_dict
from shared.data import load_data
from shared.run import (
    read_config,
    read_history,
    read_metrics,
    read_step_losses,
    versions,
    write_atomically,
    write_json,
)

__all__ = ["caption", "draw_figures", "run_data", "save_figure", "write_metrics"]

UNIT = "nats per image"
X_KIND = {"none": "grey"}  # Bernoulli on grey pixels is no normalised likelihood: every report says so


def run_data(directory):
    """The data a run was trained on, found again and checked by content.

    Raises:
        UsageError: they are missing, or have changed since.
    """
    written = read_config(directory)["data"]
    data = load_data(written["source"])
    if data.sha256 != written["sha256"]:
        raise UsageError(f"{written['source']} has changed since {directory} was trained on it")
    return data


def caption(values, epoch=None):
    """One line that says what a picture shows: version, recipe, epoch, data and seed."""
    version = " then ".join(values["trained_by"])
    parts = [version, values["recipe"]]
    changed = _changed(values)
    if changed:
        parts.append(changed)
    if epoch is not None:
        parts.append(f"epoch {epoch}")
    data = values["data"]
    parts += [f"{data['name']} ({data['n_train']:,} + {data['n_test']:,})", f"seed {values['seed']}"]
    return " · ".join(parts)
