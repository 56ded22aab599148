"""Pictures: which way is up, which axes, how many decoder calls."""

import dataclasses

import numpy as np
from PIL import Image
from scipy.stats import norm

from shared.config import recipe
from shared.run.folder import read_config
from shared.show import pictures, plots
from shared.show.canvas import tiled
from shared.show.report import caption, draw_figures


def test_the_grid_is_that_of_gaussian_quantiles():
    z = plots.manifold_z()
    assert z.shape == (225, 2)
    quantiles = norm.cdf(np.unique(z[:, 0].astype(np.float64)))
    np.testing.assert_allclose(quantiles, np.linspace(0.05, 0.95, 15), atol=1e-6)  # float32


def test_the_manifold_stands_as_the_scatter_does():
    """Images whose brightness is z[1] get brighter upward, and to the right with z[0]."""
    z = plots.manifold_z()
    for axis, direction in ((1, "up"), (0, "right")):
        images = np.repeat(norm.cdf(z[:, [axis]]), 16, axis=1).astype(np.float32)
        axes = plots.manifold(images, (4, 4), "caption").axes[0]
        picture = axes.images[0].get_array()
        assert axes.images[0].origin == "upper"
        top, bottom = picture[:4].mean(), picture[-4:].mean()
        left, right = picture[:, :4].mean(), picture[:, -4:].mean()
        if direction == "up":
            assert top > 0.9 > 0.1 > bottom and abs(left - right) < 1e-6
        else:
            assert right > 0.9 > 0.1 > left and abs(top - bottom) < 1e-6
        # The tick labels say so too: y ticks lie at the rows they name.
        texts = [float(t.get_text().replace("−", "-")) for t in axes.get_yticklabels()]
        places = axes.get_yticks()
        assert texts[np.argmin(places)] == 1.6 and texts[np.argmax(places)] == -1.6


def test_a_tile_holds_its_image_upright():
    image = np.zeros((1, 6), np.float32)
    image[0, 1] = 1  # row 0, column 1 of 2 × 3
    picture = tiled(np.repeat(image, 4, axis=0), 2, (2, 3))
    assert picture.shape == (4, 6)
    assert [tuple(place) for place in np.argwhere(picture)] == [(0, 1), (0, 4), (2, 1), (2, 4)]


def test_a_scatter_has_equal_axes_and_a_colour_a_class():
    random = np.random.RandomState(0)
    z, labels = random.normal(size=(500, 2)), random.randint(0, 10, 500)
    axes = plots.latent_scatter(z, labels, 3.0, "caption").axes[0]
    assert axes.get_xlim() == axes.get_ylim() == (-3.0, 3.0)
    assert axes.get_aspect() == 1
    (points,) = axes.collections
    offsets, colours = np.asarray(points.get_offsets()), points.get_facecolors()
    assert len(np.unique(colours, axis=0)) == 10
    # Each point has the colour of its own class.
    by_place = {tuple(place): tuple(colour) for place, colour in zip(offsets, colours, strict=True)}
    for label in range(10):
        assert len({by_place[tuple(place)] for place in z[labels == label]}) == 1
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    for label in range(10):
        np.testing.assert_allclose(texts[str(label)], np.median(z[labels == label], axis=0))


def test_a_smoothed_line_is_a_running_mean():
    losses = np.random.RandomState(0).normal(size=(2, 30))
    smoothed = plots._smoothed(losses, window=4)
    np.testing.assert_allclose(smoothed[:, 10], losses[:, 7:11].mean(axis=1))
    np.testing.assert_allclose(smoothed[:, 1], losses[:, :2].mean(axis=1))


def test_figures_of_a_run(implementation, data, tmp_path):
    config = recipe("post-keras", epochs=2, picture_epochs=(1,), hidden_dims=(8,))
    implementation.train(config, data, tmp_path, verbose=0)
    calls = []

    def decode(model, z):
        calls.append(len(z))
        return implementation.decode(model, z)

    paths = draw_figures(tmp_path, data, implementation.load, implementation.encode, decode)
    assert calls == [225, 225]  # one batched call a manifold
    assert [path.name for path in paths] == [
        "latent_epoch_001.png",
        "manifold_epoch_001.png",
        "latent_epoch_002.png",
        "manifold_epoch_002.png",
        "loss.png",
    ]
    for path in paths:
        assert Image.open(path).size[0] > 600
    text = caption(read_config(tmp_path), 2)
    for part in (
        implementation.name,
        "post-keras",
        "hidden_dims (8,)",
        "epoch 2",
        "bars",
        "seed 0",
    ):
        assert part in text


