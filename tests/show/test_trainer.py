"""The section of the page that trains a VAE, in a real browser (make test-page)."""

import numpy as np
import pytest
from browser import until

from shared.data import load_data
from shared.show.page.trainer import chosen_images

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser


@pytest.fixture
def section(page):
    return ready(page)


def ready(page):
    """The page, scrolled to the section, whose worker has begun."""
    page.locator("#train").scroll_into_view_if_needed()
    until(page, "window.training?.state.picture")
    return page


def current(page, what):
    return page.evaluate(f"training.state.runs.at(-1).{what}")


def trained(page, steps):
    """Trains for at least so many steps, and pauses."""
    page.locator("#trainer-play").click()
    # A step takes 30 ms, and several times as long while other tests run.
    until(page, f"training.state.runs.at(-1).step >= {steps}", seconds=90)
    page.locator("#trainer-play").click()
    until(page, "training.state.said === 'paused'")


def test_training_plays_pauses_and_goes_step_by_step(section):
    assert current(section, "step") == 0
    trained(section, 12)
    step, losses = current(section, "step"), current(section, "curves.loss")
    assert len(losses) == step and losses[-1][1] < 0.9 * losses[0][1]
    section.wait_for_timeout(300)
    assert current(section, "step") == step  # it is paused
    section.locator("#trainer-step").click()
    until(section, f"training.state.runs.at(-1).step === {step + 1}")
    cells = section.locator("#trainer-rows td").all_inner_texts()
    assert cells[:4] == ["1", "0.001", "0", f"{(step + 1) / 10:g}"]
    shown = current(section, "curves.loss.at(-1)[1]")
    assert abs(float(cells[4]) - shown) <= 0.0051  # two decimals
    section.locator("#trainer-restart").click()
    until(section, "training.state.picture.run === 2")
    assert current(section, "step") == 0
    assert "no step yet" in section.locator("#trainer-status").inner_text()


def test_the_worker_computes_what_the_mathematics_of_the_page_does(section):
    """The same steps on the page's own thread: every bit of the losses and of the plane."""
    trained(section, 11)
    step = current(section, "step")
    ours = section.evaluate(
        """async (steps) => {
          const packed = JSON.parse(document.getElementById("trainer-data").textContent);
          const pixels = await inflated(packed.pixels), inputDim = pixels.length / packed.count;
          const data = { x: Float32Array.from(pixels, (value) => value / 255), inputDim };
          const all = trainerMath.begin(data, training.state.runs.at(-1).settings), losses = [];
          for (let n = 0; n < steps; n++) losses.push(trainerMath.trainStep(all).loss);
          return { losses, zMean: Array.from(trainerMath.posteriors(all).zMean) };
        }""",
        step,
    )
    assert section.evaluate("Array.from(training.state.picture.zMean)") == ours["zMean"]
    means = current(section, "curves.loss")
    assert means[0] == [0.1, ours["losses"][0]]
    # Later points are means over the last ten steps.
    np.testing.assert_allclose(means[-1][1], np.mean(ours["losses"][-10:]), rtol=1e-12)


def test_another_beta_begins_another_run_and_keeps_the_row_of_the_last(section):
    trained(section, 10)
    section.locator("#trainer button", has_text="30: collapse").click()
    until(section, "training.state.picture.run === 2")
    assert current(section, "settings.beta") == 30 and current(section, "step") == 0
    assert section.locator("#trainer-beta-value").inner_text() == "30"
    pressed = section.locator("#trainer [aria-pressed=true]").all_inner_texts()
    assert pressed == ["30: collapse"]
    trained(section, 10)
    betas = section.locator("#trainer-rows tr td:first-child").all_inner_texts()
    assert betas == ["1", "30"]
    section.locator("#trainer-beta").focus()
    section.keyboard.press("ArrowRight")
    assert current(section, "settings.beta") == 60
    assert section.locator("#trainer-beta").get_attribute("aria-valuetext") == "β = 60"


def test_beta_30_collapses_within_seconds(section):
    section.locator("#trainer button", has_text="30: collapse").click()
    trained(section, 100)
    assert current(section, "curves.kl.at(-1)[1]") < 0.25
    assert "collapse" in section.locator("#trainer-lesson").inner_text()


