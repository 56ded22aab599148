"""What a trained VAE is worth: bounds on log p(x), its exact value for 2-D z, the use of z.

Pure functions: arrays in, numbers out. What a version computes comes in as a callable, what takes
long calls `on_batch(done, total)`. Everything here is float64 but for what that callable returns.
"""

import numpy as np
from keras import ops
from scipy.special import logsumexp

from shared.config import UsageError
from shared.elbo import LOG_2PI, kl_to_standard_normal
from shared.seeds import seed_of

__all__ = [
    "active_units",
    "aggregate_log_density",
    "bernoulli_on_grid",
    "dead_units",
    "decoder64",
    "elbo_estimate",
    "gradient_estimators",
    "importance_bounds",
    "kl_per_dimension",
    "knn_accuracy",
    "log_evidence",
    "nearest_distance",
    "posterior_identity",
    "silhouette",
]

CHUNK = 100  # samples an image in one call of `log_weights`
GRID_CHUNK = 4096  # points a decoder call: smaller products keep no two cores busy


# ---- bounds on log p(x), by sampling


def elbo_estimate(terms):
    """The mean ELBO of a set of images, and how far it can be trusted.

    Args:
        terms: (samples, n) nats: the ELBO of each image at each sample of q(z|x).
    Returns:
        {"mean", "standard_error", "noise_error"}: nats an image. `standard_error` is over images:
        the spread among other test sets of n images, samples of z included. `noise_error` is the
        part from the samples alone: the spread among other noise on these images, which is what
        two models compared on the same images need; nan at one sample.
    Raises:
        UsageError: fewer than two images, so that there is no spread to measure.
    """
    terms = np.asarray(terms, np.float64)
    if terms.ndim != 2 or terms.shape[1] < 2:
        raise UsageError(f"terms are {terms.shape}; expected (samples, images), images >= 2")
    samples, n = terms.shape
    within = terms.var(axis=0, ddof=1).mean() if samples > 1 else np.nan
    per_image = terms.mean(axis=0)
    return {
        "mean": float(per_image.mean()),
        "standard_error": float(per_image.std(ddof=1) / np.sqrt(n)),
        "noise_error": float(np.sqrt(within / samples / n)),
    }


def importance_bounds(
    log_weights, x, z_mean, z_log_var, seed, samples=(1, 10, 100, 5000), batch=100, on_batch=None
):
    """The importance bound of each image at several K, in one pass over the same samples.

    The K weights are never held together: a running log-sum-exp takes them in chunks. Noise is
    f(seed, "importance", first image and first sample of the chunk), so the bound at one K is the
    same whatever other K are asked for.

    Args:
        log_weights: a version's `log_weights` with its model bound: (x, z_mean, z_log_var,
            noise_seed, count) -> (count, batch) nats.
        x: (n, input_dim).
        z_mean, z_log_var: (n, latent_dim), q(z|x) of each image.
        seed: the run's seed.
        samples: the values of K.
        batch: images a call; with 784 pixels 100 x CHUNK rows are fastest on two cores, and 1 GiB
            is more than the process needs. Another batch draws other noise.
        on_batch: called with (batches done, batches in all).
    Returns:
        {K: (n,) float64 nats}, growing in K on average.
    Raises:
        UsageError: a K that is no integer >= 1.
    Source: Burda et al., arXiv:1509.00519, equation 8.
    """
    for k in samples or (None,):
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise UsageError(f"importance samples K is {k!r}; expected an integer >= 1")
    wanted = sorted({int(k) for k in samples})
    bounds = {k: np.empty(len(x)) for k in wanted}
    starts = range(0, len(x), batch)
    for done, start in enumerate(starts, start=1):
        rows = slice(start, start + batch)
        inputs = (x[rows], z_mean[rows], z_log_var[rows])
        total = np.full(len(inputs[0]), -np.inf)
        for first in range(0, wanted[-1], CHUNK):
            noise_seed = seed_of(seed, "importance", f"{start}/{first}")
            # A whole chunk, though K may end inside it: one compilation, one stream of noise.
            weights = np.asarray(log_weights(*inputs, noise_seed, CHUNK), np.float64)
            before = 0
            for k in [k for k in wanted if first < k <= first + CHUNK]:
                total = np.logaddexp(total, logsumexp(weights[before : k - first], axis=0))
                bounds[k][rows] = total - np.log(k)
                before = k - first
            if before < CHUNK:
                total = np.logaddexp(total, logsumexp(weights[before:], axis=0))
        if on_batch:
            on_batch(done, len(starts))
    return bounds


