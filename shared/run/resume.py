"""Reads what the folder of a run holds, and checks whether a training can continue from it.

Its progress is read from a checkpoint alone. The other files of a run follow from it, and those
that are missing or damaged are written again.
"""

import dataclasses
import math
import os
import zipfile
from dataclasses import dataclass, field

from shared.config import from_dict
from shared.machine.arithmetic import describe_arithmetic
from shared.machine.backend import BACKENDS, backend
from shared.machine.checks import UsageError
from shared.machine.npz import DAMAGE
from shared.run import checksums
from shared.run.checkpoints import CHECKPOINT, PREVIOUS, read_checkpoint
from shared.run.files import step_of
from shared.run.folder import BEST, epoch_weights, missing_products, read_config, read_history
from shared.run.network import check_same, stored_variables
from shared.run.stopping import best_row, shortened, stopping_epoch
from shared.weights import slot_shapes

__all__ = ["Progress", "arithmetic_here", "read_progress"]

LENGTH = {"epochs", "steps", "patience"}  # the fields that may change when a run is resumed
# The fields that may change when a run is resumed after it diverged. No other weight, slot or
# example depends on them.
CURES = {"learning_rate", "learning_rate_decay", "optimizer_epsilon", "beta", "fixed_sigma"}


@dataclass
class Progress:
    """Holds how far a run has come."""

    trained_by: list  # the implementations that have trained it, in their order
    arithmetic: list = field(default_factory=list)  # the settings with which it was trained
    step: int = 0  # number of steps that are done
    history: list = field(default_factory=list)  # one dict per finished epoch, by COLUMNS
    step_losses: list = field(default_factory=list)  # of each step, if the config asks for them
    running: dict = field(default_factory=dict)  # the running means inside an epoch, or empty
    changes: list = field(default_factory=list)  # of settings, after the training diverged
    stopped: dict | None = None  # the entry `stopped_after` of config.json, if it stopped early
    callbacks: list = field(default_factory=list)  # names of those that were called
    best: dict | None = None  # the weights of the best epoch, if their file has to be written again
    checkpoint: os.PathLike | None = None  # from which training continues; None at step 0
    network: dict | None = None  # the entry of its config.json, if the run brings its own network
    complete: bool = False  # whether the folder has everything: weights, figures and metrics
    notes: list = field(default_factory=list)  # lines for the user, about damaged files


def read_progress(folder, config, data, implementation, resume, overwrite, network=None):
    """Reads how far a run has come from its folder; nothing is written.

    Args:
        folder: path of the folder, which need not exist.
        config: shared.config.Config of the training.
        data: shared.data.Data of the training.
        implementation: name of the implementation that will train.
        resume, overwrite: what to do with a run in the folder; without either it is refused.
        network: shared.run.network.Network of the training, or None.
    Returns:
        Progress
    Raises:
        UsageError: the folder cannot be used as requested.
    """
    new = Progress([implementation], arithmetic_here())
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
    written = read_config(folder, verified=False)
    # Before its first checkpoint a run holds nothing that depends on its settings.
    begun = any(os.path.lexists(folder / path) for path in (CHECKPOINT, PREVIOUS))
    if begun and resume:
        check_same(folder, written.get("network"), network)
        return _resumed(folder, written, config, data, implementation)
    if resume and network is None:
        new.network = written.get("network")
        check_same(folder, new.network, network)
    return new