def test_a_caption_fits_its_figure_whatever_it_names():
    """Drawn at the size of every figure, no line is wider than the narrowest."""
    config = recipe(
        "post-tf", initializer="glorot_uniform", learning_rate=1e-3, batch_size=128, epochs=10,
        likelihood="categorical", hidden_dims=(64, 32, 16), latent_dim=7, beta=0.5,
    )  # fmt: skip
    described = {"name": "fashion-of-1900", "n_train": 60000, "n_test": 10000}
    values = {**dataclasses.asdict(config), "data": described, "trained_by": ["keras_vae"]}
    text = caption(values, 10)
    assert "likelihood categorical" in text and text.endswith("seed 0")
    figure = plots.latent_scatter(np.zeros((3, 2)), np.arange(3), 1.0, text)
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_rows_of_images_stand_upright_below_each_other():
    rows = {"first": np.random.RandomState(0).uniform(size=(3, 6)), "second": np.zeros((3, 6))}
    axes = pictures.image_rows(rows, (2, 3), "caption").axes[0]
    picture = axes.images[0].get_array()
    assert picture.shape == (4, 9)
    np.testing.assert_array_equal(picture[:2, 3:6], rows["first"][1].reshape(2, 3))
    assert (picture[2:] == 0).all()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    assert list(axes.get_yticks()) == [1, 3]


def test_no_name_of_a_row_is_cut_off():
    rows = {f"{number}: the reconstruction of an image": np.zeros((3, 4)) for number in range(9)}
    figure = pictures.image_rows(rows, (2, 2), "caption")
    figure.draw_without_rendering()
    assert all(label.get_window_extent().x0 > 0 for label in figure.axes[0].get_yticklabels())


