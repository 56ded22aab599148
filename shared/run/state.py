"""The state of a run: what its directory holds, and what each finished epoch adds to it.

Each file is written completely or not at all, and the checkpoint is the last file that an epoch
writes. Whenever the process ends, the folder therefore shows which epoch was finished last, and a
resumed run continues from there to the same bits. The files are shared; an implementation only
gathers and assigns its variables, so that either of them can continue a run of the other.
"""

import contextlib
import dataclasses
import functools
import math
import tempfile
from pathlib import Path

import numpy as np

from shared.data import check_order, check_scale
from shared.machine.backend import BACKENDS, backend
from shared.machine.checks import UsageError
from shared.machine.process import Stopped, check_interrupted, say
from shared.machine.versions import versions
from shared.run import checksums
from shared.run.checkpoints import CHECKPOINT, Checkpoint, write_checkpoint
from shared.run.files import step_of, with_step, write_atomically, write_csv, write_json, write_npz
from shared.run.folder import BEST, epoch_weights, locked
from shared.run.network import KEPT
from shared.run.resume import Progress, arithmetic_here, read_progress
from shared.run.schemas import LOGS, PENALTY, Description, StepRow, checked, columns_of
from shared.run.stale import FINISHED, remove_stale_files
from shared.run.stopping import best_row, shortened, stopping_epoch
from shared.weights import check_size

__all__ = ["Run", "check_checkpoint_steps"]


