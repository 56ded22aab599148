"""A linear decoder with Gaussian noise: its closed forms against SciPy's densities."""

import numpy as np
from scipy import stats

from shared.measure.linear_gaussian import LinearGaussian

random = np.random.RandomState(3)
MODEL = LinearGaussian(random.normal(size=5), random.normal(size=(2, 5)), 0.4, np.array([0.5, -1]))


def test_the_joint_is_the_product_of_its_densities():
    z = random.normal(size=(3, 4, 2))
    value, slope = MODEL.log_joint(z)
    given_z = stats.norm.logpdf(MODEL.x, z @ MODEL.kernel, 0.4**0.5).sum(axis=-1)
    np.testing.assert_allclose(
        value, given_z + stats.norm.logpdf(z - MODEL.prior_mean).sum(axis=-1), rtol=1e-12
    )
    step = 1e-5 * np.eye(2)
    differences = [
        (MODEL.log_joint(z + each)[0] - MODEL.log_joint(z - each)[0]) / 2e-5 for each in step
    ]
    # A central difference of a quadratic is exact, up to rounding of 1e-16 · 100 / 1e-5.
    np.testing.assert_allclose(slope, np.stack(differences, axis=-1), atol=1e-8)


def test_the_evidence_is_the_density_of_x():
    covariance = MODEL.kernel.T @ MODEL.kernel + 0.4 * np.eye(5)
    exact = stats.multivariate_normal.logpdf(MODEL.x, MODEL.prior_mean @ MODEL.kernel, covariance)
    np.testing.assert_allclose(MODEL.log_evidence(), exact, rtol=1e-12)


def test_the_posterior_obeys_bayes_rule_at_every_z():
    z = random.normal(size=(10, 2))
    log_posterior = stats.multivariate_normal(*MODEL.posterior()).logpdf(z)
    np.testing.assert_allclose(MODEL.log_joint(z)[0] - log_posterior, MODEL.log_evidence())
