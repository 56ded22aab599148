"""The diagrams: named tensors with the shapes of the model, and arrows that connect boxes."""

import pytest
from matplotlib.text import Annotation

from shared.config import recipe
from shared.show.figures import diagrams
from shared.weights import head_widths


def boxes(axes):
    """{first line of a box: its other lines}."""
    texts = [each.get_text() for each in axes.texts if each.get_bbox_patch() is not None]
    return {text.split("\n")[0]: text.split("\n")[1:] for text in texts}


def arrows(axes):
    """[(start, end)] of each arrow, as the first lines of the boxes that it connects."""
    names = {
        each.get_bbox_patch(): each.get_text().split("\n")[0]
        for each in axes.texts
        if each.get_bbox_patch() is not None
    }
    ends = [each.arrowprops for each in axes.texts if isinstance(each, Annotation)]
    return [(names[each["patchA"]], names[each["patchB"]]) for each in ends]


@pytest.mark.parametrize("latent_dim", [2, 20])
def test_the_model_has_its_tensors_with_their_shapes(latent_dim):
    config = recipe("post-keras", latent_dim=latent_dim, hidden_dims=(64, 32))
    [axes] = diagrams.model(config, 36).axes
    shown = boxes(axes)
    for name in ("z_mean: μ", "z_log_var: log σ²", "ε ~ N(0, I)", "z = μ + σ · ε"):
        assert shown[name] == [f"(batch, {latent_dim})"]
    assert shown["x"] == ["(batch, 36)"]
    assert shown["logits"] == [f"(batch, {head_widths(config, 36)['logits']})"]
    assert (shown["encoder"], shown["decoder"]) == (["Dense 64, 32"], ["Dense 32, 64"])
    assert len(arrows(axes)) == len(set(arrows(axes))) == 13


def test_the_gradient_reaches_the_encoder_only_with_the_trick():
    drawn, trick = diagrams.gradient_paths().axes
    for axes, reaches in ((drawn, False), (trick, True)):
        ways = arrows(axes)
        middle = "μ + σ · ε" if reaches else "random"
        for number in ("μ", "σ"):
            assert (number, middle) in ways
            assert ((middle, number) in ways) == reaches
        assert ("decoder,", "z") in ways and ("z", middle) in ways


def test_a_box_is_inside_the_figure():
    for figure in (diagrams.model(recipe("post-keras"), 784), diagrams.gradient_paths()):
        figure.canvas.draw()
        whole = figure.bbox
        for axes in figure.axes:
            for each in axes.texts:
                if each.get_bbox_patch() is not None:
                    box = each.get_window_extent()
                    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
                    assert whole.y0 <= box.y0 < box.y1 <= whole.y1
