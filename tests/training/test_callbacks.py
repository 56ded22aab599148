"""Early stopping and callbacks in real trainings: equal in both, kept by a resume, or refused."""

import dataclasses
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from bits import differing, history

from shared.config import recipe
from shared.machine.checks import UsageError
from shared.run.checkpoints import LEARNING_RATE
from shared.run.folder import BEST, read_config, read_history, read_run_weights
from shared.run.stopping import stopping_epoch

# Its validation loss falls for four epochs, and rises in the fifth by 0.7 nats.
CONFIG = recipe(
    "post-keras",
    epochs=7,
    picture_epochs=(),
    hidden_dims=(8,),
    batch_size=60,
    learning_rate=0.05,
)
PATIENT = dataclasses.replace(CONFIG, patience=1)
OTHER = {"keras_vae": "tf_vae", "tf_vae": "keras_vae"}
FILES = ("weights.npz", "checkpoints/last.npz")


def assert_same(folder, expected, *names):
    for name in (*FILES, *names):
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert history(folder) == history(expected)


def stopping(epoch):
    """A callback of each implementation that ends the training after an epoch."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, number, logs=None):
            if number + 1 == epoch:
                self.model.stop_training = True

    return {"keras_vae": Stop(), "tf_vae": lambda model, optimizer, row: row["epoch"] == epoch}


@pytest.fixture(scope="module")
def stopped(implementations, data, tmp_path_factory):
    """The folders of PATIENT, which stops after epoch 5 of 7, by each implementation."""
    folders = {}
    for name, implementation in implementations.items():
        folders[name] = tmp_path_factory.mktemp("stopped") / name
        _, run = implementation.train(PATIENT, data, folders[name], verbose=0)
        assert run.stopped == {"epoch": 5, "step": 25, "by": "patience"}
    return folders


@pytest.fixture(scope="module")
def whole(implementations, data, tmp_path_factory):
    """The folder of a run with a patience of 2, which does not stop before epoch 7."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    config = dataclasses.replace(PATIENT, patience=2)
    implementations["tf_vae"].train(config, data, folder, verbose=0)
    assert len(read_history(folder)) == 7
    return folder


def test_both_stop_after_the_same_epoch_with_the_same_bits(stopped, implementations):
    assert_same(*stopped.values(), BEST, "weights_epoch_005.npz")
    losses = [row["val_loss"] for row in read_history(stopped["tf_vae"])]
    assert len(losses) == 5 and np.argmin(losses) == 3
    best = read_run_weights(stopped["tf_vae"], "best")[1]
    for name, implementation in implementations.items():
        model, config = implementation.load(stopped[OTHER[name]], epoch="best")
        assert differing(implementation.gather(model), best) == [] and config.epochs == 5
    end = read_run_weights(stopped["tf_vae"])[1]
    assert differing(best, end) == list(best)  # they are not those of the end


@pytest.mark.parametrize("begun_by", ["tf_vae", pytest.param("keras_vae", marks=pytest.mark.long)])
def test_a_larger_patience_continues_to_the_bits_of_a_run_that_was_begun_so(
    begun_by, implementations, stopped, whole, data, tmp_path
):
    folder = shutil.copytree(stopped[begun_by], tmp_path / "run")
    other = implementations[OTHER[begun_by]]
    config = dataclasses.replace(PATIENT, patience=2)
    other.train(config, data, folder, resume=True, verbose=0)
    assert_same(folder, whole, BEST)


def test_early_stopping_of_keras_is_a_function_of_tf_vae(
    implementations, stopped, data, tmp_path, capsys
):
    """They end the run as `patience` does; the model of keras_vae gets its best weights back."""
    early = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    losses = []

    def stop(model, optimizer, row):
        losses.append(row["val_loss"])
        return losses[-1] > min(losses)

    for name, callback in (("keras_vae", early), ("tf_vae", stop)):
        folder = tmp_path / name
        callbacks = [callback]
        model, run = implementations[name].train(
            CONFIG, data, folder, verbose=0, callbacks=callbacks
        )
        assert run.stopped == {"epoch": 5, "step": 25, "by": "callback"}
        assert_same(folder, stopped[name], "weights_epoch_005.npz")
        values = read_config(folder)
        assert values["stopped_after"] == run.stopped and not (folder / BEST).exists()
        assert values["callbacks"] == [{"keras_vae": "EarlyStopping", "tf_vae": "stop"}[name]]
        wanted = read_run_weights(stopped[name], "best" if name == "keras_vae" else None)[1]
        assert differing(implementations[name].gather(model), wanted) == []
        # Resumed with the same length, it is a finished run.
        _, run = implementations[name].train(CONFIG, data, folder, resume=True, verbose=0)
        assert run.step == 25 and run.stopped["by"] == "callback"


