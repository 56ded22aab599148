"""Encoder and decoder as files that serve without this project: SavedModel and ONNX."""

import warnings

import keras

from shared.likelihoods import mean_image

__all__ = ["export", "load_exported"]


def export(model, directory, onnx=False):
    """Write `encoder` (x to z_mean and z_log_var, no noise) and `decoder` (z to the mean image).

    Args:
        model: VAE.
        directory: a folder; each part is a folder in it, or with `onnx` a file.
        onnx: write .onnx files; needs the package tf2onnx.
    """
    for name, part in _parts(model).items():
        if onnx:
            part(keras.ops.zeros((1, *part.input_shape[1:])))  # Keras exports what has been called
            with warnings.catch_warnings():  # Keras mends tf2onnx for new NumPy, and NumPy warns
                warnings.simplefilter("ignore", FutureWarning)
                part.export(directory / f"{name}.onnx", format="onnx", verbose=False)
        else:
            part.export(directory / name, format="tf_saved_model", verbose=False)


def _parts(model):
    """The two deterministic graphs, their outputs by name."""
    # encode
    # A delta posterior has z_mean alone.
    q = dict(zip(("z_mean", "z_log_var"), model.encoder.outputs, strict=False))
    # decode
    x = {"x": mean_image(model.config, model.decoder.output)}
    return {
        "encoder": keras.Model(model.encoder.inputs[0], q, name="encoder"),
        "decoder": keras.Model(model.decoder.inputs[0], x, name="decoder"),
    }


def load_exported(path):
    """The function in an exported SavedModel: from an array to {output name: array}."""
    layer = keras.layers.TFSMLayer(path, call_endpoint="serving_default")
    return lambda inputs: {
        name: keras.ops.convert_to_numpy(output) for name, output in layer(inputs).items()
    }
