"""Exports encoder and decoder to files that do not need this project: SavedModel and ONNX."""

import warnings

import keras

from shared.beyond.onnx_files import write_onnx
from shared.likelihoods import mean_image

__all__ = ["export", "load_exported"]


def export(model, directory, onnx=False):
    """Writes `encoder` (x to z_mean and z_log_var, without noise) and `decoder` (z to mean image).

    Names and order of inputs and outputs are those of shared.beyond.onnx_files.SIGNATURES.

    Args:
        model: VAE, of `build` or of `assemble`.
        directory: pathlib.Path of a folder, in which each part is a folder or, with `onnx`, a file.
        onnx: whether to write .onnx files instead of SavedModels; needs the package tf2onnx.
    Raises:
        UsageError: ONNX lacks an operation of the model; then there is no .onnx file.
    """
    parts = _parts(model)
    if onnx:
        write_onnx(parts, directory, _convert)
        return
    for name, part in parts.items():
        part.export(directory / name, format="tf_saved_model", verbose=False)


def _parts(model):
    """Returns the two deterministic graphs, with named inputs and outputs."""
    # encode
    # An own network's inputs may have other names, so the parts have inputs of their own.
    x = keras.Input((model.input_dim,), name="x")
    q = model.encoder(x)
    q = q if isinstance(q, (list, tuple)) else [q]  # a single output is not in a list
    # A delta posterior has only z_mean.
    q = dict(zip(("z_mean", "z_log_var"), q, strict=False))
    # decode
    z = keras.Input((model.config.latent_dim,), name="z")
    mean = {"x": mean_image(model.config, model.decoder(z))}
    return {
        "encoder": keras.Model(x, q, name="encoder"),
        "decoder": keras.Model(z, mean, name="decoder"),
    }


def _convert(part, path):
    """Writes a part as an ONNX file."""
    # Keras only exports a model that has been called.
    part(keras.ops.zeros((1, *part.input_shape[1:])))
    with warnings.catch_warnings():  # Keras patches tf2onnx, and NumPy warns of it
        warnings.simplefilter("ignore", FutureWarning)
        part.export(path, format="onnx", verbose=False)


def load_exported(path):
    """Loads an exported SavedModel as a function from an array to {output name: array}."""
    layer = keras.layers.TFSMLayer(path, call_endpoint="serve")
    return lambda inputs: {
        name: keras.ops.convert_to_numpy(output) for name, output in layer(inputs).items()
    }
