"""The best Gaussian q of an image: models with a known optimum, and a small network."""

import itertools

import numpy as np
import pytest
from small_models import Linear, network

from shared.machine.checks import UsageError
from shared.measure import gaps, quadrature
from shared.measure.linear_gaussian import LinearGaussian


def rotated(n=3):
    """A linear model whose posterior is not diagonal: (log_likelihood, x, mean, covariance)."""
    random = np.random.RandomState(2)
    kernel, noise_var = np.array([[1.0, 0.8, -0.5, 0.3], [0.2, 1.1, 0.4, -0.9]]), 0.3
    x = random.normal(size=(n, 4))

    def log_likelihood(x, z):
        away = x[:, None] - z @ kernel
        constant = 4 * np.log(2 * np.pi * noise_var)
        return -0.5 * ((away**2).sum(axis=2) / noise_var + constant)

    models = [LinearGaussian(each, kernel, noise_var) for each in x]
    return log_likelihood, x, models


def test_the_split_of_a_model_with_a_gaussian_posterior():
    log_likelihood, x, models = rotated()
    exact = [model.posterior() for model in models]
    mean, covariance = np.array([m for m, _ in exact]), exact[0][1]
    result = gaps.gap_split(log_likelihood, x, mean + 0.2, np.full_like(mean, -1.0), spacing=0.05)
    surfaces = gaps.log_likelihood_surfaces(log_likelihood, x, spacing=0.05)
    again = gaps.gap_split(
        log_likelihood, x, mean + 0.2, np.full_like(mean, -1.0), spacing=0.05, surfaces=surfaces
    )
    for name in ("encoder", "diagonal", "full", "log_px"):
        np.testing.assert_array_equal(again[name], result[name])
    evidence = np.array([model.log_evidence() for model in models])
    np.testing.assert_allclose(result["log_px"], evidence, atol=1e-8)  # as in test_quadrature
    # With any covariance the posterior itself is found. 1e-5: 5 significant digits in each of
    # the five parameters, squared, and the cubic interpolation of a quadratic.
    np.testing.assert_allclose(result["full"], evidence, atol=1e-5)
    for i, (_, full) in enumerate(result["fits"]):
        np.testing.assert_allclose(full.mean, mean[i], atol=1e-3)
        np.testing.assert_allclose(full.scale @ full.scale.T, covariance, atol=1e-3)
    # The best diagonal q has the same mean and the inverse diagonal of the precision; its KL to
    # the posterior is half the log of the ratio of determinants (Bishop 2006, section 10.1.2).
    precision = np.linalg.inv(covariance)
    gap = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    np.testing.assert_allclose(evidence - result["diagonal"], gap, atol=1e-5)
    assert gap > 0.03 and (result["optima"] == 1).all()


def test_the_elbo_of_any_gaussian_is_the_evidence_less_its_kl():
    log_likelihood, x, models = rotated()
    mean, scale = np.full((3, 2), 0.3), np.tile([[0.5, 0.0], [-0.3, 0.7]], (3, 1, 1))
    kl = []
    for model in models:
        centre, covariance = model.posterior()
        precision = np.linalg.inv(covariance)
        own = scale[0] @ scale[0].T
        away = mean[0] - centre
        log_dets = np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(own)[1]
        kl.append(0.5 * (np.trace(precision @ own) + away @ precision @ away - 2 + log_dets))
    evidence = [model.log_evidence() for model in models]
    elbo = gaps.gaussian_elbo(log_likelihood, x, mean, scale)
    np.testing.assert_allclose(elbo, np.array(evidence) - kl, atol=1e-8)  # tails, e^-24 of q


def test_a_diagonal_q_has_the_elbo_of_the_identity():
    model = Linear()
    identity = quadrature.posterior_identity(
        model.log_likelihood, model.x, model.z_mean + 0.2, model.z_log_var - 0.3, spacing=0.02
    )
    scale = gaps.diagonal_scale(model.z_log_var - 0.3)
    elbo = gaps.gaussian_elbo(model.log_likelihood, model.x, model.z_mean + 0.2, scale)
    np.testing.assert_allclose(elbo, identity["elbo"], atol=1e-8)


