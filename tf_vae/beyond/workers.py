"""Trains on several workers or devices, with the strategies of `tf.distribute`.

Each replica computes a slice of every batch, with the noise that one worker would draw for these
images, and the engine sums the gradients of the replicas. So the training is that of one worker, up
to the order of the sums. `shared.beyond.distributed` starts this module as a process of its own.
"""

import os

import numpy as np
import tensorflow as tf

from shared.beyond.distributed.state import share_state
from shared.beyond.distributed.supervisor import run_child
from shared.elbo import warmed_up
from shared.machine.process import end_process
from shared.objective import objective_per_image
from shared.run.checkpoints import LEARNING_RATE
from shared.run.schemas import MEANS
from shared.run.state import Run
from shared.training.optimizer import build_optimizer, constant_rate, optimizer_slots
from shared.training.record import EpochRecord
from tf_vae.checkpoint import gather, snapshot
from tf_vae.model import build
from tf_vae.train import run_epochs

__all__ = ["train"]


def train(job):
    """Trains a run as one worker; worker 0 reads and writes the run's folder.

    Args:
        job: shared.beyond.distributed.supervisor.Job.
    Returns:
        {canonical name: array}: the final weights, which are the same on all workers.
    """
    config, data, cluster = job.arguments
    strategy = strategy_of(cluster)
    with Run(job.out, config, data, "tf_vae", job.resume, job.overwrite) as run:
        # build
        with strategy.scope():
            model = build(config, data.input_dim, data.train)
            optimizer = build_optimizer(config, data.n_train, model.trainable_variables)

        # restore
        named = {**model.named_weights, **optimizer_slots(model, optimizer)}
        if (rate := constant_rate(optimizer)) is not None:
            named[LEARNING_RATE] = rate
        share_state(named, run, cluster, lambda arrays: _sum_over_workers(strategy, arrays))
        optimizer.iterations.assign(run.step)
        run.begin()

        # loop
        record = EpochRecord(
            run, lambda: snapshot(model, optimizer), job.on_epoch(run), job.checkpoint_steps
        )
        run_epochs(Steps(strategy, model, optimizer), run, record, verbose=0)

        # finish
        run.finish(gather(model))
        return gather(model)


def strategy_of(cluster):
    """Returns the strategy for the workers of a cluster, or for virtual devices of this process.

    Args:
        cluster: shared.beyond.distributed.cluster.Cluster.
    """
    if cluster.devices:
        (cpu,) = tf.config.list_physical_devices("CPU")
        virtual = [tf.config.LogicalDeviceConfiguration()] * cluster.devices
        tf.config.set_logical_device_configuration(cpu, virtual)
        return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(cluster.devices)])
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
    return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def _sum_over_workers(strategy, arrays):
    @tf.function
    def summed():
        def replica():
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.constant(a) for a in arrays])

        return strategy.run(replica)

    return [each.numpy() for each in summed()]


