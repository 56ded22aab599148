"""Checks project 1, a posterior with a full covariance, against SciPy and an exact model."""

import numpy as np
from checking import expect
from scipy import stats

from shared import elbo


def made(batch=6, latent_dim=3):
    """Returns means and factors of Gaussians, by a fixed seed."""
    random = np.random.RandomState(0)
    factor = np.tril(random.normal(0, 0.4, (batch, latent_dim, latent_dim)))
    places = np.arange(latent_dim)
    factor[:, places, places] = np.exp(random.normal(-0.5, 0.5, (batch, latent_dim)))
    return random.normal(size=(batch, latent_dim)), factor


def densities(work):
    """Requires samples and densities that are those of SciPy."""
    mean, factor = made()
    epsilon = np.random.RandomState(1).normal(size=mean.shape)
    z = np.asarray(work.sample(mean, factor, epsilon))
    right = np.stack([m + f @ e for m, f, e in zip(mean, factor, epsilon, strict=True)])
    expect(z.shape == right.shape, f"sample has shape {z.shape}; expected {right.shape}")
    expect(np.allclose(z, right), "a sample is not mean + factor · epsilon, row by row")
    found = np.asarray(work.log_density(z, mean, factor))
    right = [
        stats.multivariate_normal.logpdf(*each)
        for each in zip(z, mean, factor @ factor.transpose(0, 2, 1), strict=True)
    ]
    expect(np.shape(found) == (6,), f"log_density has shape {np.shape(found)}; expected (6,)")
    away = np.abs(found - right).max()
    expect(away < 1e-9, f"log_density is {away:.3g} nats away; what does the determinant add?")


def divergence(work):
    """Requires a KL that agrees with the diagonal formula, rotations and sampling."""
    mean, factor = made()
    scale = np.diagonal(factor, axis1=1, axis2=2)
    diagonal = np.eye(3) * scale[:, None, :]
    known = np.asarray(elbo.kl_to_standard_normal(mean, 2 * np.log(scale)))
    found = np.asarray(work.kl(mean, diagonal))
    expect(np.shape(found) == (6,), f"kl has shape {np.shape(found)}; expected (6,)")
    expect(np.allclose(found, known), "kl of a diagonal factor differs from the closed form")
    # The prior looks the same from all sides, so a rotation of q changes nothing.
    turn = np.linalg.qr(np.random.RandomState(2).normal(size=(3, 3)))[0]
    turned = np.linalg.cholesky(turn @ factor @ factor.transpose(0, 2, 1) @ turn.T)
    away = np.abs(np.asarray(work.kl(mean @ turn.T, turned)) - np.asarray(work.kl(mean, factor)))
    expect(away.max() < 1e-9, f"rotating q changes kl by {away.max():.3g} nats; expected no change")
    z = stats.multivariate_normal(mean[0], factor[0] @ factor[0].T).rvs(100_000, random_state=3)
    ratio = stats.multivariate_normal(mean[0], factor[0] @ factor[0].T).logpdf(z)
    ratio = ratio - stats.norm.logpdf(z).sum(axis=1)
    sampled, error = ratio.mean(), ratio.std() / np.sqrt(len(z))
    found = float(np.asarray(work.kl(mean[:1], factor[:1]))[0])
    expect(abs(found - sampled) < 5 * error, f"kl {found:.4f}; by sampling {sampled:.4f}")


def exact(work):
    """Requires that each weight of the exact posterior is log p(x), and measures a diagonal q."""
    random = np.random.RandomState(4)
    W, noise, x = random.normal(size=(5, 2)), 0.4, random.normal(size=(4, 5))
    evidence = stats.multivariate_normal.logpdf(x, np.zeros(5), W @ W.T + noise * np.eye(5))
    mean, factor = (np.asarray(each) for each in work.posterior(x, W, noise))

    def weights(factor, epsilon):
        z = np.asarray(work.sample(mean, factor, epsilon))
        joint = stats.norm.logpdf(x, z @ W.T, np.sqrt(noise)).sum(axis=1)
        prior = stats.norm.logpdf(z).sum(axis=1)
        return joint + prior - np.asarray(work.log_density(z, mean, factor))

    for _ in range(5):
        away = np.abs(weights(factor, random.normal(size=(4, 2))) - evidence).max()
        expect(
            away < 1e-9, f"a log weight is {away:.3g} nats away from log p(x); expected equality"
        )
    best = np.eye(2) / np.sqrt(np.diag(np.linalg.inv(factor[0] @ factor[0].T)))
    best = np.repeat(best[None], 4, axis=0)  # the best diagonal q has the diagonal of the precision
    drawn = [weights(best, random.normal(size=(4, 2))) for _ in range(2000)]
    return f"the best diagonal q loses {(evidence - np.mean(drawn, axis=0)).mean():.2f} nats"


REQUIREMENTS = (
    ("samples and densities are those of SciPy", densities),
    ("kl agrees with the diagonal formula, with a rotation and with sampling", divergence),
    ("with the exact posterior, every single weight is p(x)", exact),
)
