"""Keras' `fit` beside the training itself: its progress bar, and `predict` after it."""

import dataclasses

import keras
import pytest

from shared.config import recipe

CONFIG = recipe("post-keras", epochs=2, hidden_dims=(8,), batch_size=60, step_losses=True)


@pytest.fixture(scope="module")
def trained(implementations, data):
    """A model after 2 epochs of 5 steps, which one call executes."""
    model, run = implementations["keras_vae"].train(CONFIG, data, verbose=0)
    assert model.steps_per_execution == 5
    return model, run


class Calls(keras.callbacks.Callback):
    """Counts the calls of the compiled function of `predict`."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def on_predict_batch_begin(self, batch, logs=None):
        self.count += 1


def test_predict_takes_one_batch_per_call_after_training(trained, uneven_data):
    from keras_vae.batches import evaluation_batches

    model, _ = trained
    calls = Calls()
    model.predict(evaluation_batches(uneven_data.x_test, CONFIG), callbacks=[calls], verbose=0)
    # 620 images in batches of 500. The number of training steps per call would unroll both batches,
    # and up to 128 of a larger set, into one graph.
    assert calls.count == 2
    assert model.steps_per_execution == 5  # `fit` still has its own number of steps per call


@pytest.mark.long
def test_an_evaluation_between_two_epochs_changes_no_bit(trained, implementations, data):
    implementation = implementations["keras_vae"]
    model = implementation.build(CONFIG, data.input_dim)

    def evaluate(row):
        implementation.elbo_terms(model, data.x_test, CONFIG)

    implementation.train(CONFIG, data, verbose=0, model=model, on_epoch=evaluate)
    weights, expected = (implementation.gather(each) for each in (model, trained[0]))
    assert all(weights[name].tobytes() == expected[name].tobytes() for name in expected)


def test_the_progress_bar_shows_running_means_and_no_single_step(implementations, data, capsys):
    config = dataclasses.replace(CONFIG, epochs=1)
    _, run = implementations["keras_vae"].train(config, data, verbose=1)
    shown = capsys.readouterr().out
    assert "val_log_likelihood:" in shown and f"loss: {run.history[0]['loss']:.4f}" in shown
    assert "step_loss" not in shown
    assert len(run.step_losses) == 5
