"""The VAE as a `tf.Module` of variables and matrix products.

x → encoder → (z_mean, z_log_var) → sampling → z → decoder → heads → objective. A call returns the
two terms of the ELBO. The seed of the noise is an argument, so the loop decides what is drawn.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from shared.data.arguments import checked_images, checked_latents
from shared.elbo import reparameterize
from shared.likelihoods import mean_image
from shared.machine.backend import check_floatx
from shared.objective import repeated, terms_of
from shared.seeds import seed_of
from shared.training.networks import check_logits, convolves, listed
from shared.weights import (
    check_heads,
    check_posterior,
    head_widths,
    initial_bias,
    name_weights,
    weight_shapes,
)
from tf_vae.batches import in_order
from tf_vae.networks import Network, flat, penalty_of

__all__ = ["VAE", "assemble", "build", "decode", "encode"]


def build(config, input_dim, x_train=None):
    """Builds the config's dense VAE, with the initial weights of `config.seed`.

    Args:
        config: shared.config.Config.
        input_dim: pixels per image, times channels.
        x_train: (n, input_dim) training images, from whose mean the initial output bias is
            computed if the config asks for that; without them the bias is zero.
    Returns:
        VAE; it maps x (batch, input_dim) and a noise seed (2,) to {"log_likelihood", "kl"}, each
        (batch,) nats, and for objective iwae also "bound".
    """
    given = initial_bias(config, x_train)
    weights = {
        name: tf.Variable(given.get(name, _initial(config, name, shape)), name=name)
        for name, shape in weight_shapes(config, input_dim).items()
    }
    activation = {"relu": tf.nn.relu, "tanh": tf.tanh}[config.activation]

    def layer(path, h):
        return dense(h, weights[f"{path}/kernel"], weights[f"{path}/bias"])

    # encode
    def encoder(x, training=False):  # a dense layer does the same in both modes
        h = x
        for number in range(1, len(config.hidden_dims) + 1):
            h = activation(layer(f"encoder/hidden_{number}", h))
        q = [layer("encoder/z_mean", h)]
        if config.posterior == "gaussian":
            q.append(layer("encoder/z_log_var", h))
        return q

    # decode
    def decoder(z, training=False):
        h = z
        for number in range(1, len(config.hidden_dims) + 1):
            h = activation(layer(f"decoder/hidden_{number}", h))
        return {name: layer(f"decoder/{name}", h) for name in head_widths(config, input_dim)}

    return VAE(encoder, decoder, config, input_dim, weights)


def assemble(encoder, decoder, config, input_dim, jit_compile=None):
    """Assembles a VAE from any encoder and decoder, with the shared objective and noise.

    The networks keep their initial weights. What Keras defines for them holds in both
    implementations: a step calls them with `training=True` and updates their moving statistics,
    frozen layers stay as they are, and regularizers, constraints and `add_loss` count. `gather` and
    `assign` ignore the names of layers and number the variables of each part: "encoder/0/kernel",
    "encoder/1/bias", …. `train` trains the model without a run folder; for one with a folder, give
    it the function that returns the networks.

    Args:
        encoder: network that maps x (batch, input_dim) to [z_mean, z_log_var], each
            (batch, latent_dim), or to [z_mean] for a delta posterior: a Keras model or another
            callable, of symbolic tensors for keras_vae and of tensors for tf_vae (a tf.Module or a
            function, which gets `training` if it takes it). A Keras model whose Input has the shape
            of an image is fed images.
        decoder: network of the same kind that maps z (batch, latent_dim) to a dict of the heads in
            shared.weights.head_widths, e.g. {"logits": (batch, input_dim)}; heads of the shape of
            an image are made flat.
        config: shared.config.Config; the fields that describe the dense network are ignored.
        input_dim: pixels per image, times channels.
        jit_compile: whether to compile with XLA; None compiles all networks but those with
            convolutions, which are slow in XLA on a CPU and differ in their last bits. Without XLA,
            TensorFlow's arithmetic optimizer is turned off for the process.
    Returns:
        VAE, as `build` returns it.
    Raises:
        UsageError: a network cannot be called, or returns other outputs, or outputs of other
            shapes or types, or logits after a sigmoid.
    Example:
        model = assemble(encoder, decoder, recipe("post-keras", latent_dim=8), 28 * 28)
    """
    check_floatx()
    encoder = Network("encoder", encoder, input_dim, functools.partial(listed, config))
    check_posterior(config, encoder.outputs)
    decoder = Network("decoder", decoder, config.latent_dim, flat)
    check_heads(config, input_dim, decoder.outputs)
    check_logits(config, decoder)
    parts = {"encoder": encoder.variables, "decoder": decoder.variables}
    weights = name_weights(config, input_dim, parts)
    if jit_compile is None:
        jit_compile = not convolves(weights.values())
    penalty = penalty_of([encoder, decoder])
    return VAE(encoder, decoder, config, input_dim, weights, jit_compile, penalty)


class VAE(tf.Module):
    """Holds an encoder and a decoder, and computes the terms of the ELBO from x.

    `penalty` is None, or a function that returns what the networks of the last call add to the loss
    of a step.
    """

    def __init__(
        self, encoder, decoder, config, input_dim, named_weights, jit_compile=True, penalty=None
    ):
        super().__init__(name="vae")
        self.encoder = encoder
        self.decoder = decoder
        self.config = config
        self.input_dim = input_dim
        self.named_weights = named_weights
        self.jit_compile = jit_compile
        self.penalty = penalty
        if not jit_compile:
            # The optimizer rewrites sums by what it sees around a step, and around that of `fit`
            # stands another loop (docs/proof.md).
            tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
        # For calls from outside; a training step compiles the plain functions as a part of itself.
        x = tf.TensorSpec((None, input_dim), name="x")
        z = tf.TensorSpec((None, config.latent_dim), name="z")
        self.compiled = {
            "encoder": tf.function(encoder, [x], jit_compile=jit_compile),
            "decoder": tf.function(decoder, [z], jit_compile=jit_compile),
            # Traced for each batch size: with an unknown size, a step that calls the model would be
            # compiled to other sums than a step of `fit`.
            "outputs": tf.function(self._outputs, jit_compile=jit_compile),
        }

    @property
    def trainable_variables(self):
        """The variables that a step trains, in the order of `named_weights`."""
        return [v for v in self.named_weights.values() if v.trainable]

    def __call__(self, x, noise_seed):
        """Computes the terms in a compiled function: {"log_likelihood", "kl"}, (batch,) nats."""
        return self.compiled["outputs"](x, noise_seed)

    def _outputs(self, x, noise_seed):
        return self.terms(x, noise_seed).outputs()

    def terms(self, x, noise_seed, draw=None, samples=1, training=False):
        """Computes the terms of the objective of each example.

        Args:
            x: (batch, input_dim) float32 in [0, 1].
            noise_seed: (2,) int32, which determines the noise.
            draw: function of a shape and `noise_seed` that returns the noise, by default
                `tf.random.stateless_normal`; a worker gives one that returns its part of the noise
                of the whole batch.
            samples: number of samples of q(z|x) per image.
            training: the mode in which the networks are called.
        Returns:
            shared.objective.Terms, (batch,) nats each.
        """
        # sample
        q = self.encoder(x, training)
        if len(q) == 1:
            z = q[0]  # a delta posterior: z = z_mean
        else:
            z_mean, z_log_var = (repeated(each, samples) for each in q)
            # Not a default value: a SavedModel cannot hold a function as one.
            draw = draw or tf.random.stateless_normal
            epsilon = draw(tf.shape(z_mean), noise_seed)
            z = reparameterize(z_mean, z_log_var, epsilon)

        # objective
        return terms_of(self.config, x, self.decoder(z, training), q, z, samples)


def dense(h, kernel, bias):
    """Computes h · kernel + bias, with the same operations as Keras."""
    h = tf.matmul(h, kernel)
    # `bias_add`, but `+` for a single unit, as Keras does. XLA sums their gradients in different
    # orders.
    return tf.nn.bias_add(h, bias) if bias.shape[0] > 1 else h + bias


def _initial(config, name, shape):
    """Returns the initial value of a weight, which depends on the seed and the weight's name."""
    if name.endswith("/bias"):
        return tf.zeros(shape)
    seed = [seed_of(config.seed, "weights", name), 0]
    if config.initializer == "glorot_uniform":
        limit = math.sqrt(3.0 / ((shape[0] + shape[1]) / 2.0))
        return tf.random.stateless_uniform(shape, seed, -limit, limit)
    return tf.random.stateless_truncated_normal(shape, seed, stddev=config.initializer_stddev)


