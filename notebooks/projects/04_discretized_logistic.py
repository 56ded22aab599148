"""Project 4: a likelihood of 256 levels with two outputs per pixel. The task is in README.md.

Write the three functions in NumPy, and run this file to check them.
"""

import sys


def log_sigmoid(a):
    """Returns log(1 / (1 + exp(-a))), also where exp(-a) would be infinite; any shape."""
    raise NotImplementedError("log_sigmoid is missing: write its body (TODO)")


def log_likelihood(levels, mean, log_scale):
    """Returns log p of each image, (batch,) nats, by a logistic distribution that is cut in 256 levels.

    Level k stands for v = k / 127.5 - 1, and has the probability of (v - 1/255, v + 1/255) under a
    logistic distribution with this mean and scale. Level 0 gets all that lies below, level 255 all
    that lies above.

    Args:
        levels: (batch, pixels), integers from 0 to 255.
        mean: (batch, pixels), between -1 and 1.
        log_scale: (batch, pixels), natural log of the scale.
    """
    raise NotImplementedError("log_likelihood is missing: write its body (TODO)")


def bits_per_pixel(log_likelihood, pixels):
    """Returns the mean number of bits per pixel, a scalar.

    Args:
        log_likelihood: (batch,) nats.
        pixels: number of pixels of an image.
    """
    raise NotImplementedError("bits_per_pixel is missing: write its body (TODO)")


if __name__ == "__main__":
    from checking import check

    sys.exit(check(__file__))
