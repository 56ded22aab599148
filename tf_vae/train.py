"""Training by `tf.GradientTape`: the loop is ours, and an epoch is one compiled function."""

import dataclasses
import time

import keras
import numpy as np
import tensorflow as tf

from shared.backend import keep_freed_memory
from shared.elbo import negative_elbo, warmed_up
from shared.run import Run
from shared.seeds import seed_of
from shared.weights import initial_bias
from tf_vae.batches import training_batches
from tf_vae.checkpoint import assign, gather, restore, snapshot
from tf_vae.evaluate import elbo_terms
from tf_vae.model import build

__all__ = ["step_losses", "train"]


def train(config, data, out=None, resume=False, overwrite=False, verbose=1, on_epoch=None):
    """Train a VAE, or finish training it.

    Args:
        config: shared.config.Config.
        data: shared.data.Data.
        out: folder of the run (shared/run.py), or None to write nothing.
        resume: go on from the folder's last finished epoch.
        overwrite: replace the run in the folder.
        verbose: 1 for a progress bar, 0 for silence.
        on_epoch: called with each new row of the history, a dict with the keys of run.COLUMNS.
    Returns:
        model, run: the trained VAE, and its shared.run.Run, which holds the history.
    Raises:
        UsageError: the folder can't be used as asked.
    """
    with Run(out, config, data, "tf_vae", resume, overwrite) as run:
        # build
        keep_freed_memory()
        model = build(config, data.input_dim)
        optimizer, run_steps = _compile(model, config, data)

        # restore
        assign(model, {**gather(model), **initial_bias(config, data.x_train)})
        if run.checkpoint:
            restore(model, optimizer, run.checkpoint)

        # loop
        for row, losses in _loop(model, run_steps, config, data, run.step, verbose):
            run.finish_epoch(row, losses, gather(model), snapshot(model, optimizer, row["step"]))
            if on_epoch:
                on_epoch(row)

        # finish
        run.finish(gather(model))
    return model, run


def step_losses(config, data, seeds, on_seed=None):
    """The training loss of every step, for several seeds, by one compiled function.

    Args:
        config: shared.config.Config; its own seed is passed over.
        data: shared.data.Data.
        seeds: the seeds.
        on_seed: called with each seed that is done.
    Returns:
        (len(seeds), steps) float32 array, nats an image.
    """
    # build
    config = dataclasses.replace(config, step_losses=True)
    model = build(config, data.input_dim)
    optimizer, run_steps = _compile(model, config, data)

    # loop
    losses = []
    for seed in seeds:
        seeded = dataclasses.replace(config, seed=seed)
        weights = gather(build(seeded, data.input_dim))
        assign(model, {**weights, **initial_bias(seeded, data.x_train)})
        _reset(optimizer)
        epochs = _loop(model, run_steps, seeded, data, 0, verbose=0, validate=False)
        losses.append(np.concatenate([each for _, each in epochs]))
        if on_seed:
            on_seed(seed)
    return np.array(losses, dtype=np.float32)


# update


def _compile(model, config, data):
    """The optimizer, with zero slots, and the compiled function that runs a number of steps."""
    kinds = {
        "adam": keras.optimizers.Adam,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    rate = config.learning_rate
    if config.learning_rate_decay != 1:
        steps = config.total_steps(len(data.x_train))
        rate = keras.optimizers.schedules.ExponentialDecay(
            rate, steps, 1 / config.learning_rate_decay
        )
    options = {"epsilon": config.optimizer_epsilon} if config.optimizer_epsilon else {}
    optimizer = kinds[config.optimizer](learning_rate=rate, **options)
    variables = list(model.weights.values())
    optimizer.build(variables)

    def update(x, step, noise_seed):
        with tf.GradientTape() as tape:
            log_likelihood, kl = model(x, tf.stack([noise_seed, step]))
            beta = warmed_up(config.beta, step, config.kl_warmup_steps)
            loss = negative_elbo(log_likelihood, kl, beta)
        optimizer.apply(tape.gradient(loss, variables), variables)
        # Stacked: XLA makes one sum of a mean over images of a sum over pixels, and a running
        # float32 sum of so many pixels loses 3e-3 nats.
        means = tf.reduce_mean(tf.stack([log_likelihood, kl]), axis=1)
        return tf.concat([[loss], means], axis=0)

    @tf.function(jit_compile=True)
    def run_steps(x, order, step, noise_seed):
        """One step a batch of `order`; returns (steps, 3): loss, log_likelihood and kl of each."""
        whole, rest = divmod(len(order), config.batch_size)
        batches = tf.reshape(order[: len(order) - rest], (whole, config.batch_size))
        terms = tf.TensorArray(tf.float32, size=whole)
        for i in tf.range(whole):
            terms = terms.write(i, update(tf.gather(x, batches[i]), step + i, noise_seed))
        terms = terms.stack()
        if rest:  # known while tracing: the last batch has a shape of its own
            last = update(tf.gather(x, order[-rest:]), step + whole, noise_seed)
            terms = tf.concat([terms, [last]], axis=0)
        return terms

    return optimizer, run_steps


def _reset(optimizer):
    for variable in optimizer.variables:
        if variable.name != "learning_rate":
            variable.assign(np.zeros(variable.shape))


# loop


def _loop(model, run_steps, config, data, step, verbose, validate=True):
    """Run the epochs still to run after `step` steps; yields each one's row and step losses."""
    n = len(data.x_train)
    noise_seed = tf.constant(seed_of(config.seed, "noise"))
    feed = training_batches(data.x_train, config, step)
    for epoch, start, end in config.epoch_ends(n, step):
        images, order = next(feed)
        if verbose:
            print(f"Epoch {epoch}/{config.total_epochs(n)}")
            progress = keras.utils.Progbar(end - start)

        started = time.perf_counter()
        order = order[: (end - start) * config.batch_size]
        terms = run_steps(images, order, tf.constant(start), noise_seed).numpy()
        seconds = time.perf_counter() - started  # of training alone, not of validation

        sizes = np.full(end - start, config.batch_size)
        sizes[-1] = len(order) - sizes[:-1].sum()
        means = np.average(terms.astype(np.float64), axis=0, weights=sizes)
        row = {"epoch": epoch, "step": end, **_named("", *means)}
        if validate:
            log_likelihood, kl = np.mean(
                elbo_terms(model, data.x_test, config), axis=1, dtype=np.float64
            )
            row.update(_named("val_", config.beta * kl - log_likelihood, log_likelihood, kl))
        row["seconds"] = seconds
        if verbose:
            shown = {
                key: value for key, value in row.items() if key not in ("epoch", "step", "seconds")
            }
            progress.update(end - start, values=list(shown.items()), finalize=True)
        yield row, terms[:, 0]


def _named(prefix, loss, log_likelihood, kl):
    names = ("loss", "log_likelihood", "kl")
    return {
        f"{prefix}{name}": float(v)
        for name, v in zip(names, (loss, log_likelihood, kl), strict=True)
    }
