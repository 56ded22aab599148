"""A training whose numbers stop being finite ends at once, and keeps what was good."""

import dataclasses

import numpy as np
import pytest
from array_training import CONFIG, contents, train

from shared.command.line import main
from shared.machine.checks import UsageError
from shared.machine.process import Stopped
from shared.run.folder import read_config, read_history
from shared.show.figures.of_run import caption


def nan_loss(row, losses, weights):
    row["loss"] = np.nan


def infinite_validation(row, losses, weights):
    row["val_kl"] = np.inf


def nan_step(row, losses, weights):
    row["loss"] = losses[1] = np.nan


def nan_weight(row, losses, weights):
    weights["encoder/z_mean/kernel"][1, 0] = np.nan


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (nan_loss, r"loss is not finite after epoch 3 \(step 6\); 4 steps before it are saved"),
        (infinite_validation, r"val_kl is not finite after epoch 3 \(step 6\); 4 steps"),
        (nan_step, r"loss is not finite after epoch 3, step 6; 4 steps"),
        (nan_weight, r"encoder/z_mean/kernel is not finite after epoch 3 \(step 6\); 4 steps"),
    ],
)
def test_the_epochs_before_are_kept_and_the_run_can_be_resumed(spoil, message, data, tmp_path):
    with pytest.raises(Stopped, match=f"post-keras: {message}"):
        train(
            CONFIG,
            data,
            tmp_path / "run",
            change=lambda row, *rest: spoil(row, *rest) if row["epoch"] == 3 else None,
        )
    assert [row["epoch"] for row in read_history(tmp_path / "run")] == [1, 2]
    assert not (tmp_path / "run" / "weights.npz").exists()
    train(CONFIG, data, tmp_path / "run", resume=True)
    train(CONFIG, data, tmp_path / "expected")
    expected = contents(tmp_path / "expected")
    assert contents(tmp_path / "run") == expected


def test_a_run_without_an_epoch_takes_other_settings(data, tmp_path):
    """Nothing that depends on the wrong setting was saved; a later checkpoint has to fit."""
    wrong = dataclasses.replace(CONFIG, learning_rate=1e6)
    with pytest.raises(Stopped, match="smaller learning_rate than 1000000"):
        train(wrong, data, tmp_path, change=nan_loss)
    assert list(contents(tmp_path)) == ["config.json"]
    train(CONFIG, data, tmp_path, resume=True)
    assert read_config(tmp_path)["learning_rate"] == CONFIG.learning_rate
    with pytest.raises(UsageError, match="was started with learning_rate"):
        train(wrong, data, tmp_path, resume=True)


def test_a_run_that_diverged_later_continues_with_another_learning_rate(data, tmp_path):
    """The config names the change; a run that has not diverged takes no other setting."""
    too_large = dataclasses.replace(CONFIG, learning_rate=5.0)

    def spoil(row, *rest):
        if row["epoch"] == 3:
            nan_loss(row, *rest)

    with pytest.raises(Stopped, match="4 steps before it are saved, and --resume continues with"):
        train(too_large, data, tmp_path, change=spoil)
    assert read_config(tmp_path)["diverged_after"] == 4
    other = dataclasses.replace(CONFIG, latent_dim=3)
    with pytest.raises(UsageError, match="was started with latent_dim 2, not 3"):
        train(other, data, tmp_path, resume=True)
    train(CONFIG, data, tmp_path, resume=True)
    values = read_config(tmp_path)
    assert values["learning_rate"] == 0.001 and "diverged_after" not in values
    assert values["changes"] == [{"step": 4, "learning_rate": [5.0, 0.001]}]
    assert "learning_rate 5.0 until step 4" in caption(values).replace("\n", " ")
    # It is finished; a longer run keeps the note, and again takes no other setting.
    with pytest.raises(UsageError, match=r"was started with learning_rate 0\.001, not 5\.0"):
        train(too_large, data, tmp_path, resume=True)
    train(dataclasses.replace(CONFIG, epochs=4), data, tmp_path, resume=True)
    assert read_config(tmp_path)["changes"] == values["changes"]


def test_weights_of_an_older_run_do_not_outlive_its_checkpoint(data, tmp_path):
    """Without its checkpoint a run starts again, with nothing of the old one beside it."""
    train(CONFIG, data, tmp_path)
    for name in ("last.npz", "previous.npz"):
        (tmp_path / "checkpoints" / name).unlink()
    with pytest.raises(Stopped):
        train(CONFIG, data, tmp_path, resume=True, change=nan_loss)
    assert list(contents(tmp_path)) == ["config.json"]


@pytest.mark.either
@pytest.mark.parametrize("package", ["keras_vae", "tf_vae"])
def test_a_real_training_that_diverges_ends_with_status_1(package, data_path, tmp_path, capsys):
    arguments = ["train", "--hidden-dims", "4", "--epochs", "2", "--data", str(data_path)]
    arguments += ["--out", str(tmp_path / "run"), "--learning-rate", "1e9"]
    assert main(package, arguments) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("post-keras: ") and "not finite after epoch" in line
    assert not (tmp_path / "run" / "weights.npz").exists()
