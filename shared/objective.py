"""Computes what training maximizes, from one or several samples of q(z|x).

With one sample this is the ELBO. With several, it is the ELBO averaged over them, or the importance
bound of Burda et al., whose logarithm is taken of the mean of all weights. Both implementations
call these functions.
"""

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

__all__ = ["gains", "objective_loss", "repeated", "terms_of"]


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
        {"log_likelihood", "kl"}: (batch,) nats, the first averaged over the samples; if training
        maximizes an importance bound, also {"bound"}, which is the ELBO for a single sample.
    Source: Burda et al., arXiv:1509.00519, equation 8.
    """
    given_z = log_likelihood(config, repeated(x, samples), heads)
    # A delta posterior has no density, and the objective of an autoencoder has no KL.
    kl = kl_to_standard_normal(*q) if len(q) == 2 else ops.zeros_like(given_z)
    mean = ops.mean(ops.reshape(given_z, (samples, -1)), axis=0) if samples > 1 else given_z
    terms = {"log_likelihood": mean, "kl": kl}
    if config.objective == "iwae" and config.train_samples > 1:
        if samples > 1:
            weights = log_importance_weight(given_z, z, *(repeated(each, samples) for each in q))
            terms["bound"] = importance_bound(ops.reshape(weights, (samples, -1)))
        else:
            terms["bound"] = elbo(mean, kl)
    return terms


def gains(terms, beta):
    """Returns what training maximizes, of each image: (batch,) nats.

    Args:
        terms: as `terms_of` returns them.
        beta: weight of the KL; an importance bound has none.
    """
    return terms["bound"] if "bound" in terms else elbo(terms["log_likelihood"], terms["kl"], beta)


def objective_loss(config, terms, step=None):
    """Computes the loss, minus the mean of `gains` over the batch.

    Args:
        config: shared.config.Config.
        terms: as `terms_of` returns them.
        step: number of steps done, for the warm-up of the KL; None means after the warm-up.
    Returns:
        scalar, nats per image.
    """
    if "bound" in terms:
        return -ops.mean(terms["bound"])
    beta = config.beta if step is None else warmed_up(config.beta, step, config.kl_warmup_steps)
    return negative_elbo(terms["log_likelihood"], terms["kl"], beta)
