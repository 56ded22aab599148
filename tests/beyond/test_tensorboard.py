"""TensorBoard reads the same values as the run wrote to its own files."""

import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from shared.beyond.tensorboard import check_installed
from shared.command.line import main
from shared.machine.checks import UsageError
from shared.run.folder import read_history


def test_a_missing_package_is_reported_before_anything_is_written(monkeypatch, capsys, tmp_path):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find_spec(name)
    )
    with pytest.raises(UsageError, match=r"pip install -r requirements/extras\.txt"):
        check_installed()
    out, board = tmp_path / "run", tmp_path / "board"
    assert main("tf_vae", ["train", "--out", str(out), "--tensorboard", str(board)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not out.exists() and not board.exists()


@pytest.mark.extras
@pytest.mark.parametrize("package", ["keras_vae", "tf_vae"])
def test_scalars_figures_and_latents(package, data, data_path, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, board = tmp_path / "run", tmp_path / "board"
    arguments = ["train", "--data", str(data_path), "--hidden-dims", "8", "--out", str(out)]
    arguments += ["--tensorboard", str(board)]
    assert main(package, [*arguments, "--epochs", "2"]) == 0
    assert main(package, [*arguments, "--epochs", "3", "--resume"]) == 0

    events = EventAccumulator(str(board), size_guidance={"images": 0}).Reload()
    history = read_history(out)
    for tag, column in (("loss/train", "loss"), ("loss/test", "val_loss"), ("kl/test", "val_kl")):
        scalars = [(event.step, event.value) for event in events.Scalars(tag)]
        assert [step for step, _ in scalars] == [row["step"] for row in history] == [3, 6, 9]
        # Events have float32 values, the CSV has nine digits.
        values = [value for _, value in scalars]
        np.testing.assert_allclose(values, [row[column] for row in history], rtol=1e-6)
    picture = events.Images("latent_epoch_003")[0].encoded_image_string
    drawn = Image.open(out / "figures" / "latent_epoch_003.png").convert("RGB")
    assert (np.asarray(Image.open(io.BytesIO(picture))) == np.asarray(drawn)).all()
    latents = np.loadtxt(board / "latents.tsv")
    labels = (board / "labels.tsv").read_text(encoding="utf-8").split()
    assert latents.shape == (500, 2)
    assert sorted(map(int, labels)) == sorted(data.y_test)
    config = (board / "projector_config.pbtxt").read_text(encoding="utf-8")
    assert '"latents.tsv"' in config and '"labels.tsv"' in config
