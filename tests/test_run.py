"""The run directory, driven with NumPy arrays: what it holds after a failure at any moment."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.config import UsageError, recipe
from shared.run import files, folder
from shared.run.folder import missing_products, read_config, read_run_weights
from shared.run.run import Run, read_checkpoint
from shared.weights import weight_shapes

CONFIG = recipe(
    "post-keras",
    epochs=3,
    picture_epochs=(1, 3),
    hidden_dims=(3,),
    batch_size=200,
    step_losses=True,
)  # 330 images: two steps per epoch


def weights_at(step, config=CONFIG):
    """Weights that are a function of the step, as those of a real training are."""
    shapes = weight_shapes(config, 36)
    return {name: np.full(shape, step, np.float32) for name, shape in shapes.items()}


def train(config, data, directory, implementation="tf_vae", stop=None, **options):
    """What `train` does with a Run, without a model; `stop` is an epoch to fail after."""
    with Run(directory, config, data, implementation, **options) as run:
        if run.checkpoint:
            restored = read_checkpoint(run.checkpoint, weight_shapes(config, 36))
            assert (restored["encoder/z_mean/bias"] == run.step).all()
        run.begin()
        for epoch, start, end in config.epoch_ends(len(data.x_train), run.step):
            losses = np.float32(100) / np.arange(start + 1, end + 1, dtype=np.float32)
            row = dict.fromkeys(folder.COLUMNS, float(epoch)) | {"epoch": epoch, "step": end}
            weights = weights_at(end, config)
            run.finish_epoch(row, losses, weights, {"step": np.int64(end), **weights})
            if epoch == stop:
                raise PowerFailure
        save = None
        if implementation == "keras_vae":

            def save(path):
                np.savez(path.with_suffix(".npz"), **weights_at(run.step, config))
                path.with_suffix(".npz").rename(path)

        run.finish(weights_at(run.step, config), save)
    return run


class PowerFailure(BaseException):
    """Ends the program between any two changes of the folder; nothing in the project catches it."""


def contents(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


CHANGES = ((os, "replace"), (Path, "unlink"), (shutil, "rmtree"))


def changes_until(monkeypatch, count, after, action):
    """Run `action`, failing before or after the folder's change number `count`; whether it did."""
    done = []
    with monkeypatch.context() as patch:
        for owner, name in CHANGES:
            original = getattr(owner, name)

            def changed(*arguments, original=original, **options):
                if len(done) == count and not after:
                    raise PowerFailure
                result = original(*arguments, **options)
                done.append(arguments)
                if len(done) > count and after:
                    raise PowerFailure
                return result

            patch.setattr(owner, name, changed)
        try:
            action()
        except PowerFailure:
            return True
    return False


def begun(kind, data, directory):
    """A folder as a failing command finds it, and that command's config and options."""
    if kind == "new":
        return CONFIG, {}
    train(CONFIG, data, directory, "keras_vae")
    (directory / "metrics.json").write_text('{"test_loss": {"value": 1, "unit": "", "step": 6}}')
    (directory / "figures").mkdir()
    (directory / "figures" / "loss.png").write_bytes(b"old")
    if kind == "extended":
        return dataclasses.replace(CONFIG, epochs=5), {"resume": True}
    return dataclasses.replace(CONFIG, seed=1, hidden_dims=(4,)), {"overwrite": True}


