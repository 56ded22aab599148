"""The mathematics of the training in the browser, in a real browser (make test-page).

In Float64Array, its numbers must be those of the oracle, in NumPy float64. In Float32Array, as the
page has it, they must be those of the project's training step up to the rounding of float32.
"""

import base64
from pathlib import Path

import numpy as np
import oracle
import pytest

import shared.show.page
from shared.config import recipe
from shared.data import load_data

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser

SOURCE = Path(shared.show.page.__file__).with_name("trainer_math.js")
HELPERS = """
const arrayOf = ({ type, text }) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new { f4: Float32Array, f8: Float64Array, u1: Uint8Array }[type](bytes.buffer);
};
const arraysOf = (all) =>
  Object.fromEntries(Object.entries(all).map(([name, array]) => [name, arrayOf(array)]));
const listsOf = (all) =>
  Object.fromEntries(Object.entries(all).map(([name, array]) => [name, Array.from(array)]));
"""
GRADIENTS = """([weights, x, epsilon, beta, rows]) => {
  const found = trainerMath.lossAndGradients(
    arraysOf(weights), arrayOf(x), arrayOf(epsilon), beta, rows);
  return { ...found, gradients: listsOf(found.gradients) };
}"""
STEPS = """([weights, batches, noises, beta, rate]) => {
  const own = arraysOf(weights), means = trainerMath.zerosLike(own);
  const losses = batches.map((batch, n) => {
    const x = arrayOf(batch), epsilon = arrayOf(noises[n]), rows = epsilon.length / 2;
    const found = trainerMath.lossAndGradients(own, x, epsilon, beta, rows);
    trainerMath.rmsprop(own, means, found.gradients, rate);
    return found.loss;
  });
  return { losses, weights: listsOf(own) };
}"""
TRAINING = """([pixels, inputDim, settings, steps]) => {
  const data = { x: Float32Array.from(arrayOf(pixels), (value) => value / 255), inputDim };
  const training = trainerMath.begin(data, settings), results = [];
  for (let n = 0; n < steps; n++) results.push(trainerMath.trainStep(training));
  const { zMean } = trainerMath.posteriors(training);
  return { results, spread: trainerMath.spread(zMean, 2), order: Array.from(training.order) };
}"""


@pytest.fixture(scope="module")
def mathematics(chromium):
    """A page that has the mathematics and nothing else."""
    page = chromium.new_page()
    page.add_script_tag(content=SOURCE.read_text(encoding="utf-8") + HELPERS)
    yield page
    page.close()


def packed(array, kind="f8"):
    content = np.ascontiguousarray(array).astype(f"<{kind}").tobytes()
    return {"type": kind, "text": base64.b64encode(content).decode()}


def packed_all(arrays, kind="f8"):
    return {name: packed(array, kind) for name, array in arrays.items()}


def random_weights(random, input_dim, hidden_dim):
    """Weights of a VAE with a plane, biases included, of a size at which relu is at work."""
    widths = {
        "encoder/hidden_1": (input_dim, hidden_dim),
        "encoder/z_mean": (hidden_dim, 2),
        "encoder/z_log_var": (hidden_dim, 2),
        "decoder/hidden_1": (2, hidden_dim),
        "decoder/logits": (hidden_dim, input_dim),
    }
    return {
        f"{name}/{part}": random.normal(0, 0.5, shape if part == "kernel" else shape[1:])
        for name, shape in widths.items()
        for part in ("kernel", "bias")
    }


