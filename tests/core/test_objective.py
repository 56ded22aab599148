"""Training with several samples of q(z|x): their mean ELBO, and the importance bound."""

import dataclasses
import itertools

import numpy as np
import oracle
import pytest
import tensorflow as tf
from bits import both, differing
from scipy import special, stats

from shared.config import ADDED, from_dict, recipe
from shared.machine.checks import UsageError
from shared.objective import Terms, objective_loss, objective_per_image, repeated, terms_of
from shared.weights import weight_shapes

CONFIG = recipe("post-keras", hidden_dims=(5,), latent_dim=2, batch_size=60, epochs=2)
IWAE = dataclasses.replace(CONFIG, objective="iwae", train_samples=4)
MANY = dataclasses.replace(CONFIG, train_samples=4)
BATCH, PIXELS, SAMPLES = 7, 6, 4


@pytest.fixture(scope="module")
def case():
    """Float64 inputs of the objective, and what they are for each sample, by formulas of SciPy."""
    random = np.random.RandomState(0)
    x = (random.uniform(size=(BATCH, PIXELS)) < 0.5).astype(float)
    mean, log_var = random.normal(size=(BATCH, 2)), random.uniform(-2, 0.5, (BATCH, 2))
    z = mean + np.exp(log_var / 2) * random.normal(size=(SAMPLES, BATCH, 2))
    logits = 2 * random.normal(size=(SAMPLES, BATCH, PIXELS))
    given_z = stats.bernoulli.logpmf(x.astype(int), special.expit(logits)).sum(axis=2)
    weights = given_z + stats.norm.logpdf(z).sum(axis=2)
    weights -= stats.norm.logpdf(z, mean, np.exp(log_var / 2)).sum(axis=2)
    inputs = x, {"logits": logits.reshape(-1, PIXELS)}, [mean, log_var], z.reshape(-1, 2)
    return inputs, given_z, weights