@pytest.mark.parametrize("kind", ["new", "extended", "overwritten"])
@pytest.mark.parametrize("implementation", ["keras_vae", "tf_vae"])
def test_the_power_fails_at_any_change_of_the_folder(
    kind, implementation, data, tmp_path, monkeypatch
):
    """Before and after every rename and removal: the same command, resumed, ends the same."""
    moment = 0
    for moment in range(200):
        outcomes = []
        for after in (False, True):
            directory = tmp_path / f"{moment}-{after}"
            config, options = begun(kind, data, directory)
            outcomes.append(
                changes_until(
                    monkeypatch,
                    moment,
                    after,
                    lambda d=directory, c=config, o=options: train(c, data, d, implementation, **o),
                )
            )
            if outcomes[-1]:
                # What is there says what it is: nothing of another step passes for the end.
                if (directory / "weights.npz").exists():
                    _assert_weights_are_of_their_step(directory)
                again = options if kind == "overwritten" else {"resume": True}
                train(config, data, directory, implementation, **again)
            whole = tmp_path / "whole"
            if not whole.exists():
                config, options = begun(kind, data, whole)
                train(config, data, whole, implementation, **options)
            assert contents(directory) == contents(whole), (moment, after)
        if not any(outcomes):
            break
    # config, 4 files per epoch (5 where it is pictured), the final weights at least
    assert moment > {"new": 10, "extended": 10, "overwritten": 15}[kind]


def _assert_weights_are_of_their_step(directory):
    values = read_config(directory)
    config = recipe("post-keras", **{
        name: values[name]
        for name in ("epochs", "picture_epochs", "hidden_dims", "batch_size", "step_losses", "seed")
    })  # fmt: skip
    try:
        _, weights = read_run_weights(directory)
    except UsageError as error:
        assert "finish the run with --resume" in str(error)
    else:
        total = config.total_steps(values["data"]["n_train"])
        assert all((array == total).all() for array in weights.values())


def test_an_interrupted_extension_serves_no_stale_weights(data, tmp_path):
    train(CONFIG, data, tmp_path, "keras_vae")
    longer = dataclasses.replace(CONFIG, epochs=5)
    with pytest.raises(PowerFailure):
        train(longer, data, tmp_path, "keras_vae", stop=4, resume=True)
    for name in ("weights.npz", "model.keras"):
        assert not (tmp_path / name).exists()
    with pytest.raises(UsageError, match=r"has no weights\.npz; finish the run with --resume"):
        read_run_weights(tmp_path)
    assert read_run_weights(tmp_path, 3)[1]["encoder/z_mean/bias"][0] == 6  # of epoch 3, still
    # Weights of another step that lie there all the same are refused.
    files.write_npz(tmp_path / "weights.npz", weights_at(6), 6)
    with pytest.raises(UsageError, match="is of step 6, not of step 10"):
        read_run_weights(tmp_path)


def test_a_finished_run_is_complete_only_with_all_its_products(data, tmp_path):
    """Each product in turn is lost; the checkpoint restores what it can."""
    train(CONFIG, data, tmp_path)
    assert missing_products(tmp_path, CONFIG, 330) == [
        *(f"figures/{kind}_epoch_{e:03d}.png" for e in (1, 3) for kind in ("latent", "manifold")),
        "figures/loss.png",
        "metrics.json",
    ]
    (tmp_path / "figures").mkdir()
    for name in folder.figure_names(CONFIG, 330):
        (tmp_path / "figures" / name).write_bytes(b"")
    metric = {"value": 1.0, "unit": "nats", "step": 6}
    names = ("test_loss", "train_loss")
    files.write_json(tmp_path / "metrics.json", dict.fromkeys(names, metric))
    assert Run(tmp_path, CONFIG, data, "tf_vae", resume=True).complete
    for name in ("weights.npz", "weights_epoch_003.npz", "figures/loss.png", "metrics.json"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        run = Run(tmp_path, CONFIG, data, "keras_vae", resume=True)
        assert not run.complete and run.trained_by == ["tf_vae"]
        if name.startswith("weights"):
            train(CONFIG, data, tmp_path, resume=True)
            assert (tmp_path / name).read_bytes() == content
        (tmp_path / name).write_bytes(content)
    # A metric of an earlier length does not count as the mark of an end.
    files.write_json(tmp_path / "metrics.json", {name: {**metric, "step": 4} for name in names})
    assert not Run(tmp_path, CONFIG, data, "tf_vae", resume=True).complete
    # The weights of an earlier epoch are in no checkpoint.
    (tmp_path / "weights_epoch_001.npz").unlink()
    with pytest.raises(UsageError, match=r"has lost weights_epoch_001\.npz"):
        Run(tmp_path, CONFIG, data, "tf_vae", resume=True)


def test_a_refused_resume_leaves_the_run_as_it_was(data, tmp_path):
    train(CONFIG, data, tmp_path)
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "part").write_text("mine")
    path = tmp_path / "checkpoints" / "last.npz"
    whole = path.read_bytes()
    longer = dataclasses.replace(CONFIG, epochs=5)
    flipped = bytearray(whole)
    flipped[whole.rindex(b"NUMPY") + 130] ^= 1  # behind the header of the last array
    other = {**weights_at(6), "step": np.int64(6)}
    del other["decoder/logits/bias"]
    nan = {**weights_at(6), "step": np.int64(6)}
    nan["decoder/logits/bias"][3] = np.nan
    for content, message in (
        (bytes(flipped), "cannot read .*CRC"),
        (other, "decoder/logits/bias is missing; expected float32 of shape"),
        (nan, "decoder/logits/bias holds NaN"),
        ({**weights_at(6), "step": np.int64(4)}, "is of step 6 and holds step 4"),
        ({**weights_at(6), "step": 6.0}, "step is float64 of shape"),
        (whole[:200], "cannot read the checkpoint"),
    ):
        if isinstance(content, dict):
            files.write_npz(path, content, 6)
        else:
            path.write_bytes(content)
        before = contents(tmp_path)
        with pytest.raises(UsageError, match=message) as refusal:
            train(longer, data, tmp_path, resume=True)
        assert "\n" not in str(refusal.value)
        assert contents(tmp_path) == before
    path.write_bytes(whole)
    assert train(longer, data, tmp_path, resume=True).step == 10


