"""Decides when a run stops before its length, and how long a run is that has stopped.

The rule of `patience` is a function of the history alone. Both implementations, all workers and a
resumed run have equal histories, so they stop after the same epoch.
"""

import dataclasses

from shared.config import from_dict
from shared.machine.checks import UsageError

__all__ = ["best_row", "finished_config", "shortened", "stop_text", "stopping_epoch"]


def best_row(history):
    """Returns the row of the epoch with the lowest val_loss, the first one of equals.

    Args:
        history: rows with the keys of shared.run.schemas.COLUMNS; at least one.
    """
    return min(history, key=lambda row: row["val_loss"])


def stopping_epoch(history, patience):
    """Returns the first epoch that is `patience` epochs after the best one up to there, or None.

    Args:
        history: rows with the keys of shared.run.schemas.COLUMNS, in the order of the epochs.
        patience: the config field; with None a run never stops before its length.
    """
    best = None
    for row in history if patience is not None else ():
        best = row if best is None or row["val_loss"] < best["val_loss"] else best
        if row["epoch"] - best["epoch"] >= patience:
            return row["epoch"]
    return None


def shortened(config, stopped):
    """Returns the config with the length that its run has in the end.

    Args:
        config: shared.config.Config.
        stopped: the entry `stopped_after` of config.json, or None for a run of its whole length.
    Returns:
        shared.config.Config
    """
    # A run stops only at the end of an epoch, so its length is a number of whole epochs.
    return dataclasses.replace(config, epochs=stopped["epoch"], steps=None) if stopped else config


def finished_config(values):
    """Returns the config of a run, with the length at which it stopped if it did so early.

    Whatever reads a run that is finished uses this config; the optimizer alone needs the original
    length, over which the learning rate falls.

    Args:
        values: the dict in config.json.
    Returns:
        shared.config.Config
    Raises:
        UsageError: a field has a bad value, or the run cannot have stopped where the dict says.
    """
    config, stopped = from_dict(values), values.get("stopped_after")
    if stopped:
        n, epoch, step = values["data"]["n_train"], stopped["epoch"], stopped["step"]
        if step != epoch * config.steps_per_epoch(n) or step >= config.total_steps(n):
            raise UsageError(
                f"stopped_after is epoch {epoch}, step {step}; expected the end of an epoch before"
                " the last"
            )
    return shortened(config, stopped)


def stop_text(config, stopped):
    """Returns in words why and after which epoch a run stopped early.

    Args:
        config: shared.config.Config of the run.
        stopped: the entry `stopped_after` of config.json.
    """
    by = "a callback" if stopped["by"] == "callback" else f"patience {config.patience}"
    return f"stopped by {by} after epoch {stopped['epoch']}"
