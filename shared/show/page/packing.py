"""Packs the weights of several epochs as compact text for the page.

A kernel is rounded to int8, in steps of its own for each output column, and only its differences
from the next stored epoch are written: most weights change little, so these compress well. Biases
are float32. explorer_model.js unpacks them.
"""

import base64
import zlib

import numpy as np

__all__ = ["as_text", "compressed", "packed_weights", "rounded_weights", "rounding_error"]

LEVELS = 127  # of int8, on either side of 0


def packed_weights(weights):
    """Packs the weights of a run after several epochs.

    Args:
        weights: {epoch: {canonical name: float32 array}}, the epochs in order.
    Returns:
        dict for JSON: kernels ([[name, base64 of the float32 steps of its columns, rows], …]),
        biases ([[name, length], …]), and epochs: for each epoch, base64 of the zlib stream of the
        biases and then the integers of all kernels, row by row, modulo 256. Those of the last
        epoch are whole, the others are less those of the next one.
    """
    steps = _steps(weights)
    first = next(iter(weights.values()))
    biases = [name for name, array in first.items() if array.ndim == 1]
    streams, later = [], 0
    for epoch in reversed(weights):
        rounded = [_rounded(weights[epoch][name], step).ravel() for name, step in steps.items()]
        integers = np.concatenate(rounded).astype(np.int16)
        exact = np.concatenate([weights[epoch][name] for name in biases]).astype("<f4").tobytes()
        differences = (integers - later).astype(np.uint8).tobytes()
        streams.insert(0, compressed(exact + differences))
        later = integers
    return {
        "kernels": [[name, as_text(step, "<f4"), len(first[name])] for name, step in steps.items()],
        "biases": [[name, len(first[name])] for name in biases],
        "epochs": streams,
    }


def rounded_weights(weights):
    """Returns the weights that the page computes with, after `packed_weights`.

    Args:
        weights: {epoch: {canonical name: float32 array}}.
    Returns:
        the same with each kernel rounded to the nearest step, as float32.
    """
    steps = _steps(weights)
    return {
        epoch: {
            name: (_rounded(array, steps[name]) * steps[name].astype(np.float64)).astype(np.float32)
            if name in steps
            else array
            for name, array in arrays.items()
        }
        for epoch, arrays in weights.items()
    }


def rounding_error(weights, x, z):
    """Returns by how much the rounding changes what the page shows, over all epochs.

    Args:
        weights: {epoch: {canonical name: float32 array}} of dense networks with relu.
        x: (n, input_dim), images to encode.
        z: (m, latent_dim), latents to decode.
    Returns:
        median and largest change of a coordinate of z_mean, largest change of a probability.
    """
    rounded, z_mean, probs = rounded_weights(weights), [], []
    for epoch, exact in weights.items():
        exact_z, rounded_z = (
            _outputs(each, "encoder", "z_mean", x) for each in (exact, rounded[epoch])
        )
        z_mean.append(np.abs(exact_z - rounded_z))
        pair = (_outputs(each, "decoder", "logits", z) for each in (exact, rounded[epoch]))
        exact_probs, rounded_probs = (1 / (1 + np.exp(-logits)) for logits in pair)
        probs.append(np.abs(exact_probs - rounded_probs))
    return float(np.median(z_mean)), float(np.max(z_mean)), float(np.max(probs))


def _outputs(weights, part, head, h):
    """Returns the outputs of a head of the encoder or the decoder, in float64."""
    depth = sum(name.startswith(f"{part}/hidden_") for name in weights) // 2
    h = np.asarray(h, np.float64)
    for number in range(1, depth + 1):
        name = f"{part}/hidden_{number}"
        h = np.maximum(h @ weights[f"{name}/kernel"] + weights[f"{name}/bias"], 0)
    return h @ weights[f"{part}/{head}/kernel"] + weights[f"{part}/{head}/bias"]


def as_text(array, dtype):
    """Returns an array in base64, converted to a dtype."""
    return base64.b64encode(np.asarray(array).astype(dtype).tobytes()).decode()


def compressed(content):
    """Returns the zlib stream of bytes in base64."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _steps(weights):
    """Returns {name of a kernel: (columns,) float32 steps}, the same for all epochs."""
    first = next(iter(weights.values()))
    steps = {}
    for name in (name for name, array in first.items() if array.ndim == 2):
        largest = np.max([np.abs(arrays[name]).max(axis=0) for arrays in weights.values()], axis=0)
        steps[name] = np.where(largest > 0, largest / LEVELS, 1).astype(np.float32)
    return steps


def _rounded(kernel, step):
    """Returns the nearest integers of a kernel in units of `step`, float64 from -127 to 127."""
    return np.clip(np.round(kernel / step.astype(np.float64)), -LEVELS, LEVELS)
