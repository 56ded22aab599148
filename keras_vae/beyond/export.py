"""Exports encoder and decoder to files that do not need this project: SavedModel and ONNX."""

import warnings

import keras

from shared.likelihoods import mean_image

__all__ = ["export", "load_exported"]


def export(model, directory, onnx=False):
    """Writes `encoder` (x to z_mean and z_log_var, without noise) and `decoder` (z to mean image).

    Args:
        model: VAE.
        directory: pathlib.Path of a folder, in which each part is a folder or, with `onnx`, a file.
        onnx: whether to write .onnx files instead of SavedModels; needs the package tf2onnx.
    """
    for name, part in _parts(model).items():
        if onnx:
            # Keras only exports a model that has been called.
            part(keras.ops.zeros((1, *part.input_shape[1:])))
            with warnings.catch_warnings():  # Keras patches tf2onnx, and NumPy warns of it
                warnings.simplefilter("ignore", FutureWarning)
                part.export(directory / f"{name}.onnx", format="onnx", verbose=False)
        else:
            part.export(directory / name, format="tf_saved_model", verbose=False)


def _parts(model):
    """Returns the two deterministic graphs, with named outputs."""
    # encode
    # A delta posterior has only z_mean.
    q = dict(zip(("z_mean", "z_log_var"), model.encoder.outputs, strict=False))
    # decode
    x = {"x": mean_image(model.config, model.decoder.output)}
    return {
        "encoder": keras.Model(model.encoder.inputs[0], q, name="encoder"),
        "decoder": keras.Model(model.decoder.inputs[0], x, name="decoder"),
    }


def load_exported(path):
    """Loads an exported SavedModel as a function from an array to {output name: array}."""
    layer = keras.layers.TFSMLayer(path, call_endpoint="serving_default")
    return lambda inputs: {
        name: keras.ops.convert_to_numpy(output) for name, output in layer(inputs).items()
    }
