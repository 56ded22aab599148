"""Known mistakes of published VAEs: for each there is an identity that rejects it.

A guard takes a function and raises AssertionError if the identity does not hold. The project's
function must pass its guard, and the mistake must fail it, which shows that the guard works.
"""

import itertools

import keras
import numpy as np
import oracle
import pytest
from keras import ops
from scipy import stats

import keras_vae.batches as keras_batches
import tf_vae.batches as tf_batches
from shared import elbo
from shared.config import recipe
from shared.likelihoods import mean_image
from shared.objective import Terms
from shared.show.figures import plots
from shared.training.optimizer import build_optimizer
from shared.training.trackers import track_terms

CONFIG = recipe("post-keras", batch_size=50)
RANDOM = np.random.RandomState(2)
MEAN, LOG_VAR = RANDOM.normal(0, 1, (8, 5)), RANDOM.uniform(-3, 1, (8, 5))


def kl_is_additive(kl):
    parts = [kl(MEAN[:, [i]], LOG_VAR[:, [i]]) for i in range(MEAN.shape[1])]
    np.testing.assert_allclose(kl(MEAN, LOG_VAR), np.sum(parts, axis=0), rtol=1e-10)


def kl_is_not_negative(kl):
    log_var = np.logspace(-30, -1, 3000, dtype=np.float32)[:, None]
    assert np.min(kl(np.zeros_like(log_var), log_var)) >= 0
    assert np.min(kl(np.zeros_like(log_var), -log_var)) >= 0


def likelihood_sums_to_one(log_likelihood):
    x = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    total = np.sum(np.exp(log_likelihood(x, np.broadcast_to(RANDOM.normal(0, 2, 6), x.shape))))
    assert abs(total - 1) < 1e-6


def likelihood_is_exact_at_large_logits(log_likelihood):
    logits = np.array([[-1e4, -104, -20, 20, 104, 1e4]], dtype=np.float32).T
    for x in (np.zeros_like(logits), np.ones_like(logits)):
        exact = oracle.bernoulli_log_likelihood(x.astype(float), logits.astype(float))
        # 2e-6: float32 keeps seven digits of a logit of 20, from which x · logit is taken.
        np.testing.assert_allclose(log_likelihood(x, logits), exact, rtol=1e-6, atol=2e-6)


def mean_ignores_batches(running_means):
    terms = RANDOM.normal([[-100.0], [9.0]], [[20.0], [3.0]], (2, 103)).astype(np.float32)
    means = running_means([terms[:, start : start + 50] for start in range(0, 103, 50)])
    # 1e-6: float32 sums. The last batch holds three examples; as a full one it would be a third.
    np.testing.assert_allclose(means, terms.mean(axis=1, dtype=np.float64), rtol=1e-6)


def every_image_is_in_one_batch(batches):
    # n images that differ in their first pixel, in batches of which the last is partial.
    x = np.zeros((1003, 2), np.float32)
    x[:, 0] = np.arange(1003) / 1003
    numbers = [np.rint(np.asarray(batch)[:, 0] * 1003) for batch in batches(x)]
    np.testing.assert_array_equal(np.sort(np.concatenate(numbers)), np.arange(1003))


def bound_of_equal_weights_is_the_weight(bound):
    np.testing.assert_allclose(bound(np.full((50, 3), -90.0)), -90.0, rtol=1e-12)


def weight_of_an_exact_posterior_is_the_evidence(log_weight):
    # x = z + noise of variance 1, both N(0, 1): p(z|x) = N(x/2, 1/2), p(x) = N(0, 2).
    x, z = RANDOM.normal(size=(9, 1)), RANDOM.normal(size=(9, 1))
    log_likelihood = stats.norm.logpdf(x, z, 1)[:, 0]
    weights = log_weight(log_likelihood, z, x / 2, np.full_like(x, np.log(0.5)))
    np.testing.assert_allclose(weights, stats.norm.logpdf(x[:, 0], 0, np.sqrt(2)), rtol=1e-11)


def pixels_have_the_probability_of_the_likelihood(probability):
    logits = np.array([[-5.0, -1.0, 0.0, 0.3, 4.0]])
    white = [elbo.bernoulli_log_likelihood(np.ones((1, 1)), logits[:, [i]])[0] for i in range(5)]
    # 1e-6: the project's mean image is float32.
    np.testing.assert_allclose(np.asarray(probability(logits))[0], np.exp(white), rtol=1e-6)


def manifold_is_upright(grid):
    # Row by row from the top: z[0] increases to the right and z[1] upward, as in the scatter.
    z = grid.reshape(15, 15, 2)
    assert (np.diff(z[:, :, 0], axis=1) > 0).all() and (np.diff(z[:, :, 1], axis=0) < 0).all()


def first_step_is_that_of_tensorflow_1(build):
    # The first moments are 0.1 g and 0.001 g². Adam corrects both and adds ε before it corrects the
    # second: it moves a weight by rate · g / (g + ε / √0.001), 5.9e-4 at ε = 1e-8 and a tenth of it
    # at 1e-7. The first gradients of the encoder's first kernel are about this small.
    variable, g = keras.Variable(0.0), 2e-8
    build([variable]).apply([ops.convert_to_tensor(g)], [variable])
    exact = -0.01 * g / (g + 1e-8 / np.sqrt(0.001))
    # 1e-4: float32 keeps five digits of 1 - 0.999.
    np.testing.assert_allclose(np.array(variable), exact, rtol=1e-4)


