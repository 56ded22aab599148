"""Answers to the notebooks' exercises: the right one first, then wrong ones that readers give."""

import math

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
    }
}
