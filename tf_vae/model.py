"""The VAE as a `tf.Module` of variables and matrix products.

x → encoder → (z_mean, z_log_var) → sampling → z → decoder → heads → objective. The call ends in
the two terms of the ELBO and takes the noise's seed, so the loop decides what is drawn.
"""

import math

import numpy as np
import tensorflow as tf

from shared.data import EVALUATION_BATCH
from shared.elbo import kl_to_standard_normal, reparameterize
from shared.likelihoods import log_likelihood, mean_image
from shared.seeds import seed_of
from shared.weights import head_widths, weight_shapes

__all__ = ["VAE", "build", "decode", "encode"]


def build(config, input_dim):
    """A VAE with the initial weights of `config.seed`.

    Args:
        config: shared.config.Config.
        input_dim: pixels of an image.
    Returns:
        VAE: maps x (batch, input_dim) and a noise seed (2,) to {"log_likelihood", "kl"}, each
        (batch,) nats.
    """
    return VAE(config, input_dim)


class VAE(tf.Module):
    """The variables by canonical name, and the computation from x to the terms of the ELBO."""

    def __init__(self, config, input_dim):
        super().__init__(name="vae")
        self.config = config
        self.input_dim = input_dim
        self.named_weights = {
            name: tf.Variable(_initial(config, name, shape), name=name)
            for name, shape in weight_shapes(config, input_dim).items()
        }
        self.activation = {"relu": tf.nn.relu, "tanh": tf.tanh}[config.activation]
        # For calls from outside; a training step compiles its own use of the plain methods.
        x = tf.TensorSpec((None, input_dim), name="x")
        z = tf.TensorSpec((None, config.latent_dim), name="z")
        self.compiled = {
            "encoder": tf.function(self.encoder, [x], jit_compile=True),
            "decoder": tf.function(self.decoder, [z], jit_compile=True),
        }

    def dense(self, name, h):
        kernel, bias = (self.named_weights[f"{name}/{part}"] for part in ("kernel", "bias"))
        h = tf.matmul(h, kernel)
        # As Keras adds it: `bias_add`, but `+` for a single unit. Their gradients are two different
        # sums to XLA, which adds up in another order.
        return tf.nn.bias_add(h, bias) if bias.shape[0] > 1 else h + bias

    # encode
    def encoder(self, x):
        h = x
        for number in range(1, len(self.config.hidden_dims) + 1):
            h = self.activation(self.dense(f"encoder/hidden_{number}", h))
        q = [self.dense("encoder/z_mean", h)]
        if self.config.posterior == "gaussian":
            q.append(self.dense("encoder/z_log_var", h))
        return q

    # decode
    def decoder(self, z):
        h = z
        for number in range(1, len(self.config.hidden_dims) + 1):
            h = self.activation(self.dense(f"decoder/hidden_{number}", h))
        widths = head_widths(self.config, self.input_dim)
        return {name: self.dense(f"decoder/{name}", h) for name in widths}

    @tf.function(jit_compile=True)
    def __call__(self, x, noise_seed):
        return self.terms(x, noise_seed)

    def terms(self, x, noise_seed):
        # sample
        q = self.encoder(x)
        if len(q) == 1:
            z = q[0]  # a delta posterior: z = z_mean
        else:
            z_mean, z_log_var = q
            epsilon = tf.random.stateless_normal(tf.shape(z_mean), noise_seed)
            z = reparameterize(z_mean, z_log_var, epsilon)

        # objective
        given_z = log_likelihood(self.config, x, self.decoder(z))
        # A delta posterior has no density, and the autoencoder's objective no KL.
        kl = kl_to_standard_normal(*q) if len(q) == 2 else tf.zeros_like(given_z)
        return {"log_likelihood": given_z, "kl": kl}


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
        z_mean, z_log_var: (n, latent_dim) float32 arrays; of a delta posterior z_log_var is -inf.
    """
    q = _predict(model.compiled["encoder"], x)
    return (*q, np.full_like(q[0], -np.inf))[:2]


def decode(model, z):
    """The mean image of p(x|z) at each z, for pictures.

    Args:
        model: VAE.
        z: (n, latent_dim) float32.
    Returns:
        (n, input_dim) float32 array; in [0, 1] but for a Gaussian.
    """
    heads = _predict(model.compiled["decoder"], z)
    heads = {name: tf.constant(head) for name, head in heads.items()}
    return mean_image(model.config, heads).numpy()


def _predict(part, inputs):
    batches = tf.data.Dataset.from_tensor_slices(inputs).batch(EVALUATION_BATCH)
    outputs = [part(batch) for batch in batches]
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0).numpy(), *outputs)