# ---- log p(x) by quadrature, for 2-D z


def decoder64(weights, activation):
    """The decoder again, in NumPy float64, from the canonical weights of weights.npz.

    Args:
        weights: {canonical name: array}.
        activation: "relu" or "tanh".
    Returns:
        function from z (points, latent_dim) to logits (points, input_dim).
    """
    kernel, bias = (np.asarray(weights[f"decoder/logits/{w}"], float) for w in ("kernel", "bias"))
    return lambda z: _hidden64(weights, "decoder", z, activation)[-1] @ kernel + bias


def bernoulli_on_grid(logits):
    """log p(x|z) of every image at every point of a grid, from a decoder of Bernoulli pixels.

    Args:
        logits: function from z (points, latent_dim) to logits (points, input_dim), e.g. decoder64.
    Returns:
        function from x (n, input_dim) and z (points, latent_dim) to (n, points) nats; each point is
        decoded once for all images.
    """

    def log_likelihood(x, z):
        values = logits(z)
        # softplus(l) = max(l, 0) + log(1 + exp(-|l|)). A product of 512 factors up to 2 is far from
        # overflow, so there is one logarithm a block instead of one a pixel.
        factors = 1 + np.exp(-np.abs(values))
        blocks = np.multiply.reduceat(factors, np.arange(0, values.shape[1], 512), axis=1)
        softplus = np.maximum(values, 0).sum(axis=1) + np.log(blocks).sum(axis=1)
        return np.asarray(x, np.float64) @ values.T - softplus

    return log_likelihood


def log_evidence(log_likelihood, x, spacing=0.005, half_width=8.0, on_batch=None):
    """log p(x) = log of the integral of p(x|z) p(z) over a square as wide as the prior, for 2-D z.

    Midpoint rule on cells that halve from 8 x spacing to spacing where some image's integrand is
    near its peak; q plays no part. The first cells must be fine enough to meet the peak (about 3
    of its standard deviations); what lies beyond the square is not seen.

    Args:
        log_likelihood: function from x (n, input_dim), z (points, 2) to (n, points) nats.
        x: (n, input_dim).
        spacing: side of the smallest cells.
        half_width: half the side of the square.
        on_batch: called with (points done, points in all) within each of the four levels.
    Returns:
        (n,) float64 nats.
    """
    width = 8 * spacing
    axis = np.arange(-half_width + width / 2, half_width, width)
    cells = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    peak, total = np.full(len(x), -np.inf), np.full(len(x), -np.inf)
    quarters = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]) / 4
    # How far below the peak, in nats, a cell may be and still be split: far at first, where the
    # peak may lie between the centres; at 14 what is left coarse is a share of 1e-6.
    for width, depth in ((8 * spacing, 40), (4 * spacing, 25), (2 * spacing, 14), (spacing, -1)):
        finer = []
        for start in range(0, len(cells), GRID_CHUNK):
            z = cells[start : start + GRID_CHUNK]
            joint = log_likelihood(x, z) - 0.5 * (z**2).sum(axis=1) - LOG_2PI
            peak = np.maximum(peak, joint.max(axis=1))
            split = (joint > peak[:, None] - depth).any(axis=0)
            finer.append((z[split, None] + width * quarters).reshape(-1, 2))
            if not split.all():
                kept = logsumexp(joint[:, ~split], axis=1) + 2 * np.log(width)
                total = np.logaddexp(total, kept)
            if on_batch:
                on_batch(min(start + GRID_CHUNK, len(cells)), len(cells))
        cells = np.concatenate(finer)
    return total


