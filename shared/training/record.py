"""The record of an epoch: its seconds, the losses of its steps, its checkpoints and its row.

`fit`, the loop of tf_vae and the workers all tell an EpochRecord what they have computed, so the
three cannot record an epoch differently.
"""

import time

__all__ = ["EpochRecord"]


class EpochRecord:
    """Records the epochs of a run, one after another, in the run and its folder."""

    def __init__(self, run, snapshot, on_epoch=None, checkpoint_steps=None, on_steps=None):
        """Prepares the record of the remaining epochs.

        Args:
            run: shared.run.state.Run.
            snapshot: function that returns the weights and the optimizer's slots, {name: array}.
            on_epoch: called with each new row of the history, or None.
            checkpoint_steps: number of steps between checkpoints inside an epoch, or None.
            on_steps: called with the number of steps done after each call of the compiled step.
        """
        self.run = run
        self.checkpoint_steps = checkpoint_steps
        self._snapshot = snapshot
        self._on_epoch = on_epoch
        self._on_steps = on_steps
        self._running = run.running
        self._epoch = self._end = 0  # number of the epoch, and the step after which it ends
        self._losses = []
        self._started = self._seconds = 0.0

    def begin(self, epoch, end):
        """Begins an epoch that ends after step `end`.

        Returns:
            the running means from which an interrupted epoch continues, {name: (total, count)}, and
            its "seconds"; {} if the epoch begins at its first step.
        """
        running, self._running = self._running, {}
        self._epoch, self._end, self._losses = epoch, end, []
        self._started = time.perf_counter() - float(running.get("seconds", 0))
        return running

    def saves_after(self, step):
        """Returns whether a checkpoint is written after `step` steps, inside the epoch.

        Only worker 0 has a folder; the others divide the epoch into the same calls.
        """
        every = self.checkpoint_steps if self.run.directory else None
        return bool(every) and step % every == 0 and step < self._end

    def add(self, step, losses, means):
        """Adds the steps up to `step`, and writes a checkpoint if it is time for one.

        Args:
            step: number of steps done.
            losses: the loss of each step since the last call, or [] if the config asks for none.
            means: function that returns the running means, {name: (total, count)}.
        """
        self._seconds = time.perf_counter() - self._started  # without checkpoints and validation
        self._losses += losses
        if self.saves_after(step):
            variables = self._snapshot()
            self.run.save_inside_epoch(step, self._losses, means(), self._seconds, variables)
            self._started = time.perf_counter() - self._seconds
        if self._on_steps:
            self._on_steps(step)

    def row(self, values):
        """Returns the row of the epoch, {column: number}.

        Args:
            values: as for `finish`.
        """
        return {"epoch": self._epoch, "step": self._end, **values, "seconds": self._seconds}

    def finish(self, values, stops=False):
        """Finishes the epoch; `run.stopped` then says whether the training ends with it.

        Args:
            values: {column: number} of the running means at the end of the epoch and, if there was
                a validation, of those with val_ before their name.
            stops: whether a callback ends the training.
        """
        row = self.row(values)
        self.run.finish_epoch(row, self._losses, self._snapshot(), stops)
        if self._on_epoch:
            self._on_epoch(row)
