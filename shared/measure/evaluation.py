"""The mean ELBO of a set of images, from the terms that an implementation computes."""

import numpy as np

from shared.elbo import mean_terms

__all__ = ["evaluate_with"]


def evaluate_with(elbo_terms):
    """The function `evaluate` of an implementation whose `elbo_terms` computes the terms."""

    def evaluate(model, x, config, samples=1):
        """Mean loss, log-likelihood and KL of a set of images.

        Args:
            model: VAE.
            x: (n, input_dim) float32 in [0, 1].
            config: shared.config.Config; its seed gives the noise.
            samples: samples of q(z|x) per image.
        Returns:
            {"loss", "log_likelihood", "kl"}: nats per image; loss is -ELBO, at beta = 1.
        """
        terms = [elbo_terms(model, x, config, sample) for sample in range(samples)]
        return mean_terms(np.array(terms))

    return evaluate
