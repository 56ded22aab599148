"""A run that is interrupted and resumed, by either implementation, ends with the same bits."""

import dataclasses
import shutil
import signal
import subprocess
import sys

import pytest
from bits import history

from shared.command.implementation import import_implementation
from shared.config import recipe
from shared.run.folder import read_config, read_history, run_data
from shared.run.state import Run

CONFIG = recipe(
    "post-keras",
    epochs=6,
    picture_epochs=(1, 5),
    hidden_dims=(16,),
    batch_size=60,
    step_losses=True,
)
OTHER = {"keras_vae": "tf_vae", "tf_vae": "keras_vae"}


@pytest.fixture(scope="module")
def undisturbed(implementations, data, tmp_path_factory):
    """The folder of an uninterrupted run of six epochs, by each implementation."""
    folders = {}
    for name, implementation in implementations.items():
        folders[name] = tmp_path_factory.mktemp("undisturbed") / name
        # A folder that does not exist yet can be resumed: nothing is in it.
        implementation.train(CONFIG, data, folders[name], resume=True, verbose=0)
    return folders


def assert_same_run(folder, expected):
    names = ["weights.npz", "weights_epoch_005.npz", "weights_epoch_006.npz", "steps.csv"]
    for name in [*names, "checkpoints/last.npz"]:
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert history(folder) == history(expected)


KILLED = """
import os, signal
from shared.command.implementation import import_implementation
from shared.config import from_dict
from shared.data import load_data

def on_epoch(row):
    if row["epoch"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)

config = from_dict({config!r})
implementation = import_implementation({implementation!r})
implementation.train(config, load_data({data!r}), {folder!r}, verbose=0, on_epoch=on_epoch)
"""


@pytest.mark.long
@pytest.mark.parametrize("begun_by", OTHER)
def test_killed_after_epoch_3_of_6(
    begun_by, implementations, undisturbed, data, data_path, tmp_path
):
    folder = tmp_path / "run"
    code = KILLED.format(
        implementation=begun_by,
        config=dataclasses.asdict(CONFIG),
        data=str(data_path),
        folder=str(folder),
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [row["epoch"] for row in read_history(folder)] == [1, 2, 3]
    assert not (folder / "weights.npz").exists()

    for finished_by in OTHER:
        copy = tmp_path / finished_by
        subprocess.run(["cp", "-r", str(folder), str(copy)], check=True)
        implementations[finished_by].train(CONFIG, data, copy, resume=True, verbose=0)
        assert_same_run(copy, undisturbed[begun_by])
        names = [begun_by] if finished_by == begun_by else [begun_by, finished_by]
        assert read_config(copy)["trained_by"] == names


@pytest.mark.long
def test_a_longer_run_continues_from_the_end_of_a_shorter_one(
    implementation, undisturbed, data, tmp_path
):
    folder = tmp_path / "run"
    implementation.train(dataclasses.replace(CONFIG, epochs=5), data, folder, verbose=0)
    implementation.train(CONFIG, data, folder, resume=True, verbose=0)
    assert_same_run(folder, undisturbed[implementation.name])


@pytest.mark.either
def test_resume_without_a_finished_epoch_starts_at_step_0(
    implementation, undisturbed, data, tmp_path
):
    config = dataclasses.replace(CONFIG, epochs=1)
    with Run(tmp_path / "run", config, data, implementation.name) as run:
        run.begin()  # the folder is created, but no epoch is finished
    assert (tmp_path / "run" / "config.json").exists()
    implementation.train(config, data, tmp_path / "run", resume=True, verbose=0)
    expected = undisturbed[implementation.name] / "weights_epoch_001.npz"
    assert (tmp_path / "run" / "weights.npz").read_bytes() == expected.read_bytes()


def test_a_missing_file_is_written_again_from_the_checkpoint(implementation, undisturbed, tmp_path):
    """Also by the other implementation, which is not then listed in `trained_by`."""
    folder, expected = tmp_path / "run", undisturbed[implementation.name]
    shutil.copytree(expected, folder)
    lost = ["weights.npz", "weights_epoch_006.npz"]
    for name in lost:
        (folder / name).unlink()
    other = OTHER[implementation.name]
    _, run = import_implementation(other).train(CONFIG, run_data(expected), folder, resume=True)
    assert run.trained_by == read_config(folder)["trained_by"] == [implementation.name]
    for name in lost:
        assert (folder / name).read_bytes() == (expected / name).read_bytes()


UNEVEN = dataclasses.replace(CONFIG, epochs=2, picture_epochs=(2,))  # six steps per epoch


class Killed(BaseException):
    """Ends a training inside an epoch."""


@pytest.fixture(scope="module")
def partial(uneven_data, data):
    """330 images, of which the last batch of an epoch holds 30, and one batch of an evaluation."""
    return dataclasses.replace(uneven_data, x_test=data.x_test, y_test=data.y_test)


@pytest.fixture(scope="module")
def uneven(implementations, partial, tmp_path_factory):
    """The folder of an uninterrupted run of UNEVEN."""
    folder = tmp_path_factory.mktemp("uneven") / "run"
    implementations["tf_vae"].train(UNEVEN, partial, folder, verbose=0)
    return folder


LONG = pytest.mark.long


@pytest.mark.parametrize(
    "every, begun_by, resumed_by",
    [
        (1, "keras_vae", "tf_vae"),
        (4, "tf_vae", "keras_vae"),
        pytest.param(4, "keras_vae", "tf_vae", marks=LONG),
        pytest.param(1, "tf_vae", "keras_vae", marks=LONG),
        pytest.param(4, "keras_vae", "keras_vae", marks=LONG),
        pytest.param(4, "tf_vae", "tf_vae", marks=LONG),
    ],
)
def test_a_run_that_ends_inside_an_epoch_continues_there(
    every, begun_by, resumed_by, implementations, partial, uneven, tmp_path, monkeypatch
):
    """Killed at step 8, the second of epoch 2; the running means of its row continue, too."""
    save = Run.save_inside_epoch

    def save_and_die(run, step, *arguments):
        save(run, step, *arguments)
        if step == 8:
            raise Killed

    directory = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Run, "save_inside_epoch", save_and_die)
        implementations[begun_by].train(
            UNEVEN, partial, directory, verbose=0, checkpoint_steps=every
        )
    state = Run(directory, UNEVEN, partial, resumed_by, resume=True)
    assert (state.step, len(state.history), len(state.step_losses)) == (8, 1, 8)
    implementations[resumed_by].train(UNEVEN, partial, directory, resume=True, verbose=0)
    for name in ("weights.npz", "steps.csv", "checkpoints/last.npz"):
        assert (directory / name).read_bytes() == (uneven / name).read_bytes(), name
    assert history(directory) == history(uneven)


def test_checkpoints_inside_an_epoch_change_no_bit(implementation, undisturbed, data, tmp_path):
    folder = tmp_path / "run"
    implementation.train(CONFIG, data, folder, verbose=0, checkpoint_steps=2)
    assert_same_run(folder, undisturbed[implementation.name])
