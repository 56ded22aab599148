"""The differences between Keras' backends that remain visible when `fit` trains a model.

The model and the training loop are the same on TensorFlow, JAX and PyTorch; they ask here.

Under a `tf.distribute` strategy of several replicas, each replica calls the model on its share of a
batch, and TensorFlow sums the gradients. Here are the noise and the loss of a share.
"""

import contextlib

import keras
from keras import ops

from shared.machine.checks import UsageError
from shared.training.frame import SEVERAL_REPLICAS
from shared.training.trackers import track_terms

__all__ = [
    "check_devices",
    "check_gradients",
    "has_xla",
    "keep_arithmetic",
    "loss_of_replica",
    "noise_like",
    "replicas",
    "runs_several_steps",
    "share_of_loss",
    "synchronize",
    "track",
    "variables_kept",
]


def has_xla():
    """Returns whether the backend compiles with XLA, as TensorFlow and JAX do.

    Raises:
        UsageError: TensorFlow's op determinism is on, with which Keras does not use XLA.
    """
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework.config import is_op_determinism_enabled

        if is_op_determinism_enabled():
            raise UsageError(
                "tf.config.experimental.enable_op_determinism is on, and Keras then compiles"
                " without XLA, to other bits; leave it out: a run has the same bits every time"
            )
    return keras.backend.backend() != "torch"


def keep_arithmetic():
    """Makes TensorFlow compute a step without XLA as it is written, in this process from now on.

    Its arithmetic optimizer rewrites sums and products by what it sees around them, and around the
    step of `fit` stands another loop than around that of tf_vae (docs/proof.md).
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def runs_several_steps():
    """Returns whether one call of the compiled function can run several steps.

    On PyTorch, Keras 3.15 executes one step per call, whatever `steps_per_execution` says.
    """
    return keras.backend.backend() != "torch"


def check_gradients(model):
    """Checks that `fit` resets the gradient of every weight before each step.

    On PyTorch, Keras lists the parameters of a model by the path of their variable, and resets the
    gradients of the listed ones only. Of two weights with the same path one is not listed, and its
    gradients would be added up over all steps.

    Args:
        model: keras.Model.
    Raises:
        UsageError: two weights have the same path, on PyTorch.
    """
    if keras.backend.backend() != "torch":
        return
    listed = {id(parameter) for parameter in model.parameters()}
    lost = [v.path for v in model.trainable_variables if id(v.value) not in listed]
    if lost:
        raise UsageError(
            f"two weights have the path {lost[0]}; on PyTorch, Keras would not reset the gradient"
            " of one of them; give the layers of encoder and decoder different names"
        )


def synchronize(model):
    """Copies the state of a running `fit` into the model's variables, where a callback reads it.

    On JAX, `fit` holds weights, slots and metrics outside the variables while it trains.

    Args:
        model: keras.Model.
    """
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


@contextlib.contextmanager
def variables_kept(model):
    """Gives a model its variables back if a call of Keras is refused before the first step.

    On JAX, Keras takes the values out of the variables before it traces the step.

    Args:
        model: keras.Model.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    optimizer = getattr(model, "optimizer", None)  # of a compiled model
    variables = [*model.variables, *(optimizer.variables if optimizer else ())]
    values = [variable.value for variable in variables]
    try:
        yield
    except UsageError:
        for variable, value in zip(variables, values, strict=True):
            if variable._value is None:
                variable.assign(value)
        raise


# replicas


def replicas():
    """Returns the number of replicas of the `tf.distribute` strategy in whose scope this is."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def check_devices(model=None):
    """Checks that `train` can compute on one device, as it does.

    Args:
        model: VAE that is given to `train`, or None.
    Raises:
        UsageError: it is called in the scope of a strategy or under a distribution, or XLA is off.
    """
    if model is None or model.objective.asked_to_compile:
        has_xla()
    if replicas() > 1:
        raise UsageError(SEVERAL_REPLICAS.format(replicas()))
    if keras.distribution.distribution() is not None:
        raise UsageError(
            "train is called with a keras.distribution set; set it to None, and train on several"
            " devices with the flag --workers"
        )


def noise_like(z_mean, seed, samples=1):
    """Draws the noise of a batch, or of the part of it that this replica has.

    All replicas have the same generator. Each draws the noise of the whole batch and takes the rows
    of its own images, so the replicas together have the noise of one device.

    Args:
        z_mean: (samples · images, latent_dim), repeated sample by sample.
        seed: keras.random.SeedGenerator.
        samples: number of samples per image.
    Returns:
        tensor of the shape of z_mean.
    """
    if not _in_replica():
        return keras.random.normal(ops.shape(z_mean), seed=seed)
    first, images, count = _share(ops.shape(z_mean)[0] // samples)
    latent_dim = z_mean.shape[1]
    whole = keras.random.normal((samples * count, latent_dim), seed=seed)
    whole = ops.reshape(whole, (samples, count, latent_dim))
    part = whole[:, first : first + images]
    return ops.reshape(part, ops.shape(z_mean))


def track(trackers, terms):
    """Adds the terms of a batch, or of a replica's part of it, to their running means.

    Args:
        trackers, terms: as for shared.training.trackers.track_terms.
    """
    if not _in_replica():
        track_terms(trackers, terms)
        return
    # Sums and not means, because a replica has no image of a batch that is smaller than the number
    # of replicas. Keras adds up the sums of all replicas when it reads a metric.
    trackers["log_likelihood"].update_state(terms.log_likelihood)
    trackers["kl"].update_state(terms.kl)
    if terms.penalty is not None:
        trackers["penalty"].update_state(terms.penalty, sample_weight=ops.shape(terms.kl)[0])


def share_of_loss(loss, images):
    """Returns what a replica adds to the loss of the whole batch; on one device, the loss itself.

    Args:
        loss: scalar, the mean over the images that this replica has.
        images: number of images that this replica has.
    Returns:
        scalar, whose sum over the replicas is the mean over the images of all of them.
    """
    if not _in_replica():
        return loss
    _, images, count = _share(images)
    part = ops.cast(images, loss.dtype) / ops.cast(count, loss.dtype)
    return ops.where(images > 0, loss * part, ops.zeros_like(loss))  # the mean of no image is NaN


def loss_of_replica(loss, images):
    """Returns a loss that Keras logs and differentiates as that of the whole batch.

    Keras adds up the gradients of the replicas. It logs the mean of loss · replicas, weighted by
    the number of each one's images. Where the parts of a batch differ by an image, these are not
    the same loss: the gradient here is that of `share_of_loss`, and the value is the one to log.

    Args:
        loss, images: as for `share_of_loss`.
    Returns:
        scalar; on one device, the loss itself.
    """
    if not _in_replica():
        return loss
    share = share_of_loss(loss, images)
    logged = ops.where(images > 0, loss / replicas(), ops.zeros_like(loss))
    return share + ops.stop_gradient(logged - share)


def _in_replica():
    """Returns whether this is a call in one of several replicas."""
    if replicas() == 1:
        return False
    import tensorflow as tf

    # There is none in the scope of the strategy, where Keras builds a model.
    return tf.distribute.get_replica_context() is not None


def _share(images):
    """Returns the position of this replica's images in the batch, their number, and that of all."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    number, images = context.replica_id_in_sync_group, tf.cast(images, tf.int32)
    own = tf.one_hot(number, replicas(), dtype=tf.int32) * images
    counts = context.all_reduce(tf.distribute.ReduceOp.SUM, own)
    return tf.reduce_sum(counts[:number]), images, tf.reduce_sum(counts)
