"""The rate-distortion plane: its points, and tangents with the slope -beta through them."""

import numpy as np

from shared.show.figures.rates import rate_distortion


def test_each_tangent_goes_through_its_model_with_the_slope_minus_beta():
    models = {0.5: (8.0, 10.0), 1.0: (5.0, 12.0), 4.0: (1.0, 20.0)}
    curve = np.array([1.0, 5, 8]), np.array([20.0, 12, 10])
    others = {"test images": ([7.0], [11.0])}
    left, right = rate_distortion(
        {"a": (curve, models, {}), "b": (None, models, others)}, "caption"
    ).axes
    for axes, before in ((left, 1), (right, 0)):
        tangents = axes.lines[before : before + 3]
        for line, (beta, (rate, distortion)) in zip(tangents, models.items(), strict=True):
            x, y = line.get_data()
            np.testing.assert_allclose((y[1] - y[0]) / (x[1] - x[0]), -beta, rtol=1e-12)  # float64
            np.testing.assert_allclose(np.interp(rate, x, y), distortion, rtol=1e-12)
        np.testing.assert_array_equal(axes.lines[before + 3].get_xydata(), list(models.values()))
        assert [text.get_text() for text in axes.texts] == ["β = 0.5", "β = 1", "β = 4"]
    np.testing.assert_array_equal(left.lines[0].get_data(), curve)
    np.testing.assert_array_equal(right.lines[-1].get_xydata(), [[7, 11]])