def test_the_bound_is_the_log_of_the_mean_weight(case):
    inputs, given_z, weights = case
    terms = terms_of(IWAE, *inputs, SAMPLES)
    exact = special.logsumexp(weights, axis=0) - np.log(SAMPLES)
    np.testing.assert_allclose(terms.bound, exact, rtol=1e-12)
    np.testing.assert_allclose(terms.log_likelihood, given_z.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(objective_loss(IWAE, terms), -exact.mean(), rtol=1e-12)


def test_the_elbo_of_several_samples_is_their_mean(case):
    inputs, given_z, _ = case
    terms = terms_of(MANY, *inputs, SAMPLES)
    kl = oracle.kl_to_standard_normal(*inputs[2])
    assert terms.bound is None
    np.testing.assert_allclose(terms.kl, kl, rtol=1e-12)
    np.testing.assert_allclose(
        objective_loss(MANY, terms), np.mean(kl - given_z.mean(axis=0)), rtol=1e-12
    )


def test_an_evaluation_of_either_objective_is_the_elbo(case):
    x, heads, q, z = case[0]
    one = {"logits": heads["logits"][:BATCH]}
    usual, bound = (terms_of(config, x, one, q, z[:BATCH], 1) for config in (CONFIG, IWAE))
    np.testing.assert_array_equal(bound.bound, usual.log_likelihood - usual.kl)
    np.testing.assert_allclose(
        objective_loss(IWAE, bound), objective_loss(CONFIG, usual), rtol=1e-14
    )


def test_the_gradient_weighs_the_samples_by_their_importance(case):
    """Burda et al., equation 14: the gradients of the samples, weighted by w / sum of w."""
    (x, heads, q, z), _, weights = case
    logits = tf.Variable(heads["logits"])
    with tf.GradientTape() as tape:
        loss = objective_loss(IWAE, terms_of(IWAE, x, {"logits": logits}, q, z, SAMPLES))
    gradient = tape.gradient(loss, logits).numpy().reshape(SAMPLES, BATCH, PIXELS)
    of_a_sample = x - special.expit(heads["logits"].reshape(SAMPLES, BATCH, PIXELS))
    share = special.softmax(weights, axis=0)[..., None]
    np.testing.assert_allclose(gradient, -share * of_a_sample / BATCH, rtol=1e-11)


def test_a_worker_sums_what_the_loss_averages(case):
    """The loss is minus the mean of the objective, of which each worker computes a part."""
    for config, beta in ((MANY, 1.0), (dataclasses.replace(MANY, beta=3.0), 3.0), (IWAE, 9.0)):
        terms = terms_of(config, *case[0], SAMPLES)
        exact = terms.log_likelihood - beta * terms.kl if config != IWAE else terms.bound
        np.testing.assert_array_equal(objective_per_image(terms, beta), exact)
        np.testing.assert_allclose(objective_loss(config, terms), -np.mean(exact), rtol=1e-14)


def test_only_a_training_step_has_a_warm_up(case):
    config = dataclasses.replace(MANY, beta=2.0, kl_warmup_steps=10)
    terms = terms_of(config, *case[0], SAMPLES)
    terms = Terms(*(tf.cast(each, tf.float32) for each in terms[:2]))
    given_z, kl = np.mean(terms.log_likelihood), np.mean(terms.kl)
    for step, beta in ((0, 0.2), (4, 1.0), (9, 2.0), (50, 2.0), (None, 2.0)):
        # 1e-6: float32.
        loss = objective_loss(config, terms, step)
        np.testing.assert_allclose(loss, beta * kl - given_z, rtol=1e-6)


def test_a_batch_is_repeated_sample_by_sample():
    x = np.arange(6.0).reshape(3, 2)
    assert repeated(x, 1) is x
    np.testing.assert_array_equal(repeated(x, 2), np.concatenate([x, x]))


@pytest.mark.parametrize(
    "config", [pytest.param(MANY, id="elbo", marks=pytest.mark.long), pytest.param(IWAE, id="iwae")]
)
def test_both_implementations_have_equal_bits(config, uneven_data, implementations):
    results = both(implementations, lambda each: each.train(config, uneven_data, verbose=0))
    weights = [
        implementation.gather(model)
        for implementation, (model, _) in zip(implementations.values(), results, strict=True)
    ]
    assert not differing(*weights)
    rows = [[{**row, "seconds": None} for row in run.history] for _, run in results]
    assert rows[0] == rows[1]


@pytest.mark.long
def test_one_sample_of_either_objective_is_the_usual_training(data, implementations):
    implementation = implementations["tf_vae"]
    one = dataclasses.replace(CONFIG, objective="iwae", train_samples=1)
    weights = [
        implementation.gather(implementation.train(config, data, verbose=0)[0])
        for config in (CONFIG, one)
    ]
    assert not differing(*weights)


def test_an_evaluation_does_not_depend_on_the_objective(implementation, data):
    weights = None
    results = []
    for config in (CONFIG, MANY, IWAE):
        model = implementation.build(config, data.input_dim)
        weights = weights or implementation.gather(model)
        implementation.assign(model, weights)
        results.append(implementation.evaluate(model, data.x_test, config))
    assert results[0] == results[1] == results[2]


def test_more_samples_tighten_the_bound(data, implementations):
    """The mean bound of one model over all images and many noises, at K = 1, 2, 8."""
    implementation = implementations["tf_vae"]
    model, _ = implementation.train(CONFIG, data, verbose=0)
    q = [tf.constant(each) for each in implementation.encode(model, data.x_test)]
    x = tf.constant(data.x_test)
    bounds = []
    for samples in (1, 2, 8):
        config = dataclasses.replace(IWAE, train_samples=max(samples, 2))
        each = []
        for seed in range(20):
            mean, log_var = (repeated(part, samples) for part in q)
            noise = tf.random.stateless_normal(tf.shape(mean), [seed, samples])
            z = mean + tf.exp(log_var / 2) * noise
            terms = terms_of(config, x, model.decoder(z), q, z, samples)
            each.append(float(objective_loss(config, terms)))
        bounds.append(np.mean(each))
    assert all(a > b for a, b in itertools.pairwise(bounds))  # losses


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "iwae", "beta": 2.0}, "beta is 2.0 but objective is iwae"),
        ({"objective": "iwae", "kl_warmup_steps": 5}, "kl_warmup_steps is 5 but objective is iwae"),
        ({"posterior": "delta", "train_samples": 2}, "train_samples is 2 but posterior is delta"),
        ({"posterior": "delta", "objective": "iwae"}, "objective is iwae but posterior is delta"),
        ({"train_samples": 0}, "train_samples is 0; expected an integer >= 1"),
        ({"objective": "vi"}, "objective is 'vi'; expected one of elbo, iwae"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(CONFIG, **changes)


def test_a_config_of_an_earlier_release_has_the_elbo_of_one_sample():
    values = dataclasses.asdict(CONFIG)
    for name in ADDED:
        del values[name]
    assert from_dict(values) == dataclasses.replace(CONFIG, rmsprop_epsilon="inside")
    assert weight_shapes(from_dict(values), 4) == weight_shapes(IWAE, 4)
