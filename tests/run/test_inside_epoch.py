"""Checkpoints inside an epoch: what they hold, what is refused, and how a run ends after one."""

import dataclasses
import re

import numpy as np
import pytest
from array_training import CONFIG, contents, train, variables_at, weights_at

from shared.machine.checks import UsageError
from shared.machine.process import Stopped
from shared.run import folder
from shared.run.checkpoints import read_checkpoint
from shared.run.state import Run, check_checkpoint_steps
from shared.weights import slot_shapes, weight_shapes

MEANS = {"loss": (300.0, 200.0), "log_likelihood": (-280.0, 200.0), "kl": (20.0, 200.0)}
GAUSSIAN = dataclasses.replace(CONFIG, likelihood="gaussian", fixed_sigma=0.3)


def begin(directory, data, config=CONFIG):
    """Saves a run inside its first epoch, after one of two steps."""
    with Run(directory, config, data, "tf_vae") as run:
        run.begin()
        run.save_inside_epoch(1, [1.5], MEANS, 0.25, variables_at(1))


def test_a_resumed_run_finds_all_that_was_saved_inside_the_epoch(data, tmp_path):
    begin(tmp_path, data)
    with Run(tmp_path, CONFIG, data, "tf_vae", resume=True) as run:
        assert (run.step, run.history, run.step_losses) == (1, [], [1.5])
        assert run.checkpoint == tmp_path / folder.CHECKPOINT
        assert run.running.pop("seconds") == 0.25
        assert {name: tuple(each) for name, each in run.running.items()} == MEANS
        shapes = weight_shapes(CONFIG, 36) | slot_shapes(CONFIG, weight_shapes(CONFIG, 36))
        restored = read_checkpoint(run.checkpoint, shapes).variables
    expected = variables_at(1)
    assert {name: array.tobytes() for name, array in restored.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }
    assert folder.read_step_losses(tmp_path) == [1.5]


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_that_is_not_finite_ends_the_run_before_anything_is_saved(name, data, tmp_path):
    with Run(tmp_path, CONFIG, data, "tf_vae") as run:
        run.begin()
        before = contents(tmp_path)
        means = {**MEANS, name: (np.inf, 200.0)}
        expected = f"post-keras: {name} is not finite after epoch 1 (step 1); nothing was saved."
        with pytest.raises(Stopped, match=re.escape(expected)):
            run.save_inside_epoch(1, [1.5], means, 0.25, variables_at(1))
    assert contents(tmp_path) == before


def test_a_run_cannot_end_where_it_was_saved_inside_an_epoch(data, tmp_path):
    config = dataclasses.replace(CONFIG, picture_epochs=())
    begin(tmp_path, data, config)
    shorter = dataclasses.replace(config, epochs=None, steps=1)
    with pytest.raises(UsageError) as error:
        train(shorter, data, tmp_path, resume=True)
    assert str(error.value) == (
        f"{tmp_path} was saved inside an epoch, at step 1, where the requested run ends;"
        " give a longer run or another --out"
    )


def test_a_damaged_checkpoint_is_named_and_the_previous_one_used(data, tmp_path):
    train(CONFIG, data, tmp_path)
    path = tmp_path / folder.CHECKPOINT
    path.write_bytes(path.read_bytes()[:-100])
    with Run(tmp_path, CONFIG, data, "tf_vae", resume=True) as run:
        note = f"{path} is damaged; continuing from checkpoints/previous.npz, step 4"
        assert note in run.progress.notes


def test_a_damaged_history_loses_only_its_seconds(data, tmp_path):
    train(CONFIG, data, tmp_path)
    history = folder.read_history(tmp_path)
    (tmp_path / "history.csv").write_text("epoch\n", encoding="utf-8")
    with Run(tmp_path, CONFIG, data, "tf_vae", resume=True) as run:
        assert np.isnan([row.pop("seconds") for row in run.history]).all()
        assert run.history == [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_the_model_of_another_step_does_not_stay_beside_new_weights(data, tmp_path):
    with Run(tmp_path, CONFIG, data, "tf_vae") as run:
        run.begin()
        (tmp_path / "model.keras").write_bytes(b"a model of another step")
        run.finish(weights_at(run.step))
    assert not (tmp_path / "model.keras").exists()


def test_a_fixed_sigma_may_change_after_a_divergence_but_not_be_learned(data, tmp_path):
    def spoil(row, *_):
        if row["epoch"] == 3:
            row["loss"] = np.nan

    with pytest.raises(Stopped):
        train(GAUSSIAN, data, tmp_path, change=spoil)
    learned = dataclasses.replace(GAUSSIAN, fixed_sigma=None)
    with pytest.raises(UsageError, match=r"was started with fixed_sigma 0\.3, not None"):
        train(learned, data, tmp_path, resume=True)
    train(dataclasses.replace(GAUSSIAN, fixed_sigma=1.0), data, tmp_path, resume=True)
    assert folder.read_config(tmp_path)["changes"] == [{"step": 4, "fixed_sigma": [0.3, 1.0]}]


@pytest.mark.parametrize("steps", [True, 0, -1, 1.0, "1"])
def test_only_whole_positive_numbers_of_steps_lie_between_checkpoints(steps, tmp_path):
    check_checkpoint_steps(1, tmp_path)
    check_checkpoint_steps(None, None)
    with pytest.raises(UsageError, match=re.escape(f"checkpoint_steps is {steps!r}; expected an")):
        check_checkpoint_steps(steps, tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        check_checkpoint_steps(1, None)
