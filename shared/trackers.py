"""What the log of an epoch is made of, as Keras metrics.

Both implementations update these inside their compiled step, so that the two steps are one program
(shared/measure/programs.py compares them) and the two logs have equal bits.
"""

import keras
from keras import ops

__all__ = ["StepLosses", "track_terms"]


def track_terms(trackers, log_likelihood, kl):
    """Add the terms of the ELBO of one batch to their running means.

    A batch counts by its number of examples, as it does in Keras' own running mean of the loss.

    Args:
        trackers: {"log_likelihood": keras.metrics.Mean, "kl": keras.metrics.Mean}.
        log_likelihood, kl: (batch,) nats.
    """
    n = ops.shape(kl)[0]
    # Stacked: XLA makes one sum of a mean over images of a sum over pixels, and a running
    # float32 sum of so many pixels loses 3e-3 nats.
    means = ops.mean(ops.stack([log_likelihood, kl]), axis=1)
    trackers["log_likelihood"].update_state(means[0], sample_weight=n)
    trackers["kl"].update_state(means[1], sample_weight=n)


@keras.saving.register_keras_serializable("shared")
class StepLosses(keras.metrics.Metric):
    """The loss of each step since the last reset: all other logs are running means."""

    CAPACITY = 128  # steps; read and reset after each compiled call, which runs no more than these

    def __init__(self, name="step_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.count = self.add_variable((), "zeros", dtype="int32", name="count")
        self.losses = self.add_variable((self.CAPACITY,), "zeros", name="losses")

    def update_state(self, loss):
        """Note the loss of the next step, a scalar in nats per example."""
        start = ops.reshape(self.count, (1,))
        self.losses.assign(ops.slice_update(self.losses, start, ops.reshape(loss, (1,))))
        self.count.assign(self.count + 1)

    def result(self):
        """The loss of the last step."""
        # `take`, because indexing by a tensor makes XLA compile anew for every value of it.
        return ops.take(self.losses, ops.maximum(self.count - 1, 0))

    def take(self):
        """The losses since the last reset, a list of floats; resets."""
        losses = ops.convert_to_numpy(self.losses)[: int(self.count)].tolist()
        self.reset_state()
        return losses
