"""The files of a run directory and how they are read."""

import csv
import json
import platform
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np

from shared.config import UsageError, from_dict
from shared.weights import read_weights, weight_shapes

__all__ = [
    "CHECKPOINT",
    "COLUMNS",
    "EXPORTED",
    "FILES",
    "PATTERNS",
    "read_checkpoint",
    "read_checkpoint_step",
    "read_config",
    "read_history",
    "read_metrics",
    "read_run_weights",
    "read_step_losses",
    "versions",
]

COLUMNS = (
    "epoch",
    "step",
    "loss",
    "log_likelihood",
    "kl",
    "val_loss",
    "val_log_likelihood",
    "val_kl",
    "seconds",
)
CHECKPOINT = Path("checkpoints") / "last.npz"
# What --overwrite removes; a folder that holds anything else is not ours to clear.
FILES = (
    "config.json",
    "history.csv",
    "steps.csv",
    "metrics.json",
    "weights.npz",
    "model.keras",
    "samples.png",
    "samples.npz",
)
PATTERNS = (
    *FILES,
    "weights_epoch_*.npz",
    "checkpoints/*.npz",
    "figures/*.png",
    ".lock",
    ".*.partial",
    "*/.*.partial",
)
EXPORTED = ("exported", "exported.partial")


def read_config(directory):
    """The dict in config.json.

    Raises:
        UsageError: the folder holds no run.
    """
    path = Path(directory) / "config.json"
    try:
        values = json.loads(path.read_text())
        from_dict(values)
        if not {"data", "trained_by"} <= values.keys():
            raise UsageError("it lacks data or trained_by")
    except OSError:
        raise UsageError(f"{directory} holds no run (no config.json)") from None
    except (UsageError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{path} is not the config of a run: {error}") from error
    return values


def read_run_weights(directory, epoch=None):
    """(config dict, {canonical name: array}) of a run at the end of `epoch`, or at its end.

    Raises:
        UsageError: no run there, or it has no such weights.
    """
    values = read_config(directory)
    name = "weights.npz" if epoch is None else f"weights_epoch_{epoch:03d}.npz"
    path = Path(directory) / name
    if not path.exists():
        raise UsageError(f"{directory} has no {name}; finish the run with --resume")
    input_dim = int(np.prod(values["data"]["image_shape"]))
    return values, read_weights(path, weight_shapes(from_dict(values), input_dim))


def read_checkpoint_step(directory):
    """Steps done at the checkpoint of a run."""
    path = Path(directory) / CHECKPOINT
    try:
        with np.load(path, allow_pickle=False) as file:
            return int(file["step"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"cannot read the checkpoint {path}: {error}") from error


def read_checkpoint(path, shapes):
    """The arrays of a checkpoint of either implementation: the variables in `shapes`, and "step".

    Raises:
        UsageError: a variable is missing or has another shape.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for name, shape in {**shapes, "step": ()}.items():
        found = arrays[name].shape if name in arrays else "missing"
        if found != shape:
            raise UsageError(f"{path}: {name} is {found}; expected {shape}")
    return arrays


def read_history(directory):
    """The rows of history.csv as dicts of numbers."""
    path = Path(directory) / "history.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            {
                key: int(value) if key in ("epoch", "step") else float(value)
                for key, value in row.items()
            }
            for row in csv.DictReader(file)
        ]


def read_step_losses(directory):
    """The losses in steps.csv, step 1 first."""
    path = Path(directory) / "steps.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        # By way of float32: the text has nine digits, the loss had 24 bits.
        return [float(np.float32(row["loss"])) for row in csv.DictReader(file)]


def read_metrics(directory):
    """The dict in metrics.json; empty where there is none yet."""
    path = Path(directory) / "metrics.json"
    return json.loads(path.read_text()) if path.exists() else {}


def versions():
    """What a number depends on beside its config: the machine's kind and the packages' versions."""
    packages = {name: metadata.version(name) for name in ("tensorflow", "keras", "numpy")}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}
