"""Quadrature: a linear-Gaussian model with known answers, and a small network."""

import numpy as np
import oracle
import pytest
from small_models import SPACING, Linear, network

from shared.config import recipe
from shared.machine.checks import UsageError
from shared.measure import quadrature


def test_the_identity_of_a_linear_gaussian_model_has_its_known_answers():
    model = Linear()
    shift, widen = np.array([0.3, -0.2]), np.array([0.5, -0.7])
    mean, log_var = model.z_mean + shift, model.z_log_var + widen
    progress = []
    result = quadrature.posterior_identity(
        model.log_likelihood,
        model.x,
        mean,
        log_var,
        spacing=SPACING,
        on_progress=lambda *done: progress.append(done),
    )
    assert progress == [(done, 12) for done in range(1, 13)]
    variance = np.exp(model.z_log_var)
    kl = 0.5 * np.sum(np.exp(widen) - 1 - widen + shift**2 / variance, axis=1)
    # 1e-8: for smooth integrands equal spacing is exact except for the tails, e^-24 of q.
    np.testing.assert_allclose(result["log_px"], model.evidence, atol=1e-8)
    np.testing.assert_allclose(result["kl_to_posterior"], kl, atol=1e-8)
    np.testing.assert_allclose(result["elbo"], model.evidence - kl, atol=1e-8)
    assert np.abs(result["residual"]).max() < 1e-8


def test_the_mass_shows_a_wrong_evidence_where_the_residual_cannot(monkeypatch):
    model = Linear()
    evidence = quadrature.log_evidence
    monkeypatch.setattr(quadrature, "log_evidence", lambda *a, **k: evidence(*a, **k) + 0.1)
    result = quadrature.posterior_identity(
        model.log_likelihood, model.x, model.z_mean, model.z_log_var, spacing=SPACING
    )
    assert np.abs(result["residual"]).max() < 1e-8  # log p(x) cancels in it
    # 1e-6: 7 standard deviations of the posterior leave e^-24 outside.
    np.testing.assert_allclose(result["log_mass"], -0.1, atol=1e-6)


@pytest.fixture(scope="module")
def exact():
    """The identity of a small network, computed once for all tests."""
    weights, x, z_mean, z_log_var = network(6)
    grid = quadrature.bernoulli_on_grid(quadrature.decoder64(weights, "relu"))
    return quadrature.posterior_identity(grid, x, z_mean, z_log_var, spacing=SPACING)


def test_the_identity_of_a_network(exact):
    # 5e-5 nats: the error at the kinks of relu.
    assert np.abs(exact["residual"]).max() < 5e-5
    assert (exact["kl_to_posterior"] > 0).all() and (exact["elbo"] < exact["log_px"]).all()
    # q is wide enough that its lattice covers the whole posterior.
    assert np.abs(exact["log_mass"]).max() < 5e-5


def test_halving_the_grids_hardly_changes_the_values(exact):
    weights, x, z_mean, z_log_var = network(6)
    grid = quadrature.bernoulli_on_grid(quadrature.decoder64(weights, "relu"))
    few = slice(0, 1)
    finer = quadrature.posterior_identity(
        grid, x[few], z_mean[few], z_log_var[few], refine=2, spacing=SPACING
    )
    for name in ("log_px", "kl_to_posterior", "elbo"):
        assert np.abs(finer[name] - exact[name][few]).max() < 5e-5, name  # nats, as above


def test_the_float64_decoder_is_the_oracle_s():
    weights, x, z, _ = network(6)
    for activation in ("relu", "tanh"):
        exact = oracle.decode(weights, z, activation)
        logits = quadrature.decoder64(weights, activation)
        # 1e-12: the same float64 products, in another order at most.
        np.testing.assert_allclose(logits(z), exact, atol=1e-12)
        values = quadrature.bernoulli_on_grid(logits)(x, z)
        np.testing.assert_allclose(
            values, oracle.bernoulli_log_likelihood(x[:, None], exact[None]), rtol=1e-12
        )


def test_the_bernoulli_of_a_grid_holds_at_any_logit_and_any_width():
    # Half of them are large, half near zero: the product of 1300 factors near 2 overflows.
    logits = np.random.RandomState(1).normal(0, 400, (5, 2600)) * ([1.0, 1e-4] * 1300)
    x = np.random.RandomState(2).uniform(size=(3, 2600))
    values = quadrature.bernoulli_on_grid(lambda z: logits)(x, None)
    expected = oracle.bernoulli_log_likelihood(x[:, None], logits[None])
    np.testing.assert_allclose(values, expected, rtol=1e-12)  # float64 sums in another order


def test_quadrature_of_another_width_of_z_is_refused():
    model = Linear()
    with pytest.raises(UsageError, match="latent_dim is 3; quadrature needs 2"):
        quadrature.posterior_identity(
            model.log_likelihood, model.x, np.zeros((12, 3)), np.zeros((12, 3))
        )


@pytest.mark.long
@pytest.mark.mnist
def test_the_identity_of_30_mnist_images(implementations):
    from shared.data import load_data

    implementation, data = implementations["tf_vae"], load_data("mnist")
    config = recipe("post-keras", epochs=1)
    model, _ = implementation.train(config, data, verbose=0)
    x = data.x_test[:30]
    z_mean, z_log_var = implementation.encode(model, x)
    grid = quadrature.bernoulli_on_grid(quadrature.decoder64(implementation.gather(model), "relu"))
    coarse = quadrature.posterior_identity(grid, x, z_mean, z_log_var)
    assert np.abs(coarse["residual"]).max() <= 1e-3  # nats
    assert coarse["log_mass"].max() < 1e-3
    few = slice(0, 6)  # four times the points
    fine = quadrature.posterior_identity(grid, x[few], z_mean[few], z_log_var[few], refine=2)
    for name in ("log_px", "kl_to_posterior", "elbo"):
        assert np.abs(fine[name] - coarse[name][few]).max() < 1e-4, name  # nats
