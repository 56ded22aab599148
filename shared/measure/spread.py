"""Trains the 2018 TensorFlow recipe with several seeds, with its own epsilon and with Keras'."""

import dataclasses

import numpy as np

from shared.machine.checks import UsageError
from shared.run.files import read_npz, write_npz
from shared.run.folder import read_step_losses

__all__ = ["VARIANTS", "read_seeds", "train_seeds"]

# The recipe, and the one default that changes it most: Keras' epsilon of Adam in place of that of
# TensorFlow 1. At the first step, half of the gradients of the encoder's kernel are below 2e-8.
VARIANTS = {"recipe": {}, "keras_epsilon": {"optimizer_epsilon": 1e-7}}


def train_seeds(out, seeds, config, data, implementation, on_progress):
    """Trains every seed with both variants, and writes the losses to seeds.npz.

    Args:
        out: folder of the results.
        seeds: list of seeds.
        config: shared.config.Config of post-tf.
        data: shared.data.Data.
        implementation: functions of an implementation; `step_losses` is used.
        on_progress: called with a line of text after each seed.
    Returns:
        {name of VARIANTS: (seeds, steps) float32 nats per image}, and "seeds".
    """
    losses = {
        name: implementation.step_losses(
            dataclasses.replace(config, **changes),
            data,
            seeds,
            lambda seed, name=name: on_progress(f"{name}, seed {seed}"),
        )
        for name, changes in VARIANTS.items()
    }
    losses["seeds"] = np.array(seeds)
    write_npz(out / "seeds.npz", losses)
    return losses


def read_seeds(out, seeds):
    """Reads the result of `train_seeds`; returns None if it is missing, damaged or of other runs.

    Args:
        out: folder of the results.
        seeds: list of seeds; the losses of the first must be those of the run in tf/post-tf.
    """
    first = np.array(read_step_losses(out / "tf" / "post-tf"), np.float32)
    shape = (len(seeds), len(first))
    try:
        shapes = {**dict.fromkeys(VARIANTS, shape), "seeds": shape[:1]}
        losses = read_npz(out / "seeds.npz", shapes)
    except UsageError:
        return None  # the losses can be computed again, so the job does not stop
    same = losses["seeds"].tolist() == list(seeds)
    return losses if same and np.array_equal(losses["recipe"][0], first) else None
