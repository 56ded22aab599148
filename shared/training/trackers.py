"""The metrics that training logs: running means of the terms of the ELBO, and the step losses.

Both implementations update these Keras metrics inside their compiled step. The two steps are then
the same program (shared/measure/programs.py compares them), and the two logs have equal bits.
"""

import keras
from keras import ops

__all__ = ["StepLosses", "assign_means", "running_means", "track_terms"]


def track_terms(trackers, terms):
    """Adds the terms of the objective of one batch to their running means.

    Each batch is weighted by its number of examples, as in Keras' own running mean of the loss.

    Args:
        trackers: {"log_likelihood": keras.metrics.Mean, "kl": keras.metrics.Mean}, and one for
            "penalty" if there is one.
        terms: shared.objective.Terms.
    """
    n = ops.shape(terms.kl)[0]
    # The terms are stacked, because otherwise XLA merges the mean over images with the sum over
    # pixels into a single running float32 sum of so many numbers that it loses 3e-3 nats.
    means = ops.mean(ops.stack([terms.log_likelihood, terms.kl]), axis=1)
    trackers["log_likelihood"].update_state(means[0], sample_weight=n)
    trackers["kl"].update_state(means[1], sample_weight=n)
    if terms.penalty is not None:
        trackers["penalty"].update_state(terms.penalty, sample_weight=n)


def running_means(trackers):
    """Returns total and count of each running mean, which a checkpoint inside an epoch holds.

    Args:
        trackers: keras.metrics.Mean.
    Returns:
        {name: (total, count)}
    """
    return {each.name: (float(each.total), float(each.count)) for each in trackers}


def assign_means(trackers, running):
    """Continues the running means of an epoch from those in a checkpoint.

    Args:
        trackers: keras.metrics.Mean.
        running: as `running_means` returns it; other entries are ignored.
    """
    for each in trackers:
        total, count = running[each.name]
        each.total.assign(total)
        each.count.assign(count)


@keras.saving.register_keras_serializable("shared")
class StepLosses(keras.metrics.Metric):
    """Stores the loss of each step since the last reset; all other logs are running means."""

    # Steps: a compiled call runs at most this many, and then the losses are read and reset.
    CAPACITY = 128

    def __init__(self, name="step_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        # Under a strategy of several replicas, Keras adds up the losses when they are read: each
        # replica stores its share of the loss. All count the same steps.
        self.count = self.add_variable(
            (), "zeros", dtype="int32", aggregation="only_first_replica", name="count"
        )
        self.losses = self.add_variable((self.CAPACITY,), "zeros", name="losses")

    def update_state(self, loss):
        """Stores the loss of the next step, a scalar in nats per example."""
        start, losses = ops.reshape(self.count, (1,)), ops.convert_to_tensor(self.losses)
        self.losses.assign(ops.slice_update(losses, start, ops.reshape(loss, (1,))))
        self.count.assign(self.count + 1)

    def result(self):
        """Returns the loss of the last step."""
        # `take`, because with indexing by a tensor XLA compiles again for every value of it.
        return ops.take(self.losses, ops.maximum(self.count - 1, 0))

    def take(self):
        """Returns the losses since the last reset as a list of floats, and resets."""
        losses = ops.convert_to_numpy(self.losses)[: int(ops.convert_to_numpy(self.count))].tolist()
        self.reset_state()
        return losses