def test_overwrite_clears_a_run_and_nothing_else(data, tmp_path):
    directory, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    train(CONFIG, data, directory)
    elsewhere.mkdir()
    (elsewhere / "loss.png").write_text("mine")
    (directory / "figures").symlink_to(elsewhere)
    (directory / "notes.txt").write_text("mine")
    # A link of a name that the run writes is replaced, and what it points to is left alone.
    (directory / "weights.npz").unlink()
    (directory / "weights.npz").symlink_to(elsewhere / "loss.png")
    other = dataclasses.replace(CONFIG, epochs=1, seed=5)
    train(other, data, directory, overwrite=True)
    assert (elsewhere / "loss.png").read_text() == (directory / "notes.txt").read_text() == "mine"
    assert not (directory / "weights_epoch_003.npz").exists()
    train(other, data, tmp_path / "new")
    for name in ("weights.npz", "config.json", "history.csv", "checkpoints/last.npz"):
        assert (directory / name).read_bytes() == (tmp_path / "new" / name).read_bytes()
    # A folder with another program's config.json is not ours to clear.
    (elsewhere / "config.json").write_text('{"name": "my thesis"}')
    with pytest.raises(UsageError, match="is not the config of a run"):
        Run(elsewhere, CONFIG, data, "tf_vae", overwrite=True)
    assert sorted(contents(elsewhere)) == ["config.json", "loss.png"]


def test_a_folder_that_cannot_be_used_is_refused_and_left_alone(data, data_path, tmp_path):
    directory = tmp_path / "run"
    train(CONFIG, data, directory)
    before = contents(directory)
    changed = dataclasses.replace(data, sha256={**data.sha256, "x_train": "0"})
    short = dataclasses.replace(CONFIG, epochs=2)
    other = dataclasses.replace(CONFIG, latent_dim=3)
    for arguments, message in [
        ((directory, CONFIG, data, "tf_vae"), "already holds a run; give --resume, --overwrite"),
        ((directory, CONFIG, data, "tf_vae", True, True), "exclude each other"),
        ((directory, short, data, "tf_vae", True), "has run 6 steps, more than the 4"),
        ((directory, other, data, "tf_vae", True), "begun with latent_dim 2, not 3"),
        ((directory, CONFIG, changed, "tf_vae", True), "other data than bars"),
        ((data_path, CONFIG, data, "tf_vae"), "is a file"),
        ((data_path.parent, CONFIG, data, "tf_vae", False, True), "holds bars.npz and no run"),
    ]:
        with pytest.raises(UsageError, match=message) as refusal:
            Run(*arguments)
        assert "\n" not in str(refusal.value)
    assert contents(directory) == before


