"""Exports encoder and decoder to files that do not need this project: SavedModel and ONNX."""

import tensorflow as tf

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
            import tf2onnx

            path = directory / f"{name}.onnx"
            tf2onnx.convert.from_function(part, part.input_signature, output_path=path)
        else:
            tf.saved_model.save(model, directory / name, signatures=part)


def _parts(model):
    """Returns the two deterministic functions, with named outputs."""
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


def load_exported(path):
    """Loads an exported SavedModel as a function from an array to {output name: array}."""
    module = tf.saved_model.load(path)
    function = module.signatures["serving_default"]
    (name,) = function.structured_input_signature[1]

    def call(inputs, module=module):  # the default value keeps the module alive
        outputs = function(**{name: tf.constant(inputs)})
        return {key: output.numpy() for key, output in outputs.items()}

    return call