@pytest.mark.parametrize("beta", (0.0, 1.0, 30.0))
def test_the_gradients_are_those_of_the_formulas(mathematics, beta):
    random = np.random.RandomState(3)
    weights = random_weights(random, 12, 5)
    x, epsilon = random.uniform(0, 1, (7, 12)), random.normal(0, 1, (7, 2))
    x[x < 0.3] = 0  # black pixels, which the program passes over
    arguments = [packed_all(weights), packed(x), packed(epsilon), beta, 7]
    found = mathematics.evaluate(GRADIENTS, arguments)
    out = oracle.forward(weights, x, epsilon, "relu")
    assert (out["encoder"][1] == 0).any() and (out["decoder"][1] == 0).any()
    # Sums of at most 12 · 7 products in float64, of magnitudes below 1e3.
    close = {"rtol": 1e-11, "atol": 1e-12}
    exact = oracle.gradient(weights, x, epsilon, "relu", beta)
    assert set(found["gradients"]) == set(exact)
    for name, gradient in exact.items():
        np.testing.assert_allclose(
            np.reshape(found["gradients"][name], gradient.shape), gradient, **close, err_msg=name
        )
    loss = oracle.loss(weights, x, epsilon, "relu", beta)
    np.testing.assert_allclose(found["loss"], loss, **close)
    np.testing.assert_allclose(found["kl"], out["kl"].mean(), **close)
    np.testing.assert_allclose(found["logLikelihood"], out["log_likelihood"].mean(), **close)


def test_the_gradients_are_the_slopes_of_the_loss(mathematics):
    """Central differences of the loss itself, which know nothing of the chain rule."""
    random = np.random.RandomState(4)
    weights = random_weights(random, 6, 4)
    x, epsilon = random.uniform(0, 1, (3, 6)), random.normal(0, 1, (3, 2))

    def found(changed):
        arguments = [packed_all(changed), packed(x), packed(epsilon), 2.0, 3]
        return mathematics.evaluate(GRADIENTS, arguments)

    gradients, width = found(weights)["gradients"], 1e-5
    for name, array in weights.items():
        place = random.randint(array.size)
        losses = []
        for sign in (1, -1):
            moved = array.copy()
            moved.flat[place] += sign * width
            losses.append(found({**weights, name: moved})["loss"])
        slope = (losses[0] - losses[1]) / (2 * width)
        # The third derivative times width² / 6, and 1e-16 · loss / width, are below 1e-8.
        np.testing.assert_allclose(gradients[name][place], slope, rtol=1e-6, atol=1e-8)


def test_the_kl_keeps_its_digits_next_to_the_prior(mathematics):
    """At zero weights q is N(0, exp(v)) with v the bias: KL = v²/4 + v³/12 + … of each latent."""
    random = np.random.RandomState(5)
    weights = {name: 0 * array for name, array in random_weights(random, 4, 3).items()}
    for v in (1e-5, -1e-7):
        weights["encoder/z_log_var/bias"] = np.array([v, 0])
        arguments = [packed_all(weights), packed(np.ones((1, 4))), packed(np.ones((1, 2))), 1.0, 1]
        # expm1(v) - v is off by 2^-53 |v|, which is 2^-51 / |v| of v²/4.
        exact = v**2 / 4 + v**3 / 12
        found = mathematics.evaluate(GRADIENTS, arguments)["kl"]
        np.testing.assert_allclose(found, exact, rtol=2.0**-51 / abs(v) + 1e-11)


@pytest.fixture(scope="module")
def first_steps():
    """What the project's step computes in ten steps of post-keras with 128 hidden units.

    The initial weights, the batches, the noise, the losses, and the gradients of the first step.
    """
    import tensorflow as tf

    from shared.objective import objective_loss
    from shared.training.optimizer import build_optimizer
    from tf_vae.model import build
    from tf_vae.train import train_step

    data, config = load_data("mnist-5k"), recipe("post-keras", hidden_dims=(128,))
    model = build(config, 784)
    optimizer = build_optimizer(config, data.n_train, model.trainable_variables)
    initial = {name: variable.numpy() for name, variable in model.named_weights.items()}
    order = np.random.RandomState(0).permutation(data.n_train)
    batches = [data.x_train[order[100 * n : 100 * n + 100]] for n in range(10)]
    with tf.GradientTape() as tape:
        noise = tf.random.stateless_normal((100, 2), [7, 0])
        terms = model.terms(tf.constant(batches[0]), None, draw=lambda shape, seed: noise)
        loss = objective_loss(config, terms, 0)
    gradients = dict(zip(initial, tape.gradient(loss, model.trainable_variables), strict=True))
    losses, noises = [], []
    for step, batch in enumerate(batches):
        noises.append(tf.random.stateless_normal((100, 2), [7, step]).numpy())
        losses.append(float(train_step(model, optimizer, tf.constant(batch), tf.constant(7))[0]))
    gradients = {name: gradient.numpy() for name, gradient in gradients.items()}
    return initial, batches, noises, losses, gradients


