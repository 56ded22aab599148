"""Probabilistic PCA and the linear VAE, against densities, samples and a search for optima."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.optimize import approx_fprime, minimize_scalar
from scipy.stats import multivariate_normal, norm

from shared.machine.checks import UsageError
from shared.measure.linear import (
    LinearVAE,
    best_encoder,
    linear_optimum,
    linear_terms,
    log_evidence_linear,
    ppca,
    spectrum,
)
from shared.measure.linear_training import loss_and_gradient, train_linear_vae

EIGENVALUES = np.array([5.0, 3.0, 1.2, 0.6, 0.4, 0.2, 0.1, 0.05])


def data(n=400):
    """Images whose covariance has exactly EIGENVALUES, in random directions, and their mean."""
    random = np.random.RandomState(0)
    white = random.standard_normal((n, len(EIGENVALUES)))
    white -= white.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(white.T @ white / n)).T
    turn = np.linalg.qr(random.standard_normal((len(EIGENVALUES),) * 2))[0]
    return 3.0 + (white * np.sqrt(EIGENVALUES)) @ turn.T, turn


def random_vae(d, k, seed=0):
    random = np.random.RandomState(seed)
    w, v = random.standard_normal((2, d, k))
    return LinearVAE(w, 0.3 * v, np.exp(random.standard_normal(k)), 0.7)


def test_the_spectrum_is_that_of_the_data():
    x, turn = data()
    mean, values, directions = spectrum(x)
    np.testing.assert_allclose(values, EIGENVALUES, rtol=1e-12)  # float64
    np.testing.assert_allclose(mean, 3.0, rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.sum(directions * turn, axis=0)), 1, rtol=1e-12)


def test_the_evidence_is_the_density_of_one_gaussian():
    x, _ = data()
    vae = random_vae(8, 3)
    covariance = vae.weights @ vae.weights.T + vae.noise_variance * np.eye(8)
    expected = multivariate_normal(np.full(8, 2.5), covariance).logpdf(x)
    found = log_evidence_linear(x, np.full(8, 2.5), vae.weights, vae.noise_variance)
    np.testing.assert_allclose(found, expected, rtol=1e-11)  # float64, by another factorization


def test_ppca_has_the_likelihood_of_its_formula_and_no_neighbour_has_a_higher_one():
    x, _ = data()
    mean, vae = ppca(x, 3)
    assert vae.noise_variance == pytest.approx(EIGENVALUES[3:].mean(), rel=1e-12)
    formula = -0.5 * (
        8 * np.log(2 * np.pi)
        + np.log(EIGENVALUES[:3]).sum()
        + 5 * np.log(EIGENVALUES[3:].mean())
        + 8
    )
    best = log_evidence_linear(x, mean, vae.weights, vae.noise_variance).mean()
    assert best == pytest.approx(formula, rel=1e-12)  # Tipping & Bishop 1999, equation 7
    random = np.random.RandomState(1)
    for _ in range(50):
        moved = vae.weights + 0.01 * random.standard_normal(vae.weights.shape)
        variance = vae.noise_variance * np.exp(0.05 * random.standard_normal())
        assert log_evidence_linear(x, mean, moved, variance).mean() < best


def test_the_terms_are_those_of_samples():
    """Against the densities of the linear model at samples of q(z|x), for any parameters."""
    x, _ = data(200)
    mean, vae = x.mean(axis=0), random_vae(8, 3)
    log_likelihood, kl = linear_terms((x - mean).T @ (x - mean) / len(x), vae)
    random = np.random.RandomState(2)
    q = norm((x - mean) @ vae.encoder, np.sqrt(vae.q_variance))
    z = q.rvs((4000, *q.mean().shape), random_state=random)
    of_x = norm(mean + z @ vae.weights.T, np.sqrt(vae.noise_variance)).logpdf(x).sum(axis=2)
    estimates = of_x.mean(axis=1)  # one of all images at each of 4,000 draws
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - log_likelihood) < 5 * error
    for j in range(3):
        estimates = (q.logpdf(z) - norm.logpdf(z))[..., j].mean(axis=1)
        assert abs(estimates.mean() - kl[j]) < 5 * estimates.std() / np.sqrt(len(estimates))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0, 7.0])
def test_the_optimum_is_that_of_a_model_with_one_latent_per_principal_direction(beta):
    """The closed form of each term, against `linear_terms` of a model with these parameters."""
    x, turn = data()
    for noise_variance in (None, 0.3, 1.0):
        optimum = linear_optimum(EIGENVALUES, 4, beta, noise_variance)
        level = beta * optimum.noise_variance
        weights = turn[:, :4] * np.sqrt(np.maximum(EIGENVALUES[:4] - level, 0))
        encoder = best_encoder(weights, optimum.noise_variance, beta)
        vae = LinearVAE(weights, *encoder, optimum.noise_variance)
        log_likelihood, kl = linear_terms(np.cov(x.T, bias=True), vae)
        assert optimum.log_likelihood == pytest.approx(log_likelihood, rel=1e-10)  # float64
        np.testing.assert_allclose(optimum.kl, kl, atol=1e-10)
        assert ((optimum.kl > 0) == (EIGENVALUES[:4] > level)).all()


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("noise_variance", [None, 0.8])
def test_training_finds_the_optimum_and_nothing_better(beta, noise_variance):
    x, turn = data()
    covariance = np.cov(x.T, bias=True)
    vae = train_linear_vae(covariance, 4, beta, noise_variance)
    log_likelihood, kl = linear_terms(covariance, vae)
    optimum = linear_optimum(EIGENVALUES, 4, beta, noise_variance)
    best = optimum.log_likelihood - beta * optimum.kl.sum()
    found = log_likelihood - beta * kl.sum()
    assert best - 1e-6 < found < best + 1e-9  # L-BFGS stops at a relative change of 1e-14
    np.testing.assert_allclose(np.sort(kl)[::-1], optimum.kl, atol=2e-3)  # flat near the optimum
    assert vae.noise_variance == pytest.approx(optimum.noise_variance, rel=1e-4)
    used = np.argsort(kl)[::-1][: int((optimum.kl > 0).sum())]
    for place, column in enumerate(used):
        w = vae.weights[:, column]
        assert abs(w @ turn[:, place]) > 0.999 * np.linalg.norm(w)


def test_at_beta_1_the_elbo_of_ppca_is_its_log_likelihood():
    x, _ = data()
    mean, vae = ppca(x, 3)
    log_likelihood, kl = linear_terms(np.cov(x.T, bias=True), vae)
    evidence = log_evidence_linear(x, mean, vae.weights, vae.noise_variance).mean()
    assert log_likelihood - kl.sum() == pytest.approx(evidence, rel=1e-12)
    assert linear_optimum(EIGENVALUES, 3).elbo == pytest.approx(evidence, rel=1e-12)


def test_a_rotation_keeps_the_evidence_and_lowers_the_elbo():
    x, _ = data()
    mean, vae = ppca(x, 2)
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    rotated = vae.weights @ turn
    evidence = [log_evidence_linear(x, mean, w, vae.noise_variance) for w in (vae.weights, rotated)]
    np.testing.assert_allclose(*evidence, rtol=1e-12)
    worse = LinearVAE(rotated, *best_encoder(rotated, vae.noise_variance), vae.noise_variance)
    log_likelihood, kl = linear_terms(np.cov(x.T, bias=True), worse)
    # The gap is KL(q || p(z|x)) between Gaussians of equal means: half of the difference of the
    # logarithms of the product of the diagonal of M = WᵀW + σ² and of its determinant.
    inner = rotated.T @ rotated + vae.noise_variance * np.eye(2)
    gap = 0.5 * (np.log(np.diag(inner)).sum() - np.linalg.slogdet(inner)[1])
    assert gap > 0.02
    assert log_likelihood - kl.sum() == pytest.approx(evidence[0].mean() - gap, rel=1e-12)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0, 6.0])
def test_the_learned_variance_is_the_best_one(beta):
    """Against a search over fixed variances."""

    def loss(log_variance):
        fixed = linear_optimum(EIGENVALUES, 4, beta, np.exp(log_variance))
        return beta * fixed.kl.sum() - fixed.log_likelihood

    found = minimize_scalar(loss, bounds=(-8, 4), method="bounded", options={"xatol": 1e-9})
    learned = linear_optimum(EIGENVALUES, 4, beta)
    assert loss(np.log(learned.noise_variance)) <= found.fun + 1e-12  # rounding
    assert np.log(learned.noise_variance) == pytest.approx(found.x, abs=1e-5)


@pytest.mark.parametrize("noise_variance", [None, 0.5])
def test_the_slope_of_distortion_against_rate_is_minus_beta(noise_variance):
    for beta in (0.4, 1.0, 2.5):
        near = [
            linear_optimum(EIGENVALUES, 4, beta * (1 + step), noise_variance)
            for step in (-1e-5, 1e-5)
        ]
        rates = [each.kl.sum() for each in near]
        distortions = [-each.log_likelihood for each in near]
        slope = (distortions[1] - distortions[0]) / (rates[1] - rates[0])
        assert slope == pytest.approx(-beta, rel=1e-4)  # the error of a central difference


def test_data_that_the_latents_describe_exactly_are_refused():
    with pytest.raises(UsageError, match="latent_dim is 2, which describes the data exactly"):
        linear_optimum([3.0, 1.0, 0.0], 2)
    assert linear_optimum([3.0, 1.0, 0.0], 2, noise_variance=0.1).noise_variance == 0.1


@pytest.mark.parametrize("learned", [True, False])
def test_the_gradient_is_that_of_the_loss(learned):
    x, _ = data(50)
    covariance, k = np.cov(x.T, bias=True), 2
    point = np.random.RandomState(3).standard_normal(2 * 8 * k + k + 1)
    arguments = (covariance, k, 1.7, learned)
    loss, gradient = loss_and_gradient(point, *arguments)
    numeric = approx_fprime(point, lambda p: loss_and_gradient(p, *arguments)[0], 1e-7)
    if not learned:
        assert gradient[-1] == 0
        numeric[-1] = 0
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4)  # a forward difference
    w, v = point[: 2 * 8 * k].reshape(2, 8, k)
    vae = LinearVAE(w, v, np.exp(point[-k - 1 : -1]), np.exp(point[-1]))
    log_likelihood, kl = linear_terms(covariance, vae)
    assert loss == pytest.approx(1.7 * kl.sum() - log_likelihood, rel=1e-12)


def test_collapsed_latents_change_nothing():
    x, _ = data()
    covariance = np.cov(x.T, bias=True)
    few = train_linear_vae(covariance, 2, noise_variance=2.0)
    many = train_linear_vae(covariance, 6, noise_variance=2.0)  # two eigenvalues are above 2
    angles = subspace_angles(few.weights, many.weights @ np.linalg.svd(many.weights)[2].T[:, :2])
    assert angles.max() < 1e-3
    kl = linear_terms(covariance, many)[1]
    assert (np.sort(kl)[:4] < 1e-6).all() and (np.sort(kl)[4:] > 0.1).all()
