"""The state of a run: what its directory holds, and what each finished epoch adds to it.

Each file is written completely or not at all, and the checkpoint is the last file that an epoch
writes. Whenever the process ends, the folder therefore shows which epoch was finished last, and a
resumed run continues from there to the same bits. The files are shared; an implementation only
gathers and assigns its variables, so that either of them can continue a run of the other.
"""

import contextlib
import dataclasses
import shutil
import tempfile
from pathlib import Path

import numpy as np

from shared.config import UsageError
from shared.run.files import read_npz, step_of, write_archive, write_csv, write_json, write_npz
from shared.run.folder import CHECKPOINT, COLUMNS, EXPORTED, epoch_weights, locked, versions
from shared.run.process import Stopped
from shared.run.state import State, read_state
from shared.weights import check_size

__all__ = ["Run", "read_checkpoint"]

# The files that the end of a run writes, beside `figures/` and the weights of pictured epochs.
# They are stale as soon as the run is continued.
PRODUCTS = ("weights.npz", "model.keras", "metrics.json", "samples.png", "samples.npz")


class Run:
    """Holds the state of one training run and, if `directory` is given, writes its folder.

    The constructor only reads and checks, so that a command can report bad input before it loads
    TensorFlow. `with run:` takes the folder's lock and reads again, because another process may
    have trained in the meantime. `begin`, after the model has been restored, is the first to write.

    Attributes:
        step: number of steps already done (0 for a new run).
        history: list of one dict per finished epoch, with the keys of COLUMNS.
        step_losses: list of the loss of each step, if the config asks for them.
        complete: whether the folder holds the whole run: weights, figures and metrics.
    Raises:
        UsageError: the folder cannot be used as requested.
    """

    def __init__(self, directory, config, data, implementation, resume=False, overwrite=False):
        self.directory = None if directory is None else Path(directory)
        self.config = config
        self.data = data
        self.implementation = implementation
        self._resume, self._overwrite = resume, overwrite
        self._lock = contextlib.ExitStack()
        check_size(config, data.input_dim, len(data.x_train))
        self._read()

    # ---- reading

    def _read(self):
        state = State(trained_by=[self.implementation])
        if self._resume and self._overwrite:
            raise UsageError("--resume and --overwrite exclude each other; give one")
        if self.directory is not None:
            arguments = self.config, self.data, self.implementation
            state = read_state(self.directory, *arguments, self._resume, self._overwrite)
        vars(self).update(vars(state))

    @property
    def checkpoint(self):
        """Path of the checkpoint from which training continues, or None at step 0."""
        return self.directory / CHECKPOINT if self.step else None

    # ---- writing

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
        """Writes config.json, and removes the files that further training makes stale.

        Until this is called, the folder is unchanged; call it after everything that training needs
        has been read. With `overwrite`, the checkpoint is removed first and config.json is replaced
        last, so that a folder in which this was interrupted is a run at step 0.
        """
        if self.directory is None:
            return
        for partial in (*self._files(".*.partial"), *self._files("*/.*.partial")):
            partial.unlink()
        n, config = len(self.data.x_train), self.config
        if self.step == 0:
            self._remove(str(CHECKPOINT), "history.csv", "steps.csv")
        if self.step < config.total_steps(n):
            done = [e for e in config.pictured(n) if config.end_of_epoch(e, n) <= self.step]
            kept = [epoch_weights(epoch) for epoch in done]
            epochs = [path.name for path in self._files("weights_epoch_*.npz")]
            self._remove(*PRODUCTS, *(name for name in epochs if name not in kept))
            self._remove(*(f"figures/{path.name}" for path in self._files("figures/*.png")))
            for folder in EXPORTED:
                if not (self.directory / folder).is_symlink():
                    shutil.rmtree(self.directory / folder, ignore_errors=True)
        write_json(self.directory / "config.json", self.describe())

    def _files(self, pattern):
        """Returns the files of a pattern, except those in a folder that is a symbolic link."""
        paths = self.directory.glob(pattern)
        return [p for p in paths if p.parent == self.directory or not p.parent.is_symlink()]

    def _remove(self, *names):
        for name in names:
            (self.directory / name).unlink(missing_ok=True)

    def describe(self):
        """Returns the contents of config.json: config, data, implementations and versions."""
        return {
            **dataclasses.asdict(self.config),
            "data": self.data.describe(),
            "trained_by": self.trained_by,
            "versions": versions(),
        }

    def finish_epoch(self, row, step_losses, weights, checkpoint):
        """Records one finished epoch.

        Args:
            row: dict with the keys of COLUMNS.
            step_losses: the loss of each step of the epoch; kept if the config asks for them.
            weights: {canonical name: array}; written if the epoch is pictured.
            checkpoint: {name: array}: weights, optimizer slots and step.
        Raises:
            Stopped: a loss or a weight is not finite; the epoch is not recorded.
        """
        self._check_finite(row, step_losses, weights)
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
            # Nine decimal digits determine every float32.
            rows = ((step, f"{loss:.9g}") for step, loss in enumerate(self.step_losses, start=1))
            write_csv(self.directory / "steps.csv", ("step", "loss"), rows)
        write_npz(self.directory / CHECKPOINT, checkpoint, self.step)

    def _check_finite(self, row, step_losses, weights):
        """Raises Stopped if an epoch has a loss or a weight that is NaN or infinite."""
        values = {name: row[name] for name in COLUMNS[2:-1] if name in row} | weights
        bad = [name for name, value in values.items() if not np.isfinite(value).all()]
        if not bad:
            return
        config, place = self.config, f"epoch {row['epoch']} (step {row['step']})"
        steps = np.flatnonzero(~np.isfinite(step_losses))
        if len(steps):
            place = f"epoch {row['epoch']}, step {self.step + steps[0] + 1}"
        kept = f"{self.step} steps before it are saved" if self.step else "nothing was saved"
        raise Stopped(
            f"{config.recipe}: {bad[0]} is not finite after {place}; {kept}. A smaller"
            f" learning_rate than {config.learning_rate} may help, or another beta"
            f" ({config.beta}), fixed_sigma or likelihood"
        )

    def finish(self, weights, save=None):
        """Writes the weights of the finished run, and its model if the framework can.

        Args:
            weights: {canonical name: array}.
            save: function that writes the model to a path ending in .keras, or None.
        """
        if self.directory is None:
            return
        last = epoch_weights(self.config.pictured(len(self.data.x_train))[-1])
        if step_of(self.directory / last) != self.step:  # removed after the epoch was recorded
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
    """Reads a checkpoint of either implementation.

    Args:
        path: path of the file.
        shapes: {name: shape} of its variables.
    Returns:
        {name: array} with these names and "step".
    Raises:
        UsageError: the file cannot be read, or holds other variables.
    """
    arrays = read_npz(path, {**shapes, "step": ()})
    if arrays["step"] != step_of(path):
        raise UsageError(f"{path} is of step {step_of(path)} and holds step {arrays['step']}")
    return arrays


def _formatted(row):
    """Formats a row of the history: 9 digits determine a float32; seconds are rounded to 1 ms."""
    texts = [f"{row[column]:.9g}" for column in COLUMNS[2:-1]]
    return (row["epoch"], row["step"], *texts, f"{row['seconds']:.3f}")
