"""Project 6, solved: a training step with K samples."""

import math

import tensorflow as tf


def log_weights(log_likelihood, z, z_mean, z_log_var):
    """Returns log p(x|z) + log p(z) - log q(z|x) of each sample and image, (K, batch) nats."""
    standard = (z - z_mean) / tf.exp(z_log_var / 2)
    log_prior = -0.5 * tf.reduce_sum(z**2 + math.log(2 * math.pi), axis=-1)
    log_q = -0.5 * tf.reduce_sum(standard**2 + z_log_var + math.log(2 * math.pi), axis=-1)
    return log_likelihood + log_prior - log_q


def loss(log_weights):
    """Returns minus the importance bound, averaged over the batch: a scalar."""
    samples = log_weights.shape[0]
    return -tf.reduce_mean(tf.reduce_logsumexp(log_weights, axis=0) - math.log(samples))


def shares(log_weights):
    """Returns the share of each sample in the gradient of its image, (K, batch), without gradients."""
    return tf.stop_gradient(tf.nn.softmax(log_weights, axis=0))


def step(terms, variables, x, epsilon, learning_rate):
    """Does one step of gradient descent on the loss, and returns the loss before the step."""
    with tf.GradientTape() as tape:
        value = loss(log_weights(*terms(x, epsilon)))
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        variable.assign_sub(learning_rate * gradient)
    return value
