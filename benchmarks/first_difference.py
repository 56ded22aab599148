"""Changes one operation of the training step at a time, and measures when the first bit differs.

Each change computes the same number in exact arithmetic, but for the last, which moves the epsilon
of RMSprop. The changed model and the unchanged one are trained in turn, step by step, on the same
batches with the same noise; after every step, their losses and weights are compared. The page that
reproduce.py writes shows the result, shared/measure/first_difference.json.

    python benchmarks/first_difference.py                   # a minute; needs MNIST
    python benchmarks/first_difference.py --out other.json
"""

import contextlib
import inspect
import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import tyro

from shared.command.implementation import quiet
from shared.command.line import exit_status
from shared.config import recipe
from shared.data import load_data
from shared.machine.checks import UsageError
from shared.machine.process import end_process, set_up
from shared.machine.versions import versions
from shared.run.files import write_atomically
from shared.seeds import examples_of, seed_of

RESULTS = Path(__file__).resolve().parents[1] / "shared" / "measure" / "first_difference.json"
POINTS = 80  # steps of which the file has the difference


@dataclass
class Job:
    """Measure how one changed operation moves a training away from the unchanged one."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz of images of 28 × 28."""
    steps: int = 300
    """Number of training steps."""
    seed: int = 0
    """Seed of the training."""
    out: Path = RESULTS
    """File of the result."""


# ---- the changed operations, each in place of the function of the same arguments in CHANGES


def log_sigmoid(x, logits):
    """Computes the logarithm of the sigmoid itself, for the pixel and for its complement."""
    from keras import ops

    return ops.sum(
        x * ops.log(ops.sigmoid(logits)) + (1 - x) * ops.log(ops.sigmoid(-logits)), axis=-1
    )


def sum_by_rows(x, logits):
    """Adds up the pixels of each row first, and then the rows."""
    from keras import ops

    rows = ops.reshape(x * logits - ops.softplus(logits), (-1, 28, 28))
    return ops.sum(ops.sum(rows, axis=2), axis=1)


def exp_minus_one(z_mean, z_log_var):
    """Subtracts 1 from the exponential, as the formula is printed, in place of expm1."""
    from keras import ops

    return 0.5 * ops.sum(ops.exp(z_log_var) - 1 - z_log_var + ops.square(z_mean), axis=-1)


def root_of_variance(z_mean, z_log_var, epsilon):
    """Takes the root of the variance in place of halving its logarithm."""
    from keras import ops

    return z_mean + ops.sqrt(ops.exp(z_log_var)) * epsilon


def two_means(log_likelihood, kl, beta=1.0):
    """Takes the mean of each term in place of the mean of their difference."""
    from keras import ops

    return beta * ops.mean(kl) - ops.mean(log_likelihood)


# {name: (function that replaces, where it is looked up)}
CHANGES = {
    "log-sigmoid": (log_sigmoid, "shared.elbo.bernoulli_log_likelihood"),
    "root": (root_of_variance, "tf_vae.model.reparameterize"),
    "means": (two_means, "shared.objective.negative_elbo"),
    "expm1": (exp_minus_one, "shared.objective.kl_to_standard_normal"),
    "rows": (sum_by_rows, "shared.elbo.bernoulli_log_likelihood"),
}
# Of the division of the pixels by 255, in `Steps` of tf_vae/train.py
INVERSE = "return tf.cast(tf.gather(images, step), tf.float32) * (1 / white_level)"
# The form of Keras 3, in keras/src/optimizers/rmsprop.py; `update_step` of ours has the other one.
EPSILON = "self.assign_sub(variable, rate * gradient / ops.sqrt(mean + self.epsilon))"
STATEMENTS = {"inverse": INVERSE, "epsilon": EPSILON}
NAMES = ("log-sigmoid", "root", "inverse", "means", "expm1", "rows", "epsilon")


class Training:
    """A model of tf_vae that is trained step by step, with one operation changed or none."""

    def __init__(self, config, data, change=None):
        with quiet():
            from shared.training.optimizer import build_optimizer
            from tf_vae.model import build
            from tf_vae.train import Steps

        if change == "epsilon":
            config = replace(config, rmsprop_epsilon="inside")
        self.change = change
        self.model = build(config, data.input_dim)
        variables = self.model.trainable_variables
        optimizer = build_optimizer(config, data.n_train, variables)
        self.steps = Steps(self.model, optimizer)

    def step(self, batch, noise_seed):
        """Trains on a batch; returns the loss and {name: weight} after it."""
        if self.change == "inverse":
            batch = np.round(255 * batch) * np.float32(1 / 255)
        with self._changed():  # the first call compiles the step
            (loss,) = self.steps.run(batch[None], 1.0, noise_seed)
        weights = {name: v.numpy() for name, v in self.model.named_weights.items()}
        return np.float32(loss), weights

    def _changed(self):
        if self.change not in CHANGES:
            return contextlib.nullcontext()
        function, place = CHANGES[self.change]
        return mock.patch(place, function)


