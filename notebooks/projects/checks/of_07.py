"""Checks project 7, probabilistic PCA, against SciPy and against itself."""

import numpy as np
from checking import expect
from scipy import stats
from sklearn.datasets import load_digits


def made():
    """Returns 400 rows of 8 pixels, made by three latents, with a mean of zero."""
    random = np.random.RandomState(0)
    z, noise = random.normal(size=(400, 3)), random.normal(0, 0.5, (400, 8))
    x = z @ random.normal(size=(3, 8)) * [[2.0]] + noise
    return x - x.mean(axis=0)


def likelihood(work):
    """Requires the log-likelihood of SciPy."""
    x, random = made(), np.random.RandomState(1)
    W, noise = random.normal(size=(8, 2)), 0.7
    found = np.asarray(work.log_likelihood(x, W, noise))
    expect(found.shape == (400,), f"log_likelihood has shape {found.shape}; expected (400,)")
    right = stats.multivariate_normal.logpdf(x, np.zeros(8), W @ W.T + noise * np.eye(8))
    away = np.abs(found - right).max()
    expect(away < 1e-8, f"log_likelihood is {away:.3g} nats away from SciPy's")


def mean_of(work, x, W, noise):
    """Returns the mean log-likelihood of the rows."""
    return float(np.mean(work.log_likelihood(x, W, noise)))


def closed(work):
    """Requires a maximum: no small change of W or of the noise has a larger likelihood."""
    x, random = made(), np.random.RandomState(2)
    W, noise = work.closed_form(x, 3)
    expect(np.shape(W) == (8, 3), f"W has shape {np.shape(W)}; expected (8, 3)")
    best = mean_of(work, x, W, noise)
    for factor in (0.97, 1.03):
        higher = mean_of(work, x, W, noise * factor) - best
        expect(
            higher < 0, f"noise times {factor} is better by {higher:.2g} nats: which mean is it?"
        )
    for _ in range(20):
        higher = mean_of(work, x, W + 0.03 * random.normal(size=W.shape), noise) - best
        expect(higher < 0, f"a W close by is better by {higher:.2g} nats; is the noise taken away?")


def em(work):
    """Requires a likelihood that never falls, and ends at the closed form."""
    x, random = made(), np.random.RandomState(3)
    W, noise = random.normal(size=(8, 3)), 1.0
    best_W, best_noise = work.closed_form(x, 3)
    best, values = mean_of(work, x, best_W, best_noise), []
    stay = work.em_step(x, best_W, best_noise)
    text = "a step of EM from the closed form moves away from it"
    expect(np.allclose(stay[0], best_W, atol=1e-8) and abs(stay[1] - best_noise) < 1e-8, text)
    for step in range(1500):
        values.append(mean_of(work, x, W, noise))
        W, noise = work.em_step(x, W, noise)
        expect(noise > 0, f"after step {step + 1} the noise is {noise:.3g}; expected more than 0")
    falls = -np.diff(values).min()
    expect(
        falls < 1e-9, f"in some step the likelihood falls by {falls:.2g} nats; EM never does that"
    )
    away = best - mean_of(work, x, W, noise)
    expect(abs(away) < 1e-6, f"EM ends {away:.2g} nats below the closed form; expected the same")
    expect(np.allclose(W @ W.T, best_W @ best_W.T, atol=1e-3), "W Wᵀ of EM is another one")
    first = next(k for k, value in enumerate(values) if best - value < 0.01)
    digits = load_digits().data / 16
    digits = digits - digits.mean(axis=0)
    shares = [mean_of(work, digits, *work.closed_form(digits, k)) for k in (2, 10)]
    return (
        f"within 0.01 nats after {first} steps; digits with 2 and 10 latents:"
        f" {shares[0]:.2f} and {shares[1]:.2f} nats"
    )


REQUIREMENTS = (
    ("the likelihood of given W and noise", likelihood),
    ("the closed form is a maximum", closed),
    ("EM climbs to the closed form", em),
)
