"""A network of one's own: the function that returns it, and what the folder of a run keeps of it.

Nothing here imports Keras, because a command checks the function before it loads TensorFlow. The
function is only called when a user has named it; a folder never says what to execute.
"""

import ast
import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.machine.checks import UsageError
from shared.machine.text import first_line
from shared.run.files import read_text
from shared.weights import weight_shapes

__all__ = ["KEPT", "Network", "check_same", "network_of", "stored_variables"]

# What a folder keeps: the architecture, if Keras can build it of its own layers, or the source.
KEPT = {"architecture": "network.json", "source": "network.py"}
FORM = "FILE.py:FUNCTION"


@dataclass(frozen=True)
class Network:
    """Names a function of (config, image_shape) that returns an encoder and a decoder."""

    name: str  # of the function
    file: str  # in which it is, or "" if it is in none
    source: str  # text of that file, or of the function alone, or ""
    load: Callable  # returns the function; the file is executed then

    @property
    def sha256(self):
        """The SHA-256 of the source, in hexadecimal digits."""
        return hashlib.sha256(self.source.encode()).hexdigest()


def network_of(given):
    """Returns the network that a flag or an argument names.

    Args:
        given: "FILE.py:FUNCTION", or the function itself, or None.
    Returns:
        Network, or None.
    Raises:
        UsageError: there is no such file, or no such function in it.
    """
    if given is None or isinstance(given, Network):
        return given
    if isinstance(given, (str, os.PathLike)):
        return _from_file(str(given))
    if not callable(given):
        raise UsageError(f"network is {given!r}; expected {FORM}, or a function")
    try:
        file = inspect.getsourcefile(given) or ""
        main = given.__module__ == "__main__"  # a program is more than its network
        whole = not main and os.path.isfile(file)
        source = read_text(file) if whole else inspect.getsource(given)
    except (OSError, TypeError):
        file, source = "", ""
    name = getattr(given, "__name__", type(given).__name__)
    return Network(name, file, source, lambda: given)


def _from_file(text):
    path, colon, name = text.rpartition(":")
    if not colon or not name.isidentifier() or not path.endswith(".py"):
        raise UsageError(f"--network is {text}; expected {FORM}, e.g. examples/conv.py:networks")
    try:
        source = read_text(path)
        tree = ast.parse(source)
    except FileNotFoundError:
        raise UsageError(f"--network: there is no file {path}; expected {FORM}") from None
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"--network: {path} is not Python: {first_line(error)}") from error
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if name not in functions:
        found = f"it has {', '.join(functions)}" if functions else "it has none"
        raise UsageError(f"--network: {path} has no function {name} ({found})")
    return Network(name, Path(path).resolve().as_posix(), source, lambda: _executed(path, name))


def _executed(path, name):
    """Executes a file of Python, and returns a function in it."""
    spec = importlib.util.spec_from_file_location(f"network_{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look for it there
    sys.path.insert(0, str(Path(path).resolve().parent))  # for what the file itself imports
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:
        where = f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(f"--network: {path} cannot be executed ({where})") from error
    finally:
        sys.path.pop(0)
    return getattr(module, name)


def check_same(directory, kept, network):
    """Checks that a network is that of a run's folder, as far as its source shows it.

    Args:
        directory: folder of the run.
        kept: the entry "network" of its config.json, or None for the dense network.
        network: Network that the user has named, or None.
    Raises:
        UsageError: it is another one, or the run needs one and none is named.
    """
    if kept is None:
        if network is not None:
            raise UsageError(
                f"{directory} has the dense network of its config, not {network.name}; leave out"
                " --network, or give another --out"
            )
        return
    if kept["kept"] == "architecture":
        return  # Keras compares the architectures when it has built them
    file = f"{kept['file'] or 'its file'}:{kept['function']}"
    if network is None:
        raise UsageError(
            f"the network of {directory} is Python code, which runs only if you name it: give"
            f" --network {file} ({KEPT['source']} in the folder is a copy, to read first)"
        )
    if network.sha256 != kept["sha256"]:
        raise UsageError(
            f"the network {network.name} has changed since {directory} was trained: the SHA-256 of"
            f" its source is {network.sha256[:12]}…, not {kept['sha256'][:12]}…; give the source in"
            f" {KEPT['source']} of the folder, or another --out"
        )


def stored_variables(kept, config, input_dim):
    """Returns what the files of a run hold of its model.

    Args:
        kept: the entry "network" of its config.json, or None for the dense network.
        config: shared.config.Config.
        input_dim: pixels per image, times channels.
    Returns:
        shapes, dtypes, trained: {name: shape} of all variables; {name: dtype} of those that are not
        float32 (counters, seeds of noise); {name: shape} of those that are trained.
    """
    if kept is None:
        shapes = weight_shapes(config, input_dim)
        return shapes, {}, shapes
    variables = kept["variables"]
    shapes = {name: tuple(each["shape"]) for name, each in variables.items()}
    dtypes = {k: each["dtype"] for k, each in variables.items() if each["dtype"] != "float32"}
    return shapes, dtypes, {k: shapes[k] for k, each in variables.items() if each["trainable"]}
