"""Reads the results of the 2018 TensorFlow script, with which ours are compared.

They were measured by running that script itself; post_tf_2018.json says how.
"""

import json
from pathlib import Path

import numpy as np

__all__ = ["original_step_losses", "original_test_losses"]

RESULTS = Path(__file__).with_name("post_tf_2018.json")


def original_step_losses():
    """Returns the training loss of each of 1000 steps of the script, for the seeds 0 to 7.

    Returns:
        (8, 1000) float32 array, nats per image.
    """
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return np.array(results["step_losses"], np.float32)


def original_test_losses():
    """Returns the test loss of the script after 1000 steps, by seed from 0 on.

    Returns:
        {"windows": (40,), "shuffle": (12,), "epsilon 1e-7": (8,)} arrays, nats per image: the
        script as it is, with a shuffle per epoch, and with Keras' epsilon.
    """
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {name: np.array(losses) for name, losses in results["test_losses"].items()}
