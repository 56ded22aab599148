"""What a network has beside the function that it computes: variables, penalties, a mode, a shape.

A network that people bring to `assemble` may be a Keras model, a layer, a `tf.Module` or a
function. Keras defines which of its variables are trained and what it adds to the loss, and both
implementations ask here, so that a loop does with a network what `fit` does with it.
"""

import inspect
import math

import keras
import numpy as np

from shared.machine.checks import UsageError
from shared.machine.text import first_line
from shared.seeds import seed_of

__all__ = [
    "Held",
    "call_network",
    "check_logits",
    "convolves",
    "has_penalty",
    "image_input",
    "keras_variables",
    "layers_in",
    "listed",
    "takes_training",
]

CHANNELS = (1, 3, 4)  # of an image: grey, RGB, RGB and alpha


class Held(keras.layers.Layer):
    """Holds networks, so that Keras lists their variables and penalties, each once.

    A layer that encoder and decoder share has one kernel and one penalty, however often it is used.
    """

    def __init__(self, networks):
        super().__init__(name="networks", dtype="float32")
        self.networks = [each for network in networks for each in layers_in(network)]

    def penalty(self):
        """Returns the sum of the penalties of the last call: regularizers and `add_loss`."""
        return sum(self.losses)


def layers_in(network, depth=4):
    """Returns the Keras layers of a network, or of what a function or a `tf.Module` holds.

    Args:
        network: a Keras layer or model, or another callable.
        depth: how far containers, attributes and enclosed variables are followed.
    """
    if isinstance(network, keras.layers.Layer):
        return [network]
    if isinstance(network, dict):
        inside = network.values()
    elif isinstance(network, (list, tuple, set)):
        inside = network
    elif inspect.ismethod(network):
        inside = [network.__self__]
    elif inspect.isfunction(network):
        enclosed = inspect.getclosurevars(network)
        inside = [*enclosed.nonlocals.values(), *enclosed.globals.values()]
    elif inspect.ismodule(network) or inspect.isclass(network):
        inside = []
    else:
        inside = getattr(network, "__dict__", {}).values()
    found = [layer for each in inside if depth for layer in layers_in(each, depth - 1)]
    return list({id(layer): layer for layer in found}.values())


def keras_variables(layers):
    """Returns (name, variable) of all variables of layers: weights, statistics, seeds of noise.

    The name is that of the layer and of the variable in it, e.g. "hidden_1/kernel".
    """
    variables = {id(v): v for layer in layers for v in layer.variables}
    return [("/".join(v.path.split("/")[-2:]), v) for v in variables.values()]


def takes_training(network):
    """Returns whether a network is called with `training`, as every Keras layer may be."""
    if isinstance(network, keras.layers.Layer):
        return True
    try:
        parameters = inspect.signature(network).parameters.values()
    except (TypeError, ValueError):  # a callable without a signature
        return False
    return any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)


def call_network(name, network, inputs):
    """Calls a network for the first time, in inference.

    Args:
        name: "encoder" or "decoder".
        network: a callable.
        inputs: (batch, width) tensor, symbolic or not.
    Returns:
        the network's outputs.
    Raises:
        UsageError: it cannot be called on such a tensor.
    """
    try:
        if takes_training(network) and not keras.backend.is_keras_tensor(inputs):
            return network(inputs, training=False)
        return network(inputs)
    except UsageError:
        raise
    except Exception as error:
        width = inputs.shape[-1]
        raise UsageError(
            f"the {name} cannot be called on a batch of shape (batch, {width})"
            f" ({type(error).__name__}: {first_line(error)}); expected a network of flat rows, or a"
            " Keras model whose Input has the shape of an image: (rows, columns, channels)"
        ) from error


def image_input(network, width):
    """Returns the shape of an image that a network takes, or None if it takes flat rows.

    Args:
        network: a callable; only a Keras model says which shape it takes.
        width: numbers per row.
    Returns:
        (rows, columns) or (rows, columns, channels), or None.
    """
    shape = getattr(network, "input_shape", None) if isinstance(network, keras.Model) else None
    if not isinstance(shape, tuple) or len(shape) not in (3, 4) or None in shape[1:]:
        return None
    shape = shape[1:]
    if math.prod(shape) != width or shape[2:] not in ((), *((c,) for c in CHANNELS)):
        return None
    return shape


def has_penalty(networks, inputs):
    """Returns whether networks add a penalty to the loss, by a call that changes no variable.

    Args:
        networks: Keras models or layers.
        inputs: for each, a batch that it can be called on.
    """
    found = False
    for network, x in zip(networks, inputs, strict=True):
        with keras.StatelessScope(collect_losses=True) as scope:  # in which no variable changes
            network(x, training=True)
        found = found or bool(scope.losses) or bool(network.losses)
    return found


def listed(config, q):
    """Returns the outputs of an encoder in a list; a Keras model returns its only output bare."""
    bare = config.posterior == "delta" and not isinstance(q, (list, tuple, dict))
    return [q] if bare else q


def convolves(variables):
    """Returns whether one of the variables is the kernel of a convolution: it has four axes."""
    return any(len(variable.shape) >= 4 for variable in variables)


def check_logits(config, decode):
    """Checks that a decoder returns logits, and not what a sigmoid or a softmax has made of them.

    Args:
        config: shared.config.Config.
        decode: function of z, a tensor (batch, latent_dim), that returns the heads.
    Raises:
        UsageError: far from the origin, too, every logit is in [0, 1], and they are not all equal.
    """
    # A network whose last layer is linear leaves [0, 1] as z grows.
    z = np.random.RandomState(seed_of(0, "logits")).standard_normal((64, config.latent_dim))
    z = np.float32(z * np.geomspace(1, 1000, 64)[:, None])
    heads = decode(keras.ops.convert_to_tensor(z))
    if "logits" not in heads:
        return
    logits = keras.ops.convert_to_numpy(heads["logits"])
    if logits.min() >= 0 and logits.max() <= 1 and logits.min() < logits.max():
        raise UsageError(
            "the logits of the decoder all lie in [0, 1], as they do after a sigmoid or a softmax;"
            " expected the values before it: remove the last activation, which the likelihood"
            " itself applies"
        )
