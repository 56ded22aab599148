"""The state of a run: what its directory holds, and what each finished epoch adds to it.

Every file is written whole or not at all, and the checkpoint of an epoch last of what the epoch
writes: whenever the process ends, the folder says which epoch was finished, and a resumed run
continues from there to the same bits. The files are shared; each implementation only gathers and
assigns its variables, so either can finish what the other began.
"""

import contextlib
import dataclasses
import shutil
import tempfile
from pathlib import Path

from shared.config import UsageError, from_dict
from shared.run.files import read_npz, step_of, write_archive, write_csv, write_json, write_npz
from shared.run.folder import (
    CHECKPOINT,
    COLUMNS,
    EXPORTED,
    epoch_weights,
    locked,
    missing_products,
    read_config,
    read_history,
    read_step_losses,
    versions,
)

__all__ = ["Run", "read_checkpoint"]

# What the end of a run leaves behind; of another step it is stale. `figures/` and the weights of
# pictured epochs belong to it too.
PRODUCTS = ("weights.npz", "model.keras", "metrics.json", "samples.png", "samples.npz")
LENGTH = {"epochs", "steps"}  # a resumed run may be longer than it was begun


class Run:
    """One training run and, where `directory` is given, its folder.

    The constructor only reads and checks, so that a command can refuse before it loads
    TensorFlow. `with run:` takes the folder's lock and reads again, since another process may
    have trained in between; `begin` writes first, after the model has been restored.

    Attributes:
        step: steps already done (0 for a new run).
        history: a dict per finished epoch, with the keys of COLUMNS.
        step_losses: the loss of each step done, where the config asks for them.
        complete: the folder already holds the whole run: weights, figures and metrics.
    Raises:
        UsageError: the folder can't be used as asked.
    """

    def __init__(self, directory, config, data, implementation, resume=False, overwrite=False):
        self.directory = None if directory is None else Path(directory)
        self.config = config
        self.data = data
        self.implementation = implementation
        self._resume, self._overwrite = resume, overwrite
        self._lock = contextlib.ExitStack()
        self._read()

    # ---- what is there

    def _read(self):
        self.step = 0
        self.history = []
        self.step_losses = []
        self.trained_by = [self.implementation]
        self.complete = False
        if self._resume and self._overwrite:
            raise UsageError("--resume and --overwrite exclude each other; give one")
        if self.directory is not None:
            self._check()

    def _check(self):
        folder = self.directory
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; expected a folder for the run")
        names = [path.name for path in folder.glob("*")] if folder.exists() else []
        names = [name for name in names if name != ".lock" and not name.endswith(".partial")]
        if not names:
            return
        if "config.json" not in names:
            raise UsageError(f"{folder} holds {names[0]} and no run; give an empty or new folder")
        if not (self._resume or self._overwrite):
            raise UsageError(
                f"{folder} already holds a run; give --resume, --overwrite or another --out"
            )
        # Also before --overwrite: what is no run is not ours to clear.
        written = read_config(folder)
        if self._resume:
            self._check_resume(written)

    def _check_resume(self, written):
        folder, begun, wanted = self.directory, from_dict(written), self.config
        for field in dataclasses.fields(wanted):
            old, new = getattr(begun, field.name), getattr(wanted, field.name)
            if old != new and field.name not in LENGTH:
                raise UsageError(
                    f"{folder} was begun with {field.name} {old}, not {new};"
                    " resume it as it was begun, or give another --out"
                )
        if written["data"]["sha256"] != self.data.sha256:
            raise UsageError(
                f"{folder} was begun on {written['data']['name']}, other data than"
                f" {self.data.name}; resume it on its own data"
            )
        if not (folder / CHECKPOINT).exists():
            return
        step = step_of(folder / CHECKPOINT)
        if step is None:
            raise UsageError(
                f"cannot read the checkpoint {folder / CHECKPOINT}; give --overwrite or another"
                " --out"
            )
        self._check_length(begun, step)
        self.step = step
        # A crash may have come between an epoch's rows and its checkpoint: keep what it covers.
        self.history = [row for row in read_history(folder) if row["step"] <= step]
        if not self.history or self.history[-1]["step"] != step:
            raise UsageError(f"{folder}: history.csv lacks the row of step {step}")
        if wanted.step_losses:
            self.step_losses = read_step_losses(folder)[:step]
            if len(self.step_losses) != step:
                raise UsageError(f"{folder}: steps.csv lacks steps before step {step}")
        n, before = len(self.data.x_train), written["trained_by"]
        total = wanted.total_steps(n)
        for epoch in wanted.pictured(n)[:-1]:
            end = wanted.end_of_epoch(epoch, n)
            if end <= step and step_of(folder / epoch_weights(epoch)) != end:
                raise UsageError(
                    f"{folder} has lost {epoch_weights(epoch)}, which only training again can"
                    " restore; give --overwrite or another --out"
                )
        if step < total and self.implementation not in before:
            before = [*before, self.implementation]
        self.trained_by = before
        self.complete = step == total and not missing_products(folder, wanted, n)

    def _check_length(self, begun, step):
        """Refuse a length that the run, which has done `step` steps, cannot have."""
        folder, wanted, n = self.directory, self.config, len(self.data.x_train)
        total, per_epoch = wanted.total_steps(n), wanted.steps_per_epoch(n)
        if step > total:
            raise UsageError(
                f"{folder} has run {step} steps, more than the {total} asked for;"
                " give a longer run or another --out"
            )
        if begun.total_steps(n) != total and wanted.learning_rate_decay != 1:
            raise UsageError(
                f"{folder} was begun for {begun.total_steps(n)} steps, over which its step size"
                f" falls, not for {total}; resume it as it was begun, or give another --out"
            )
        if step < total and step % per_epoch:
            raise UsageError(
                f"{folder} ended inside an epoch (step {step}, {per_epoch} per epoch); only a"
                " run that ended with an epoch can be made longer: give another --out"
            )

    @property
    def checkpoint(self):
        """Path of the checkpoint file to continue from, or None at step 0."""
        return self.directory / CHECKPOINT if self.step else None

    # ---- what is written

    def __enter__(self):
        if self.directory is not None:
            self._lock.enter_context(locked(self.directory))
            try:
                self._read()
            except BaseException:
                self._lock.close()
                raise
        return self

    def __exit__(self, *exception):
        self._lock.close()

    def begin(self):
        """Write config.json and remove what the steps to come make stale.

        Call it when everything that training needs has been read: until then the folder is as it
        was. Cleared for `overwrite`, the checkpoint goes first and config.json is replaced last:
        a folder caught in between still holds a run, of no step.
        """
        if self.directory is None:
            return
        for partial in (*self._files(".*.partial"), *self._files("*/.*.partial")):
            partial.unlink()
        n, kept = len(self.data.x_train), []
        if self._overwrite:
            self._remove(str(CHECKPOINT), "history.csv", "steps.csv")
        if self._overwrite or self.step < self.config.total_steps(n):
            if not self._overwrite:
                kept = [epoch_weights(epoch) for epoch in self.config.pictured(n)]
            epochs = [path.name for path in self._files("weights_epoch_*.npz")]
            self._remove(*PRODUCTS, *(name for name in epochs if name not in kept))
            self._remove(*(f"figures/{path.name}" for path in self._files("figures/*.png")))
            for folder in EXPORTED:
                if not (self.directory / folder).is_symlink():
                    shutil.rmtree(self.directory / folder, ignore_errors=True)
        write_json(self.directory / "config.json", self.describe())

    def _files(self, pattern):
        """The files of a pattern, but for those in a folder that is a link to another place."""
        found = self.directory.glob(pattern)
        return [p for p in found if p.parent == self.directory or not p.parent.is_symlink()]

    def _remove(self, *names):
        for name in names:
            (self.directory / name).unlink(missing_ok=True)

    def describe(self):
        """What config.json holds: every config field, the data, who trained, with what."""
        return {
            **dataclasses.asdict(self.config),
            "data": self.data.describe(),
            "trained_by": self.trained_by,
            "versions": versions(),
        }

    def finish_epoch(self, row, step_losses, weights, checkpoint):
        """Record one finished epoch.

        Args:
            row: dict with the keys of COLUMNS.
            step_losses: the loss of each of its steps; kept where the config asks for them.
            weights: {canonical name: array}; kept where the epoch is to be pictured.
            checkpoint: {name: array}: weights, optimizer slots and step.
        """
        self.step = row["step"]
        self.history.append(row)
        if self.config.step_losses:
            self.step_losses.extend(float(loss) for loss in step_losses)
        if self.directory is None:
            return
        if row["epoch"] in self.config.pictured(len(self.data.x_train)):
            write_npz(self.directory / epoch_weights(row["epoch"]), weights, self.step)
        write_csv(self.directory / "history.csv", COLUMNS, map(_formatted, self.history))
        if self.config.step_losses:
            # Nine digits bring every float32 back.
            rows = ((step, f"{loss:.9g}") for step, loss in enumerate(self.step_losses, start=1))
            write_csv(self.directory / "steps.csv", ("step", "loss"), rows)
        write_npz(self.directory / CHECKPOINT, checkpoint, self.step)

    def finish(self, weights, save=None):
        """Write the weights of the finished run, and the model where the framework can.

        Args:
            weights: {canonical name: array}.
            save: function that writes the model to a path ending in .keras, if there is one.
        """
        if self.directory is None:
            return
        last = epoch_weights(self.config.pictured(len(self.data.x_train))[-1])
        if step_of(self.directory / last) != self.step:  # lost since the epoch was recorded
            write_npz(self.directory / last, weights, self.step)
        write_npz(self.directory / "weights.npz", weights, self.step)
        if save is not None:
            with tempfile.TemporaryDirectory() as folder:
                save(Path(folder) / "model.keras")
                content = (Path(folder) / "model.keras").read_bytes()
            write_archive(self.directory / "model.keras", content, self.step)
        elif step_of(self.directory / "model.keras") != self.step:
            self._remove("model.keras")


def read_checkpoint(path, shapes):
    """The arrays of a checkpoint of either implementation: the variables in `shapes`, and "step".

    Raises:
        UsageError: the file cannot be read, or holds other variables.
    """
    arrays = read_npz(path, {**shapes, "step": ()})
    if arrays["step"] != step_of(path):
        raise UsageError(f"{path} is of step {step_of(path)} and holds step {arrays['step']}")
    return arrays


def _formatted(row):
    """A row of the history as text: 9 digits bring a float32 back, time needs no more than ms."""
    texts = [f"{row[column]:.9g}" for column in COLUMNS[2:-1]]
    return (row["epoch"], row["step"], *texts, f"{row['seconds']:.3f}")
