"""Comparison of results bit by bit, for the tests of both implementations."""

from shared.run.folder import read_history


def history(folder):
    """The history of a run without its seconds, to the last digit."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_history(folder)]


def same_bits(a, b):
    """Whether two arrays hold the same bits, in the same shape and type."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def differing(weights, others):
    """The names of the weights that differ in a bit; both must have the same names and order."""
    assert list(weights) == list(others)
    return [name for name in weights if not same_bits(weights[name], others[name])]


def both(implementations, function):
    """[function(keras_vae), function(tf_vae)]."""
    return [function(implementations[name]) for name in ("keras_vae", "tf_vae")]
