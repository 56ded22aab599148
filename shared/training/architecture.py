"""Builds the networks of a run that brings its own, and keeps what it takes to build them again.

A pair of Keras models of Keras' own layers is kept as their configuration, from which anybody can
build it without executing foreign code. Of any other network the source is kept, to be read; it is
executed only if a user names it.
"""

import json
import re
from pathlib import Path

import keras

from shared.machine.checks import UsageError
from shared.machine.text import first_line
from shared.run.checksums import verify
from shared.run.files import read_text
from shared.run.network import KEPT
from shared.seeds import seed_of

__all__ = ["keep", "kept_networks", "kept_text", "networks_of"]

# The modules whose classes a kept architecture may name, and classes in them that hold code or
# read files.
MODULES = re.compile(
    r"keras(\.(layers|initializers|regularizers|constraints|activations|ops|dtype_policies)"
    r"|\.src\.(models\.(functional|sequential|model)|ops)(\.\w+)*)?"
)
REFUSED = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "function"}
PLAIN = {
    f"__{name}__" for name in ("keras_tensor", "tensor", "numpy", "tuple", "slice", "ellipsis")
}


def networks_of(network, config, image_shape):
    """Calls the function of a network, and returns the encoder and the decoder.

    Initial weights and seeds of dropout that the function leaves open depend on the seed of the
    config, and are the same in both implementations.

    Args:
        network: shared.run.network.Network.
        config: shared.config.Config.
        image_shape: (rows, columns), (rows, columns, channels) or (columns,) of a table.
    Raises:
        UsageError: the function fails, or returns something else.
    """
    function = network.load()
    keras.utils.set_random_seed(seed_of(config.seed, "network"))
    try:
        pair = function(config, tuple(image_shape))
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"the network {network.name} cannot be built for images of shape {tuple(image_shape)}"
            f" ({type(error).__name__}: {first_line(error)}); expected a function of (config,"
            " image_shape)"
        ) from error
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(map(callable, pair)):
        raise UsageError(
            f"the network {network.name} returns {type(pair).__name__}; expected a pair: an encoder"
            " and a decoder"
        )
    return tuple(pair)


def keep(network, pair, model):
    """Returns the entry of config.json for a network, and the text that its folder keeps.

    Args:
        network: shared.run.network.Network.
        pair: encoder and decoder, as its function has returned them.
        model: the VAE that was assembled of them.
    Returns:
        the entry "network", and the text of the file KEPT[entry["kept"]].
    Raises:
        UsageError: Keras cannot describe the network, and its source is unknown.
    """
    architecture = _architecture(pair)
    if architecture is None and not network.source:
        raise UsageError(
            f"the source of the network {network.name} is not known, so a run folder cannot keep"
            " it: write the function in a file, and give network='FILE.py:FUNCTION'"
        )
    trained = {id(variable) for variable in model.trainable_variables}
    entry = {
        "function": network.name,
        "file": network.file,
        "sha256": network.sha256,
        "kept": "source" if architecture is None else "architecture",
        "jit_compile": _compiles(model),
        "variables": {
            name: {
                "shape": list(variable.shape),
                "dtype": keras.backend.standardize_dtype(variable.dtype),
                "trainable": id(variable) in trained,
            }
            for name, variable in model.named_weights.items()
        },
    }
    text = network.source if architecture is None else json.dumps(architecture, indent=1) + "\n"
    return entry, text


def _compiles(model):
    """Whether a VAE of either implementation was asked to compile with XLA."""
    objective = getattr(model, "objective", None)
    return model.jit_compile if objective is None else objective.asked_to_compile


def kept_networks(directory, kept, network, config, image_shape):
    """Builds the networks of a run again: from what its folder keeps, or by the named function.

    Call shared.run.network.check_same before: it refuses another source.

    Args:
        directory: folder of the run.
        kept: the entry "network" of its config.json.
        network: shared.run.network.Network that the user has named, or None.
        config, image_shape: as for `networks_of`.
    Returns:
        (encoder, decoder)
    Raises:
        UsageError: the network is another one, or its file is missing or damaged.
    """
    if network is not None:
        pair = networks_of(network, config, image_shape)
        _check_architecture(directory, kept, network, pair)
        return pair
    try:
        return tuple(
            keras.saving.deserialize_keras_object(each, safe_mode=True)
            for each in _read(directory).values()
        )
    except UsageError:
        raise
    except Exception as error:
        path = Path(directory) / KEPT["architecture"]
        raise UsageError(f"{path} cannot be built by Keras: {first_line(error)}") from error


