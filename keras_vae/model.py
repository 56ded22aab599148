"""The VAE as a functional graph of Keras layers.

x → encoder → (z_mean, z_log_var) → sampling → z → decoder → heads → objective. The outputs of the
graph are the two terms of the ELBO, so `fit`, `evaluate` and `predict` need no input except x.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_vae.backends import (
    has_xla,
    keep_arithmetic,
    loss_of_replica,
    noise_like,
    share_of_loss,
    track,
    variables_kept,
)
from keras_vae.batches import in_order
from keras_vae.entrance import (
    check_compiled,
    checked_evaluation,
    checked_fit,
    checked_prediction,
    named,
    weighted,
)
from keras_vae.images import check_batch
from keras_vae.networks import functional
from shared.config import Config, from_dict
from shared.data.arguments import checked_images, checked_latents
from shared.elbo import reparameterize
from shared.likelihoods import mean_image
from shared.machine.backend import check_floatx
from shared.objective import Terms, objective_loss, repeated, terms_of
from shared.run.schemas import MEANS, PENALTY
from shared.seeds import seed_of
from shared.training.networks import (
    check_logits,
    convolves,
    has_penalty,
    keras_variables,
    listed,
)
from shared.training.optimizer import RMSpropOfKeras2  # noqa: F401 - saved models name it
from shared.training.trackers import StepLosses
from shared.weights import check_heads, check_posterior, head_widths, initial_bias, name_weights

__all__ = ["VAE", "assemble", "build", "decode", "encode"]


def build(config, input_dim, x_train=None):
    """Builds the config's dense VAE, with the initial weights of `config.seed`.

    Args:
        config: shared.config.Config.
        input_dim: pixels per image, times channels.
        x_train: (n, input_dim) training images, from whose mean the initial output bias is
            computed if the config asks for that; without them the bias is zero.
    Returns:
        VAE, not compiled; it maps x (batch, input_dim) to {"log_likelihood", "kl"}, each (batch,)
        nats, and for objective iwae also "bound".
    """

    def dense(path, units, activation=None):
        kernel_seed = seed_of(config.seed, "weights", f"{path}/kernel")
        if config.initializer == "glorot_uniform":
            initializer = keras.initializers.GlorotUniform(seed=kernel_seed)
        else:
            initializer = keras.initializers.TruncatedNormal(
                stddev=config.initializer_stddev, seed=kernel_seed
            )
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=initializer,
            name=path.split("/")[1],
            dtype=keras.config.floatx(),  # float32, whatever the global policy is
        )

    # encode
    x = keras.Input((input_dim,), name="x")
    h = x
    with keras.name_scope("encoder"):  # so that no two weights have the same path
        for number, hidden_dim in enumerate(config.hidden_dims, start=1):
            h = dense(f"encoder/hidden_{number}", hidden_dim, config.activation)(h)
        q = [dense("encoder/z_mean", config.latent_dim)(h)]
        if config.posterior == "gaussian":
            q.append(dense("encoder/z_log_var", config.latent_dim)(h))
    encoder = keras.Model(x, q, name="encoder")

    # decode
    z = keras.Input((config.latent_dim,), name="z")
    h = z
    with keras.name_scope("decoder"):
        for number, hidden_dim in enumerate(reversed(config.hidden_dims), start=1):
            h = dense(f"decoder/hidden_{number}", hidden_dim, config.activation)(h)
        widths = head_widths(config, input_dim)
        heads = {name: dense(f"decoder/{name}", width)(h) for name, width in widths.items()}
    decoder = keras.Model(z, heads, name="decoder")

    vae = _joined(encoder, decoder, config, input_dim)
    for name, bias in initial_bias(config, x_train).items():
        vae.named_weights[name].assign(bias)
    return vae


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
    encoder = functional("encoder", encoder, keras.Input((input_dim,), name="x"))
    check_posterior(config, listed(config, encoder(encoder.input)))
    decoder = functional("decoder", decoder, keras.Input((config.latent_dim,), name="z"))
    check_heads(config, input_dim, decoder(decoder.input))
    check_logits(config, decoder)
    if jit_compile is None:
        jit_compile = not convolves([*encoder.variables, *decoder.variables])
    inputs = ops.zeros((1, input_dim)), ops.zeros((1, config.latent_dim))
    penalized = has_penalty([encoder, decoder], inputs)
    return _joined(encoder, decoder, config, input_dim, jit_compile, penalized)


def _joined(encoder, decoder, config, input_dim, jit_compile=True, penalized=False):
    """Returns the graph of two functional models, of which each has its part's name."""
    x, dtype = keras.Input((input_dim,), name="x"), keras.config.floatx()

    # sample
    q = listed(config, encoder(x))
    z = Sampling(config.seed, config.train_samples, name="sampling", dtype=dtype)(q)

    # objective
    objective = Objective(config, jit_compile, penalized, name="objective", dtype=dtype)
    return VAE(x, objective([x, decoder(z), q, z]), name="vae")


