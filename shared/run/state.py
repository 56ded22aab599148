"""Reads what the folder of a run holds, and checks whether a training can continue from it."""

import dataclasses
import os
from dataclasses import dataclass, field

from shared.config import UsageError, from_dict
from shared.run.files import step_of
from shared.run.folder import (
    CHECKPOINT,
    epoch_weights,
    missing_products,
    read_config,
    read_history,
    read_step_losses,
)

__all__ = ["State", "read_state"]

LENGTH = {"epochs", "steps"}  # the fields that may change when a run is resumed


@dataclass
class State:
    """Holds how far a run has come; the attributes are those of shared.run.run.Run."""

    trained_by: list
    step: int = 0
    history: list = field(default_factory=list)
    step_losses: list = field(default_factory=list)
    complete: bool = False


def read_state(folder, config, data, implementation, resume, overwrite):
    """Reads the state of a run from its folder; nothing is written.

    Args:
        folder: path of the folder, which need not exist.
        config: shared.config.Config of the training.
        data: shared.data.Data of the training.
        implementation: name of the implementation that will train.
        resume, overwrite: what to do with a run in the folder; without either it is refused.
    Returns:
        State
    Raises:
        UsageError: the folder cannot be used as requested.
    """
    new = State(trained_by=[implementation])
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{folder} is not a folder; expected a folder for the run")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    names = [name for name in names if name != ".lock" and not name.endswith(".partial")]
    if not names:
        return new
    if "config.json" not in names:
        raise UsageError(f"{folder} holds {names[0]} and no run; give an empty or new folder")
    if not (resume or overwrite):
        raise UsageError(
            f"{folder} already holds a run; give --resume, --overwrite or another --out"
        )
    # Checked for --overwrite too: a folder that is not a run must not be cleared.
    written = read_config(folder)
    # Before its first checkpoint a run holds nothing that depends on its settings.
    if overwrite or not os.path.lexists(folder / CHECKPOINT):
        return new
    return _resumed(folder, written, config, data, implementation)


def _resumed(folder, written, wanted, data, implementation):
    begun, n = from_dict(written), len(data.x_train)
    for each in dataclasses.fields(wanted):
        old, new = getattr(begun, each.name), getattr(wanted, each.name)
        if old != new and each.name not in LENGTH:
            raise UsageError(
                f"{folder} was started with {each.name} {old}, not {new};"
                " resume it with the same settings, or give another --out"
            )
    if written["data"]["sha256"] != data.sha256:
        raise UsageError(
            f"{folder} was started on {written['data']['name']}, other data than"
            f" {data.name}; resume it on its own data, or give another --out"
        )
    step = step_of(folder / CHECKPOINT)
    if step is None:
        raise UsageError(
            f"cannot read the checkpoint {folder / CHECKPOINT}; give --overwrite or another --out"
        )
    _check_length(folder, begun, wanted, n, step)
    # If the process was killed after it wrote the rows of an epoch and before its checkpoint, the
    # rows after the checkpoint are dropped.
    history = [row for row in read_history(folder) if row["step"] <= step]
    if not history or history[-1]["step"] != step:
        raise UsageError(f"{folder}: history.csv lacks the row of step {step}")
    step_losses = read_step_losses(folder)[:step] if wanted.step_losses else []
    if wanted.step_losses and len(step_losses) != step:
        raise UsageError(f"{folder}: steps.csv lacks steps before step {step}")
    total, trained_by = wanted.total_steps(n), written["trained_by"]
    for epoch in wanted.pictured(n)[:-1]:
        end = wanted.end_of_epoch(epoch, n)
        if end <= step and step_of(folder / epoch_weights(epoch)) != end:
            raise UsageError(
                f"{folder} lacks {epoch_weights(epoch)}, which only a new training can restore;"
                " give --overwrite or another --out"
            )
    if step < total and implementation not in trained_by:
        trained_by = [*trained_by, implementation]
    complete = step == total and not missing_products(folder, wanted, n)
    return State(trained_by, step, history, step_losses, complete)


def _check_length(folder, begun, wanted, n, step):
    """Raises UsageError if a run that has done `step` steps cannot have the length of `wanted`."""
    total, per_epoch = wanted.total_steps(n), wanted.steps_per_epoch(n)
    if step > total:
        raise UsageError(
            f"{folder} has run {step} steps, more than the requested {total};"
            " give a longer run or another --out"
        )
    if begun.total_steps(n) != total and wanted.learning_rate_decay != 1:
        raise UsageError(
            f"{folder} was started for {begun.total_steps(n)} steps, over which its learning rate"
            f" falls, not for {total}; resume it with the same length, or give another --out"
        )
    if step < total and step % per_epoch:
        raise UsageError(
            f"{folder} ended inside an epoch (step {step}, {per_epoch} per epoch); only a run that"
            " ended with an epoch can be made longer: give another --out"
        )
