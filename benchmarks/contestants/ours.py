"""The two implementations of the project."""

import contextlib
import dataclasses
import os

from shared.command.implementation import import_implementation

__all__ = ["epochs"]


def epochs(config, data, count, package):
    """Trains by `package`; returns the seconds of each epoch, of the training steps alone.

    Args:
        config: shared.config.Config.
        data: shared.data.Data.
        count: number of epochs, or 0 for a single step.
        package: "keras_vae" or "tf_vae".
    """
    changes = {"epochs": count, "steps": None} if count else {"epochs": None, "steps": 1}
    config = dataclasses.replace(config, **changes, picture_epochs=(), step_losses=False)
    # As a user runs it, with the default progress bar, whose output is not shown.
    with open(os.devnull, "w", encoding="utf-8") as unseen, contextlib.redirect_stdout(unseen):
        _, run = import_implementation(package).train(config, data)
    return [row["seconds"] for row in run.history]