def test_the_gradients_in_float32_are_those_of_the_tape(mathematics, first_steps):
    """Through shared/elbo.py, at the size of the page's model, on digits."""
    weights, batches, noises, losses, gradients = first_steps
    arguments = [
        packed_all(weights, "f4"),
        packed(batches[0], "f4"),
        packed(noises[0], "f4"),
        1,
        100,
    ]
    found = mathematics.evaluate(GRADIENTS, arguments)
    # The loss is a sum of 78,400 terms of one sign, in float64 here and in float32 there.
    np.testing.assert_allclose(found["loss"], losses[0], rtol=1e-5)
    for name, gradient in gradients.items():
        difference = np.reshape(found["gradients"][name], gradient.shape) - gradient
        # A float32 sum of 784 products is off by at most 784 · 2^-24 = 4.7e-5 of the sum of their
        # magnitudes, on either side; the roundings are as often up as down.
        share = np.linalg.norm(difference) / np.linalg.norm(gradient)
        assert share < 1e-4, (name, share)


def test_the_losses_of_the_first_steps_are_those_of_the_project(mathematics, first_steps):
    weights, batches, noises, losses, _ = first_steps
    given = [[packed(each, "f4") for each in all_] for all_ in (batches, noises)]
    found = mathematics.evaluate(STEPS, [packed_all(weights, "f4"), *given, 1, 1e-3])["losses"]
    # The steps of RMSprop begin with lr · g / √(0.1 g²): a gradient near zero, which rounding gives
    # either sign, moves its weight by 3e-3 either way. Few of 203,796 weights have such a gradient.
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    assert losses[0] > 540 and losses[-1] < 0.7 * losses[0]  # they are not all alike


@pytest.mark.parametrize("beta", (0.0, 30.0))
def test_steps_in_float64_are_those_of_the_formulas(mathematics, beta):
    random = np.random.RandomState(6)
    weights = random_weights(random, 12, 5)
    batches = [random.uniform(0, 1, (4, 12)) for _ in range(6)]
    noises = [random.normal(0, 1, (4, 2)) for _ in range(6)]
    given = [[packed(each) for each in all_] for all_ in (batches, noises)]
    found = mathematics.evaluate(STEPS, [packed_all(weights), *given, beta, 0.01])
    means, losses = dict.fromkeys(weights, 0), []
    for x, epsilon in zip(batches, noises, strict=True):
        losses.append(oracle.loss(weights, x, epsilon, "relu", beta))
        for name, g in oracle.gradient(weights, x, epsilon, "relu", beta).items():
            means[name] = 0.9 * means[name] + 0.1 * g**2
            weights[name] = weights[name] - 0.01 * g / (np.sqrt(means[name]) + 1e-7)
    # Rounding of 1e-16 grows with the steps, and with beta.
    np.testing.assert_allclose(found["losses"], losses, rtol=1e-10)
    for name, array in weights.items():
        ours = np.reshape(found["weights"][name], array.shape)
        np.testing.assert_allclose(ours, array, rtol=1e-8, atol=1e-10, err_msg=name)


