"""The aggregate posterior: two parts of the KL, and a prior that is fitted to it."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from shared.machine.checks import UsageError
from shared.measure.aggregate import fit_mixture, kl_split, prior_gain, samples_of_q


def posteriors(n=300, latent_dim=3, seed=0):
    random = np.random.RandomState(seed)
    return random.standard_normal((n, latent_dim)), random.uniform(-3, 0, (n, latent_dim))


def test_samples_have_the_moments_of_q():
    mean, log_var = np.array([[1.0, -2.0], [0.0, 5.0]]), np.array([[0.0, -4.0], [2.0, -9.0]])
    z = samples_of_q(mean, log_var, samples=20_000).reshape(20_000, 2, 2)
    sigma = np.exp(log_var / 2)
    assert (np.abs(z.mean(axis=0) - mean) < 5 * sigma / np.sqrt(20_000)).all()
    np.testing.assert_allclose(z.std(axis=0), sigma, rtol=0.03)  # six standard errors


def test_the_two_parts_add_up_to_the_kl_and_the_information_is_at_most_log_n():
    mean, log_var = posteriors()
    split = kl_split(mean, log_var)
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(axis=1).mean()
    total = split["information"] + split["mismatch"]
    assert abs(total.mean() - kl) < 5 * total.std() / np.sqrt(len(total))
    assert (split["information"] <= np.log(len(mean)) + 1e-12).all()  # in each sample


def test_equal_posteriors_have_no_information_and_narrow_ones_log_n():
    mean, log_var = posteriors()
    equal = kl_split(np.repeat(mean[:1], 300, axis=0), np.repeat(log_var[:1], 300, axis=0))
    np.testing.assert_allclose(equal["information"], 0, atol=1e-12)  # float64
    narrow = kl_split(mean, np.full_like(mean, -30.0))  # no other image is near
    np.testing.assert_allclose(narrow["information"], np.log(300), rtol=1e-12)


def test_a_mixture_has_its_density_and_its_samples():
    random = np.random.RandomState(1)
    z = np.concatenate([random.normal((-3, 0), 0.5, (600, 2)), random.normal((3, 1), 1, (1400, 2))])
    mixture = fit_mixture(z, 2)
    expected = sum(
        share * multivariate_normal(mean, factor @ factor.T).pdf(z)
        for share, mean, factor in zip(mixture.shares, mixture.means, mixture.factors, strict=True)
    )
    np.testing.assert_allclose(mixture.log_density(z), np.log(expected), rtol=1e-9)  # float64
    np.testing.assert_allclose(np.sort(mixture.shares), (0.3, 0.7), atol=0.01)  # far apart
    drawn = mixture.sample(20_000)
    error = 5 * drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - mixture.shares @ mixture.means) < error).all()
    assert np.mean(drawn[:, 0] < 0) == pytest.approx(np.mean(z[:, 0] < 0), abs=0.02)


def test_the_gain_of_the_standard_normal_is_zero_and_that_of_another_has_a_closed_form():
    mean, log_var = posteriors(2000)
    same = prior_gain(mean, log_var, lambda z: norm.logpdf(z).sum(axis=1))
    np.testing.assert_allclose(same, 0, atol=1e-12)  # float64
    # E_q[log N(z; 0, s²) - log N(z; 0, 1)] of each latent: -log s + ½ (1 - 1 / s²) (mean² + var).
    gain = prior_gain(mean, log_var, lambda z: norm.logpdf(z, 0, 1.3).sum(axis=1), samples=50)
    second = mean**2 + np.exp(log_var)
    exact = (-np.log(1.3) + 0.5 * (1 - 1.3**-2) * second).sum(axis=1)
    away = gain - exact
    assert abs(away.mean()) < 5 * away.std() / np.sqrt(len(away))


def test_more_components_than_points_are_refused():
    with pytest.raises(UsageError, match="components is 4; expected 1 to 3"):
        fit_mixture(np.zeros((3, 2)), 4)
