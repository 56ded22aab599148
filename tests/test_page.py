"""The explorer of results/index.html, in a real browser (make test-page).

Its numbers must be the model's: the page carries the weights as float16, so what it computes is
held to the formulas in float64 twice: on weights rounded to float16, where nothing but the order of
sums differs, and on the weights themselves, within what rounding can do.
"""

import json

import numpy as np
import pytest
from browser import NO_BROWSER, executable, until
from oracle import forward, log_sigmoid

import reproduce
from shared.data import load_data
from shared.run.folder import read_run_weights
from shared.show.page import page as assemble

pytestmark = pytest.mark.browser

EPOCHS = (1, 2)
ZS = [(0.0, 0.0), (1.3, -0.7), (-2.1, 0.4), (0.05, 2.9)]
HOSTILE = "<img src=x onerror=alert(1)><!--<script>"  # '/' can't stand in a file's name
# Sums of at most 784 float64 products in another order: 784 · 2^-53 of sums below 1e3.
ROUNDING = 1e-9


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """A small real job on real digits."""
    folder = tmp_path_factory.mktemp("page") / "results"
    epochs = [str(epoch) for epoch in EPOCHS]
    arguments = ["--data", "mnist-5k", "--epochs", *epochs, "--steps", "10", "--out", str(folder)]
    assert reproduce.main(arguments) == 0
    return folder


