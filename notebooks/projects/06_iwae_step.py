"""Project 6: a training step with K samples. The task is in README.md.

Write the four functions with TensorFlow or keras.ops, and run this file to check them.
"""

import sys


def log_weights(log_likelihood, z, z_mean, z_log_var):
    """Returns log p(x|z) + log p(z) - log q(z|x) of each sample and image, (K, batch) nats.

    Args:
        log_likelihood: (K, batch) nats.
        z: (K, batch, latent_dim), samples of q.
        z_mean, z_log_var: (batch, latent_dim).
    """
    raise NotImplementedError("log_weights is missing: write its body (TODO)")


def loss(log_weights):
    """Returns minus the importance bound, averaged over the batch: a scalar.

    Args:
        log_weights: (K, batch); they may be about -1000.
    """
    raise NotImplementedError("loss is missing: write its body (TODO)")


def shares(log_weights):
    """Returns the share of each sample in the gradient of its image, (K, batch), without gradients.

    The gradient of the bound is the sum of the shares times the gradients of the log weights.
    """
    raise NotImplementedError("shares is missing: write its body (TODO)")


def step(terms, variables, x, epsilon, learning_rate):
    """Does one step of gradient descent on the loss, and returns the loss before the step.

    Args:
        terms: function of (x, epsilon) that returns the four arguments of `log_weights`.
        variables: list of tf.Variable, which the step changes.
        x: (batch, pixels).
        epsilon: (K, batch, latent_dim), the noise.
        learning_rate: a number.
    """
    raise NotImplementedError("step is missing: write its body (TODO)")


if __name__ == "__main__":
    from checking import check

    sys.exit(check(__file__))
