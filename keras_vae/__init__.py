"""The VAE in Keras' functional API, trained with `compile` and `fit`.

Empty of code, so that `python -m keras_vae --help` answers before TensorFlow is loaded:
`from keras_vae.train import train`, and so on.
"""
