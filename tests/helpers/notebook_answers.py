"""Answers to the notebooks' exercises: right ones in several forms, and wrong ones of readers."""

import math
import random
import statistics
from fractions import Fraction

import keras
import numpy as np


def arc(z0, z1, t):
    """The path from z0 to z1 by equal angles, for vectors of equal norm."""
    angle = np.arccos(z0 @ z1 / np.linalg.norm(z0) / np.linalg.norm(z1))
    return (np.sin((1 - t) * angle) * z0 + np.sin(t * angle) * z1) / np.sin(angle)


def chord(z0, z1, t):
    """The straight line, moved outward to the norm of z0; it turns faster in the middle."""
    z = (1 - t) * z0 + t * z1
    return np.linalg.norm(z0) * z / np.linalg.norm(z)


def log_likelihood_of(x, logits):
    """The Bernoulli log-likelihood of each image."""
    return np.sum(x * logits - np.logaddexp(0, logits), axis=1)


def traversal(z, i, values):
    """Copies of z in which coordinate i has the values, as a list of arrays."""
    path = [np.array(z) for _ in values]
    for row, value in zip(path, values, strict=True):
        row[i] = value
    return path


def log_mean_exp(log_weights):
    """The importance bound of each image, with the largest weight taken out."""
    largest = log_weights.max(axis=0)
    return largest + np.log(np.exp(log_weights - largest).mean(axis=0))


def of_each(z, z_mean, z_log_var):
    """log q(z|x) of each z (rows) under each image (columns)."""
    away = (z[:, None] - z_mean) ** 2 / np.exp(z_log_var)
    return -0.5 * (away + z_log_var + np.log(2 * np.pi)).sum(axis=2)


def mixture(z, z_mean, z_log_var):
    """log q(z), with the largest density taken out."""
    each = of_each(z, z_mean, z_log_var)
    largest = each.max(axis=1, keepdims=True)
    return largest[:, 0] + np.log(np.exp(each - largest).mean(axis=1))


def shuffled(n, seed, epoch):
    """An order of n images by Python's own generator."""
    order = list(range(n))
    random.Random(f"{seed} {epoch}").shuffle(order)
    return order


def paired_error(a, b):
    """The standard error of a mean difference, in plain Python."""
    differences = [x - y for x, y in zip(a, b, strict=True)]
    return statistics.stdev(differences) / len(differences) ** 0.5


def elbo_slopes(log_joint, z_mean, z_log_var, epsilon):
    """The gradient of the ELBO without the score: slopes along the path of the samples."""
    sigma = np.exp(z_log_var / 2)
    along = log_joint(z_mean + sigma * epsilon)[1] + epsilon / sigma
    return along.mean(axis=0), (along * sigma * epsilon / 2).mean(axis=0)


def elbo_slopes_with_score(log_joint, z_mean, z_log_var, epsilon):
    """The same gradient with the score: by z_log_var the entropy of q adds 1/2."""
    sigma = keras.ops.exp(keras.ops.convert_to_tensor(z_log_var) / 2)
    slope = log_joint(z_mean + np.array(sigma) * epsilon)[1]
    return slope.mean(axis=0), np.array(sigma) / 2 * (slope * epsilon).mean(axis=0) + 0.5


def slopes_without_entropy(log_joint, z_mean, z_log_var, epsilon):
    """The gradient of E[log p(x, z)] alone: log q(z|x) is forgotten."""
    sigma = np.exp(z_log_var / 2)
    slope = log_joint(z_mean + sigma * epsilon)[1]
    return slope.mean(axis=0), (slope * sigma * epsilon / 2).mean(axis=0)


def slopes_by_sigma(log_joint, z_mean, z_log_var, epsilon):
    """By sigma in place of its logarithm."""
    by_mean, by_log_var = elbo_slopes(log_joint, z_mean, z_log_var, epsilon)
    return by_mean, by_log_var / np.exp(z_log_var / 2) * 2


def jackknife(logs):
    """K times log-mean-exp of all, minus K - 1 times the mean of those without one."""
    others = [log_mean_exp(np.delete(logs, i)) for i in range(len(logs))]
    return len(logs) * log_mean_exp(logs) - (len(logs) - 1) * np.mean(others)


