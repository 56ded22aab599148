"""Answers to the notebooks' exercises: the right one first, then wrong ones that readers give."""

import math

import numpy as np

ANSWERS = {
    "01_derivation": {
        # The second takes 4 for sigma, the third forgets the half, the last takes log to base 2.
        "answer_1": (2 - math.log(2), 8 - math.log(4), 4 - math.log(4), 1.0, "1.307"),
        "answer_2": (3.5, -3.5, 5, 8.5),
        "answer_3": (1536, 0.5, 1, 3072, 768),
        "answer_4": (784 / 20, 784, 20, 20 / 784, 1 / 39.2),
        "answer_5": (
            lambda log_likelihood, kl: log_likelihood - kl,
            lambda log_likelihood, kl: log_likelihood - 0.5 * kl,
            lambda log_likelihood, kl: kl - log_likelihood,
            lambda log_likelihood, kl: log_likelihood,
            4.9,
        ),
    },
    "02_keras_version": {
        # A bit a pixel, and the negative of what was asked.
        "answer_1": (784 * math.log(2), 784, -784 * math.log(2), 0, "543.43"),
        # The head of the variance forgotten, and only the kernels.
        "answer_2": (418_104, 412_964, 418_064, 404_244, "418,104"),
        "answer_3": (3150, 3125, 3100, 2000, 50 * 62.5),
        "answer_4": ("b", "a", "c", "d", 2),
        "answer_5": (
            lambda a, b, n: np.linspace(a, b, n),
            lambda a, b, n: np.linspace(b, a, n),
            lambda a, b, n: np.linspace(a, b, n, endpoint=False),
            lambda a, b, n: np.linspace(a, b, n).T,
            lambda a, b, n: np.random.RandomState(0).normal(size=(n, len(a))),
            "np.linspace",
        ),
    },
}
