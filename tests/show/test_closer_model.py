"""The computations of the section "Look closer", in a real browser (make test-page)."""

from pathlib import Path

import numpy as np
import pytest
from oracle import forward, log_sigmoid

import shared.show.page
from shared.config import recipe
from shared.weights import weight_shapes

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser

FOLDER = Path(shared.show.page.__file__).parent


@pytest.fixture(scope="module")
def script(chromium):
    """A page that has the computations and nothing else."""
    page = chromium.new_page()
    for name in ("explorer_model.js", "closer_model.js"):
        page.add_script_tag(content=(FOLDER / name).read_text(encoding="utf-8"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def weights():
    random = np.random.RandomState(2)
    shapes = weight_shapes(recipe("post-keras", hidden_dims=(6,)), 20)
    return {name: random.normal(0, 1.5, shape) for name, shape in shapes.items()}


def flat(weights):
    return {name: array.ravel().tolist() for name, array in weights.items()}


def test_the_line_is_the_decoder_between_the_two_means(script, weights):
    a, b = np.random.RandomState(3).uniform(0, 1, (2, 20))
    found = script.evaluate(
        """([weights, a, b]) => {
          const { decoded, mixed, zs, shares } = between(weights, a, b, 9);
          return [decoded, mixed, zs, shares].map((list) => list.map((each) =>
            typeof each === "number" ? each : Array.from(each)));
        }""",
        [flat(weights), a.tolist(), b.tolist()],
    )
    decoded, mixed, zs, shares = map(np.array, found)
    out = forward(weights, np.array([a, b]), np.zeros((2, 2)), "relu")
    # At ε = 0, z is the mean. Sums of at most 20 products in float64, of magnitudes below 1e3.
    close = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(zs[[0, -1]], out["z_mean"], **close)
    np.testing.assert_allclose(decoded[[0, -1]], np.exp(log_sigmoid(out["logits"])), **close)
    assert (mixed[0] == a).all() and (mixed[-1] == b).all()
    np.testing.assert_allclose(zs[4], out["z_mean"].mean(axis=0), **close)
    np.testing.assert_allclose(mixed[4], (a + b) / 2, **close)
    np.testing.assert_allclose(shares, np.linspace(0, 1, 9), **close)
    # The middle of the line is the decoder there, and not the mean of the two images.
    silent = {n: np.zeros_like(w) if n.startswith("encoder") else w for n, w in weights.items()}
    middle = forward(silent, a[None], zs[4][None], "relu")["logits"]
    np.testing.assert_allclose(decoded[4], np.exp(log_sigmoid(middle))[0], **close)
    assert np.abs(decoded[4] - decoded[[0, -1]].mean(axis=0)).max() > 1e-3  # far above rounding


def test_the_losses_of_the_pixels_sum_to_the_reconstruction_term(script):
    import tensorflow as tf

    from shared.elbo import bernoulli_log_likelihood

    random = np.random.RandomState(4)
    x, logits = random.uniform(0, 1, (5, 784)), random.normal(0, 8, (5, 784))
    x[:, :500] = np.round(x[:, :500])  # most of MNIST's pixels are black or white
    logits[0, :4], x[0, :4] = (800, -800, 800, -800), (0, 1, 1, 0)  # where exp overflows
    real = bernoulli_log_likelihood(tf.constant(x), tf.constant(logits)).numpy()
    assert real.dtype == np.float64
    for one, values, log_likelihood in zip(x, logits, real, strict=True):
        losses = script.evaluate("([x, l]) => pixelLosses(x, l)", [one.tolist(), values.tolist()])
        assert len(losses) == 784 and min(losses) >= 0
        # 784 terms of one sign, each within a few roundings of 2^-53, summed in another order.
        np.testing.assert_allclose(sum(losses), -log_likelihood, rtol=800 * 2.0**-53)
        exact = -(one * log_sigmoid(values) + (1 - one) * log_sigmoid(-values))
        np.testing.assert_allclose(losses, exact, rtol=1e-12, atol=1e-12)


def test_the_summary_has_the_sum_the_highest_pixel_and_the_share_of_a_tenth(script):
    losses = [0.0] * 25
    losses[7], losses[3], losses[11], losses[20] = 4.0, 1.0, 2.0, 3.0
    assert script.evaluate("l => summary(l)", losses) == {
        "sum": 10.0, "highest": 7, "tenth": 3, "share": 0.9,
    }  # fmt: skip
    assert script.evaluate("l => summary(l).share", [0.0, 0.0]) == 0


def test_the_colours_become_lighter_with_the_loss_up_to_three_nats(script):
    nats = [0, 0.1, 0.3, 0.6, 1, 1.5, 2, 2.4, 2.9, 3]
    colours = np.array(script.evaluate("n => n.map(heatColour)", nats))
    light = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all() and colours.min() >= 0 and colours.max() <= 255
    assert script.evaluate("[heatColour(3), heatColour(900), heatColour(-1e-17), heatColour(0)]")[
        1::2
    ] == [colours[-1].tolist(), colours[0].tolist()]