def post_tf(**changes):
    return lambda variables: build_optimizer(recipe("post-tf", **changes), 60_000, variables)


def saturated(x, logits):
    probs = 1 / (1 + np.exp(-logits.clip(-80, 80)))
    one, tiny = logits.dtype.type(1), logits.dtype.type(1e-8)
    return np.sum(x * np.log(probs + tiny) + (1 - x) * np.log(one - probs + tiny), axis=-1)


def logged(batches):
    """The running means that both implementations write into their logs."""
    trackers = {name: keras.metrics.Mean() for name in ("log_likelihood", "kl")}
    for log_likelihood, kl in batches:
        terms = Terms(ops.convert_to_tensor(log_likelihood), ops.convert_to_tensor(kl))
        track_terms(trackers, terms)
    return [float(tracker.result()) for tracker in trackers.values()]


def keras_epoch(x):
    stream = keras_batches.training_batches(x, CONFIG)
    return stream.take(CONFIG.steps_per_epoch(len(x)))


def tf_epoch(x):
    images, orders = next(tf_batches.training_batches(x, CONFIG))
    return [images[rows] for order in orders for rows in order]


def without_the_last(batches):
    return lambda x: list(batches(x))[:-1]


CASES = {
    "KL averaged over latents": (
        kl_is_additive,
        elbo.kl_to_standard_normal,
        lambda m, v: np.mean(0.5 * (np.exp(v) + m**2 - 1 - v), axis=-1),
    ),
    "KL by exp(v) - 1 - v": (
        kl_is_not_negative,
        elbo.kl_to_standard_normal,
        lambda m, v: 0.5 * np.sum(np.exp(v) - 1 - v + m**2, axis=-1),
    ),
    "log-likelihood averaged over pixels": (
        likelihood_sums_to_one,
        elbo.bernoulli_log_likelihood,
        lambda x, logits: oracle.bernoulli_log_likelihood(x, logits) / x.shape[-1],
    ),
    "log of a sigmoid plus epsilon": (
        likelihood_is_exact_at_large_logits,
        elbo.bernoulli_log_likelihood,
        saturated,
    ),
    "partial batch weighted like a full one": (
        mean_ignores_batches,
        logged,
        lambda batches: np.mean([np.mean(batch, axis=1) for batch in batches], axis=0),
    ),
    "partial batch missing in the log": (
        mean_ignores_batches,
        logged,
        lambda batches: logged(batches[:-1]),
    ),
    "partial batch of an epoch dropped, keras_vae": (
        every_image_is_in_one_batch,
        keras_epoch,
        without_the_last(keras_epoch),
    ),
    "partial batch of an epoch dropped, tf_vae": (
        every_image_is_in_one_batch,
        tf_epoch,
        without_the_last(tf_epoch),
    ),
    "partial batch of an evaluation dropped, keras_vae": (
        every_image_is_in_one_batch,
        lambda x: keras_batches.evaluation_batches(x, CONFIG),
        without_the_last(lambda x: keras_batches.evaluation_batches(x, CONFIG)),
    ),
    "partial batch of an evaluation dropped, tf_vae": (
        every_image_is_in_one_batch,
        lambda x: tf_batches.evaluation_batches(x, CONFIG),
        without_the_last(lambda x: tf_batches.evaluation_batches(x, CONFIG)),
    ),
    "importance bound: sum for mean": (
        bound_of_equal_weights_is_the_weight,
        elbo.importance_bound,
        lambda w: ops.logsumexp(w, axis=0),
    ),
    "importance bound: count of another axis": (
        bound_of_equal_weights_is_the_weight,
        elbo.importance_bound,
        lambda w: ops.logsumexp(w, axis=0) - np.log(w.shape[1]),
    ),
    "importance weight: sign of log q": (
        weight_of_an_exact_posterior_is_the_evidence,
        elbo.log_importance_weight,
        lambda ll, z, m, v: (
            ll + oracle.log_normal(z, 0.0, np.zeros_like(v)) + oracle.log_normal(z, m, v)
        ),
    ),
    "pixels drawn with probability softplus(logit)": (
        pixels_have_the_probability_of_the_likelihood,
        lambda logits: mean_image(CONFIG, {"logits": logits}),
        lambda logits: np.minimum(np.logaddexp(0, logits), 1),
    ),
    "manifold upside down": (
        manifold_is_upright,
        plots.manifold_z(),
        plots.manifold_z().reshape(15, 15, 2)[::-1],
    ),
    "default taken over from another framework: Keras' epsilon": (
        first_step_is_that_of_tensorflow_1,
        post_tf(),
        post_tf(optimizer_epsilon=1e-7),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ours_passes_the_guard_and_the_mistake_does_not(name):
    guard, ours, mistake = CASES[name]
    guard(ours)
    with pytest.raises(AssertionError), np.errstate(all="ignore"):
        guard(mistake)
