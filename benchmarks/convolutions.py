"""Counts the numbers that differ between the two implementations of a convolutional network.

It trains examples/conv.py on mnist-5k, some steps without XLA and some with it, by both.
    python benchmarks/convolutions.py
"""

import numpy as np
import tyro

from examples.conv import networks
from shared.command.implementation import import_implementation
from shared.config import recipe
from shared.data import load_data
from shared.machine.backend import IMPLEMENTATIONS
from shared.run.network import network_of
from shared.training.architecture import networks_of


def main(steps: int = 80, steps_with_xla: int = 4, seed: int = 0):
    """Trains and compares.

    Args:
        steps: number of steps without XLA.
        steps_with_xla: number of steps with XLA, half a second each.
        seed: seed of the runs.
    """
    data = load_data("mnist-5k")
    for xla, length in ((False, steps), (True, steps_with_xla)):
        config = recipe("post-keras", steps=length, seed=seed)
        ends = []
        for name in IMPLEMENTATIONS.values():
            implementation = import_implementation(name)
            pair = networks_of(network_of(networks), config, data.image_shape)
            model = implementation.assemble(*pair, config, data.input_dim, xla)
            implementation.train(config, data, model=model, verbose=0)
            ends.append(implementation.gather(model))
        ours, theirs = (np.concatenate([each.ravel() for each in end.values()]) for end in ends)
        largest = np.abs(ours.astype(np.float64) - theirs).max()
        print(
            f"{'with' if xla else 'without'} XLA, {length} steps of 100: {(ours != theirs).sum():,}"
            f" of {ours.size:,} numbers differ, by at most {largest:.1e}"
        )


if __name__ == "__main__":
    tyro.cli(main)
