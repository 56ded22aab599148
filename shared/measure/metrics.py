"""Measures a finished run, and writes the metrics to metrics.json.

Each `measure` function returns metrics, and `write_metrics` writes those of one command together.
The functions of an implementation are an argument, because nothing in `shared` imports an
implementation. shared/elbo.py and diagnostics.py import Keras, whose settings a command checks
first, so they are imported inside the functions.
"""

import functools
import math
import time

import numpy as np

from shared.config import from_dict
from shared.data import evaluation_images, pixels_of, training_images
from shared.machine.checks import UsageError
from shared.machine.versions import versions
from shared.run.folder import read_config, read_metrics, store_metrics
from shared.seeds import seed_of

__all__ = [
    "check_bound",
    "check_exact",
    "measure",
    "measure_bound",
    "measure_exact",
    "measure_z",
    "write_metrics",
]

NATS = "nats per image"


def measure(directory, implementation, model, data, samples=1, on_progress=None):
    """Measures the loss, log-likelihood and KL of test and training images.

    Args:
        directory: folder of the run.
        implementation: functions of an implementation; `elbo_terms` is used.
        model: the run's model, at its end.
        data: shared.data.Data; that of the run, or another with images of the same size.
        samples: samples of q(z|x) per test image. A training image gets one: there are so many that
            the noise of z is far smaller than the standard error over images.
        on_progress: called with (images done, total images), each as often as it gets a sample.
    Returns:
        {name: metric}, where a metric is a dict with value, unit, n, samples, seconds and x, what
        the pixels are on which it was measured.
    """
    from shared.measure.diagnostics import elbo_estimate
    from shared.measure.evaluation import mean_terms

    config = from_dict(read_config(directory))
    measured, done = {}, 0
    parts = ("test", data.test, samples), ("train", _trained_on(data, config), 1)
    total = sum(len(x) * count for _, x, count in parts)
    for part, x, count in parts:
        started, terms = time.perf_counter(), []
        for sample in range(count):
            terms.append(implementation.elbo_terms(model, x, config, sample))
            done += len(x)
            if on_progress:
                on_progress(done, total)
        common = {"unit": NATS, "n": len(x), "samples": count}
        common |= {"seconds": time.perf_counter() - started, "x": pixels_of(data, config, part)}
        for name, value in mean_terms(np.asarray(terms)).items():
            measured[f"{part}_{name}"] = {"value": value, **common}
        loss, errors = measured[f"{part}_loss"], {}
        if len(x) > 1:
            terms = np.asarray(terms, np.float64)
            errors = elbo_estimate(terms[:, 0] - terms[:, 1])
            errors = {name: errors[name] for name in ("standard_error", "noise_error")}
        loss |= errors
        if unit := _bits_unit(config, common["x"]):
            scale = math.log(2) * data.input_dim
            bits = {name: error / scale for name, error in errors.items()}
            bits = {**common, "value": loss["value"] / scale, "unit": unit, **bits}
            measured[f"{part}_bits_per_pixel"] = bits
    return measured


def _trained_on(data, config):
    """Returns the training images to measure: with fixed binarization, the pixels of the training.

    Otherwise an implementation draws the pixels that it measures; drawing does not change pixels
    that are already binary.
    """
    fixed = config.binarization == "fixed"
    return training_images(data.train, config, epoch=1) if fixed else data.train


def _bits_unit(config, pixels):
    """Returns the unit of a loss in bits, or None if it bounds no code length or log density."""
    if config.posterior == "delta" or (config.likelihood == "bernoulli" and pixels == "grey"):
        return None
    if config.likelihood in ("gaussian", "continuous-bernoulli"):
        # For grey values in 256 levels, with uniform noise within a level, it is 8 bits more.
        return "bits per pixel, of a density over [0, 1]"
    return "bits per pixel"


