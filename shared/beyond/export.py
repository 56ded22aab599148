"""Exports a run's encoder and decoder, and compares each exported file with the model."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.beyond.onnx_files import BATCH, SIGNATURES, has_onnx, load_onnx
from shared.machine.checks import UsageError
from shared.run.folder import EXPORTED
from shared.seeds import seed_of

__all__ = ["Exported", "export_run"]

SIGNATURE_FILE = "signature.json"
CHECKED = 100  # images and points
# The exported graphs are not compiled by XLA, so their sums over 784 pixels are in another order.
# Each float32 error is about 1e-7 of a sum of terms of that size.
TOLERANCE = 1e-5


class Exported(NamedTuple):
    """What an export has written."""

    differences: dict
    """{path: largest difference from the model} of each part: |a - b| / (1 + |b|), which is
    relative for large values."""
    refusal: str | None
    """Why there are no ONNX files although their packages are installed."""


def export_run(directory, implementation, exporter, model, input_dim, values=None, best=False):
    """Writes a model's encoder and decoder to `exported/` of its run, completely or not at all.

    SavedModels are always written, and ONNX files if their packages are installed and ONNX has
    the operations of the model. `signature.json` says what each part takes and returns.

    Args:
        directory: folder of the run.
        implementation: functions of an implementation; `encode` and `decode` are used.
        exporter: its module `beyond.export`.
        model: the run's model.
        input_dim: pixels per image, times channels.
        values: what config.json of the run holds, for `signature.json`; None for a model without
            a run.
        best: whether the model has the weights of the best epoch, which go to `exported_best/`.
    Returns:
        Exported
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
    files, refusal = _onnx_parts(exporter, model, partial) if has_onnx() else ({}, None)
    parts |= files
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
    text = json.dumps(_signature(model.config, input_dim, list(parts), values), indent=2)
    (partial / SIGNATURE_FILE).write_text(text + "\n", encoding="utf-8", newline="\n")
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    return Exported(differences, refusal)


def _onnx_parts(exporter, model, directory):
    """Returns {file: function} of the ONNX files, and None; or {}, and why there are none."""
    paths = [directory / f"{name}.onnx" for name in SIGNATURES]
    try:
        exporter.export(model, directory, onnx=True)
        return {path.name: load_onnx(path) for path in paths}, None
    except UsageError as error:
        for path in paths:
            path.unlink(missing_ok=True)
        return {}, str(error)


def _signature(config, input_dim, files, values):
    """Returns the content of `signature.json`: what a program without this project must know."""
    widths = {"x": input_dim, "z": config.latent_dim}
    widths |= dict.fromkeys(("z_mean", "z_log_var"), config.latent_dim)

    def tensors(names):
        return [{"name": n, "shape": [BATCH, widths[n]], "dtype": "float32"} for n in names]

    parts = {}
    for part, (inputs, outputs) in SIGNATURES.items():
        outputs = [n for n in outputs if n != "z_log_var" or config.posterior == "gaussian"]
        parts[part] = {"inputs": tensors(inputs), "outputs": tensors(outputs)}
    shape = None if values is None else values["data"]["image_shape"]
    pixels = {"range": [0, 1], "image_shape": shape, "order": "row by row, channels last"}
    return {"files": files, **parts, "pixels": pixels, "run": values}