def posterior_identity(
    log_likelihood, x, z_mean, z_log_var, refine=1, spacing=0.005, half_width=8.0, on_batch=None
):
    """log p(x) = KL(q(z|x) || p(z|x)) + ELBO, each term by an integration of its own, for 2-D z.

    log p(x) comes from cells as wide as the prior; the KL from a lattice around q, with p(z|x) =
    p(x|z) p(z) / p(x); the ELBO from the closed-form KL to the prior and E_q[log p(x|z)] on another
    lattice, turned. In the sum the first log p(x) cancels, so `residual` tests the last two;
    `log_mass` tests the first: the integral of that same p(z|x) over the lattice around q is 1
    where the lattice holds the posterior, and no more than 1 anywhere.

    Args:
        log_likelihood: function from x (n, input_dim), z (points, 2) to (n, points) nats.
        x: (n, input_dim).
        z_mean, z_log_var: (n, 2), q(z|x) of each image.
        refine: divides the spacing of every grid; 2 to see how far a halving moves the values.
        spacing, half_width: as for `log_evidence`.
        on_batch: called with (images done, images in all), after log p(x) of all.
    Returns:
        {"log_px", "kl_to_posterior", "elbo", "residual", "log_mass"}: (n,) float64 nats.
    Raises:
        UsageError: z is not 2-D.
    """
    mean, log_var = np.asarray(z_mean, np.float64), np.asarray(z_log_var, np.float64)
    if mean.ndim != 2 or mean.shape[1] != 2:
        raise UsageError(
            f"latent_dim is {mean.shape[-1]}; quadrature needs 2: use the importance bound"
        )
    log_px = log_evidence(log_likelihood, x, spacing / refine, half_width)
    # relu decoders have kinks, where Gauss-Hermite converges slowly: measured on MNIST, 128 x 128
    # nodes still err by 4e-4 nats. Of these, halving moved all values of 8 images by < 1.4e-5;
    # at two thirds of the spacing the residual of 100 images was 1.4e-5 or less.
    square, turned = _lattice(0.04 / refine, angle=0.0), _lattice(0.045 / refine, angle=1.0)
    values = np.empty((3, len(x)))
    for i in range(len(x)):
        sigma = np.exp(log_var[i] / 2)
        expected = []
        for u, q in (square, turned):
            z = mean[i] + sigma * u
            chunks = [
                log_likelihood(x[i : i + 1], z[start : start + GRID_CHUNK])[0]
                for start in range(0, len(z), GRID_CHUNK)
            ]
            expected.append((u, q, z, np.concatenate(chunks)))
        u, q, z, given_z = expected[0]
        log_q = -0.5 * (u**2).sum(axis=1) - LOG_2PI - log_var[i].sum() / 2
        log_posterior = given_z - 0.5 * (z**2).sum(axis=1) - LOG_2PI - log_px[i]
        mass = logsumexp(log_posterior - log_q, b=q)
        _, q_turned, _, given_turned = expected[1]
        values[:, i] = q @ (log_q - log_posterior), q_turned @ given_turned, mass
        if on_batch:
            on_batch(i + 1, len(x))
    elbo = values[1] - ops.convert_to_numpy(kl_to_standard_normal(mean, log_var))
    return {
        "log_px": log_px,
        "kl_to_posterior": values[0],
        "elbo": elbo,
        "residual": log_px - (values[0] + elbo),
        "log_mass": values[2],
    }


def _lattice(spacing, angle):
    """Trapezoid nodes of N(0, I) in the plane, up to 7 sigma (e^-24), and their weights.

    u = sinh(v), with v equally spaced: the error at a kink is the square of the local spacing times
    the density, so the nodes stand densest where q does, and seven times fewer will do.
    """
    axis = np.arange(-np.floor(np.arcsinh(7) / spacing), np.arcsinh(7) / spacing) * spacing
    v = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    v = v[(np.sinh(v) ** 2).sum(axis=1) <= 49]
    u = np.sinh(v)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    density = np.exp(-0.5 * (u**2).sum(axis=1) - LOG_2PI)
    return u @ turn, density * np.cosh(v).prod(axis=1) * spacing**2


