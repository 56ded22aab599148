"""The figures of notebooks and benchmarks: places, areas and colours."""

import warnings

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from scipy.stats import norm

from shared.show.figures import lessons, plots


def test_rows_of_images_are_upright_and_below_each_other():
    rows = {"first": np.random.RandomState(0).uniform(size=(3, 6)), "second": np.zeros((3, 6))}
    axes = lessons.image_rows(rows, (2, 3), "caption").axes[0]
    picture = axes.images[0].get_array()
    assert picture.shape == (4, 9)
    np.testing.assert_array_equal(picture[:2, 3:6], rows["first"][1].reshape(2, 3))
    assert (picture[2:] == 0).all()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    assert list(axes.get_yticks()) == [1, 3]


def test_no_name_of_a_row_is_cut_off():
    rows = {f"{number}: the reconstruction of an image": np.zeros((3, 4)) for number in range(9)}
    figure = lessons.image_rows(rows, (2, 2), "caption")
    figure.draw_without_rendering()
    assert all(label.get_window_extent().x0 > 0 for label in figure.axes[0].get_yticklabels())


def test_the_area_in_the_picture_of_a_kl_is_the_kl():
    z = np.linspace(-9, 9, 3601)
    pairs = {"same": (0.0, 1.0), "moved": (1.5, 1.0), "narrow": (-1.0, 0.05)}
    panels = {title: norm.pdf(z, *pair) for title, pair in pairs.items()}
    assert (panels["narrow"] == 0).any()  # q log q is 0 there, not NaN
    below = lessons.kl_areas(z, norm.pdf(z), panels, "caption").axes[len(pairs) :]
    for axes, (mean, sigma) in zip(below, pairs.values(), strict=True):
        area = float(axes.texts[0].get_text().split()[1])
        exact = 0.5 * (mean**2 + sigma**2 - 1 - np.log(sigma**2))
        assert abs(area - exact) < 1e-3  # as it is printed


def test_a_posterior_is_drawn_in_the_same_orientation_as_its_ellipse():
    """A density with its peak at the upper right, and a q that is wider along z[0]."""
    ticks = np.linspace(-0.5, 0.5, 31)
    first, second = np.meshgrid(ticks, ticks)
    log_posterior = -50 * ((first - 0.3) ** 2 + (second - 0.4) ** 2)
    q = np.array([[2.0, -1.0]]), 2 * np.log([[0.2, 0.1]])
    image = np.zeros((1, 6))
    axes = lessons.posterior_contours(
        0.5, [log_posterior], *q, image, (2, 3), ["title"], "caption"
    ).axes[0]
    np.testing.assert_allclose(axes.get_xlim(), (1.5, 2.5))
    np.testing.assert_allclose(axes.get_ylim(), (-1.5, -0.5))
    # The innermost contour is around the peak, at q's mean + (0.3, 0.4).
    levels = axes.collections[0].get_paths()
    inner = [path.vertices for path in levels if len(path.vertices)][-1]
    np.testing.assert_allclose(inner.mean(axis=0), (2.3, -0.6), atol=0.03)  # a cell of the grid
    for line, radius in zip(axes.lines, (1, 2), strict=True):
        x, y = line.get_data()
        np.testing.assert_allclose((np.ptp(x), np.ptp(y)), (0.4 * radius, 0.2 * radius), rtol=1e-3)
        np.testing.assert_allclose((x.max() + x.min(), y.max() + y.min()), (4, -2), rtol=1e-3)
    # The image is in a corner with low density.
    corner = axes.child_axes[0].get_position()
    whole = axes.get_position()
    assert corner.y1 < whole.y0 + whole.height / 2 or corner.x1 < whole.x0 + whole.width / 2


def test_the_two_areas_of_the_evidence_add_up_to_it():
    x, elbo = np.array([0.5, 1, 2]), np.array([-151.0, -150, -153])
    axes = lessons.evidence_split(x, elbo, -149.0, 1.0, "caption", "x").axes[0]
    lower, upper = (part.get_paths()[0].vertices for part in axes.collections)
    assert upper[:, 1].max() == -149 and upper[:, 1].min() == -153
    assert {tuple(place) for place in zip(x, elbo, strict=True)} <= {tuple(v) for v in lower}
    assert {tuple(place) for place in zip(x, elbo, strict=True)} <= {tuple(v) for v in upper}


def test_curves_have_the_colour_of_their_band():
    x = np.arange(1.0, 6)
    figure = lessons.curves(
        x, {"a": x, "b": 2 * x}, "caption", "x", "y", bands={"b": (x, 3 * x)}, log="x"
    )
    axes = figure.axes[0]
    (band,) = axes.collections
    colour = "#" + "".join(f"{round(255 * part):02x}" for part in band.get_facecolor()[0][:3])
    assert colour == axes.lines[1].get_color() != axes.lines[0].get_color()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")


def test_the_aggregate_posterior_is_drawn_in_the_same_orientation_as_its_samples():
    """A density with its peak at the upper right, and samples of which one in four is outside."""
    ticks = np.linspace(-3, 3, 41)
    first, second = np.meshgrid(ticks, ticks)
    log_density = -20 * ((first - 1) ** 2 + (second - 2) ** 2)
    z = np.array([[1.0, 2.0], [1.0, 2.0], [-2.0, 2.0], [9.0, 9.0]])
    plane, lines = lessons.aggregate_posterior(3, log_density, z, "caption").axes
    inner = [path.vertices for path in plane.collections[0].get_paths() if len(path.vertices)][-1]
    np.testing.assert_allclose(inner.mean(axis=0), (1, 2), atol=0.08)  # half a cell of the grid
    assert [np.ptp(line.get_xdata()).round(3) for line in plane.lines] == [2, 4, 6]
    for patch, places in zip(lines.patches, ({1.0: 0.5, -2.0: 0.25}, {2.0: 0.75}), strict=True):
        density, edges, _ = patch.get_data()
        share = np.zeros(len(density))
        for place, expected in places.items():
            share[np.searchsorted(edges, place + 1e-6) - 1] = expected
        np.testing.assert_allclose(density * np.diff(edges), share, rtol=1e-12)  # float64


