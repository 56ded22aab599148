"""Diagnostics: linear-Gaussian models with known answers, and a small model with a 2-D z."""

import functools
import importlib
import math

import numpy as np
import oracle
import pytest
from scipy import stats
from small_models import CONFIG, INPUT_DIM, SPACING, Linear, network

from shared.machine.checks import UsageError
from shared.measure import diagnostics, quadrature
from shared.seeds import seed_of

IMPLEMENTATIONS = ("keras_vae", "tf_vae")
IMAGES = 8


@pytest.fixture(scope="module")
def models():
    """A model of each implementation with the same weights, and q(z|x) of some images."""
    weights, x, z_mean, z_log_var = network(IMAGES)
    models = {}
    for name in IMPLEMENTATIONS:
        models[name] = importlib.import_module(f"{name}.model").build(CONFIG, INPUT_DIM)
        importlib.import_module(f"{name}.checkpoint").assign(models[name], weights)
    return models, weights, x, z_mean, z_log_var


@pytest.fixture(scope="module")
def exact(models):
    """The exact log p(x) and ELBO of those images."""
    _, weights, *q = models
    grid = quadrature.bernoulli_on_grid(quadrature.decoder64(weights, CONFIG.activation))
    return quadrature.posterior_identity(grid, *q, spacing=SPACING)


def log_weights_of(name):
    return importlib.import_module(f"{name}.evaluate").log_weights


# ---- ELBO and importance bound


def test_the_standard_error_is_that_of_a_mean_over_images():
    random = np.random.RandomState(0)
    image = random.normal(-90, 3, (2000, 1, 50))  # many test sets of 50 images, 4 samples each
    terms = image + random.normal(0, 2, (2000, 4, 50))
    estimates = [diagnostics.elbo_estimate(each) for each in terms]
    means = np.array([each["mean"] for each in estimates])
    np.testing.assert_allclose(means, terms.mean(axis=(1, 2)), rtol=1e-13)
    # 2000 sets give a standard deviation to within 1.6 %; 6 % is almost four times that.
    stated = np.mean([each["standard_error"] for each in estimates])
    assert abs(stated / means.std() - 1) < 0.06
    assert abs(stated / math.sqrt((9 + 4 / 4) / 50) - 1) < 0.06
    # The noise alone: the same images, other samples.
    noise = np.mean([each["noise_error"] for each in estimates])
    assert abs(noise / math.sqrt(4 / 4 / 50) - 1) < 0.06
    assert math.isnan(diagnostics.elbo_estimate(terms[0, :1])["noise_error"])


def test_the_bound_of_an_exact_posterior_is_the_evidence_at_every_k():
    model = Linear()
    bounds = diagnostics.importance_bounds(
        model.log_weights, model.x, model.z_mean, model.z_log_var, 0, (1, 7, 100, 230), batch=5
    )
    assert list(bounds) == [1, 7, 100, 230]
    for bound in bounds.values():
        # 1e-11: every weight is log p(x), up to the rounding of float64 sums.
        np.testing.assert_allclose(bound, model.evidence, rtol=1e-11)


