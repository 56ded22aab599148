"""The weights with which the page computes, by the definition in packing.py."""

import numpy as np

from shared.run.folder import read_run_weights


def steps_of(arrays):
    """{name of a kernel: steps of its columns}: the largest weight of all epochs over 127."""
    kernels = [name for name, array in arrays[0].items() if array.ndim == 2]
    largest = {n: np.max([np.abs(each[n]).max(axis=0) for each in arrays], axis=0) for n in kernels}
    return {n: np.where(w > 0, w / 127, 1).astype(np.float32) for n, w in largest.items()}


def page_weights(directory, epoch, epochs):
    """The exact weights after an epoch, those of the page, and the steps of its kernels.

    `epochs` are all that the page has.
    """
    every = {each: read_run_weights(directory, each)[1] for each in epochs}
    steps, exact = steps_of([*every.values()]), every[epoch]
    page = {
        name: np.float32(np.round(array / np.float64(steps[name])) * np.float64(steps[name]))
        if name in steps
        else array
        for name, array in exact.items()
    }
    return exact, page, steps
