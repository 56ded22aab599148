"""Diagnostics of a trained VAE: bounds on log p(x), the use of z and of the hidden units, labels.

These are pure functions from arrays to numbers. What an implementation computes is passed in as a
function, and long computations call `on_progress(done, total)`. Everything is computed in float64,
except inside the function of an implementation.
"""

import math

import numpy as np
from keras import ops
from scipy.special import logsumexp

from shared.elbo import LOG_2PI, kl_to_standard_normal
from shared.machine.checks import UsageError
from shared.seeds import seed_of

__all__ = [
    "active_units",
    "aggregate_log_density",
    "dead_units",
    "elbo_estimate",
    "hidden64",
    "importance_bounds",
    "kl_per_dimension",
    "knn_accuracy",
    "nearest_distance",
    "silhouette",
]

CHUNK = 100  # samples per image in one call of `log_weights`


# ---- bounds on log p(x), by sampling


def elbo_estimate(terms):
    """Computes the mean ELBO of a set of images, with its standard errors.

    Args:
        terms: (samples, n) nats: the ELBO of each image at each sample of q(z|x).
    Returns:
        {"mean", "standard_error", "noise_error"}: nats per image. `standard_error` is the standard
        deviation of the mean over test sets of n images, with new samples of z. `noise_error` is
        the standard deviation over new samples of z for the same images, for comparing two models
        on the same images; it is NaN for one sample.
    Raises:
        UsageError: there are fewer than two images, which have no standard error.
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
    log_weights, x, z_mean, z_log_var, seed, samples=(1, 10, 100, 5000), batch=100, on_progress=None
):
    """Computes the importance bound of each image at several K, in one pass over the same samples.

    The K weights are not in memory together: they are added to a running log-sum-exp in chunks. The
    noise depends on the seed, the first image of the batch and the first sample of the chunk, so
    the bound at one K does not depend on the other K in `samples`.

    Args:
        log_weights: function from x, z_mean, z_log_var, noise_seed and count to (count, batch)
            nats: an implementation's `log_weights` with the model as its first argument.
        x: (n, input_dim).
        z_mean, z_log_var: (n, latent_dim), q(z|x) of each image.
        seed: the run's seed.
        samples: the values of K.
        batch: images per call, on which the noise depends. With 784 pixels, 100 x CHUNK rows were
            the fastest on two cores, and they need less than 1 GiB.
        on_progress: called with (batches done, total batches).
    Returns:
        {K: (n,) float64 nats}; the expectation grows with K.
    Raises:
        UsageError: a K is not an integer >= 1.
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
            # Always a whole chunk, even if K ends inside it, so that only one shape is compiled.
            weights = np.asarray(log_weights(*inputs, noise_seed, CHUNK), np.float64)
            before = 0
            for k in [k for k in wanted if first < k <= first + CHUNK]:
                total = np.logaddexp(total, logsumexp(weights[before : k - first], axis=0))
                bounds[k][rows] = total - np.log(k)
                before = k - first
            if before < CHUNK:
                total = np.logaddexp(total, logsumexp(weights[before:], axis=0))
        if on_progress:
            on_progress(done, len(starts))
    return bounds


# ---- the use of z and of the hidden units


def kl_per_dimension(z_mean, z_log_var):
    """Computes the mean over images of the KL of each latent dimension.

    Args:
        z_mean, z_log_var: (n, latent_dim).
    Returns:
        (latent_dim,) float64 nats, >= 0; their sum is the KL of the ELBO.
    """
    columns = [np.asarray(each, np.float64).reshape(-1, 1) for each in (z_mean, z_log_var)]
    kl = ops.convert_to_numpy(kl_to_standard_normal(*columns))
    return kl.reshape(np.shape(z_mean)).mean(axis=0)


def active_units(z_mean, threshold=0.01):
    """Returns which latent dimensions are active: those whose posterior mean varies over images.

    Args:
        z_mean: (n, latent_dim).
        threshold: the variance over images above which a dimension is active.
    Returns:
        (latent_dim,) bool.
    Source: Burda et al., arXiv:1509.00519, section 5.
    """
    return np.asarray(z_mean, np.float64).var(axis=0) > threshold


