"""The exercises of notebook 8: two gaps, a step for one image, rates in K, and the jackknife."""

import numpy as np
from exercises.forms import Exercise, close, near, number
from scipy.special import logsumexp

from shared.measure.linear_gaussian import LinearGaussian


def is_gradient(gradient):
    """Returns whether a function is an estimate of the ELBO's gradient, with or without the score."""
    random = np.random.RandomState(0)
    model = LinearGaussian(random.normal(size=3), random.normal(size=(2, 3)), 0.5)
    mean, log_var = np.array([0.3, -0.4]), np.array([-1.0, 0.5])
    epsilon = random.normal(size=(7, 2))
    sigma = np.exp(log_var / 2)
    slope = model.log_joint(mean + sigma * epsilon)[1]
    by_mean, by_log_var = gradient(model.log_joint, mean.copy(), log_var.copy(), epsilon.copy())
    # With the score, log q(z|x) = -epsilon²/2 - log_var/2 + constant: only log_var/2 has a slope.
    with_score = slope, slope * sigma * epsilon / 2 + 0.5
    along = slope + epsilon / sigma
    without = along, along * sigma * epsilon / 2
    return any(
        close(by_mean, right[0].mean(axis=0)) and close(by_log_var, right[1].mean(axis=0))
        for right in (with_score, without)
    )


def is_jackknife(jackknife):
    """Returns whether a function of log weights is their jackknife, also for very small weights."""
    for logs in (np.array([-1.0, 0.5, 2.0, -0.3]), np.array([-900.0, -901.5, -899.0])):
        k = len(logs)
        others = [logsumexp(np.delete(logs, i)) - np.log(k - 1) for i in range(k)]
        right = k * (logsumexp(logs) - np.log(k)) - (k - 1) * np.mean(others)
        if not abs(number(jackknife(logs.copy())) - right) < 1e-6:
            return False
    return True


EXERCISES = {
    1: Exercise(
        near(2.9, 1e-3),
        (
            "Which two of the four numbers does the encoder's q differ in from the best of its family?",
            "The encoder returns a diagonal covariance, so its family is the diagonal one.",
        ),
    ),
    2: Exercise(
        is_gradient,
        (
            "z = z_mean + exp(z_log_var / 2) · epsilon: what is its derivative by each of the two?",
            "log w = log p(x, z) - log q(z|x). Without the score, the slope by z is that of "
            "log p(x, z) plus epsilon / sigma; with the score, the entropy adds 1/2 by z_log_var.",
            "By z_mean: the mean of the slopes. By z_log_var: each slope times sigma · epsilon / 2.",
        ),
    ),
    3: Exercise(
        near(300, 1),
        (
            "How does the bias depend on K?",
            "K times the bias is constant.",
        ),
    ),
    4: Exercise(
        near(64, 0.5),
        (
            "By which factor does the ratio of the encoder fall, from one sample to so many?",
            "A mean of M independent estimates has a ratio that is larger by the square root of M.",
        ),
    ),
    5: Exercise(
        is_jackknife,
        (
            "np.delete(log_weights, i) leaves one weight out.",
            "Log-mean-exp: the logarithm of the sum of exponentials, minus the logarithm of how many "
            "there are. Which of the two counts is K, and which K - 1?",
            "Weights such as exp(-900) are 0 in float64: subtract the largest log weight first, or use "
            "scipy.special.logsumexp.",
        ),
    ),
}
