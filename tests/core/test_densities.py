"""The densities of pixels in shared/elbo.py: they sum or integrate to one; values, extremes."""

import itertools
import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
import tensorflow as tf
from scipy import integrate, stats

from shared import elbo

RANDOM = np.random.RandomState(1)


# ---- Bernoulli


def test_bernoulli_equals_scipy_in_float64():
    x = RANDOM.randint(0, 2, (50, 20)).astype(float)
    logits = RANDOM.normal(0, 4, (50, 20))
    ours = elbo.bernoulli_log_likelihood(x, logits)
    theirs = stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-logits))).sum(axis=1)
    # 1e-10: scipy rounds the probability before it takes the logarithm.
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    grey = RANDOM.uniform(0, 1, (50, 20))
    np.testing.assert_allclose(
        elbo.bernoulli_log_likelihood(grey, logits),
        oracle.bernoulli_log_likelihood(grey, logits),
        rtol=1e-12,
    )


def test_bernoulli_sums_to_one_over_all_images_of_ten_pixels():
    x = np.array(list(itertools.product([0.0, 1.0], repeat=10)))
    logits = np.broadcast_to(RANDOM.normal(0, 3, 10), x.shape)
    total = np.exp(elbo.bernoulli_log_likelihood(x, logits)).sum()
    assert abs(total - 1) < 1e-13  # 1024 float64 terms


@pytest.mark.parametrize("compiled", [False, True])
def test_bernoulli_is_finite_with_finite_gradients_at_any_logit(compiled):
    logits = tf.constant([[-1e4, -104.0, -17.0, 0.0, 17.0, 104.0, 1e4]])
    x = tf.constant([[0.0, 1.0, 0.5, 0.3, 0.0, 1.0, 1.0]])

    @tf.function(jit_compile=compiled)
    def value_and_gradient(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = elbo.bernoulli_log_likelihood(x, logits)
        return value, tape.gradient(value, logits)

    value, gradient = value_and_gradient(logits)
    expected = oracle.bernoulli_log_likelihood(
        x.numpy().astype(float), logits.numpy().astype(float)
    )
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    # The exact gradient is x - sigmoid(logits); 1e-7 is a unit in the last place of float32.
    exact = x.numpy() - np.exp(oracle.log_sigmoid(logits.numpy().astype(float)))
    np.testing.assert_allclose(gradient, exact, atol=1e-7)


def test_half_precision_is_computed_in_float32():
    x = RANDOM.uniform(0, 1, (4, 784))
    logits = RANDOM.normal(0, 3, (4, 784))
    for half in (tf.float16, tf.bfloat16):
        low_x, low_logits = tf.cast(x, half), tf.cast(logits, half)
        value = elbo.bernoulli_log_likelihood(low_x, low_logits)
        assert value.dtype == tf.float32
        exact = oracle.bernoulli_log_likelihood(
            tf.cast(low_x, tf.float64).numpy(), tf.cast(low_logits, tf.float64).numpy()
        )
        np.testing.assert_allclose(
            value, exact, rtol=1e-6
        )  # the precision of float32; that of half precision is 1e-3


# ---- the others


def test_the_series_of_the_continuous_bernoulli_has_the_right_coefficients():
    """The series of log(sinh(l/2) / (l/2)), whose coefficients follow from the Bernoulli numbers.

    Up to its third term it is exact here, so only the rounding of a few operations is left.
    """
    numbers = {1: Fraction(1, 6), 2: Fraction(-1, 30), 3: Fraction(1, 42)}
    size = Fraction(9, 100)
    exact = sum(b * size ** (2 * k) / (2 * k * math.factorial(2 * k)) for k, b in numbers.items())
    for sign in (1, -1):
        value = elbo.continuous_bernoulli_log_likelihood(
            np.array([[0.5]]), np.array([[sign * float(size)]])
        )
        np.testing.assert_allclose(value, [-float(exact)], rtol=3e-15)


def test_continuous_bernoulli_is_a_density_with_the_right_constant():
    for logit in (-900.0, -30.0, -1.7, -0.1, -1e-3, 0.0, 1e-6, 0.0999, 0.1001, 2.0, 40.0, 900.0):
        at = elbo.continuous_bernoulli_log_likelihood

        def density(x, at=at, logit=logit):
            return np.exp(float(at(np.array([[x]]), np.array([[logit]]))[0]))

        # Steep densities are concentrated at one end: the quadrature needs points there.
        edge = min(0.5, 30 / max(abs(logit), 1e-9))
        points = [edge, 1 - edge]
        total, error = integrate.quad(density, 0, 1, points=points, epsabs=1e-11, limit=200)
        assert abs(total - 1) < error + 1e-9, logit
    x, logits = RANDOM.uniform(0, 1, (30, 5)), RANDOM.uniform(-6, 6, (30, 5))
    # The constant from the paper: 2 atanh(1 - 2 p) / (1 - 2 p), p = sigmoid(logits).
    probs = 1 / (1 + np.exp(-logits))
    constant = 2 * np.arctanh(1 - 2 * probs) / (1 - 2 * probs)
    exact = oracle.bernoulli_log_likelihood(x, logits) + np.log(constant).sum(axis=1)
    # 1e-10: near p = 1/2 the paper's form divides two small numbers.
    np.testing.assert_allclose(
        elbo.continuous_bernoulli_log_likelihood(x, logits), exact, rtol=1e-10
    )


def test_gaussian_equals_scipy_and_integrates_to_one():
    x, mean = RANDOM.normal(size=(20, 6)), RANDOM.normal(size=(20, 6))
    log_var = RANDOM.uniform(-5, 2, (20, 6))
    exact = stats.norm.logpdf(x, mean, np.exp(log_var / 2)).sum(axis=1)
    np.testing.assert_allclose(elbo.gaussian_log_likelihood(x, mean, log_var), exact, rtol=1e-10)
    fixed = stats.norm.logpdf(x, mean, 0.3).sum(axis=1)
    ours = elbo.gaussian_log_likelihood(x, mean, 2 * math.log(0.3))
    np.testing.assert_allclose(ours, fixed, rtol=1e-10)
    # At a fixed sigma only the squared error depends on the mean: the MSE.
    other = RANDOM.normal(size=(20, 6))
    difference = ours - elbo.gaussian_log_likelihood(x, other, 2 * math.log(0.3))
    squares = ((x - other) ** 2).sum(axis=1) - ((x - mean) ** 2).sum(axis=1)
    np.testing.assert_allclose(difference, squares / (2 * 0.3**2), rtol=1e-9)
    one = np.array([[0.4]]), np.array([[-2.0]])
    total, error = integrate.quad(
        lambda v: np.exp(float(elbo.gaussian_log_likelihood(np.array([[v]]), *one)[0])), -6, 7
    )
    assert abs(total - 1) < error + 1e-9


def test_categorical_sums_to_one_and_equals_the_softmax():
    logits = RANDOM.normal(0, 3, (1, 4, 5))
    x = np.array(list(itertools.product(range(5), repeat=4)))
    ours = elbo.categorical_log_likelihood(x, np.broadcast_to(logits, (len(x), 4, 5)).copy())
    assert abs(np.exp(ours).sum() - 1) < 1e-12  # 625 float64 terms
    softmax = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=-1, keepdims=True)
    exact = np.log(softmax[np.arange(4), x]).sum(axis=1)
    np.testing.assert_allclose(ours, exact, rtol=1e-10)


