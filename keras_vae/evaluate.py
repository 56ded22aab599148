"""The ELBO on held-out images, by `predict` over the graph that `fit` trained."""

import numpy as np

from keras_vae.batches import evaluation_batches

__all__ = ["elbo_terms", "evaluate"]


def elbo_terms(model, x, config, sample=0):
    """The terms of the ELBO of each image, at one sample of q(z|x).

    Args:
        model: VAE.
        x: (n, input_dim) float32 in [0, 1].
        config: shared.config.Config; its seed gives the noise.
        sample: which sample: 0 is the one that validation draws.
    Returns:
        log_likelihood, kl: (n,) float32 arrays, nats.
    """
    model.get_layer("sampling").start_evaluation_noise(config.seed, sample)
    model.jit_compile = True
    terms = model.predict(evaluation_batches(x), verbose=0)
    return terms["log_likelihood"], terms["kl"]


def evaluate(model, x, config, samples=1):
    """Mean loss, log-likelihood and KL of a set of images.

    Args:
        model: VAE.
        x: (n, input_dim) float32 in [0, 1].
        config: shared.config.Config; its seed gives the noise.
        samples: samples of q(z|x) an image.
    Returns:
        {"loss", "log_likelihood", "kl"}: nats an image; loss is -ELBO, at beta = 1.
    """
    terms = [elbo_terms(model, x, config, sample) for sample in range(samples)]
    log_likelihood, kl = np.mean(terms, axis=(0, 2), dtype=np.float64)
    return {
        "loss": float(kl - log_likelihood),
        "log_likelihood": float(log_likelihood),
        "kl": float(kl),
    }
