"""Names and reads the files of a run directory, and checks which files of a run are missing."""

import contextlib
import csv
import json
import math
import platform
from importlib import metadata
from pathlib import Path

import filelock
import numpy as np

from shared.config import UsageError, from_dict
from shared.run.files import read_npz, step_of
from shared.weights import weight_shapes

__all__ = [
    "CHECKPOINT",
    "COLUMNS",
    "EXPORTED",
    "epoch_weights",
    "figure_name",
    "figure_names",
    "locked",
    "missing_products",
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
EXPORTED = ("exported", "exported.partial")
DATA_FIELDS = {
    "name": str,
    "source": str,
    "n_train": int,
    "n_test": int,
    "image_shape": list,
    "sha256": dict,
}


@contextlib.contextmanager
def locked(directory):
    """Holds the lock of a folder, which is created if it is missing.

    Within one thread the same lock can be taken several times.

    Raises:
        UsageError: another process holds the lock.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # A singleton counts how often it is held: a command holds it while `train` takes it again.
    lock = filelock.FileLock(directory / ".lock", timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UsageError(f"{directory} is in use by another process; wait for it") from None
    try:
        yield
    finally:
        lock.release()


def epoch_weights(epoch):
    """Returns the name of the weights file of a pictured epoch."""
    return f"weights_epoch_{epoch:03d}.npz"


def figure_name(kind, epoch):
    """Returns the name of a figure of a pictured epoch; `kind` is e.g. "latent"."""
    return f"{kind}_epoch_{epoch:03d}.png"


def figure_names(config, n):
    """Returns the names of the figures of a finished run on `n` training examples."""
    kinds = ("latent", "manifold") if config.latent_dim == 2 else ("samples", "reconstructions")
    names = [figure_name(kind, epoch) for epoch in config.pictured(n) for kind in kinds]
    return [*names, "loss.png"]


def missing_products(directory, config, n):
    """Returns the files of a finished run that are missing in a folder or are of another step.

    Args:
        directory: folder of the run.
        config: shared.config.Config of the run.
        n: number of training examples.
    Returns:
        list of names within the folder; empty for a run that is complete.
    """
    folder, total = Path(directory), config.total_steps(n)
    steps = {epoch_weights(e): config.end_of_epoch(e, n) for e in config.pictured(n)}
    steps["weights.npz"] = total
    missing = [name for name, step in steps.items() if step_of(folder / name) != step]
    figures = [f"figures/{name}" for name in figure_names(config, n)]
    missing += [name for name in figures if not (folder / name).is_file()]
    try:
        measured = {name for name, each in read_metrics(folder).items() if each["step"] == total}
    except UsageError:
        measured = set()
    return missing if {"train_loss", "test_loss"} <= measured else [*missing, "metrics.json"]


def read_config(directory):
    """Reads and checks the dict in config.json.

    Raises:
        UsageError: the folder holds no run, or its config.json is damaged.
    """
    path = Path(directory) / "config.json"
    try:
        values = json.loads(path.read_text())
        from_dict(values)
        if not {"data", "trained_by"} <= values.keys():
            raise UsageError("it lacks data or trained_by")
        for name, kind in DATA_FIELDS.items():
            if not isinstance(values["data"].get(name), kind):
                raise UsageError(f"data has no {name} that is a {kind.__name__}")
        if not all(isinstance(side, int) and side > 0 for side in values["data"]["image_shape"]):
            raise UsageError(f"image_shape is {values['data']['image_shape']}")
    except FileNotFoundError:
        raise UsageError(f"{directory} holds no run (no config.json)") from None
    except (UsageError, OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is not the config of a run: {error}") from error
    return values


def read_run_weights(directory, epoch=None):
    """Reads the config and the weights of a run.

    Args:
        directory: folder of the run.
        epoch: a pictured epoch, or None for the end of the run.
    Returns:
        the dict in config.json, {canonical name: float32 array}
    Raises:
        UsageError: the folder holds no run, or the weights are missing, damaged or of another step.
    """
    values = read_config(directory)
    config, n = from_dict(values), values["data"]["n_train"]
    name = "weights.npz" if epoch is None else epoch_weights(epoch)
    step = config.total_steps(n) if epoch is None else config.end_of_epoch(epoch, n)
    path = Path(directory) / name
    if not path.exists():
        raise UsageError(f"{directory} has no {name}; finish the run with --resume")
    arrays = read_npz(path, weight_shapes(config, math.prod(values["data"]["image_shape"])))
    if step_of(path) != step:
        raise UsageError(
            f"{path} is of step {step_of(path)}, not of step {step}; finish the run with --resume"
        )
    return values, arrays


def read_history(directory):
    """Reads the rows of history.csv.

    Returns:
        list of dicts {column: number}; empty if the file does not exist yet.
    Raises:
        UsageError: the file is not the history of a run.
    """
    path = Path(directory) / "history.csv"
    rows = _read_csv(path, COLUMNS)
    try:
        rows = [
            {key: int(v) if key in ("epoch", "step") else float(v) for key, v in row.items()}
            for row in rows
        ]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is not the history of a run: {error}") from error
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
        raise UsageError(f"{path} is not the history of a run: its epochs are not 1, 2, 3, …")
    return rows


def read_step_losses(directory):
    """Reads the losses in steps.csv.

    Returns:
        list of floats, nats per image, from step 1 on; empty if the file does not exist yet.
    Raises:
        UsageError: the file does not hold the losses of a run's steps.
    """
    path = Path(directory) / "steps.csv"
    try:
        rows = [(int(row["step"]), row["loss"]) for row in _read_csv(path, ("step", "loss"))]
        # Rounded to float32, nine decimal digits are the loss in every bit.
        losses = [float(np.float32(loss)) for _, loss in rows]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} does not hold the losses of a run's steps: {error}") from error
    if [step for step, _ in rows] != list(range(1, len(rows) + 1)):
        raise UsageError(f"{path} does not hold the losses of steps 1, 2, 3, …")
    return losses


def _read_csv(path, columns):
    if not path.exists():
        return []
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    if tuple(reader.fieldnames or ()) != tuple(columns):
        raise UsageError(f"{path} lacks the columns {', '.join(columns)}")
    return rows


def read_metrics(directory):
    """Reads the dict in metrics.json; it is empty if the file does not exist yet.

    Raises:
        UsageError: the file does not hold the metrics of a run.
    """
    path = Path(directory) / "metrics.json"
    if not path.exists():
        return {}
    try:
        metrics = json.loads(path.read_text())
        if not all({"value", "unit", "step"} <= metric.keys() for metric in metrics.values()):
            raise UsageError("a metric lacks its value, unit or step")
    except (UsageError, OSError, ValueError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} does not hold the metrics of a run: {error}; remove it and evaluate again"
        ) from error
    return metrics


def versions():
    """Returns the versions of Python and the packages, and the machine type, as a dict of texts."""
    packages = {name: _version(name) for name in ("tensorflow", "keras", "numpy")}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # the package may have another name, as tensorflow-cpu
        distributions = metadata.packages_distributions().get(name, [])
        return metadata.version(distributions[0]) if distributions else "unknown"