def test_the_bars_of_the_kl_are_sorted_and_inactive_ones_are_pale():
    kl, active = np.array([0.5, 0.0, 2.0]), np.array([True, False, True])
    first, second = lessons.kl_bars({"a": (kl, active), "b": (kl[:2], active[:2])}, "caption").axes
    assert [bar.get_height() for bar in first.patches] == [2.0, 0.5, 0.0]
    assert [bar.get_alpha() for bar in second.patches] == [1, 0.35]
    assert first.get_ylim() == second.get_ylim()


def test_rows_and_corners_are_in_colour():
    x = np.random.RandomState(0).uniform(size=(2, 18))
    axes = lessons.image_rows({"a": x, "b": 1 - x}, (2, 3, 3), "caption").axes[0]
    picture = axes.images[0].get_array()
    assert picture.shape == (4, 6, 3)
    np.testing.assert_array_equal(picture[2:, 3:].ravel(), 1 - x[1])
    flat = np.zeros((2, 9, 9))
    figure = lessons.posterior_contours(
        1, flat, np.zeros((2, 2)), np.zeros((2, 2)), x, (2, 3, 3), ["a", "b"], "caption"
    )
    for axes, image in zip(figure.axes, x, strict=True):
        corner = axes.child_axes[0].images[0].get_array()
        np.testing.assert_array_equal(corner, image.reshape(2, 3, 3))


def legend_texts(figure):
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for each in legends if each for text in each.get_texts()]


def test_every_band_line_and_area_is_in_a_legend():
    x = np.arange(1.0, 6)
    figure = lessons.curves(x, {"a": x, "b": x}, "c", "x", "y", bands={"b": (x, 3 * x)})
    legend = figure.axes[0].get_legend()
    shown = [each for each in legend.findobj(Rectangle) if each is not legend.get_frame()]
    (band,) = figure.axes[0].collections
    assert [each.get_facecolor() for each in shown] == [tuple(band.get_facecolor()[0])]
    assert legend_texts(figure) == ["a", "b"]

    figure = lessons.latent_panels({"a": SAME, "b": SAME}, np.zeros(60, int), "caption")
    assert legend_texts(figure) == ["99 % of the prior"]
    (circle,) = figure.axes[0].lines
    radius = np.hypot(*circle.get_data())
    np.testing.assert_allclose(1 - np.exp(-(radius**2) / 2), 0.99, atol=0.002)  # 98.9 %

    z = np.linspace(-4, 4, 99)
    p, q = norm.pdf(z), norm.pdf(z, 1)
    figure = lessons.kl_areas(z, p, {"a": q}, "caption")
    assert legend_texts(figure) == ["p = N(0, 1)", "q", "q > p: above 0", "q < p: below 0"]
    above, below = (part.get_paths()[0].vertices for part in figure.axes[1].collections)
    assert above[:, 1].max() > 0 <= above[:, 1].min() and below[:, 1].min() < 0

    figure = lessons.posterior_contours(
        1, FLAT, POINT, POINT, np.zeros((1, 4)), (2, 2), ["a"], "caption"
    )
    assert legend_texts(figure) == ["p(z|x), the brighter the denser", "q(z|x) at 1 and 2 σ"]

    kl = np.ones(2)
    for active, pale in (([True, True], False), ([True, False], True)):
        figure = lessons.kl_bars({"a": (kl, np.array(active))}, "caption")
        assert figure.get_supxlabel().endswith("; pale: not active") == pale


SAME, POINT, FLAT = np.ones((60, 2)), np.zeros((1, 2)), np.zeros((1, 9, 9))
EXTREMES = {
    "one image": lambda: lessons.image_rows({"a": np.ones((1, 4))}, (2, 2), "caption " * 9),
    "rows": lambda: lessons.image_rows({"a": np.ones((3, 900))}, (1, 900), "caption"),
    "one class": lambda: lessons.latent_panels({"a": SAME}, np.full(60, -3), "caption"),
    "30 classes": lambda: lessons.latent_panels({"a": SAME}, np.arange(60) % 30, "caption"),
    "one value": lambda: lessons.curves(
        np.ones(1), {str(n): np.ones(1) for n in range(12)}, "caption", "x", "y"
    ),
    "one area": lambda: lessons.kl_areas(SAME[:, 0], SAME[:, 0], {"a": SAME[:, 0]}, "caption"),
    "one posterior": lambda: lessons.posterior_contours(
        1, FLAT, POINT, POINT, np.zeros((1, 4)), (2, 2), ["a"], "caption " * 9
    ),
    "equal draws": lambda: lessons.aggregate_posterior(3, FLAT[0], SAME, "caption"),
    "one latent": lambda: lessons.kl_bars({"a": (np.zeros(1), np.array([False]))}, "caption"),
    "no gap": lambda: lessons.evidence_split(
        np.ones(1), np.array([-9.0]), -9.0, 1.0, "caption", "x"
    ),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_are_drawn_without_warnings(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = EXTREMES[name]()
        plots.save(figure, tmp_path / "saved.png")
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
