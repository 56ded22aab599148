"""Compares the recipes of the 2018 post with results of the original scripts, over seeds.

    MNIST_NPZ=/absolute/path/mnist.npz python benchmarks/originals.py

trains `post-tf` with 16 seeds and compares its test losses with those of the original TensorFlow
script by two two-sample tests, and trains `post-keras` for 5 epochs with three seeds and compares
its mean with that of the original Keras script. The exit status is 1 if one of them differs. With
--variants, it also trains `post-tf` with Keras' epsilon and with a shuffle, and prints their ranges
beside those of the original script with the same changes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from scipy import stats
from tyro.conf import FlagCreatePairsOff

from shared.command.implementation import import_implementation
from shared.command.line import exit_status
from shared.config import recipe
from shared.data import load_data
from shared.machine.checks import UsageError
from shared.machine.process import end_process
from shared.measure.original import original_test_losses
from shared.show.status import progress

# With equal distributions, each of the two tests is below this in one of a hundred comparisons.
LEVEL = 0.01
VARIANTS = {
    "windows": {},
    "epsilon 1e-7": {"optimizer_epsilon": 1e-7},
    "shuffle": {"order": "shuffle"},
}
# Test loss of the original Keras script at epoch 5: a log of it that others published, and three
# runs of the script today.
KERAS_AT_5 = np.array([163.0, 161.57, 162.67, 162.31])
# Standard deviation of the test loss at epoch 5 over seeds (benchmarks/seeds_spread.py).
SPREAD_AT_5 = 0.60
STALLED = 150  # nats


@dataclass
class Originals:
    """Compare the recipes of the post with results of the original scripts."""

    data: str = "mnist"
    """mnist: the results of the scripts are on MNIST."""
    seeds: int = 16
    """Number of seeds of post-tf, from 0 on."""
    implementation: str = "tf_vae"
    """tf_vae or keras_vae, which give the same bits."""
    variants: FlagCreatePairsOff[bool] = False
    """Also train post-tf with Keras' epsilon, and with a shuffle in place of the windows."""


def same_distribution(ours, originals):
    """Returns the p-values of two tests that two samples are of one distribution.

    Args:
        ours, originals: arrays of test losses.
    Returns:
        {"Mann-Whitney", "Kolmogorov-Smirnov"}: the first sees a shift, the second any difference.
    """
    return {
        "Mann-Whitney": stats.mannwhitneyu(ours, originals).pvalue,
        "Kolmogorov-Smirnov": stats.ks_2samp(ours, originals).pvalue,
    }


def final_losses(implementation, configs, data, advance):
    """Trains each config and returns the test losses at the end, nats per image."""
    losses = []
    for config in configs:
        run = implementation.train(config, data, verbose=0)[1]
        losses.append(run.history[-1]["val_loss"])
        advance(1, f"{config.recipe}, seed {config.seed}")
    return np.array(losses)


def line(name, losses):
    """Returns a line of text with median, range and count of some test losses."""
    low, high, count = losses.min(), losses.max(), len(losses)
    above = int((losses > STALLED).sum())
    stalled = f", {above} above {STALLED}" if 0 < above < count else ""
    return (
        f"{name:58} median {np.median(losses):.2f}, {low:.2f} to {high:.2f}, {count} runs{stalled}"
    )


def main(options):
    """Trains, prints the comparison and returns 0, or 1 if a recipe differs from its original."""
    data = load_data(options.data)
    if data.name != "mnist":
        raise UsageError(f"--data is {data.name}; the original results are on mnist")
    implementation = import_implementation(options.implementation)
    variants = VARIANTS if options.variants else {"windows": {}}
    seeds, originals, ours = range(options.seeds), original_test_losses(), {}
    with progress(len(variants) * len(seeds) + 3) as (advance, _):
        for name, changes in variants.items():
            configs = [recipe("post-tf", seed=seed, **changes) for seed in seeds]
            ours[name] = final_losses(implementation, configs, data, advance)
        configs = [recipe("post-keras", seed=seed, epochs=5) for seed in range(3)]
        at_5 = final_losses(implementation, configs, data, advance)
    for name in variants:
        change = "" if name == "windows" else f", {name}"
        print(line(f"vae_tf.py of 2018{change}", originals[name]))
        print(
            line(f"post-tf{change} ({options.implementation}, seeds 0 to {seeds[-1]})", ours[name])
        )
    print(line("vae_keras.py of 2018, epoch 5", KERAS_AT_5))
    print(line("post-keras, epoch 5", at_5))

    p_values = same_distribution(ours["windows"], originals["windows"])
    for test, p in p_values.items():
        print(f"post-tf against the script, {test}: p = {p:.2f} (different below {LEVEL})")
    difference = at_5.mean() - KERAS_AT_5.mean()
    limit = 3 * SPREAD_AT_5 * np.sqrt(1 / len(at_5) + 1 / len(KERAS_AT_5))
    print(f"post-keras against the script: {difference:+.2f} nats (different beyond ±{limit:.2f})")
    return 0 if min(p_values.values()) >= LEVEL and abs(difference) <= limit else 1


if __name__ == "__main__":
    prog = f"python benchmarks/{Path(__file__).name}"
    end_process(exit_status(lambda: main(tyro.cli(Originals, prog=prog))))
