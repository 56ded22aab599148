"""Conversion of the decoder's heads to log p(x|z) and to an image."""

import math

import numpy as np
import oracle
import pytest
from keras import ops
from scipy import integrate, special, stats

from shared.config import recipe
from shared.likelihoods import log_likelihood, mean_image

RANDOM = np.random.RandomState(2)
X = RANDOM.uniform(size=(5, 6))


def heads(*names, width=6):
    return {name: ops.convert_to_tensor(RANDOM.normal(size=(5, width))) for name in names}


def test_a_bernoulli_takes_the_logits_and_is_drawn_at_its_probability():
    config, given = recipe("post-keras"), heads("logits")
    exact = oracle.bernoulli_log_likelihood(X, given["logits"].numpy())
    # 1e-12: the same float64 sums in another order.
    np.testing.assert_allclose(log_likelihood(config, X, given), exact, rtol=1e-12)
    probs = np.exp(oracle.log_sigmoid(given["logits"].numpy()))
    np.testing.assert_allclose(mean_image(config, given), probs, rtol=1e-12)


def test_a_continuous_bernoulli_takes_the_logits():
    config, given = recipe("post-keras", likelihood="continuous-bernoulli"), heads("logits")
    logits = given["logits"].numpy()
    # The constant from the paper, in terms of the logits: log(l / (exp(l) - 1)).
    constant = np.log(logits / np.expm1(logits))
    exact = (X * logits + constant).sum(axis=1)
    np.testing.assert_allclose(log_likelihood(config, X, given), exact, rtol=1e-10)  # as above


def test_a_fixed_sigma_is_the_same_for_every_pixel():
    given = heads("mean")
    config = recipe("post-keras", likelihood="gaussian", fixed_sigma=0.3)
    exact = stats.norm.logpdf(X, given["mean"], 0.3).sum(axis=1)
    np.testing.assert_allclose(log_likelihood(config, X, given), exact, rtol=1e-10)
    np.testing.assert_array_equal(mean_image(config, given), given["mean"])


def test_a_learned_sigma_is_larger_than_a_grey_level():
    """On a pixel that is always black, an unbounded variance would go to zero."""
    config = recipe("post-keras", likelihood="gaussian")
    black = np.zeros((1, 1))
    bound = stats.norm.logpdf(0, 0, 1 / 255)
    for raw in (-1e4, -100.0, -30.0):
        given = {"mean": black, "log_var": np.full((1, 1), raw)}
        assert float(log_likelihood(config, black, given)[0]) <= bound + 1e-12
    # Far above the bound the head is the log of the variance: softplus(30) - 30 is 1e-13.
    given = {"mean": black, "log_var": np.full((1, 1), 30 - 2 * math.log(255))}
    exact = stats.norm.logpdf(0, 0, math.exp(15) / 255)
    np.testing.assert_allclose(log_likelihood(config, black, given)[0], exact, rtol=1e-10)


def test_categorical_levels_are_equal_parts_of_the_greys():
    config = recipe("post-keras", likelihood="categorical", levels=4)
    x = np.array([[0.0, 0.2499, 0.25, 0.5, 0.9999, 1.0], [0.3, 0.3, 0.3, 0.8, 0.8, 0.8]])
    level = np.array([[0, 0, 1, 2, 3, 3], [1, 1, 1, 3, 3, 3]])
    logits = RANDOM.normal(size=(2, 24))
    log_softmax = special.log_softmax(logits.reshape(2, 6, 4), axis=2)
    exact = np.take_along_axis(log_softmax, level[..., None], axis=2).sum(axis=(1, 2))
    given = {"logits": ops.convert_to_tensor(logits)}
    np.testing.assert_allclose(log_likelihood(config, x, given), exact, rtol=1e-10)
    mean = np.exp(log_softmax) @ (np.arange(4) / 3)
    np.testing.assert_allclose(mean_image(config, given), mean, rtol=1e-6)  # float32 greys
    # Float64 greys would make pictures of another type than those of the other likelihoods.
    given = {"logits": ops.convert_to_tensor(logits.astype(np.float32))}
    assert ops.convert_to_numpy(mean_image(config, given)).dtype == np.float32


@pytest.mark.parametrize(
    "logit", [-30.0, -2.0, -0.1, -1e-4, 0.0, 0.05, 0.0999, 0.1001, 0.5, 5.0, 80.0]
)
def test_the_continuous_bernoulli_is_drawn_at_its_mean(logit):
    config = recipe("post-keras", likelihood="continuous-bernoulli")

    def density(x):
        given = {"logits": np.array([[logit]])}
        return math.exp(log_likelihood(config, np.array([[x]]), given)[0])

    points = [
        0.0,
        *np.geomspace(1e-3, 0.5, 5),
        1.0,
    ]  # the density may be concentrated at either end
    mean, _ = integrate.quad(lambda x: x * density(x), 0, 1, points=points, limit=200)
    ours = float(mean_image(config, {"logits": np.array([[logit]])})[0, 0])
    # The next term of the series is 0.1⁵ / 30240 = 3.3e-10.
    assert ours == pytest.approx(mean, rel=1e-9, abs=6e-10)
