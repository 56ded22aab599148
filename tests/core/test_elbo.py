"""The terms of the ELBO: identities, extremes, and values from the float64 oracle.

The densities of pixels have tests of their own, in test_densities.py.
"""

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


def test_importance_bound_is_the_log_of_the_mean_weight():
    log_weights = RANDOM.normal(-90, 5, (7, 30))
    ours = elbo.importance_bound(log_weights)
    np.testing.assert_allclose(ours, oracle.importance_bound(log_weights), rtol=1e-13)
    # 1e-13: as above, the samples along the other axis.
    along_rows = elbo.importance_bound(log_weights.T, axis=1)
    np.testing.assert_allclose(along_rows, oracle.importance_bound(log_weights), rtol=1e-13)
    # Equal weights: the bound is their common value for any K, unless the count K is wrong.
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


def test_every_importance_weight_of_an_exact_posterior_is_the_evidence():
    # x = w z + noise: with q the exact posterior, log w = log p(x) for every single z.
    w, noise_var = RANDOM.normal(size=(6, 3)), 0.3
    x = RANDOM.normal(size=(20, 6))
    precision = np.eye(3) + w.T @ w / noise_var
    # q is diagonal, so z is rotated in order that the precision of the posterior is diagonal.
    values, vectors = np.linalg.eigh(precision)
    w = w @ vectors
    z_mean = x @ w / noise_var / values
    z_log_var = np.broadcast_to(-np.log(values), z_mean.shape)
    z = z_mean + np.exp(z_log_var / 2) * RANDOM.normal(size=z_mean.shape) * 3
    log_likelihood = oracle.log_normal(x, z @ w.T, np.full((20, 6), math.log(noise_var)))
    evidence = stats.multivariate_normal.logpdf(x, np.zeros(6), w @ w.T + noise_var * np.eye(6))
    ours = elbo.log_importance_weight(log_likelihood, z, z_mean, z_log_var)
    np.testing.assert_allclose(ours, evidence, rtol=1e-11)


def test_reparameterize_is_its_formula():
    mean, log_var = gaussians()
    epsilon = RANDOM.normal(size=mean.shape)
    ours = elbo.reparameterize(mean, log_var, epsilon)
    exact = mean + np.sqrt(np.exp(log_var)) * epsilon
    np.testing.assert_allclose(ours, exact, rtol=1e-12, atol=1e-14)  # float64, in another order


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


# ---- the objective


def test_the_elbo_and_the_loss_are_those_of_float64():
    log_likelihood, kl = RANDOM.normal(-100, 10, 103), RANDOM.uniform(0, 9, 103)
    for beta in (0.0, 1.0, 2.5):
        # 1e-14: one product and one difference of float64 numbers.
        ours = elbo.elbo(log_likelihood, kl, beta)
        np.testing.assert_allclose(ours, log_likelihood - beta * kl, rtol=1e-14)
        loss = float(elbo.negative_elbo(log_likelihood, kl, beta))
        # 1e-13: float64 sums in another order. A mean, so it does not depend on the batch's size.
        np.testing.assert_allclose(loss, np.mean(beta * kl - log_likelihood), rtol=1e-13)
    np.testing.assert_array_equal(elbo.elbo(log_likelihood, kl), log_likelihood - kl)
    assert float(elbo.negative_elbo(log_likelihood, kl)) == float(
        elbo.negative_elbo(log_likelihood, kl, 1.0)
    )


@pytest.mark.parametrize(
    ("step", "share"),
    # The weight is beta at the last step of the warm-up and stays there.
    [(0, 1 / 8), (1, 2 / 8), (3, 4 / 8), (6, 7 / 8), (7, 1), (8, 1), (2**31 - 1, 1)],
)
def test_a_warm_up_rises_linearly_to_beta(step, share):
    for beta in (4.0, 0.5):
        weight = elbo.warmed_up(beta, tf.constant(step), 8)
        assert weight.dtype == tf.float32
        assert float(weight) == beta * share  # exact: the parts are eighths
    thirds = float(elbo.warmed_up(1.0, step, 3))
    assert abs(thirds - min((step + 1) / 3, 1)) < 1e-7  # float32
    assert float(elbo.warmed_up(2.0, step, 1)) == 2.0


def test_no_warm_up_leaves_beta_as_it_is():
    for step in (0, 5):
        beta = elbo.warmed_up(0.1, tf.constant(step), 0)
        assert beta == 0.1 and isinstance(beta, float)  # no float32 has this value


# ---- extremes, in float32


