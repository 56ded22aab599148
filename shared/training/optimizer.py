"""Builds the Keras optimizer of a config, for both implementations, and names its slots."""

import keras
import numpy as np
from keras import ops

__all__ = [
    "RMSpropOfKeras2",
    "build_optimizer",
    "constant_rate",
    "optimizer_slots",
    "reset_optimizer",
]

# The step counter and the learning rate are not slots, because they do not belong to a weight.
NO_SLOTS = ("iteration", "learning_rate")


@keras.saving.register_keras_serializable("shared")
class RMSpropOfKeras2(keras.optimizers.RMSprop):
    """RMSprop as Keras 2 had it: epsilon is added to the root, and not to the number under it.

    With Keras 3's form, lr · g / √(a + ε), a gradient below √ε = 3e-4 moves a weight by less than
    the learning rate; with this form, lr · g / (√a + ε), only one below ε = 1e-7 does. `momentum`
    and `centered` of the base class are not supported.

    Source: keras 2.1.5, keras/optimizers.py, RMSprop.get_updates.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Updates one weight and its running mean of squared gradients."""
        mean = self._velocities[self._get_variable_index(variable)]
        rate, gradient = (ops.cast(each, variable.dtype) for each in (learning_rate, gradient))
        self.assign(mean, self.rho * mean + (1 - self.rho) * ops.square(gradient))
        self.assign_sub(variable, rate * gradient / (ops.sqrt(mean) + self.epsilon))


def build_optimizer(config, n, variables):
    """Builds the config's optimizer, with all slots zero, for a run on `n` training examples.

    Args:
        config: shared.config.Config.
        n: number of training examples, because a decaying learning rate depends on the number of
            steps of the run.
        variables: `trainable_variables` of the model.
    Returns:
        keras.optimizers.Optimizer
    """
    outside = config.rmsprop_epsilon == "outside"
    kinds = {
        "adam": keras.optimizers.Adam,
        "rmsprop": RMSpropOfKeras2 if outside else keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    rate = config.learning_rate
    if config.learning_rate_decay != 1:
        steps = config.total_steps(n)
        rate = keras.optimizers.schedules.ExponentialDecay(
            rate, steps, 1 / config.learning_rate_decay
        )
    options = {"epsilon": config.optimizer_epsilon} if config.optimizer_epsilon else {}
    optimizer = kinds[config.optimizer](learning_rate=rate, **options)
    optimizer.build(list(variables))
    return optimizer


def constant_rate(optimizer):
    """Returns the variable of a constant learning rate, or None if the rate falls by a schedule."""
    return next((v for v in optimizer.variables if v.name == "learning_rate"), None)


def optimizer_slots(model, optimizer):
    """Returns the variables that an optimizer keeps for each weight, by name.

    Args:
        model: VAE.
        optimizer: as `build_optimizer` returns it for `model.trainable_variables`.
    Returns:
        {"optimizer/SLOT/WEIGHT": variable}
    """
    # Keras lists an optimizer's slots variable by variable, in the order it was built with.
    slots = [v for v in optimizer.variables if v.name not in NO_SLOTS]
    per_variable = len(slots) // len(model.trainable_variables)
    starts = {id(v): i * per_variable for i, v in enumerate(model.trainable_variables)}
    return {
        f"optimizer/{slot.name.rsplit('_', 1)[-1]}/{name}": slot
        for name, variable in model.named_weights.items()
        if id(variable) in starts
        for slot in slots[starts[id(variable)] : starts[id(variable)] + per_variable]
    }


def reset_optimizer(optimizer):
    """Sets the step counter and all slots to zero, as at the start of a run."""
    for variable in optimizer.variables:
        if variable.name != "learning_rate":
            variable.assign(np.zeros(variable.shape))
