"""Project 2, solved: how the importance bound depends on K."""

import numpy as np


def bound(log_weights):
    """Returns the importance bound of each image, (batch,) nats."""
    largest = log_weights.max(axis=0)
    return largest + np.log(np.mean(np.exp(log_weights - largest), axis=0))


def bound_of_k(log_weights, k):
    """Returns the bound with k samples, as a mean over groups of k samples that do not overlap."""
    groups = len(log_weights) // k
    in_groups = log_weights[: groups * k].reshape(groups, k, -1)
    return np.mean([bound(each) for each in in_groups], axis=0)


def predicted_gap(log_weights, k):
    """Returns what the bound misses of log p(x) for large k: variance over twice k times mean²."""
    weights = np.exp(log_weights - log_weights.max(axis=0))  # a common factor cancels
    return weights.var(axis=0, ddof=1) / weights.mean(axis=0) ** 2 / (2 * k)


def slope(ks, gaps):
    """Returns the slope of a straight line through log(gap) against log(k)."""
    return np.polyfit(np.log(ks), np.log(gaps), 1)[0]
