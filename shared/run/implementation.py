"""Loading an implementation (keras_vae or tf_vae), quietly."""

import contextlib
import importlib
import logging
import os
import sys
import tempfile
from types import SimpleNamespace

from shared.backend import check_backend, keep_freed_memory

__all__ = ["IMPLEMENTATIONS", "import_implementation", "quiet"]

# By the name of their folder in the results of reproduce.py.
IMPLEMENTATIONS = {"keras": "keras_vae", "tf": "tf_vae"}


def import_implementation(package):
    """The functions of an implementation; this is where TensorFlow is loaded."""
    check_backend(("tensorflow",))
    keep_freed_memory()  # before TensorFlow's threads take memory of their own
    with quiet():
        modules = {
            name: importlib.import_module(f"{package}.{name}")
            for name in ("model", "train", "evaluate", "checkpoint", "export")
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
        load=modules["checkpoint"].load,
        gather=modules["checkpoint"].gather,
        assign=modules["checkpoint"].assign,
        export=modules["export"].export,
        load_exported=modules["export"].load_exported,
    )


@contextlib.contextmanager
def quiet():
    """Keep TensorFlow's notes on the machine from the user: it writes them past Python's stderr.

    What is written while the import fails is shown after all.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # a note for each new model it traces
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
            import keras

            keras.ops.zeros(())  # the first tensor looks for a GPU, and says so
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
