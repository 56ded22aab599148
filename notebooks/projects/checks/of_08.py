"""Checks project 8, an anomaly detector, with nine small VAEs of one digit each."""

import numpy as np
import tensorflow as tf
from checking import expect
from scipy import special
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from shared import elbo

LEFT_OUT, STEPS = 4, 400


def mixture(work):
    """Requires log probabilities that add up to 1, and surprises of tiny probabilities."""
    elbos = np.random.RandomState(0).normal(-1000, 3, (6, 4))
    log_prior = np.log([0.1, 0.2, 0.3, 0.4])
    found = np.asarray(work.class_log_probabilities(elbos, log_prior))
    right = special.log_softmax(elbos + log_prior, axis=1)
    expect(
        found.shape == (6, 4), f"class_log_probabilities has shape {found.shape}; expected (6, 4)"
    )
    expect(np.allclose(found, right), "Bayes' rule: likelihood times prior, over their sum")
    found = np.asarray(work.surprise(elbos, log_prior))
    right = -special.logsumexp(elbos + log_prior, axis=1)
    expect(
        found.shape == (6,) and np.allclose(found, right), "surprise: the prior weighs the classes"
    )
    found = np.asarray(work.relative_surprise(elbos, log_prior, np.full(6, -990.0)))
    text = "relative_surprise: an image that both models find unlikely is no surprise"
    expect(np.allclose(found, right - 990), text)


def area(work):
    """Requires the area under the ROC curve of scikit-learn, also with equal scores."""
    random = np.random.RandomState(1)
    for score in (random.normal(size=60), random.randint(0, 4, 60).astype(float), np.zeros(60)):
        unknown = random.uniform(size=60) < 0.3
        found, right = float(work.area_under_roc(score, unknown)), roc_auc_score(unknown, score)
        expect(abs(found - right) < 1e-9, f"area_under_roc is {found:.4f}; expected {right:.4f}")


def trained():
    """Returns ELBOs of test images under a VAE of each known class, with labels and a baseline."""
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.data))
    x, y = (digits.data[order] > 7).astype(np.float32), digits.target[order]
    x_test, y_test, x, y = x[:500], y[:500], x[500:], y[500:]
    sizes = {"h": (64, 48), "q": (48, 4), "g": (2, 48), "l": (48, 64)}  # 2 latents
    variables = {
        f"{name}{part}": tf.Variable(tf.zeros(shape if part == "W" else shape[1:]))
        for name, shape in sizes.items()
        for part in "Wb"
    }

    def layer(name, h):
        return h @ variables[f"{name}W"] + variables[f"{name}b"]

    @tf.function
    def terms(x, epsilon):
        z_mean, z_log_var = tf.split(layer("q", tf.tanh(layer("h", x))), 2, axis=1)
        z = elbo.reparameterize(z_mean, z_log_var, epsilon)
        logits = layer("l", tf.tanh(layer("g", z)))
        return elbo.elbo(
            elbo.bernoulli_log_likelihood(x, logits), elbo.kl_to_standard_normal(z_mean, z_log_var)
        )

    weights = list(variables.values())
    slots = [[tf.Variable(tf.zeros_like(v)) for v in weights] for _ in range(2)]

    @tf.function
    def step(x, number):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(
                terms(x, tf.random.stateless_normal((50, 2), tf.stack([1, number])))
            )
        for v, g, m, s in zip(weights, tape.gradient(loss, weights), *slots, strict=True):  # Adam
            m.assign(0.9 * m + 0.1 * g)
            s.assign(0.99 * s + 0.01 * g * g)
            v.assign_sub(0.01 * m / (tf.sqrt(s) + 1e-6))

    classes, elbos, random = [c for c in range(10) if c != LEFT_OUT], [], np.random.RandomState(2)
    for c in classes:
        for v in (*weights, *slots[0], *slots[1]):
            v.assign(tf.zeros_like(v))
        for name, shape in sizes.items():
            limit = np.sqrt(6 / sum(shape))
            variables[f"{name}W"].assign(random.uniform(-limit, limit, shape))
        own = x[y == c]
        for number in range(STEPS):
            step(tf.constant(own[random.randint(0, len(own), 50)]), tf.constant(number))
        drawn = [
            terms(x_test, tf.random.stateless_normal((500, 2), [2, sample])) for sample in range(20)
        ]
        elbos.append(np.mean(drawn, axis=0))
    known = np.isin(y, classes)
    share = x[known].mean(axis=0).clip(0.002, 0.998)  # each pixel by itself: the simple model
    baseline = (x_test * np.log(share) + (1 - x_test) * np.log(1 - share)).sum(axis=1)
    log_prior = np.log([np.mean(y[known] == c) for c in classes])
    return np.stack(elbos, axis=1).astype(float), log_prior, baseline, y_test, np.array(classes)


def detector(work):
    """Requires good classes for known digits, and measures both scores for the one left out."""
    elbos, log_prior, baseline, y, classes = trained()
    unknown = y == LEFT_OUT
    guess = classes[np.argmax(work.class_log_probabilities(elbos, log_prior), axis=1)]
    accuracy = np.mean(guess[~unknown] == y[~unknown])
    expect(accuracy > 0.8, f"{accuracy:.0%} of the known digits are recognized; expected over 80 %")
    scores = work.surprise(elbos, log_prior), work.relative_surprise(elbos, log_prior, baseline)
    plain, relative = (float(work.area_under_roc(np.asarray(each), unknown)) for each in scores)
    expect(relative > 0.7, f"the area under ROC is {relative:.2f}; expected over 0.7")
    return f"{accuracy:.0%} recognized; digit {LEFT_OUT} left out: area {plain:.3f}, relative {relative:.3f}"


REQUIREMENTS = (
    ("classes and surprise from ELBOs", mixture),
    ("the area under the ROC curve", area),
    ("nine VAEs as a detector of the tenth digit", detector),
)
