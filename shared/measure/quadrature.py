"""Computes log p(x) of a VAE with a 2-D z by quadrature, in NumPy float64."""

import numpy as np
from keras import ops
from scipy.special import logsumexp

from shared.elbo import LOG_2PI, kl_to_standard_normal
from shared.machine.checks import UsageError
from shared.measure.diagnostics import hidden64

__all__ = [
    "bernoulli_on_grid",
    "decoder64",
    "gaussian_lattice",
    "log_evidence",
    "posterior_identity",
]

GRID_CHUNK = 4096  # points per decoder call; smaller matrix products do not use two cores fully


def decoder64(weights, activation):
    """Returns the decoder of Bernoulli logits in NumPy float64, from the weights in weights.npz.

    Args:
        weights: {canonical name: array}.
        activation: "relu" or "tanh".
    Returns:
        function from z (points, latent_dim) to logits (points, input_dim).
    """
    kernel, bias = (np.asarray(weights[f"decoder/logits/{w}"], float) for w in ("kernel", "bias"))
    return lambda z: hidden64(weights, "decoder", z, activation)[-1] @ kernel + bias


def bernoulli_on_grid(logits):
    """Returns log p(x|z) of Bernoulli pixels as a function of images and grid points.

    Args:
        logits: function from z (points, latent_dim) to logits (points, input_dim), e.g. decoder64.
    Returns:
        function from x (n, input_dim) and z (points, latent_dim) to (n, points) nats; it decodes
        each point only once for all images.
    """

    def log_likelihood(x, z):
        values = logits(z)
        # softplus(l) = max(l, 0) + log(1 + exp(-|l|)). A product of 512 factors of at most 2 does
        # not overflow, so one logarithm per block replaces one per pixel.
        factors = 1 + np.exp(-np.abs(values))
        blocks = np.multiply.reduceat(factors, np.arange(0, values.shape[1], 512), axis=1)
        softplus = np.maximum(values, 0).sum(axis=1) + np.log(blocks).sum(axis=1)
        return np.asarray(x, np.float64) @ values.T - softplus

    return log_likelihood


def log_evidence(log_likelihood, x, spacing=0.005, half_width=8.0, on_progress=None):
    """Computes log p(x), the log of the integral of p(x|z) p(z) over a square around the origin.

    It uses the midpoint rule on square cells. Cells in which the integrand of an image is near its
    peak are halved three times, from a side of 8 x spacing to spacing; q is not used. The first
    cells must be small enough to find the peak (a side of about 3 of its standard deviations). The
    integral outside the square is left out.

    Args:
        log_likelihood: function from x (n, input_dim), z (points, 2) to (n, points) nats.
        x: (n, input_dim).
        spacing: side of the smallest cells.
        half_width: half the side of the square.
        on_progress: called with (points done, total points) for each of the four sizes of cells.
    Returns:
        (n,) float64 nats.
    """
    width = 8 * spacing
    axis = np.arange(-half_width + width / 2, half_width, width)
    cells = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    peak, total = np.full(len(x), -np.inf), np.full(len(x), -np.inf)
    quarters = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]) / 4
    # A cell is split if it is at most `depth` nats below the peak. The first depth is large because
    # the peak may be between the centres; at 14 nats the other cells hold a share of 1e-6.
    for width, depth in ((8 * spacing, 40), (4 * spacing, 25), (2 * spacing, 14), (spacing, -1)):
        finer = []
        for start in range(0, len(cells), GRID_CHUNK):
            z = cells[start : start + GRID_CHUNK]
            joint = log_likelihood(x, z) - 0.5 * (z**2).sum(axis=1) - LOG_2PI
            peak = np.maximum(peak, joint.max(axis=1))
            split = (joint > peak[:, None] - depth).any(axis=0)
            finer.append((z[split, None] + width * quarters).reshape(-1, 2))
            if not split.all():
                kept = logsumexp(joint[:, ~split], axis=1) + 2 * np.log(width)
                total = np.logaddexp(total, kept)
            if on_progress:
                on_progress(min(start + GRID_CHUNK, len(cells)), len(cells))
        cells = np.concatenate(finer)
    return total


