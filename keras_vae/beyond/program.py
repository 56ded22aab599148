"""Returns the program that XLA compiles for one training step of `fit`."""

import inspect

import tensorflow as tf

from keras_vae.checkpoint import named_variables
from keras_vae.model import build
from keras_vae.train import compile_step
from shared.measure.programs import program
from shared.training.optimizer import build_optimizer

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
    compile_step(model, optimizer)
    model.make_train_function()
    # The function that `fit` calls for each step; `train_function` holds it in its closure.
    compiled = inspect.getclosurevars(model.train_function).nonlocals["one_step_on_data"]
    compiled = compiled.__wrapped__
    compiled.get_concrete_function(tf.TensorSpec((None, input_dim)))  # traced as `fit` traces it
    variables = named_variables(model, optimizer, model.metrics)
    variables["seed"] = model.sampling.training_noise.state
    return program(compiled, {"x": tf.zeros((batch, input_dim))}, variables, stage)
