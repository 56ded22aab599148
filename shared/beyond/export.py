"""Exports a run's encoder and decoder, and compares each exported file with the model."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np

from shared.run.folder import EXPORTED
from shared.seeds import seed_of

__all__ = ["export_run", "has_onnx"]

ONNX_PACKAGES = ("tf2onnx", "onnxruntime")  # to write, and to check what was written
CHECKED = 100  # images and points
# The exported graphs are not compiled by XLA, so their sums over 784 pixels are in another order.
# Each float32 error is about 1e-7 of a sum of terms of that size.
TOLERANCE = 1e-5


def export_run(directory, implementation, exporter, model, input_dim, best=False):
    """Writes a model's encoder and decoder to `exported/` of its run, completely or not at all.

    SavedModels are always written, ONNX files if ONNX_PACKAGES are installed.

    Args:
        directory: folder of the run.
        implementation: functions of an implementation; `encode` and `decode` are used.
        exporter: its module `beyond.export`.
        model: the run's model.
        input_dim: pixels per image.
        best: whether the model has the weights of the best epoch, which go to `exported_best/`.
    Returns:
        {path: largest difference from the model} of each part: |a - b| / (1 + |b|), which is
        relative for large values.
    Raises:
        ArithmeticError: the outputs of an exported file differ from those of the model.
    """
    folders = EXPORTED[2:] if best else EXPORTED[:2]
    final, partial = (Path(directory) / folder for folder in folders)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    random = np.random.RandomState(seed_of(0, "export"))
    x = random.uniform(size=(CHECKED, input_dim)).astype(np.float32)
    q = implementation.encode(model, x)
    wanted = {
        "encoder": (x, dict(zip(("z_mean", "z_log_var"), q, strict=True))),
        "decoder": (q[0], {"x": implementation.decode(model, q[0])}),
    }
    exporter.export(model, partial)
    parts = {name: exporter.load_exported(partial / name) for name in wanted}
    if has_onnx():
        exporter.export(model, partial, onnx=True)
        parts |= {f"{name}.onnx": _onnx(partial / f"{name}.onnx") for name in wanted}
    differences = {}
    for part, function in parts.items():
        inputs, outputs = wanted[part.removesuffix(".onnx")]
        exported = function(inputs)
        differences[final / part] = max(
            float(np.max(np.abs(exported[name] - outputs[name]) / (1 + np.abs(outputs[name]))))
            for name in exported
        )
        if not differences[final / part] < TOLERANCE:
            raise ArithmeticError(f"{part} differs from the model by {differences[final / part]}")
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    return differences


def has_onnx():
    """Returns whether the packages that write and check ONNX files are installed."""
    return all(importlib.util.find_spec(name) for name in ONNX_PACKAGES)


def _onnx(path):
    """Loads an ONNX file as a function from an array to {output name: array}."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    (given,) = session.get_inputs()
    return lambda inputs: dict(zip(names, session.run(None, {given.name: inputs}), strict=True))
