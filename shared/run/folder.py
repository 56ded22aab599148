"""Names and reads the files of a run directory, and checks which files of a run are missing."""

import contextlib
import csv
import json
import math
import os
from pathlib import Path

import filelock
import numpy as np

from shared.data import load_data
from shared.machine.checks import UsageError
from shared.machine.npz import reason
from shared.run import checksums
from shared.run.checkpoints import CHECKPOINT
from shared.run.files import read_npz, read_text, step_of, write_atomically
from shared.run.network import KEPT, stored_variables
from shared.run.schemas import (
    COLUMNS,
    PENALTY,
    Description,
    HistoryRow,
    Metric,
    StepRow,
    checked,
)
from shared.run.stopping import best_row, finished_config

__all__ = [
    "BEST",
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
    "run_data",
    "store_metrics",
    "write_product",
]

BEST = "weights_best.npz"  # the weights of the best epoch, kept by a run with patience
EXPORTED = ("exported", "exported.partial", "exported_best", "exported_best.partial")
SUBFOLDERS = ("checkpoints", "figures", *EXPORTED)


@contextlib.contextmanager
def locked(directory):
    """Holds the lock of a folder, which is created if it is missing.

    Within one thread the same lock can be taken several times.

    Raises:
        UsageError: another process holds the lock, or a subfolder is a link or a file.
    """
    directory = Path(directory)
    for name in SUBFOLDERS:
        # Through a link, files outside the run would be written.
        if (path := directory / name).is_symlink() or (path.exists() and not path.is_dir()):
            raise UsageError(f"{path} is not a folder; expected a folder of the run: move it away")
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
    """Returns the files of a finished run that are missing, damaged or of another step.

    Args:
        directory: folder of the run.
        config: shared.config.Config of the run, with the length at which it ended.
        n: number of training examples.
    Returns:
        list of names within the folder, also of files that are damaged; empty for a complete run.
    """
    folder, total = Path(directory), config.total_steps(n)
    steps = {epoch_weights(e): config.end_of_epoch(e, n) for e in config.pictured(n)}
    steps["weights.npz"] = total
    if config.patience is not None:
        steps[BEST] = _best_step(folder)
    figures = [f"figures/{name}" for name in figure_names(config, n)]
    tables = ["history.csv", *(["steps.csv"] if config.step_losses else [])]
    required = ["config.json", *tables, CHECKPOINT, *steps, *figures, *_kept_files(folder)]
    intact = checksums.intact(folder, [*required, "metrics.json"])
    missing = [name for name in required if name not in intact]
    missing += [name for name in intact & steps.keys() if step_of(folder / name) != steps[name]]
    try:
        measured = {name for name, each in read_metrics(folder).items() if each["step"] == total}
    except UsageError:
        measured = set()
    finished = "metrics.json" in intact and {"train_loss", "test_loss"} <= measured
    return missing if finished else [*missing, "metrics.json"]


def _kept_files(directory):
    """Returns the file in which a run's folder keeps its own network, in a list, if it has one."""
    kept = read_config(directory, verified=False).get("network")
    return [] if kept is None else [KEPT[kept["kept"]]]


def _best_step(directory):
    """Returns the step at the end of the best epoch; None without a history that can be read."""
    try:
        history = read_history(directory)
    except UsageError:
        return None
    return best_row(history)["step"] if history else None


def write_product(directory, name, content):
    """Writes a file of a finished run, and records its checksum.

    Args:
        directory: folder of the run.
        name: path within the folder, as text with slashes.
        content: bytes.
    """
    checksums.record(directory, name, content)
    write_atomically(Path(directory) / name, content)