def _check_architecture(directory, kept, network, pair):
    """Raises UsageError unless a pair of networks has the architecture that a folder keeps."""
    if kept["kept"] != "architecture":
        return
    if kept_text(directory, kept) is None and network.sha256 == kept["sha256"]:
        return  # the file is missing or damaged, and is written again
    found, wanted = (_plain(each) for each in (_architecture(pair), _read(directory)))
    if found != wanted:
        raise UsageError(
            f"the network {network.name} has changed since {directory} was trained:"
            f" {_difference(wanted, found)}; give the network of the run, or another --out"
        )


def kept_text(directory, kept):
    """Returns the text of the file in which a folder keeps a network; None if it is damaged.

    Args:
        directory: folder of the run.
        kept: the entry "network" of its config.json.
    """
    name = KEPT[kept["kept"]]
    try:
        verify(directory, name)
        return read_text(Path(directory) / name)
    except (FileNotFoundError, UsageError):
        return None


def _architecture(pair):
    """Returns {part: configuration} of a pair, or None if Keras alone cannot build it.

    A model that was built by a class of the user, or that holds a Lambda, is such a network.
    """
    if not all(isinstance(each, keras.Model) for each in pair):
        return None
    try:
        kept = map(keras.saving.serialize_keras_object, pair)
        kept = json.loads(json.dumps(dict(zip(("encoder", "decoder"), kept, strict=True))))
    except Exception:  # Keras raises many kinds, for a layer without `get_config` and others
        return None
    return None if _foreign(kept) else kept


def _foreign(node):
    """Returns the name of the first class in an architecture that is not Keras' own, or None."""
    if isinstance(node, dict):
        name = node.get("class_name")
        if name is not None and name not in PLAIN:
            module = node.get("module")
            own = module is not None and MODULES.fullmatch(str(module)) and name not in REFUSED
            if not own or node.get("registered_name") not in (None, name):
                return str(name)
        node = list(node.values())
    found = map(_foreign, node) if isinstance(node, list) else ()
    return next(filter(None, found), None)


def _read(directory):
    """Reads the architecture in a run's folder, and checks that it names classes of Keras only."""
    path = Path(directory) / KEPT["architecture"]
    try:
        kept = json.loads(read_text(path))
        if not isinstance(kept, dict) or list(kept) != ["encoder", "decoder"]:
            raise UsageError(f"{path} does not hold an encoder and a decoder")
    except FileNotFoundError:
        raise UsageError(f"{directory} has no {path.name}; finish the run with --resume") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged: {first_line(error)}") from error
    verify(directory, path.name)
    if (name := _foreign(kept)) is not None:
        raise UsageError(f"{path} names {name}, which is not a layer of Keras; it is not built")
    return kept


def _plain(architecture):
    """Returns an architecture without what differs between two equal ones: names and identities."""
    names = {}

    def collect(node):
        if isinstance(node, dict):
            if isinstance(node.get("name"), str):
                names.setdefault(node["name"], f"#{len(names)}")
            node = list(node.values())
        if isinstance(node, list):
            for each in node:
                collect(each)

    def replaced(node):
        if isinstance(node, dict):
            return {k: replaced(v) for k, v in node.items() if k != "shared_object_id"}
        if isinstance(node, list):
            return [replaced(each) for each in node]
        return names.get(node, node) if isinstance(node, str) else node

    collect(architecture)
    return replaced(architecture)


def _difference(wanted, found, where=""):
    """Says in a few words where two architectures differ first."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in [*wanted, *found]:
            if wanted.get(key) != found.get(key):
                inner = key if key not in ("config", "layers") else where
                return _difference(wanted.get(key), found.get(key), inner)
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            return f"{where} has {len(found)} entries, not {len(wanted)}"
        for one, other in zip(wanted, found, strict=True):
            if one != other:
                return _difference(one, other, where)
    return f"{where} is {found!r}, not {wanted!r}"