def test_callbacks_of_keras_see_one_training(implementations, data, tmp_path):
    """Also where `fit` is called twice, because the last epoch is shorter.

    A second beginning would let EarlyStopping count anew, and an end in between would give the
    model its best weights back before the last epoch.
    """
    events = []

    class Log(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            events.append("begin")

        def on_epoch_end(self, epoch, logs=None):
            events.append((epoch, "val_loss" in logs))

        def on_train_end(self, logs=None):
            events.append("end")

    config = dataclasses.replace(CONFIG, epochs=None, steps=28)
    path = tmp_path / "best.weights.h5"
    saved = keras.callbacks.ModelCheckpoint(str(path), save_best_only=True, save_weights_only=True)
    early = keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
    keras_vae = implementations["keras_vae"]
    model, run = keras_vae.train(
        config, data, tmp_path / "run", verbose=0, callbacks=[Log(), early, saved]
    )
    assert events == ["begin", *((epoch, True) for epoch in range(6)), "end"]
    implementations["tf_vae"].train(config, data, tmp_path / "without", verbose=0)
    assert_same(tmp_path / "run", tmp_path / "without")
    # Both callbacks kept the weights of the best epoch.
    best = keras_vae.gather(model)
    model.load_weights(path)
    assert differing(keras_vae.gather(model), best) == []
    assert differing(best, read_run_weights(tmp_path / "run")[1]) == (
        list(best) if np.argmin([row["val_loss"] for row in run.history]) < 5 else []
    )


def halving(model, optimizer, row):
    """Halves the learning rate after the fifth epoch, as ReduceLROnPlateau does."""
    if row["epoch"] == 5:
        optimizer.learning_rate = 0.5 * optimizer.learning_rate


@pytest.mark.long
def test_a_learning_rate_that_callbacks_change_survives_a_resume(implementations, data, tmp_path):
    """Both halve it after epoch 5; resumed without a callback, either ends with the same bits."""
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, cooldown=9)
    callbacks = {"keras_vae": plateau, "tf_vae": halving}
    for name, callback in callbacks.items():
        implementations[name].train(CONFIG, data, tmp_path / name, verbose=0, callbacks=[callback])
    assert_same(tmp_path / "keras_vae", tmp_path / "tf_vae")
    with np.load(tmp_path / "tf_vae" / "checkpoints" / "last.npz") as checkpoint:
        assert checkpoint[LEARNING_RATE] == np.float32(0.025)
    short, folder = dataclasses.replace(CONFIG, epochs=5), tmp_path / "resumed"
    implementations["tf_vae"].train(short, data, folder, verbose=0, callbacks=[halving])
    again = shutil.copytree(folder, tmp_path / "again")
    implementations["keras_vae"].train(CONFIG, data, folder, resume=True, verbose=0)
    implementations["tf_vae"].train(CONFIG, data, again, resume=True, verbose=0)
    for each in (folder, again):
        assert_same(each, tmp_path / "tf_vae")
        assert read_config(each)["callbacks"] == ["halving"]


def test_an_unchanged_learning_rate_is_in_no_checkpoint(stopped):
    for folder in stopped.values():
        with np.load(folder / "checkpoints" / "last.npz") as checkpoint:
            assert LEARNING_RATE not in checkpoint.files and len(checkpoint.files) == 23


