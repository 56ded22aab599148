"""The exercises of notebook 5: a collapsed loss, an arc, information, active units, a warm-up."""

import math

import numpy as np
from exercises.forms import Exercise, close, near
from scipy import special

from shared import elbo
from shared.measure import diagnostics


def collapsed_loss():
    """Returns the loss of a collapsed model of four pixels, in nats."""
    white = np.array([0.5, 0.5, 0.0, 0.1])
    return float((special.entr(white) + special.entr(1 - white)).sum())


def trained_loss():
    """Returns the loss of a small model of four pixels, trained at beta = 50."""
    import tempfile
    from pathlib import Path

    from shared.config import recipe
    from shared.data import load_data
    from tf_vae.train import train

    i = np.arange(1000)
    x = np.stack([i % 2, i // 2 % 2, 0 * i, i % 10 == 9], axis=1).astype(np.float32)
    with tempfile.TemporaryDirectory() as place:
        np.savez(Path(place, "four.npz"), x_train=x, x_test=x)
        data = load_data(str(Path(place, "four.npz")))
    settings = {"hidden_dims": (8,), "beta": 50.0, "epochs": 60, "learning_rate": 0.01}
    _, run = train(recipe("post-keras", **settings), data, verbose=0)
    last = run.history[-1]
    loss = last["val_kl"] - last["val_log_likelihood"]  # the KL once, as in the ELBO
    return f"{loss:.2f} nats, of which KL {last['val_kl']:.3f}, by a trained model"


def is_arc(path):
    """Returns whether a function of (z0, z1, t) keeps the norm and turns evenly."""
    z0, z1 = (3 * v / np.linalg.norm(v) for v in np.array([[1.0, 2, 0, 1], [0, 1, -1, 1]]))
    across = z1 - (z1 @ z0 / 9) * z0  # from z0, the direction of the turn
    across *= 3 / np.linalg.norm(across)
    angle = math.acos(z0 @ z1 / 9)
    return all(
        close(path(z0, z1, t), math.cos(t * angle) * z0 + math.sin(t * angle) * across)
        for t in (0.0, 0.25, 0.5, 1.0)
    )


def names_the_active(active):
    """Returns whether three booleans, or numbers that stand for them, are those of `active_units`."""
    halves = np.array([1.0, -1.0] * 500)
    means = np.stack([0.5 * halves, np.full(1000, 2.0), 0.05 * halves], axis=1)
    return [bool(each) for each in active] == diagnostics.active_units(means).tolist()


def is_mixture(log_density):
    """Returns whether a function of (z, z_mean, z_log_var) is log q(z), also far away from all images."""
    random = np.random.RandomState(9)
    z_mean, z_log_var = random.normal(size=(6, 2)), random.normal(-2, 0.5, (6, 2))
    z = np.concatenate([random.normal(size=(4, 2)), [[60.0, -80.0]]])  # there every q(z|x) is 0
    right = diagnostics.aggregate_log_density(z, z_mean, z_log_var)
    return close(log_density(z, z_mean, z_log_var), right)


EXERCISES = {
    1: Exercise(
        near(collapsed_loss(), 0.01),
        (
            "Section 7 says what the loss of a collapsed model is. Which pixel adds nothing?",
            "Of each pixel: −p log p − (1 − p) log(1 − p), with the natural logarithm.",
        ),
        trained_loss,
    ),
    2: Exercise(
        is_arc,
        (
            "On a straight line the norm falls in the middle: the two weights may not add up to 1.",
            "With the angle w between z0 and z1, the weights are ratios of sines: of t w, of "
            "(1 − t) w, and of w.",
        ),
    ),
    3: Exercise(
        near(math.exp(6.1 - 0.5), 5),
        (
            "Which of the two parts of the KL in section 5 is the information?",
            "The information is in nats: which function makes a number of images of it?",
        ),
    ),
    4: Exercise(
        names_the_active,
        (
            "The criterion is about the *variance* of z_mean over the images, not about its size.",
            "The limit is 0.01, and the variance is the square of the standard deviation.",
        ),
    ),
    5: Exercise(
        near(float(elbo.warmed_up(4.0, 499, 2000)), 1e-3),  # 0 is the first step
        (
            "The weight rises linearly from 0 to beta.",
            "Which share of the warm-up is over in the 500th step?",
        ),
    ),
    6: Exercise(
        is_mixture,
        (
            "First log q(z|x) of each z and each image, an array of shape (n, images): sum over the "
            "latents. Then the mean over the images: of the densities, or of their logarithms?",
            "scipy.special.logsumexp adds densities that are 0 in float64. What does a mean need "
            "besides the sum? And the density of a Gaussian has its factor.",
        ),
    ),
}