def encode(model, x):
    """Computes the parameters of the posterior q(z|x) of each image.

    Args:
        model: VAE.
        x: (n, input_dim) floats in [0, 1].
    Returns:
        z_mean, z_log_var: (n, latent_dim) float32 arrays; z_log_var of a delta posterior is -inf.
    Example:
        z_mean, z_log_var = encode(model, data.x_test)
    """
    q = _predict(
        model.compiled["encoder"], checked_images(x, model.input_dim, scale=model.config.scale)
    )
    return tuple(q) if len(q) == 2 else (q[0], np.full_like(q[0], -np.inf))  # or a delta posterior


def decode(model, z):
    """Computes the mean image of p(x|z) at each z, for figures.

    Args:
        model: VAE.
        z: (n, latent_dim) floats.
    Returns:
        (n, input_dim) float32 array, in [0, 1] except for a Gaussian likelihood.
    Example:
        reconstructions = decode(model, encode(model, data.x_test)[0])
    """
    z = checked_latents(z, model.config.latent_dim)
    heads = _predict(model.compiled["decoder"], z)
    heads = {name: tf.constant(head) for name, head in heads.items()}
    return mean_image(model.config, heads).numpy()


def _predict(part, inputs):
    outputs = [part(batch) for batch in in_order(inputs)]
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0).numpy(), *outputs)
