"""Trains on several workers or devices, with the strategies of `tf.distribute`.

Each replica computes a slice of every batch, with the noise that one worker would draw for these
images, and the engine sums the gradients of the replicas. So the training is that of one worker, up
to the order of the sums. `shared.beyond.distributed` starts this module as a process of its own.
"""

import os
import time

import keras
import numpy as np
import tensorflow as tf

from shared.beyond.distributed.state import share_state
from shared.beyond.distributed.supervisor import run_child
from shared.elbo import warmed_up
from shared.machine.process import end_process
from shared.objective import gains
from shared.run.checkpoints import MEANS
from shared.run.state import Run
from shared.seeds import seed_of
from shared.training.optimizer import build_optimizer, optimizer_slots
from shared.weights import initial_bias
from tf_vae.batches import evaluation_batches, gathered, training_batches
from tf_vae.checkpoint import assign, gather, snapshot
from tf_vae.model import build
from tf_vae.train import calls_of

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
            model = _mirrored(config, data.input_dim)
            assign(model, {**gather(model), **initial_bias(config, data.train)})
            optimizer = build_optimizer(config, data.n_train, model.trainable_variables)

        # restore
        named = {**model.named_weights, **optimizer_slots(model, optimizer)}
        share_state(named, run, cluster, lambda arrays: _sum_over_workers(strategy, arrays))
        optimizer.iterations.assign(run.step)
        run.begin()

        # loop
        steps = Steps(strategy, model, optimizer)
        _loop(steps, run, job.checkpoint_steps, verbose=cluster.chief)

        # finish
        run.finish(gather(model))
        return gather(model)


def _mirrored(config, input_dim):
    """Builds a VAE whose weights are those that the strategy has mirrored.

    `build` names the variables that its networks read, and these are the copies on one device.
    """
    created = []

    def recorded(create, **arguments):
        created.append(create(**arguments))
        return created[-1]

    with tf.variable_creator_scope(recorded):
        model = build(config, input_dim)
    mirrored = {id(copy): variable for variable in created for copy in variable.values}
    names = model.named_weights.items()
    model.named_weights = {name: mirrored[id(copy)] for name, copy in names}
    return model


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
    """Holds the compiled functions of a model under a strategy: training steps and validation."""

    def __init__(self, strategy, model, optimizer):
        self.strategy = strategy
        self.model = model
        self.optimizer = optimizer
        self.replicas = strategy.num_replicas_in_sync

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
            loss = -tf.reduce_sum(gains(terms, beta)) / images
        parts = [tf.reduce_sum(terms[name]) / images for name in MEANS[1:]]
        return tf.stack([loss, *parts]), tape.gradient(loss, weights)

    def _compiled_gradients(self, *arguments):
        # A new function for each replica: a compiled function reads the variables of the device on
        # which it was traced. This line is executed only while `run_steps` is traced.
        return tf.function(self._gradients, jit_compile=self.model.jit_compile)(*arguments)

    def _update(self, batch, white, noise_seed):
        """Does this replica's part of one training step."""
        config, step, count = self.model.config, self.optimizer.iterations, tf.shape(batch)[0]
        first, end = self._share(count)
        x = tf.cast(batch[first:end], tf.float32) / white
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
    def run_steps(self, images, white, noise_seed):
        """Trains on each batch of `images`, (batches, batch, input_dim).

        Returns:
            (batches, 3) float32: loss, log-likelihood and KL of each step, nats per image.
        """
        steps = tf.shape(images)[0]
        rows = tf.TensorArray(tf.float32, size=steps, element_shape=(len(MEANS),))
        for step in tf.range(steps):
            terms = self._run(self._update, images[step], white, noise_seed)
            rows = rows.write(step, terms)
        return rows.stack()

    @tf.function(reduce_retracing=True)
    def validation_step(self, x, noise_seed):
        """Returns loss, log-likelihood and KL of a batch, (3,) float32, nats per image."""
        return self._run(self._validate, x, noise_seed)


def _loop(steps, run, every, verbose):
    """Trains the remaining epochs, and records each in the run."""
    config, data, model = run.config, run.data, steps.model
    n, running = data.n_train, run.running
    noise_seed = tf.constant(seed_of(config.seed, "noise"))
    feed = training_batches(data.train, config, run.step)
    held_out = evaluation_batches(data.held_out, config)
    shown_as_given = [*MEANS, *(f"val_{name}" for name in MEANS)]  # otherwise the bar averages them
    for epoch, start, end in config.epoch_ends(n, run.step):
        images, orders = next(feed)
        if verbose:
            print(f"Epoch {epoch}/{config.total_epochs(n)}")
            progress = keras.utils.Progbar(end - start, stateful_metrics=shown_as_given)
        started, losses, done = time.perf_counter() - float(running.get("seconds", 0)), [], start
        totals = np.array([running.get(name, (0, 0)) for name in MEANS], np.float32)
        running = {}
        calls = list(calls_of(orders, start, end, every))
        for stored, white in gathered(images, calls):
            rows = steps.run_steps(stored, white, noise_seed)
            _add(totals, rows.numpy(), stored.shape[1])
            losses += rows[:, 0].numpy().tolist()
            done += len(stored)
            if verbose:
                progress.update(done - start, list(_logs(totals).items()), finalize=False)
            if every and done % every == 0 and done < end and run.directory:
                paused = time.perf_counter()
                state = dict(zip(MEANS, totals.tolist(), strict=True))
                variables = snapshot(model, steps.optimizer)
                run.save_inside_epoch(done, losses, state, paused - started, variables)
                started += time.perf_counter() - paused
        row = {"epoch": epoch, "step": end, **_logs(totals)}
        seconds = time.perf_counter() - started

        totals = np.zeros_like(totals)
        seed = seed_of(config.seed, "evaluation", 0)
        for number, x in enumerate(held_out):
            terms = steps.validation_step(x, tf.constant([seed, number])).numpy()
            _add(totals, [terms], len(x))
        row |= {f"val_{name}": value for name, value in _logs(totals).items()}
        row["seconds"] = seconds
        if verbose:
            shown = {key: row[key] for key in row if key not in ("epoch", "step", "seconds")}
            progress.update(end - start, list(shown.items()), finalize=True)
        run.finish_epoch(row, losses, gather(model), snapshot(model, steps.optimizer))


def _add(totals, rows, size):
    """Adds the means of batches of `size` images, (batches, 3), to totals and counts, (3, 2).

    Batch by batch in float32, as the trackers of tf_vae/train.py do and as a checkpoint stores
    them: the sums have the same bits wherever a checkpoint or an interruption divides the epoch.
    """
    for row in rows:
        totals += np.stack([row, np.ones_like(row)], axis=1) * np.float32(size)


def _logs(totals):
    """Returns the running means of the terms, from (3, 2) totals and counts."""
    return dict(zip(MEANS, (totals[:, 0] / totals[:, 1]).tolist(), strict=True))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    end_process(run_child(train))