def test_a_length_that_ends_inside_an_epoch_or_drives_a_schedule_stays(data, tmp_path):
    inside = dataclasses.replace(CONFIG, epochs=None, steps=3)
    train(inside, data, tmp_path / "inside")
    with pytest.raises(UsageError, match="ended inside an epoch"):
        Run(tmp_path / "inside", dataclasses.replace(inside, steps=8), data, "tf_vae", True)
    falling = dataclasses.replace(CONFIG, learning_rate_decay=10.0)
    train(falling, data, tmp_path / "falling")
    with pytest.raises(UsageError, match="over which its step size falls"):
        Run(tmp_path / "falling", dataclasses.replace(falling, epochs=5), data, "tf_vae", True)


def test_a_damaged_history_is_refused_on_resume(data, tmp_path):
    train(CONFIG, data, tmp_path)
    longer = dataclasses.replace(CONFIG, epochs=5)
    for name, change, message in (
        ("history.csv", lambda text: text[:-30], "history"),
        ("history.csv", lambda text: "".join(text.splitlines(True)[:-1]), "lacks the row of step"),
        ("history.csv", lambda text: text + text.splitlines(True)[-1], "epochs are not 1, 2, 3"),
        ("history.csv", lambda text: text.replace("epoch,step", "a,b"), "lacks the columns epoch"),
        ("steps.csv", lambda text: "".join(text.splitlines(True)[:-2]), "lacks steps before step"),
        ("steps.csv", lambda text: text.replace("\n3,", "\n4,"), "losses of steps 1, 2, 3"),
    ):
        path = tmp_path / name
        whole = path.read_text()
        path.write_text(change(whole))
        with pytest.raises(UsageError, match=message):
            Run(tmp_path, longer, data, "tf_vae", resume=True)
        path.write_text(whole)


HOLDS = """
import sys
from shared.run.folder import locked

with locked(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_two_processes_cannot_use_one_run(data, tmp_path):
    """The state is read under the lock: what another process trained meanwhile is not repeated."""
    early = Run(tmp_path, CONFIG, data, "tf_vae", resume=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(UsageError, match="in use by another process"), early:
            pass
        other.communicate("")
    train(CONFIG, data, tmp_path)
    with early:
        assert early.step == 6 and len(early.history) == 3
    fresh = Run(tmp_path / "other", CONFIG, data, "tf_vae")
    train(CONFIG, data, tmp_path / "other")
    before = contents(tmp_path / "other")
    with pytest.raises(UsageError, match="already holds a run"), fresh:
        pass
    assert contents(tmp_path / "other") == before


def test_a_link_of_a_partial_files_name_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "mine").write_text("mine")
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "0")
    (tmp_path / ".metrics.json.0.partial").symlink_to(tmp_path / "mine")
    with pytest.raises(FileExistsError):
        files.write_json(tmp_path / "metrics.json", {})
    assert (tmp_path / "mine").read_text() == "mine" and not (tmp_path / "metrics.json").exists()


def test_versions_name_tensorflow_under_any_distribution(monkeypatch):
    real = folder.metadata.version

    def version(name):
        if name == "tensorflow":
            raise folder.metadata.PackageNotFoundError(name)
        return "2.21.0" if name == "tensorflow-cpu" else real(name)

    distributions = {"tensorflow": ["tensorflow-cpu"]}
    monkeypatch.setattr(folder.metadata, "version", version)
    monkeypatch.setattr(folder.metadata, "packages_distributions", lambda: distributions)
    assert folder.versions()["tensorflow"] == "2.21.0"
    distributions.clear()
    assert folder.versions()["tensorflow"] == "unknown"
