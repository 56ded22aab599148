"""The figure of Gaussians over an exact posterior: places and shapes."""

import numpy as np

from shared.show.figures import bounds


def test_a_gaussian_is_drawn_where_its_density_falls_by_one_half():
    """Each point of a curve at r sigma has the squared Mahalanobis distance r²."""
    ticks = np.linspace(-1, 2, 31), np.linspace(-2, 1, 31)
    first, second = np.meshgrid(*ticks, indexing="ij")
    log_posterior = -20 * ((first - 1.2) ** 2 + (second + 0.5) ** 2)
    mean, scale = np.array([0.5, -0.4]), np.array([[0.5, 0.0], [0.3, 0.2]])
    panels = {"one": (mean, scale), "two": (mean + 0.1, np.eye(2) / 4)}
    figure = bounds.gaussian_panels(ticks, log_posterior, panels, "caption")
    left, right = figure.axes
    assert [axes.get_title() for axes in (left, right)] == ["one", "two"]
    for line, radius in zip(left.lines, (1, 2), strict=True):
        away = np.linalg.solve(scale, np.array(line.get_data()) - mean[:, None])
        np.testing.assert_allclose((away**2).sum(axis=0), radius**2)
    # The innermost contour is around the peak, (1.2, -0.5); 0.05 is half a cell of the grid.
    inner = [path.vertices for path in left.collections[0].get_paths() if len(path.vertices)][-1]
    np.testing.assert_allclose(inner.mean(axis=0), (1.2, -0.5), atol=0.05)
    np.testing.assert_allclose(left.get_xlim(), (-1, 2))
    np.testing.assert_allclose(left.get_ylim(), (-2, 1))
