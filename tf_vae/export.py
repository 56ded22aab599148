"""Encoder and decoder as files that serve without this project: SavedModel and ONNX."""

import tensorflow as tf

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
            import tf2onnx

            path = directory / f"{name}.onnx"
            tf2onnx.convert.from_function(part, part.input_signature, output_path=path)
        else:
            tf.saved_model.save(model, directory / name, signatures=part)


def _parts(model):
    """The two deterministic functions, their outputs by name."""
    config = model.config

    # encode
    @tf.function(input_signature=[tf.TensorSpec((None, model.input_dim), name="x")])
    def encoder(x):
        # A delta posterior has z_mean alone.
        return dict(zip(("z_mean", "z_log_var"), model.encoder(x), strict=False))

    # decode
    @tf.function(input_signature=[tf.TensorSpec((None, config.latent_dim), name="z")])
    def decoder(z):
        return {"x": mean_image(config, model.decoder(z))}

    return {"encoder": encoder, "decoder": decoder}


def load_exported(path):
    """The function in an exported SavedModel: from an array to {output name: array}."""
    module = tf.saved_model.load(path)
    function = module.signatures["serving_default"]
    (name,) = function.structured_input_signature[1]

    def call(inputs, module=module):  # which the function does not keep alive by itself
        outputs = function(**{name: tf.constant(inputs)})
        return {key: output.numpy() for key, output in outputs.items()}

    return call