def measure_z(directory, implementation, data, on_progress=None):
    """Measures the use of z: KL and activity of its dimensions, dead units, clusters by label.

    Args:
        directory, data: as for `measure`.
        implementation: functions of an implementation; `load`, `encode` and `gather` are used.
        on_progress: called with (pictured epochs done, total pictured epochs).
    Returns:
        {name: metric}, as `measure` returns them.
    """
    from shared.measure import diagnostics

    values = read_config(directory)
    config = from_dict(values)
    x_test, x_train = (
        evaluation_images(x, config) for x in (data.x_test, _trained_on(data, config))
    )
    common = {"n": len(x_test), "samples": 0, "x": pixels_of(data, config, "test")}
    measured, epochs = {}, config.pictured(values["data"]["n_train"])
    for done, epoch in enumerate(epochs, start=1):
        started = time.perf_counter()
        model = implementation.load(directory, epoch)[0]
        z_mean, z_log_var = implementation.encode(model, x_test)
        # If all labels are equal, or almost all are different, there are no clusters by label.
        if 1 < len(np.unique(data.y_test)) < min(len(x_test), len(data.y_train)) / 2:
            z_train = implementation.encode(model, x_train)[0]
            accuracy = diagnostics.knn_accuracy(z_train, data.y_train, z_mean, data.y_test)
            measured[f"test_knn_accuracy_epoch_{epoch:03d}"] = {
                "value": accuracy,
                "unit": "share of test images, by 5 nearest training latents",
            }
            silhouette = diagnostics.silhouette(z_mean, data.y_test, config.seed)
            if not math.isnan(silhouette):  # it is not defined for every sample
                measured[f"test_silhouette_epoch_{epoch:03d}"] = {
                    "value": silhouette,
                    "unit": "-1 to 1",
                }
        for name in measured:
            measured[name] = {"seconds": time.perf_counter() - started, **measured[name]}
        if on_progress:
            on_progress(done, len(epochs))
    started = time.perf_counter()
    if config.posterior == "gaussian":
        measured["test_kl_per_dimension"] = {
            "value": diagnostics.kl_per_dimension(z_mean, z_log_var).tolist(),
            "unit": NATS,
        }
    measured["active_units"] = {
        "value": int(diagnostics.active_units(z_mean).sum()),
        "unit": f"of {config.latent_dim} latent dimensions",
    }
    if config.activation == "relu" and values.get("network") is None:
        random = np.random.RandomState(seed_of(config.seed, "dead"))
        z = z_mean + np.exp(z_log_var / 2) * random.standard_normal(z_mean.shape)
        dead = diagnostics.dead_units(implementation.gather(model), config.activation, x_test, z)
        for layer, units in dead.items():
            measured[f"dead_units_{layer.replace('/', '_')}"] = {
                "value": int(units.sum()),
                "unit": f"of {len(units)} hidden units, zero for every test image",
            }
    seconds = time.perf_counter() - started
    return {name: {**common, "seconds": seconds, **metric} for name, metric in measured.items()}


def check_bound(config, samples):
    """Raises UsageError if there is no importance bound: K < 1, or q without a density."""
    if samples < 1:
        raise UsageError(f"--importance-samples is {samples}; expected an integer >= 1")
    if config.posterior == "delta":
        raise UsageError("the run has posterior delta, which has no importance weights")


def measure_bound(directory, implementation, model, data, samples, on_progress=None):
    """Measures the importance bound of the test images.

    Args:
        directory, model, data: as for `measure`.
        implementation: functions of an implementation; `encode` and `log_weights` are used.
        samples: K, the importance samples per image.
        on_progress: called with (batches done, total batches).
    Returns:
        {name: metric}, as `measure` returns them.
    Raises:
        UsageError: as in `check_bound`.
    """
    from shared.measure.diagnostics import importance_bounds

    config, started = from_dict(read_config(directory)), time.perf_counter()
    check_bound(config, samples)
    weigh = functools.partial(implementation.log_weights, model)
    x = evaluation_images(data.x_test, config)
    q = implementation.encode(model, x)
    bounds = importance_bounds(
        weigh, x, *q, config.seed, samples=(samples,), on_progress=on_progress
    )
    bound = {
        "value": bounds[samples].mean(),
        "standard_error": _standard_error(bounds[samples]),
        "unit": NATS,
        "n": len(x),
        "samples": samples,
        "seconds": time.perf_counter() - started,
        "x": pixels_of(data, config, "test"),
    }
    return {"test_importance_bound": bound}