@keras.saving.register_keras_serializable("keras_vae")
class VAE(keras.Model):
    """A functional model whose loss is computed from its outputs, without a target.

    The class defines neither `__init__` nor `compile`: with one of them, Keras could not reload the
    saved model.
    """

    @property
    def encoder(self):
        """keras.Model that maps x (batch, input_dim) to [z_mean, z_log_var], or to [z_mean]."""
        return self.get_layer("encoder")

    @property
    def decoder(self):
        """keras.Model that maps z (batch, latent_dim) to a dict of heads."""
        return self.get_layer("decoder")

    @property
    def sampling(self):
        """The layer that draws z."""
        return self.get_layer("sampling")

    @property
    def objective(self):
        """The layer that computes the terms of the objective."""
        return self.get_layer("objective")

    @property
    def config(self):
        """The shared.config.Config of the model."""
        return self.objective.config

    @property
    def input_dim(self):
        """Pixels per image, times channels."""
        return self.input_shape[-1]

    @property
    def named_weights(self):
        """{name: variable} in the order of computation, named by shared.weights.name_weights."""
        parts = {part.name: keras_variables([part]) for part in (self.encoder, self.decoder)}
        return name_weights(self.config, self.input_dim, parts)

    def build(self, input_shape):
        """Sets float32, whatever the global policy is; Keras then does not scale the loss."""
        super().build(input_shape)
        self.dtype_policy = keras.config.floatx()

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Computes the loss for training and validation; only training uses the warm-up.

        The targets `y` are not used. The terms of each image are multiplied by its `sample_weight`.
        """
        check_compiled(self)
        check_batch(x)
        step = self.optimizer.iterations if training else None
        terms = Terms(**weighted(y_pred, sample_weight))
        if training and self.objective.penalized:  # regularizers and `add_loss`
            terms = terms._replace(penalty=sum(self.losses))
        loss = self.objective.loss(terms, step)
        return loss_of_replica(loss, ops.shape(terms.kl)[0])

    def fit(self, *args, **kwargs):
        """Calls `keras.Model.fit` with checked images (keras_vae/entrance.py)."""
        arguments = checked_fit(self, named(super().fit, args, kwargs))
        with variables_kept(self):
            return super().fit(**arguments)

    def evaluate(self, *args, **kwargs):
        """Calls `keras.Model.evaluate` with checked images."""
        arguments = checked_evaluation(self, named(super().evaluate, args, kwargs))
        with variables_kept(self):
            return super().evaluate(**arguments)

    def predict(self, *args, **kwargs):
        """Calls `keras.Model.predict` with checked images, one batch per call of the function.

        Otherwise the `steps_per_execution` of training would apply, and Keras would unroll up to
        128 batches into one graph of `predict`.
        """
        arguments = checked_prediction(self, named(super().predict, args, kwargs))
        steps, self.steps_per_execution = self.steps_per_execution, 1
        try:
            with variables_kept(self):
                return super().predict(**arguments)
        finally:
            self.steps_per_execution = steps

    def predict_step(self, *arguments):
        """Calls `keras.Model.predict_step`, whose last argument is the batch, on checked images."""
        check_batch(keras.utils.unpack_x_y_sample_weight(arguments[-1])[0])
        return super().predict_step(*arguments)

    def get_metrics_result(self):
        """Returns the running means for Keras' logs, without the loss of a single step.

        `step_loss` is read and reset after each call, so at the end of an epoch it would be 0.
        """
        logs = super().get_metrics_result()
        return {name: value for name, value in logs.items() if name != "step_loss"}


@keras.saving.register_keras_serializable("keras_vae")
class Sampling(keras.layers.Layer):
    """Draws z ~ q(z|x), with separate noise generators for training and evaluation."""

    def __init__(self, seed, train_samples=1, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.train_samples = train_samples
        self.training_noise = keras.random.SeedGenerator(seed_of(seed, "noise"))
        self.evaluation_noise = keras.random.SeedGenerator(seed_of(seed, "evaluation", 0))

    def call(self, q, training=False):
        if len(q) == 1:
            return q[0]  # a delta posterior: z = z_mean
        samples = self.train_samples if training else 1
        z_mean, z_log_var = (repeated(each, samples) for each in q)
        noise = self.training_noise if training else self.evaluation_noise
        epsilon = noise_like(z_mean, noise, samples)
        return reparameterize(z_mean, z_log_var, epsilon)

    def start_training_noise(self, seed, step):
        """Sets the generator to the noise of training step `step` (0 is the first)."""
        self.training_noise.state.assign([seed_of(seed, "noise"), step])

    def start_evaluation_noise(self, seed, sample=0):
        """Sets the generator to the noise of the first batch of an evaluation."""
        self.evaluation_noise.state.assign([seed_of(seed, "evaluation", sample), 0])

    def get_config(self):
        settings = {"seed": self.seed, "train_samples": self.train_samples}
        return {**super().get_config(), **settings}


@keras.saving.register_keras_serializable("keras_vae")
class Objective(keras.layers.Layer):
    """Computes the terms of the objective of each example, their running means, and the loss."""

    def __init__(self, config, jit_compile=True, penalized=False, **kwargs):
        super().__init__(**kwargs)
        self.config = config if isinstance(config, Config) else from_dict(config)
        # Of the whole model; kept here, because the settings of a layer are saved with the model.
        self.asked_to_compile = jit_compile
        if not jit_compile:
            keep_arithmetic()
        self.penalized = penalized  # whether the networks add something to the loss of a step
        names = *MEANS[1:], *([PENALTY] if penalized else [])
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        self.step_losses = StepLosses("step_loss") if self.config.step_losses else None

    def call(self, inputs, training=False):
        samples = self.config.train_samples if training else 1
        return terms_of(self.config, *inputs, samples).outputs()

    def loss(self, terms, step=None):
        """Computes the loss, and adds the terms to the running means.

        Args:
            terms: shared.objective.Terms.
            step: number of steps done, for the warm-up; None in a validation.
        """
        track(self.trackers, terms)
        loss = objective_loss(self.config, terms, step)
        if step is not None and self.step_losses is not None:
            self.step_losses.update_state(share_of_loss(loss, ops.shape(terms.kl)[0]))
        return loss

    @property
    def jit_compile(self):
        """Whether the model is compiled with XLA."""
        return self.asked_to_compile and has_xla()

    def get_config(self):
        config = dataclasses.asdict(self.config)
        settings = {"jit_compile": self.asked_to_compile, "penalized": self.penalized}
        return {**super().get_config(), "config": config, **settings}


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
    q = _predict(model, model.encoder, checked_images(x, model.input_dim, scale=model.config.scale))
    if isinstance(q, (list, tuple)) and len(q) == 2:
        return tuple(q)
    z_mean = q[0] if isinstance(q, (list, tuple)) else q  # a single output is not in a list
    return z_mean, np.full_like(z_mean, -np.inf)  # a delta posterior


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
    heads = _predict(model, model.decoder, z)
    heads = {name: ops.convert_to_tensor(head) for name, head in heads.items()}
    return ops.convert_to_numpy(mean_image(model.config, heads))


def _predict(model, part, inputs):
    part.jit_compile = model.objective.jit_compile  # "auto" does not use XLA on a CPU
    return part.predict(in_order(inputs), verbose=0)
