"""A small valid data file, of which a test changes an array."""

import numpy as np


def write(path, **changes):
    """A small valid .npz with some arrays replaced (None leaves one out)."""
    arrays = {
        "x_train": np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2) * 12,
        "y_train": np.arange(5),
        "x_test": np.full((3, 2, 2), 255, np.uint8),
        "y_test": np.arange(3),
    }
    arrays.update(changes)
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return str(path)
