"""The exercises of notebook 0: three formulas."""

import numpy as np
from exercises.forms import Exercise, close

from shared import elbo


def is_kl(kl):
    """Returns whether a function of (mean, log_var) is the KL of each image."""
    q = np.random.RandomState(2).normal(size=(2, 7, 3))
    return close(kl(*q), elbo.kl_to_standard_normal(*q))


def is_sample(z):
    """Returns whether a function of (mean, log_var, epsilon) is the reparameterization."""
    arrays = np.random.RandomState(3).normal(size=(3, 7, 3))
    return close(z(*arrays), elbo.reparameterize(*arrays))


def is_loss(loss):
    """Returns whether a function of (x, logits, kl) is the loss of a batch."""
    x, logits = np.random.RandomState(4).uniform(size=(2, 7, 5)) * [[[1]], [[6]]]
    kl = np.arange(7.0)
    right = elbo.negative_elbo(elbo.bernoulli_log_likelihood(x, logits), kl)
    return close(np.squeeze(loss(x, logits, kl)), right)


EXERCISES = {
    1: Exercise(
        is_kl,
        (
            "The result has one number per image. Which of the two arguments is a logarithm?",
            "The section on the loss has the formula; σ² = exp(log_var). Over which axis is summed?",
        ),
    ),
    2: Exercise(
        is_sample,
        (
            "The noise is multiplied by the standard deviation, not by the variance.",
            "log σ² is twice log σ.",
        ),
    ),
    3: Exercise(
        is_loss,
        (
            "There is one mean, and it is not the mean over the pixels. Which term has a minus?",
            "First the log-likelihood of each image, a sum over its pixels; then the two terms; then "
            "the mean over the images.",
        ),
    ),
}