# ---- the use of z and of the hidden units


def kl_per_dimension(z_mean, z_log_var):
    """Mean over images of the KL of each latent dimension.

    Args:
        z_mean, z_log_var: (n, latent_dim).
    Returns:
        (latent_dim,) float64 nats, >= 0; the sum is the KL of the ELBO.
    """
    columns = [np.asarray(each, np.float64).reshape(-1, 1) for each in (z_mean, z_log_var)]
    kl = ops.convert_to_numpy(kl_to_standard_normal(*columns))
    return kl.reshape(np.shape(z_mean)).mean(axis=0)


def active_units(z_mean, threshold=0.01):
    """Which latent dimensions say something about x: their mean varies over images.

    Args:
        z_mean: (n, latent_dim).
        threshold: of the variance over images.
    Returns:
        (latent_dim,) bool.
    Source: Burda et al., arXiv:1509.00519, section 5.
    """
    return np.asarray(z_mean, np.float64).var(axis=0) > threshold


def aggregate_log_density(z, z_mean, z_log_var):
    """log q(z) of the aggregate posterior: the mean over images of the densities q(z|x).

    Where it lies far below the prior, the prior draws z that the decoder was never trained on.

    Args:
        z: (points, latent_dim).
        z_mean, z_log_var: (n, latent_dim), q(z|x) of each image.
    Returns:
        (points,) float64 nats.
    Raises:
        UsageError: a delta posterior, which has no density.
    Source: Hoffman & Johnson, ELBO surgery, NIPS 2016 workshop on approximate Bayesian inference.
    """
    z, mean, log_var = (np.asarray(each, np.float64) for each in (z, z_mean, z_log_var))
    if np.isneginf(log_var).any():
        raise UsageError("z_log_var is -inf; a delta posterior has no density: use z_mean alone")
    constant = -0.5 * (LOG_2PI * mean.shape[1] + log_var.sum(axis=1)) - np.log(len(mean))
    values = np.empty(len(z))
    for start in range(0, len(z), CHUNK):
        away = (z[start : start + CHUNK, None] - mean) ** 2 / np.exp(log_var)
        values[start : start + CHUNK] = logsumexp(constant - 0.5 * away.sum(axis=2), axis=1)
    return values


def dead_units(weights, activation, x, z):
    """Which relu units are zero for every image (encoder) and every z (decoder): no gradient.

    Args:
        weights: {canonical name: array}.
        activation: "relu"; no other unit can die.
        x: (n, input_dim).
        z: (m, latent_dim), e.g. samples of q(z|x).
    Returns:
        {"encoder/hidden_1", …: (units,) bool}.
    Raises:
        UsageError: the activation is not relu.
    """
    if activation != "relu":
        raise UsageError(f"activation is {activation!r}; only relu units can be dead")
    alive = {}
    for part, inputs in (("encoder", x), ("decoder", z)):
        for start in range(0, len(inputs), 1000):
            layers = _hidden64(weights, part, inputs[start : start + 1000], activation)[1:]
            for number, layer in enumerate(layers, start=1):
                name = f"{part}/hidden_{number}"
                alive[name] = alive.get(name, False) | (layer > 0).any(axis=0)
    return {name: ~units for name, units in alive.items()}


def _hidden64(weights, part, inputs, activation):
    """The input of the encoder or decoder and its hidden layers, (rows, width) float64 each."""
    act = {"relu": lambda h: np.maximum(h, 0), "tanh": np.tanh}[activation]
    layers = [np.asarray(inputs, np.float64)]
    while f"{part}/hidden_{len(layers)}/kernel" in weights:
        name = f"{part}/hidden_{len(layers)}"
        kernel, bias = (np.asarray(weights[f"{name}/{w}"], float) for w in ("kernel", "bias"))
        layers.append(act(layers[-1] @ kernel + bias))
    return layers


# ---- labels, which the model never saw