def measure(steps, data, config, names=NAMES):
    """Returns {name: result of a change}, with the first steps that differ and the growth.

    Args:
        steps: number of steps.
        data: shared.data.Data.
        config: shared.config.Config of the unchanged training, with step_losses.
        names: the changes to measure.
    """
    unchanged = Training(config, data)
    changed = {name: Training(config, data, name) for name in names}
    noise_seed = noise_of(config)
    traces = {name: [] for name in names}
    for number, batch in enumerate(batches(config, data, steps), start=1):
        loss, weights = unchanged.step(batch, noise_seed)
        for name, training in changed.items():
            other_loss, others = training.step(batch, noise_seed)
            apart = max(float(np.abs(w - others[each]).max()) for each, w in weights.items())
            traces[name].append((abs(float(loss) - float(other_loss)), apart))
        if number % 50 == 0:
            print(f"step {number} of {steps}", file=sys.stderr)
    return {name: summary(np.array(trace)) for name, trace in traces.items()}


def noise_of(config):
    """Returns the seed of the noise of a training, as the loop of tf_vae gives it to a step."""
    with quiet():
        import tensorflow as tf

    return tf.constant(seed_of(config.seed, "noise"))


def batches(config, data, steps):
    """Yields the batches of the first steps of a training, (batch, input_dim) float32 each."""
    size, epoch = config.batch_size, 0
    while steps > 0:
        epoch += 1
        order = examples_of(config, epoch, data.train)
        for start in range(0, len(order), size)[:steps]:
            yield data.x_train[order[start : start + size]]
        steps -= config.steps_per_epoch(data.n_train)


def summary(trace):
    """Returns the result of one change.

    Args:
        trace: (steps, 2) differences of the loss and, as a maximum, of the weights.
    Returns:
        dict with the first step (from 1) after which each differs, or None, and the differences at
        steps that are about equally far apart on a logarithmic axis: of the loss in nats, and the
        largest of a weight.
    """
    steps = np.unique(np.geomspace(1, len(trace), POINTS).round().astype(int))
    first = [int(np.argmax(each > 0)) + 1 if each.any() else None for each in trace.T]
    digits = [[float(f"{value:.3g}") for value in each[steps - 1]] for each in trace.T]
    return {
        "first_loss": first[0],
        "first_weight": first[1],
        "steps": steps.tolist(),
        "loss": digits[0],
        "weights": digits[1],
    }


def replacement(name):
    """Returns the code that replaces an operation: the statement that computes it."""
    if name in STATEMENTS:
        return STATEMENTS[name]
    source = inspect.getsource(CHANGES[name][0])
    return inspect.cleandoc(source.split("from keras import ops\n\n", 1)[1])


def main():
    """Trains all models in turn, and writes the result."""
    job = tyro.cli(Job, prog="benchmarks/first_difference.py")
    if job.steps < 1:
        raise UsageError(f"--steps is {job.steps}; expected an integer >= 1")
    set_up()
    data = load_data(job.data)
    if data.image_shape != (28, 28):
        raise UsageError(f"{data.name} has images of {data.image_shape}; expected 28 × 28")
    config = recipe("post-keras", seed=job.seed, step_losses=True)
    results = measure(job.steps, data, config)
    changes = {name: {"after": replacement(name), **each} for name, each in results.items()}
    content = {
        "recipe": "post-keras",
        "implementation": "tf_vae",
        "data": data.name,
        "seed": job.seed,
        "steps": job.steps,
        "versions": versions(),
        "changes": changes,
    }
    # A list of numbers is one line of the file.
    lines = re.sub(
        r"\[[^\]]*\]", lambda each: " ".join(each[0].split()), json.dumps(content, indent=2)
    )
    write_atomically(job.out, (lines + "\n").encode())
    for name, result in results.items():
        firsts = f"loss {result['first_loss']}, weights {result['first_weight']}"
        ends = f"loss {result['loss'][-1]:.2g} nats, weights {result['weights'][-1]:.2g}"
        print(f"{name:12} first step that differs: {firsts}; after {job.steps}: {ends}")
    print(f"written to {job.out}")


if __name__ == "__main__":
    end_process(exit_status(main))
