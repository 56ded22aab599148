"""Diagnostics: linear-Gaussian models with known answers, and a small trained 2-D model."""

import functools
import importlib
import math

import numpy as np
import oracle
import pytest
from scipy import stats

from shared.config import UsageError, recipe
from shared.measure import diagnostics, quadrature
from shared.measure.gradients import gradient_estimators

IMPLEMENTATIONS = ("keras_vae", "tf_vae")
SPACING = 0.02  # of the prior's grid: posteriors of 36 pixels are some 0.3 wide, of 784 some 0.05


def log_weights_of(name):
    return importlib.import_module(f"{name}.evaluate").log_weights


@pytest.fixture(scope="module")
def trained(implementations, data):
    """A 2-D model of each implementation with the same trained weights, and q(z|x) of 40 images."""
    config = recipe("post-keras", hidden_dims=(16,), batch_size=30, epochs=30, learning_rate=5e-3)
    model, _ = implementations["tf_vae"].train(config, data, verbose=0)
    weights = implementations["tf_vae"].gather(model)
    twin = implementations["keras_vae"].build(config, data.input_dim)
    importlib.import_module("keras_vae.checkpoint").assign(twin, weights)
    x = data.x_test[:20]
    z_mean, z_log_var = implementations["tf_vae"].encode(model, x)
    return {"keras_vae": twin, "tf_vae": model}, weights, x, z_mean, z_log_var


@pytest.fixture(scope="module")
def exact(trained):
    """The identity of the trained model, once."""
    _, weights, x, z_mean, z_log_var = trained
    grid = quadrature.bernoulli_on_grid(quadrature.decoder64(weights, "relu"))
    return quadrature.posterior_identity(grid, x, z_mean, z_log_var, spacing=SPACING)


class Linear:
    """x = z w + noise with z ~ N(0, I) of 2 dimensions, turned so that p(z|x) is diagonal."""

    def __init__(self, input_dim=6, noise_var=0.3, n=12):
        random = np.random.RandomState(4)
        w = random.normal(size=(2, input_dim))
        values, vectors = np.linalg.eigh(np.eye(2) + w @ w.T / noise_var)
        self.w, self.noise_var = vectors.T @ w, noise_var
        self.x = random.normal(size=(n, input_dim))
        self.z_mean = self.x @ self.w.T / noise_var / values
        self.z_log_var = np.tile(-np.log(values), (n, 1))
        covariance = self.w.T @ self.w + noise_var * np.eye(input_dim)
        self.evidence = stats.multivariate_normal.logpdf(self.x, np.zeros(input_dim), covariance)

    def log_likelihood(self, x, z):
        """(n, points) nats."""
        log_var = np.full(x.shape[-1], math.log(self.noise_var))
        return oracle.log_normal(x[:, None], (z @ self.w)[None], log_var)

    def log_weights(self, x, z_mean, z_log_var, noise_seed, count):
        """As an implementation's, in float64: (count, batch) nats."""
        epsilon = np.random.RandomState(noise_seed).normal(size=(count, *z_mean.shape))
        z = z_mean + np.exp(z_log_var / 2) * epsilon
        noise = np.full(x.shape[-1], math.log(self.noise_var))
        given_z = oracle.log_normal(x, z @ self.w, noise)
        prior = oracle.log_normal(z, 0.0, np.zeros_like(z_mean))
        return given_z + prior - oracle.log_normal(z, z_mean, z_log_var)


# ---- ELBO and importance bound


