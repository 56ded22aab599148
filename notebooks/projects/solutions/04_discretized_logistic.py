"""Project 4, solved: a likelihood of 256 levels with two outputs per pixel."""

import numpy as np


def log_sigmoid(a):
    """Returns log(1 / (1 + exp(-a))), also where exp(-a) would be infinite; any shape."""
    return -np.logaddexp(0, -np.asarray(a, dtype=np.float64))


def log_likelihood(levels, mean, log_scale):
    """Returns log p of each image, (batch,) nats, by a logistic distribution that is cut in 256 levels."""
    v = np.asarray(levels) / 127.5 - 1
    low, high = ((v + edge - mean) / np.exp(log_scale) for edge in (-1 / 255, 1 / 255))
    # sigmoid(high) - sigmoid(low) = sigmoid(high) · sigmoid(-low) · (1 - exp(low - high)), in which
    # no two nearly equal numbers are subtracted.
    inside = log_sigmoid(high) + log_sigmoid(-low) + np.log(-np.expm1(low - high))
    edges = np.where(np.asarray(levels) == 0, log_sigmoid(high), log_sigmoid(-low))
    return np.where((v > -1) & (v < 1), inside, edges).sum(axis=1)


def bits_per_pixel(log_likelihood, pixels):
    """Returns the mean number of bits per pixel, a scalar."""
    return -np.mean(log_likelihood) / pixels / np.log(2)
