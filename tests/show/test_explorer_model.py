"""The computations of the explorer of results/index.html, in a real browser (make test-page).

Its numbers must be those of the model. The page has the kernels as int8, so they are compared
twice with the formulas in float64: on the rounded weights, where only the order of sums differs,
and on the exact weights, within the largest effect of rounding.
"""

import numpy as np
import pytest
from browser import canvas, choose, until, z_of
from oracle import forward, kl_to_standard_normal, log_sigmoid
from page_weights import page_weights

from shared.data import load_data

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser

ZS = [(0.0, 0.0), (1.3, -0.7), (-2.1, 0.4), (0.05, 2.9)]
# Sums of at most 784 float64 products in another order: 784 · 2^-53 of sums below 1e3.
ROUNDING = 1e-9


def layers(part, weights):
    """Names of the hidden layers of the encoder or the decoder, in order."""
    depth = sum(name.startswith(f"{part}/hidden_") for name in weights) // 2
    return [f"{part}/hidden_{number}" for number in range(1, depth + 1)]


def bound(weights, steps, names, x):
    """A bound of the difference between the page's weights and float32 weights in float32.

    Rounding changes a weight of a kernel by at most half a step, and by 2^-24 of it as float32. The
    error of a float32 sum of n products is at most n + 1 roundings of 2^-24 of the sum of
    magnitudes. Relu does not increase a difference. The bound is propagated through the layers in
    float64.
    """
    h, error = np.asarray(x, np.float64), np.zeros(np.shape(x))
    for name in names:
        kernel = weights[f"{name}/kernel"].astype(np.float64)
        bias = weights[f"{name}/bias"].astype(np.float64)
        moved = np.float64(steps[f"{name}/kernel"]) / 2 + 2.0**-24 * np.abs(kernel)
        sums = (np.abs(h) + error) @ (np.abs(kernel) + moved) + np.abs(bias)
        error = (np.abs(h) + error) @ moved + error @ np.abs(kernel)
        error = error + (len(kernel) + 1) * 2.0**-24 * sums
        h = np.maximum(h @ kernel + bias, 0)
    return error


def decoded(weights, z):
    """The decoder in float64, from the formulas."""
    x = np.zeros((1, weights["encoder/hidden_1/kernel"].shape[0]))
    # An encoder of zeros has z_mean 0 and log_var 0, and then z is the noise.
    silent = {n: np.zeros_like(w) if n.startswith("encoder") else w for n, w in weights.items()}
    return np.exp(log_sigmoid(forward(silent, x, np.array([z]), "relu")["logits"][0]))


def test_the_page_has_the_rounded_weights_of_every_epoch_exactly(page, results):
    directory = results / "tf" / "post-keras"
    for epoch in (1, 2):
        rounded = page_weights(directory, epoch, (1, 2))[1]
        script = "([n, name]) => Array.from(vae.epochs[n].weights[name])"
        for name, array in rounded.items():
            shown = np.array(page.evaluate(script, [epoch - 1, name]))
            assert (shown == array.ravel().astype(np.float64)).all(), (epoch, name)


@pytest.mark.parametrize("epoch", (1, 2))
def test_the_digit_is_the_decoders(page, results, implementations, epoch):
    directory = results / "tf" / "post-keras"
    weights, rounded, steps = page_weights(directory, epoch, (1, 2))
    model, _ = implementations["tf_vae"].load(directory, epoch)
    names = [*layers("decoder", weights), "decoder/logits"]
    choose(page, epoch - 1)
    for z in ZS:
        displayed = page.evaluate(
            "([n, z]) => Array.from(vae.decode(vae.epochs[n].weights, z))", [epoch - 1, list(z)]
        )
        np.testing.assert_allclose(displayed, decoded(rounded, z), rtol=0, atol=ROUNDING)
        real = implementations["tf_vae"].decode(model, np.array([z], np.float32))[0]
        # The sigmoid's slope is 1/4 at most; its own float32 rounding is below 1e-6.
        within = bound(weights, steps, names, np.float32(z)) / 4 + 1e-6
        assert (np.abs(displayed - real) <= within).all()
        assert within.max() < 0.02  # 5 of 256 greys: the bound is tight enough to be a test
        page.evaluate("z => vae.moveTo(z)", list(z))
        # A pixel is the nearest of 256 greys.
        assert (np.abs(canvas(page, "digit") - 255 * np.array(displayed)) <= 0.5).all()


