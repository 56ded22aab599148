"""The gap of the ELBO, split into an amortization gap and an approximation gap."""

import numpy as np
from small_vae import small_vae

from papers import Row
from shared.measure.gaps import gap_split

TITLE = "Cremer, Li and Duvenaud 2018: Inference suboptimality in variational autoencoders"
SOURCE = "arXiv:1801.03558; 784-256-2-256-784 on mnist-5k, binary; means over 100 test images"


def measure(quick):
    """Returns the rows of the paper: one number per seed, a mean over the images."""
    seeds, images = ((0,), 10) if quick else ((0, 1, 2), 100)
    gaps = {"whole": [], "amortization": [], "diagonal": [], "full": [], "least": [], "medians": []}
    for seed in seeds:
        vae = small_vae(seed, images, epochs=5 if quick else 50)
        split = gap_split(vae.log_likelihood, vae.x, vae.z_mean, vae.z_log_var, spacing=0.04)
        order = [split[name] for name in ("encoder", "diagonal", "full", "log_px")]
        amortization, approximation = order[1] - order[0], order[3] - order[1]
        gaps["whole"].append((order[3] - order[0]).mean())
        gaps["amortization"].append(amortization.mean())
        gaps["medians"].append(np.median(amortization))
        gaps["diagonal"].append(approximation.mean())
        gaps["full"].append((order[3] - order[2]).mean())
        gaps["least"].append(np.diff(order, axis=0).min())
    larger = all(a > b for a, b in zip(gaps["amortization"], gaps["diagonal"], strict=True))
    claim = "often the larger part (abstract; numbers not looked up)"
    other = "another network, 2 latents"
    return [
        Row("log p(x) − ELBO, nats", gaps["whole"], "", None, other),
        Row(
            "amortization gap, nats",
            gaps["amortization"],
            claim,
            larger,
            "larger than the approximation gap, each seed",
        ),
        Row("amortization gap, median of the images", gaps["medians"], "", None, other),
        Row("approximation gap, best diagonal q, nats", gaps["diagonal"], "", None, other),
        Row("the same, best q with any covariance", gaps["full"], "", None, other),
        Row(
            "least difference of encoder ≤ diagonal ≤ full ≤ log p(x), nats",
            gaps["least"],
            "≥ 0 by definition",
            bool(min(gaps["least"]) > -2e-3),
            "> −0.002, the error of the grids",
        ),
    ]
