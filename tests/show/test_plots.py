"""The figures of a run: orientation, axes and colours."""

import itertools
import warnings

import numpy as np
import pytest
from colour_distance import ciede2000, seen_distance
from matplotlib import color_sequences
from matplotlib.colors import to_hex, to_rgb
from PIL import Image
from scipy.stats import norm

from shared.show.figures import plots
from shared.show.figures.canvas import CLASS_COLOURS, tiled


def test_the_grid_is_that_of_gaussian_quantiles():
    z = plots.manifold_z()
    assert z.shape == (225, 2)
    quantiles = norm.cdf(np.unique(z[:, 0].astype(np.float64)))
    np.testing.assert_allclose(quantiles, np.linspace(0.05, 0.95, 15), atol=1e-6)  # float32


def test_the_manifold_has_the_orientation_of_the_scatter():
    """Images whose brightness is z[1] are brighter further up, and with z[0] further right."""
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
        # The ticks have the same orientation: those of y are at the rows that they name.
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


def test_equal_pictures_are_equal_files(tmp_path):
    random = np.random.RandomState(0)
    z, labels = random.normal(size=(50, 2)), random.randint(0, 3, 50)
    for name in ("a", "b"):
        plots.save(plots.latent_scatter(z, labels, 3.0, "caption"), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_both_axes_of_the_manifold_have_full_names():
    axes = plots.manifold(np.zeros((225, 24)), (4, 6), "caption").axes[0]
    # z = 0 is the eighth image of fifteen, and its tick at the middle of it.
    for place, texts, pixels in (
        (axes.get_xticks(), axes.get_xticklabels(), 6),
        (axes.get_yticks(), axes.get_yticklabels(), 4),
    ):
        zero = [text.get_text() for text in texts].index("0.0")
        assert place[zero] == 7.5 * pixels - 0.5
    for number, text in enumerate((axes.get_xlabel(), axes.get_ylabel())):
        assert text == f"z[{number}], at quantiles 0.05 to 0.95 of N(0, 1)"


@pytest.mark.parametrize("channels", [3, 4])
def test_pictures_of_colour_images_are_in_colour(channels):
    images = np.random.RandomState(0).uniform(size=(225, 2 * 3 * channels)).astype(np.float32)
    shape = (2, 3, channels)
    for figure in (
        plots.manifold(images, shape, "caption"),
        plots.image_grid(images, shape, "caption"),
    ):
        picture = figure.axes[0].images[0].get_array()
        assert picture.shape == (30, 45, channels)
        # Image 17 is the third of the second row.
        np.testing.assert_array_equal(picture[2:4, 6:9].ravel(), images[17])
        assert figure.axes[0].get_box_aspect() == pytest.approx(2 / 3)


@pytest.mark.parametrize("n", [1, 2, 14, 15, 16, 75, 76])
def test_every_image_stands_above_its_reconstruction(n):
    random = np.random.RandomState(0)
    x, probs = random.uniform(0.1, 1, (2, n, 6))
    picture = plots.reconstructions(x, probs, (2, 3), "caption").axes[0].images[0].get_array()
    columns = min(n, 15)
    rows = -(-n // columns)
    assert picture.shape == (2 * rows * 2, 3 * columns)
    for i in range(n):
        row, column = divmod(i, columns)
        pair = picture[4 * row : 4 * row + 4, 3 * column : 3 * column + 3]
        np.testing.assert_array_equal(pair, np.concatenate([x[i], probs[i]]).reshape(4, 3))
    assert (picture > 0).sum() == 12 * n  # the rest of the row is black


def test_the_limit_includes_its_share_of_the_points_of_every_set():
    random = np.random.RandomState(0)
    far = np.zeros((1000, 2))
    far[:3, 0] = 9  # 0.3 % of the points, but 0.15 % of the coordinates
    sets = [far, random.normal(size=(700, 2)), random.standard_t(1, (33, 2)), np.ones((1, 2))]
    for z in (*sets, -sets[1]):
        side = plots.latent_limit(z) / 1.05  # without its margin
        # The smallest square with this share, to within the rounding of float64.
        assert (np.abs(z) <= side * (1 + 1e-12)).all(axis=1).mean() >= 0.998
        assert (np.abs(z) < side * (1 - 1e-12)).all(axis=1).mean() < 0.998
    assert plots.latent_limit(*sets) == max(plots.latent_limit(z) for z in sets)
    assert plots.latent_limit(np.zeros((5, 2))) == 1  # not zero


def test_the_distance_of_colours_equals_published_values():
    """Pairs of the test data of Sharma, Wu and Dalal 2005, printed there with four decimals."""
    for first, second, distance in (
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (61, -5, 29), 22.8977),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ):
        assert abs(ciede2000(first, second) - distance) < 1e-4
        assert abs(ciede2000(second, first) - distance) < 1e-4


def test_digits_that_overlap_in_the_plane_have_different_colours():
    assert sorted(CLASS_COLOURS) == sorted(map(to_hex, color_sequences["petroff10"]))
    pairs = "49 58 79 35 38 26 23 47 06 25 48 45 28 78"
    distances = {
        pair: seen_distance(*(to_rgb(CLASS_COLOURS[int(digit)]) for digit in pair))
        for pair in pairs.split()
    }
    # The order of the palette has 13.4, the best of all orders 26.5.
    assert min(distances.values()) > 26, distances


def test_a_saved_label_has_the_colour_of_its_class(tmp_path):
    """The number of colours in a file is limited, but the classes keep theirs."""
    random = np.random.RandomState(0)
    labels = random.randint(0, 10, 3000)
    angle = 2 * np.pi * labels / 10
    z = 2 * np.stack([np.cos(angle), np.sin(angle)], 1) + random.normal(0, 0.5, (3000, 2))
    plots.save(plots.latent_scatter(z, labels, 4.0, "caption"), tmp_path / "saved.png")
    # An equal figure is drawn, because the layout of the same figure changes a little.
    whole = plots._rendered(plots.latent_scatter(z, labels, 4.0, "caption"), plots.DPI)
    whole = np.asarray(whole).astype(int)
    with Image.open(tmp_path / "saved.png") as picture:
        saved = np.asarray(picture.convert("RGB")).astype(int)
    for colour in CLASS_COLOURS:
        rgb = np.round(255 * np.array(to_rgb(colour)))
        own = (whole == rgb).all(axis=2)  # the inside of the label
        assert own.sum() > 20
        assert np.abs(saved[own] - rgb).max() <= 20  # of 255; other classes differ more


def test_a_saved_colour_image_keeps_its_colours(tmp_path):
    images = np.random.RandomState(0).uniform(size=(1, 40 * 40 * 3))
    plots.save(plots.image_grid(images, (40, 40, 3), "caption", 1), tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 1000


LABELS = {
    "one class": np.full(60, 3),
    "30 classes": np.arange(60) % 30,
    "other labels": np.array([-5, 10**12])[np.arange(60) % 2],
}
ROW = {"epoch": 1, "loss": 2.0, "val_loss": 3.0}
EXTREMES = {
    **{
        f"scatter, {name}, {place}": lambda labels=labels, z=z: plots.latent_scatter(
            z, labels, plots.latent_limit(z), "caption"
        )
        for (name, labels), (place, z) in itertools.product(
            LABELS.items(), {"origin": np.zeros((60, 2)), "far": np.full((60, 2), 1e6)}.items()
        )
    },
    "scatter, one image": lambda: plots.latent_scatter(np.ones((1, 2)), np.ones(1, int), 1, "c"),
    "manifold of pixels": lambda: plots.manifold(np.zeros((225, 1)), (1, 1), "caption"),
    "manifold of rows": lambda: plots.manifold(np.zeros((225, 300)), (1, 300), "caption"),
    "one image": lambda: plots.image_grid(np.ones((1, 6)), (2, 3), "caption"),
    "one image alone": lambda: plots.image_grid(np.ones((1, 6)), (2, 3), "two\nlines", 1),
    "rows": lambda: plots.image_grid(np.ones((20, 3000)), (1, 3000), "caption"),
    "columns": lambda: plots.image_grid(np.ones((20, 300)), (300, 1), "caption"),
    "out of range": lambda: plots.image_grid(np.full((2, 6), 1.5), (1, 2, 3), "caption"),
    "one epoch": lambda: plots.loss_by_epoch([ROW], "caption"),
    "one step": lambda: plots.loss_by_step({"a": np.ones(1)}, {"b": np.ones((2, 1))}, "caption"),
    "12 lines": lambda: plots.loss_by_step({str(n): np.ones(3) for n in range(12)}, {}, "caption"),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_are_drawn_without_warnings(name, tmp_path, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.save(EXTREMES[name](), tmp_path / "saved.png")
    assert not caplog.records  # matplotlib logs some of its warnings
    with Image.open(tmp_path / "saved.png") as picture:
        assert min(picture.size) > 50 and max(picture.size) < 10_000


def test_an_animation_of_one_frame(tmp_path):
    figure = plots.latent_scatter(np.ones((1, 2)), np.ones(1, int), 1, "caption")
    plots.save_animation([figure], tmp_path / "one.gif")
    with Image.open(tmp_path / "one.gif") as gif:
        assert gif.n_frames == 1
