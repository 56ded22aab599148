"""The figures of a run: orientation, axes and colours."""

import itertools
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from colour_distance import ciede2000, contrast, seen_distance
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.stats import norm

from shared.show.figures import plots
from shared.show.figures.canvas import CLASS_COLOURS, LINE_COLOURS, moved_apart, tiled

PAGE = Path(__file__).parents[2] / "shared" / "show" / "page"


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
    labels = random.randint(0, 10, 500)
    turn = 2 * np.pi * labels / 10
    z = 2 * np.stack([np.cos(turn), np.sin(turn)], axis=1) + random.normal(0, 0.2, (500, 2))
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


# Medians of the classes in the test set of MNIST, from pretrained/post-keras.
MEDIANS = {
    5: [
        (0.26, -2.24),
        (-2.12, 1.67),
        (0.14, -0.55),
        (0.3, -0.16),
        (0.91, 0.88),
        (0.03, 0.12),
        (-0.43, -1.1),
        (0.43, 2.04),
        (0.13, 0.21),
        (0.92, 1.13),
    ],
    50: [
        (0.24, -2.19),
        (-2.12, 1.23),
        (0.11, -0.6),
        (0.28, -0.18),
        (0.85, 0.8),
        (0.06, 0.02),
        (-0.28, -1.19),
        (0.6, 1.77),
        (0.2, 0.24),
        (1.01, 0.99),
    ],
}


@pytest.mark.parametrize("epoch", MEDIANS)
def test_labels_do_not_overlap(epoch):
    medians = np.array(MEDIANS[epoch], np.float64)
    figure = plots.latent_scatter(medians, np.arange(10), 4.27, "caption")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    discs = [text.get_bbox_patch().get_window_extent() for text in axes.texts]
    diameter = discs[0].height  # pixels
    centres = np.array([((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in discs])
    for first, second in itertools.combinations(centres, 2):
        assert np.hypot(*(first - second)) > diameter
    # Each is not far from its own median.
    places = np.array([text.get_position() for text in axes.texts])
    moved = np.hypot(*(places - medians).T) * axes.bbox.height / (2 * 4.27)
    assert 0 < moved.max() < 1.2 * diameter
    far = [0, 1, 6, 7]  # no other label is near
    np.testing.assert_allclose(places[far], medians[far], rtol=1e-12)  # of float64


def test_points_that_are_moved_apart_keep_their_distance_and_their_centre():
    for places in ([(0, 0)] * 10, [(0, 0), (0.1, 0)], [(1, 1), (1, 1), (5, 5)]):
        moved = moved_apart(places, 1.0)
        distances = [np.hypot(*(a - b)) for a, b in itertools.combinations(moved, 2)]
        assert min(distances) > 1 - 1e-9  # of float64
        np.testing.assert_allclose(np.mean(moved, axis=0), np.mean(places, axis=0), atol=1e-9)
    np.testing.assert_allclose(moved[2], (5, 5))  # it was far from both
    np.testing.assert_allclose(moved_apart([(0, 0), (0.5, 0)], 1)[:, 1], 0)  # along their line


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
    pairs = "49 58 79 35 38 26 23 47 06 25 48 45 28 78"
    distances = {
        pair: seen_distance(*(to_rgb(CLASS_COLOURS[int(digit)]) for digit in pair))
        for pair in pairs.split()
    }
    assert min(distances.values()) > 18, distances
    every = itertools.combinations(map(to_rgb, CLASS_COLOURS), 2)
    assert min(seen_distance(*pair) for pair in every) > 9
    assert sorted(LINE_COLOURS) == sorted(CLASS_COLOURS)


def papers():
    """The colours of the backgrounds: of a light figure, of GitHub's dark page, of our page."""
    css = "".join(path.read_text(encoding="utf-8") for path in PAGE.glob("*.css"))
    own = re.findall(r"--paper: (#[0-9a-f]{6})", css)
    assert len(own) >= 2  # light and dark
    return {"#ffffff", "#0d1117", *own}


def test_the_contrast_of_colours_equals_published_values():
    """Of WCAG 2.2: 21 of black on white; 4.54 of #767676, a grey that is just enough for text."""
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast(to_rgb("#767676"), (1, 1, 1)) == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("paper", sorted(papers()))
def test_the_colour_of_every_class_can_be_seen_on_every_background(paper):
    """At 3 : 1, which WCAG 2.2 wants of graphical objects, in the plane and in lines."""
    z = np.random.RandomState(0).normal(size=(10, 2))
    (points,) = plots.latent_scatter(z, np.arange(10), 3.0, "caption").axes[0].collections
    shown = points.get_facecolors()
    assert len(shown) == 10 and (shown[:, 3] == 1).all()  # nothing shines through
    for colour in (*shown[:, :3], *map(to_rgb, LINE_COLOURS)):
        assert contrast(colour, to_rgb(paper)) >= 3, colour


def test_lines_beside_each_other_have_different_colours():
    """The first of a figure most of all: few have more than four lines."""
    for first, second in itertools.combinations(map(to_rgb, LINE_COLOURS[:4]), 2):
        assert seen_distance(first, second) > 13


def test_a_legend_shows_every_band_beside_its_line():
    losses = np.random.RandomState(0).uniform(size=(3, 40))
    figure = plots.loss_by_step({"seeds": losses}, {"a": losses, "b": losses + 1}, "caption")
    axes, legend = figure.axes[0], figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "seeds"]
    shown = [each for each in legend.findobj(Rectangle) if each is not legend.get_frame()]
    for patch, band in zip(shown, axes.collections, strict=True):
        np.testing.assert_array_equal(patch.get_facecolor(), band.get_facecolor()[0])
    colours = [line.get_color() for line in legend.findobj(Line2D)]
    assert colours == LINE_COLOURS[:3]


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
