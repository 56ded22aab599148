"""Draws the posterior of one image with Gaussians that approximate it."""

import numpy as np

from shared.show.figures.canvas import INK, LINE_COLOURS, ellipse, new_panels

__all__ = ["gaussian_panels"]


def gaussian_panels(ticks, log_posterior, panels, caption):
    """Draws the exact p(z|x) of one image in every panel, and Gaussians at 1 and 2 sigma over it.

    Args:
        ticks: pair of (side,), the values of z[0] and of z[1], equally spaced.
        log_posterior: (side, side), log p(z|x) with z[0] by rows and z[1] by columns; an additive
            constant has no effect.
        panels: {title: (mean, scale)}, (2,) and (2, 2): a Gaussian with covariance scale scaleᵀ.
        caption: caption of the figure.
    """
    size = max(3.0 * len(panels), 6.2), 3.7
    figure, rows = new_panels(size, caption, 1, len(panels), sharey=True)
    density = np.exp(log_posterior - log_posterior.max())
    circle = ellipse(1)  # (2, points)
    for axes, (title, (mean, scale)) in zip(rows[0], panels.items(), strict=True):
        axes.contourf(*ticks, density.T, levels=np.linspace(0.02, 1, 12), cmap="Greys")
        for radius, style, label in ((1, "-", "q at 1 σ"), (2, "--", "q at 2 σ")):
            line = np.asarray(mean)[:, None] + radius * np.asarray(scale) @ np.asarray(circle)
            axes.plot(*line, style, color=LINE_COLOURS[2], linewidth=1.6, label=label)
        axes.set(xlim=ticks[0][[0, -1]], ylim=ticks[1][[0, -1]], aspect="equal", xlabel="z[0]")
        axes.set_title(title, fontsize=10, color=INK)
        axes.grid(alpha=0.25)
    rows[0][0].set(ylabel="z[1]")
    rows[0][0].legend(frameon=False, fontsize="small", loc="upper left")
    return figure