@pytest.fixture(scope="session")
def odd_results(tmp_path_factory):
    """A job on images that are not square, under a hostile name, with one bit changed after it."""
    folder = tmp_path_factory.mktemp("odd")
    path, random = folder / f"{HOSTILE}.npz", np.random.RandomState(0)
    x, y = random.randint(0, 256, (300, 5, 7)).astype(np.uint8), random.randint(0, 3, 300)
    np.savez(path, x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    arguments = ["--data", str(path), "--epochs", "1", "--steps", "2", "--out", str(folder / "out")]
    assert reproduce.main(arguments) == 0
    equal = (folder / "out" / "index.html").rename(folder / "equal.html")
    weights_path = folder / "out" / "tf" / "post-keras" / "weights_epoch_001.npz"
    with np.load(weights_path) as file:
        weights = {name: file[name] for name in file.files}
    weights["decoder/logits/bias"].view(np.uint32)[3] ^= 1
    np.savez(weights_path, **weights)
    assert reproduce.main([*arguments, "--resume"]) == 1
    return equal, folder / "out" / "index.html"


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    path = executable()
    assert path, NO_BROWSER
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """visit(path, **context options): the page once its explorer runs.

    After the test: no error was logged, nothing was asked of any network, no dialog opened.
    """
    contexts, seen = [], {"errors": [], "requests": [], "dialogs": []}

    def visit(path, **options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda each: each.type == "error" and seen["errors"].append(each.text))
        page.on("pageerror", lambda error: seen["errors"].append(str(error)))
        page.on("request", lambda request: seen["requests"].append(request.url))
        page.on("dialog", lambda dialog: (seen["dialogs"].append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        until(page, "window.vae")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert seen["errors"] == [] and seen["dialogs"] == []
    assert len(seen["requests"]) == len(contexts)
    assert all(url.startswith("file:///") for url in seen["requests"])


@pytest.fixture
def page(visit, results):
    return visit(results / "index.html")


def canvas(page, name):
    """The grey pixels of a canvas, (n,) integers."""
    script = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    rgba = np.array(page.locator(f"#{name}").evaluate(script)).reshape(-1, 4)
    assert (rgba[:, :3] == rgba[:, :1]).all() and (rgba[:, 3] == 255).all()
    return rgba[:, 0]


def z_of(page):
    return np.array(page.evaluate("vae.state.z"))


def layers(part, weights):
    """Names of the hidden layers of the encoder or the decoder, in order."""
    depth = sum(name.startswith(f"{part}/hidden_") for name in weights) // 2
    return [f"{part}/hidden_{number}" for number in range(1, depth + 1)]


def rounded(weights):
    return {name: array.astype(np.float16) for name, array in weights.items()}


def bound(weights, names, x):
    """How far float16 weights in float64 can end from float32 weights in float32, output by output.

    Rounding to float16 moves a weight by 2^-11 of it at most (below 2^-14 by 2^-25); a float32 sum
    of n products is off by n + 1 roundings of 2^-24 of the sum of their magnitudes at most. Relu
    never makes a difference larger. The bound is propagated through the layers in float64.
    """
    h, error = np.asarray(x, np.float64), np.zeros(np.shape(x))
    for name in names:
        kernel = weights[f"{name}/kernel"].astype(np.float64)
        bias = weights[f"{name}/bias"].astype(np.float64)
        moved, moved_bias = (2.0**-11 * np.abs(w) + 2.0**-25 for w in (kernel, bias))
        sums = (np.abs(h) + error) @ (np.abs(kernel) + moved) + np.abs(bias) + moved_bias
        error = (np.abs(h) + error) @ moved + error @ np.abs(kernel) + moved_bias
        error = error + (len(kernel) + 1) * 2.0**-24 * sums
        h = np.maximum(h @ kernel + bias, 0)
    return error


def decoded(weights, z):
    """The decoder in float64, from the formulas."""
    x = np.zeros((1, weights["encoder/hidden_1/kernel"].shape[0]))
    # An encoder of zeros has z_mean 0 and log_var 0, and then z is the noise.
    silent = {n: np.zeros_like(w) if n.startswith("encoder") else w for n, w in weights.items()}
    return np.exp(log_sigmoid(forward(silent, x, np.array([z]), "relu")["logits"][0]))


@pytest.mark.parametrize("number", range(len(EPOCHS)))
def test_the_digit_is_the_decoders(page, results, implementations, number):
    directory = results / "tf" / "post-keras"
    weights = read_run_weights(directory, EPOCHS[number])[1]
    model, _ = implementations["tf_vae"].load(directory, EPOCHS[number])
    names = [*layers("decoder", weights), "decoder/logits"]
    page.locator("#epochs label").nth(number).click()
    for z in ZS:
        found = page.evaluate(
            "([n, z]) => Array.from(vae.decode(vae.epochs[n].weights, z))", [number, list(z)]
        )
        np.testing.assert_allclose(found, decoded(rounded(weights), z), rtol=0, atol=ROUNDING)
        real = implementations["tf_vae"].decode(model, np.array([z], np.float32))[0]
        # The sigmoid's slope is 1/4 at most; its own float32 rounding is below 1e-6.
        within = bound(weights, names, np.float32(z)) / 4 + 1e-6
        assert (np.abs(found - real) <= within).all()
        assert within.max() < 0.01  # the bound is worth something
        page.evaluate("z => vae.moveTo(z)", list(z))
        # A pixel is the nearest of 256 greys.
        assert (np.abs(canvas(page, "digit") - 255 * np.array(found)) <= 0.5).all()


@pytest.mark.parametrize("number", range(len(EPOCHS)))
def test_the_posterior_is_the_encoders(page, results, implementations, number):
    directory = results / "keras" / "post-keras"
    weights = read_run_weights(directory, EPOCHS[number])[1]
    model, _ = implementations["keras_vae"].load(directory, EPOCHS[number])
    page.locator("#epochs label").nth(number).click()
    for button in (0, 7):
        page.locator("#tests button").nth(button).click()
        x = canvas(page, "seen")[None] / 255
        out = forward(rounded(weights), x, np.zeros((1, 2)), "relu")
        real = implementations["keras_vae"].encode(model, x.astype(np.float32))
        for theirs, ours, array in zip(
            ("zMean", "zLogVar"), ("z_mean", "z_log_var"), real, strict=True
        ):
            found = np.array(page.evaluate(f"Array.from(vae.state.q.{theirs})"))
            np.testing.assert_allclose(found, out[ours][0], rtol=0, atol=ROUNDING)
            within = bound(weights, [*layers("encoder", weights), f"encoder/{ours}"], x[0])
            # x itself is a float32 there: 2^-24 of every pixel, less than one more rounding.
            assert (np.abs(found - array[0]) <= 1.01 * within).all()
        drawn = decoded(rounded(weights), page.evaluate("Array.from(vae.state.q.zMean)"))
        # 255 · ROUNDING beside the nearest of 256 greys
        assert (np.abs(canvas(page, "reconstruction") - 255 * drawn) <= 0.5 + 1e-6).all()


def test_the_test_images_are_the_test_set_and_the_points_its_posterior_means(
    page, results, implementations
):
    data = load_data("mnist-5k")
    page.locator("#tests button").nth(3).click()
    first_three = np.round(255 * data.x_test[data.y_test == 3][0])
    assert (canvas(page, "seen") == first_three).all()
    model, _ = implementations["keras_vae"].load(results / "keras" / "post-keras", 2)
    z_mean = implementations["keras_vae"].encode(model, data.x_test)[0]
    found = np.array(page.evaluate("Array.from(vae.epochs[1].zMeans)")).reshape(-1, 2)
    # int16: half a step of the largest |z| / 32767; sorted, since the page shuffles them.
    for axis in range(2):
        difference = np.sort(found[:, axis]) - np.sort(z_mean[:, axis])
        assert np.abs(difference).max() <= 0.51 * page.evaluate("vae.zStep")


def test_the_manifold_is_the_decoder_at_the_quantiles(page, results):
    from scipy.stats import norm

    weights = rounded(read_run_weights(results / "keras" / "post-keras", 2)[1])
    until(  # the last row is drawn
        page,
        "document.getElementById('manifold').getContext('2d').getImageData(0, 14 * 28, 420, 28)"
        ".data.some((value, i) => i % 4 < 3 && value > 9)",
    )
    picture = canvas(page, "manifold").reshape(15, 28, 15, 28)
    ticks = norm.ppf(np.linspace(0.05, 0.95, 15))
    for row, column in ((0, 0), (0, 14), (7, 3)):
        z = np.float32([ticks[column], ticks[14 - row]])  # z[1] upward
        image = picture[row, :, column].ravel()
        assert (np.abs(image - 255 * decoded(weights, z)) <= 0.5 + 1e-6).all()
    box = page.locator("#manifold").bounding_box()
    page.locator("#manifold").click(position={"x": box["width"] - 2, "y": 2})
    np.testing.assert_allclose(z_of(page), [ticks[14], ticks[14]], rtol=1e-6)  # float32 ticks


def test_the_pointer_moves_z_and_a_click_holds_it(page):
    plane, limit = page.locator("#plane"), page.evaluate("vae.limit")
    side = plane.bounding_box()["width"]
    pixel = 2 * limit / side  # in z: a mouse stands on whole pixels
    before = canvas(page, "digit")
    plane.hover(position={"x": side / 4, "y": side / 4})
    np.testing.assert_allclose(z_of(page), [-limit / 2, limit / 2], atol=pixel)
    assert (canvas(page, "digit") != before).any()
    plane.click(position={"x": 3 * side / 4, "y": side / 4})
    plane.hover(position={"x": side / 2, "y": side / 2})
    np.testing.assert_allclose(z_of(page), [limit / 2, limit / 2], atol=pixel)
    plane.dblclick(position={"x": side / 4, "y": side / 4})
    plane.hover(position={"x": side / 2, "y": side / 2})
    np.testing.assert_allclose(z_of(page), [0, 0], atol=pixel)


def test_keys_move_z_and_the_focus_is_seen(page):
    limit = page.evaluate("vae.limit")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "plane":
            break
    outline = page.locator("#plane").evaluate("c => getComputedStyle(c).outline")
    assert "solid" in outline and "3px" in outline
    before, scrolled = canvas(page, "digit"), page.evaluate("scrollY")
    for key, moved in (
        ("ArrowRight", (1, 0)),
        ("ArrowUp", (1, 1)),
        ("Shift+ArrowLeft", (-4, 1)),
        ("Shift+ArrowDown", (-4, -4)),
    ):
        page.keyboard.press(key)
        np.testing.assert_allclose(z_of(page), limit / 50 * np.array(moved), atol=1e-9)
    assert (canvas(page, "digit") != before).any() and page.evaluate("scrollY") == scrolled
    for _ in range(20):
        page.keyboard.press("Shift+ArrowUp")
    assert z_of(page)[1] == limit  # z stays in the plane
    page.keyboard.press("Home")
    assert (z_of(page) == 0).all() and (canvas(page, "digit") == before).all()


def test_the_toggle_changes_the_digit_and_keeps_z(page):
    page.evaluate("vae.moveTo([1, 1])")
    last = canvas(page, "digit")
    page.locator("#epochs input").nth(1).focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("vae.state.epoch.epoch") == EPOCHS[0]
    assert (canvas(page, "digit") != last).any() and (z_of(page) == 1).all()
    page.locator("#epochs label", has_text=str(EPOCHS[1])).click()
    assert (canvas(page, "digit") == last).all()


def touch_stroke(page, name, points):
    """A finger over a canvas, by points in units of its side."""
    page.locator(f"#{name}").scroll_into_view_if_needed()
    box, session = page.locator(f"#{name}").bounding_box(), page.context.new_cdp_session(page)

    def send(kind, *at):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(at)})

    at = [{"x": box["x"] + u * box["width"], "y": box["y"] + v * box["width"]} for u, v in points]
    send("touchStart", at[0])
    for each in at[1:]:
        send("touchMove", each)
    send("touchEnd")


def test_a_finger_moves_z_and_draws_on_a_phone(visit, results):
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = visit(results / "index.html", **phone, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") == 360  # nothing sticks out
    limit = page.evaluate("vae.limit")
    touch_stroke(page, "plane", [(0.5, 0.5), (0.6, 0.4), (0.75, 0.25)])
    np.testing.assert_allclose(z_of(page), [limit / 2, limit / 2], rtol=0.03)  # 3 pixels of 328 / 4
    touch_stroke(page, "pad", [(0.5, 0.2), (0.5, 0.5), (0.5, 0.8)])
    assert canvas(page, "seen").any()
    assert "mean" in page.locator("#posterior").inner_text()


@pytest.mark.parametrize(
    "points",
    [
        [(0.1, 0.1), (0.3, 0.1), (0.3, 0.5), (0.25, 0.9)],  # a 7 at the left, large
        [(0.7, 0.8), (0.75, 0.85), (0.8, 0.8)],  # small, in a corner
        [(0.5, 0.5)],  # a dot
    ],
)
def test_a_drawing_becomes_an_image_like_mnists(page, points):
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    at = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for each in at[1:]:
        page.mouse.move(*each, steps=3)
    page.mouse.up()
    seen = canvas(page, "seen").reshape(28, 28) / 255
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if len(points) > 1:  # the longer side fills 20 pixels, as in 9,979 of MNIST's test images
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    indices = np.arange(28)
    for axis in (0, 1):  # as in all of MNIST's test images; 0.01 for 256 greys
        centre = (seen.sum(axis=1 - axis) * indices).sum() / seen.sum()
        assert 13.49 <= centre <= 14.51
    edge = seen[(seen > 0) & (seen < 1)]
    assert seen.max() == 1 and len(edge) > 3  # anti-aliased
    page.locator("#clear").click()
    assert page.evaluate("vae.state.strokes.length") == 0


def test_a_straight_stroke_is_as_wide_as_the_pen(page):
    image = page.evaluate("Array.from(vae.likeMnist([[[0.3, 0], [0.3, 1]]]))")
    rows = np.reshape(image, (28, 28)).sum(axis=1)
    # Coverage of a straight line sums to its width in every row that both its ends leave alone.
    np.testing.assert_allclose(rows[8:20], 2.8, rtol=1e-12)


def test_a_hostile_name_is_text_and_odd_images_break_nothing(visit, odd_results):
    equal, _ = odd_results
    page = visit(equal)
    assert HOSTILE in page.locator("h1").inner_text()
    assert page.locator("img[src=x]").count() == 0
    page.locator("#plane").hover(position={"x": 100, "y": 100})
    assert len(canvas(page, "digit")) == 5 * 7
    assert page.locator("#digit").evaluate("c => [c.width, c.height]") == [7, 5]
    assert not page.locator("#pad").is_visible()  # likeMnist makes 28 × 28
    page.locator("#tests button").first.click()
    assert "mean" in page.locator("#posterior").inner_text()
    assert page.locator("#epochs label").count() == 1
    assert page.locator("p.bad").count() == 0
    assert "bit-identical at every epoch shown" in page.inner_text("body")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_differing_bit_is_told_in_red(visit, odd_results, scheme):
    page = visit(odd_results[1], color_scheme=scheme)
    assert "serves both" not in page.inner_text("body").replace("no copy serves both", "")
    for where in ("p.bad", ".proof.bad"):
        assert "A BIT DIFFERS" in page.locator(where).inner_text()
        colour = page.locator(where).evaluate("e => getComputedStyle(e).color")
        red, green, blue = (int(part) for part in colour[4:-1].split(","))
        assert red > green + 100 and red > blue + 100


def test_a_name_that_ends_the_script_is_text(visit, results, tmp_path):
    """What no file can be called, put into every text of a page that works."""
    source = (results / "index.html").read_text()
    assert source.count("</script>") == 2
    start = source.index('id="explorer-data">') + len('id="explorer-data">')
    data = json.loads(source[start : source.index("</script>", start)])
    name = "<script>alert(1)</script>"
    data["classes"] = [name] * len(data["classes"])
    sections = [(name, [("explorer", (data, name, True)), ("code", name)])]
    path = tmp_path / "hostile.html"
    path.write_text(assemble(name, [name], True, sections))
    page = visit(path)
    assert page.locator("h1").inner_text() == page.locator("h2").inner_text() == name
    assert name in page.locator("#tests button").first.get_attribute("aria-label")
    assert page.evaluate("document.scripts.length") == 2