@pytest.fixture(scope="module")
def split():
    """The split of a small relu network, computed once."""
    weights, x, z_mean, z_log_var = network(4)
    grid = quadrature.bernoulli_on_grid(quadrature.decoder64(weights, "relu"))
    progress = []
    result = gaps.gap_split(
        grid, x, z_mean, z_log_var, spacing=0.05, on_progress=lambda *done: progress.append(done)
    )
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return grid, x, z_mean, z_log_var, result


def test_the_terms_of_a_network_are_in_order_and_add_up_to_the_kl(split):
    grid, x, z_mean, z_log_var, result = split
    order = ("encoder", "diagonal", "full", "log_px")
    for low, high in itertools.pairwise(order):
        # 1e-3 nats: the optimizer sees log p(x|z) by interpolation, see the next test.
        assert (result[high] - result[low] > -1e-3).all(), (low, high)
    exact = quadrature.posterior_identity(grid, x, z_mean, z_log_var, spacing=0.02)
    # 2e-3: the kinks of relu on the coarser lattice.
    np.testing.assert_allclose(
        result["log_px"] - result["encoder"], exact["kl_to_posterior"], atol=2e-3
    )


def test_no_gaussian_nearby_is_better_than_the_best(split):
    grid, x, _, _, result = split
    random = np.random.RandomState(0)
    for i, (diagonal, full) in enumerate(result["fits"]):
        assert abs(diagonal.elbo - result["diagonal"][i]) < 1e-2  # interpolated and exact
        assert diagonal.scale[1, 0] == 0
        for fit, free, name in ((diagonal, np.eye(2), "diagonal"), (full, np.tri(2), "full")):
            means = fit.mean + 0.05 * random.normal(size=(8, 2))
            scales = fit.scale * (1 + 0.1 * random.normal(size=(8, 2, 2))) * free
            elbo = gaps.gaussian_elbo(grid, np.repeat(x[[i]], 8, axis=0), means, scales)
            assert (elbo < result[name][i] + 1e-3).all()


def test_a_fit_climbs_from_its_start(split):
    grid, x, _, _, result = split
    surface = gaps.log_likelihood_surfaces(grid, x[:1], spacing=0.05)[0]
    fit = gaps.fit_gaussian(surface, np.zeros(2), np.eye(2))
    elbos = [elbo for _, _, elbo in fit.path]
    assert elbos == sorted(elbos) and len(elbos) > 3
    assert fit.elbo == elbos[-1] <= result["fits"][0][0].elbo + 1e-4


def test_of_two_modes_both_optima_are_found():
    """log p(x|z) with a higher and a lower peak: a narrow q sits on one of them."""

    def log_likelihood(x, z):
        left = -50 * ((z - [-1, 0]) ** 2).sum(axis=1)
        right = -50 * ((z - [1, 0]) ** 2).sum(axis=1) - 1.5
        return np.tile(np.logaddexp(left, right), (len(x), 1))

    surface = gaps.log_likelihood_surfaces(log_likelihood, np.zeros((1, 4)), spacing=0.03)[0]
    best, fits = gaps.best_gaussian(surface)
    assert abs(best.mean[0] + 1) < 0.05
    assert {round(fit.mean[0]) for fit in fits} >= {-1, 1}
    others = [fit.elbo for fit in fits if round(fit.mean[0]) == 1]
    assert abs(best.elbo - max(others) - 1.5) < 0.01  # the modes are otherwise mirror images


def test_another_latent_dim_is_refused():
    with pytest.raises(UsageError, match="latent_dim is 3; the split needs 2"):
        gaps.gap_split(None, np.zeros((1, 4)), np.zeros((1, 3)), np.zeros((1, 3)))
