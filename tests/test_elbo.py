"""The mathematics: identities, extremes, and values from the float64 oracle."""

import itertools
import math

import numpy as np
import oracle
import pytest
import tensorflow as tf
from scipy import integrate, stats

from shared import elbo

RANDOM = np.random.RandomState(1)


def gaussians(batch=40, latent_dim=3):
    """Posterior parameters over the range that training meets, float64."""
    return RANDOM.normal(0, 2, (batch, latent_dim)), RANDOM.uniform(-6, 2, (batch, latent_dim))


# ---- against the oracle, in float64


def test_kl_equals_the_formula_in_float64():
    mean, log_var = gaussians()
    # 1e-12: both are float64 sums of a few terms of order one.
    np.testing.assert_allclose(
        elbo.kl_to_standard_normal(mean, log_var),
        oracle.kl_to_standard_normal(mean, log_var),
        rtol=1e-12,
    )


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


def test_importance_bound_is_the_log_of_the_mean_weight():
    log_weights = RANDOM.normal(-90, 5, (7, 30))
    ours = elbo.importance_bound(log_weights)
    np.testing.assert_allclose(ours, oracle.importance_bound(log_weights), rtol=1e-13)
    # Equal weights: the bound is their common value, for any K (a wrong count K shows here).
    equal = np.full((5, 3), -123.0)
    np.testing.assert_allclose(elbo.importance_bound(equal), -123.0, rtol=1e-15)


# ---- identities


def test_kl_is_the_integral_that_defines_it():
    for mean, log_var in [(0.0, 0.0), (1.5, -1.0), (-0.3, 1.2), (2.0, -4.0)]:
        q = stats.norm(mean, math.exp(log_var / 2))
        value, error = integrate.quad(
            lambda z, q=q: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)),
            mean - 12 * q.std(),
            mean + 12 * q.std(),
        )
        ours = float(elbo.kl_to_standard_normal(np.array([[mean]]), np.array([[log_var]]))[0])
        assert abs(ours - value) <= error + 1e-9  # 1e-9: the tails beyond 12 σ are left out


def test_kl_is_the_mean_of_the_log_ratio():
    mean, log_var = gaussians(batch=4)
    n = 200_000
    z = mean + np.exp(log_var / 2) * RANDOM.normal(size=(n, *mean.shape))
    ratio = oracle.log_normal(z, mean, log_var) - oracle.log_normal(z, 0.0, np.zeros_like(log_var))
    standard_error = ratio.std(axis=0) / math.sqrt(n)
    difference = np.abs(ratio.mean(axis=0) - elbo.kl_to_standard_normal(mean, log_var))
    assert (difference < 5 * standard_error).all()


def test_kl_adds_up_over_latents():
    mean, log_var = gaussians(latent_dim=4)
    whole = elbo.kl_to_standard_normal(mean, log_var)
    parts = [elbo.kl_to_standard_normal(mean[:, [i]], log_var[:, [i]]) for i in range(4)]
    np.testing.assert_allclose(whole, np.sum(parts, axis=0), rtol=1e-12)


def test_bernoulli_sums_to_one_over_all_images_of_ten_pixels():
    x = np.array(list(itertools.product([0.0, 1.0], repeat=10)))
    logits = np.broadcast_to(RANDOM.normal(0, 3, 10), x.shape)
    total = np.exp(elbo.bernoulli_log_likelihood(x, logits)).sum()
    assert abs(total - 1) < 1e-13  # 1024 float64 terms


def test_every_importance_weight_of_an_exact_posterior_is_the_evidence():
    # x = w z + noise: with q the exact posterior, log w = log p(x) for every single z.
    w, noise_var = RANDOM.normal(size=(6, 3)), 0.3
    x = RANDOM.normal(size=(20, 6))
    precision = np.eye(3) + w.T @ w / noise_var
    # A diagonal posterior, as q is: rotate z so that the precision is diagonal.
    values, vectors = np.linalg.eigh(precision)
    w = w @ vectors
    z_mean = x @ w / noise_var / values
    z_log_var = np.broadcast_to(-np.log(values), z_mean.shape)
    z = z_mean + np.exp(z_log_var / 2) * RANDOM.normal(size=z_mean.shape) * 3
    log_likelihood = oracle.log_normal(x, z @ w.T, np.full((20, 6), math.log(noise_var)))
    evidence = stats.multivariate_normal.logpdf(x, np.zeros(6), w @ w.T + noise_var * np.eye(6))
    ours = elbo.log_importance_weight(log_likelihood, z, z_mean, z_log_var)
    np.testing.assert_allclose(ours, evidence, rtol=1e-11)


