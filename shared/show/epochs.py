"""Prints the epochs of a training, in the same columns for both implementations."""

from shared.run.schemas import PENALTY

__all__ = ["EpochLines"]

# Nats per image, as in history.csv; the widths fit into 60 columns.
COLUMNS = {"loss": 8, "log_likelihood": 14, "kl": 6, "val_loss": 8}


class EpochLines:
    """Prints a line for each epoch, and says in between how many steps of it are done."""

    def __init__(self, config, n, say, show=lambda text: None):
        """Prepares the lines of a run; the first epoch prints the names of the columns.

        Args:
            config: shared.config.Config.
            n: number of training examples.
            say: prints a line that stays.
            show: shows a text while the steps of an epoch are done.
        """
        self._config, self._n = config, n
        self._say, self._show = say, show
        self._begun = False

    def epoch(self, row):
        """Prints an epoch, given its row of the history."""
        last = self._config.total_epochs(self._n)
        columns = COLUMNS | ({PENALTY: 8} if PENALTY in row else {})
        width = max(len("epoch"), 2 * len(str(last)) + 1)
        if not self._begun:
            names = (name.rjust(each) for name, each in columns.items())
            self._say("  ".join(["epoch".ljust(width), *names, "seconds"]))
            self._begun = True
        place = f"{row['epoch']}/{last}".ljust(width)
        numbers = (f"{row[name]:{each}.2f}" for name, each in columns.items())
        self._say("  ".join([place, *numbers, f"{row['seconds']:7.1f}"]))

    def steps(self, step):
        """Shows how much of an epoch is done, given the number of steps since the run began."""
        per_epoch = self._config.steps_per_epoch(self._n)
        epoch = (step - 1) // per_epoch + 1
        end = self._config.end_of_epoch(epoch, self._n)
        first = (epoch - 1) * per_epoch
        text = f"epoch {epoch}: step {step - first:,} of {end - first:,}"
        self._show(text if step < end else f"epoch {epoch}: measuring the held-out images")
