"""The run directory: what a training run writes, how it is locked, and how it is resumed.

Every file is written whole or not at all, and the checkpoint of an epoch last of what the epoch
writes: whatever moment the power fails, the folder says which epoch was finished, and a resumed
run goes on from there to the same bits. The files are shared; each implementation only gathers and
assigns its variables, so either implementation can finish what the other began.
"""

import contextlib
import dataclasses
import shutil
from pathlib import Path

import filelock

from shared.config import UsageError, from_dict
from shared.run.files import write_csv, write_json, write_npz
from shared.run.folder import (
    CHECKPOINT,
    COLUMNS,
    EXPORTED,
    PATTERNS,
    read_checkpoint_step,
    read_config,
    read_history,
    read_metrics,
    read_step_losses,
    versions,
)

__all__ = [
    "Run",
]

LENGTH = {"epochs", "steps"}  # a resumed run may be longer than it was begun


class Run:
    """One training run and, where `directory` is given, its folder.

    The constructor only reads and checks, so a command can refuse before it loads TensorFlow;
    the folder is locked and written to inside `with run:`.

    Attributes:
        step: steps already done (0 for a new run).
        history: a dict per finished epoch, with the keys of COLUMNS.
        step_losses: the loss of each step done, where the config asks for them.
        complete: the folder already holds the whole run.
    Raises:
        UsageError: the folder can't be used as asked.
    """

    def __init__(self, directory, config, data, implementation, resume=False, overwrite=False):
        self.directory = None if directory is None else Path(directory)
        self.config = config
        self.data = data
        self.implementation = implementation
        self.step = 0
        self.history = []
        self.step_losses = []
        self.trained_by = [implementation]
        self.complete = False
        self._overwrite = overwrite
        self._lock = None
        if self.directory is not None:
            self._check(resume, overwrite)

    # ---- what is there

    def _check(self, resume, overwrite):
        folder = self.directory
        if resume and overwrite:
            raise UsageError("--resume and --overwrite exclude each other; give one")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; expected a folder for the run")
        found = (
            [path for path in folder.glob("*") if path.name != ".lock"] if folder.exists() else []
        )
        found = [path for path in found if not path.name.endswith(".partial")]
        if not found:
            return
        if not (folder / "config.json").exists():
            raise UsageError(
                f"{folder} holds {found[0].name} and no run; give an empty or new folder"
            )
        if not (resume or overwrite):
            raise UsageError(
                f"{folder} already holds a run; give --resume, --overwrite or another --out"
            )
        if resume:
            self._check_resume()

    def _check_resume(self):
        folder, written = self.directory, read_config(self.directory)
        begun, wanted = from_dict(written), self.config
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
        self.step = read_checkpoint_step(folder)
        n = len(self.data.x_train)
        total, per_epoch = wanted.total_steps(n), wanted.steps_per_epoch(n)
        if self.step > total:
            raise UsageError(
                f"{folder} has run {self.step} steps, more than the {total} asked for;"
                " give a longer run or another --out"
            )
        if begun.total_steps(n) != total and wanted.learning_rate_decay != 1:
            raise UsageError(
                f"{folder} was begun for {begun.total_steps(n)} steps, over which its step size"
                f" falls, not for {total}; resume it as it was begun, or give another --out"
            )
        if self.step < total and self.step % per_epoch:
            raise UsageError(
                f"{folder} ended inside an epoch (step {self.step}, {per_epoch} an epoch); only a"
                " run that ended with an epoch can be made longer: give another --out"
            )
        # A crash may have come between an epoch's rows and its checkpoint: keep what it covers.
        self.history = [row for row in read_history(folder) if row["step"] <= self.step]
        if wanted.step_losses:
            self.step_losses = read_step_losses(folder)[: self.step]
        before = written["trained_by"]
        self.trained_by = (
            before if self.implementation in before else [*before, self.implementation]
        )
        metrics = read_metrics(folder)
        self.complete = self.step == total and any(m["step"] == total for m in metrics.values())
        if self.complete:
            self.trained_by = before

    @property
    def checkpoint(self):
        """Path of the checkpoint file to go on from, or None at step 0."""
        return self.directory / CHECKPOINT if self.step else None

    # ---- what is written

    def __enter__(self):
        if self.directory is None:
            return self
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(self.directory / ".lock", timeout=0)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise UsageError(
                f"{self.directory} is in use by another process; wait for it"
            ) from None
        try:
            for partial in [
                *self.directory.glob(".*.partial"),
                *self.directory.glob("*/.*.partial"),
            ]:
                partial.unlink()
            for folder in EXPORTED:  # of a model that training now leaves behind
                shutil.rmtree(self.directory / folder, ignore_errors=True)
            if self._overwrite:
                self._clear()
            write_json(self.directory / "config.json", self.describe())
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception):
        if self._lock is not None:
            self._lock.release()

    def _clear(self):
        # The checkpoint goes first: a folder caught half cleared then resumes from step 0.
        with contextlib.suppress(FileNotFoundError):
            (self.directory / CHECKPOINT).unlink()
        for pattern in PATTERNS:
            for path in self.directory.glob(pattern):
                if path.name != ".lock":
                    path.unlink()

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
            write_npz(self.directory / f"weights_epoch_{row['epoch']:03d}.npz", weights)
        write_csv(self.directory / "history.csv", COLUMNS, map(_formatted, self.history))
        if self.config.step_losses:
            # Nine digits bring every float32 back.
            rows = ((step, f"{loss:.9g}") for step, loss in enumerate(self.step_losses, start=1))
            write_csv(self.directory / "steps.csv", ("step", "loss"), rows)
        write_npz(self.directory / CHECKPOINT, checkpoint)

    def finish(self, weights):
        """Write the weights of the finished run."""
        if self.directory is not None:
            write_npz(self.directory / "weights.npz", weights)


def _formatted(row):
    """A row of the history as text: 9 digits bring a float32 back, time needs no more than ms."""
    texts = [f"{row[column]:.9g}" for column in COLUMNS[2:-1]]
    return (row["epoch"], row["step"], *texts, f"{row['seconds']:.3f}")


# ---- reading a run


# ---- writing whole files
