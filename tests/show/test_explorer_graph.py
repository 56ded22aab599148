"""The computational graph and the slider of the explorer, in a browser (make test-page)."""

import numpy as np
import pytest
from browser import canvas, until, z_of
from oracle import bernoulli_log_likelihood, forward, kl_to_standard_normal

from shared.run.folder import read_run_weights

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser

HALF = 0.005 + 1e-9  # numbers are shown with two decimals; 1e-9 for sums in another order
NUMBERS = ("mean", "log-var", "epsilon", "z", "kl", "likelihood", "loss")


def graph(page):
    """The numbers in the graph: {name: (n,) array}."""
    texts = {name: page.locator(f"#net-{name}").text_content() for name in NUMBERS}
    return {
        name: np.array(
            [
                float(each)
                for each in text.replace("−", "-").removesuffix(" nats").strip("()").split(",")
            ]
        )
        for name, text in texts.items()
    }


def expected(page, results, epoch):
    """The same numbers in float64 from the formulas, for the image and the noise on the page."""
    weights = read_run_weights(results / "tf" / "post-keras", epoch)[1]
    weights = {name: array.astype(np.float16) for name, array in weights.items()}
    x, epsilon = canvas(page, "seen")[None] / 255, np.array([page.evaluate("vae.state.epsilon")])
    out = forward(weights, x, epsilon, "relu")
    mean, log_var = out["z_mean"], out["z_log_var"]
    likelihood, kl = (
        bernoulli_log_likelihood(x, out["logits"]),
        kl_to_standard_normal(mean, log_var),
    )
    z = mean + np.exp(log_var / 2) * epsilon
    values = mean[0], log_var[0], epsilon[0], z[0], kl, likelihood, kl - likelihood
    return dict(zip(NUMBERS, values, strict=True))


def check(page, results, epoch=2):
    shown, wanted = graph(page), expected(page, results, epoch)
    for name in NUMBERS:
        np.testing.assert_allclose(shown[name], wanted[name], rtol=0, atol=HALF, err_msg=name)
    np.testing.assert_allclose(z_of(page), wanted["z"], rtol=1e-9, atol=1e-9)
    return shown


def test_the_graph_shows_the_model_for_every_image_noise_and_epoch(page, results):
    first = check(page, results)
    page.locator("#draw").click()
    other = check(page, results)
    assert (first["epsilon"] != other["epsilon"]).any() and (first["z"] != other["z"]).any()
    assert (first["mean"] == other["mean"]).all() and first["kl"] == other["kl"]
    page.locator("#tests button").nth(7).click()
    seven = check(page, results)
    assert (seven["mean"] != other["mean"]).any()
    assert (seven["epsilon"] == other["epsilon"]).all()  # the same noise, another image
    page.locator("#epochs label").first.click()
    assert (check(page, results, epoch=1)["epsilon"] == seven["epsilon"]).all()


def test_a_chosen_z_gives_the_noise_and_the_next_image_is_sampled_again(page, results):
    limit = page.evaluate("vae.limit")
    page.evaluate("limit => vae.moveTo([limit / 3, -limit / 5])", limit)
    chosen = check(page, results)
    np.testing.assert_allclose(z_of(page), [limit / 3, -limit / 5])
    page.locator("#epochs label").first.click()  # z stays, so that the decoders can be compared
    later = check(page, results, epoch=1)
    np.testing.assert_allclose(z_of(page), [limit / 3, -limit / 5])
    assert (later["epsilon"] != chosen["epsilon"]).any()
    page.locator("#tests button").nth(3).click()
    # The distance of a standard normal in the plane is above 6 once in 6e7 draws.
    assert np.hypot(*check(page, results, epoch=1)["epsilon"]) < 6


