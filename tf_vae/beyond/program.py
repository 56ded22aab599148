"""Returns the program that XLA compiles for one training step of the loop."""

import tensorflow as tf

from shared.measure.programs import program
from shared.training.optimizer import build_optimizer
from tf_vae.checkpoint import named_variables
from tf_vae.model import build
from tf_vae.train import Steps

__all__ = ["step_program"]


def step_program(config, n, input_dim, batch, stage="before"):
    """Returns the program of the training step that this implementation passes to XLA.

    Args:
        config: shared.config.Config.
        n: number of training examples, on which a decaying learning rate depends.
        input_dim: pixels per image.
        batch: number of examples in the batch of this step.
        stage: "before" or "after" the optimizations of XLA.
    Returns:
        shared.measure.programs.Program
    """
    model = build(config, input_dim)
    optimizer = build_optimizer(config, n, model.trainable_variables)
    steps = Steps(model, optimizer)
    trackers = [*steps.means.values(), *([steps.losses] if steps.losses else [])]
    variables = named_variables(model, optimizer, trackers)
    arguments = {
        "images": tf.zeros((2, batch, input_dim)),
        "white_level": tf.constant(1.0),
        "steps": tf.constant(2),
        "noise_seed": tf.constant(0),
    }
    return program(steps.run_steps, arguments, variables, stage)