def test_the_streamed_bound_is_the_bound_of_all_weights():
    model, calls, progress = Linear(), [], []
    wide = model.z_log_var + 1.0  # not the posterior, so that the weights differ

    def recorded(*arguments):
        calls.append(model.log_weights(*arguments))
        return calls[-1]

    bounds = diagnostics.importance_bounds(
        recorded,
        model.x,
        model.z_mean,
        wide,
        3,
        (250, 1, 100, 60, 101),
        batch=12,
        on_progress=lambda *done: progress.append(done),
    )
    weights = np.concatenate(calls)
    assert weights.shape == (300, 12) and progress == [(1, 1)]
    assert len(np.unique(weights)) == weights.size  # every chunk has other noise
    for k, bound in bounds.items():
        # 1e-13: the same float64 numbers, added in another order.
        np.testing.assert_allclose(bound, oracle.importance_bound(weights[:k]), rtol=1e-13)
    alone = diagnostics.importance_bounds(
        model.log_weights, model.x, model.z_mean, wide, 3, (60,), batch=12
    )
    # The samples do not depend on the other K; 1e-14: sums that are split at other places.
    np.testing.assert_allclose(alone[60], bounds[60], rtol=1e-14)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_elbo_and_bounds_grow_towards_the_exact_evidence(models, exact, name):
    models, _, x, z_mean, z_log_var = models
    weigh = functools.partial(log_weights_of(name), models[name])
    served = []

    def recorded(*arguments):
        served.append(weigh(*arguments))
        return served[-1]

    whole = diagnostics.importance_bounds(recorded, x, z_mean, z_log_var, 0, (5000,))[5000]
    parts = [
        diagnostics.importance_bounds(lambda *_, w=w: w, x, z_mean, z_log_var, 0, (100,))[100]
        for w in served
    ]
    mean = np.mean(served, axis=(0, 1), dtype=np.float64)
    tens = np.mean(
        [oracle.importance_bound(w[i : i + 10]) for w in served for i in range(0, 100, 10)], axis=0
    )
    hundreds = np.mean(parts, axis=0)
    # On the same samples it grows for every image, by Jensen's inequality.
    assert (mean < tens).all() and (tens < hundreds).all() and (hundreds < whole).all()
    # Both ends are exact values, and agree to within five standard errors of 5000 samples.
    weights = np.concatenate(served).astype(np.float64)
    error = weights.std(axis=0) / math.sqrt(5000)
    assert (np.abs(mean - exact["elbo"]) < 5 * error + 1e-4).all()  # 1e-4: float32 weights
    ratio = np.exp(weights - exact["log_px"])
    error = ratio.std(axis=0) / math.sqrt(5000)
    assert (np.abs(whole - exact["log_px"]) < 5 * error + 1e-4).all()
    assert (mean < exact["log_px"]).all() and hundreds.mean() < exact["log_px"].mean()


def test_log_weights_agree_in_every_bit_and_with_the_oracle(models):
    import tensorflow as tf

    models, weights, x, z_mean, z_log_var = models
    for rows, count in ((IMAGES, diagnostics.CHUNK), (3, 2)):  # the first is compiled above
        inputs = (x[:rows], z_mean[:rows], z_log_var[:rows], 17, count)
        ours, theirs = (log_weights_of(name)(models[name], *inputs) for name in IMPLEMENTATIONS)
        assert ours.shape == (count, rows) and ours.dtype == np.float32
        assert ours.tobytes() == theirs.tobytes()
        again = log_weights_of("tf_vae")(models["tf_vae"], *inputs[:3], 18, count)
        assert (again != ours).all()
        # The same noise through the oracle's network, image by image in `count` rows.
        epsilon = tf.random.stateless_normal((count * rows, 2), [17, 0]).numpy().astype(float)
        tiled = (np.tile(each[:rows], (count, 1)).astype(float) for each in (x, z_mean, z_log_var))
        images, mean, log_var = tiled
        z = mean + np.exp(log_var / 2) * epsilon
        logits = oracle.decode(weights, z, CONFIG.activation)
        exact = (
            oracle.bernoulli_log_likelihood(images, logits)
            + oracle.log_normal(z, 0.0, np.zeros_like(z))
            - oracle.log_normal(z, mean, log_var)
        )
        # 1e-4: float32 sums of 36 pixels and of squares divided by a small variance.
        np.testing.assert_allclose(ours.ravel(), exact, atol=1e-4)


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_a_bad_k_is_refused(k):
    model = Linear()
    with pytest.raises(UsageError, match="expected an integer >= 1"):
        diagnostics.importance_bounds(
            model.log_weights, model.x, model.z_mean, model.z_log_var, 0, (10, k)
        )


# ---- z and hidden units


