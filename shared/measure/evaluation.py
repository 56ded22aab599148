"""Computes the mean ELBO of a set of images from the terms that an implementation computes."""

import numpy as np

from shared.data.arguments import checked_samples

__all__ = ["evaluate_with", "mean_terms"]


def mean_terms(terms):
    """Computes the means of the terms of the ELBO over images and over samples of q(z|x).

    Args:
        terms: NumPy array (samples, 2, n), nats: log p(x|z) and KL of each image at each sample.
    Returns:
        {"loss", "log_likelihood", "kl"}: floats, nats per image, summed in float64; loss is -ELBO
        at beta = 1.
    """
    log_likelihood, kl = terms.mean(axis=(0, 2), dtype="float64")
    return {
        "loss": float(kl - log_likelihood),
        "log_likelihood": float(log_likelihood),
        "kl": float(kl),
    }


def evaluate_with(elbo_terms):
    """Returns the function `evaluate` of an implementation, given its `elbo_terms`."""

    def evaluate(model, x, config, samples=1):
        """Computes the mean loss, log-likelihood and KL of a set of images.

        Args:
            model: VAE.
            x: (n, input_dim) floats in [0, 1].
            config: shared.config.Config; the noise depends on its seed.
            samples: number of samples of q(z|x) per image.
        Returns:
            {"loss", "log_likelihood", "kl"}: floats, nats per image; loss is -ELBO at beta = 1.
        Raises:
            UsageError: x or samples is not as described.
        Example:
            test_loss = evaluate(model, data.x_test, config, samples=10)["loss"]
        """
        checked_samples(samples)
        terms = [elbo_terms(model, x, config, sample) for sample in range(samples)]
        return mean_terms(np.array(terms))

    return evaluate