def check_exact(config, count, network=None):
    """Raises UsageError if log p(x) cannot be computed by quadrature in the plane.

    Args:
        config: shared.config.Config of the run.
        count: number of images.
        network: the entry "network" of the run's config.json, or None for the dense network.
    """
    if network is not None:
        raise UsageError(
            "--exact-images: the run has its own network, and quadrature computes the dense one:"
            " use --importance-samples"
        )
    if count < 1:
        raise UsageError(f"--exact-images is {count}; expected an integer >= 1")
    for name, wanted in (("latent_dim", 2), ("posterior", "gaussian"), ("likelihood", "bernoulli")):
        value = getattr(config, name)
        if value != wanted:
            raise UsageError(
                f"--exact-images: the run has {name} {value}; quadrature needs {wanted}:"
                " use --importance-samples"
            )


def measure_exact(directory, implementation, model, data, count, on_progress=None):
    """Measures log p(x) of the first test images by quadrature, and its difference to the ELBO.

    Args:
        directory, model, data: as for `measure`.
        implementation: functions of an implementation; `encode` and `gather` are used.
        count: number of test images; about two seconds per image.
        on_progress: called with (images done, total images).
    Returns:
        {name: metric}, as `measure` returns them.
    Raises:
        UsageError: as in `check_exact`.
    """
    from shared.measure.quadrature import bernoulli_on_grid, decoder64, posterior_identity

    config, started = from_dict(read_config(directory)), time.perf_counter()
    check_exact(config, count)
    x = evaluation_images(data.x_test, config)[:count]
    decode = decoder64(implementation.gather(model), config.activation)
    q = implementation.encode(model, x)
    identity = posterior_identity(bernoulli_on_grid(decode), x, *q, on_progress=on_progress)
    common = {"unit": NATS, "n": len(x), "samples": 0, "seconds": time.perf_counter() - started}
    common["x"] = pixels_of(data, config, "test")
    measured = {
        f"test_exact_{name}": {
            "value": identity[name].mean(),
            "standard_error": _standard_error(identity[name]),
            **common,
        }
        for name in ("log_px", "kl_to_posterior", "elbo")
    }
    residual = float(np.abs(identity["residual"]).max())
    largest = {"value": residual, "unit": "nats, the largest of any image"}
    measured["test_exact_residual"] = {**common, **largest}
    # A mass above 1 shows a log p(x) that is too small. A mass below 1 shows that q, and with it
    # the lattice around it, does not cover the whole posterior.
    mass = np.exp(identity["log_mass"])
    share = {"value": mass.mean(), "largest": mass.max(), "unit": "of p(z|x) within 7 sigma of q"}
    measured["test_exact_mass"] = {**common, **share}
    return measured


def _standard_error(values):
    return values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def write_metrics(directory, data, *measured):
    """Adds the metrics of one command to metrics.json, in a single write.

    Old metrics from before the run was extended are removed.

    Args:
        directory: folder of the run.
        data: shared.data.Data that was measured.
        measured: results of the `measure` functions.
    Returns:
        the dict in metrics.json.
    """
    values = read_config(directory)
    config = from_dict(values)
    step = config.total_steps(values["data"]["n_train"])
    own = data.sha256 == values["data"]["sha256"]
    metrics = {name: m for name, m in read_metrics(directory).items() if m["step"] == step}
    for name, metric in (pair for each in measured for pair in each.items()):
        # JSON has neither NumPy's numbers nor NaN, which is the standard error of one value.
        metric = {
            key: None if isinstance(entry, float) and math.isnan(entry) else entry
            for key, entry in metric.items()
        }
        if not isinstance(metric["value"], (int, list)):
            metric["value"] = float(metric["value"])
        metrics[name if own else f"{name}_on_{data.name}"] = {
            **metric,
            "data": data.name,
            "seed": config.seed,
            "step": step,
            "versions": versions(),
            "seconds": round(metric["seconds"], 3),
        }
    store_metrics(directory, metrics)
    return metrics
