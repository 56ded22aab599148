"""Comparison of two sets of weights, bit by bit."""

import numpy as np

__all__ = ["compare"]


def compare(weights, others):
    """How two sets of weights differ, per canonical name.

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
