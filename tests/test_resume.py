"""A run cut off at any moment and resumed, by either implementation, ends in the same bits."""

import dataclasses
import signal
import subprocess
import sys

import pytest

from shared.config import UsageError, recipe
from shared.run import files
from shared.run.folder import read_config, read_history
from shared.run.run import Run

CONFIG = recipe("post-keras", epochs=6, hidden_dims=(16,), batch_size=64, step_losses=True)
OTHER = {"keras_vae": "tf_vae", "tf_vae": "keras_vae"}


@pytest.fixture(scope="module")
def undisturbed(implementations, data, tmp_path_factory):
    """Folder of a run of six epochs that nothing disturbed, by each implementation."""
    folders = {}
    for name, implementation in implementations.items():
        folders[name] = tmp_path_factory.mktemp("undisturbed") / name
        implementation.train(CONFIG, data, folders[name], verbose=0)
    return folders


def history(folder):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_history(folder)]


def assert_same_run(folder, expected, same_version=True):
    names = ["weights.npz", "weights_epoch_005.npz", "weights_epoch_006.npz", "steps.csv"]
    for name in [*names, "checkpoints/last.npz"]:
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    # Across the implementations the weights agree in bits; Keras' running means are float32.
    tolerance = 0 if same_version else 1e-5
    for row, wanted in zip(history(folder), history(expected), strict=True):
        assert row == {key: pytest.approx(value, rel=tolerance) for key, value in wanted.items()}


KILLED = """
import os, signal
from shared.run.implementation import import_implementation
from shared.config import recipe
from shared.data import load_data

def on_epoch(row):
    if row["epoch"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)

config = recipe("post-keras", epochs=6, hidden_dims=(16,), batch_size=64, step_losses=True)
version = import_implementation({implementation!r})
version.train(config, load_data({data!r}), {folder!r}, verbose=0, on_epoch=on_epoch)
"""


@pytest.mark.parametrize("begun_by", OTHER)
def test_killed_after_epoch_3_of_6(
    begun_by, implementations, undisturbed, data, data_path, tmp_path
):
    folder = tmp_path / "run"
    code = KILLED.format(implementation=begun_by, data=str(data_path), folder=str(folder))
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [row["epoch"] for row in read_history(folder)] == [1, 2, 3]
    assert not (folder / "weights.npz").exists()

    for finished_by in OTHER:
        copy = tmp_path / finished_by
        subprocess.run(["cp", "-r", str(folder), str(copy)], check=True)
        implementations[finished_by].train(CONFIG, data, copy, resume=True, verbose=0)
        assert_same_run(copy, undisturbed[begun_by], same_version=finished_by == begun_by)
        names = [begun_by] if finished_by == begun_by else [begun_by, finished_by]
        assert read_config(copy)["trained_by"] == names


class PowerFailure(BaseException):
    """Ends the program between any two files; nothing in the project catches it."""


def test_the_power_fails_before_or_after_a_write(implementations, data, tmp_path, monkeypatch):
    """Just before a file takes its place, and just after.

    Ten files take their place in this order: config; weights, history, steps and checkpoint of
    epoch 1; the same of epoch 2; the final weights.
    """
    # 330 images in batches of 110: no partial batch, so half as much to compile.
    config = dataclasses.replace(CONFIG, epochs=2, picture_epochs=(1,), batch_size=110)
    train = implementations["tf_vae"].train
    train(config, data, tmp_path / "whole", verbose=0)
    replace = files.os.replace
    for moment, after in [
        (2, False),
        (4, False),
        (4, True),
        (5, True),
        (6, True),
        (8, False),
        (9, False),
    ]:
        folder = tmp_path / f"{moment}-{after}"
        done = []

        def failing(source, target, moment=moment, after=after, done=done):
            if len(done) == moment and not after:
                raise PowerFailure
            replace(source, target)
            done.append(target.name)
            if len(done) > moment:
                raise PowerFailure

        with monkeypatch.context() as patch, pytest.raises(PowerFailure):
            patch.setattr(files.os, "replace", failing)
            train(config, data, folder, verbose=0)
        train(config, data, folder, resume=True, verbose=0)
        for name in ("weights.npz", "steps.csv", "checkpoints/last.npz"):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert history(folder) == history(tmp_path / "whole")
        assert not list(folder.rglob("*.partial"))


