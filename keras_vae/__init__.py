"""The VAE in Keras' functional API, trained with `compile` and `fit`.

This file imports nothing, so that `python -m keras_vae --help` appears before TensorFlow is loaded.
Import from the modules: `from keras_vae.train import train`.
"""