def test_the_loss_does_not_depend_on_how_a_set_is_cut_into_batches():
    log_likelihood, kl = RANDOM.normal(-100, 10, 103), RANDOM.uniform(0, 9, 103)
    whole = float(elbo.negative_elbo(log_likelihood, kl, 2.0))
    for batch in (1, 10, 50, 102):
        starts = range(0, 103, batch)
        parts = [(log_likelihood[s : s + batch], kl[s : s + batch]) for s in starts]
        weighted = sum(len(k) * float(elbo.negative_elbo(ll, k, 2.0)) for ll, k in parts) / 103
        assert abs(weighted - whole) < 1e-11  # float64 sums in another order


def test_reparameterize_has_the_moments_of_q():
    mean, log_var = np.array([[1.5, -2.0]]), np.array([[-1.0, 0.7]])
    n = 400_000
    z = elbo.reparameterize(
        np.repeat(mean, n, 0), np.repeat(log_var, n, 0), RANDOM.normal(size=(n, 2))
    ).numpy()
    sigma = np.exp(log_var[0] / 2)
    assert (np.abs(z.mean(0) - mean[0]) < 5 * sigma / math.sqrt(n)).all()
    # The standard error of a variance estimate is σ² √(2/n).
    assert (np.abs(z.var(0) - sigma**2) < 5 * sigma**2 * math.sqrt(2 / n)).all()


# ---- the other likelihoods


def test_continuous_bernoulli_is_a_density_with_the_right_constant():
    for logit in (-900.0, -30.0, -1.7, -0.1, -1e-3, 0.0, 1e-6, 0.0999, 0.1001, 2.0, 40.0, 900.0):
        at = elbo.continuous_bernoulli_log_likelihood

        def density(x, at=at, logit=logit):
            return np.exp(float(at(np.array([[x]]), np.array([[logit]]))[0]))

        # Steep densities pile up at one end: tell the quadrature where.
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


# ---- extremes, in float32


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


@pytest.mark.parametrize("compiled", [False, True])
def test_kl_is_never_negative_next_to_the_prior(compiled):
    magnitudes = np.concatenate([[0], np.logspace(-38, 0, 20_001)]).astype(np.float32)
    log_var = np.concatenate([magnitudes, -magnitudes])[:, None]
    kl = tf.function(elbo.kl_to_standard_normal, jit_compile=compiled)
    values = kl(tf.zeros_like(log_var), tf.constant(log_var)).numpy()
    assert values.min() >= 0
    assert values[0] == 0


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
        np.testing.assert_allclose(value, exact, rtol=1e-6)  # float32, not 1e-3 of a half


def test_float64_stays_float64():
    mean, log_var = gaussians()
    assert elbo.kl_to_standard_normal(tf.constant(mean), tf.constant(log_var)).dtype == tf.float64
    assert elbo.negative_elbo(tf.constant(mean[:, 0]), tf.constant(mean[:, 1])).dtype == tf.float64


# ---- refusals


@pytest.mark.parametrize(
    "call",
    [
        lambda a, b: elbo.elbo(a[:, 0], b[:, :1]),
        lambda a, b: elbo.negative_elbo(a[:, 0], b[:, :1]),
        lambda a, b: elbo.kl_to_standard_normal(a, b[:, :2]),
        lambda a, b: elbo.kl_to_standard_normal(a, b[:1]),
        lambda a, b: elbo.bernoulli_log_likelihood(a, b[:2]),
        lambda a, b: elbo.reparameterize(a, b, a[:, :1]),
        lambda a, b: elbo.continuous_bernoulli_log_likelihood(a, b[:2]),
        lambda a, b: elbo.gaussian_log_likelihood(a, b[:2], 0.0),
        lambda a, b: elbo.gaussian_log_likelihood(a, b, b[:, :1]),
        lambda a, b: elbo.categorical_log_likelihood(a, b[:, :2, None]),
        lambda a, b: elbo.log_importance_weight(a[:, :1], a, b, a),
        lambda a, b: elbo.log_importance_weight(a[:, 0], a, b[:, :1], a),
    ],
)
def test_shapes_that_differ_are_refused(call):
    with pytest.raises(ValueError, match="shapes differ"):
        call(np.zeros((4, 3)), np.zeros((4, 3)))


def test_an_unknown_batch_size_passes():
    @tf.function(input_signature=[tf.TensorSpec((None, 3)), tf.TensorSpec((None, 3))])
    def kl(mean, log_var):
        return elbo.kl_to_standard_normal(mean, log_var)

    assert kl(tf.ones((5, 3)), tf.zeros((5, 3))).shape == (5,)
