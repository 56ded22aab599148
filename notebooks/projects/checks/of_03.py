"""Checks project 3, free bits: values, gradients, and where a latent without use comes to rest."""

import numpy as np
import tensorflow as tf
from checking import expect

from shared import elbo


def values(work):
    """Requires the KL of each latent, and the ordinary loss with a floor of 0."""
    q = np.random.RandomState(0).normal(size=(2, 6, 3)).astype(np.float32)
    kl = np.asarray(work.kl_per_latent(*map(tf.constant, q)))
    expect(kl.shape == (6, 3), f"kl_per_latent has shape {kl.shape}; expected (6, 3)")
    known = np.asarray(elbo.kl_to_standard_normal(*q))
    expect(np.allclose(kl.sum(axis=1), known, atol=1e-5), "the sum over latents is not the KL")
    log_likelihood = tf.constant([-90.0, -95, -100, -105, -110, -115])
    found = np.asarray(work.loss(log_likelihood, tf.constant(kl), 0.0))
    expect(found.shape == (), f"loss has shape {found.shape}; expected a scalar")
    right = float(elbo.negative_elbo(log_likelihood, known))
    expect(abs(found - right) < 1e-4, f"with floor 0 the loss is {found:.4f}; expected {right:.4f}")


def floors(work):
    """Requires a floor for the mean over the batch, not for each image, and zero gradients below it."""
    kl = tf.constant([[0.1, 2.0, 0.0], [0.7, 4.0, 0.2]])  # means 0.4, 3.0 and 0.1
    with tf.GradientTape() as tape:
        tape.watch(kl)
        total = work.free_bits(kl, 0.5)
    right = 0.5 + 3.0 + 0.5
    text = f"free_bits is {float(total):.3f}; expected {right}: first the mean over the batch, then max"
    expect(abs(float(total) - right) < 1e-6, text)
    gradient = tape.gradient(total, kl)
    expect(gradient is not None, "free_bits has no gradient: use keras.ops or TensorFlow")
    right = [[0.0, 0.5, 0.0], [0.0, 0.5, 0.0]]
    text = f"its gradient is {gradient.numpy().tolist()}; expected {right}: nothing below the floor"
    expect(np.allclose(gradient, right), text)


def rest(work):
    """Requires that a q that nobody needs falls to the floor, and stays there."""
    ends = {}
    for floor in (0.0, 0.5):
        z_mean, z_log_var = tf.Variable([[1.5], [-1.5]]), tf.Variable([[-1.0], [-1.0]])
        for _ in range(400):
            with tf.GradientTape() as tape:
                cost = work.loss(tf.zeros(2), work.kl_per_latent(z_mean, z_log_var), floor)
            for each, gradient in zip(
                (z_mean, z_log_var), tape.gradient(cost, (z_mean, z_log_var)), strict=True
            ):
                each.assign_sub(0.1 * gradient)
        ends[floor] = float(np.mean(elbo.kl_to_standard_normal(z_mean, z_log_var)))
    expect(ends[0.0] < 0.01, f"without a floor the KL ends at {ends[0.0]:.3f}; expected 0")
    text = f"with a floor of 0.5 the KL ends at {ends[0.5]:.3f}; expected just below 0.5"
    expect(0.4 < ends[0.5] <= 0.5, text)
    return f"a latent without use ends at {ends[0.0]:.3f} nats, with a floor at {ends[0.5]:.3f}"


REQUIREMENTS = (
    ("the KL of each latent, and the usual loss without a floor", values),
    ("the floor is for the mean over the batch, and has no gradient below", floors),
    ("a latent that is not needed comes to rest at the floor", rest),
)
