"""Trains with `compile` and `fit`: the step that Keras calls, the calls of `fit`, and a run."""

import itertools
import math
import warnings

import keras

from keras_vae import backends
from keras_vae.batches import evaluation_batches, training_batches
from keras_vae.model import assemble, build
from shared.machine.checks import UsageError
from shared.run.schemas import LOGS, PENALTY
from shared.training.frame import Implementation, step_losses_with, train_with
from shared.training.trackers import StepLosses, assign_means, running_means

__all__ = ["step_losses", "train"]


# step


def compile_step(model, optimizer, steps_at_once=1):
    """Compiles the step that `fit` does for each batch.

    Keras writes this step: it calls the model on the batch, takes the loss from `VAE.compute_loss`
    (keras_vae/model.py), computes the gradients of the trainable weights, and lets the optimizer
    apply them. The step of validation ends with the loss.

    Args:
        model: VAE.
        optimizer: a Keras optimizer built on `model.trainable_variables`.
        steps_at_once: number of steps per call of the compiled function.
    """
    backends.check_gradients(model)
    model.compile(
        optimizer=optimizer,
        jit_compile=model.objective.jit_compile,  # "auto" does not use XLA on a CPU
        steps_per_execution=steps_at_once,
    )


def steps_per_call(config, n, step=0, checkpoint_steps=None):
    """Returns the largest number of steps per call with which every epoch ends where it should.

    If the steps per call do not divide the steps per epoch, `fit` overruns the epoch. The first
    epoch may be the rest of an interrupted one, and the last may be partial. It is at most
    StepLosses.CAPACITY, and 1 if the lengths have no other common divisor up to there.

    Args:
        config: shared.config.Config.
        n: number of training examples.
        step: number of steps already done.
        checkpoint_steps: number of steps between checkpoints inside an epoch, or None.
    """
    if not backends.runs_several_steps():
        return 1
    total, per_epoch = config.total_steps(n), config.steps_per_epoch(n)
    lengths = min(per_epoch, total), total % per_epoch, step % per_epoch
    common = math.gcd(*lengths, checkpoint_steps or 0)
    return max(each for each in range(1, StepLosses.CAPACITY + 1) if common % each == 0)


# loop


def run_epochs(
    model, run, record, verbose=1, validated=True, callbacks=(), share=lambda feed: feed
):
    """Trains the remaining epochs of a run, by one call of `fit` per length of an epoch.

    Args:
        model: VAE, compiled.
        run: shared.run.state.Run.
        record: shared.training.record.EpochRecord.
        verbose: 1 for a progress bar, 0 for no output.
        validated: whether the loss of the held-out images is computed after each epoch.
        callbacks: keras.callbacks.Callback, which are called before the epoch is recorded.
        share: function of a dataset of batches that returns, for each, the part that this process
            computes (keras_vae/beyond/workers.py).
    Returns:
        a function that ends the callbacks, which may then change the weights.
    """
    config, data = run.config, run.data
    held_out = share(evaluation_batches(data.held_out, config)) if validated else None
    ends = config.epoch_ends(data.n_train, run.step)
    recorder, others = Recorder(record, run.step), Others(list(callbacks), model=model)
    others.begin()
    for steps, stretch in itertools.groupby(ends, key=lambda epoch: epoch[2] - epoch[1]):
        if run.stopped:
            break
        stretch = list(stretch)
        (first, start, _), (last, _, _) = stretch[0], stretch[-1]
        model.fit(
            share(training_batches(data.train, config, start)),
            initial_epoch=first - 1,
            epochs=last,
            steps_per_epoch=steps,
            validation_data=held_out,
            callbacks=[Noise(config.seed, start), others, recorder],
            shuffle=False,  # the stream is shuffled already
            verbose=verbose,
        )
    return others.end


class Noise(keras.callbacks.Callback):
    """Sets the noise: of training by seed and step, of an evaluation by seed and batch."""

    def __init__(self, seed, step):
        super().__init__()
        self.seed = seed
        self.step = step

    def on_train_begin(self, logs=None):
        self.model.sampling.start_training_noise(self.seed, self.step)

    def on_test_begin(self, logs=None):
        self.model.sampling.start_evaluation_noise(self.seed)