class Run:
    """Holds the state of one training run and, if `directory` is given, writes its folder.

    `check` only reads, so that a command can report bad input before it loads TensorFlow. `with
    run:` takes the folder's lock and reads what another process may have trained in the meantime.
    `begin`, after the model has been restored, is the first to write.

    Attributes:
        config, data: shared.config.Config and shared.data.Data of the run.
        network: shared.run.network.Network that was named, or None.
        directory: path of the folder, or None.
        progress: shared.run.resume.Progress, what has been done so far, read from the folder when
            it is first asked for. Its `step`, `history`, `step_losses`, `running`, `checkpoint`,
            `complete`, `stopped` and `trained_by` can be read from the run.
    Raises:
        UsageError: the arguments contradict each other, or the run cannot be computed.
    """

    def __init__(
        self, directory, config, data, implementation, resume=False, overwrite=False, network=None
    ):
        self.directory = None if directory is None else Path(directory)
        self.config = config
        self.data = data
        self.implementation = implementation
        if implementation == "keras_vae" and backend() != BACKENDS[0]:
            self.implementation = f"{implementation} on {backend()}"
        if resume and overwrite:
            raise UsageError("--resume and --overwrite exclude each other; give one")
        self.network = network
        self._kept = None  # the entry of config.json for the network, and the text of its file
        self._resume, self._overwrite = resume, overwrite
        self._lock = contextlib.ExitStack()
        check_size(config, data.input_dim, data.n_train, dense=network is None)
        check_order(config, data)
        check_scale(config, data)

    # ---- reading

    def check(self):
        """Reads the folder, and returns the run.

        Raises:
            UsageError: the folder cannot be used as requested.
        """
        if self.directory is None:
            self.progress = Progress([self.implementation], arithmetic=arithmetic_here())
        else:
            arguments = self.config, self.data, self.implementation
            options = self._resume, self._overwrite
            self.progress = read_progress(self.directory, *arguments, *options, self.network)
        return self

    @functools.cached_property
    def progress(self):
        """What has been done so far."""
        return self.check().progress

    @property
    def step(self):
        """Number of steps that are done."""
        return self.progress.step

    @property
    def history(self):
        """One dict per finished epoch, with the keys of COLUMNS."""
        return self.progress.history

    @property
    def step_losses(self):
        """The loss of each step, if the config asks for them."""
        return self.progress.step_losses

    @property
    def running(self):
        """If `step` is inside an epoch, the running means of its first steps; otherwise empty."""
        return self.progress.running

    @property
    def checkpoint(self):
        """Path of the checkpoint from which training continues, or None at step 0."""
        return self.progress.checkpoint

    @property
    def trained_by(self):
        """Names of the implementations that have trained the run, in their order."""
        return self.progress.trained_by

    @property
    def complete(self):
        """Whether the folder holds the whole run: weights, figures and metrics."""
        return self.progress.complete

    @property
    def stopped(self):
        """The entry `stopped_after` of config.json if the run stopped early, or None."""
        return self.progress.stopped

    @property
    def finished_config(self):
        """The config, with the length at which the run stopped if it did so early."""
        return shortened(self.config, self.stopped)

    # ---- writing

    def __enter__(self):
        if self.directory is not None:
            self._lock.enter_context(locked(self.directory))
            try:
                self.check()
            except BaseException:
                self._lock.close()
                raise
        return self

    def __exit__(self, *exception):
        self._lock.close()

    def keep_network(self, entry, text):
        """Sets what the folder keeps of the run's own network.

        Args:
            entry: the entry "network" of config.json.
            text: content of the file KEPT[entry["kept"]].
        """
        self._kept = entry, text

    def begin(self, callbacks=()):
        """Writes config.json, and removes the files that further training makes stale.

        Until this is called, the folder is unchanged; call it after everything that training needs
        has been read. With `overwrite`, the checkpoints are removed first and config.json is
        replaced last, so that a folder in which this was interrupted is a run at step 0.

        Args:
            callbacks: those that the training will call; config.json lists their names.
        """
        if self.config.patience is not None and self.data.held_out_name == "test":
            say(
                "note: the data have no x_valid, so --patience chooses by the test set, whose loss"
                " is then no longer that of unseen images"
            )
        if self.directory is None:
            return
        for note in self.progress.notes:
            say(note)
        if self.step < self.finished_config.total_steps(self.data.n_train):
            names = [getattr(each, "__name__", type(each).__name__) for each in callbacks]
            self.progress.callbacks = list(dict.fromkeys([*self.progress.callbacks, *names]))
        remove_stale_files(self.directory, self.finished_config, self.data.n_train, self.progress)
        if self._kept is not None:
            entry, text = self._kept
            write_atomically(self.directory / KEPT[entry["kept"]], text.encode())
        write_json(self.directory / "config.json", self.describe())
        if self.progress.best:
            write_npz(self.directory / BEST, self.progress.best, self.step)
        if self.step:
            self._write_tables(self.step_losses)

    def describe(self, **more):
        """Returns the contents of config.json: config, data, implementations and versions."""
        watched = self.data.held_out_name
        description = {
            "data": self.data.describe(),
            "trained_by": self.trained_by,
            **({"arithmetic": settings} if (settings := self.progress.arithmetic) else {}),
            "versions": versions(),
            **({"changes": changes} if (changes := self.progress.changes) else {}),
            **({"network": self._kept[0]} if self._kept else {}),
            **({"stopped_after": stopped} if (stopped := self.stopped) else {}),
            **({"watched": watched} if self.config.patience is not None else {}),
            **({"callbacks": callbacks} if (callbacks := self.progress.callbacks) else {}),
            **more,
        }
        checked(description, Description)
        return {**dataclasses.asdict(self.config), **description}

    def finish_epoch(self, row, step_losses, variables, stops=False):
        """Records one finished epoch, and sets `stopped` if the run ends with it.

        Args:
            row: dict with the keys of COLUMNS.
            step_losses: the loss of each step since the last call or resume; kept if the config
                asks for them.
            variables: {name: array}: weights and optimizer slots; the weights are also written to
                a file of their own if the epoch is pictured, and to another if it is the best.
            stops: whether a callback ends the run after this epoch.
        Raises:
            Stopped: a loss or a weight is not finite; the epoch is not recorded.
            KeyboardInterrupt: Ctrl-C was pressed, and something has caught the exception.
        """
        weights = {k: v for k, v in variables.items() if not k.startswith("optimizer/")}
        self._check_finite(row, step_losses, weights)
        self.progress.step = row["step"]
        self.history.append(row)
        if self.config.step_losses:
            self.step_losses.extend(float(loss) for loss in step_losses)
        self.progress.stopped = self._stop(row, stops)
        if self.directory is not None:
            if self.stopped:  # before the checkpoint: without this entry, the run would continue
                write_json(self.directory / "config.json", self.describe())
            if row["epoch"] in self.finished_config.pictured(self.data.n_train):
                write_npz(self.directory / epoch_weights(row["epoch"]), weights, self.step)
            self._write_tables(self.step_losses)
            state = Checkpoint(self.step, variables, self.history, self.step_losses)
            write_checkpoint(self.directory, state)
            # After the checkpoint, from which it is written again if the process ends in between.
            if self.config.patience is not None and best_row(self.history) is row:
                write_npz(self.directory / BEST, weights, self.step)
        check_interrupted()

    def _stop(self, row, stops):
        """Returns the entry `stopped_after` if the run ends early with the epoch of `row`."""
        exhausted = stopping_epoch(self.history, self.config.patience) is not None
        if self.step == self.config.total_steps(self.data.n_train) or not (exhausted or stops):
            return None
        by = "patience" if exhausted else "callback"
        return {"epoch": row["epoch"], "step": row["step"], "by": by}

    def save_inside_epoch(self, step, step_losses, means, seconds, variables):
        """Writes a checkpoint inside an epoch, from which a resumed run continues.

        Args:
            step: number of steps done.
            step_losses, variables: as for `finish_epoch`.
            means: {name: (total, count)} of the running means of the epoch.
            seconds: seconds of training since the epoch began.
        Raises:
            Stopped: a loss or a weight is not finite.
            KeyboardInterrupt: as for `finish_epoch`.
        """
        row = {name: each[0] for name, each in means.items()}
        per_epoch = self.config.steps_per_epoch(self.data.n_train)
        row |= {"epoch": math.ceil(step / per_epoch), "step": step}
        self._check_finite(row, step_losses, variables)
        losses = [*self.step_losses, *(float(loss) for loss in step_losses)]
        losses = losses if self.config.step_losses else []
        running = {name: np.asarray(each, np.float32) for name, each in means.items()}
        state = Checkpoint(step, variables, self.history, losses, {**running, "seconds": seconds})
        self._write_tables(losses)
        write_checkpoint(self.directory, state)
        check_interrupted()

    def _write_tables(self, step_losses):
        columns = columns_of(self.history)
        write_csv(self.directory / "history.csv", columns, map(_formatted, self.history))
        if self.config.step_losses:
            # Nine decimal digits determine every float32.
            rows = ((step, f"{loss:.9g}") for step, loss in enumerate(step_losses, start=1))
            write_csv(self.directory / "steps.csv", StepRow.__struct_fields__, rows)

    def _check_finite(self, row, step_losses, weights):
        """Raises Stopped if an epoch has a loss or a weight that is NaN or infinite."""
        values = {name: row[name] for name in (*LOGS, PENALTY) if name in row} | weights
        bad = [name for name, value in values.items() if not np.isfinite(value).all()]
        if not bad:
            return
        config, place = self.config, f"epoch {row['epoch']} (step {row['step']})"
        steps = np.flatnonzero(~np.isfinite(step_losses))
        if len(steps):
            place = f"epoch {row['epoch']}, step {self.step + steps[0] + 1}"
        kept = "nothing was saved"
        if self.directory is not None and (saved := step_of(self.directory / CHECKPOINT)):
            kept = f"{saved} steps before it are saved, and --resume continues with other settings"
            write_json(self.directory / "config.json", self.describe(diverged_after=saved))
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
        pictured = [epoch_weights(e) for e in self.finished_config.pictured(self.data.n_train)]
        last = pictured[-1]
        if step_of(self.directory / last) != self.step:  # removed after the epoch was recorded
            write_npz(self.directory / last, weights, self.step)
        write_npz(self.directory / "weights.npz", weights, self.step)
        if save is not None:
            with tempfile.TemporaryDirectory() as folder:
                save(Path(folder) / "model.keras")
                content = (Path(folder) / "model.keras").read_bytes()
            write_atomically(self.directory / "model.keras", with_step(content, self.step))
        elif step_of(self.directory / "model.keras") != self.step:
            (self.directory / "model.keras").unlink(missing_ok=True)
        checksums.seal(self.directory, [*FINISHED, *pictured])


def check_checkpoint_steps(steps, directory):
    """Raises UsageError unless a training can write a checkpoint every `steps` steps."""
    if steps is None:
        return
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UsageError(f"checkpoint_steps is {steps!r}; expected an integer >= 1")
    if directory is None:
        raise UsageError(f"checkpoint_steps is {steps} and there is no folder: give one")


def _formatted(row):
    """Formats a row of the history: 9 digits determine a float32; seconds are rounded to 1 ms."""
    texts = [f"{row[column]:.9g}" for column in LOGS]
    penalty = [f"{row[PENALTY]:.9g}"] if PENALTY in row else []
    return (row["epoch"], row["step"], *texts, f"{row['seconds']:.3f}", *penalty)