@pytest.mark.parametrize("epoch", (1, 2))
def test_the_posterior_is_the_encoders(page, results, implementations, epoch):
    directory = results / "keras" / "post-keras"
    weights, rounded, steps = page_weights(directory, epoch, (1, 2))
    model, _ = implementations["keras_vae"].load(directory, epoch)
    choose(page, epoch - 1)
    for button in (0, 7):
        page.locator("#tests button").nth(button).click()
        x = canvas(page, "seen")[None] / 255
        out = forward(rounded, x, np.zeros((1, 2)), "relu")
        real = implementations["keras_vae"].encode(model, x.astype(np.float32))
        for theirs, ours, array in zip(
            ("zMean", "zLogVar"), ("z_mean", "z_log_var"), real, strict=True
        ):
            displayed = np.array(page.evaluate(f"Array.from(vae.state.q.{theirs})"))
            np.testing.assert_allclose(displayed, out[ours][0], rtol=0, atol=ROUNDING)
            within = bound(weights, steps, [*layers("encoder", weights), f"encoder/{ours}"], x[0])
            # x itself is a float32 there: 2^-24 of every pixel, less than one more rounding.
            assert (np.abs(displayed - array[0]) <= 1.01 * within).all()
        drawn = decoded(rounded, page.evaluate("Array.from(vae.state.q.zMean)"))
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
    displayed = np.array(page.evaluate("Array.from(vae.epochs[1].zMeans)")).reshape(-1, 2)
    # int16: half a step of the largest |z| / 32767; sorted, since the page shuffles them.
    for axis in range(2):
        difference = np.sort(displayed[:, axis]) - np.sort(z_mean[:, axis])
        assert np.abs(difference).max() <= 0.51 * page.evaluate("vae.zStep")


def test_the_manifold_is_the_decoder_at_the_quantiles(page, results):
    from scipy.stats import norm

    weights = page_weights(results / "keras" / "post-keras", 2, (1, 2))[1]
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


def test_a_straight_stroke_is_as_wide_as_the_pen(page):
    image = page.evaluate("Array.from(vae.likeMnist([[[0.3, 0], [0.3, 1]]]))")
    rows = np.reshape(image, (28, 28)).sum(axis=1)
    # The coverage of a straight line sums to its width in every row away from its ends.
    np.testing.assert_allclose(rows[8:20], 2.8, rtol=1e-12)


def test_the_kl_keeps_its_digits_next_to_the_prior(page):
    """KL = (exp(v) - 1 - v + m²) / 2 is v²/4 + v³/12 + … at m = 0; exp(v) - 1 rounds it away."""
    script = "([m, v]) => kl({ zMean: Float64Array.from(m), zLogVar: Float64Array.from(v) })"
    for v in (1e-5, -1e-5, 1e-7, -1e-7):
        displayed = page.evaluate(script, [[0, 0], [v, 0]])
        # The difference of expm1(v) and v is off by 2^-53 |v|, which is 2^-51 / |v| of v²/4; the
        # series stops at v⁴/48, below 1e-11 of it.
        tolerance = 2.0**-51 / abs(v) + 1e-11
        np.testing.assert_allclose(displayed, v**2 / 4 + v**3 / 12, rtol=tolerance)
    random = np.random.RandomState(0)
    near = random.normal(0, 1e-9, (100, 2))
    values = [page.evaluate(script, [[0, 0], pair.tolist()]) for pair in near]
    assert min(values) >= 0
    for _ in range(20):  # away from the prior, the formula of the paper loses no digits
        m, v = random.normal(0, 2, (2, 2))
        displayed = page.evaluate(script, [m.tolist(), v.tolist()])
        np.testing.assert_allclose(displayed, kl_to_standard_normal(m, v), rtol=1e-12)


def test_numbers_are_written_without_a_negative_zero(page):
    values = [-0.001, 0, -1.5, 2]
    assert page.evaluate("v => v.map(shown)", values) == ["0.00", "0.00", "−1.50", "2.00"]