def aggregate_log_density(z, z_mean, z_log_var):
    """Computes log q(z) of the aggregate posterior, the mean over images of the densities q(z|x).

    Where it is far below the density of the prior, samples of the prior are values of z on which
    the decoder was not trained.

    Args:
        z: (points, latent_dim).
        z_mean, z_log_var: (n, latent_dim), q(z|x) of each image.
    Returns:
        (points,) float64 nats.
    Raises:
        UsageError: the posterior is a delta, which has no density.
    Source: Hoffman & Johnson, ELBO surgery, NIPS 2016 workshop on approximate Bayesian inference.
    """
    z, mean, log_var = (np.asarray(each, np.float64) for each in (z, z_mean, z_log_var))
    if np.isneginf(log_var).any():
        raise UsageError("z_log_var is -inf; a delta posterior has no density: use only z_mean")
    constant = -0.5 * (LOG_2PI * mean.shape[1] + log_var.sum(axis=1)) - np.log(len(mean))
    values = np.empty(len(z))
    for start in range(0, len(z), CHUNK):
        away = (z[start : start + CHUNK, None] - mean) ** 2 / np.exp(log_var)
        values[start : start + CHUNK] = logsumexp(constant - 0.5 * away.sum(axis=2), axis=1)
    return values


def dead_units(weights, activation, x, z):
    """Returns which relu units are dead: zero for every image (encoder) or every z (decoder).

    A dead unit has no gradient, so training on these inputs cannot change it.

    Args:
        weights: {canonical name: array}.
        activation: "relu"; other units are never dead.
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
            layers = hidden64(weights, part, inputs[start : start + 1000], activation)[1:]
            for number, layer in enumerate(layers, start=1):
                name = f"{part}/hidden_{number}"
                alive[name] = alive.get(name, False) | (layer > 0).any(axis=0)
    return {name: ~units for name, units in alive.items()}


def hidden64(weights, part, inputs, activation):
    """Computes the hidden layers of the encoder or decoder in float64.

    Args:
        weights: {canonical name: array}.
        part: "encoder" or "decoder".
        inputs: (rows, width): x or z.
        activation: "relu" or "tanh".
    Returns:
        list of (rows, width) float64 arrays: the inputs, then each hidden layer.
    """
    act = {"relu": lambda h: np.maximum(h, 0), "tanh": np.tanh}[activation]
    layers = [np.asarray(inputs, np.float64)]
    while f"{part}/hidden_{len(layers)}/kernel" in weights:
        name = f"{part}/hidden_{len(layers)}"
        kernel, bias = (np.asarray(weights[f"{name}/{w}"], float) for w in ("kernel", "bias"))
        layers.append(act(layers[-1] @ kernel + bias))
    return layers


# ---- labels, which training does not use


def knn_accuracy(z_train, y_train, z_test, y_test, k=5):
    """Computes the accuracy of a k-nearest-neighbours classifier of the labels on the latents.

    Args:
        z_train, z_test: (n, latent_dim), latent means.
        y_train, y_test: (n,) labels.
        k: number of neighbours, by Euclidean distance.
    Returns:
        float in [0, 1], the share of test images that are classified correctly.
    Raises:
        UsageError: k is not between 1 and the number of training latents.
    """
    from sklearn.neighbors import KNeighborsClassifier

    if not 1 <= k <= len(z_train):
        raise UsageError(f"k is {k}; expected 1 to {len(z_train)}, the training latents")
    return float(KNeighborsClassifier(k).fit(z_train, y_train).score(z_test, y_test))


def silhouette(z, labels, seed=0, points=2000):
    """Computes the mean silhouette coefficient of the labels in latent space, on sampled points.

    A silhouette compares the distances to points of other labels with those to points of the same
    label. It is not defined for a sample in which all labels are equal or all are different, which
    can happen with a rare label; the result is then NaN.

    Args:
        z: (n, latent_dim), latent means.
        labels: (n,).
        seed: the run's seed, on which the sample depends.
        points: size of the sample, at most n; the cost grows with its square.
    Returns:
        float in [-1, 1], 0 where the labels overlap; NaN where it is not defined.
    Source: Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7.
    """
    from sklearn.metrics import silhouette_score
    from sklearn.utils import resample

    z, labels = resample(
        z,
        labels,
        replace=False,
        n_samples=min(points, len(z)),
        random_state=seed_of(seed, "silhouette"),
    )
    if not 2 <= len(np.unique(labels)) < len(labels):
        return math.nan
    return float(silhouette_score(z, labels))


def nearest_distance(images, references):
    """Computes the distance of each image to the most similar reference image.

    Between samples of a model and its training images, a small distance shows that a sample copies
    a training image.

    Args:
        images: (n, input_dim).
        references: (m, input_dim).
    Returns:
        (n,) Euclidean distances.
    """
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(references)
    return nearest.kneighbors(images)[0][:, 0]
