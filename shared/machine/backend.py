"""Checks the settings of Keras; those that decide the bits of a run are set in `arithmetic`."""

import importlib.util
import json
import os
from pathlib import Path

from shared.machine.arithmetic import check_arithmetic
from shared.machine.checks import UsageError

__all__ = [
    "BACKENDS",
    "CLUSTER_VARIABLES",
    "IMPLEMENTATIONS",
    "backend",
    "check_backend",
    "check_floatx",
]

# The keys are the names of their folders in the results of reproduce.py.
IMPLEMENTATIONS = {"keras": "keras_vae", "tf": "tf_vae"}

BACKENDS = ("tensorflow", "jax", "torch")  # those of Keras; the first is the default
# The variable with which the engine of each implementation is told of several workers.
CLUSTER_VARIABLES = {"tf_vae": "TF_CONFIG", "keras_vae": "JAX_COORDINATOR_ADDRESS"}

# Settings of keras.json that change results, with Keras' defaults.
EXPECTED = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
# With these, Keras ends `fit` early, so a run would not have the length in its config.
SHORTENING = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH")


def backend():
    """Returns the name of the backend that Keras uses, or would use, without importing Keras.

    Keras reads $KERAS_BACKEND, and then keras.json in $KERAS_HOME or ~/.keras.

    Raises:
        UsageError: keras.json cannot be read.
    """
    return os.environ.get("KERAS_BACKEND") or _settings()[1].get("backend", "tensorflow")


def _settings():
    """Returns the path of keras.json, and its settings."""
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    settings = {}
    if os.path.exists(path):
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(settings, dict):
                raise ValueError(f"it holds a {type(settings).__name__}; expected an object")
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{path} cannot be read ({error}); fix or remove it") from error
    return path, settings


def check_backend(package):
    """Checks that Keras is set to a backend that works, and that nothing else changes results.

    A user's keras.json may set another backend or another floatx for all programs on the machine.

    Args:
        package: "keras_vae", which runs on any backend, or "tf_vae", which needs TensorFlow.
    Raises:
        UsageError: another backend is set, or it is not installed, or a setting changes results.
    """
    for name in SHORTENING:
        if os.environ.get(name):
            raise UsageError(f"{name} is set, and shortens every `fit` of Keras; unset it")
    check_arithmetic()
    path, settings = _settings()
    name, supported = backend(), BACKENDS if package == "keras_vae" else BACKENDS[:1]
    where = "KERAS_BACKEND" if os.environ.get("KERAS_BACKEND") else str(path)
    if name not in supported:
        raise UsageError(
            f"{where} names the Keras backend {name!r}; {package} needs"
            f" {' or '.join(supported)}: set KERAS_BACKEND=tensorflow"
        )
    if importlib.util.find_spec(name) is None:
        raise UsageError(
            f"{where} names the Keras backend {name}, which is not installed; install it with"
            " make setup-backends"
        )
    for name, expected in EXPECTED.items():
        if settings.get(name, expected) != expected:
            raise UsageError(
                f"{path} sets {name} {settings[name]!r}; expected {expected!r}: change it, or set"
                " KERAS_HOME to another folder"
            )


def check_floatx():
    """Checks that a program has not set Keras to another type of floats since Keras was imported.

    Raises:
        UsageError: keras.config.floatx() is not float32, which every float without a type gets.
    """
    import keras  # a command calls this when Keras is imported

    if keras.config.floatx() != EXPECTED["floatx"]:
        raise UsageError(
            f"keras.config.floatx() is {keras.config.floatx()}; expected float32: call"
            ' keras.config.set_floatx("float32")'
        )
