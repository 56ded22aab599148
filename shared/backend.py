"""Which Keras backend and float width are set, read before Keras is imported."""

import json
import os
from pathlib import Path

from shared.config import UsageError

__all__ = ["check_backend"]


def check_backend(supported):
    """Refuse a Keras set-up that this code does not run on.

    Keras reads $KERAS_BACKEND and then keras.json in $KERAS_HOME or ~/.keras; a user's file may
    name another backend or another floatx for everything on the machine.

    Args:
        supported: names of the backends that will do.
    Raises:
        UsageError: another backend, or a floatx other than float32, is set.
    """
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    settings = {}
    if path.exists():
        try:
            settings = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read ({error}); mend or remove it") from error
    where, backend = str(path), settings.get("backend", "tensorflow")
    if os.environ.get("KERAS_BACKEND"):
        where, backend = "KERAS_BACKEND", os.environ["KERAS_BACKEND"]
    if backend not in supported:
        raise UsageError(
            f"{where} names the Keras backend {backend!r}; expected {' or '.join(supported)}:"
            " set KERAS_BACKEND=tensorflow"
        )
    if settings.get("floatx", "float32") != "float32":
        raise UsageError(f"{path} sets floatx {settings['floatx']!r}; expected 'float32'")
