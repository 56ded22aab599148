"""The figures of a table, of data without labels, and of classes with names."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from shared.config import recipe
from shared.data import load_data
from shared.run.folder import figure_names, read_config
from shared.show.figures import plots, tables
from shared.show.figures.canvas import LEGEND
from shared.show.figures.of_run import Pictures, draw_figures

RANDOM = np.random.RandomState(0)


def boxes(figure, texts):
    figure.draw_without_rendering()
    return [text.get_window_extent() for text in texts if text.get_text()]


def panels(figure):
    """The axes of a figure that show a column."""
    return [axes for axes in figure.axes if axes.get_title()]


@pytest.mark.parametrize("count", [1, 2, 5, 16, 42])
def test_every_column_has_a_panel_with_its_name_up_to_a_number(count):
    names = [f"c{n}" for n in range(count)]
    x = RANDOM.normal(size=(225, count))
    for figure in (
        tables.column_maps(x, names, "caption"),
        tables.column_samples(x, names, "caption", x),
        tables.column_samples(x, names, "caption"),
        tables.column_reconstructions(x, x, names, "caption"),
    ):
        assert [axes.get_title() for axes in panels(figure)] == names[: tables.SHOWN]
        cut = f", the first {tables.SHOWN} of {count} columns"
        assert figure._suptitle.get_text().endswith(cut) == (count > tables.SHOWN)


def test_a_map_has_the_orientation_of_the_scatter():
    """A column that is z[1] grows upward, and one that is z[0] to the right."""
    z = plots.manifold_z()
    figure = tables.column_maps(z, ["right", "up"], "caption")
    for axes, axis in zip(panels(figure), (0, 1), strict=True):
        (mesh,) = axes.collections
        corners = mesh.get_coordinates()
        values = np.asarray(mesh.get_array())
        assert corners[0, 0, 0] < corners[0, -1, 0] and corners[0, 0, 1] < corners[-1, 0, 1]
        grows = np.diff(values, axis=1 - axis)  # along columns of the mesh for z[0]
        assert (grows > 0).all() and (np.diff(values, axis=axis) == 0).all()


def test_a_reconstruction_is_drawn_at_its_value_and_its_mean():
    x, means = RANDOM.normal(size=(2, 30, 3)) * [1, 1e6, 1e-4]
    figure = tables.column_reconstructions(x, means, ["a", "b", "c"], "caption")
    for number, axes in enumerate(panels(figure)):
        points, diagonal = axes.lines
        np.testing.assert_array_equal(points.get_xdata(), x[:, number])
        np.testing.assert_array_equal(points.get_ydata(), means[:, number])
        np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
        assert axes.get_xlim() == axes.get_ylim()
        low, high = axes.get_xlim()
        both = np.concatenate([x[:, number], means[:, number]])
        assert low <= both.min() and both.max() <= high


def test_the_bars_of_samples_and_data_are_shares():
    samples, x = RANDOM.normal(size=(300, 2)), RANDOM.normal(2, 3, size=(70, 2))
    samples[0, 0] = 1e9  # an outlier does not squeeze the others into one bar
    figure = tables.column_samples(samples, ["a", "b"], "caption", x)
    for axes in panels(figure):
        bars = [patch for patch in axes.patches if type(patch).__name__ == "Rectangle"]
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
        assert sum(bar.get_height() > 0 for bar in bars) > 8
        (outline,) = [patch for patch in axes.patches if type(patch).__name__ == "Polygon"]
        # Its corners go up and down at the edges of the bars, each height twice.
        edges = axes.get_xlim()
        assert outline.get_xy()[:, 0].min() == pytest.approx(edges[0])
        heights = outline.get_xy()[1:-1:2, 1]
        assert heights.sum() == pytest.approx(1)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["data", "samples (mean of p(x|z))"]


def test_constant_columns_can_be_drawn():
    x = np.tile([7.0, 0.0, 1e9], (225, 1))
    for figure in (
        tables.column_maps(x, list("abc"), "caption"),
        tables.column_samples(x, list("abc"), "caption", x),
        tables.column_reconstructions(x, x, list("abc"), "caption"),
    ):
        figure.draw_without_rendering()


def test_long_names_of_columns_do_not_overlap():
    names = [f"a_very_long_name_of_column_$number_{n}_in_thousands" for n in range(8)]
    x = RANDOM.normal(size=(225, 8))
    for figure in (
        tables.column_maps(x, names, "caption"),
        tables.column_samples(x, names, "caption"),
        tables.column_reconstructions(x, x, names, "caption"),
    ):
        found = boxes(figure, [axes.title for axes in figure.axes])
        assert len(found) == 8
        for a, b in itertools.combinations(found, 2):
            assert not a.overlaps(b)


def test_points_without_labels_have_one_colour_and_no_legend():
    z = RANDOM.normal(size=(50, 2))
    figure = plots.latent_scatter(z, None, 3.0, "caption")
    (points,) = figure.axes[0].collections
    assert len(np.unique(points.get_facecolors(), axis=0)) == 1
    assert sorted(map(tuple, points.get_offsets())) == sorted(map(tuple, z))
    assert not figure.legends and not figure.axes[0].texts


@pytest.mark.parametrize("count", [1, 2, 10, 11, LEGEND, LEGEND + 9])
def test_classes_with_names_are_in_a_legend_in_their_colours(count):
    names = np.array([f"a class of a rather long name {n:02d}" for n in range(count)])
    labels = np.concatenate([names, names[RANDOM.randint(0, count, 300)]])
    z = RANDOM.normal(size=(len(labels), 2))
    figure = plots.latent_scatter(z, labels, 4.0, "caption")
    (points,), (legend,) = figure.axes[0].collections, figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    shown = min(count, LEGEND)
    assert [text[-2:] for text in texts[:shown]] == [name[-2:] for name in names[:shown]]
    assert texts[shown:] == ([f"… and {count - shown} more"] if count > shown else [])
    assert max(map(len, texts)) < 30
    # Each point has the colour that the legend has beside its class.
    places = map(tuple, np.asarray(points.get_offsets()))
    colours = dict(zip(places, map(tuple, points.get_facecolors()), strict=True))
    marks = [handle.get_markerfacecolor() for handle in legend.legend_handles[:shown]]
    assert len(set(marks)) == shown
    for name, mark in zip(names, marks, strict=False):
        own = {colours[tuple(place)][:3] for place in z[labels == name]}
        assert own == {to_rgb(mark)}
    # It is below the axes, and inside the figure.
    figure.draw_without_rendering()
    box, axes = legend.get_window_extent(), figure.axes[0].get_tightbbox()
    assert box.y1 <= axes.y0 + 1 and box.y0 >= -1 and box.x0 >= 0 and box.x1 <= figure.bbox.width


@pytest.mark.parametrize("latent_dim", [2, 3])
def test_the_figures_of_a_run_on_a_table(implementations, tmp_path, latent_dim):
    table = RANDOM.normal(100, 30, (40, 5))
    labels = np.array(["cat", "dog"])[np.arange(40) % 2]
    np.savez(tmp_path / "t.npz", x_train=table, y_train=labels)
    data = load_data(str(tmp_path / "t.npz"), scale="standard")
    config = recipe(
        "post-keras", latent_dim=latent_dim, epochs=1, hidden_dims=(4,), picture_epochs=(),
        scale="standard", likelihood="gaussian",
    )  # fmt: skip
    implementations["tf_vae"].train(config, data, tmp_path / "run", verbose=0)
    paths = draw_figures(tmp_path / "run", data, implementations["tf_vae"])
    assert [path.name for path in paths] == figure_names(config, data.n_train)
    for path in paths:
        with Image.open(path) as picture:
            assert picture.size[0] > 600
    pictures = Pictures(read_config(tmp_path / "run")["data"])
    train = np.sort(pictures.original(data.x_train).ravel())
    rows = np.concatenate([data.x_train, data.x_test])
    np.testing.assert_allclose(
        np.sort(pictures.original(rows).ravel()), np.sort(table.ravel()), rtol=1e-5
    )
    assert len(train) == 160 and pictures.table


def test_images_that_were_scaled_are_drawn_from_black_to_white(tmp_path):
    images = RANDOM.uniform(-50, 900, (40, 4, 4))
    np.save(tmp_path / "x.npy", images)
    data = load_data(str(tmp_path / "x.npy"), scale="standard")
    figure = Pictures(data.describe()).samples(data.x_train, "caption")
    picture = figure.axes[0].images[0].get_array()
    assert picture.min() == 0 and picture.max() == pytest.approx(1)
    x = data.scaling.original(data.x_train[:1]).reshape(4, 4)
    low, high = data.scaling.low[0], data.scaling.high[0]
    np.testing.assert_allclose(picture[:4, :4], (x - low) / (high - low), atol=1e-6)
