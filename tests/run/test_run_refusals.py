"""Refusals of a run directory, which is not changed by them."""

import dataclasses

import numpy as np
import pytest
from array_training import CONFIG, PowerFailure, contents, train

from shared.machine.checks import UsageError
from shared.run import files
from shared.run.state import Run


def test_a_refused_resume_leaves_the_run_as_it_was(data, tmp_path):
    """Neither checkpoint can be read; the message is about the last one."""
    with pytest.raises(PowerFailure):
        train(CONFIG, data, tmp_path, stop=2)
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "part").write_text("mine", encoding="utf-8")
    path = tmp_path / "checkpoints" / "last.npz"
    (tmp_path / "checkpoints" / "previous.npz").write_bytes(b"nothing")
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    longer = dataclasses.replace(CONFIG, epochs=5)
    flipped = bytearray(whole)
    flipped[whole.rindex(b"NUMPY") + 130] ^= 1  # after the header of the last array
    other = {name: array for name, array in arrays.items() if name != "decoder/logits/bias"}
    nan = {**arrays, "decoder/logits/bias": np.full(36, np.nan, np.float32)}
    history, one = arrays["history"], np.array([[0, 1, 0, 0, 0, 0, 0, 0]])  # one step
    for content, message in (
        (bytes(flipped), "cannot read .*CRC"),
        (other, "decoder/logits/bias is missing; expected float32 of shape"),
        (nan, "decoder/logits/bias holds NaN"),
        ({**arrays, "step": np.int64(2)}, "is of step 4 and holds step 2"),
        ({**arrays, "step": 4.0}, "step is float64 of shape"),
        ({**arrays, "history": history[:1]}, "is of step 4 and its last epoch ended at step 2"),
        ({**arrays, "history": history[[1, 1]]}, "lacks an epoch"),
        ({**arrays, "history": history[:, :-1]}, "history is float64 of shape"),
        ({**arrays, "history": history + one}, "is of step 4 and its last epoch"),
        ({**arrays, "history": history - one * [[1], [0]]}, "has epoch 1 end at step 1"),
        ({**arrays, "step_losses": np.zeros(3, np.float32)}, "has 3 losses of 4 steps"),
        ({**arrays, "step_losses": np.zeros(0, np.float32)}, "does not have the losses of the"),
        (whole[:200], "cannot read"),
    ):
        if isinstance(content, dict):
            files.write_npz(path, content, 4)
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
    (elsewhere / "loss.png").write_text("mine", encoding="utf-8")
    (directory / "notes.txt").write_text("mine", encoding="utf-8")
    # A link with the name of a file of the run is replaced, and its target is not changed.
    (directory / "weights.npz").unlink()
    (directory / "weights.npz").symlink_to(elsewhere / "loss.png")
    other = dataclasses.replace(CONFIG, epochs=1, seed=5)
    for name in ("figures", "exported", "checkpoints"):  # a link to a folder is refused
        real, link = directory / "real", directory / name
        if link.exists():
            link.rename(real)
        link.symlink_to(elsewhere)
        before = contents(directory)
        with pytest.raises(UsageError, match=f"{name} is not a folder"):
            train(other, data, directory, overwrite=True)
        assert contents(directory) == before and len(list(elsewhere.iterdir())) == 1
        link.unlink()
        if real.exists():
            real.rename(link)
    # A folder with the name of a file of the run is not removed, and nothing else is either.
    (directory / "metrics.json").mkdir()
    before = contents(directory)
    with pytest.raises(UsageError, match=r"metrics\.json is a folder"):
        train(other, data, directory, overwrite=True)
    assert contents(directory) == before
    (directory / "metrics.json").rmdir()
    train(other, data, directory, overwrite=True)
    assert (
        (elsewhere / "loss.png").read_text(encoding="utf-8")
        == (directory / "notes.txt").read_text(encoding="utf-8")
        == "mine"
    )
    assert not (directory / "weights_epoch_003.npz").exists()
    train(other, data, tmp_path / "new")
    for name in ("weights.npz", "config.json", "history.csv", "checkpoints/last.npz"):
        assert (directory / name).read_bytes() == (tmp_path / "new" / name).read_bytes()
    # A folder with another program's config.json is not cleared.
    (elsewhere / "config.json").write_text('{"name": "my thesis"}', encoding="utf-8")
    with pytest.raises(UsageError, match="is not the config of a run"):
        Run(elsewhere, CONFIG, data, "tf_vae", overwrite=True).check()
    assert sorted(contents(elsewhere)) == ["config.json", "loss.png"]


def test_a_folder_that_cannot_be_used_is_refused_and_not_changed(data, data_path, tmp_path):
    directory = tmp_path / "run"
    train(CONFIG, data, directory)
    before = contents(directory)
    changed = dataclasses.replace(data, sha256={**data.sha256, "x_train": "0"})
    short = dataclasses.replace(CONFIG, epochs=2)
    other = dataclasses.replace(CONFIG, latent_dim=3)
    for arguments, message in [
        ((directory, CONFIG, data, "tf_vae"), "already holds a run; give --resume, --overwrite"),
        ((directory, CONFIG, data, "tf_vae", True, True), "exclude each other"),
        ((directory, short, data, "tf_vae", True), "has run 6 steps, more than the requested 4"),
        ((directory, other, data, "tf_vae", True), "started with latent_dim 2, not 3"),
        ((directory, CONFIG, changed, "tf_vae", True), "other data than bars"),
        ((data_path, CONFIG, data, "tf_vae"), "is not a folder"),
        ((data_path.parent, CONFIG, data, "tf_vae", False, True), "holds bars.npz and no run"),
    ]:
        with pytest.raises(UsageError, match=message) as refusal:
            Run(*arguments).check()
        assert "\n" not in str(refusal.value)
    assert contents(directory) == before


def test_a_length_inside_an_epoch_or_with_a_decay_cannot_be_changed(data, tmp_path):
    inside = dataclasses.replace(CONFIG, epochs=None, steps=3)
    train(inside, data, tmp_path / "inside")
    with pytest.raises(UsageError, match="ended inside an epoch"):
        longer = dataclasses.replace(inside, steps=8)
        Run(tmp_path / "inside", longer, data, "tf_vae", True).check()
    falling = dataclasses.replace(CONFIG, learning_rate_decay=10.0)
    train(falling, data, tmp_path / "falling")
    with pytest.raises(UsageError, match="over which its learning rate falls"):
        longer = dataclasses.replace(falling, epochs=5)
        Run(tmp_path / "falling", longer, data, "tf_vae", True).check()
