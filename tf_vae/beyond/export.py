"""Exports encoder and decoder to files that do not need this project: SavedModel and ONNX."""

import tensorflow as tf

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
        module = tf.Module()
        module.serve = part  # as in the SavedModels of Keras
        # A SavedModel holds what the module refers to: here all that the part reads.
        module.read = part.get_concrete_function().graph.variables
        signatures = {"serve": part, "serving_default": part}
        tf.saved_model.save(module, directory / name, signatures=signatures)


def _parts(model):
    """Returns the two deterministic functions, with named inputs and outputs."""
    config = model.config

    # encode
    @tf.function(input_signature=[tf.TensorSpec((None, model.input_dim), name="x")])
    def encoder(x):
        # A delta posterior has only z_mean.
        return dict(zip(("z_mean", "z_log_var"), model.encoder(x), strict=False))

    # decode
    @tf.function(input_signature=[tf.TensorSpec((None, config.latent_dim), name="z")])
    def decoder(z):
        return {"x": mean_image(config, model.decoder(z))}

    return {"encoder": encoder, "decoder": decoder}


def _convert(part, path):
    """Writes a part as an ONNX file."""
    import tf2onnx

    tf2onnx.convert.from_function(part, part.input_signature, output_path=path)


def load_exported(path):
    """Loads an exported SavedModel as a function from an array to {output name: array}."""
    module = tf.saved_model.load(path)
    return lambda inputs: {
        name: output.numpy() for name, output in module.serve(tf.constant(inputs)).items()
    }
