"""Evaluates the ELBO on held-out images, by a compiled function per batch."""

import numpy as np
import tensorflow as tf

from shared.data.arguments import checked_images
from shared.elbo import log_importance_weight, reparameterize
from shared.likelihoods import log_likelihood
from shared.measure.evaluation import evaluate_with
from shared.seeds import seed_of
from tf_vae.batches import evaluation_batches

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
    noise_seed = seed_of(config.seed, "evaluation", sample)
    terms = [
        model(batch, tf.constant([noise_seed, number]))
        for number, batch in enumerate(evaluation_batches(x, config))
    ]
    names = ("log_likelihood", "kl")
    return tuple(np.concatenate([each[name] for each in terms]) for name in names)


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
    epsilon = tf.random.stateless_normal((count * len(x), z_mean.shape[1]), [noise_seed, 0])
    inputs = [tf.convert_to_tensor(each) for each in (x, z_mean, z_log_var)]
    return _WEIGH[model.jit_compile](model, *inputs, epsilon, count).numpy()


def _weigh(model, x, z_mean, z_log_var, epsilon, count):
    """Computes `log_weights`; the batch is repeated for each sample."""
    x, z_mean, z_log_var = (tf.tile(each, (count, 1)) for each in (x, z_mean, z_log_var))

    # sample
    z = reparameterize(z_mean, z_log_var, epsilon)

    # objective
    terms = log_likelihood(model.config, x, model.decoder(z))
    weights = log_importance_weight(terms, z, z_mean, z_log_var)
    return tf.reshape(weights, (count, -1))


# One compiled function for all models, with XLA and without.
_WEIGH = {xla: tf.function(_weigh, jit_compile=xla) for xla in (True, False)}
