"""Compares two sets of weights bit by bit, and composes the contents of parity.json."""

import numpy as np

from shared.machine.backend import IMPLEMENTATIONS
from shared.machine.versions import versions
from shared.run.folder import read_run_weights

__all__ = ["IDENTICAL", "all_identical", "compare", "compare_runs", "parity_report", "verdict"]

IDENTICAL = "every weight bit-identical"


def compare(weights, others):
    """Compares two sets of weights, by canonical name.

    Args:
        weights, others: {canonical name: array}, of the same names and shapes.
    Returns:
        {name: {"max_abs_difference": float, "bit_identical": bool}}
    """
    return {
        name: {
            "max_abs_difference": float(np.max(np.abs(weights[name] - others[name]))),
            "bit_identical": weights[name].tobytes() == others[name].tobytes(),
        }
        for name in weights
    }


def compare_runs(directories, config, n):
    """Compares every weight of two runs of one config, at their end and at each pictured epoch.

    Args:
        directories: the two folders.
        config: shared.config.Config of both.
        n: number of training examples.
    Returns:
        dict with "steps", "numbers" (how many there are), and two results of `compare`: "weights"
        at the end, and "epochs", a dict by pictured epoch.
    """
    ends = [read_run_weights(directory)[1] for directory in directories]
    return {
        "steps": config.total_steps(n),
        "numbers": sum(array.size for array in ends[0].values()),
        "weights": compare(*ends),
        "epochs": {
            epoch: compare(*(read_run_weights(each, epoch)[1] for each in directories))
            for epoch in config.pictured(n)
        },
    }


def all_identical(compared):
    """Returns whether every weight is bit-identical in a result of `compare_runs`."""
    return not _differing(compared["weights"], *compared["epochs"].values())


def verdict(*comparisons):
    """Returns a phrase about comparisons: IDENTICAL, or the names of the weights that differ.

    Args:
        comparisons: results of `compare`.
    """
    differing = _differing(*comparisons)
    if not differing:
        return IDENTICAL
    shown = ", ".join(f"{name} by {value:.3g}" for name, value in sorted(differing.items()))
    return f"A BIT DIFFERS in {shown}"


def _differing(*comparisons):
    return {
        name: weight["max_abs_difference"]
        for weights in comparisons
        for name, weight in weights.items()
        if not weight["bit_identical"]
    }


def parity_report(out, configs, data, seed, relay=None):
    """Composes the contents of parity.json from the files of the runs.

    Args:
        out: folder of the results, with a run of each recipe by each implementation.
        configs: {recipe: shared.config.Config}.
        data: shared.data.Data.
        seed: seed of the runs.
        relay: result of `compare` for a run of four epochs, two by each implementation, and an
            uninterrupted run of one implementation.
    Returns:
        dict with bit_identical (of everything), lines (the same in words), data, seed, versions,
        and the result of `compare_runs` for each recipe.
    """
    report = {"bit_identical": True, "lines": [], "data": data.name, "seed": seed}
    report["versions"] = versions()
    for name, config in configs.items():
        folders = [out / folder / name for folder in IMPLEMENTATIONS]
        report[name] = compared = compare_runs(folders, config, data.n_train)
        what = f"{name}: {' and '.join(IMPLEMENTATIONS.values())}"
        size = f"{len(compared['weights'])} weights, {compared['numbers']:,} numbers"
        text = verdict(*compared["epochs"].values(), compared["weights"])
        report["lines"].append(f"{compared['steps']:,} steps: {text} ({what}, {size})")
        report["bit_identical"] &= all_identical(compared)
    if relay is not None:
        report["relay"], text = relay, verdict(relay)
        report["lines"].append(
            f"epochs 1 to 2 by keras_vae, 3 to 4 by tf_vae: {text}"
            " (compared with an uninterrupted run)"
        )
        report["bit_identical"] &= text == IDENTICAL
    return report
