"""The VAE in plain TensorFlow, trained with a `tf.GradientTape` loop.

This file imports no framework, so that `python -m tf_vae --help` appears before TensorFlow is
loaded. Import from the modules: `from tf_vae.train import train`.
"""

import importlib.util
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def _check_shared():
    """Raises ImportError if another package `shared` hides the one beside this package."""
    spec = importlib.util.find_spec("shared")
    places = [] if spec is None else [*(spec.submodule_search_locations or [spec.origin])]
    if places and _ROOT / "shared" not in [Path(place).resolve() for place in places]:
        raise ImportError(
            f"the package `shared` is {places[0]}; tf_vae needs {_ROOT / 'shared'}: rename the"
            f" first, or put {_ROOT} before its folder in sys.path"
        )


if getattr(sys, "argv", [])[:1] == ["-m"] and any(
    word.removeprefix("-m").split(".")[0] == __name__ for word in sys.orig_argv
):  # python -m tf_vae puts the folder where it is called first, which may hold another `shared`
    sys.path.insert(0, str(_ROOT))
    import shared  # noqa: F401

    sys.path.pop(0)
else:
    _check_shared()
    from shared.machine.versions import check_versions  # a command does this where it reports it

    check_versions()