def test_kl_per_dimension_adds_up_and_an_unused_dimension_is_not_active():
    random = np.random.RandomState(5)
    z_mean = random.normal(size=(500, 3)) * [1.0, 0.0, 0.05] + [0.0, 3.0, 0.0]
    z_log_var = np.tile([-2.0, 0.0, 0.0], (500, 1))
    kl = diagnostics.kl_per_dimension(z_mean, z_log_var)
    total = oracle.kl_to_standard_normal(z_mean, z_log_var).mean()
    np.testing.assert_allclose(kl.sum(), total, rtol=1e-12)
    np.testing.assert_allclose(kl[1], 4.5, rtol=1e-12)  # a mean of 3 everywhere costs 3² / 2
    # A constant mean has no information about x, whatever its KL; 0.05² is below 0.01.
    assert diagnostics.active_units(z_mean).tolist() == [True, False, False]


def test_the_aggregate_density_is_that_of_the_mixture_over_images():
    random = np.random.RandomState(6)
    mean, log_var, z = (random.normal(size=(n, 3)) for n in (7, 7, 250))
    log_density = diagnostics.aggregate_log_density(z, mean, log_var)
    densities = stats.norm.pdf(z[:, None], mean, np.exp(log_var / 2)).prod(axis=2)
    np.testing.assert_allclose(log_density, np.log(densities.mean(axis=1)), rtol=1e-12)  # float64
    # If q(z|x) of every image is the prior, so is the aggregate, at any distance.
    far = np.array([[0.0, 0, 0], [60, 0, 0]])  # e^-1800: no density that float64 can hold
    collapsed = diagnostics.aggregate_log_density(far, np.zeros((7, 3)), np.zeros((7, 3)))
    np.testing.assert_allclose(collapsed, stats.norm.logpdf(far).sum(axis=1), rtol=1e-12)
    with pytest.raises(UsageError, match="delta posterior has no density"):
        diagnostics.aggregate_log_density(z, mean, np.full((7, 3), -np.inf))


def test_dead_units_are_zero_for_every_input():
    weights = {
        "encoder/hidden_1/kernel": np.array([[1.0, -1, 0, 0], [0, 0, 1, 1]], np.float32),
        "encoder/hidden_1/bias": np.array([0.0, 0, -1, -0.5], np.float32),
        "encoder/hidden_2/kernel": np.array([[1.0, -1.0]] * 4, np.float32),
        "encoder/hidden_2/bias": np.zeros(2, np.float32),
        "decoder/hidden_1/kernel": np.array([[1.0, 0.0]], np.float32),
        "decoder/hidden_1/bias": np.array([0.0, -1.0], np.float32),
    }
    # More rows than in a batch: the first activates unit 0, the last unit 3. With pixels in [0, 1],
    # unit 1 is never positive before its relu, and unit 2 is at most zero.
    x = np.zeros((2500, 2))
    x[0, 0] = x[-1, 1] = 1.0
    dead = diagnostics.dead_units(weights, "relu", x, np.array([[-1.0], [0.5]]))
    assert {name: units.tolist() for name, units in dead.items()} == {
        "encoder/hidden_1": [False, True, True, False],
        "encoder/hidden_2": [False, True],
        "decoder/hidden_1": [False, True],
    }
    with pytest.raises(UsageError, match="only relu units can be dead"):
        diagnostics.dead_units(weights, "tanh", x, np.zeros((1, 1)))


