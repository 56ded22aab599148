"""Early stopping: the rule, what the folder holds after a stop, and how such a run is continued."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from array_training import CONFIG, PowerFailure, changes_until, contents, train, weights_at
from hypothesis import strategies as st

from shared.machine.checks import UsageError
from shared.run import folder
from shared.run.files import step_of
from shared.run.folder import BEST, missing_products, read_config, read_run_weights
from shared.run.state import Run
from shared.run.stopping import best_row, finished_config, stopping_epoch
from shared.show.figures.of_run import caption

LOSSES = (5.0, 3.0, 4.0, 3.0, 6.0, 2.0, 7.0, 8.0)  # the best one up to epoch 5 is that of epoch 2
LONG = dataclasses.replace(CONFIG, epochs=8, picture_epochs=(1, 4, 8))
STOPS = dataclasses.replace(LONG, patience=3)  # after epoch 5
LATER = dataclasses.replace(LONG, patience=4)  # never: epoch 6 is better


def with_losses(row, *rest):
    row["val_loss"] = LOSSES[row["epoch"] - 1]


def trained(config, data, directory, **options):
    return train(config, data, directory, "keras_vae", change=with_losses, **options)


def complete(directory, config, n=300):
    """Writes what a command writes after the training."""
    for name in folder.figure_names(config, n):
        folder.write_product(directory, f"figures/{name}", b"a picture")
    metric = {"value": 1.0, "unit": "nats", "step": config.total_steps(n)}
    folder.store_metrics(directory, dict.fromkeys(("test_loss", "train_loss"), metric))


def history_of(losses):
    return [
        {"epoch": epoch, "step": 2 * epoch, "val_loss": loss}
        for epoch, loss in enumerate(losses, 1)
    ]


@hypothesis.given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 5))
def test_the_rule_stops_at_the_first_epoch_that_has_waited_long_enough(losses, patience):
    """By a second definition: no loss of the last `patience` epochs is below all before them."""
    waited = [
        epoch
        for epoch in range(patience + 1, len(losses) + 1)
        if min(losses[epoch - patience : epoch]) >= min(losses[: epoch - patience])
    ]
    assert stopping_epoch(history_of(losses), patience) == (waited[0] if waited else None)
    assert stopping_epoch(history_of(losses), None) is None


def test_the_best_epoch_is_the_first_of_equals():
    assert best_row(history_of(LOSSES[:5]))["epoch"] == 2


def test_a_stopped_run_is_a_finished_one(data, tmp_path):
    """Every reader takes the epoch at which it stopped for its last one."""
    run = trained(STOPS, data, tmp_path)
    assert (run.step, len(run.history)) == (10, 5)
    values = read_config(tmp_path)
    assert values["stopped_after"] == {"epoch": 5, "step": 10, "by": "patience"}
    assert values["epochs"] == 8 and values["patience"] == 3 and values["watched"] == "test"
    assert finished_config(values) == dataclasses.replace(STOPS, epochs=5)
    assert (read_run_weights(tmp_path)[1]["encoder/z_mean/bias"] == 10).all()
    for epoch, step in ((1, 2), (4, 8), (5, 10), ("best", 4)):
        assert (read_run_weights(tmp_path, epoch)[1]["encoder/z_mean/bias"] == step).all()
    assert not (tmp_path / "weights_epoch_008.npz").exists()
    assert f"  {BEST}\n" in (tmp_path / "SHA256SUMS").read_text(encoding="utf-8")
    text = caption(values, 5).replace("\n", " ")
    assert "stopped by test loss after epoch 5 of 8" in text and "patience" not in text
    names = missing_products(tmp_path, finished_config(values), 300)
    assert names[-1] == "metrics.json" and "figures/latent_epoch_005.png" in names
    assert all(name.startswith("figures/") for name in names[:-1])
    complete(tmp_path, finished_config(values))
    again = Run(tmp_path, STOPS, data, "tf_vae", resume=True)
    assert again.complete and again.stopped == run.stopped and again.step == 10


def test_a_run_that_waits_to_its_last_epoch_has_not_stopped_early(data, tmp_path):
    config = dataclasses.replace(STOPS, epochs=5)
    assert trained(config, data, tmp_path).stopped is None
    assert "stopped_after" not in read_config(tmp_path)
    # With more epochs and the same patience there is nothing left to train.
    complete(tmp_path, config)
    run = Run(tmp_path, STOPS, data, "tf_vae", resume=True)
    assert run.complete and run.stopped["epoch"] == 5


def test_a_length_in_steps_stops_at_the_end_of_an_epoch(data, tmp_path):
    config = dataclasses.replace(STOPS, epochs=None, steps=15)  # ends inside epoch 8
    assert trained(config, data, tmp_path).step == 10
    assert finished_config(read_config(tmp_path)).total_steps(300) == 10
    assert "after epoch 5 of 8" in caption(read_config(tmp_path)).replace("\n", " ")


@pytest.mark.parametrize("wanted", [LATER, LONG], ids=["a larger patience", "no patience"])
def test_it_continues_to_the_files_of_a_run_that_was_begun_so(wanted, data, tmp_path):
    trained(STOPS, data, tmp_path / "run")
    complete(tmp_path / "run", dataclasses.replace(STOPS, epochs=5))
    trained(wanted, data, tmp_path / "run", resume=True)
    trained(wanted, data, tmp_path / "expected")
    assert contents(tmp_path / "run") == contents(tmp_path / "expected")
    assert (tmp_path / "run" / BEST).exists() == (wanted is LATER)


def test_more_epochs_alone_do_not_continue_it(data, tmp_path):
    trained(STOPS, data, tmp_path / "run")
    longer = dataclasses.replace(STOPS, epochs=80)
    assert trained(longer, data, tmp_path / "run", resume=True).step == 10
    trained(longer, data, tmp_path / "expected")
    assert contents(tmp_path / "run") == contents(tmp_path / "expected")


def test_a_falling_learning_rate_keeps_the_length_over_which_it_falls(data, tmp_path):
    falling = dataclasses.replace(STOPS, learning_rate_decay=10.0)
    trained(falling, data, tmp_path)
    for epochs in (5, 9):
        with pytest.raises(UsageError, match="over which its learning rate falls"):
            other = dataclasses.replace(falling, epochs=epochs)
            Run(tmp_path, other, data, "tf_vae", resume=True).check()
    later = dataclasses.replace(falling, patience=4)
    assert trained(later, data, tmp_path, resume=True).step == 16


def test_a_patience_that_cannot_be_right_is_refused(data, tmp_path):
    """In one line, and without a change of the folder."""
    trained(LATER, data, tmp_path / "later")
    trained(LONG, data, tmp_path / "without")
    trained(dataclasses.replace(LONG, epochs=6), data, tmp_path / "at its best")
    other = dataclasses.replace(STOPS, patience=7)
    for name, config, message in (
        (
            "later",
            STOPS,
            "has run 16 steps, and with patience 3 it would have stopped after epoch 5",
        ),
        (
            "without",
            STOPS,
            "would have stopped after epoch 5; give a larger --patience or leave it",
        ),
        ("without", other, r"without --patience, so the weights of its best epoch, 6, were not"),
        (
            "later",
            dataclasses.replace(LATER, epochs=3),
            "has run 16 steps, more than the requested",
        ),
    ):
        before = contents(tmp_path / name)
        with pytest.raises(UsageError, match=message) as refusal:
            trained(config, data, tmp_path / name, resume=True)
        assert "\n" not in str(refusal.value) and contents(tmp_path / name) == before
    with pytest.raises(UsageError, match=f"has no {BEST}; only a run with --patience keeps it"):
        read_run_weights(tmp_path / "without", "best")
    # Where the last epoch is the best one, its weights are in the checkpoint.
    trained(LATER, data, tmp_path / "at its best", resume=True)
    assert contents(tmp_path / "at its best") == contents(tmp_path / "later")


@pytest.mark.parametrize("kind", ["new", pytest.param("continued", marks=pytest.mark.long)])
def test_the_power_fails_at_any_change_of_a_run_that_stops(kind, data, tmp_path, monkeypatch):
    """Resumed, it ends with the same files, weights_best.npz among them."""
    begun = dataclasses.replace(LONG, patience=1)  # stops after epoch 3
    config = begun if kind == "new" else dataclasses.replace(LONG, patience=2)  # after epoch 4

    def folder_of(name):
        if kind == "continued":
            trained(begun, data, tmp_path / name)
        return tmp_path / name

    trained(config, data, folder_of("whole"), resume=True)
    expected, moment = contents(tmp_path / "whole"), 0
    while True:
        directory = folder_of(str(moment))
        failed = changes_until(
            monkeypatch, moment, False, lambda d=directory: trained(config, data, d, resume=True)
        )
        if not failed:
            break
        trained(config, data, directory, resume=True)
        assert contents(directory) == expected, moment
        moment += 1
    # config twice, tables and a checkpoint of each epoch, best and final weights
    assert moment > 15


@pytest.mark.parametrize(("config", "stop"), [(STOPS, 2), (STOPS, 3), (LATER, 6)])
def test_a_damaged_last_checkpoint_loses_no_best_weights(config, stop, data, tmp_path):
    """The file is of the epoch of the lost checkpoint (2 and 6), or of the one before (3)."""
    with pytest.raises(PowerFailure):
        trained(config, data, tmp_path / "run", stop=stop)
    (tmp_path / "run" / "checkpoints" / "last.npz").write_bytes(b"nothing")
    if stop == 6:  # the best weights of five epochs, those of epoch 2, are no longer there
        for other in ({"epochs": 5}, {"patience": 3, "epochs": 5}):
            shorter = dataclasses.replace(config, **other)
            with pytest.raises(UsageError, match="is missing or damaged, and only a new training"):
                Run(tmp_path / "run", shorter, data, "tf_vae", resume=True).check()
    trained(config, data, tmp_path / "run", resume=True)
    trained(config, data, tmp_path / "expected")
    assert contents(tmp_path / "run") == contents(tmp_path / "expected")


def test_damaged_best_weights_are_repaired_where_the_checkpoint_has_them(data, tmp_path):
    config = dataclasses.replace(LATER, epochs=6)  # the last epoch is the best one
    trained(config, data, tmp_path / "run")
    expected = contents(tmp_path / "run")
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(b"nothing")):
        damage(tmp_path / "run" / BEST)
        with pytest.raises(UsageError, match=BEST):
            read_run_weights(tmp_path / "run", "best")
        assert BEST in missing_products(tmp_path / "run", config, 300)
        trained(config, data, tmp_path / "run", resume=True)
        assert contents(tmp_path / "run") == expected
    trained(STOPS, data, tmp_path / "stopped")
    (tmp_path / "stopped" / BEST).unlink()
    with pytest.raises(UsageError, match="missing or damaged, and only a new training can restore"):
        trained(STOPS, data, tmp_path / "stopped", resume=True)


def test_best_weights_of_another_step_are_refused(data, tmp_path):
    trained(STOPS, data, tmp_path)
    (tmp_path / "SHA256SUMS").unlink()
    folder.checksums.seal(tmp_path, [])
    np.savez(tmp_path / BEST, **weights_at(4))
    assert step_of(tmp_path / BEST) is None
    with pytest.raises(UsageError, match="is of step None, not of step 4"):
        read_run_weights(tmp_path, "best")


def test_a_stop_by_a_callback_is_kept_until_another_length_is_asked_for(data, tmp_path):
    directory, stopped = tmp_path / "run", {"epoch": 2, "step": 4, "by": "callback"}
    with pytest.raises(PowerFailure), Run(directory, LONG, data, "tf_vae") as run:
        run.begin([len])
        for epoch, _, end in LONG.epoch_ends(300):
            row = dict.fromkeys(folder.COLUMNS, 1.0) | {"epoch": epoch, "step": end}
            variables = {**weights_at(end), **slots(end)}
            run.finish_epoch(
                row, np.float32(100) / np.arange(end - 1, end + 1), variables, end == 4
            )
            if run.stopped:
                raise PowerFailure  # before the run's final files
    assert run.stopped == stopped
    assert Run(directory, LONG, data, "tf_vae", resume=True).stopped == stopped
    assert trained(LONG, data, directory, resume=True).step == 4
    values = read_config(directory)
    assert values["stopped_after"] == stopped and values["callbacks"] == ["len"]
    assert "watched" not in values and values["trained_by"] == ["tf_vae"]
    assert "stopped after epoch 2 of 8" in caption(values).replace("\n", " ")
    run = trained(dataclasses.replace(LONG, epochs=7), data, directory, resume=True)
    assert run.step == 14 and "stopped_after" not in read_config(directory)


def slots(step):
    shapes = {name: array.shape for name, array in weights_at(step).items()}
    return {
        f"optimizer/velocity/{name}": np.full(shape, -step, np.float32)
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize("stop", [{"epoch": 5, "step": 9}, {"epoch": 8, "step": 16}, {"epoch": 5}])
def test_a_config_with_an_impossible_stop_is_refused(stop, data, tmp_path):
    trained(STOPS, data, tmp_path)
    (tmp_path / "SHA256SUMS").unlink()
    values = {**read_config(tmp_path), "stopped_after": {**stop, "by": "patience"}}
    folder.write_atomically(tmp_path / "config.json", folder.json.dumps(values).encode())
    with pytest.raises(UsageError, match=r"is not the config of a run: .*step"):
        read_config(tmp_path)


def test_one_line_says_that_the_test_set_chooses(data, tmp_path, capsys):
    trained(STOPS, data, None)
    note = "note: the data have no x_valid, so --patience chooses by the test set, whose loss"
    assert capsys.readouterr().err.splitlines() == [
        f"{note} is then no longer that of unseen images"
    ]
    valid = dataclasses.replace(data, x_valid=data.x_test)
    trained(STOPS, valid, tmp_path)
    assert capsys.readouterr().err == ""
    values = read_config(tmp_path)
    assert values["watched"] == "validation" and values["data"]["n_valid"] == 500
    assert "stopped by validation loss after epoch 5" in caption(values).replace("\n", " ")