def _resumed(folder, written, wanted, data, implementation):
    begun, n = from_dict(written), data.n_train
    if written["data"]["sha256"] != data.sha256:
        raise UsageError(
            f"{folder} was started on {written['data']['name']}, other data than"
            f" {data.name}; resume it on its own data, or give another --out"
        )
    damaged = checksums.damaged(folder)
    notes = [f"{folder / name} is damaged" for name in damaged if name != CHECKPOINT]
    changes = _changes(folder, written, begun, wanted)
    kept = written.get("network")
    checkpoint, path, note = _last_checkpoint(folder, damaged, begun, data, kept)
    _check_length(folder, begun, wanted, n, checkpoint)
    stopped = _stopped(folder, written, begun, wanted, n, checkpoint)
    finished = shortened(wanted, stopped)
    step, total, trained_by = checkpoint.step, finished.total_steps(n), written["trained_by"]
    for epoch in finished.pictured(n)[:-1]:
        end, name = finished.end_of_epoch(epoch, n), epoch_weights(epoch)
        if end <= step and (name in damaged or not _intact(folder / name, end)):
            raise UsageError(
                f"{folder / name} is missing or damaged, and only a new training can restore it;"
                " give --overwrite or another --out"
            )
    if step < total and implementation not in trained_by:
        trained_by = [*trained_by, implementation]
    settings = written.get("arithmetic", [])
    if 0 < step < total and (here := arithmetic_here()) != settings[-1:]:
        notes.append(f"note: {_other_bits(step, settings[-1:], here)}")
        settings = [*settings, *here]
    return Progress(
        trained_by=trained_by,
        arithmetic=settings,
        step=step,
        history=_with_seconds(folder, checkpoint.history),
        step_losses=checkpoint.step_losses,
        running=checkpoint.running,
        changes=[*written.get("changes", []), *([{"step": step, **changes}] if changes else [])],
        stopped=stopped,
        callbacks=written.get("callbacks", []),
        best=_best_weights(folder, damaged, changes, begun, finished, n, checkpoint),
        checkpoint=path,
        network=kept,
        complete=step == total and not damaged and not missing_products(folder, finished, n),
        notes=[*notes, *note],
    )


def arithmetic_here():
    """Returns the settings that decide the bits of a training in this process, as a list.

    It is empty on another backend than TensorFlow, whose threads are not set here.
    """
    return [describe_arithmetic()] if backend() == BACKENDS[0] else []


def _other_bits(step, before, here):
    """Returns the note for a run that continues with other settings of the arithmetic."""
    texts = ["settings that were not recorded"] * 2
    for number, settings in enumerate((before, here)):
        for each in settings:
            threads = f"{each['threads']} thread{'s' if each['threads'] > 1 else ''}"
            texts[number] = f"{threads} and {each['instructions']}"
    return (
        f"{step} steps were computed with {texts[0]}, and the rest is with {texts[1]}; the bits"
        " are those of neither alone"
    )


def _changes(folder, written, begun, wanted):
    """Returns {field: [old, new]} of the settings that differ; raises UsageError if one may not."""
    allowed = CURES if written.get("diverged_after") is not None else set()
    changes = {}
    for each in dataclasses.fields(wanted):
        old, new = getattr(begun, each.name), getattr(wanted, each.name)
        if old == new or each.name in LENGTH:
            continue
        # A sigma that is given or learned is another network.
        if each.name not in allowed or None in (old, new):
            raise UsageError(
                f"{folder} was started with {each.name} {old}, not {new};"
                " resume it with the same settings, or give another --out"
            )
        changes[each.name] = [old, new]
    return changes


def _last_checkpoint(folder, damaged, config, data, kept):
    """Returns the last intact checkpoint, its path, and notes for the user."""
    shapes, dtypes, trained = stored_variables(kept, config, data.input_dim)
    shapes = shapes | slot_shapes(config, trained)
    reasons = []
    for path in (CHECKPOINT, PREVIOUS):
        try:
            if not os.path.lexists(folder / path):
                raise UsageError(f"{folder / path} is missing")
            if path in damaged:
                raise UsageError(f"{folder / path} is damaged")
            checkpoint = read_checkpoint(folder / path, shapes, dtypes)
            _check_rows(folder / path, checkpoint, config, data.n_train)
        except UsageError as error:
            reasons.append(str(error))
            continue
        note = [f"{reasons[0]}; continuing from {path}, step {checkpoint.step}"] if reasons else []
        return checkpoint, folder / path, note
    raise UsageError(f"{reasons[0]}; give --overwrite or another --out")


