"""The differences between Keras' backends that remain visible when `fit` trains a model.

The model and the training loop are the same on TensorFlow, JAX and PyTorch; they ask here.
"""

import keras

from shared.machine.checks import UsageError

__all__ = ["check_gradients", "has_xla", "keep_arithmetic", "runs_several_steps", "synchronize"]


def has_xla():
    """Returns whether the backend compiles with XLA, as TensorFlow and JAX do."""
    return keras.backend.backend() != "torch"


def keep_arithmetic():
    """Makes TensorFlow compute a step without XLA as it is written, in this process from now on.

    Its arithmetic optimizer rewrites sums and products by what it sees around them, and around the
    step of `fit` stands another loop than around that of tf_vae (docs/proof.md).
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def runs_several_steps():
    """Returns whether one call of the compiled function can run several steps.

    On PyTorch, Keras 3.15 executes one step per call, whatever `steps_per_execution` says.
    """
    return keras.backend.backend() != "torch"


def check_gradients(model):
    """Checks that `fit` resets the gradient of every weight before each step.

    On PyTorch, Keras lists the parameters of a model by the path of their variable, and resets the
    gradients of the listed ones only. Of two weights with the same path one is not listed, and its
    gradients would be added up over all steps.

    Args:
        model: keras.Model.
    Raises:
        UsageError: two weights have the same path, on PyTorch.
    """
    if keras.backend.backend() != "torch":
        return
    listed = {id(parameter) for parameter in model.parameters()}
    lost = [v.path for v in model.trainable_variables if id(v.value) not in listed]
    if lost:
        raise UsageError(
            f"two weights have the path {lost[0]}; on PyTorch, Keras would not reset the gradient"
            " of one of them; give the layers of encoder and decoder different names"
        )


def synchronize(model):
    """Copies the state of a running `fit` into the model's variables, where a callback reads it.

    On JAX, `fit` holds weights, slots and metrics outside the variables while it trains.

    Args:
        model: keras.Model.
    """
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