def test_labels_of_separate_clusters_are_found_and_random_ones_are_not():
    random = np.random.RandomState(6)
    labels = random.randint(0, 4, 3000)
    z = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])[labels] + random.normal(0, 0.3, (3000, 2))
    train, test = slice(0, 1500), slice(1500, None)
    assert diagnostics.knn_accuracy(z[train], labels[train], z[test], labels[test]) == 1.0
    # Radius about 0.5 against a distance of 9: 1 - 0.5/9 and above.
    assert 0.9 < diagnostics.silhouette(z, labels) <= 1
    guess = random.permutation(labels)
    # A random guess of four labels is right in a quarter of cases; 0.06 is five standard errors.
    accuracy = diagnostics.knn_accuracy(z[train], guess[train], z[test], guess[test])
    assert abs(accuracy - 0.25) < 0.06
    assert diagnostics.silhouette(z, guess) < 0.05
    assert diagnostics.silhouette(z, guess, seed=1) == diagnostics.silhouette(z, guess, seed=1)
    assert diagnostics.silhouette(z, guess, seed=1) != diagnostics.silhouette(z, guess, seed=2)
    with pytest.raises(UsageError, match="expected 1 to 3"):
        diagnostics.knn_accuracy(z[:3], labels[:3], z, labels)


def test_the_silhouette_of_a_sample_is_that_of_its_definition():
    random = np.random.RandomState(1)
    z, labels = random.normal(size=(30, 2)), random.randint(0, 3, 30)
    labels[0] = 7  # alone with its label: its silhouette is 0 by definition
    distances = np.linalg.norm(z[:, None] - z, axis=2)
    values = []
    for i, label in enumerate(labels):
        means = {each: distances[i, labels == each].sum() for each in np.unique(labels)}
        counts = {each: (labels == each).sum() - (each == label) for each in means}
        if counts[label] == 0:
            values.append(0.0)
            continue
        inside = means[label] / counts[label]
        outside = min(means[each] / counts[each] for each in means if each != label)
        values.append((outside - inside) / max(inside, outside))
    for points in (30, 31, 2000):  # all of them, in another order: 1e-12
        ours = diagnostics.silhouette(z, labels, points=points)
        np.testing.assert_allclose(ours, np.mean(values), rtol=1e-12)
    # A smaller sample depends on the seed, and differs from the whole set.
    few = {diagnostics.silhouette(z, labels, seed=seed, points=20) for seed in range(5)}
    assert len(few) == 5 and np.mean(values) not in few


def test_the_sample_of_a_silhouette_is_a_function_of_the_seed_alone():
    z = np.random.RandomState(1).normal(size=(50, 2))
    labels = np.arange(50) % 3
    rows = np.random.RandomState(seed_of(4, "silhouette")).permutation(50)[:20]
    drawn = diagnostics.silhouette(z, labels, seed=4, points=20)
    whole = diagnostics.silhouette(z[rows], labels[rows])
    assert math.isclose(drawn, whole, rel_tol=1e-12)  # the same points in another order


def test_a_silhouette_that_is_not_defined_is_nan():
    z = np.random.RandomState(1).normal(size=(300, 2))
    rare = np.zeros(300, int)
    rare[0] = 1
    assert math.isnan(diagnostics.silhouette(z, np.zeros(300, int)))  # one label
    assert math.isnan(diagnostics.silhouette(z, np.arange(300)))  # as many labels as points
    assert math.isnan(diagnostics.silhouette(z[:1], rare[:1]))
    # A label of one image in 300 is in one of a hundred samples of three images.
    values = [diagnostics.silhouette(z, rare, seed=seed, points=3) for seed in range(20)]
    assert any(math.isnan(value) for value in values)
    assert not math.isnan(diagnostics.silhouette(z, rare))
    with pytest.raises(ValueError, match="NaN"):  # bad z is still an error
        diagnostics.silhouette(np.full((300, 2), np.nan), rare)


def test_the_nearest_distance_is_the_least_norm():
    random = np.random.RandomState(0)
    images, references = random.normal(size=(7, 5)), random.normal(size=(20, 5))
    norms = np.linalg.norm(images[:, None] - references, axis=2)
    distances = diagnostics.nearest_distance(images, references)
    np.testing.assert_allclose(
        distances, norms.min(axis=1), rtol=1e-7
    )  # a² - 2ab + b² loses digits
