"""The VAE in plain TensorFlow, trained with a `tf.GradientTape` loop.

This file imports nothing, so that `python -m tf_vae --help` appears before TensorFlow is loaded.
Import from the modules: `from tf_vae.train import train`.
"""
