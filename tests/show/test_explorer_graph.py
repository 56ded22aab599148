"""The computational graph and the slider of the explorer, in a browser (make test-page)."""

import numpy as np
import pytest
from browser import canvas, choose, until, z_of
from oracle import bernoulli_log_likelihood, forward, kl_to_standard_normal
from page_weights import page_weights, steps_of

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
    weights = page_weights(results / "tf" / "post-keras", epoch, (1, 2))[1]
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
    choose(page, 0)
    assert (check(page, results, epoch=1)["epsilon"] == seven["epsilon"]).all()


def test_a_chosen_z_gives_the_noise_and_the_next_image_is_sampled_again(page, results):
    limit = page.evaluate("vae.limit")
    page.evaluate("limit => vae.moveTo([limit / 3, -limit / 5])", limit)
    chosen = check(page, results)
    np.testing.assert_allclose(z_of(page), [limit / 3, -limit / 5])
    choose(page, 0)  # z stays, so that the decoders can be compared
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


def test_one_slider_changes_everything(visit, film):
    """Dots, ellipse, digit, graph and manifold are those of the epoch, pictured or not."""
    page = visit(film / "index.html", reduced_motion="reduce")
    with np.load(film / "latent.npz") as file:
        z_mean = file["z_mean"]
        weights = {n: {k[2:]: file[k] for k in file if k.startswith(f"{n}/")} for n in (1, 2, 3)}
    assert page.evaluate("vae.epochs.map((each) => each.epoch)") == [1, 2, 3]
    steps = steps_of([*weights.values()])
    pictures = ("plane", "lens", "digit", "reconstruction", "manifold")
    seen = {}
    page.evaluate("vae.moveTo([0.3, -0.2])")
    for number in (2, 1, 0):
        choose(page, number)
        page.wait_for_timeout(300)  # until the manifold and the dots are drawn
        rounded = {
            name: np.float32(np.round(array / np.float64(steps[name])) * np.float64(steps[name]))
            if name in steps
            else array
            for name, array in weights[number + 1].items()
        }
        dots = np.array(page.evaluate("Array.from(vae.state.epoch.zMeans)")).reshape(-1, 2)
        # Half a step of int16, and the rounding of a float32.
        tolerance = 0.51 * page.evaluate("vae.zStep")
        np.testing.assert_allclose(dots, z_mean[number], rtol=1e-6, atol=tolerance)
        x, epsilon = canvas(page, "seen")[None] / 255, np.zeros((1, 2))
        q = forward(rounded, x, epsilon, "relu")
        np.testing.assert_allclose(graph(page)["mean"], q["z_mean"][0], rtol=0, atol=HALF)
        assert f"epoch {number + 1} of 3" in page.locator("#epoch-value").inner_text()
        script = "id => document.getElementById(id).toDataURL()"
        seen[number] = {name: page.evaluate(script, name) for name in pictures}
        seen[number]["graph"] = page.locator("#net-loss").text_content()
    for name in (*pictures, "graph"):
        assert len({each[name] for each in seen.values()}) == 3, name


def test_the_dots_move_to_those_of_another_epoch(visit, film):
    page = visit(film / "index.html")
    picture = "document.getElementById('plane').toDataURL()"
    page.evaluate("vae.moveTo([0.3, -0.2])")
    last = page.evaluate(picture)
    choose(page, 0)
    until(page, f"{picture} !== {last!r}")
    choose(page, 2)
    until(page, f"{picture} === {last!r}")


def test_without_an_animation_the_slider_has_the_pictured_epochs(page):
    assert page.locator("#epoch").get_attribute("max") == "1"
    assert page.locator("#epoch-value").inner_text() == "epoch 2 of 2"


def test_a_z_that_q_would_not_draw_is_called_so(page):
    origin, far = page.locator("#origin"), page.locator("#far")
    assert page.locator("#net-noise").text_content() == "ε ~ N(0, I)"
    assert origin.inner_text() == "z is a sample of q(z|x)" and far.inner_text() == ""
    limit = page.evaluate("vae.limit")
    page.evaluate("limit => vae.moveTo([limit, limit])", limit)
    mean, sigma = page.evaluate("[Array.from(vae.state.q.zMean), sigma(vae.state.q)]")
    sigmas = np.hypot(*((limit - np.array(mean)) / sigma))
    assert sigmas > 4
    number = f"{sigmas:.{int(sigmas < 10)}f}"
    for place in (origin, far):
        assert f"{number} σ away from this image's posterior" in place.inner_text()
    assert page.locator("#net-noise").text_content() == "ε = (z − μ) / σ"
    # One σ away is not far.
    page.evaluate("([m, s]) => vae.moveTo([m[0] + s[0], m[1]])", [mean, sigma])
    assert "1.0 σ" in origin.inner_text() and far.inner_text() == ""
    page.locator("#draw").click()
    assert page.locator("#net-noise").text_content() == "ε ~ N(0, I)"


def test_a_new_epsilon_moves_z_in_the_magnified_plane_and_marks_what_changed(page):
    picture = "document.getElementById('lens').toDataURL()"
    before = page.evaluate(picture)
    page.locator("#draw").click()
    assert page.evaluate(picture) != before
    marked = "id => document.getElementById(id).classList.contains('changed')"
    for name in ("z", "epsilon", "loss"):
        until(page, f"({marked})('net-{name}')")


def test_a_fixed_z_is_drawn_as_a_pin_and_can_be_released(page):
    plane, side = page.locator("#plane"), page.locator("#plane").bounding_box()["width"]
    picture = "document.getElementById('plane').toDataURL()"
    plane.hover(position={"x": side / 3, "y": side / 3})
    ring, z = page.evaluate(picture), z_of(page)
    assert not page.locator("#release").is_visible()
    plane.click(position={"x": side / 3, "y": side / 3})
    assert page.evaluate(picture) != ring and (z_of(page) == z).all()
    assert page.locator("#release").is_visible()
    page.locator("#release").click()
    assert page.evaluate(picture) == ring and (z_of(page) == z).all()
    plane.click(position={"x": side / 3, "y": side / 3})
    page.keyboard.press("Escape")
    assert page.evaluate(picture) == ring


def test_z_and_its_ellipse_have_different_colours(visit, results):
    for scheme in ("light", "dark"):
        page = visit(results / "index.html", color_scheme=scheme)
        z, q = page.evaluate("[colour('--z'), colour('--q')]")
        assert z != q
        for each in (z, q, *page.evaluate("[colour('--good'), colour('--bad'), colour('--mute')]")):
            # WCAG: 3 : 1 for lines, 4.5 : 1 for text; --z is a text, too.
            assert contrast(each, page.evaluate("colour('--paper')")) > 4.5, (scheme, each)


def contrast(a, b):
    """The contrast of two colours #rrggbb, from 1 to 21, as WCAG 2 defines it."""
    luminance = []
    for each in (a, b):
        parts = np.array([int(each.strip()[n : n + 2], 16) for n in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        luminance.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(luminance) + 0.05) / (min(luminance) + 0.05)