class Others(keras.callbacks.CallbackList):
    """Calls the callbacks that `train` was given; for them, all calls of `fit` are one training."""

    def on_train_begin(self, logs=None):
        """Does nothing: an EarlyStopping would begin to count again."""

    def on_train_end(self, logs=None):
        """Does nothing: an EarlyStopping would give the model its best weights back."""

    def begin(self):
        super().on_train_begin()

    def end(self):
        super().on_train_end()


class Recorder(keras.callbacks.Callback):
    """Tells the record of the epochs what `fit` has computed, and ends `fit` if the run stops."""

    def __init__(self, record, step):
        super().__init__()
        self.record = record
        self.step = self.first = step  # steps done, and steps done when the epoch began
        self.means = []
        self.stops = False  # whether a callback has asked to end the training

    def on_epoch_begin(self, epoch, logs=None):
        self.first, self.stops = self.step, False
        self.means = [each for each in self.model.metrics if isinstance(each, keras.metrics.Mean)]
        if running := self.record.begin(epoch + 1, self.first + self.params["steps"]):
            assign_means(self.means, running)

    def on_train_batch_end(self, batch, logs=None):
        self.step = self.first + batch + 1  # `batch` is the last one of a call of several steps
        losses = self.model.objective.step_losses
        if losses or self.record.saves_after(self.step):
            backends.synchronize(self.model)
        taken = losses.take() if losses else []
        self.record.add(self.step, taken, lambda: running_means(self.means))
        # A run stops at the end of an epoch, so a request inside it waits until then.
        self.stops |= self.model.stop_training
        self.model.stop_training = False

    def on_epoch_end(self, epoch, logs=None):
        names = (*LOGS, PENALTY)
        values = {name: float(logs[name]) for name in names if name in logs}
        self.record.finish(values, self.stops or self.model.stop_training)
        self.model.stop_training = self.record.run.stopped is not None


# train


def prepare(model, optimizer, run, checkpoint_steps):
    """Compiles the step, and returns the first argument of `run_epochs`."""
    config, n = run.config, run.data.n_train
    compile_step(model, optimizer, steps_per_call(config, n, run.step, checkpoint_steps))
    return model


def check_callbacks(callbacks, config):
    """Checks that `fit` can call the callbacks in a training of this config.

    Args:
        callbacks: list.
        config: shared.config.Config.
    Raises:
        UsageError: one is no keras.callbacks.Callback, or does what the run folder or the config
            does, or needs a package that is not installed.
    """
    kinds = keras.callbacks
    for number, each in enumerate(callbacks):
        name = f"callbacks[{number}] is {each!r}"
        if not isinstance(each, kinds.Callback):
            raise UsageError(f"{name}; keras_vae takes instances of keras.callbacks.Callback")
        if isinstance(each, kinds.BackupAndRestore):
            raise UsageError(f"{name}; give `out` and `resume=True` in place of BackupAndRestore")
        changes_rate = isinstance(each, kinds.ReduceLROnPlateau | kinds.LearningRateScheduler)
        if changes_rate and config.learning_rate_decay != 1:
            raise UsageError(
                f"{name}, which sets the learning rate, and learning_rate_decay is"
                f" {config.learning_rate_decay}, by which it falls already; give one of them"
            )
        if isinstance(each, kinds.TensorBoard):
            from shared.beyond.tensorboard import check_installed

            check_installed(f"callbacks[{number}]")


def save(model, path):
    """Writes a model to a file, without NumPy's warning about how Keras copies its variables."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        model.save(path)


IMPLEMENTATION = Implementation(
    "keras_vae",
    backends.check_devices,
    build,
    assemble,
    prepare,
    run_epochs,
    check_callbacks,
    save=save,
)
train = train_with(IMPLEMENTATION)
step_losses = step_losses_with(IMPLEMENTATION)