@pytest.mark.parametrize("compiled", [False, True])
def test_kl_is_never_negative_next_to_the_prior(compiled):
    magnitudes = np.concatenate([[0], np.logspace(-38, 0, 20_001)]).astype(np.float32)
    log_var = np.concatenate([magnitudes, -magnitudes])[:, None]
    kl = tf.function(elbo.kl_to_standard_normal, jit_compile=compiled)
    values = kl(tf.zeros_like(log_var), tf.constant(log_var)).numpy()
    assert values.min() >= 0
    assert values[0] == 0


def test_results_keep_single_and_double_precision():
    mean, log_var = gaussians()
    for dtype in (tf.float32, tf.float64):
        a, b = tf.constant(mean, dtype), tf.constant(log_var, dtype)
        assert elbo.kl_to_standard_normal(a, b).dtype == dtype
        assert elbo.negative_elbo(a[:, 0], a[:, 1]).dtype == dtype
        assert elbo.log_importance_weight(a[:, 0], a, a, b).dtype == dtype
        assert elbo.gaussian_log_likelihood(a, a, -1.0).dtype == dtype
        assert elbo.categorical_log_likelihood(np.zeros((40, 3)), a[:, :, None]).dtype == dtype


# ---- refusals


A, B = np.zeros((4, 3)), np.zeros((4, 3))


@pytest.mark.parametrize(
    ("call", "shapes"),
    [
        (lambda: elbo.elbo(A[:, 0], B[:, :1]), "log_likelihood (4,), kl (4, 1)"),
        (lambda: elbo.negative_elbo(A[:, 0], B[:, :1]), "log_likelihood (4,), kl (4, 1)"),
        (lambda: elbo.negative_elbo(A[:, 0], B[:2, 0]), "log_likelihood (4,), kl (2,)"),
        (
            lambda: elbo.kl_to_standard_normal(A, B[:, :2]),
            "z_mean (4, 3), z_log_var (4, 2)",
        ),
        (lambda: elbo.kl_to_standard_normal(A, B[:1]), "z_mean (4, 3), z_log_var (1, 3)"),
        (lambda: elbo.kl_to_standard_normal(A[:1], B), "z_mean (1, 3), z_log_var (4, 3)"),
        (lambda: elbo.bernoulli_log_likelihood(A, B[:2]), "x (4, 3), logits (2, 3)"),
        (lambda: elbo.bernoulli_log_likelihood(A[0], B), "x (3,), logits (4, 3)"),
        (lambda: elbo.continuous_bernoulli_log_likelihood(A, B[:2]), "x (4, 3), logits (2, 3)"),
        (
            lambda: elbo.reparameterize(A, B, A[:, :1]),
            "z_mean (4, 3), z_log_var (4, 3), epsilon (4, 1)",
        ),
        (lambda: elbo.gaussian_log_likelihood(A, B[:2], 0.0), "x (4, 3), mean (2, 3)"),
        (
            lambda: elbo.gaussian_log_likelihood(A, B, B[:, :1]),
            "x (4, 3), mean (4, 3), log_var (4, 1)",
        ),
        (
            lambda: elbo.categorical_log_likelihood(A, B[:, :2, None]),
            "x_one_hot (4, 3, 1), logits (4, 2, 1)",
        ),
        (
            lambda: elbo.log_importance_weight(A[:, :1], A, B, A),
            "log_likelihood (4, 1), log_ratio (4,)",
        ),
        (
            lambda: elbo.log_importance_weight(A[:, 0], A, B[:, :1], A),
            "z (4, 3), z_mean (4, 1), z_log_var (4, 3)",
        ),
    ],
)
def test_shapes_that_differ_are_refused(call, shapes):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == f"shapes differ: {shapes}; expected equal shapes"


@pytest.mark.parametrize("spec", [(None, 3), (5, None), (None, None)])
def test_an_unknown_dimension_passes(spec):
    @tf.function(input_signature=[tf.TensorSpec(spec), tf.TensorSpec((5, 3))], autograph=False)
    def kl(mean, log_var):
        return elbo.kl_to_standard_normal(mean, log_var), elbo.kl_to_standard_normal(log_var, mean)

    for values in kl(tf.ones((5, 3)), tf.zeros((5, 3))):
        assert values.shape == (5,)


def test_a_known_dimension_beside_an_unknown_one_is_checked():
    spec = tf.TensorSpec((None, 3)), tf.TensorSpec((None, 2))
    kl = tf.function(elbo.kl_to_standard_normal, input_signature=spec, autograph=False)
    with pytest.raises(
        ValueError, match=r"shapes differ: z_mean \(None, 3\), z_log_var \(None, 2\)"
    ):
        kl.get_concrete_function()