# {notebook: {exercise: (right answers, wrong answers)}}
ANSWERS = {
    "00_a_vae_in_fifty_lines": {
        "answer_1": (
            (
                lambda m, v: np.sum(m**2 + np.exp(v) - 1 - v, axis=1) / 2,
                lambda m, v: -keras.ops.sum(1 + v - m**2 - keras.ops.exp(v), axis=-1) / 2,
            ),
            (  # a mean over the latents, no factor 1/2, log_var taken for the variance
                lambda m, v: np.mean(m**2 + np.exp(v) - 1 - v, axis=1) / 2,
                lambda m, v: np.sum(m**2 + np.exp(v) - 1 - v, axis=1),
                lambda m, v: np.sum(m**2 + v - 1 - np.log(np.abs(v)), axis=1) / 2,
                0.5,
            ),
        ),
        "answer_2": (
            (
                lambda m, v, e: m + np.exp(v / 2) * e,
                lambda m, v, e: keras.ops.add(m, keras.ops.sqrt(keras.ops.exp(v)) * e),
            ),
            (
                lambda m, v, e: m + np.exp(v) * e,
                lambda m, v, e: m + v * e,
                lambda m, v, e: m * np.exp(v / 2) + e,
                "m",
            ),
        ),
        "answer_3": (
            (
                lambda x, a, kl: np.mean(kl - log_likelihood_of(x, a)),
                lambda x, a, kl: np.mean(kl) + np.mean(np.sum(np.logaddexp(0, a) - x * a, axis=1)),
                lambda x, a, kl: keras.ops.mean(kl - log_likelihood_of(x, a), keepdims=True),
            ),
            (  # a mean over the pixels, the sign, a weight of the KL, a sum over the batch
                lambda x, a, kl: np.mean(kl - log_likelihood_of(x, a) / x.shape[1]),
                lambda x, a, kl: np.mean(log_likelihood_of(x, a) - kl),
                lambda x, a, kl: np.mean(2 * kl - log_likelihood_of(x, a)),
                lambda x, a, kl: np.sum(kl - log_likelihood_of(x, a)),
            ),
        ),
    },
    "01_derivation": {
        # Wrong: 4 as sigma, without the factor 1/2, with the logarithm to base 2.
        "answer_1": (
            (2 - math.log(2), 1.307, "1.307 nats", np.float32(1.307), [1.307]),
            (8 - math.log(4), 4 - math.log(4), 1.0),
        ),
        "answer_2": ((3.5, Fraction(7, 2), "3.5"), (-3.5, 5, 8.5)),
        "answer_3": ((1536, "1,536", 3072 / 2), (0.5, 1, 3072, 768)),
        "answer_4": ((784 / 20, "39.2"), (784, 20, 20 / 784, 1 / 39.2)),
        "answer_5": (
            (lambda log_likelihood, kl: log_likelihood - kl, np.subtract),
            (
                lambda log_likelihood, kl: log_likelihood - 0.5 * kl,
                lambda log_likelihood, kl: kl - log_likelihood,
                lambda log_likelihood, kl: log_likelihood,
                4.9,
            ),
        ),
        "answer_6": (
            (
                log_mean_exp,
                lambda a: np.logaddexp.reduce(a, axis=0) - np.log(len(a)),
                lambda a: keras.ops.logsumexp(a, axis=0) - math.log(len(a)),
            ),
            (  # weights that are 0 or infinite, the ELBO, a sum, over the images, only the largest
                lambda a: np.log(np.mean(np.exp(a), axis=0)),
                lambda a: a.mean(axis=0),
                lambda a: np.logaddexp.reduce(a, axis=0),
                lambda a: np.logaddexp.reduce(a, axis=1) - np.log(a.shape[1]),
                lambda a: a.max(axis=0),
                4,
            ),
        ),
        # Wrong: one latent, the same on both sides, the sides exchanged, without the half.
        "answer_7": (
            ([1.31, 0, 5.8], (1.3, 0.0, 6.0), np.array([1.308, 0.0, 5.803])),
            ([0.65, 0, 2.9], [5.8, 0, 5.8], [5.8, 0, 1.31], [2.62, 0, 11.6], 5.8, [1.31, 5.8]),
        ),
    },
    "02_keras_version": {
        # Wrong: one bit per pixel, and the negative of the right answer.
        "answer_1": (
            (784 * math.log(2), 543.43, "543.43", keras.ops.convert_to_tensor(543.43)),
            (784, -784 * math.log(2), 0, "−543.43", True),
        ),
        # Wrong: the weights without the variance head, and the kernels alone.
        "answer_2": ((418_104, "418,104", 418104.0), (412_964, 418_064, 404_244)),
        "answer_3": ((3150, np.int64(3150), "3,150 steps"), (3125, 3100, 2000, 50 * 62.5)),
        "answer_4": (("b", "B", "(b)", " b) ", "b: a mean over the epoch"), ("a", "c", "d", 2)),
        "answer_5": (
            (
                lambda a, b, n: np.linspace(a, b, n),
                lambda a, b, n: [a + (b - a) * i / (n - 1) for i in range(n)],
                lambda a, b, n: keras.ops.linspace(a, b, n),
            ),
            (
                lambda a, b, n: np.linspace(b, a, n),
                lambda a, b, n: np.linspace(a, b, n, endpoint=False),
                lambda a, b, n: np.linspace(a, b, n).T,
                lambda a, b, n: np.random.RandomState(0).normal(size=(n, len(a))),
                "np.linspace",
            ),
        ),
    },
    "03_tensorflow_version": {
        # Wrong: the whole learning rate; with Keras' ε; with ε beside the corrected root, as in
        # PyTorch; and the step of gradient descent.
        "answer_1": ((5.95e-4, "5.95e-4", 0.0006), (0.01, 6.3e-5, 6.67e-3, 2e-10)),
        "answer_2": (
            (
                lambda h: (h == 0).all(axis=0),
                lambda h: h.max(axis=0) == 0,
                lambda h: keras.ops.logical_not(keras.ops.any(h > 0, axis=0)),
                lambda h: [not column.any() for column in h.T],
            ),
            (
                lambda h: (h == 0).any(axis=0),
                lambda h: (h == 0).all(axis=1),
                lambda h: (h > 0).any(axis=0),
                lambda h: h.mean(axis=0) < 0.1,
                "h == 0",
            ),
        ),
        "answer_3": (
            (10 * math.log(2), 6.93, "6.93"),
            (784 * math.log(2), 0, 10, math.log(2)),
        ),
        "answer_4": (
            ({"learning_rate": 3e-3},),
            (
                {"learning_rate": 0.02},
                {"learning_rate": 1e-3},  # the notebook's own
                {"initializer_stddev": 0.05, "learning_rate": 3e-3},
                {"seed": 0},
                0.003,
            ),
        ),
    },
    "04_side_by_side": {
        "answer_1": (
            ((1e8, -1e8, 1), [1, 1e8, -1e8], np.array([3e7, -3e7, 0.5])),
            ((1, 2, 3), (0.5, 0.25, 0.125), (1e39, 1, 1), 1e8),
        ),
        "answer_2": ((189, "189", 189.0), (190, 186, 187.5, 188, 0)),
        "answer_3": (
            ((0.0, -0.0), (1, 1.0), [np.float32(1), np.float64(1)]),
            ((1.0, 1.0), (0.0, 1e-30), (np.nan, np.nan), 0.0),
        ),
        "answer_4": ((1, "1", 3.7e-9 / float(np.spacing(np.float32(0.05)))), (0, 33, 533_224_593)),
        "answer_5": (
            (
                lambda n, seed, epoch: np.random.default_rng([seed, epoch]).permutation(n),
                shuffled,
            ),
            (  # a global state, seed and epoch that are added, no epoch, with repetition, no order
                lambda n, seed, epoch: np.random.permutation(n),
                lambda n, seed, epoch: np.random.default_rng(seed + epoch).permutation(n),
                lambda n, seed, epoch: np.random.default_rng(seed).permutation(n),
                lambda n, seed, epoch: np.random.default_rng([seed, epoch]).integers(0, n, n),
                lambda n, seed, epoch: np.arange(n),
                50,
            ),
        ),
    },
    "05_latent_space": {
        # Wrong: bits; one coin alone; the entropy averaged over the pixels.
        "answer_1": ((2 * math.log(2) + 0.325, 1.71, "1.71"), (2.469, 0.693, 0.428)),
        "answer_2": (
            (arc, lambda *given: list(arc(*given)), lambda *given: arc(*given).astype(np.float32)),
            (
                lambda z0, z1, t: (1 - t) * z0 + t * z1,
                chord,
                lambda z0, z1, t: arc(z1, z0, t),
                5.0,
            ),
        ),
        "answer_3": ((270, math.exp(5.6), "270"), (5.6, 446, 735)),
        "answer_4": (
            ([True, False, False], (1, 0, 0), np.array([True, False, False])),
            ([True, True, False], [True, False, True], [True], 1),
        ),
        "answer_5": ((1.0, 1, "1"), (4, 0.25, 2.0)),
        "answer_6": (
            (
                mixture,
                lambda z, m, v: keras.ops.logsumexp(of_each(z, m, v), axis=1) - math.log(len(m)),
            ),
            (  # the mean of the logarithms, a sum, 0 far away, v as σ, the mean over latents
                lambda z, m, v: of_each(z, m, v).mean(axis=1),
                lambda z, m, v: np.logaddexp.reduce(of_each(z, m, v), axis=1),
                lambda z, m, v: np.log(np.exp(of_each(z, m, v)).mean(axis=1)),
                lambda z, m, v: mixture(z, m, 2 * v),
                lambda z, m, v: np.logaddexp.reduce(of_each(z, m, v) / 2, axis=1) - np.log(len(m)),
                0.5,
            ),
        ),
    },
    "06_your_own_data": {
        "answer_1": (
            (
                lambda x: x / 4095,
                lambda x: (x / 4095).astype(np.float32),
                lambda x: [[pixel / 4095 for pixel in row] for row in x.tolist()],
            ),
            (
                lambda x: x,
                lambda x: x / 255,
                lambda x: x / 4096,
                lambda x: (x / 16).astype("uint8"),  # accepted by the file, with 256 levels only
                4095,
            ),
        ),
        "answer_2": ((0.902, "0.902", 40 / 64 / math.log(2)), (0.625, 57.7, 0.9)),
        "answer_3": ((3600, "3,600", (30 / 0.5) ** 2), (60, 900, 15)),
        "answer_4": (
            (
                {"binarization": "fixed"},
                {"binarization": "fixed", "likelihood": "bernoulli"},
            ),
            (
                {},
                {"likelihood": "bernoulli"},
                {"likelihood": "categorical", "levels": 2},
                {"binarization": True},
                "fixed",
            ),
        ),
        "answer_5": ((2.8, "2.8", -5.2 + 8), (-5.2, 3.1, -13.2)),
        "answer_6": (
            (
                lambda a, b: (a - b).std() / math.sqrt(len(a)),
                lambda a, b: keras.ops.std(a - b) / len(a) ** 0.5,
                paired_error,
            ),
            (  # as if the images were others, the spread of the images, the difference itself
                lambda a, b: math.hypot(a.std(), b.std()) / math.sqrt(len(a)),
                lambda a, b: (a - b).std(),
                lambda a, b: a.mean() - b.mean(),
                lambda a, b: a.std() / math.sqrt(len(a)) - b.std() / math.sqrt(len(b)),
                0.09,
            ),
        ),
    },
    "07_beyond_digits": {
        "answer_1": ((103.4, "103.4", np.float32(103.4)), (103.0, 103.1, 104.2)),
        "answer_2": ((46, 20 + 26, "46"), (20, 26, 21, 804)),
        "answer_3": (
            (
                lambda z, i, values: np.where(np.arange(len(z)) == i, values[:, None], z),
                traversal,
            ),
            (
                lambda z, i, values: np.tile(z, (len(values), 1)),
                lambda z, i, values: np.where(np.arange(len(z)) == i, z + values[:, None], z),
                lambda z, i, values: np.tile(values[:, None], (1, len(z))),
                2.0,
            ),
        ),
    },
    "08_gaps_and_bounds": {
        "answer_1": ((2.9, "2.9", -120.6 + 123.5), (3.5, 0.6, 3.4, -2.9)),
        "answer_2": (
            (elbo_slopes, elbo_slopes_with_score),
            (
                slopes_without_entropy,
                slopes_by_sigma,
                lambda log_joint, m, v, e: elbo_slopes(log_joint, m, v, 0 * e),
                lambda log_joint, m, v, e: log_joint(m + np.exp(v / 2) * e)[1],
            ),
        ),
        "answer_3": ((300, "300", 10 * 0.30 / 0.01), (30, 9000, 3000, 100)),
        "answer_4": ((64, "64", 8**2), (8, 4096, 1 / 64)),
        "answer_5": (
            (jackknife, lambda logs: np.float64(jackknife(np.asarray(logs)))),
            (
                log_mean_exp,
                lambda logs: jackknife(logs) / len(logs),
                lambda logs: len(logs) * log_mean_exp(logs),
                lambda logs: np.log(np.exp(logs).mean()),
            ),
        ),
    },
    "09_rate_and_linear_theory": {
        # Wrong: with beta 1, without the half, with the eigenvalue 1.5 below the level.
        "answer_1": ((0.75, 0.5 * math.log(4.5), "0.752 nats"), (1.65, 1.504, 0.61, 2)),
        "answer_2": ((1, 1.0, "1.0"), (2, 0.5, 4.5, 0.75)),
        "answer_3": (
            (
                lambda values, level: (
                    np.maximum(0.5 * np.log(np.maximum(values, 1e-300) / level), 0).sum(),
                    np.minimum(values, level).sum(),
                ),
                lambda values, level: [
                    sum(0.5 * math.log(value / level) for value in values if value > level),
                    sum(min(value, level) for value in values),
                ],
            ),
            (
                lambda values, level: (
                    0.5 * np.log(np.maximum(values, 1e-9) / level).sum(),
                    np.minimum(values, level).sum(),
                ),
                lambda values, level: (
                    sum(0.5 * math.log(value / level) for value in values if value > level),
                    sum(level for value in values if value > level),
                ),
                lambda values, level: (
                    np.minimum(values, level).sum(),
                    sum(0.5 * math.log(value / level) for value in values if value > level),
                ),
                0.75,
            ),
        ),
        "answer_4": ((82, "82", 90 - 2 * 4), (86, 90, 98, 110)),
        "answer_5": ((10.09, 17 - math.log(1000), "10.09 nats"), (6.91, 17, 14, 0)),
    },
}
