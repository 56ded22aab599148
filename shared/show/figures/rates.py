"""Draws the rate-distortion plane: curves, trained models, and their tangents."""

import numpy as np

from shared.show.figures.canvas import INK, LINE_COLOURS, TEST, TRAIN, new_panels

__all__ = ["rate_distortion"]


def rate_distortion(panels, caption):
    """Draws distortion against rate, with a tangent of the slope -beta at each model.

    Args:
        panels: {title: (curve, models, others)}. `curve` is the pair of arrays (rate, distortion)
            of an exact curve, or None; `models` is {beta: (rate, distortion)}, nats; `others` is
            {label: (rates, distortions)}, drawn as markers.
        caption: caption of the figure.
    """
    figure, rows = new_panels((4.9 * len(panels), 4.4), caption, 1, len(panels))
    for axes, (title, (curve, models, others)) in zip(rows[0], panels.items(), strict=True):
        if curve is not None:
            axes.plot(*curve, color=TRAIN, linewidth=1.6, label="exact curve")
        places = np.array(list(models.values()))
        reach = 0.16 * np.ptp(places[:, 0])
        for number, (beta, (rate, distortion)) in enumerate(models.items()):
            half = min(reach, 0.2 * np.ptp(places[:, 1]) / beta)  # steep tangents are as long
            ends = np.array([rate - half, rate + half])
            label = "tangent, slope −β" if number == 0 else None
            line = distortion - beta * (ends - rate)
            axes.plot(ends, line, color=INK, linewidth=1.1, linestyle="--", label=label)
            axes.annotate(
                f"β = {beta:g}",
                (rate, distortion),
                (7, 5),
                textcoords="offset points",
                fontsize=9,
                color=INK,
            )
        label = "trained with β"
        axes.plot(*places.T, "o", color=TEST, markersize=6, label=label, zorder=3)
        for (label, place), colour in zip(others.items(), LINE_COLOURS[2:], strict=False):
            axes.plot(*place, "^", color=colour, markersize=6, label=label)
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="rate R = KL, nats", ylabel="distortion D = −log p(x|z), nats")
        axes.legend(frameon=False, fontsize="small")
        axes.grid(alpha=0.25)
    return figure