def knn_accuracy(z_train, y_train, z_test, y_test, k=5):
    """Share of test images whose k nearest training latents vote for their label.

    Args:
        z_train, z_test: (n, latent_dim), latent means.
        y_train, y_test: (n,) labels.
        k: neighbours, by Euclidean distance.
    Returns:
        in [0, 1].
    Raises:
        UsageError: k is not in 1 … the number of training latents.
    """
    from sklearn.neighbors import KNeighborsClassifier

    if not 1 <= k <= len(z_train):
        raise UsageError(f"k is {k}; expected 1 to {len(z_train)}, the training latents")
    return float(KNeighborsClassifier(k).fit(z_train, y_train).score(z_test, y_test))


def silhouette(z, labels, seed=0, points=2000):
    """How far the labels stand apart in latent space: the mean silhouette of a sample of points.

    Args:
        z: (n, latent_dim), latent means.
        labels: (n,).
        seed: of the sample.
        points: its size; all where there are no more (the cost is quadratic).
    Returns:
        in [-1, 1]; 0 where labels overlap.
    Raises:
        UsageError: the sample holds fewer than two labels.
    """
    from sklearn.metrics import silhouette_score

    order = np.random.RandomState(seed_of(seed, "silhouette")).permutation(len(z))[:points]
    found = len(np.unique(labels[order]))
    if not 2 <= found < len(order):
        raise UsageError(f"{len(order)} points hold {found} labels; expected 2 or more, repeated")
    return float(silhouette_score(z[order], labels[order]))


def nearest_distance(images, references):
    """How far each image is from the most similar of the references.

    Of samples and real images: small where a sample looks like one of them.

    Args:
        images: (n, input_dim).
        references: (m, input_dim).
    Returns:
        (n,) Euclidean distance.
    """
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(references)
    return nearest.kneighbors(images)[0][:, 0]


# ---- the reparameterization trick, measured


def gradient_estimators(value, gradient, z_mean, z_log_var, samples, seed=0, baseline=0.0):
    """The gradient of E_q[f(z)] by z = mean + sigma · epsilon, and by the score function.

    Args:
        value: function from z (samples, latent_dim) to f, (samples,).
        gradient: function from z to df/dz, (samples, latent_dim).
        z_mean, z_log_var: (latent_dim,), the Gaussian q.
        samples: draws of z, the same for both estimators.
        seed: of the draws.
        baseline: a constant taken from f in the score function, whose mean it leaves as it is.
    Returns:
        {"z_mean", "z_log_var": {"reparameterized", "score", each with its "…_error" (standard
        error), and "variance_ratio", score over reparameterized}}: (latent_dim,) arrays.
    Raises:
        UsageError: fewer than two samples.
    Source: Kingma & Welling, arXiv:1312.6114, section 2.4; Williams 1992.
    """
    if samples < 2:
        raise UsageError(f"samples is {samples}; expected 2 or more, to measure a variance")
    mean, log_var = np.asarray(z_mean, np.float64), np.asarray(z_log_var, np.float64)
    random = np.random.RandomState(seed_of(seed, "gradient"))
    epsilon, sigma = random.normal(size=(samples, len(mean))), np.exp(log_var / 2)
    z = mean + sigma * epsilon
    slope, f = gradient(z), (value(z) - baseline)[:, None]
    # By z: dz/dmean = 1 and dz/dlog_var = sigma · epsilon / 2. By q: d log q / d the same.
    pairs = {
        "z_mean": (slope, f * epsilon / sigma),
        "z_log_var": (slope * sigma * epsilon / 2, f * (epsilon**2 - 1) / 2),
    }
    result = {}
    for name, (path, score) in pairs.items():
        variances = path.var(axis=0, ddof=1), score.var(axis=0, ddof=1)
        with np.errstate(divide="ignore"):  # a linear f has one gradient everywhere: infinite
            ratio = variances[1] / variances[0]
        result[name] = {
            "reparameterized": path.mean(axis=0),
            "reparameterized_error": np.sqrt(variances[0] / samples),
            "score": score.mean(axis=0),
            "score_error": np.sqrt(variances[1] / samples),
            "variance_ratio": ratio,
        }
    return result