def test_equal_pictures_are_equal_files(tmp_path):
    random = np.random.RandomState(0)
    z, labels = random.normal(size=(50, 2)), random.randint(0, 3, 50)
    for name in ("a", "b"):
        plots.save(plots.latent_scatter(z, labels, 3.0, "caption"), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_samples_do_not_depend_on_the_model(data):
    from shared.show.report import prior_samples

    config = recipe("post-keras", latent_dim=3)
    z = prior_samples(config, 4000)
    assert z.dtype == np.float32 and z.shape == (4000, 3)
    # Standard errors of mean and variance of 4000 standard normals.
    assert np.abs(z.mean(axis=0)).max() < 5 / 4000**0.5
    assert np.abs(z.var(axis=0) - 1).max() < 5 * (2 / 4000) ** 0.5
    other = prior_samples(dataclasses.replace(config, seed=1), 4000)
    assert (z != other).any() and (prior_samples(config, 4000, seed=1) == other).all()


def test_an_animation_has_a_frame_an_epoch_on_the_same_axes(implementations, data, tmp_path):
    from shared.show.animation import animate

    rows = []
    config = recipe("post-keras", hidden_dims=(8,), epochs=3)
    animate(tmp_path / "latent.gif", implementations["tf_vae"], config, data, rows.append)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    with Image.open(tmp_path / "latent.gif") as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0
        frames, durations = [], []
        for number in range(3):
            gif.seek(number)
            frames.append(np.asarray(gif.convert("RGB")))
            durations.append(gif.info["duration"])
    assert durations == [200, 200, 2000]
    assert frames[0].shape == frames[1].shape == frames[2].shape
    assert (frames[0] != frames[2]).any()
    left, below = frames[0][60:-40, :35], frames[0][-35:, 60:-5]
    assert (left == frames[2][60:-40, :35]).all() and (below == frames[2][-35:, 60:-5]).all()
    assert [path.name for path in tmp_path.iterdir()] == ["latent.gif"]


def test_the_area_in_the_picture_of_a_kl_is_the_kl():
    z = np.linspace(-9, 9, 3601)
    pairs = {"same": (0.0, 1.0), "moved": (1.5, 1.0), "narrow": (-1.0, 0.05)}
    panels = {title: norm.pdf(z, *pair) for title, pair in pairs.items()}
    assert (panels["narrow"] == 0).any()  # q log q is 0 there, not NaN
    below = pictures.kl_areas(z, norm.pdf(z), panels, "caption").axes[len(pairs) :]
    for axes, (mean, sigma) in zip(below, pairs.values(), strict=True):
        area = float(axes.texts[0].get_text().split()[1])
        exact = 0.5 * (mean**2 + sigma**2 - 1 - np.log(sigma**2))
        assert abs(area - exact) < 1e-3  # as it is printed


def test_a_posterior_stands_as_its_ellipse_does():
    """A density that grows to the upper right, and a q that is wider along z[0]."""
    ticks = np.linspace(-0.5, 0.5, 31)
    first, second = np.meshgrid(ticks, ticks)
    log_posterior = -50 * ((first - 0.3) ** 2 + (second - 0.4) ** 2)
    q = np.array([[2.0, -1.0]]), 2 * np.log([[0.2, 0.1]])
    image = np.zeros((1, 6))
    axes = pictures.posterior_contours(
        0.5, [log_posterior], *q, image, (2, 3), ["title"], "caption"
    ).axes[0]
    np.testing.assert_allclose(axes.get_xlim(), (1.5, 2.5))
    np.testing.assert_allclose(axes.get_ylim(), (-1.5, -0.5))
    # The innermost contour lies about the peak, at q's mean + (0.3, 0.4).
    levels = axes.collections[0].get_paths()
    inner = [path.vertices for path in levels if len(path.vertices)][-1]
    np.testing.assert_allclose(inner.mean(axis=0), (2.3, -0.6), atol=0.03)  # a cell of the grid
    for line, radius in zip(axes.lines, (1, 2), strict=True):
        x, y = line.get_data()
        np.testing.assert_allclose((np.ptp(x), np.ptp(y)), (0.4 * radius, 0.2 * radius), rtol=1e-3)
        np.testing.assert_allclose((x.max() + x.min(), y.max() + y.min()), (4, -2), rtol=1e-3)
    # The image is in a corner that the density leaves free.
    corner = axes.child_axes[0].get_position()
    whole = axes.get_position()
    assert corner.y1 < whole.y0 + whole.height / 2 or corner.x1 < whole.x0 + whole.width / 2


def test_the_two_parts_of_the_evidence_fill_it():
    x, elbo = np.array([0.5, 1, 2]), np.array([-151.0, -150, -153])
    axes = pictures.evidence_split(x, elbo, -149.0, 1.0, "caption", "x").axes[0]
    lower, upper = (part.get_paths()[0].vertices for part in axes.collections)
    assert upper[:, 1].max() == -149 and upper[:, 1].min() == -153
    assert {tuple(place) for place in zip(x, elbo, strict=True)} <= {tuple(v) for v in lower}
    assert {tuple(place) for place in zip(x, elbo, strict=True)} <= {tuple(v) for v in upper}


def test_curves_have_the_colour_of_their_band():
    x = np.arange(1.0, 6)
    figure = pictures.curves(
        x, {"a": x, "b": 2 * x}, "caption", "x", "y", bands={"b": (x, 3 * x)}, log="x"
    )
    axes = figure.axes[0]
    (band,) = axes.collections
    colour = "#" + "".join(f"{round(255 * part):02x}" for part in band.get_facecolor()[0][:3])
    assert colour == axes.lines[1].get_color() != axes.lines[0].get_color()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")


def test_the_aggregate_posterior_stands_as_its_draws_do():
    """A density that grows to the upper right, and draws of which one in four lies outside."""
    ticks = np.linspace(-3, 3, 41)
    first, second = np.meshgrid(ticks, ticks)
    log_density = -20 * ((first - 1) ** 2 + (second - 2) ** 2)
    z = np.array([[1.0, 2.0], [1.0, 2.0], [-2.0, 2.0], [9.0, 9.0]])
    plane, lines = pictures.aggregate_posterior(3, log_density, z, "caption").axes
    inner = [path.vertices for path in plane.collections[0].get_paths() if len(path.vertices)][-1]
    np.testing.assert_allclose(inner.mean(axis=0), (1, 2), atol=0.08)  # half a cell of the grid
    assert [np.ptp(line.get_xdata()).round(3) for line in plane.lines] == [2, 4, 6]
    for patch, places in zip(lines.patches, ({1.0: 0.5, -2.0: 0.25}, {2.0: 0.75}), strict=True):
        density, edges, _ = patch.get_data()
        share = np.zeros(len(density))
        for place, expected in places.items():
            share[np.searchsorted(edges, place + 1e-6) - 1] = expected
        np.testing.assert_allclose(density * np.diff(edges), share, rtol=1e-12)  # float64


def test_the_bars_of_the_kl_go_down_and_the_idle_ones_are_pale():
    kl, active = np.array([0.5, 0.0, 2.0]), np.array([True, False, True])
    first, second = pictures.kl_bars({"a": (kl, active), "b": (kl[:2], active[:2])}, "caption").axes
    assert [bar.get_height() for bar in first.patches] == [2.0, 0.5, 0.0]
    assert [bar.get_alpha() for bar in second.patches] == [1, 0.35]
    assert first.get_ylim() == second.get_ylim()