def test_a_learning_rate_that_is_too_large_ends_with_a_line(section):
    section.evaluate(
        """() => {
          const rates = document.getElementById("trainer-rate");
          rates.append(new Option("1e30", 1e30, true, true));
          rates.dispatchEvent(new Event("change"));
        }"""
    )
    section.locator("#trainer-play").click()
    until(section, "training.state.broken")
    assert "too large" in section.locator("#trainer-status").inner_text()
    assert section.locator("#trainer-play").inner_text() == "Train"
    section.locator("#trainer-rate").select_option("0.001")
    until(section, "training.state.picture.run === training.state.runs.at(-1).number")
    trained(section, 5)
    assert np.isfinite(current(section, "curves.loss.at(-1)[1]"))


def test_a_reader_hears_what_begins_and_ends_and_not_every_step(section):
    section.evaluate(
        """() => {
          window.said = [];
          const status = document.getElementById("trainer-status");
          new MutationObserver(() => said.push(status.textContent))
            .observe(status, { childList: true });
        }"""
    )
    trained(section, 30)
    said = section.evaluate("said")
    assert len(said) == 2 and said[0].startswith("Training") and said[1].startswith("Paused")
    assert section.locator("#trainer [aria-live], #trainer [role=status]").count() == 1


def test_keys_and_a_tap_move_z_and_the_image(section):
    before = section.evaluate("document.getElementById('trainer-digit').toDataURL()")
    trained(section, 5)
    section.locator("#trainer-plane").focus()
    scrolled = section.evaluate("scrollY")
    section.keyboard.press("Home")
    section.keyboard.press("Shift+ArrowRight")
    half = section.evaluate("training.state.view.half")
    np.testing.assert_allclose(section.evaluate("training.state.z"), [half / 10, 0], rtol=1e-12)
    assert section.evaluate("scrollY") == scrolled
    box = section.locator("#trainer-plane").bounding_box()
    section.locator("#trainer-plane").click(position={"x": 0.75 * box["width"], "y": 2})
    half = section.evaluate("training.state.view.half")
    z = section.evaluate("training.state.z")
    np.testing.assert_allclose(
        z, [half / 2, half], atol=3 * 2 * half / box["width"]
    )  # three pixels
    until(
        section,
        "document.getElementById('trainer-z').value === pair(training.state.z)",
    )
    assert section.evaluate("document.getElementById('trainer-digit').toDataURL()") != before


def test_a_finger_that_moves_up_or_down_scrolls_the_page(section):
    touch = section.locator("#trainer-plane").evaluate("c => getComputedStyle(c).touchAction")
    assert touch == "pan-y"


def test_with_reduced_motion_the_plane_moves_once_a_second(visit, results):
    page = ready(visit(results / "index.html", reduced_motion="reduce"))
    page.evaluate(
        """() => {
          window.times = new Set();
          const look = () => { times.add(training.state.drawn); requestAnimationFrame(look); };
          look();
        }"""
    )
    began = page.evaluate("performance.now()")
    page.locator("#trainer-play").click()
    until(page, "training.state.runs.at(-1).step >= 25", seconds=90)
    times = page.evaluate("Array.from(times)")
    passed = page.evaluate("performance.now()") - began
    # Once when the page opens, once when the training begins, and then once a second.
    assert len(times) <= 2 + passed / 1000
    assert page.evaluate("training.state.runs.at(-1).step") >= 25


def test_the_section_speaks_chinese(section):
    section.locator("#language").click()
    assert section.locator("#trainer-play").inner_text() == "训练"
    assert "1000" in section.locator("#trainer-lead").inner_text()
    assert "β = 1" in section.locator("#trainer-status").inner_text()
    trained(section, 3)
    assert "暂停" in section.locator("#trainer-status").inner_text()


def test_colours_and_labels_are_those_of_the_images(section):
    packed = section.evaluate("JSON.parse(document.getElementById('trainer-data').textContent)")
    assert packed["classes"] == [str(n) for n in range(10)] and packed["count"] == 1000
    labels = section.evaluate(
        "text => Array.from(new Uint16Array(bytes(text).buffer))", packed["labels"]
    )
    data = load_data("mnist-5k")
    assert labels == data.y_train[chosen_images(data)].tolist()