def _check_rows(path, checkpoint, config, n):
    """Raises UsageError if a checkpoint's history or losses are not those of a run of `config`."""
    for row in checkpoint.history:
        if row["step"] != config.end_of_epoch(row["epoch"], n):
            raise UsageError(f"{path} has epoch {row['epoch']} end at step {row['step']}")
    if bool(checkpoint.step_losses) != config.step_losses:
        raise UsageError(f"{path} does not have the losses of the steps that its run asks for")


def _stopped(folder, written, begun, wanted, n, checkpoint):
    """Returns the entry `stopped_after` of a run that does not continue, or None.

    Raises:
        UsageError: with the patience of `wanted` the run would have stopped earlier.
    """
    step, history, entry = checkpoint.step, checkpoint.history, written.get("stopped_after")
    epoch = stopping_epoch(history, wanted.patience)
    if epoch is not None and history[epoch - 1]["step"] < step:
        raise UsageError(
            f"{folder} has run {step} steps, and with patience {wanted.patience} it would have"
            f" stopped after epoch {epoch}; give a larger --patience or leave it out"
        )
    if step == wanted.total_steps(n):
        return None
    if epoch is not None:
        return {"epoch": epoch, "step": step, "by": "patience"}
    # A callback has ended it, and nothing says that it should be longer.
    same = all(getattr(begun, name) == getattr(wanted, name) for name in LENGTH)
    by_callback = entry is not None and entry["by"] == "callback" and entry["step"] == step
    return entry if same and by_callback else None


def _best_weights(folder, damaged, changes, begun, finished, n, checkpoint):
    """Returns the weights for weights_best.npz if it has to be written again, or None.

    Raises:
        UsageError: the weights of the best epoch are neither there nor in the checkpoint.
    """
    if finished.patience is None or not checkpoint.history:
        return None
    best, path = best_row(checkpoint.history), folder / BEST
    if BEST not in damaged and _intact(path, best["step"]):
        return None
    if best["step"] == checkpoint.step:  # the process ended before it wrote the file
        variables = checkpoint.variables.items()
        return {name: v for name, v in variables if not name.startswith("optimizer/")}
    if begun.patience is None:
        raise UsageError(
            f"{folder} was trained without --patience, so the weights of its best epoch,"
            f" {best['epoch']}, were not kept; leave out --patience, or give --overwrite or another"
            " --out"
        )
    # After the loss of the last checkpoint, the file can be of an epoch that is trained again.
    later = step_of(path) or 0
    again = checkpoint.step < later <= finished.total_steps(n) and _intact(path, later)
    if not again or changes or BEST in damaged or finished.patience < begun.patience:
        raise UsageError(
            f"{path} is missing or damaged, and only a new training can restore it; leave out"
            " --patience, or give --overwrite or another --out"
        )
    return None


def _with_seconds(folder, history):
    """Adds the seconds of each epoch from history.csv, or NaN where that is damaged."""
    try:
        seconds = {row["epoch"]: row["seconds"] for row in read_history(folder)}
    except UsageError:
        seconds = {}
    return [{**row, "seconds": seconds.get(row["epoch"], math.nan)} for row in history]


def _intact(path, step):
    """Whether a weights file is of the given step, and each array has its CRC-32."""
    try:
        with zipfile.ZipFile(path) as file:
            return step_of(path) == step and file.testzip() is None
    except DAMAGE:
        return False


def _check_length(folder, begun, wanted, n, checkpoint):
    """Raises UsageError if a run that has done some steps cannot have the length of `wanted`."""
    step, total = checkpoint.step, wanted.total_steps(n)
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
    per_epoch = wanted.steps_per_epoch(n)
    if step < total and step % per_epoch and not checkpoint.running:
        raise UsageError(
            f"{folder} ended inside an epoch (step {step}, {per_epoch} per epoch); only a run that"
            " ended with an epoch can be made longer: give another --out"
        )
    if step == total and checkpoint.running and step % per_epoch:
        raise UsageError(
            f"{folder} was saved inside an epoch, at step {step}, where the requested run ends;"
            " give a longer run or another --out"
        )
