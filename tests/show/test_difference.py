"""The section on the two programs: its code is that of the files, its numbers were measured."""

import json
import re
from pathlib import Path

import first_difference
import numpy as np
import pytest
from browser import until

from shared.show.page import difference as section
from shared.show.page.texts import read_texts

pytest_plugins = ["page_fixtures"]
ROOT = Path(__file__).parents[2]


def squeezed(code):
    """The lines of a text without their indentation."""
    return [line.strip() for line in code.splitlines() if line.strip()]


def pieces():
    for block in section.difference()["blocks"]:
        yield from ((block.name, piece) for piece in (*block.keras, *block.tf, *block.shared))


def test_every_block_is_a_run_of_lines_of_its_file():
    found = list(pieces())
    assert len(found) > 15
    for name, piece in found:
        file = piece.place.split(", ")[0]
        lines = squeezed((ROOT / file).read_text(encoding="utf-8"))
        code = squeezed(piece.code)
        starts = [n for n in range(len(lines)) if lines[n : n + len(code)] == code]
        assert code and len(starts) >= 1, (name, piece)


def test_the_blocks_hold_what_their_names_say():
    blocks = {block.name: block for block in section.difference()["blocks"]}
    assert list(blocks) == ["encoder", "sample", "decoder", "loss", "step"]
    said = {
        name: ["\n".join(piece.code for piece in part) for part in block[1:]]
        for name, block in blocks.items()
    }
    for keras, tf, _ in (said["encoder"], said["decoder"]):
        assert "keras.Model" in keras and "def " in tf and "VAE(" not in keras + tf
    assert "epsilon" in said["sample"][0] and "stateless_normal" in said["sample"][1]
    assert "model.compile" in said["step"][0] and "GradientTape" in said["step"][1]
    assert "GradientTape" not in said["step"][0]
    assert "softplus" in said["loss"][2] and "expm1" in said["loss"][2]


def test_a_function_or_heading_that_is_not_there_is_refused():
    with pytest.raises(LookupError, match="no heading # encore"):
        section.code_of("tf_vae/model.py", "build", "encore")
    with pytest.raises(LookupError, match=r"has no VAE\.fly"):
        section.code_of("tf_vae/model.py", "VAE.fly")


def test_each_change_replaces_the_operation_of_today():
    """The file names the replacement that its program has, for an operation that is in the code."""
    measured = json.loads(section.MEASURED.read_text(encoding="utf-8"))
    assert list(measured["changes"]) == list(first_difference.NAMES)
    assert list(section.CHANGED) == list(measured["changes"])
    texts = read_texts()
    for name, change in section.difference()["changes"].items():
        assert change["after"] == first_difference.replacement(name)
        assert change["before"] != change["after"]
        assert f"difference-change-{name}" in texts and f"difference-why-{name}" in texts
        if name in first_difference.CHANGES:
            function = first_difference.CHANGES[name][1].rsplit(".", 1)[1]
            assert section.CHANGED[name][1] == function


def test_the_changes_are_the_same_mathematics():
    """In float64 they give the same number as the function that they replace."""
    from shared import elbo

    random = np.random.RandomState(0)
    mean, log_var, epsilon = random.normal(0, 1, (3, 5, 2))
    x, logits = random.uniform(0, 1, (5, 784)), random.normal(0, 3, (5, 784))
    terms = random.normal(-100, 5, 5), random.uniform(0, 9, 5)
    arguments = {
        "bernoulli_log_likelihood": (x, logits),
        "kl_to_standard_normal": (mean, log_var),
        "reparameterize": (mean, log_var, epsilon),
        "negative_elbo": (*terms, 3.0),
    }
    for name, (function, place) in first_difference.CHANGES.items():
        original = place.rsplit(".", 1)[1]
        given = arguments[original]
        # Sums of 784 terms in float64.
        np.testing.assert_allclose(
            np.array(function(*given)), np.array(getattr(elbo, original)(*given)), rtol=1e-12,
            err_msg=name,
        )  # fmt: skip


def test_the_growth_begins_at_the_first_step_that_differs():
    for name, change in section.difference()["changes"].items():
        steps = np.array(change["steps"])
        assert steps[0] == 1 and (np.diff(steps) > 0).all()
        for first, values in ((change["first_loss"], change["loss"]),
                              (change["first_weight"], change["weights"])):  # fmt: skip
            values = np.array(values)
            if first is None:
                assert (values == 0).all(), name
                continue
            assert (values[steps < first] == 0).all(), name
            assert (values[steps == first] > 0).all(), name


def test_the_unchanged_training_is_that_of_the_project():
    """The program's steps, one call each, have the bits of an ordinary run."""
    from shared.config import recipe
    from shared.data import load_data
    from tf_vae.train import step_losses

    data = load_data("mnist-5k")
    config = recipe("post-keras", hidden_dims=(8,), epochs=None, steps=4, step_losses=True)
    unchanged, noise = first_difference.Training(config, data), first_difference.noise_of(config)
    losses = [
        unchanged.step(batch, noise)[0] for batch in first_difference.batches(config, data, 4)
    ]
    expected = step_losses(config, data, [0])[0]
    assert np.float32(losses).tolist() == np.float32(expected).tolist()
    results = first_difference.measure(4, data, config, ["means", "epsilon"])
    assert results["epsilon"]["first_weight"] == 1  # another formula moves the weights at once
    assert results["means"]["first_weight"] is None  # the gradients are the same


@pytest.mark.browser
def test_hovering_and_focus_show_the_code_of_a_block(page):
    page.locator("#difference").scroll_into_view_if_needed()
    for name, act in (("loss", "hover"), ("step", "focus"), ("sample", "click")):
        getattr(page.locator(f"#difference [data-block={name}]"), act)()
        for other in ("encoder", "sample", "decoder", "loss", "step"):
            visible = page.locator(f"#difference-{other}").is_visible()
            assert visible == (other == name), (name, other)
        pressed = page.locator("#difference [aria-pressed=true]")
        assert pressed.count() == 1 and pressed.get_attribute("data-block") == name


@pytest.mark.browser
def test_a_change_shows_its_code_its_numbers_and_its_curve(page):
    for name, change in section.difference()["changes"].items():
        page.locator(f"#difference input[value={name}]").check()
        visible = page.locator("#difference .difference-change:visible")
        assert visible.count() == 1 and visible.get_attribute("data-change") == name
        code = visible.locator("code").inner_text()
        assert "".join(change["before"].split()) in "".join(code.split())
        found = visible.locator(".difference-found").inner_text()
        if change["first_weight"] is not None:
            numbers = list(map(int, re.findall(r"step (\d+)", found)))
            assert numbers == [change["first_loss"], change["first_weight"]]
            curve = page.locator("#difference-chart polyline.chosen").get_attribute("points")
            assert len(curve.split()) == np.count_nonzero(change["weights"])
    page.locator("#language").click()
    until(page, "document.documentElement.lang === 'zh-CN'")
    assert "步" in page.locator("#difference .difference-found:visible").inner_text()
    assert "步" in page.locator("#difference-chart").inner_html()


@pytest.mark.browser
def test_without_javascript_all_blocks_and_changes_are_there(chromium, results):
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((results / "index.html").as_uri())
        assert page.locator(".difference-code:visible").count() == 5
        assert page.locator(".difference-change:visible").count() == len(section.CHANGED)
        assert not page.locator("#trainer").is_visible()
