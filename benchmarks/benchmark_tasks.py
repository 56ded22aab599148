"""What benchmarks/bench.py measures, each task in a new process."""

import concurrent.futures
import dataclasses
import functools
import importlib
import math
import multiprocessing
import os
import sys
import time
from typing import NamedTuple

import numpy as np

from shared.command.implementation import import_implementation, quiet
from shared.config import recipe
from shared.data import load_data
from shared.machine.arithmetic import use_threads

__all__ = [
    "CONTESTANTS",
    "evaluation_of",
    "growth_of",
    "in_new_process",
    "seconds_of",
]

STARTED = time.perf_counter()  # in a new process, this module is imported first


class Contestant(NamedTuple):
    """Names what is timed: a function of a module in contestants/, and the package it needs."""

    module: str
    function: str
    package: str
    arguments: dict


CONTESTANTS = {
    "five matrix products": Contestant("products", "epochs", "tensorflow", {}),
    "tf_vae": Contestant("ours", "epochs", "tensorflow", {"package": "tf_vae"}),
    "keras_vae": Contestant("ours", "epochs", "tensorflow", {"package": "keras_vae"}),
    "JAX, scan": Contestant("in_jax", "epochs", "jax", {"scan": True}),
    "JAX, per step": Contestant("in_jax", "epochs", "jax", {}),
    "PyTorch, compiled": Contestant("pytorch", "epochs", "torch", {"compiled": True}),
    "PyTorch, eager": Contestant("pytorch", "epochs", "torch", {}),
    "TensorFlow, per step": Contestant("tutorials", "tape_epochs", "tensorflow", {}),
    "Keras fit, defaults": Contestant("tutorials", "fit_epochs", "tensorflow", {}),
}


def in_new_process(task, *arguments):
    """Calls a function of this module in a new process, and returns its result."""
    fresh = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, fresh) as process:
        return process.submit(task, *arguments).result()


def _set_threads(package, threads):
    """Sets the number of threads of a framework that is not imported yet.

    TensorFlow, with whatever program, has the instruction set of the project; PyTorch and JAX
    choose their own.
    """
    if package == "tensorflow":
        use_threads(threads)
    else:
        os.environ.pop("XLA_FLAGS", None)  # the project's flags, which JAX would read, too
        os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"] = str(threads)  # of JAX, of PyTorch


def seconds_of(name, recipe_name, data_name, count, threads=1):
    """Trains a contestant.

    Args:
        name: a key of CONTESTANTS.
        recipe_name: "post-keras" or "post-tf".
        data_name: as for `load_data`.
        count: number of epochs, or 0 for a single step.
        threads: number of threads that compute an operation.
    Returns:
        {"epochs": seconds of each epoch, "import" and "first_step": seconds from the start of the
        process until the framework is imported and, for a single step, until it is done, without
        the reading of the data, "peak": MiB of memory}
    """
    contestant, before = CONTESTANTS[name], time.perf_counter()
    _set_threads(contestant.package, threads)
    data = load_data(data_name)
    if not count:  # so that no time is spent on the other images, or on the test set
        few = {
            name: getattr(data, name)[:100] for name in ("x_train", "y_train", "x_test", "y_test")
        }
        data = dataclasses.replace(data, **few)
    reading = time.perf_counter() - before
    with quiet():
        framework = "keras" if contestant.package == "tensorflow" else contestant.package
        importlib.import_module(framework)
    imported = time.perf_counter() - STARTED - reading
    train = getattr(
        importlib.import_module(f"contestants.{contestant.module}"), contestant.function
    )
    epochs = train(recipe(recipe_name), data, count, **contestant.arguments)
    first_step = time.perf_counter() - STARTED - reading
    return {"epochs": epochs, "import": imported, "first_step": first_step, "peak": _peak()}


def _peak():
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    unit = 1024 if sys.platform == "linux" else 1024**2  # macOS counts bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def evaluation_of(package, data_name):
    """Evaluates an untrained `post-keras`; returns {what: seconds}, the compilation left out."""
    implementation, config = import_implementation(package), recipe("post-keras")
    from shared.measure.diagnostics import importance_bounds  # imports Keras

    data = load_data(data_name)
    model = implementation.build(config, data.input_dim)
    x = data.x_test[:100]
    weigh = functools.partial(implementation.log_weights, model)

    def bound(samples):
        q = implementation.encode(model, x)
        importance_bounds(weigh, x, *q, config.seed, samples=(samples,))

    tasks = {
        "ELBO of the test images": lambda: implementation.elbo_terms(model, data.x_test, config),
        "encoding of the test images": lambda: implementation.encode(model, data.x_test),
        "importance bound, 100 images, K = 5000": functools.partial(bound, 5000),
    }
    seconds = {}
    for name, task in tasks.items():
        bound(100) if "bound" in name else task()  # compiles it
        started = time.perf_counter()
        task()
        seconds[name] = time.perf_counter() - started
    return seconds


def growth_of(package, data_name, series, value):
    """Trains two epochs with a changed size; returns the microseconds per image of the second."""
    from contestants import ours

    data, config = load_data(data_name), recipe("post-keras")
    if series == "images":
        rows = np.arange(value) % data.n_train
        data = dataclasses.replace(data, x_train=data.x_train[rows], y_train=data.y_train[rows])
    else:
        changed = (value,) if series == "hidden_dims" else value
        config = dataclasses.replace(config, **{series: changed})
    seconds = ours.epochs(config, data, 2, package)[1]
    return 1e6 * seconds / data.n_train
