"""The exercises of notebook 1: the two terms, and what a mean in place of a sum implies."""

import math

import numpy as np
from exercises.forms import Exercise, close, near
from scipy import integrate, special, stats

from shared import elbo


def is_bound(bound):
    """Returns whether a function of (log_likelihood, kl) is the lower bound on log p(x)."""
    log_likelihood, kl = np.array([-160.3, -95.2]), np.array([4.9, 7.5])  # of two images
    return close(bound(log_likelihood, kl), elbo.elbo(log_likelihood, kl))


def integrated_kl():
    """Returns what numerical integration gives for the KL of N(1, 4) to N(0, 1)."""
    q = stats.norm(1, 2)
    kl, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)), -25, 27)
    return f"{kl:.6f} nats, by integration"


def missing_of(factor):
    """Returns what two latents miss whose q has `factor` times the standard deviations of p(z|x)."""
    q, p = stats.norm(0, factor), stats.norm(0, 1)
    one, _ = integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), *(q.std() * np.array([-12, 12]))
    )
    return 2 * one


FACTORS = (1 / 3, 1, 3)


def is_sketch(answer):
    """Returns whether three numbers are what the bound misses, each within a tenth or 0.05 nats."""
    right = np.array([missing_of(factor) for factor in FACTORS])
    found = np.asarray(list(answer), dtype=float)
    return found.shape == (3,) and bool((abs(found - right) < np.maximum(right / 10, 0.05)).all())


def integrated_sketch():
    """Returns the three numbers of the sketch, by numerical integration."""
    each = ", ".join(f"{abs(missing_of(factor)):.2f}" for factor in FACTORS)
    return f"{each} nats for a third, one time and three times, by integration"


def is_importance_bound(bound):
    """Returns whether a function of log weights (K, batch) is the bound, also where weights are 0."""
    log_weights = np.random.RandomState(5).normal([-2.0, -1000.0, 900.0], 3.0, (4, 3))
    right = special.logsumexp(log_weights, axis=0) - math.log(4)
    return close(bound(log_weights.copy()), right)


EXERCISES = {
    1: Exercise(
        near(2 - math.log(2), 1e-3),
        (
            "Section 4 has the closed form. Is 4 the variance or the standard deviation?",
            "Four numbers are added, then halved; the logarithm is natural, and of the variance.",
        ),
        integrated_kl,
    ),
    2: Exercise(
        near(3.5, 1e-3),
        (
            "Which of the two KLs is what the ELBO lacks? The other one is inside it already.",
            "Section 3: which two numbers add up to log p(x)?",
        ),
    ),
    3: Exercise(
        near(1536, 1),
        (
            "With which factor does each squared error appear in this loss?",
            "In a Gaussian log-likelihood the factor is 1 / (2 s²): section 5.",
        ),
    ),
    4: Exercise(
        near(39.2, 0.051),
        (
            "Two factors: one before the log-likelihood, one before the KL.",
            "Multiply the whole loss by 784 and look at what stands before the KL.",
        ),
    ),
    5: Exercise(
        is_bound,
        (
            "The weight belongs to the training. What does section 3 say of a bound?",
            "Which β makes the objective a lower bound on log p(x)?",
        ),
    ),
    6: Exercise(
        is_importance_bound,
        (
            "The mean is over the K weights and not over their logarithms; how many images are there "
            "in the result?",
            "log(mean(exp(a))) = m + log(mean(exp(a - m))) for every m: which m keeps exp from 0 and "
            "from infinity?",
        ),
    ),
    7: Exercise(
        is_sketch,
        (
            "What the bound misses is a KL, here of two Gaussians with the same mean. Is it the same "
            "for a q that is too narrow and for one that is too wide?",
            "Measure z in units of the posterior's σ: then it is the formula of section 4, for each "
            "of the two latents.",
        ),
        integrated_sketch,
    ),
}