@pytest.mark.parametrize("size", [0.0, 1e-8, 1e-3, 0.1, 17.0, 104.0, 1e4])
def test_the_other_likelihoods_are_finite_with_finite_gradients_in_float32(size):
    logits = tf.constant([[-size, size]])
    x = tf.constant([[0.3, 1.0]])
    for function in (
        lambda v: elbo.continuous_bernoulli_log_likelihood(x, v),
        lambda v: elbo.gaussian_log_likelihood(x, v, -11.0),
        lambda v: elbo.categorical_log_likelihood(tf.constant([[0]]), v[:, None, :]),
    ):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = function(logits)
        gradient = tape.gradient(value, logits)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()


def test_the_gradients_are_those_of_finite_differences():
    x, at = RANDOM.uniform(0, 1, (1, 3)), RANDOM.normal(0, 2, (1, 3))
    level = np.array([[2]])
    for function in (
        lambda v: elbo.bernoulli_log_likelihood(x, v),
        lambda v: elbo.continuous_bernoulli_log_likelihood(x, v),
        lambda v: elbo.gaussian_log_likelihood(x, v, -1.0),
        lambda v: elbo.gaussian_log_likelihood(x, np.zeros((1, 3)), v),
        lambda v: elbo.categorical_log_likelihood(level, v[:, None, :]),
        lambda v: elbo.kl_to_standard_normal(v, v),
    ):
        variable = tf.constant(at)
        with tf.GradientTape() as tape:
            tape.watch(variable)
            value = function(variable)
        steps = 1e-5 * np.eye(3)
        pairs = [(function(tf.constant(at + s)), function(tf.constant(at - s))) for s in steps]
        slopes = [(float(up[0]) - float(down[0])) / 2e-5 for up, down in pairs]
        # Central differences at 1e-5 err by 1e-10 in the series and 1e-10 by rounding.
        np.testing.assert_allclose(tape.gradient(value, variable)[0], slopes, rtol=1e-7, atol=1e-8)
