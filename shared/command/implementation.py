"""Imports an implementation (keras_vae or tf_vae), without TensorFlow's messages."""

import contextlib
import functools
import importlib
import logging
import os
import sys
import tempfile
from types import SimpleNamespace

from shared.machine.backend import BACKENDS, backend, check_backend
from shared.machine.versions import check_versions

__all__ = ["import_beyond", "import_implementation", "quiet"]


def import_implementation(package, network=None, say=None):
    """Imports an implementation, and with it TensorFlow, and returns its functions.

    Args:
        package: "keras_vae" or "tf_vae".
        network: shared.run.network.Network with which its `load` builds a run, or None.
        say: called with what is being loaded, which takes seconds, after the checks.
    Returns:
        types.SimpleNamespace
    Raises:
        UsageError: TensorFlow or Keras is too old, or Keras is set to another backend or floatx.
    """
    check_versions()
    check_backend(package)
    if say:
        name = backend()
        say("loading TensorFlow" if name == BACKENDS[0] else f"loading Keras on {name}")
    with quiet():
        modules = {
            name: importlib.import_module(f"{package}.{name}")
            for name in ("model", "train", "evaluate", "checkpoint")
        }
    return SimpleNamespace(
        name=package,
        assemble=modules["model"].assemble,
        build=modules["model"].build,
        encode=modules["model"].encode,
        decode=modules["model"].decode,
        train=modules["train"].train,
        step_losses=modules["train"].step_losses,
        evaluate=modules["evaluate"].evaluate,
        elbo_terms=modules["evaluate"].elbo_terms,
        log_weights=modules["evaluate"].log_weights,
        load=functools.partial(modules["checkpoint"].load, network=network),
        gather=modules["checkpoint"].gather,
        assign=modules["checkpoint"].assign,
    )


def import_beyond(package, name):
    """Imports a module that goes beyond training, e.g. "export", and returns it.

    Args:
        package: "keras_vae" or "tf_vae".
        name: name of a module in its folder `beyond`.
    """
    return importlib.import_module(f"{package}.beyond.{name}")


@contextlib.contextmanager
def quiet():
    """Hides TensorFlow's messages about the machine, which are not written by Python's stderr.

    If the import fails, the messages are shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # hides tracing warnings
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
            import keras

            keras.ops.zeros(())  # TensorFlow looks for a GPU when it creates the first tensor
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
