"""The readers and the lock of a run's folder: exact values, and refusals with their reason."""

import json

import numpy as np
import pytest
from array_training import CONFIG, train

from shared.machine.checks import UsageError
from shared.run import folder


@pytest.fixture
def run(data, tmp_path):
    """The folder of a finished run with two steps per epoch."""
    train(CONFIG, data, tmp_path / "new" / "run")
    return tmp_path / "new" / "run"  # the lock has created both folders


def test_the_losses_are_read_in_every_bit(run):
    expected = np.float32(100) / np.arange(1, 7, dtype=np.float32)
    assert np.array(folder.read_step_losses(run), np.float32).tobytes() == expected.tobytes()


def test_tables_have_the_digits_of_every_float32(data, tmp_path):
    """Between 100 and 128, floats lie closer together than decimals of eight digits."""
    steps = np.float32(101) + np.arange(6, dtype=np.float32) * np.spacing(np.float32(101))

    def change(row, losses, weights):
        losses[:] = steps[row["step"] - len(losses) : row["step"]]
        row["kl"] = float(losses[0])

    train(CONFIG, data, tmp_path / "run", change=change)
    losses, rows = folder.read_step_losses(tmp_path / "run"), folder.read_history(tmp_path / "run")
    assert np.float32(losses).tobytes() == steps.tobytes()
    assert np.float32([row["kl"] for row in rows]).tobytes() == steps[::2].tobytes()


def test_a_config_that_is_not_json_is_refused_with_the_reason(run):
    (run / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError) as error:
        folder.read_config(run)
    with pytest.raises(json.JSONDecodeError) as reason:
        json.loads("{")
    assert str(error.value) == f"{run / 'config.json'} is not the config of a run: {reason.value}"


def test_metrics_that_are_no_metrics_are_refused_with_what_to_do(run):
    (run / "metrics.json").write_text(
        '{"test_loss": {"unit": "nats", "step": 1}}', encoding="utf-8"
    )
    with pytest.raises(UsageError) as error:
        folder.read_metrics(run)
    found = "Object missing required field `value` - at `$[...]`"
    assert str(error.value) == (
        f"{run / 'metrics.json'} does not hold the metrics of a run: {found}; remove it and"
        " evaluate again"
    )


def test_a_missing_table_has_no_rows(tmp_path):
    assert folder.read_history(tmp_path) == folder.read_step_losses(tmp_path) == []
    assert folder.read_metrics(tmp_path) == {}
