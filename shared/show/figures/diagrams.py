"""Draws the model with its tensors, and the path of the gradient with and without the trick."""

from shared.show.figures.canvas import INK, new_figure, new_panels

__all__ = ["gradient_paths", "model"]

NETWORK, NUMBER, NOISE = "#dceaf8", "#ffffff", "#fdeccb"  # colours of boxes
FLOWS, STOPS = "#2a7f3f", "#bd1f01"  # colours of gradients


def model(config, input_dim):
    """Draws the model of a config: its networks, and its tensors with their shapes.

    Args:
        config: shared.config.Config with a Gaussian posterior and a Bernoulli likelihood.
        input_dim: pixels per image.
    """
    figure, axes = new_figure((8.2, 3.5), "The networks of the model, and its tensors with shapes")
    axes.set(xlim=(0, 96), ylim=(0, 35))
    axes.axis("off")
    d, units = config.latent_dim, [str(width) for width in config.hidden_dims]
    x = _box(axes, 6, 25, f"x\n(batch, {input_dim})")
    encoder = _box(axes, 20, 25, f"encoder\nDense {', '.join(units)}", NETWORK)
    mean = _box(axes, 37, 31, f"z_mean: μ\n(batch, {d})")
    log_var = _box(axes, 37, 19, f"z_log_var: log σ²\n(batch, {d})")
    noise = _box(axes, 55, 12, f"ε ~ N(0, I)\n(batch, {d})", NOISE)
    z = _box(axes, 55, 25, f"z = μ + σ · ε\n(batch, {d})")
    decoder = _box(axes, 70, 25, f"decoder\nDense {', '.join(units[::-1])}", NETWORK)
    logits = _box(axes, 86, 25, f"logits\n(batch, {input_dim})")
    log_likelihood = _box(axes, 86, 14, "log p(x|z)\n(batch,)")
    kl = _box(axes, 37, 5, "KL(q(z|x) ‖ p(z))\n(batch,)")
    loss = _box(axes, 75, 5, "loss = mean(KL − log p(x|z))")
    path = [(x, encoder), (encoder, mean), (encoder, log_var), (mean, z), (log_var, z), (noise, z)]
    path += [(z, decoder), (decoder, logits), (logits, log_likelihood), (log_likelihood, loss)]
    for start, end in [*path, (log_var, kl), (kl, loss)]:
        _arrow(axes, start, end)
    _arrow(axes, mean, kl, bend=0.75)
    return figure


def gradient_paths():
    """Draws where the gradient of the loss flows if z is drawn from q, and with the trick."""
    caption = "The gradient of the loss flows backward, along the green arrows"
    figure, rows = new_panels((8.2, 2.9), caption, 1, 2)
    for axes, trick in zip(rows[0], (False, True), strict=True):
        axes.set(xlim=(0, 48), ylim=(0, 22))
        axes.axis("off")
        axes.set_title("z = μ + σ · ε" if trick else "z is drawn from N(μ, σ²)", fontsize=10)
        mean, sigma = _box(axes, 4, 17, "μ"), _box(axes, 4, 7, "σ")
        if trick:
            middle = _box(axes, 18, 12, "μ + σ · ε", NETWORK)
            _arrow(axes, _box(axes, 18, 2.5, "ε ~ N(0, I)", NOISE), middle)
        else:
            middle = _box(axes, 18, 12, "random\ndraw", NOISE)
        z, rest = _box(axes, 30, 12, "z"), _box(axes, 43, 12, "decoder,\nloss", NETWORK)
        for start, end in ((mean, middle), (sigma, middle), (middle, z), (z, rest)):
            _arrow(axes, start, end)
            if trick or start in (middle, z):
                _arrow(axes, end, start, FLOWS, bend=0.35)
        if not trick:
            text = "a draw has no derivative:\nthe gradients of μ and σ are None"
            axes.plot(12, 12, "x", color=STOPS, markersize=12, markeredgewidth=3)
            axes.text(4, 0.5, text, color=STOPS, fontsize=8.5)
    return figure


def _box(axes, x, y, text, colour=NUMBER):
    frame = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": INK, "linewidth": 0.9}
    return axes.text(x, y, text, ha="center", va="center", fontsize=8.5, bbox=frame)


def _arrow(axes, start, end, colour=INK, bend=0.0):
    """Draws an arrow from the edge of one box to the edge of another."""
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.1, "shrinkA": 2, "shrinkB": 2}
    style |= {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch()}
    style["connectionstyle"] = f"arc3,rad={bend}"
    axes.annotate("", xy=end.get_position(), xytext=start.get_position(), arrowprops=style)
