"""Trains on several workers, with Keras' own distribution on the JAX backend.

Each worker feeds a slice of every batch to `fit`. JAX computes the step of the whole batch, spread
over the workers, with the noise of the whole batch, and sums the gradients. So the training is that
of one worker, up to the order of the sums. `shared.beyond.distributed` starts this module as a
process of its own.
"""

import jax
import keras
import tensorflow as tf
from jax.experimental import multihost_utils

from keras_vae.batches import EVALUATION_BATCH
from keras_vae.checkpoint import gather, snapshot
from keras_vae.model import build
from keras_vae.train import compile_step, run_epochs, steps_per_call
from shared.beyond.distributed.state import share_state
from shared.beyond.distributed.supervisor import run_child
from shared.machine.checks import UsageError
from shared.machine.process import end_process
from shared.run.checkpoints import LEARNING_RATE
from shared.run.state import Run
from shared.training.optimizer import build_optimizer, constant_rate, optimizer_slots
from shared.training.record import EpochRecord

__all__ = ["train"]


def train(job):
    """Trains a run as one worker; worker 0 reads and writes the run's folder.

    Args:
        job: shared.beyond.distributed.supervisor.Job.
    Returns:
        {canonical name: array}: the final weights, which are the same on all workers.
    """
    config, data, cluster = job.arguments
    check_batches(config, data, cluster.count)
    distribute(cluster)
    with Run(job.out, config, data, "keras_vae", job.resume, job.overwrite) as run:
        # build
        model = build(config, data.input_dim, data.train)
        optimizer = build_optimizer(config, data.n_train, model.trainable_variables)

        # restore
        named = {**model.named_weights, **optimizer_slots(model, optimizer)}
        if (rate := constant_rate(optimizer)) is not None:
            named[LEARNING_RATE] = rate
        share_state(named, run, cluster, _sum_over_workers)
        optimizer.iterations.assign(run.step)
        n, every = data.n_train, job.checkpoint_steps
        compile_step(model, optimizer, steps_per_call(config, n, run.step, every))
        run.begin()

        # loop
        record = EpochRecord(
            run,
            lambda: snapshot(model, optimizer),
            job.on_epoch(run),
            checkpoint_steps=every if cluster.chief else None,
        )

        def share(batches):
            return batches.map(lambda x: _slice(x, cluster))

        run_epochs(model, run, record, verbose=0, share=share)

        # finish
        run.finish(gather(model))  # worker 0 saves the model later, when it trains alone
        return gather(model)


def distribute(cluster):
    """Connects this process to the others, and lets Keras spread batches over all of them.

    Args:
        cluster: shared.beyond.distributed.cluster.Cluster.
    """
    # Between CPUs; on GPUs, JAX uses NCCL.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        cluster.addresses[0],
        cluster.count,
        cluster.index,
        coordinator_bind_address=cluster.addresses[0] if cluster.chief else None,
        initialization_timeout=max(1, round(cluster.timeout)),
    )
    # Each process feeds its own slices, because Keras 3.15 shards only finite datasets.
    every = keras.distribution.DataParallel(devices=jax.devices(), auto_shard_dataset=False)
    keras.distribution.set_distribution(every)


def check_batches(config, data, workers):
    """Checks that every batch can be divided evenly, as JAX requires.

    Args:
        config: shared.config.Config.
        data: shared.data.Data.
        workers: number of workers.
    Raises:
        UsageError: a batch cannot be divided.
    """
    rest = data.n_train % config.batch_size if config.order == "shuffle" else 0
    sizes = {
        "--batch-size": config.batch_size,
        "the last batch of an epoch": rest,
        "a batch of an evaluation": EVALUATION_BATCH,
        "the last batch of an evaluation": len(data.held_out) % EVALUATION_BATCH,
    }
    for name, size in sizes.items():
        if size % workers:
            raise UsageError(
                f"{name} has {size} images, which {workers} workers cannot divide evenly, as JAX"
                " requires; choose another --batch-size or number of workers, or train with tf_vae"
            )


def _slice(x, cluster):
    """Returns this worker's part of a batch."""
    size = tf.shape(x)[0] // cluster.count  # of the feed, which is TensorFlow's
    return x[cluster.index * size : (cluster.index + 1) * size]


def _sum_over_workers(arrays):
    return [
        each.sum(axis=0, dtype=each.dtype) for each in multihost_utils.process_allgather(arrays)
    ]


if __name__ == "__main__":
    end_process(run_child(train))