def test_the_images_in_the_graph_are_x_and_the_logits(page):
    script = """id => new Promise((done) => {
      const image = new Image(), canvas = document.createElement("canvas");
      image.onload = () => {
        [canvas.width, canvas.height] = [image.width, image.height];
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const all = Array.from(context.getImageData(0, 0, image.width, image.height).data);
        done(all.filter((value, i) => i % 4 === 0));
      };
      image.src = document.getElementById(id).getAttribute("href");
    })"""
    assert (np.array(page.evaluate(script, "net-x")) == canvas(page, "seen")).all()
    logits = np.array(page.evaluate("Array.from(logits(vae.state.epoch.weights, vae.state.z))"))
    low, high = logits.min(), logits.max()
    greys = 255 * (logits - low) / (high - low)
    assert np.abs(np.array(page.evaluate(script, "net-logits")) - greys).max() <= 0.5 + 1e-6
    for name, value in (("low", low), ("high", high)):
        text = page.locator(f"#net-{name}").text_content()
        assert abs(float(text.split()[-1].replace("−", "-")) - value) <= HALF


def test_the_noise_is_standard_normal(page):
    draws = np.array(page.evaluate("Array.from({ length: 20000 }, noise)"))
    assert draws.shape == (20000, 2)
    # Five standard errors of mean, variance and correlation of 20,000 pairs.
    assert np.abs(draws.mean(axis=0)).max() < 5 / 20000**0.5
    assert np.abs(draws.var(axis=0) - 1).max() < 5 * (2 / 20000) ** 0.5
    assert abs(np.corrcoef(draws.T)[0, 1]) < 5 / 20000**0.5
    # and five standard errors of the fourth moment, 3, whose variance is 105 - 9
    assert np.abs((draws**4).mean(axis=0) - 3).max() < 5 * (96 / 20000) ** 0.5


def slide(page, index):
    page.locator("#film").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        index,
    )


def test_the_slider_shows_the_dots_of_every_epoch(visit, film):
    page = visit(film / "index.html")
    with np.load(film / "latent.npz") as file:
        z_mean, labels = file["z_mean"], file["labels"]
    assert page.evaluate("vae.frames.map((frame) => frame.epoch)") == [1, 2, 3]
    step = np.abs(z_mean).max() / 32767
    for frame in range(3):
        dots = np.array(page.evaluate(f"Array.from(vae.frames[{frame}].zMeans)")).reshape(-1, 2)
        # Half a step of int16, and the rounding of a float32.
        np.testing.assert_allclose(dots, z_mean[frame], rtol=1e-6, atol=0.51 * step)
        centres = np.array(page.evaluate(f"vae.frames[{frame}].centres"))
        medians = [np.median(dots[labels == label], axis=0) for label in range(3)]
        np.testing.assert_allclose(centres, medians, rtol=1e-6)
    slider, note = page.locator("#film"), page.locator("#films-note")
    assert slider.input_value() == "2" and not note.is_visible()

    slide(page, 1)  # no weights: only the dots change
    assert page.locator("#film-epoch").inner_text() == "2"
    assert "after epoch 2" in note.inner_text() and "after epoch 3" in note.inner_text()
    assert page.evaluate("vae.state.epoch.epoch") == 3
    slide(page, 0)  # the page has these weights, so everything changes
    assert page.evaluate("vae.state.epoch.epoch") == 1 and not note.is_visible()
    assert page.locator("#epochs input").first.is_checked()
    slide(page, 1)
    assert "after epoch 1" in note.inner_text()
    page.locator("#epochs label").nth(1).click()
    assert slider.input_value() == "2" and page.locator("#film-epoch").inner_text() == "3"
    assert not note.is_visible() and page.evaluate("vae.state.frame") is None


def test_the_plane_changes_with_the_slider(visit, film):
    page = visit(film / "index.html", reduced_motion="reduce")
    picture = "document.getElementById('plane').toDataURL()"
    last = page.evaluate(picture)
    slide(page, 1)
    assert page.evaluate(picture) != last
    page.locator("#film").focus()
    page.keyboard.press("ArrowRight")
    until(page, f"{picture} === {last!r}")


def test_without_an_animation_there_is_no_slider(page):
    assert not page.locator("#film").is_visible()
    assert page.locator("#epochs").is_visible()
