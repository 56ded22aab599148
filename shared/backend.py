"""What both implementations need of their surroundings: Keras' settings and the allocator's."""

import ctypes
import json
import os
import sys
from pathlib import Path

from shared.config import UsageError

__all__ = ["check_backend", "keep_freed_memory"]


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


def keep_freed_memory():
    """Have glibc keep the memory that a step frees, for the next step to take.

    Left alone, it often gives a step's buffers back to the system and asks for them again:
    measured, 300 page faults a step and a third more time for an epoch of `fit` (no difference for
    the compiled loop, which frees nothing between steps). Without glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, 32 * 2**20)  # M_MMAP_THRESHOLD, the most it takes: blocks from the heap
        mallopt(-1, 2**30)  # M_TRIM_THRESHOLD: the heap shrinks past 1 GiB of free memory
        mallopt(-2, 64 * 2**20)  # M_TOP_PAD: and grows in large strides


def _keep_loop_invariants():
    """Have XLA leave the constants of a loop's body inside it.

    Moved out of tf_vae's loop, the constants of a batch of one image (1/1, and the zeros of a
    KL that a delta posterior lacks) become inputs of the body, and XLA no longer simplifies what
    they are multiplied with, as it does in the step of `fit`. The bits then differ: this was found
    with a categorical likelihood, batch 1 and posterior delta. XLA reads its flags when it first
    compiles, so this is set when the module is imported. A user's own choice of passes is kept.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_disable_hlo_passes" not in flags:
        passes = "--xla_disable_hlo_passes=while-loop-invariant-code-motion"
        os.environ["XLA_FLAGS"] = f"{flags} {passes}".strip()


_keep_loop_invariants()
