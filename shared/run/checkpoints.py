"""Writes and reads checkpoints: the whole state of a training after some step.

A checkpoint holds the weights, the optimizer's slots and the step, and also the history and the
losses of the steps, so that it can restore the run's other files. Inside an epoch it also holds the
running means of that epoch. The two last checkpoints are kept, in case one is damaged.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shared.machine.checks import UsageError
from shared.machine.npz import read_headers
from shared.run.files import npz_bytes, read_npz, step_of, write_atomically
from shared.run.schemas import COLUMNS, MEANS, PENALTY, columns_of

__all__ = [
    "CHECKPOINT",
    "LEARNING_RATE",
    "PREVIOUS",
    "Checkpoint",
    "read_checkpoint",
    "write_checkpoint",
]

# Paths within the folder of a run, as the record of its files has them on every system
CHECKPOINT, PREVIOUS = "checkpoints/last.npz", "checkpoints/previous.npz"
# The constant learning rate, if it is no longer that of the config: a callback has changed it.
LEARNING_RATE = "optimizer/learning_rate"
# Inside an epoch: total and count of each running mean, and the seconds so far.
INSIDE = {f"running/{name}": (2,) for name in MEANS} | {"running/seconds": ()}


@dataclass
class Checkpoint:
    """Holds what a checkpoint file holds.

    `variables` are the weights and the optimizer's slots by name, and LEARNING_RATE if it differs
    from the config's. `history` are the rows of the finished epochs without their seconds.
    `running` is empty at the end of an epoch; inside one it holds total and count of each running
    mean as (2,) float32, and the seconds so far.
    """

    step: int
    variables: dict
    history: list = field(default_factory=list)
    step_losses: list = field(default_factory=list)
    running: dict = field(default_factory=dict)


def write_checkpoint(directory, checkpoint):
    """Writes a checkpoint to the folder of a run; the last one is kept as the previous one."""
    columns = [name for name in columns_of(checkpoint.history) if name != "seconds"]
    rows = [[row[name] for name in columns] for row in checkpoint.history]
    arrays = {
        **checkpoint.variables,
        "step": np.int64(checkpoint.step),
        "history": np.array(rows, np.float64).reshape(-1, len(columns)),
        "step_losses": np.array(checkpoint.step_losses, np.float32),
        **{f"running/{name}": np.float32(each) for name, each in checkpoint.running.items()},
    }
    path = Path(directory) / CHECKPOINT
    content = npz_bytes(arrays, checkpoint.step)
    write_atomically(path, content, earlier=Path(directory) / PREVIOUS)


def read_checkpoint(path, shapes, dtypes=None):
    """Reads a checkpoint of either implementation.

    Args:
        path: path of the file.
        shapes: {name: shape} of the weights and the optimizer's slots. LEARNING_RATE may be there.
        dtypes: {name: dtype} of those that are not float32.
    Returns:
        Checkpoint
    Raises:
        UsageError: the file cannot be read, holds other variables, or contradicts itself.
    """
    step = step_of(path)
    headers, columns = read_headers(path), COLUMNS[:-1]
    if headers.get("history", ((0, 0),))[0][1:] == (len(COLUMNS),):
        columns = *columns, PENALTY
    state = {"step": (), "history": (None, len(columns)), "step_losses": (None,)}
    inside = INSIDE if "running/loss" in headers else {}
    if (name := f"running/{PENALTY}") in headers:
        inside = {**inside, name: (2,)}
    shapes = {**shapes, **({LEARNING_RATE: ()} if LEARNING_RATE in headers else {})}
    arrays = read_npz(path, {**shapes, **state, **inside}, dtypes)
    running = {name.removeprefix("running/"): arrays[name] for name in inside}
    rows = [dict(zip(columns, row, strict=True)) for row in arrays["history"].tolist()]
    for row in rows:
        row |= {"epoch": int(row["epoch"]), "step": int(row["step"])}
    last, losses = rows[-1]["step"] if rows else 0, arrays["step_losses"].tolist()
    contradictions = {
        f"is of step {step} and holds step {arrays['step']}": arrays["step"] != step,
        "is of step 0": arrays["step"] < 1,
        "lacks an epoch": [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)),
        f"is of step {step} and its last epoch ended at step {last}": (
            last >= step if running else last != step
        ),
        f"has {len(losses)} losses of {step} steps": len(losses) not in (0, step),
    }
    for text, contradicted in contradictions.items():
        if contradicted:
            raise UsageError(f"{path} {text}")
    return Checkpoint(step, {name: arrays[name] for name in shapes}, rows, losses, running)
