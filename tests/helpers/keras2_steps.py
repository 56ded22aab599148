"""Prints what Keras 2 (tf-keras) computes with its defaults, as JSON; see test_defaults.py.

    python tests/helpers/keras2_steps.py GRADIENT ...

It runs in a process of its own, so that Keras 2 and Keras 3 do not share one.
"""

import inspect
import json
import sys

import numpy as np
import tensorflow as tf
import tf_keras

OPTIMIZERS = {
    "Adam": tf_keras.optimizers.Adam,
    "legacy Adam": tf_keras.optimizers.legacy.Adam,
    "RMSprop": tf_keras.optimizers.RMSprop,
    "legacy RMSprop": tf_keras.optimizers.legacy.RMSprop,
    "legacy RMSprop, momentum 0.5": lambda: tf_keras.optimizers.legacy.RMSprop(momentum=0.5),
}


def weights_after(optimizer, gradients):
    """The weight, which starts at zero, after a step with each gradient: a list."""
    variable, weights = tf.Variable(0.0), []
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        weights.append(float(variable.numpy()))
    return weights


def cross_entropy(x, probs):
    """The binary cross-entropy of one pixel, from a probability."""
    return float(tf_keras.losses.binary_crossentropy(tf.constant([[x]]), probs)[0])


gradients = [float(each) for each in sys.argv[1:]]
dense = tf_keras.layers.Dense(256)
dense.build((None, 784))
truncated = tf_keras.initializers.TruncatedNormal(stddev=1.0, seed=0)
results = {
    "weights": {name: weights_after(make(), gradients) for name, make in OPTIMIZERS.items()},
    "white pixel, probability 0": cross_entropy(1.0, tf.constant([[0.0]])),
    "black pixel, probability 1": cross_entropy(0.0, tf.constant([[1.0]])),
    "black pixel, logit 30": cross_entropy(
        0.0, tf_keras.layers.Activation("sigmoid")(tf.constant([[30.0]]))
    ),
    "largest kernel of Dense": float(np.max(np.abs(dense.get_weights()[0]))),
    "largest bias of Dense": float(np.max(np.abs(dense.get_weights()[1]))),
    "stddev of TruncatedNormal": float(np.std(truncated((784, 400)))),
    "fit shuffles": inspect.signature(tf_keras.Model.fit).parameters["shuffle"].default,
}
print(json.dumps(results))
