"""Checks project 6, a step with K samples, on a linear model whose log p(x) is known."""

import numpy as np
import tensorflow as tf
from checking import expect
from scipy import stats

from shared import elbo

NOISE = 0.5  # variance of the pixels given z


def made(samples, seed=0):
    """Returns a linear VAE of 3 pixels and 2 latents: images, noise, variables and its terms."""
    random = np.random.RandomState(seed)
    x = tf.constant(random.normal(size=(8, 3)))
    epsilon = tf.constant(random.normal(size=(samples, 8, 2)))
    W, A = tf.Variable(random.normal(size=(2, 3))), tf.Variable(random.normal(0, 0.3, (3, 2)))
    v = tf.Variable(random.normal(-1, 0.2, (2,)))

    def terms(x, epsilon):
        z_mean = x @ A
        z_log_var = tf.zeros_like(z_mean) + v
        z = elbo.reparameterize(
            *(tf.broadcast_to(each, epsilon.shape) for each in (z_mean, z_log_var)), epsilon
        )
        away = x - tf.reshape(tf.reshape(z, (-1, 2)) @ W, (len(z), -1, 3))
        given = -0.5 * tf.reduce_sum(away**2 / NOISE + np.log(2 * np.pi * NOISE), axis=-1)
        return given, z, z_mean, z_log_var

    return x, epsilon, [W, A, v], terms


def known_weights(given, z, z_mean, z_log_var):
    """Returns the log weights of each sample, by the project's function."""
    rows = zip(given, z, strict=True)
    return tf.stack([elbo.log_importance_weight(*row, z_mean, z_log_var) for row in rows])


def weights(work):
    """Requires the log weights of the project, and the loss, also of tiny weights."""
    x, epsilon, _, terms = made(4)
    parts = terms(x, epsilon)
    found = np.asarray(work.log_weights(*parts))
    expect(found.shape == (4, 8), f"log_weights has shape {found.shape}; expected (4, 8)")
    expect(
        np.allclose(found, known_weights(*parts)), "log_weights: prior plus, q minus, all summed"
    )
    one = float(work.loss(tf.constant(found[:1])))
    text = f"with K = 1 the loss is {one:.4f}; expected minus the mean, {-found[:1].mean():.4f}"
    expect(abs(one + found[:1].mean()) < 1e-9, text)
    lowered = float(work.loss(tf.constant(found - 1000))) - 1000
    right = -float(np.mean(elbo.importance_bound(found)))
    text = f"the loss of weights of e^-1000 is {lowered + 1000:.3f}; expected {right + 1000:.3f}"
    expect(abs(lowered - right) < 1e-8, text)


def gradients(work):
    """Requires shares that are the gradient of the bound, and add up to 1."""
    values = tf.constant(np.random.RandomState(1).normal(0, 2, (5, 8)))
    found = np.asarray(work.shares(values))
    expect(np.allclose(found.sum(axis=0), 1), "the shares of an image do not add up to 1")
    with tf.GradientTape() as tape:
        tape.watch(values)
        bound = tf.reduce_sum(elbo.importance_bound(values))
    right = tape.gradient(bound, values)
    expect(np.allclose(found, right), "the shares are not the gradient by the log weights")


def steps(work):
    """Requires the step of ordinary gradient descent, for K = 1 and K = 5, and that it learns."""
    for samples in (1, 5):
        x, epsilon, variables, terms = made(samples)
        with tf.GradientTape() as tape:
            bounds = elbo.importance_bound(known_weights(*terms(x, epsilon)))
            value = -tf.reduce_mean(bounds)
        right = [
            v - 0.1 * g for v, g in zip(variables, tape.gradient(value, variables), strict=True)
        ]
        found = float(work.step(terms, variables, x, epsilon, 0.1))
        text = f"K = {samples}: step returns {found:.6f}; the loss before it is {float(value):.6f}"
        expect(abs(found - float(value)) < 1e-9, text)
        for variable, each in zip(variables, right, strict=True):
            text = f"K = {samples}: the step is not variable - learning rate · gradient"
            expect(np.allclose(variable, each), text)
    ends = {}
    for samples in (1, 20):
        x, _, variables, terms = made(samples)
        for number in range(100):
            epsilon = tf.constant(np.random.RandomState(number).normal(size=(samples, 8, 2)))
            work.step(terms, variables, x, epsilon, 0.1)
        W = variables[0].numpy()
        p = stats.multivariate_normal(np.zeros(3), W.T @ W + NOISE * np.eye(3))
        many = tf.constant(np.random.RandomState(9).normal(size=(samples, 500 * 8, 2)))
        loss = float(work.loss(known_weights(*terms(tf.tile(x, (500, 1)), many))))  # 500 draws
        ends[samples] = f"K = {samples} misses {np.mean(p.logpdf(x)) + loss:.2f}"
    return f"after 100 steps, {' and '.join(ends.values())} nats of log p(x)"


REQUIREMENTS = (
    ("log weights and loss; K = 1 is the ELBO", weights),
    ("the shares are the gradient of the bound", gradients),
    ("a step for any K, which learns", steps),
)