def read_config(directory, verified=True):
    """Reads and checks the dict in config.json.

    Args:
        directory: folder of the run.
        verified: whether its checksum is compared, if the run is finished.
    Raises:
        UsageError: the folder holds no run, or its config.json is damaged.
    """
    path = Path(directory) / "config.json"
    try:
        values = json.loads(read_text(path), parse_constant=_no_constant)
        checked(values, Description)
        finished_config(values)
    except FileNotFoundError:
        raise UsageError(f"{directory} holds no run (no config.json)") from None
    except (UsageError, OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not the config of a run: {reason(error)}") from error
    if verified:
        checksums.verify(directory, "config.json")
    return values


def _no_constant(name):
    raise ValueError(f"it holds {name}; expected finite numbers")


def run_data(directory):
    """Loads the data on which a run was trained, and compares their hashes.

    Args:
        directory: folder of the run.
    Returns:
        shared.data.Data
    Raises:
        UsageError: the data are missing, or are not those of the training.
    """
    written = read_config(directory)["data"]
    options = {**written.get("reading", {}), "scaling": written.get("scaling")}
    data = load_data(written["source"], **options)
    if data.sha256 != written["sha256"]:
        raise UsageError(f"{written['source']} is not the data that {directory} was trained on")
    return data


def read_run_weights(directory, epoch=None):
    """Reads the config and the weights of a run.

    Args:
        directory: folder of the run.
        epoch: a pictured epoch, "best" for the best one, or None for the end of the run.
    Returns:
        the dict in config.json, {canonical name: float32 array}
    Raises:
        UsageError: the folder holds no run, or the weights are missing, damaged or of another step.
    """
    values = read_config(directory)
    config, n = finished_config(values), values["data"]["n_train"]
    if epoch == "best":
        if config.patience is None:
            raise UsageError(f"{directory} has no {BEST}; only a run with --patience keeps it")
        name, step = BEST, _best_step(directory)
    elif epoch is None:
        name, step = "weights.npz", config.total_steps(n)
    else:
        name, step = epoch_weights(epoch), config.end_of_epoch(epoch, n)
    path = Path(directory) / name
    if not os.path.lexists(path):
        raise UsageError(f"{directory} has no {name}; finish the run with --resume")
    checksums.verify(directory, name)
    input_dim = math.prod(values["data"]["image_shape"])
    shapes, dtypes, _ = stored_variables(values.get("network"), config, input_dim)
    arrays = read_npz(path, shapes, dtypes)
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
    rows = _read_csv(directory, "history.csv", HistoryRow)
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
        path = Path(directory) / "history.csv"
        raise UsageError(f"{path} is not the history of a run: its epochs are not 1, 2, 3, …")
    return rows


def read_step_losses(directory):
    """Reads the losses in steps.csv.

    Returns:
        list of floats, nats per image, from step 1 on; empty if the file does not exist yet.
    Raises:
        UsageError: the file does not hold the losses of a run's steps.
    """
    rows = _read_csv(directory, "steps.csv", StepRow)
    if [row["step"] for row in rows] != list(range(1, len(rows) + 1)):
        path = Path(directory) / "steps.csv"
        raise UsageError(f"{path} does not hold the losses of steps 1, 2, 3, …")
    # Rounded to float32, nine decimal digits are the loss in every bit.
    return [float(np.float32(row["loss"])) for row in rows]


def _read_csv(directory, name, schema):
    """Returns the rows of a table as dicts of numbers; [] if it does not exist."""
    path, columns = Path(directory) / name, schema.__struct_fields__
    required = tuple(each for each in columns if each != PENALTY)
    if not os.path.lexists(path):
        return []
    try:
        reader = csv.DictReader(read_text(path).splitlines(), strict=True)
        rows = list(reader)
        if (names := tuple(reader.fieldnames or ())) not in (required, columns):
            raise UsageError(f"its columns are not {', '.join(required)}")
        for row in rows:
            if None in row:
                raise UsageError(f"a row has more than {len(names)} entries")
        rows = [checked(row, schema, strict=False) for row in rows]
    except (UsageError, csv.Error) as error:
        raise UsageError(
            f"{path} is damaged: {error}; train with --resume, which restores it"
        ) from error
    checksums.verify(directory, name)
    return [{column: getattr(row, column) for column in names} for row in rows]


def read_metrics(directory):
    """Reads the dict in metrics.json; it is empty if the file does not exist yet.

    Raises:
        UsageError: the file does not hold the metrics of a run.
    """
    path = Path(directory) / "metrics.json"
    if not os.path.lexists(path):
        return {}
    try:
        metrics = json.loads(read_text(path), parse_constant=_no_constant)
        checked(metrics, dict[str, Metric])
    except (UsageError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} does not hold the metrics of a run: {reason(error)}; remove it and evaluate"
            " again"
        ) from error
    checksums.verify(directory, "metrics.json")
    return metrics


def store_metrics(directory, metrics):
    """Writes metrics.json, after a check of each metric.

    Args:
        directory: folder of the run.
        metrics: {name: dict}.
    """
    checked(metrics, dict[str, Metric])
    text = json.dumps(metrics, indent=2, allow_nan=False) + "\n"
    write_product(directory, "metrics.json", text.encode())
