"""Small data files: a tiny one, of which a test changes an array, and images of bars."""

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


def write_bars(folder, n_train, n_test):
    """Write bars.npz: grey 6 × 6 images of bars of three kinds, with noise; returns its path."""
    random = np.random.RandomState(0)

    def images(n):
        labels = random.randint(0, 3, n)
        pixels = random.uniform(0, 0.3, (n, 6, 6))
        for image, label in zip(pixels, labels, strict=True):
            image[:, 2 * label : 2 * label + 2] += random.uniform(0.3, 0.7)
        return (pixels * 255).astype(np.uint8), labels

    (x_train, y_train), (x_test, y_test) = images(n_train), images(n_test)
    np.savez(folder / "bars.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return folder / "bars.npz"