class Steps:
    """Compiles the steps of a model under a strategy, with the methods of tf_vae.train.Steps."""

    def __init__(self, strategy, model, optimizer):
        self.strategy = strategy
        self.model = model
        self.optimizer = optimizer
        self.replicas = strategy.num_replicas_in_sync
        self.totals = np.zeros((len(MEANS), 2), np.float32)  # total and count of each running mean

    def run(self, images, white_level, noise_seed):
        """Trains on each batch of `images`, (batches, batch, input_dim), and returns the losses."""
        rows = self._run_steps(images, white_level, noise_seed).numpy()
        self._add(rows, images.shape[1])
        return rows[:, 0].tolist()

    def validate(self, x, noise_seed):
        """Adds a batch of held-out images to the running means."""
        self._add([self._validation_step(x, noise_seed).numpy()], len(x))

    def _add(self, rows, size):
        """Adds the means of batches of `size` images, (batches, 3), to the totals.

        Batch by batch in float32, as the trackers of tf_vae/train.py do and as a checkpoint stores
        them: the sums have the same bits wherever a checkpoint or an interruption divides the
        epoch.
        """
        for row in rows:
            self.totals += np.stack([row, np.ones_like(row)], axis=1) * np.float32(size)

    def logs(self, reset=False):
        """Returns the running means; with `reset` they are then set to zero."""
        logs = dict(zip(MEANS, (self.totals[:, 0] / self.totals[:, 1]).tolist(), strict=True))
        if reset:
            self.totals[:] = 0
        return logs

    def running(self):
        """Returns the running means as a checkpoint holds them, {name: (total, count)}."""
        return dict(zip(MEANS, self.totals.tolist(), strict=True))

    def continue_from(self, running):
        """Continues the running means of an interrupted epoch."""
        self.totals[:] = [running[name] for name in MEANS]

    def _share(self, count):
        """Returns first and end of the slice of a batch of `count` that this replica computes."""
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        bounds = [tf.cast(number, tf.int32) + i for i in (0, 1)]
        return [bound * count // self.replicas for bound in bounds]

    def _gradients(self, x, count, first, noise_seed, beta, samples):
        """Computes this slice's part of the batch's terms, and of the loss's gradients.

        Args:
            x: (images of the slice, input_dim) float32.
            count: () int32, number of images in the whole batch.
            first: () int32, position of the slice in the batch.
        """
        model, images = self.model, tf.cast(count, tf.float32)
        weights = list(model.named_weights.values())

        def draw(shape, seed):
            latent_dim = model.config.latent_dim
            whole = tf.random.stateless_normal((samples * count, latent_dim), seed)
            whole = tf.reshape(whole, (samples, -1, latent_dim))
            part = tf.slice(whole, (0, first, 0), (samples, shape[0] // samples, latent_dim))
            return tf.reshape(part, shape)

        with tf.GradientTape() as tape:
            terms = model.terms(x, noise_seed, draw, samples)
            # The loss is minus the mean over the whole batch, which is the sum over all slices.
            loss = -tf.reduce_sum(objective_per_image(terms, beta)) / images
        parts = [tf.reduce_sum(each) / images for each in (terms.log_likelihood, terms.kl)]
        return tf.stack([loss, *parts]), tape.gradient(loss, weights)

    def _compiled_gradients(self, *arguments):
        # A new function for each replica: a compiled function reads the variables of the device on
        # which it was traced. This line is executed only while `run_steps` is traced.
        return tf.function(self._gradients, jit_compile=self.model.jit_compile)(*arguments)

    def _update(self, batch, white_level, noise_seed):
        """Does this replica's part of one training step."""
        config, step, count = self.model.config, self.optimizer.iterations, tf.shape(batch)[0]
        first, end = self._share(count)
        x = tf.cast(batch[first:end], tf.float32) / white_level
        seed = tf.stack([noise_seed, tf.cast(step, tf.int32)])
        beta = tf.convert_to_tensor(
            warmed_up(config.beta, step, config.kl_warmup_steps), tf.float32
        )
        terms, gradients = self._compiled_gradients(
            x, count, first, seed, beta, config.train_samples
        )
        self.optimizer.apply(gradients, list(self.model.named_weights.values()))
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, terms)

    def _validate(self, x, noise_seed):
        """Computes this replica's part of a batch of held-out images."""
        count = tf.shape(x)[0]
        first, end = self._share(count)
        beta = tf.constant(self.model.config.beta, tf.float32)
        terms, _ = self._compiled_gradients(x[first:end], count, first, noise_seed, beta, 1)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, terms)

    def _run(self, function, *arguments):
        return self.strategy.experimental_local_results(self.strategy.run(function, arguments))[0]

    @tf.function(reduce_retracing=True)
    def _run_steps(self, images, white_level, noise_seed):
        """Returns loss, log-likelihood and KL of each step, (batches, 3), nats per image."""
        steps = tf.shape(images)[0]
        rows = tf.TensorArray(tf.float32, size=steps, element_shape=(len(MEANS),))
        for step in tf.range(steps):
            terms = self._run(self._update, images[step], white_level, noise_seed)
            rows = rows.write(step, terms)
        return rows.stack()

    @tf.function(reduce_retracing=True)
    def _validation_step(self, x, noise_seed):
        """Returns loss, log-likelihood and KL of a batch, (3,) float32, nats per image."""
        return self._run(self._validate, x, noise_seed)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    end_process(run_child(train))