def test_the_standard_error_is_that_of_a_mean_over_images():
    random = np.random.RandomState(0)
    image = random.normal(-90, 3, (2000, 1, 50))  # many test sets of 50 images, 4 samples each
    terms = image + random.normal(0, 2, (2000, 4, 50))
    estimates = [diagnostics.elbo_estimate(each) for each in terms]
    means = np.array([each["mean"] for each in estimates])
    np.testing.assert_allclose(means, terms.mean(axis=(1, 2)), rtol=1e-13)
    # 2000 sets tell a standard deviation to 1.6 %; 6 % is almost four of those.
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
    wide = model.z_log_var + 1.0  # not the posterior: weights that differ

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
        on_batch=lambda *done: progress.append(done),
    )
    weights = np.concatenate(calls)
    assert weights.shape == (300, 12) and progress == [(1, 1)]
    assert len(np.unique(weights)) == weights.size  # every chunk has noise of its own
    for k, bound in bounds.items():
        # 1e-13: the same float64 numbers, added in another order.
        np.testing.assert_allclose(bound, oracle.importance_bound(weights[:k]), rtol=1e-13)
    alone = diagnostics.importance_bounds(
        model.log_weights, model.x, model.z_mean, wide, 3, (60,), batch=12
    )
    # The same samples whatever other K are asked for; 1e-14: sums split at other places.
    np.testing.assert_allclose(alone[60], bounds[60], rtol=1e-14)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_elbo_and_bounds_grow_towards_the_exact_evidence(trained, exact, name):
    models, _, x, z_mean, z_log_var = trained
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
    # On the same samples the growth is Jensen's inequality, for every image and without noise.
    assert (mean < tens).all() and (tens < hundreds).all() and (hundreds < whole).all()
    # The ends are exact values, each met within five standard errors of 5000 samples.
    weights = np.concatenate(served).astype(np.float64)
    error = weights.std(axis=0) / math.sqrt(5000)
    assert (np.abs(mean - exact["elbo"]) < 5 * error + 1e-4).all()  # 1e-4: float32 weights
    ratio = np.exp(weights - exact["log_px"])
    error = ratio.std(axis=0) / math.sqrt(5000)
    assert (np.abs(whole - exact["log_px"]) < 5 * error + 1e-4).all()
    assert (mean < exact["log_px"]).all() and hundreds.mean() < exact["log_px"].mean()


