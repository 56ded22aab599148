"""A given network as the model calls it: flat rows in and out, as a functional Keras model."""

import keras

from shared.training.networks import call_network, image_input

__all__ = ["functional"]


def functional(name, network, inputs):
    """Returns a functional model, from flat rows to the outputs of a network.

    Args:
        name: "encoder" or "decoder", by which the VAE finds the model.
        network: a Keras model or layer, or a function of symbolic tensors.
        inputs: keras.Input of (batch, width).
    Returns:
        keras.Model
    Raises:
        UsageError: it cannot be called on a row.
    """
    shape = image_input(network, inputs.shape[1])
    # In float32, as the pixels are, whatever the global policy is.
    x = keras.layers.Reshape(shape, dtype="float32")(inputs) if shape else inputs
    return keras.Model(inputs, _flat(call_network(name, network, x)), name=name)


def _flat(outputs):
    """Returns a decoder's heads as (batch, numbers); images of pixels become rows."""
    if not isinstance(outputs, dict):
        return outputs
    return {
        name: head if head.ndim <= 2 else keras.layers.Flatten(dtype=head.dtype)(head)
        for name, head in outputs.items()
    }
