"""What benchmarks/gpu.py measures, each task in a process of its own.

    python benchmarks/gpu_tasks.py TASK ARGUMENTS FOLDER

ARGUMENTS is a JSON object. The folder gets result.json and, for the ladder, arrays.npz. The caller
chooses the device by environment variables: CUDA_VISIBLE_DEVICES=-1 hides every GPU.
"""

import dataclasses
import itertools
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from gpu_machine import facts
from gpu_tables import compared

from shared.command.implementation import import_implementation
from shared.config import recipe
from shared.data import load_data
from shared.machine.text import first_line
from shared.run.files import write_json
from shared.seeds import seed_of

__all__ = ["RUNGS", "ladder", "networks", "trainings"]

RUNGS = (
    "initial weights",
    "order of the examples",
    "noise of 10 steps",
    "loss of the first step",
    "gradients of the first step",
    "weights after 1 step",
    "weights after 10 steps",
    "weights after one epoch",
    "ELBO of each test image after it",
)
SMALL = {"hidden_dims": (16,)}


def data_of(name, small, images=None):
    """Returns the data, or every third image of them, or their first `images` to train on."""
    data = load_data(name)
    if not small and images is None:
        return data
    step = 3 if small else 1  # of all classes, because mnist-5k is sorted by class
    parts = {
        name: getattr(data, name)[::step][: images if name.endswith("train") else None]
        for name in ("x_train", "y_train", "x_test", "y_test")
    }
    return dataclasses.replace(data, **parts)


def config_of(name, small, **changes):
    """Returns the config of a recipe without pictures, of a small network if `small`."""
    changes = {"picture_epochs": (), **(SMALL if small else {}), **changes}
    return recipe(name, **changes)


# ---- the ladder


def device_of(model):
    """Returns where the weights of a model are, "GPU" or "CPU", on any backend."""
    import keras

    variable = next(iter(model.named_weights.values()))
    value = variable.value if isinstance(variable, keras.Variable) else variable
    return "GPU" if re.search("gpu|cuda|rocm|hip", str(value.device).lower()) else "CPU"


def ladder(data, recipe_name, packages, seed, small, tf32):
    """Computes every rung of a recipe: {"device", "arrays": {package|rung|name: array}}.

    Args:
        data: as for `load_data`.
        recipe_name: "post-keras" or "post-tf".
        packages: list of names.
        seed: seed of the runs.
        small: whether a small network is trained on few images.
        tf32: whether TensorFlow may round the factors of a product to TF32, as it does by default.
    """
    implementations = [import_implementation(package) for package in packages]
    if not tf32:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    images, config = data_of(data, small), config_of(recipe_name, small, seed=seed)
    arrays, placed = {}, set()
    for implementation in implementations:
        rungs, device = rungs_of(implementation, config, images)
        placed.add(device)
        for rung, parts in rungs.items():
            for part, array in parts.items():
                arrays[f"{implementation.name}|{rung}|{part}"] = np.asarray(array)
    return {"device": " and ".join(sorted(placed)), "arrays": arrays}


def rungs_of(implementation, config, data):
    """Returns {rung: {name: array}} of an implementation, and the device of its weights."""
    model = implementation.build(config, data.input_dim)
    per_epoch = config.steps_per_epoch(data.n_train)

    def trained(steps):
        length = dataclasses.replace(config, epochs=None, steps=steps, step_losses=True)
        return implementation.train(length, data, verbose=0)

    first, run = trained(1)
    ten, _ = trained(10)
    whole, _ = trained(per_epoch)
    log_likelihood, kl = implementation.elbo_terms(whole, data.x_test, config)
    parts = (
        implementation.gather(model),
        {"x": first_epoch(implementation.name, config, data, per_epoch)},
        {"epsilon": noise(implementation.name, model, config)},
        {"loss": np.float32(run.step_losses[:1])},
        gradients(implementation, config, data),
        implementation.gather(first),
        implementation.gather(ten),
        implementation.gather(whole),
        {"log_likelihood": log_likelihood, "kl": kl},
    )
    return dict(zip(RUNGS, parts, strict=True)), device_of(whole)


def first_epoch(package, config, data, count):
    """Returns the first `count` batches, as the feed of an implementation has them."""
    import keras_vae.batches
    import tf_vae.batches

    if package == "keras_vae":
        stream = keras_vae.batches.training_batches(data.x_train, config)
        return np.concatenate([x.numpy() for x in itertools.islice(iter(stream), count)])
    images, orders = next(tf_vae.batches.training_batches(data.x_train, config))
    return images[np.concatenate([order.ravel() for order in orders])]


