"""Project 5: own images, own networks. The task is in README.md.

Write the two functions, and run this file to check them. The check trains by the command line:
    python -m tf_vae train --network notebooks/projects/05_own_network.py:networks --data FILE …
"""

import sys


def save(path):
    """Writes your images to an .npz file with x_train, x_valid and x_test.

    Any images do that have some structure: scanned letters, sprites, drawn figures. They are black and
    white or grey, all of one size, at least 8 × 8, and at least 500 are for training.

    Args:
        path: path of the file.
    """
    raise NotImplementedError("save is missing: write its body (TODO)")


def networks(config, image_shape):
    """Returns an encoder and a decoder for these images, with at most 20,000 weights together.

    Args:
        config: shared.config.Config; config.latent_dim is the number of latents.
        image_shape: (rows, columns) of an image.
    Returns:
        encoder: keras.Model of x (batch, rows, columns, 1) that returns [z_mean, z_log_var].
        decoder: keras.Model of z (batch, latent_dim) that returns {"logits": (batch, rows, columns,
            1)}.
    """
    raise NotImplementedError("networks is missing: write its body (TODO)")


if __name__ == "__main__":
    from checking import check

    sys.exit(check(__file__))
