"""The VAE as a `tf.Module` of variables and matrix products.

x → encoder → (z_mean, z_log_var) → sampling → z → decoder → logits → objective. The call ends in
the two terms of the ELBO and takes the noise as an argument, so the loop decides what is drawn.
"""

import math

import tensorflow as tf

from shared.elbo import (
    bernoulli_log_likelihood,
    kl_to_standard_normal,
    reparameterize,
)
from shared.seeds import seed_of
from shared.weights import weight_shapes

__all__ = ["VAE", "build", "decode", "encode"]

PREDICT_BATCH = 500  # examples a call of encode and decode


def build(config, input_dim):
    """A VAE with the initial weights of `config.seed`.

    Args:
        config: shared.config.Config.
        input_dim: pixels of an image.
    Returns:
        VAE: maps x (batch, input_dim) and epsilon (batch, latent_dim) to log_likelihood and kl,
        each (batch,) nats.
    """
    return VAE(config, input_dim)


class VAE(tf.Module):
    """The variables by canonical name, and the computation from x to the terms of the ELBO."""

    def __init__(self, config, input_dim):
        super().__init__(name="vae")
        self.config = config
        self.input_dim = input_dim
        self.weights = {
            name: tf.Variable(_initial(config, name, shape), name=name)
            for name, shape in weight_shapes(config, input_dim).items()
        }
        self.activation = {"relu": tf.nn.relu, "tanh": tf.tanh}[config.activation]

    def dense(self, name, h):
        return tf.matmul(h, self.weights[f"{name}/kernel"]) + self.weights[f"{name}/bias"]

    # encode
    @tf.function(jit_compile=True)
    def encoder(self, x):
        h = x
        for number in range(1, len(self.config.hidden_dims) + 1):
            h = self.activation(self.dense(f"encoder/hidden_{number}", h))
        return self.dense("encoder/z_mean", h), self.dense("encoder/z_log_var", h)

    # decode
    @tf.function(jit_compile=True)
    def decoder(self, z):
        h = z
        for number in range(1, len(self.config.hidden_dims) + 1):
            h = self.activation(self.dense(f"decoder/hidden_{number}", h))
        return self.dense("decoder/logits", h)

    @tf.function(jit_compile=True)
    def __call__(self, x, noise_seed):
        # sample
        z_mean, z_log_var = self.encoder(x)
        epsilon = tf.random.stateless_normal(tf.shape(z_mean), noise_seed)
        z = reparameterize(z_mean, z_log_var, epsilon)

        # objective
        log_likelihood = bernoulli_log_likelihood(x, self.decoder(z))
        return log_likelihood, kl_to_standard_normal(z_mean, z_log_var)


def _initial(config, name, shape):
    """The initial value of a weight: f(seed, name)."""
    if name.endswith("/bias"):
        return tf.zeros(shape)
    seed = [seed_of(config.seed, "weights", name), 0]
    if config.initializer == "glorot_uniform":
        limit = math.sqrt(3.0 / ((shape[0] + shape[1]) / 2.0))
        return tf.random.stateless_uniform(shape, seed, -limit, limit)
    return tf.random.stateless_truncated_normal(shape, seed, stddev=config.initializer_stddev)


def encode(model, x):
    """The posterior q(z|x) of each image.

    Args:
        model: VAE.
        x: (n, input_dim) float32 in [0, 1].
    Returns:
        z_mean, z_log_var: (n, latent_dim) float32 arrays.
    """
    return tuple(_predict(model.encoder, x))


def decode(model, z):
    """The mean image of p(x|z) at each z, for pictures.

    Args:
        model: VAE.
        z: (n, latent_dim) float32.
    Returns:
        probs: (n, input_dim) float32 array in [0, 1].
    """
    return tf.sigmoid(_predict(model.decoder, z)).numpy()


def _predict(part, inputs):
    batches = tf.data.Dataset.from_tensor_slices(inputs).batch(PREDICT_BATCH)
    outputs = [part(batch) for batch in batches]
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0).numpy(), *outputs)
