"""The section "Look closer" in a browser: between two digits, loss by pixel, a file's weights."""

import numpy as np
import pytest
from browser import canvas, choose, until
from oracle import forward, log_sigmoid
from page_weights import page_weights

from shared.config import recipe
from shared.run.files import npz_bytes
from shared.run.folder import read_run_weights
from shared.weights import weight_shapes

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser


def row(page, name):
    """The nine images of a row, (9, 784) grey pixels."""
    script = """row => Array.from(row.children, (c) =>
      Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data)
        .filter((_, i) => i % 4 === 0))"""
    return np.array(page.locator(f"#closer-{name}").evaluate(script))


def drawn(page):
    """Waits for the next two frames, with which the section is drawn again."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.mark.parametrize("epoch", [1, 2])
def test_the_rows_begin_and_end_with_the_chosen_digits(page, results, epoch):
    choose(page, epoch - 1)
    page.locator("#closer-from").select_option("4")
    page.locator("#closer-to").select_option("9")
    drawn(page)
    decoded, mixed = row(page, "decoded"), row(page, "mixed")
    tests = np.array(page.evaluate("[4, 9].map((n) => Array.from(vae.tests[n].x))"))
    assert page.evaluate("[4, 9].map((n) => vae.tests[n].name)") == ["4", "9"]
    # 255 · 1e-9 of sums in another order beside the nearest of 256 greys
    grey = 0.5 + 1e-6
    assert np.abs(mixed[[0, -1]] - 255 * tests).max() <= grey
    assert np.abs(mixed[4] - 255 * tests.mean(axis=0)).max() <= grey
    weights = page_weights(results / "keras" / "post-keras", epoch, (1, 2))[1]
    ends = np.exp(log_sigmoid(forward(weights, tests, np.zeros((2, 2)), "relu")["logits"]))
    assert np.abs(decoded[[0, -1]] - 255 * ends).max() <= grey


def test_an_end_can_be_the_drawing(page):
    page.locator("#closer-from").select_option("x")
    page.evaluate("vae.load(vae.likeMnist([[[0.2, 0.2], [0.8, 0.8]]]))")
    drawn(page)
    assert (row(page, "mixed")[0] == canvas(page, "seen")).all() and canvas(page, "seen").any()


def test_the_heat_map_has_the_reconstruction_term_of_the_graph(page):
    page.locator("#tests button").nth(5).click()
    for z in ([0.5, -1.0], [-2.0, 0.1]):
        page.evaluate("z => vae.moveTo(z)", z)
        drawn(page)
        shown = page.locator("#net-likelihood").text_content().replace("−", "-").split()[0]
        said = page.locator("#closer-sum").inner_text()
        assert f"784 pixels is {shown.removeprefix('-')} nats" in said
        assert (canvas(page, "closer-x") == canvas(page, "seen")).all()
        assert (canvas(page, "closer-p") == canvas(page, "digit")).all()
        colours = page.evaluate(
            """() => {
              const context = document.getElementById("closer-map").getContext("2d");
              const own = pixelLosses(vae.state.x, logits(vae.state.epoch.weights, vae.state.z));
              const data = context.getImageData(0, 0, 28, 28).data;
              return own.every((loss, i) =>
                heatColour(loss).every((value, channel) => data[4 * i + channel] === value));
            }"""
        )
        assert colours
    box = page.locator("#closer-map").bounding_box()
    pixel = box["width"] / 28
    page.locator("#closer-map").hover(position={"x": 3.5 * pixel, "y": 20.5 * pixel})
    assert page.locator("#closer-pixel").inner_text().startswith("Row 21, column 4: x = ")


def open_file(page, path):
    page.locator("#own-file").set_input_files(path)
    until(page, "document.getElementById('own-status').textContent")
    return page.locator("#own-status").inner_text()


def test_the_weights_of_a_file_are_shown_exactly_and_given_back(page, results):
    """float32 weights, while the page's own are rounded: the numbers are those of the file."""
    directory = results / "tf" / "post-keras"
    weights = read_run_weights(directory, 1)[1]
    page.locator("#tests button").nth(3).click()
    page.evaluate("vae.moveTo([0.3, -0.4])")
    before, manifold = canvas(page, "digit"), page.locator("#manifold").evaluate("c=>c.toDataURL()")
    said = open_file(page, directory / "weights_epoch_001.npz")
    assert said.startswith("your weights: weights_epoch_001.npz, 784-256-2-256-784; the dots are")
    assert page.locator("#epoch-value").inner_text() == "your weights: weights_epoch_001.npz"
    for name, array in weights.items():
        found = page.evaluate("name => Array.from(vae.state.epoch.weights[name])", name)
        assert (np.array(found, np.float32) == array.ravel()).all(), name
    x = canvas(page, "seen")[None] / 255
    out = forward(weights, x, np.zeros((1, 2)), "relu")
    # Sums of at most 784 float64 products in another order.
    q = page.evaluate("[vae.state.q.zMean, vae.state.q.zLogVar].map((v) => Array.from(v))")
    np.testing.assert_allclose(q, [out["z_mean"][0], out["z_log_var"][0]], rtol=0, atol=1e-9)
    assert page.evaluate("vae.state.z") == [0.3, -0.4]
    assert (canvas(page, "digit") != before).any()
    images = page.evaluate(
        """async () => {
          const { images, labels } = await ownImages(vae);
          return [images.map((x) => Array.from(x)), Array.from(labels)];
        }"""
    )
    dots = np.reshape(page.evaluate("Array.from(vae.state.epoch.zMeans)"), (-1, 2))
    exact = forward(weights, np.array(images[0]), np.zeros((len(dots), 2)), "relu")["z_mean"]
    np.testing.assert_allclose(dots, exact, rtol=1e-6, atol=1e-6)  # the page keeps float32
    assert len(dots) == len(images[1]) and sorted(set(images[1])) == list(range(10))
    centre = np.array(page.evaluate("vae.state.epoch.centres[7]"))
    sevens = exact[np.array(images[1]) == 7]
    # The median of an even number is the upper one here: half of the dots are on either side.
    below = (sevens < centre - 1e-9).sum(axis=0)
    assert (below == len(sevens) // 2).all()
    until(page, f"document.getElementById('manifold').toDataURL() !== '{manifold}'")
    page.locator("#own-back").click()
    assert page.locator("#epoch-value").inner_text() == "epoch 2 of 2"
    assert (canvas(page, "digit") == before).all()
    assert not page.locator("#own-back").is_visible()
    assert page.locator("#own-status").inner_text() == ""


def test_the_slider_leaves_the_weights_of_a_file(page, results):
    open_file(page, results / "keras" / "post-keras" / "weights.npz")
    choose(page, 0)
    assert page.locator("#epoch-value").inner_text() == "epoch 1 of 2"
    assert not page.locator("#own-back").is_visible()
    assert page.evaluate("vae.state.epoch.file") is None


def test_dots_far_from_the_prior_widen_the_plane(page, results, tmp_path):
    weights = dict(read_run_weights(results / "tf" / "post-keras", 2)[1])
    for name in ("kernel", "bias"):
        weights[f"encoder/z_mean/{name}"] = weights[f"encoder/z_mean/{name}"] * np.float32(10)
    (tmp_path / "wide.npz").write_bytes(npz_bytes(weights))
    limit = page.evaluate("vae.limit")
    open_file(page, tmp_path / "wide.npz")
    until(page, f"vae.view().half > 2 * {limit}")
    dots = np.abs(page.evaluate("Array.from(vae.state.epoch.zMeans)"))
    assert (dots < page.evaluate("vae.view().half")).mean() >= 0.98  # 99 % of the coordinates
    page.locator("#own-back").click()
    until(page, f"vae.view().half === {limit}")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_file_that_does_not_fit_gets_one_line_and_changes_nothing(
    visit, results, tmp_path, language
):
    page = visit(results / "index.html", locale=language)
    shapes = weight_shapes(recipe("post-tf"), 784)
    wide = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    (tmp_path / "wide.npz").write_bytes(npz_bytes(wide))
    (tmp_path / "a<b>.npz").write_bytes(b"not an archive")
    before = canvas(page, "digit")
    said = open_file(page, tmp_path / "wide.npz")
    for word in ("wide.npz", "encoder/z_mean/kernel", "(400, 20)", "(400, 2)"):
        assert word in said
    said = open_file(page, tmp_path / "a<b>.npz")
    until(page, "document.getElementById('own-status').textContent.includes('a<b>.npz')")
    assert "\n" not in said and page.locator("#own-status.warn").count() == 1
    assert (canvas(page, "digit") == before).all()
    assert page.evaluate("vae.state.epoch.file") is None


def test_a_file_can_be_dropped_anywhere(page, results):
    content = list((results / "keras" / "post-keras" / "weights.npz").read_bytes())
    page.evaluate(
        """content => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(content)], "dropped.npz"));
          for (const kind of ["dragover", "drop"])
            document.getElementById("plane").dispatchEvent(new DragEvent(kind,
              { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        content,
    )
    until(page, "vae.state.epoch.file === 'dropped.npz'")
    page.keyboard.press("Tab")  # the page is still there
    assert page.evaluate("document.documentElement.classList.contains('dropping')") is False
