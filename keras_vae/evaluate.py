"""Evaluates the ELBO on held-out images, by `predict` over the graph that `fit` trains."""

import functools

import keras
from keras import ops

from keras_vae.batches import evaluation_batches
from shared.data.arguments import checked_images
from shared.elbo import log_importance_weight, reparameterize
from shared.likelihoods import log_likelihood
from shared.measure.evaluation import evaluate_with

__all__ = ["elbo_terms", "evaluate", "log_weights"]


def elbo_terms(model, x, config, sample=0):
    """Computes the terms of the ELBO of each image, at one sample of q(z|x).

    Args:
        model: VAE.
        x: (n, input_dim) floats in [0, 1].
        config: shared.config.Config; the noise depends on its seed.
        sample: the number of the sample; validation during training uses sample 0.
    Returns:
        log_likelihood, kl: (n,) float32 arrays, nats.
    """
    x = checked_images(x, model.input_dim, scale=model.config.scale)
    model.sampling.start_evaluation_noise(config.seed, sample)
    model.jit_compile = model.objective.jit_compile
    terms = model.predict(evaluation_batches(x, config), verbose=0)
    return terms["log_likelihood"], terms["kl"]


evaluate = evaluate_with(elbo_terms)


def log_weights(model, x, z_mean, z_log_var, noise_seed, count):
    """Computes the log importance weights of samples of q(z|x), for one batch of images.

    Args:
        model: VAE.
        x: (batch, input_dim) floats in [0, 1].
        z_mean, z_log_var: (batch, latent_dim) float32, as `encode` returns them for x.
        noise_seed: integer in [0, 2^31), which determines the noise.
        count: samples per image; each new count or batch size is compiled again.
    Returns:
        (count, batch) float32 array, nats.
    Source: Burda et al., arXiv:1509.00519, section 3.
    """
    x = checked_images(x, model.input_dim, scale=model.config.scale)
    # Drawn outside the compiled part: XLA draws other numbers, and takes ten times as long.
    epsilon = keras.random.normal((count * len(x), z_mean.shape[1]), seed=noise_seed)
    epsilon = ops.convert_to_numpy(epsilon)  # Keras does not mix arrays and tensors of PyTorch
    return _weigh(model, count).predict_on_batch([x, z_mean, z_log_var, epsilon])


@functools.lru_cache(maxsize=4)  # one graph, compiled once, for all batches of a model
def _weigh(model, count):
    """Builds the graph of `log_weights`, in which the batch is repeated for each sample."""
    widths = (model.input_dim, *[model.config.latent_dim] * 3)
    inputs = [keras.Input((width,)) for width in widths]
    x, z_mean, z_log_var = (ops.tile(each, (count, 1)) for each in inputs[:3])

    # sample
    z = reparameterize(z_mean, z_log_var, inputs[3])

    # objective
    terms = log_likelihood(model.config, x, model.decoder(z))
    weights = log_importance_weight(terms, z, z_mean, z_log_var)
    weigh = keras.Model(inputs, ops.reshape(weights, (count, -1)))
    weigh.jit_compile = model.objective.jit_compile
    return weigh
