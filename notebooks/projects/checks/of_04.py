"""Checks project 4, a discretized logistic likelihood: sums, symmetry, tails, and an image."""

import math

import numpy as np
from checking import expect
from scipy import optimize, stats
from sklearn.datasets import load_digits

LEVELS = np.arange(256)[:, None]


def of_all_levels(work, mean, log_scale):
    """Returns log p of one pixel at each level, (256,)."""
    found = work.log_likelihood(LEVELS, np.full((256, 1), mean), np.full((256, 1), log_scale))
    found = np.asarray(found)
    expect(found.shape == (256,), f"log_likelihood has shape {found.shape}; expected (256,)")
    return found


def sums(work):
    """Requires probabilities that add up to 1, and those of SciPy where they can be subtracted."""
    for mean, log_scale in ((0.0, -2.0), (0.9, -4.0), (-1.0, 0.0), (0.3, 1.0)):
        found = of_all_levels(work, mean, log_scale)
        total = np.exp(found).sum()
        text = f"mean {mean}, log scale {log_scale}: the probabilities add up to {total:.6f}; expected 1"
        expect(abs(total - 1) < 1e-9, f"{text}. What do levels 0 and 255 get?")
        cdf = stats.logistic(mean, math.exp(log_scale)).cdf
        right = cdf(100 / 127.5 - 1 + 1 / 255) - cdf(100 / 127.5 - 1 - 1 / 255)
        text = f"the probability of level 100 is {np.exp(found[100]):.3g}; expected {right:.3g}"
        expect(math.isclose(np.exp(found[100]), right, rel_tol=1e-6), text)
    mirrored = of_all_levels(work, -0.9, -4.0)[::-1]
    expect(np.allclose(mirrored, of_all_levels(work, 0.9, -4.0)), "level and mean mirrored differ")
    two = work.log_likelihood([[3, 200]], np.array([[0.1, 0.2]]), np.array([[-1.0, -2.0]]))
    one = [of_all_levels(work, *each)[k] for each, k in (((0.1, -1.0), 3), ((0.2, -2.0), 200))]
    expect(np.allclose(two, sum(one)), "an image is the sum of its pixels, not their mean")


def tails(work):
    """Requires right values where the probability is 0 in float64."""
    known = np.asarray(work.log_sigmoid(np.array([-1000.0, 0.0, 40.0])))
    text = f"log_sigmoid(-1000, 0, 40) is {known}; expected -1000, -0.693 and -4.2e-18"
    expect(np.allclose(known, [-1000, -math.log(2), -math.exp(-40)], rtol=1e-9, atol=0), text)
    found = of_all_levels(work, -1.0, -7.0)
    expect(np.isfinite(found).all(), "not finite for a scale of e^-7: subtract no equal numbers")
    # Far from the mean the density falls by 1 / scale per unit of v; a level is 2 / 255 wide.
    slope = -2 / 255 * math.exp(7)
    text = f"from level 200 to 201, log p changes by {found[201] - found[200]:.3f}; expected {slope:.3f}"
    expect(abs(found[201] - found[200] - slope) < 1e-6 * abs(slope), text)


def image(work):
    """Measures a fitted logistic on real pixels, in bits."""
    flat = work.bits_per_pixel(np.full(5, -64 * math.log(256)), 64)
    expect(abs(flat - 8) < 1e-9, f"256 equally likely levels have {flat} bits; expected 8")
    levels = np.round(load_digits().images[:200, 2:6, 2:6] * 255 / 16).reshape(200, -1).astype(int)

    def cost(parameters):
        each = [np.full(levels.shape, value) for value in parameters]
        return float(work.bits_per_pixel(work.log_likelihood(levels, *each), levels.shape[1]))

    best = optimize.minimize(cost, [0.0, -1.0], method="Nelder-Mead")
    expect(4 < best.fun < 8.5, f"the best single logistic has {best.fun:.2f} bits per pixel")
    return f"one logistic for all pixels of a crop of digits: {best.fun:.2f} bits per pixel"


REQUIREMENTS = (
    ("the probabilities of the 256 levels add up to 1", sums),
    ("the tails are right where the probability is 0 in float64", tails),
    ("bits per pixel of real pixels", image),
)
