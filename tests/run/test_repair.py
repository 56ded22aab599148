"""Damage of a run's files: it is reported where a file is read, and a resume repairs it."""

import dataclasses
import json
import math

import pytest
from array_training import CONFIG, FILES, PowerFailure, complete, contents, train

from shared.machine.checks import UsageError
from shared.run import checksums, folder
from shared.run.folder import (
    missing_products,
    read_config,
    read_history,
    read_metrics,
    read_run_weights,
    read_step_losses,
)
from shared.run.state import Run

READERS = {
    "history.csv": read_history,
    "steps.csv": read_step_losses,
    "metrics.json": read_metrics,
    "config.json": read_config,
    "weights.npz": read_run_weights,
    "weights_epoch_003.npz": lambda directory: read_run_weights(directory, 3),
}
DAMAGES = {
    "a bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "half": lambda content: content[: len(content) // 2],
    "nothing": lambda content: b"",
    "more": lambda content: content + content[-40:],
    "foreign": lambda content: b"\x00\xff" * 50,
}


@pytest.fixture
def finished(data, tmp_path):
    """A finished run, with metrics and figures; returns a function that makes one of a name."""

    def finish(name):
        directory = tmp_path / name
        train(CONFIG, data, directory, "keras_vae")
        complete(directory)
        return directory

    return finish


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_and_repaired(name, damage, finished, data):
    directory, expected = finished("run"), finished("expected")
    path = directory / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    if name in READERS:
        before = contents(directory)
        with pytest.raises(UsageError) as refusal:
            READERS[name](directory)
        assert name in str(refusal.value) and "\n" not in str(refusal.value)
        assert contents(directory) == before
    if name == "config.json" and damage != "a bit":  # no other file has the settings
        with pytest.raises(UsageError, match="is not the config of a run"):
            Run(directory, CONFIG, data, "keras_vae", resume=True).check()
        return
    assert not Run(directory, CONFIG, data, "keras_vae", resume=True).complete
    train(CONFIG, data, directory, "keras_vae", resume=True)
    complete(directory)
    assert repaired(directory) == repaired(expected)
    assert missing_products(directory, CONFIG, 300) == []


def repaired(directory):
    """Contents without what cannot be restored: seconds, and an older checkpoint."""
    files = contents(directory)
    rows = read_history(directory)
    assert all(row["seconds"] == row["epoch"] or math.isnan(row["seconds"]) for row in rows)
    files["history.csv"] = [{**row, "seconds": None} for row in rows]
    return {k: v for k, v in files.items() if k not in ("SHA256SUMS", "checkpoints/previous.npz")}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_checkpoint_costs_one_epoch(damage, data, tmp_path, capsys):
    directory = tmp_path / "run"
    with pytest.raises(PowerFailure):
        train(CONFIG, data, directory, stop=2)
    path = directory / "checkpoints" / "last.npz"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    run = train(CONFIG, data, directory, resume=True)
    assert len(run.history) == 3
    note = capsys.readouterr().err
    if damage not in ("more", "a bit"):  # without a record, bytes outside the arrays do not matter
        assert note.endswith("; continuing from checkpoints/previous.npz, step 2\n")
        assert note.startswith(f"cannot read {path}: ") and len(note.splitlines()) == 1
    train(CONFIG, data, tmp_path / "expected")
    assert contents(directory) == contents(tmp_path / "expected")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["history.csv", "steps.csv"])
def test_the_tables_of_an_unfinished_run_are_restored(name, damage, data, tmp_path):
    directory = tmp_path / "run"
    with pytest.raises(PowerFailure):
        train(CONFIG, data, directory, stop=2)
    path = directory / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    train(CONFIG, data, directory, resume=True)
    train(CONFIG, data, tmp_path / "expected")
    assert repaired(directory) == repaired(tmp_path / "expected")


def test_damage_before_an_extension_is_not_carried_on(finished, data, tmp_path):
    """The previous checkpoint is of an earlier epoch, whose weights are then trained again."""
    directory = finished("run")
    path = directory / "checkpoints" / "last.npz"
    path.write_bytes(DAMAGES["a bit"](path.read_bytes()))
    longer = dataclasses.replace(CONFIG, epochs=5)
    train(longer, data, directory, "keras_vae", resume=True)
    train(longer, data, tmp_path / "expected", "keras_vae")
    ours, expected = contents(directory), contents(tmp_path / "expected")
    for files in (ours, expected):
        files.pop("SHA256SUMS")
    assert ours == expected


def test_the_record_is_right_at_any_moment_of_a_later_write(finished, monkeypatch):
    """The process ends before or after each rename while metrics.json is replaced."""
    metrics = {"test_loss": {"value": 2.0, "unit": "nats", "step": 6}}
    for moment in range(4):
        directory = finished(str(moment))
        done = []
        original = checksums.os.replace

        def replace(*arguments, done=done, moment=moment, original=original):
            if len(done) == moment:
                raise PowerFailure
            done.append(arguments)
            original(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(checksums.os, "replace", replace)
            try:
                folder.store_metrics(directory, metrics)
            except PowerFailure:
                assert moment < 2
        value = read_metrics(directory)["test_loss"]["value"]
        assert value == (1.0 if moment < 2 else 2.0)
    assert len(done) == 2


def test_sha256sum_reads_the_record(finished):
    lines = (finished("run") / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    names = [line.split("  ")[1] for line in lines]
    assert set(FILES) - {"SHA256SUMS"} <= set(names) and names == sorted(names)
    assert all(len(line.split("  ")[0]) == 64 for line in lines)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("data", None, "Expected `object`, got `null` - at `$.data`"),
        ("trained_by", "keras_vae", "Expected `array`, got `str` - at `$.trained_by`"),
        ("trained_by", [], "length >= 1"),
        ("trained_by", ["my_vae"], "Invalid enum value"),
        ("n_train", "300", "Expected `int`, got `str` - at `$.data.n_train`"),
        ("n_train", 0, "Expected `int` >= 1"),
        ("image_shape", [], "Expected `array` of length >= 1"),
        ("image_shape", [6, -6], "Expected `int` >= 1"),
        ("sha256", {"x_train": 5}, "Expected `str`, got `int` - at `$.data.sha256[...]`"),
        ("source", 5, "Expected `str`, got `int` - at `$.data.source`"),
        ("beta", float("nan"), "it holds NaN"),
        ("beta", "1", "beta is '1'"),
        ("hidden_dims", 3, "hidden_dims is 3"),
    ],
)
def test_a_config_of_another_type_is_refused(name, change, message, data, tmp_path):
    with pytest.raises(PowerFailure):
        train(CONFIG, data, tmp_path, stop=2)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    (values if name in values else values["data"])[name] = change
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UsageError) as refusal:
        read_config(tmp_path)
    text = str(refusal.value)
    assert text.startswith(f"{path} is not the config of a run: ") and message in text