def noise(package, model, config, steps=10):
    """Returns the noise of the first steps, (steps, 100, latent_dim), drawn in a compiled step."""
    import tensorflow as tf

    zeros = tf.zeros((100, config.latent_dim))  # then z = epsilon
    if package == "keras_vae":
        model.sampling.start_training_noise(config.seed, 0)
        compiled = tf.function(lambda _: model.sampling([zeros, zeros], training=True))
    else:
        compiled = tf.function(lambda seed: tf.random.stateless_normal(zeros.shape, seed))
    compiled = tf.function(compiled, jit_compile=True)
    noise_seed = seed_of(config.seed, "noise")
    return np.stack([compiled(tf.constant([noise_seed, step])).numpy() for step in range(steps)])


def gradients(implementation, config, data):
    """Returns the gradients of the first step, {slot: array}.

    `fit` does not return them, so an optimizer stores them in slots, which a checkpoint holds, and
    does not change the weights (notebook 04).
    """
    import keras

    class KeepGradient(keras.optimizers.SGD):
        def build(self, variables):
            super().build(variables)
            self.kept = self.add_optimizer_variables(variables, "gradient")

        def update_step(self, gradient, variable, learning_rate):
            self.assign(self.kept[self._get_variable_index(variable)], gradient)

    usual, keras.optimizers.SGD = keras.optimizers.SGD, KeepGradient
    changes = {"optimizer": "sgd", "optimizer_epsilon": None, "epochs": None, "steps": 1}
    try:
        with tempfile.TemporaryDirectory() as folder:
            config = dataclasses.replace(config, **changes)
            _, run = implementation.train(config, data, Path(folder) / "run", verbose=0)
            with np.load(run.directory / "checkpoints" / "last.npz") as file:
                return {name: file[name] for name in file.files if "/gradient/" in name}
    finally:
        keras.optimizers.SGD = usual


# ---- trainings


def trainings(data, packages, seed, epochs, small):
    """Trains `post-keras` by each package on the backend of this process: {package: numbers}."""
    images, found = data_of(data, small), {}
    config = config_of("post-keras", small, seed=seed, epochs=epochs)
    for package in packages:
        implementation = import_implementation(package)
        found[package] = attempted(lambda run: timed(run, config, images), implementation)
    return found


def networks(data, packages, seed, epochs, small, kind, xla, images=None):
    """Trains a given pair of networks by each package, with XLA or without.

    Returns {package: numbers} and, of two packages, "weights": their comparison.

    Args:
        kind: "dense", the networks of `post-keras`, or "convolutions", those of examples/conv.py.
        xla: `jit_compile` of `assemble`: true, false, or null for the default.
        images: number of images to train on, or None for all.
    """
    from examples import conv
    from keras_vae.model import build
    from shared.run.network import network_of
    from shared.training.architecture import networks_of

    pixels, found, ends = data_of(data, small, images), {}, []
    config = config_of("post-keras", small, seed=seed, epochs=epochs)
    for package in packages:
        implementation = import_implementation(package)
        if kind == "dense":
            vae = build(config, pixels.input_dim)
            pair = vae.encoder, vae.decoder
        else:
            pair = networks_of(network_of(conv.networks), config, pixels.image_shape)

        def train(implementation, pair=pair):
            model = implementation.assemble(*pair, config, pixels.input_dim, xla)
            numbers = timed(implementation, config, pixels, model)
            ends.append(implementation.gather(model))
            return numbers

        found[package] = attempted(train, implementation)
    if len(ends) == 2:
        found["weights"] = compared(*ends)
    return found


def timed(implementation, config, data, model=None):
    """Trains; returns the seconds of each epoch and the terms of the test images, as numbers."""
    model, run = implementation.train(config, data, verbose=0, model=model)
    measured = implementation.evaluate(model, data.x_test, config)
    return {
        "device": device_of(model),
        "seconds": [row["seconds"] for row in run.history],
        "steps_per_epoch": config.steps_per_epoch(data.n_train),
        "loss": float(measured["loss"]),
        "kl": float(measured["kl"]),
    }


def attempted(task, implementation):
    """Returns the result of a task, or {"error": what went wrong in one line}."""
    try:
        return task(implementation)
    except Exception as error:  # whatever a framework raises is what the table shows
        return {"error": f"{type(error).__name__}: {first_line(error)}"}


TASKS = {each.__name__: each for each in (facts, ladder, networks, trainings)}


def main(task, arguments, folder):
    """Executes a task, and writes its result."""
    result = TASKS[task](**json.loads(arguments))
    arrays = result.pop("arrays", None)
    if arrays is not None:
        np.savez(Path(folder) / "arrays.npz", **arrays)
    write_json(Path(folder) / "result.json", result)


if __name__ == "__main__":
    main(*sys.argv[1:])
