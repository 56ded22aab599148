"""Writes ONNX files with inputs and outputs in the order of SIGNATURES, and loads them."""

import contextlib
import importlib.util
import logging

from shared.machine.checks import UsageError

__all__ = ["BATCH", "SIGNATURES", "has_onnx", "load_onnx", "write_onnx"]

# Inputs and outputs of each part, in this order; a delta posterior has no z_log_var. An exported
# `x` is the mean image of p(x|z), not the logits.
SIGNATURES = {
    "encoder": (("x",), ("z_mean", "z_log_var")),
    "decoder": (("z",), ("x",)),
}
BATCH = "batch"  # the name of the first axis, of any length
PACKAGES = ("tf2onnx", "onnxruntime")  # to write, and to check what was written


def has_onnx():
    """Returns whether the packages that write and check ONNX files are installed."""
    return all(importlib.util.find_spec(name) for name in PACKAGES)


def write_onnx(parts, directory, convert):
    """Writes an .onnx file of each part, or none.

    Args:
        parts: {name in SIGNATURES: part}.
        directory: pathlib.Path of the folder.
        convert: function that writes a part to a path.
    Raises:
        UsageError: ONNX lacks an operation of a part.
    """
    paths = {name: directory / f"{name}.onnx" for name in parts}
    try:
        for name, part in parts.items():
            with _one_line(name), _quiet():
                convert(part, paths[name])
                _arrange(name, paths[name])
    except UsageError:
        for path in paths.values():
            path.unlink(missing_ok=True)
        raise


def load_onnx(path):
    """Loads an ONNX file as a function from an array to {output name: array}.

    Raises:
        UsageError: ONNX Runtime cannot run it.
    """
    import onnxruntime

    with _one_line(path.stem):
        session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    (given,) = session.get_inputs()
    return lambda inputs: dict(zip(names, session.run(None, {given.name: inputs}), strict=True))


def _arrange(name, path):
    """Gives the outputs of a file the order of SIGNATURES, and the first axis its name.

    tf2onnx has the outputs in the order of the alphabet, and numbers axes of unknown length.
    """
    import onnx

    model = onnx.load(path)
    # tf2onnx writes an operation that it cannot convert as it is, with the name of TensorFlow.
    if missing := sorted(_operations(model.graph) - {s.name for s in onnx.defs.get_all_schemas()}):
        raise UsageError(f"it uses {', '.join(missing)}, which ONNX has no operation for")
    order = SIGNATURES[name][1]
    outputs = sorted(model.graph.output, key=lambda output: order.index(output.name))
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    onnx.save(model, path)


def _operations(graph):
    """The operations of ONNX' own domain in a graph, and in the branches and loops within it."""
    found = {node.op_type for node in graph.node if node.domain in ("", "ai.onnx")}
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found |= _operations(inner)
    return found


@contextlib.contextmanager
def _one_line(name):
    """Turns any error of a converter, which are of many types, into one line about the part."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UsageError(f"the {name} cannot be written as ONNX: {reason}") from error


@contextlib.contextmanager
def _quiet():
    """Hides tf2onnx's messages about operations, which are reported in one line."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