def test_log_weights_agree_in_every_bit_and_with_the_oracle(trained):
    import tensorflow as tf

    models, weights, x, z_mean, z_log_var = trained
    for rows, count in ((20, 7), (13, 100), (1, 1)):
        inputs = (x[:rows], z_mean[:rows], z_log_var[:rows], 17, count)
        ours, theirs = (log_weights_of(name)(models[name], *inputs) for name in IMPLEMENTATIONS)
        assert ours.shape == (count, rows) and ours.dtype == np.float32
        assert ours.tobytes() == theirs.tobytes()
        again = log_weights_of("tf_vae")(models["tf_vae"], *inputs[:3], 18, count)
        assert (again != ours).all()
        # The same noise through the oracle's network, image by image in `count` rows.
        epsilon = tf.random.stateless_normal((count * rows, 2), [17, 0]).numpy()
        out = oracle.forward(weights, np.tile(x[:rows], (count, 1)), epsilon, "relu")
        exact = (
            out["log_likelihood"]
            + oracle.log_normal(out["z"], 0.0, np.zeros_like(out["z"]))
            - oracle.log_normal(out["z"], out["z_mean"], out["z_log_var"])
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


# ---- quadrature


def test_the_identity_of_a_linear_gaussian_model_has_its_known_answers():
    model = Linear()
    shift, widen = np.array([0.3, -0.2]), np.array([0.5, -0.7])
    mean, log_var = model.z_mean + shift, model.z_log_var + widen
    progress = []
    result = quadrature.posterior_identity(
        model.log_likelihood,
        model.x,
        mean,
        log_var,
        spacing=SPACING,
        on_batch=lambda *done: progress.append(done),
    )
    assert progress == [(done, 12) for done in range(1, 13)]
    variance = np.exp(model.z_log_var)
    kl = 0.5 * np.sum(np.exp(widen) - 1 - widen + shift**2 / variance, axis=1)
    # 1e-8: smooth integrands, for which equal spacing is exact but for the tails, e^-24 of q.
    np.testing.assert_allclose(result["log_px"], model.evidence, atol=1e-8)
    np.testing.assert_allclose(result["kl_to_posterior"], kl, atol=1e-8)
    np.testing.assert_allclose(result["elbo"], model.evidence - kl, atol=1e-8)
    assert np.abs(result["residual"]).max() < 1e-8


def test_the_mass_shows_a_wrong_evidence_where_the_residual_cannot(monkeypatch):
    model = Linear()
    evidence = quadrature.log_evidence
    monkeypatch.setattr(diagnostics, "log_evidence", lambda *a, **k: evidence(*a, **k) + 0.1)
    result = quadrature.posterior_identity(
        model.log_likelihood, model.x, model.z_mean, model.z_log_var, spacing=SPACING
    )
    assert np.abs(result["residual"]).max() < 1e-8  # log p(x) cancels in it
    # 1e-6: 7 standard deviations of the posterior leave e^-24 outside.
    np.testing.assert_allclose(result["log_mass"], -0.1, atol=1e-6)


def test_the_identity_of_a_trained_model(exact):
    assert np.abs(exact["residual"]).max() < 1e-3  # nats; what the kinks of relu leave
    assert (exact["kl_to_posterior"] > 0).all() and (exact["elbo"] < exact["log_px"]).all()
    # No lattice holds more than all of the posterior; most images have nearly all inside.
    assert exact["log_mass"].max() < 1e-3
    assert abs(np.median(exact["log_mass"])) < 1e-3


def test_halving_the_grids_hardly_moves_the_trained_model(trained, exact):
    _, weights, x, z_mean, z_log_var = trained
    grid = quadrature.bernoulli_on_grid(quadrature.decoder64(weights, "relu"))
    few = slice(0, 5)
    finer = quadrature.posterior_identity(
        grid, x[few], z_mean[few], z_log_var[few], refine=2, spacing=SPACING
    )
    for name in ("log_px", "kl_to_posterior", "elbo"):
        assert np.abs(finer[name] - exact[name][few]).max() < 1e-4, name  # nats


def test_the_float64_decoder_is_the_oracle_s(trained):
    _, weights, x, z_mean, _ = trained
    epsilon = np.random.RandomState(2).normal(size=z_mean.shape)
    for activation in ("relu", "tanh"):
        out = oracle.forward(weights, x, epsilon, activation)
        logits = quadrature.decoder64(weights, activation)
        # 1e-12: the same float64 products, in another order at most.
        np.testing.assert_allclose(logits(out["z"]), out["logits"], atol=1e-12)
        values = quadrature.bernoulli_on_grid(logits)(x, out["z"])
        np.testing.assert_allclose(np.diag(values), out["log_likelihood"], rtol=1e-12)


def test_the_bernoulli_of_a_grid_holds_at_any_logit_and_any_width():
    # Half of them large, half near zero: 1300 factors near 2 overflow where they are multiplied.
    logits = np.random.RandomState(1).normal(0, 400, (5, 2600)) * ([1.0, 1e-4] * 1300)
    x = np.random.RandomState(2).uniform(size=(3, 2600))
    values = quadrature.bernoulli_on_grid(lambda z: logits)(x, None)
    expected = oracle.bernoulli_log_likelihood(x[:, None], logits[None])
    np.testing.assert_allclose(values, expected, rtol=1e-12)  # float64 sums in another order


def test_quadrature_of_another_width_of_z_is_refused():
    model = Linear()
    with pytest.raises(UsageError, match="latent_dim is 3; quadrature needs 2"):
        quadrature.posterior_identity(
            model.log_likelihood, model.x, np.zeros((12, 3)), np.zeros((12, 3))
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
    # A constant mean says nothing about x, whatever it costs; 0.05² is below 0.01.
    assert diagnostics.active_units(z_mean).tolist() == [True, False, False]


def test_the_aggregate_density_is_that_of_the_mixture_over_images():
    random = np.random.RandomState(6)
    mean, log_var, z = (random.normal(size=(n, 3)) for n in (7, 7, 250))
    found = diagnostics.aggregate_log_density(z, mean, log_var)
    densities = stats.norm.pdf(z[:, None], mean, np.exp(log_var / 2)).prod(axis=2)
    np.testing.assert_allclose(found, np.log(densities.mean(axis=1)), rtol=1e-12)  # float64
    # Where every image has the prior as its q(z|x), so has the aggregate, to any distance.
    far = np.array([[0.0, 0, 0], [60, 0, 0]])  # e^-1800: no density that float64 can hold
    collapsed = diagnostics.aggregate_log_density(far, np.zeros((7, 3)), np.zeros((7, 3)))
    np.testing.assert_allclose(collapsed, stats.norm.logpdf(far).sum(axis=1), rtol=1e-12)
    with pytest.raises(UsageError, match="delta posterior has no density"):
        diagnostics.aggregate_log_density(z, mean, np.full((7, 3), -np.inf))


def test_dead_units_are_those_that_no_input_wakes():
    weights = {
        "encoder/hidden_1/kernel": np.array([[1.0, -1, 0, 0], [0, 0, 1, 1]], np.float32),
        "encoder/hidden_1/bias": np.array([0.0, 0, -1, -0.5], np.float32),
        "encoder/hidden_2/kernel": np.array([[1.0, -1.0]] * 4, np.float32),
        "encoder/hidden_2/bias": np.zeros(2, np.float32),
        "decoder/hidden_1/kernel": np.array([[1.0, 0.0]], np.float32),
        "decoder/hidden_1/bias": np.array([0.0, -1.0], np.float32),
    }
    # More rows than a batch holds: the first wakes unit 0, the last unit 3. Pixels stay in [0, 1]:
    # unit 1 never sees a negative one, and unit 2 stops short at the edge.
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
    # A guess among four is right a quarter of the time; 0.06 is five standard errors of 1500.
    accuracy = diagnostics.knn_accuracy(z[train], guess[train], z[test], guess[test])
    assert abs(accuracy - 0.25) < 0.06
    assert diagnostics.silhouette(z, guess) < 0.05
    assert diagnostics.silhouette(z, guess, seed=1) == diagnostics.silhouette(z, guess, seed=1)
    assert diagnostics.silhouette(z, guess, seed=1) != diagnostics.silhouette(z, guess, seed=2)
    with pytest.raises(UsageError, match="expected 1 to 3"):
        diagnostics.knn_accuracy(z[:3], labels[:3], z, labels)
    with pytest.raises(UsageError, match="expected 2 or more"):
        diagnostics.silhouette(z, np.zeros(3000))


def test_the_nearest_distance_is_the_least_norm():
    random = np.random.RandomState(0)
    images, references = random.normal(size=(7, 5)), random.normal(size=(20, 5))
    norms = np.linalg.norm(images[:, None] - references, axis=2)
    found = diagnostics.nearest_distance(images, references)
    np.testing.assert_allclose(found, norms.min(axis=1), rtol=1e-7)  # a² - 2ab + b² loses digits


# ---- the reparameterization trick


def test_both_gradient_estimators_have_the_known_mean_of_a_quadratic():
    # f = Σ a z² + b z: E_q[f] = Σ a (μ² + σ²) + b μ, so d/dμ = 2 a μ + b and d/d log σ² = a σ².
    a, b = np.array([1.0, -2.0, 0.5]), np.array([3.0, 0.0, -1.0])
    mean, log_var = np.array([0.5, 1.0, -2.0]), np.array([-2.0, 0.0, 1.0])
    result = gradient_estimators(
        lambda z: (a * z**2 + b * z).sum(axis=1),
        lambda z: 2 * a * z + b,
        mean,
        log_var,
        samples=200_000,
    )
    exact = {"z_mean": 2 * a * mean + b, "z_log_var": a * np.exp(log_var)}
    for name, found in result.items():
        for kind in ("reparameterized", "score"):
            away = np.abs(found[kind] - exact[name])
            assert (away < 5 * found[f"{kind}_error"]).all(), (name, kind)
        joint = np.hypot(found["reparameterized_error"], found["score_error"])
        assert (np.abs(found["reparameterized"] - found["score"]) < 5 * joint).all()
        assert (found["variance_ratio"] > 1).all()
    # The path estimator's variance has a closed form too, var(2 a z + b) = 4 a² σ²; 2 % is six
    # standard errors of a variance from 200,000 normal draws.
    variance = result["z_mean"]["reparameterized_error"] ** 2 * 200_000
    np.testing.assert_allclose(variance, 4 * a**2 * np.exp(log_var), rtol=0.02)


def test_a_baseline_lowers_the_variance_and_leaves_the_mean():
    def estimate(baseline):
        return gradient_estimators(
            lambda z: -90 - (z**2).sum(axis=1),
            lambda z: -2 * z,
            np.ones(2),
            np.zeros(2),
            samples=50_000,
            baseline=baseline,
        )["z_mean"]

    without, with_baseline = estimate(0.0), estimate(-94.0)
    assert (with_baseline["score_error"] < 0.2 * without["score_error"]).all()
    for found in (without, with_baseline):  # d/dμ of E[-z²] is -2 μ
        assert (np.abs(found["score"] + 2) < 5 * found["score_error"]).all()


# ---- MNIST


@pytest.mark.mnist
def test_the_identity_of_30_mnist_images(implementations):
    from shared.data import load_data

    implementation, data = implementations["tf_vae"], load_data("mnist")
    config = recipe("post-keras", epochs=1)
    model, _ = implementation.train(config, data, verbose=0)
    x = data.x_test[:30]
    z_mean, z_log_var = implementation.encode(model, x)
    grid = quadrature.bernoulli_on_grid(quadrature.decoder64(implementation.gather(model), "relu"))
    coarse = quadrature.posterior_identity(grid, x, z_mean, z_log_var)
    assert np.abs(coarse["residual"]).max() <= 1e-3  # nats
    assert coarse["log_mass"].max() < 1e-3
    few = slice(0, 6)  # four times the points
    fine = quadrature.posterior_identity(grid, x[few], z_mean[few], z_log_var[few], refine=2)
    for name in ("log_px", "kl_to_posterior", "elbo"):
        assert np.abs(fine[name] - coarse[name][few]).max() < 1e-4, name  # nats
