"""The program that XLA is handed for one training step of `fit`."""

import inspect

import tensorflow as tf

from keras_vae.checkpoint import named_variables
from keras_vae.model import build
from keras_vae.train import compile_model
from shared.measure.programs import program

__all__ = ["step_program"]


def step_program(config, n, input_dim, batch, stage="before"):
    """The training step as this implementation hands it to XLA.

    Args:
        config: shared.config.Config.
        n: number of training examples, on which a falling step size depends.
        input_dim: pixels of an image.
        batch: examples in the batch of this step.
        stage: "before" XLA optimizes, or "after".
    Returns:
        shared.measure.programs.Program
    """
    model = build(config, input_dim)
    optimizer = compile_model(model, config, n)
    model.make_train_function()
    # The very function that `fit` calls step by step; Keras keeps it inside the one it hands out.
    compiled = inspect.getclosurevars(model.train_function).nonlocals["one_step_on_data"]
    compiled = compiled.__wrapped__
    compiled.get_concrete_function(tf.TensorSpec((None, input_dim)))  # traced as `fit` traces it
    variables = named_variables(model, optimizer, model.metrics)
    variables["seed"] = model.sampling.training_noise.state
    return program(compiled, {"x": tf.zeros((batch, input_dim))}, variables, stage)
