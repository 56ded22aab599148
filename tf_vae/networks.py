"""A given network as the model calls it: flat rows in and out, in training or in inference."""

import math

import tensorflow as tf

from shared.training.networks import (
    Held,
    call_network,
    image_input,
    keras_variables,
    layers_in,
    takes_training,
)

__all__ = ["Network", "penalty_of"]


class Network:
    """Calls an encoder or a decoder that was given to `assemble`, and knows its variables."""

    def __init__(self, name, network, width):
        """Calls the network for the first time, and finds its variables.

        Args:
            name: "encoder" or "decoder".
            network: a Keras model or layer, a `tf.Module`, or a function.
            width: numbers per row of its input.
        Raises:
            UsageError: it cannot be called on a row.
        """
        self.network = network
        self.image_shape = image_input(network, width)
        self._takes_training = takes_training(network)
        x = tf.zeros((1, width))
        # Before it is traced: a network may create its variables in its first call.
        self.outputs = _flat(call_network(name, network, self._shaped(x)))
        self.layers = layers_in(network)
        self.variables, self.penalized = self._traced(x)

    def __call__(self, x, training=False):
        """Computes the outputs for x (batch, width); each is (batch, …) and flat."""
        mode = {"training": training} if self._takes_training else {}
        return _flat(self.network(self._shaped(x), **mode))

    def _shaped(self, x):
        return tf.reshape(x, (-1, *self.image_shape)) if self.image_shape else x

    def _traced(self, x):
        """Returns (name, variable) of each variable, and whether a step has a penalty.

        A function or a `tf.Module` does not list its variables, or others than those that it reads.
        So a step is traced, without being executed, and lists them.
        """
        read, losses = [], []

        @tf.function
        def step(x):
            with tf.GradientTape() as tape:
                self(x, training=True)
            read.extend(tape.watched_variables())
            losses.extend(Held(self.layers).losses)

        function = step.get_concrete_function(x)
        penalized = bool(losses)
        if self.layers == [self.network]:
            return keras_variables(self.layers), penalized
        read = list({id(v): v for v in (*read, *function.graph.variables)}.values())
        by_value = {id(v.value): v for _, v in keras_variables(self.layers)}
        used = {id(v) for v in read}
        self.layers = [
            layer
            for layer in self.layers
            if not layer.variables or any(id(v.value) in used for v in layer.variables)
        ]
        return [(v.name.removesuffix(":0"), by_value.get(id(v), v)) for v in read], penalized


def penalty_of(networks):
    """Returns the function that computes the penalty of the last call of networks, or None.

    Args:
        networks: list of Network.
    """
    if not any(network.penalized for network in networks):
        return None
    return Held([layer for network in networks for layer in network.layers]).penalty


def _flat(outputs):
    """Returns a decoder's heads as (batch, numbers); images of pixels become rows."""
    if not isinstance(outputs, dict):
        return outputs
    return {
        name: head
        if head.shape.rank in (None, 2)
        else tf.reshape(head, (-1, math.prod(head.shape[1:])))
        for name, head in outputs.items()
    }