def posterior_identity(
    log_likelihood, x, z_mean, z_log_var, refine=1, spacing=0.005, half_width=8.0, on_progress=None
):
    """Computes each term of log p(x) = KL(q(z|x) || p(z|x)) + ELBO by its own integral, for 2-D z.

    log p(x) is computed by `log_evidence`; the KL on a lattice around q, with p(z|x) = p(x|z) p(z)
    / p(x); the ELBO from the closed-form KL to the prior and E_q[log p(x|z)] on a second, rotated
    lattice. log p(x) cancels in the difference of the two sides, so `residual` tests the KL and the
    ELBO. `log_mass` tests log p(x): it is the log of the integral of p(z|x) over the first lattice,
    which is 1 where the lattice covers the posterior, and never more than 1.

    Args:
        log_likelihood: function from x (n, input_dim), z (points, 2) to (n, points) nats.
        x: (n, input_dim).
        z_mean, z_log_var: (n, 2), q(z|x) of each image.
        refine: divides the spacing of every grid; 2 shows how much the values depend on it.
        spacing, half_width: as for `log_evidence`.
        on_progress: called with (images done, total images), after log p(x) of all images.
    Returns:
        {"log_px", "kl_to_posterior", "elbo", "residual", "log_mass"}: (n,) float64 nats.
    Raises:
        UsageError: latent_dim is not 2.
    """
    mean, log_var = np.asarray(z_mean, np.float64), np.asarray(z_log_var, np.float64)
    if mean.ndim != 2 or mean.shape[1] != 2:
        raise UsageError(
            f"latent_dim is {mean.shape[-1]}; quadrature needs 2: use the importance bound"
        )
    log_px = log_evidence(log_likelihood, x, spacing / refine, half_width)
    # relu decoders have kinks, where Gauss-Hermite quadrature converges slowly: on MNIST, 128 x 128
    # nodes have an error of 4e-4 nats. With the lattices below, halving the spacing changed the
    # values of 8 images by < 1.4e-5; at two thirds of the spacing, the residual of 100 images was
    # 1.4e-5 or less.
    square = gaussian_lattice(0.04 / refine, angle=0.0)
    turned = gaussian_lattice(0.045 / refine, angle=1.0)
    values = np.empty((3, len(x)))
    for i in range(len(x)):
        sigma = np.exp(log_var[i] / 2)
        expected = []
        for u, q in (square, turned):
            z = mean[i] + sigma * u
            chunks = [
                log_likelihood(x[i : i + 1], z[start : start + GRID_CHUNK])[0]
                for start in range(0, len(z), GRID_CHUNK)
            ]
            expected.append((u, q, z, np.concatenate(chunks)))
        u, q, z, given_z = expected[0]
        log_q = -0.5 * (u**2).sum(axis=1) - LOG_2PI - log_var[i].sum() / 2
        log_posterior = given_z - 0.5 * (z**2).sum(axis=1) - LOG_2PI - log_px[i]
        mass = logsumexp(log_posterior - log_q, b=q)
        _, q_turned, _, given_turned = expected[1]
        values[:, i] = q @ (log_q - log_posterior), q_turned @ given_turned, mass
        if on_progress:
            on_progress(i + 1, len(x))
    elbo = values[1] - ops.convert_to_numpy(kl_to_standard_normal(mean, log_var))
    return {
        "log_px": log_px,
        "kl_to_posterior": values[0],
        "elbo": elbo,
        "residual": log_px - (values[0] + elbo),
        "log_mass": values[2],
    }


def gaussian_lattice(spacing, angle):
    """Returns nodes and weights of the trapezoid rule for N(0, I) in the plane, within 7 sigma.

    Args:
        spacing: of the nodes at the origin, in sigma.
        angle: by which the lattice is turned, in radians.
    Returns:
        (nodes (n, 2), weights (n,)); the sum of the weights is 1 - e^-24.
    """
    # The nodes are u = sinh(v), with v equally spaced. The error at a kink is the square of the
    # local spacing times the density, so the nodes are densest where the density is largest; equal
    # spacing would need seven times as many nodes.
    axis = np.arange(-np.floor(np.arcsinh(7) / spacing), np.arcsinh(7) / spacing) * spacing
    v = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    v = v[(np.sinh(v) ** 2).sum(axis=1) <= 49]
    u = np.sinh(v)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    density = np.exp(-0.5 * (u**2).sum(axis=1) - LOG_2PI)
    return u @ turn, density * np.cosh(v).prod(axis=1) * spacing**2