def training(mathematics, pixels, steps, **settings):
    """The results of the steps of a training on (n, input_dim) uint8, and the spread at its end."""
    settings = {
        "seed": 0, "beta": 1, "rate": 1e-3, "batchSize": 100, "hiddenDim": 8, "latentDim": 2,
    } | settings  # fmt: skip
    arguments = [packed(pixels, "u1"), pixels.shape[1], settings, steps]
    return mathematics.evaluate(TRAINING, arguments)


def test_every_epoch_has_every_image_once_and_a_seed_decides_all(mathematics):
    pixels = np.random.RandomState(0).randint(0, 256, (7, 5))
    once, again = (training(mathematics, pixels, 8, batchSize=3) for _ in range(2))
    assert [each["rows"] for each in once["results"]] == [3, 3, 1, 3, 3, 1, 3, 3]
    assert sorted(once["order"]) == list(range(7)) and once["order"] != list(range(7))
    assert once == again
    assert training(mathematics, pixels, 8, batchSize=3, seed=1)["results"] != once["results"]


def test_the_random_numbers_are_normal_and_uniform(mathematics):
    n = 100_000
    script = "n => Array.from(trainerMath.normal(trainerMath.uniform(0, 'noise', 1), n))"
    draws = np.array(mathematics.evaluate(script, n))
    # Five standard errors of the mean, the variance and the share within one σ.
    assert abs(draws.mean()) < 5 / np.sqrt(n)
    assert abs(draws.var() - 1) < 5 * np.sqrt(2 / n)
    share = 0.6826894921
    assert abs((np.abs(draws) < 1).mean() - share) < 5 * np.sqrt(share * (1 - share) / n)
    script = (
        "n => { const r = trainerMath.uniform(0, 'order', 1); return Array.from({length: n}, r); }"
    )
    counts = np.bincount((10 * np.array(mathematics.evaluate(script, n))).astype(int), minlength=10)
    # χ² with 9 degrees of freedom is above 34 with probability 1e-4.
    assert ((counts - n / 10) ** 2 / (n / 10)).sum() < 34


def test_glorot_kernels_are_within_their_limit_and_biases_are_zero(mathematics):
    settings = {"inputDim": 784, "hiddenDim": 128, "latentDim": 2, "seed": 0}
    script = "s => listsOf(trainerMath.initialWeights(s))"
    weights = mathematics.evaluate(script, settings)
    limit = np.sqrt(6 / (784 + 128))
    kernel = np.array(weights["encoder/hidden_1/kernel"])
    assert np.abs(kernel).max() < limit * (1 + 2.0**-24)
    # The variance of a uniform draw is limit² / 3, with a standard error of √(0.8 / n) of it.
    assert abs(kernel.var() * 3 / limit**2 - 1) < 5 * np.sqrt(0.8 / kernel.size)
    assert not any(weights["decoder/logits/bias"])


def test_beta_makes_an_autoencoder_a_vae_or_a_collapse(mathematics):
    """The lesson of the section, on 500 digits in 25 epochs."""
    data = load_data("mnist-5k")
    chosen = np.random.RandomState(0).permutation(data.n_train)[:500]
    pixels, ends = np.round(255 * data.x_train[chosen]), {}
    for beta in (0, 1, 30):
        found = training(mathematics, pixels, 125, beta=beta, hiddenDim=128)
        ends[beta] = found["results"][-1] | {"spread": found["spread"]}
    # Collapsed: a quarter of a nat, where β = 1 has several, and means near that of the prior.
    assert ends[30]["kl"] < 0.25 and ends[30]["spread"] < 0.3
    assert ends[1]["kl"] > 2 and 0.5 < ends[1]["spread"] < 2  # about as wide as N(0, I)
    # Without a price, the KL grows, and the reconstruction is the best.
    assert ends[0]["kl"] > 2 * ends[1]["kl"] and ends[0]["spread"] > 1.5 * ends[1]["spread"]
    assert ends[0]["logLikelihood"] > ends[1]["logLikelihood"] > ends[30]["logLikelihood"] + 5