def test_a_longer_run_goes_on_from_the_end_of_a_shorter(
    implementation, undisturbed, data, tmp_path
):
    folder = tmp_path / "run"
    implementation.train(dataclasses.replace(CONFIG, epochs=5), data, folder, verbose=0)
    implementation.train(CONFIG, data, folder, resume=True, verbose=0)
    assert_same_run(folder, undisturbed[implementation.name])


def test_resume_without_a_finished_epoch_starts_at_step_0(implementation, data, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1)
    with Run(tmp_path / "run", config, data, implementation.name):
        pass  # the folder is opened, and no epoch finished
    assert (tmp_path / "run" / "config.json").exists()
    implementation.train(config, data, tmp_path / "run", resume=True, verbose=0)
    implementation.train(config, data, tmp_path / "new", resume=True, verbose=0)
    ours, new = (tmp_path / name / "weights.npz" for name in ("run", "new"))
    assert ours.read_bytes() == new.read_bytes()


# ---- refusals: nothing is written


def contents(folder):
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_folder_that_cannot_be_used_is_refused_and_left_alone(
    undisturbed, data, data_path, tmp_path
):
    folder = undisturbed["tf_vae"]
    before = contents(folder)
    changed = dataclasses.replace(data, sha256={**data.sha256, "x_train": "0"})
    short = dataclasses.replace(CONFIG, epochs=5)
    other = dataclasses.replace(CONFIG, latent_dim=3)
    for arguments, message in [
        ((folder, CONFIG, data, "tf_vae"), "already holds a run; give --resume, --overwrite"),
        ((folder, CONFIG, data, "tf_vae", True, True), "exclude each other"),
        ((folder, short, data, "tf_vae", True), "has run 36 steps, more than the 30"),
        ((folder, other, data, "tf_vae", True), "begun with latent_dim 2, not 3"),
        ((folder, CONFIG, changed, "tf_vae", True), "other data than bars"),
        ((data_path, CONFIG, data, "tf_vae"), "is a file"),
        ((data_path.parent, CONFIG, data, "tf_vae", False, True), "holds bars.npz and no run"),
    ]:
        with pytest.raises(UsageError, match=message) as refusal:
            Run(*arguments)
        assert "\n" not in str(refusal.value)
    assert contents(folder) == before


def test_a_run_that_ended_inside_an_epoch_is_not_made_longer(implementation, data, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=None, steps=8)
    implementation.train(config, data, tmp_path / "run", verbose=0)
    with pytest.raises(UsageError, match="ended inside an epoch"):
        Run(
            tmp_path / "run", dataclasses.replace(config, steps=20), data, implementation.name, True
        )


def test_two_processes_cannot_write_one_run(data, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1)
    with (
        Run(tmp_path, config, data, "tf_vae"),
        pytest.raises(UsageError, match="in use by another process"),
        Run(tmp_path, config, data, "tf_vae", True),
    ):
        pass


def test_overwrite_replaces_a_run_and_nothing_else(implementation, data, tmp_path):
    folder = tmp_path / "run"
    implementation.train(dataclasses.replace(CONFIG, epochs=2), data, folder, verbose=0)
    (folder / "notes.txt").write_text("mine")
    config = dataclasses.replace(CONFIG, epochs=1, seed=5)
    implementation.train(config, data, folder, overwrite=True, verbose=0)
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "weights_epoch_002.npz").exists()
    implementation.train(config, data, tmp_path / "new", verbose=0)
    assert (folder / "weights.npz").read_bytes() == (tmp_path / "new/weights.npz").read_bytes()


def test_a_broken_checkpoint_is_refused(undisturbed, data, tmp_path):
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", str(undisturbed["tf_vae"]), str(folder)], check=True)
    path = folder / "checkpoints" / "last.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UsageError, match="cannot read the checkpoint"):
        Run(folder, dataclasses.replace(CONFIG, epochs=7), data, "tf_vae", True)
