"""The VAE in plain TensorFlow, trained with a `tf.GradientTape` loop.

Empty of code, so that `python -m tf_vae --help` answers before TensorFlow is loaded:
`from tf_vae.train import train`, and so on.
"""