def test_a_stop_inside_an_epoch_waits_for_its_end(implementations, data, tmp_path):
    class Hurry(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    config = dataclasses.replace(CONFIG, step_losses=True)
    keras_vae, tf_vae = (implementations[name] for name in OTHER)
    for name, implementation, callback in (
        ("keras", keras_vae, Hurry()),
        ("tf", tf_vae, stopping(1)["tf_vae"]),
    ):
        _, run = implementation.train(
            config, data, tmp_path / name, verbose=0, callbacks=[callback], checkpoint_steps=1
        )
        assert run.stopped == {"epoch": 1, "step": 5, "by": "callback"}
        assert len(run.step_losses) == 5
    assert_same(tmp_path / "keras", tmp_path / "tf", "steps.csv")


def test_true_alone_ends_a_training_of_tf_vae(implementations, data):
    answers = iter([None, 1, "yes", np.True_])
    config = dataclasses.replace(CONFIG, hidden_dims=(2,))
    callbacks = [lambda *arguments: next(answers)]
    _, run = implementations["tf_vae"].train(config, data, verbose=0, callbacks=callbacks)
    assert len(run.history) == 4 and run.stopped["by"] == "callback"


FALLING = dataclasses.replace(CONFIG, learning_rate_decay=10.0)


@pytest.mark.parametrize(
    ("name", "config", "callbacks", "message"),
    [
        (
            "keras_vae",
            CONFIG,
            [halving],
            r"callbacks\[0\] is <function halving.*takes instances of",
        ),
        ("keras_vae", CONFIG, keras.callbacks.History(), "expected a list of callbacks"),
        ("keras_vae", CONFIG, [keras.callbacks.History], "takes instances of keras"),
        ("keras_vae", CONFIG, [keras.callbacks.BackupAndRestore("x")], "give `out` and `resume="),
        ("keras_vae", FALLING, [keras.callbacks.ReduceLROnPlateau()], "learning_rate_decay is 10"),
        ("tf_vae", CONFIG, [halving, keras.callbacks.History()], r"callbacks\[1\] is <.*functions"),
        ("tf_vae", CONFIG, [keras.callbacks.History], "takes functions of"),
        ("tf_vae", CONFIG, halving, "expected a list of callbacks"),
    ],
)
def test_callbacks_of_another_kind_are_refused(
    name, config, callbacks, message, implementations, data, tmp_path
):
    with pytest.raises(UsageError, match=message) as refusal:
        implementations[name].train(config, data, tmp_path / "run", callbacks=callbacks)
    assert "\n" not in str(refusal.value) and not (tmp_path / "run").exists()


def documented(number):
    """The code of a block in the section of docs/commands.md."""
    text = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    return text.split("## Stopping and watching")[1].split("```python\n")[number].split("```")[0]


def test_the_documented_callbacks_of_keras(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = documented(1).replace('load_data("auto")', "data").replace("epochs=50", "epochs=2")
    scope = {"data": data}
    exec(code, scope)
    assert Path("best.keras").exists() and len(read_history("runs/watched")) == 2
    names = ["EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint"]
    assert read_config("runs/watched")["callbacks"] == names
    assert scope["run"].stopped is None


def test_the_documented_functions():
    """`early` is a patience of 3, and `slower` halves the rate after the tenth epoch."""
    scope, optimizer = {}, keras.optimizers.SGD(0.5)
    exec(documented(2), scope)
    losses = np.random.RandomState(3).permutation(np.linspace(3, 2, 30))
    rows = [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(losses, start=1)]
    wanted = stopping_epoch(rows, 3)
    assert wanted > 4
    assert [scope["early"](None, optimizer, row) for row in rows].index(True) + 1 == wanted
    for row in rows[:19]:
        scope["slower"](None, optimizer, row)
    assert float(optimizer.learning_rate) == 0.25


@pytest.mark.extras
def test_the_tensorboard_of_keras(implementations, data, tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    board = keras.callbacks.TensorBoard(str(tmp_path / "board"))
    _, run = implementations["keras_vae"].train(
        dataclasses.replace(CONFIG, epochs=2), data, verbose=0, callbacks=[board]
    )
    (path,) = (tmp_path / "board" / "validation").glob("events*")
    values = {}
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            if value.tag == "epoch_loss":
                values[event.step] = tf.make_ndarray(value.tensor)
    assert values == {row["epoch"] - 1: np.float32(row["val_loss"]) for row in run.history}
