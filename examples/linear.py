"""A linear encoder and decoder, whose best ELBO is known: it is that of probabilistic PCA.

A run with a folder; --fixed-sigma S fixes sigma, which is learned otherwise:
    python -m tf_vae train --network examples/linear.py:networks --likelihood gaussian --data mnist
"""

from shared.command.implementation import quiet
from shared.machine.checks import UsageError

with quiet():  # without TensorFlow's messages about the machine
    import keras
    from keras import layers, ops


class Constant(layers.Layer):
    """Returns trained numbers that are the same for every row of the input.

    Args:
        count: how many numbers are trained: the width, or 1 for a number that is repeated.
        width: numbers in each row of the output.
    """

    def __init__(self, count, width, **others):
        super().__init__(**others)
        self.count, self.width = count, width

    def build(self, shape):
        self.value = self.add_weight(shape=(self.count,), initializer="zeros", name="value")

    def call(self, inputs):
        row = ops.broadcast_to(self.value, (self.width,))
        return ops.zeros_like(inputs[:, :1]) + row

    def get_config(self):
        return {**super().get_config(), "count": self.count, "width": self.width}


def networks(config, image_shape):
    """Returns an encoder and a decoder without hidden layers, and with constant variances.

    Args:
        config: shared.config.Config, with latent_dim, posterior gaussian and likelihood gaussian.
        image_shape: shape of an image or a row of a table.
    Returns:
        encoder: keras.Model of x (batch, input_dim) that returns [z_mean, z_log_var].
        decoder: keras.Model of z (batch, latent_dim) that returns {"mean"}, and "log_var" if sigma
            is learned, with one sigma for all pixels.
    Raises:
        UsageError: posterior or likelihood is another one.
    """
    if (config.posterior, config.likelihood) != ("gaussian", "gaussian"):
        raise UsageError(
            f"posterior is {config.posterior} and likelihood is {config.likelihood}; the linear VAE"
            " needs gaussian for both"
        )
    width = 1
    for side in image_shape:
        width *= side
    x = keras.Input((width,), name="x")
    z_mean = layers.Dense(config.latent_dim, name="z_mean")(x)
    z_log_var = Constant(config.latent_dim, config.latent_dim, name="z_log_var")(x)
    z = keras.Input((config.latent_dim,), name="z")
    heads = {"mean": layers.Dense(width, name="mean")(z)}
    if config.fixed_sigma is None:
        heads["log_var"] = Constant(1, width, name="log_var")(z)
    return keras.Model(x, [z_mean, z_log_var]), keras.Model(z, heads)
