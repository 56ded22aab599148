"""Computes what training maximizes, from one or several samples of q(z|x).

With one sample this is the ELBO. With several, it is the ELBO averaged over them, or the importance
bound of Burda et al., whose logarithm is taken of the mean of all weights. Both implementations
call these functions.
"""

from typing import Any, NamedTuple

from keras import ops

from shared.elbo import (
    elbo,
    importance_bound,
    kl_to_standard_normal,
    log_importance_weight,
    negative_elbo,
    warmed_up,
)
from shared.likelihoods import log_likelihood

__all__ = ["Terms", "objective_loss", "objective_per_image", "repeated", "terms_of"]


class Terms(NamedTuple):
    """Holds the terms of the objective of each image, (batch,) nats each, and the penalty."""

    log_likelihood: Any  # log p(x|z), averaged over the samples of z
    kl: Any  # KL(q(z|x) ‖ p(z)); zero for a delta posterior
    bound: Any = None  # the importance bound, if training maximizes it
    penalty: Any = None  # a scalar that the networks add to the loss of a step: regularizers, …

    def outputs(self):
        """Returns the terms that there are by name, as a model returns them to its caller."""
        return {name: term for name, term in self._asdict().items() if term is not None}


def repeated(x, samples):
    """Repeats a batch for each sample: (batch, width) -> (samples · batch, width)."""
    return ops.tile(x, (samples, 1)) if samples > 1 else x


def terms_of(config, x, heads, q, z, samples):
    """Computes the terms of the objective of each image.

    Args:
        config: shared.config.Config.
        x: (batch, input_dim) in [0, 1].
        heads: {name: (samples · batch, width)}, the decoder's outputs at z, ordered as `repeated`.
        q: [z_mean, z_log_var], each (batch, latent_dim), or [z_mean] of a delta posterior.
        z: (samples · batch, latent_dim), samples of q.
        samples: number of samples per image.
    Returns:
        Terms; if training maximizes an importance bound, `bound` is that of the samples, which for
        a single one is the ELBO.
    Source: Burda et al., arXiv:1509.00519, equation 8.
    """
    given_z = log_likelihood(config, repeated(x, samples), heads)
    # A delta posterior has no density, and the objective of an autoencoder has no KL.
    kl = kl_to_standard_normal(*q) if len(q) == 2 else ops.zeros_like(given_z)
    averaged = ops.mean(ops.reshape(given_z, (samples, -1)), axis=0) if samples > 1 else given_z
    if config.objective != "iwae" or config.train_samples == 1:
        return Terms(averaged, kl)
    if samples == 1:  # an evaluation
        return Terms(averaged, kl, bound=elbo(averaged, kl))
    log_weights = log_importance_weight(given_z, z, *(repeated(each, samples) for each in q))
    return Terms(averaged, kl, bound=importance_bound(ops.reshape(log_weights, (samples, -1))))


def objective_per_image(terms, beta):
    """Returns what training maximizes, of each image: (batch,) nats.

    Args:
        terms: Terms.
        beta: weight of the KL; an importance bound has none.
    """
    return elbo(terms.log_likelihood, terms.kl, beta) if terms.bound is None else terms.bound


def objective_loss(config, terms, step=None):
    """Computes the loss: minus the mean of the objective over the batch, plus the penalty.

    Args:
        config: shared.config.Config.
        terms: Terms.
        step: number of steps done, for the warm-up of the KL; None means after the warm-up.
    Returns:
        scalar, nats per image.
    """
    if terms.bound is not None:
        loss = -ops.mean(terms.bound)
    else:
        beta = config.beta if step is None else warmed_up(config.beta, step, config.kl_warmup_steps)
        loss = negative_elbo(terms.log_likelihood, terms.kl, beta)
    return loss if terms.penalty is None else loss + terms.penalty
