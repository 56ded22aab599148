"""Trains the 2018 TensorFlow recipe with several seeds, with its own epsilon and with Keras'."""

import dataclasses

import numpy as np

from shared.machine.checks import UsageError
from shared.run.files import read_npz, write_npz
from shared.run.folder import read_step_losses

__all__ = ["VARIANTS", "read_seeds", "train_seeds", "write_seeds"]

# The recipe, and the one default that changes it most: Keras' epsilon of Adam in place of that of
# TensorFlow 1. At the first step, half of the gradients of the encoder's kernel are below 2e-8.
VARIANTS = {"recipe": {}, "keras_epsilon": {"optimizer_epsilon": 1e-7}}


def train_seeds(variant, seeds, config, data, implementation, on_progress):
    """Trains some seeds with one variant of the recipe.

    Args:
        variant: name of VARIANTS.
        seeds: list of seeds.
        config: shared.config.Config of post-tf.
        data: shared.data.Data.
        implementation: functions of an implementation; `step_losses` is used.
        on_progress: called with a line of text after each seed.
    Returns:
        (seeds, steps) float32, the loss of each step in nats per image.
    """
    config = dataclasses.replace(config, **VARIANTS[variant])
    return implementation.step_losses(
        config, data, seeds, lambda seed: on_progress(f"{variant}, seed {seed}")
    )


def write_seeds(out, seeds, losses):
    """Writes the losses of all seeds to seeds.npz.

    Args:
        out: folder of the results.
        seeds: list of seeds.
        losses: {name of VARIANTS: (seeds, steps) float32 nats per image}.
    """
    write_npz(out / "seeds.npz", {**losses, "seeds": np.array(seeds)})


def read_seeds(out, seeds):
    """Reads what `write_seeds` wrote; returns None if it is missing, damaged or of other runs.

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
