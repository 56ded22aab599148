"""The command line, end to end on small real data, and the messages for bad input."""

import contextlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from shared.command.line import main
from shared.run.folder import COLUMNS, read_config, read_history

SMALL = ["--hidden-dims", "32", "--epochs", "2", "--picture-epochs", "1", "--data", "mnist-5k"]


def run(package, *arguments, cwd, **environment):
    """Runs a command as a user does, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", package, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run of each implementation, at the default path."""
    folder = tmp_path_factory.mktemp("cli")
    arguments = ["train", *SMALL, "--seed", "4"]
    done = run("keras_vae", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "seed 4" in done.stdout and "mnist-5k" in done.stdout and "x: grey" in done.stdout
    assert done.stderr == ""
    # Without a process of its own, which would first import TensorFlow.
    with contextlib.chdir(folder):
        assert main("tf_vae", arguments) == 0
    return folder / "runs"


@pytest.mark.parametrize("package", ["keras_vae", "tf_vae"])
def test_train_writes_the_run_directory(trained, package):
    folder = trained / f"{package}-post-keras-seed4"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} >= {
        "config.json",
        "history.csv",
        "metrics.json",
        "weights.npz",
        "weights_epoch_001.npz",
        "weights_epoch_002.npz",
        "checkpoints/last.npz",
        "figures/latent_epoch_001.png",
        "figures/latent_epoch_002.png",
        "figures/manifold_epoch_001.png",
        "figures/manifold_epoch_002.png",
        "figures/loss.png",
    }
    assert (folder / "history.csv").read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    assert [row["step"] for row in read_history(folder)] == [40, 80]
    config = read_config(folder)
    assert (config["seed"], config["hidden_dims"], config["trained_by"]) == (4, [32], [package])
    assert config["data"]["name"] == "mnist-5k"
    metric = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["test_loss"]
    assert metric["n"] == 1000 and metric["x"] == "grey" and metric["seed"] == 4
    assert {"value", "unit", "samples", "data", "versions", "seconds"} <= metric.keys()
    # Validation of the last epoch is the same measurement, as a float32 running mean.
    assert metric["value"] == pytest.approx(read_history(folder)[-1]["val_loss"], rel=1e-5)
    with np.load(folder / "weights.npz") as weights:
        assert weights["encoder/hidden_1/kernel"].shape == (784, 32)
        assert weights["decoder/logits/kernel"].shape == (32, 784)
    assert Image.open(folder / "figures" / "latent_epoch_001.png").size[0] > 600


def test_the_two_command_lines_make_the_same_weights(trained):
    paths = [trained / f"{p}-post-keras-seed4" / "weights.npz" for p in ("keras_vae", "tf_vae")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_either_implementation_handles_a_run_of_the_other(trained):
    folder = trained / "keras_vae-post-keras-seed4"
    before = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert main("tf_vae", ["evaluate", str(folder), "--samples", "1"]) == 0
    after = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert after["test_loss"]["value"] == before["test_loss"]["value"]

    # The importance bound at K = 1 is an estimate of the ELBO, and it grows with K.
    bounds = []
    for package, k in (("keras_vae", 1), ("tf_vae", 20), ("keras_vae", 20)):
        assert main(package, ["evaluate", str(folder), "--importance-samples", str(k)]) == 0
        metric = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))[
            "test_importance_bound"
        ]
        assert (metric["samples"], metric["n"]) == (k, 1000)
        bounds.append(metric["value"])
    assert bounds[0] < bounds[1] == bounds[2]
    # 0.5 nats: both are means over 1000 images, at one sample each.
    assert abs(bounds[0] + before["test_loss"]["value"]) < 0.5

    assert main("tf_vae", ["sample", str(folder), "--count", "6", "--seed", "1"]) == 0
    with np.load(folder / "samples.npz") as samples:
        assert samples["z"].shape == (6, 2) and samples["probs"].shape == (6, 784)
        first = samples["probs"]
    assert main("keras_vae", ["sample", str(folder), "--count", "6", "--seed", "1"]) == 0
    with np.load(folder / "samples.npz") as samples:
        assert samples["probs"].tobytes() == first.tobytes()

    pictures = {path: path.read_bytes() for path in (folder / "figures").iterdir()}
    for path in pictures:
        path.unlink()
    assert main("tf_vae", ["figures", str(folder)]) == 0
    assert {path: path.read_bytes() for path in (folder / "figures").iterdir()} == pictures


@pytest.mark.long
def test_a_finished_run_is_said_to_be_complete_and_can_be_made_longer(trained, monkeypatch, capsys):
    arguments = ["train", *SMALL, "--seed", 4, "--resume"]
    monkeypatch.chdir(trained.parent)
    assert main("keras_vae", list(map(str, arguments))) == 0
    assert "already complete" in capsys.readouterr().out
    # A missing figure is drawn again, although metrics.json exists.
    picture = trained / "keras_vae-post-keras-seed4" / "figures" / "latent_epoch_001.png"
    content = picture.read_bytes()
    picture.unlink()
    assert main("keras_vae", list(map(str, arguments))) == 0
    assert "already complete" not in capsys.readouterr().out
    assert picture.read_bytes() == content
    longer = [*arguments, "--epochs", 3, "--out", "runs/tf_vae-post-keras-seed4"]
    assert main("keras_vae", list(map(str, longer))) == 0
    folder = trained / "tf_vae-post-keras-seed4"
    assert [row["epoch"] for row in read_history(folder)] == [1, 2, 3]
    assert read_config(folder)["trained_by"] == ["tf_vae", "keras_vae"]
    assert (folder / "figures" / "latent_epoch_003.png").exists()


@pytest.mark.long
def test_without_network_and_mnist_one_line_names_the_data(tmp_path, monkeypatch, capsys):
    for name, value in (
        ("MNIST_NPZ", ""), ("KERAS_HOME", str(tmp_path)), ("https_proxy", "http://127.0.0.1:9"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--recipe", "post-tf", "--steps", "3", "--hidden-dims", "16"]
    assert main("tf_vae", arguments) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "mnist-5k" in line
    folder = tmp_path / "runs" / "tf_vae-post-tf-seed0"
    assert read_config(folder)["data"]["name"] == "mnist-5k"
    assert len((folder / "steps.csv").read_text(encoding="utf-8").splitlines()) == 4
    assert (folder / "figures" / "samples_epoch_001.png").exists()
    assert (folder / "figures" / "reconstructions_epoch_001.png").exists()


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["train", "--epochs", "-1"], {}, "epochs is -1"),
        (["train", "--latent-dim", "0"], {}, "latent_dim is 0"),
        (["train", "--recipe", "nope"], {}, "recipe is 'nope'"),
        (["train", "--epochs", "2", "--steps", "2"], {}, "exclude each other"),
        (["train", "--data", "gone.npz"], {}, "no data at gone.npz"),
        (["train", "--data", "bad.npz"], {}, "cannot read bad.npz"),
        (["train", *SMALL, "--out", "taken"], {}, "already holds a run"),
        (["train", *SMALL, "--out", "bad.npz"], {}, "bad.npz is not a folder"),
        (["train", *SMALL], {"KERAS_BACKEND": "theano"}, "KERAS_BACKEND names"),
        (["train"], {"MNIST_NPZ": "bad.npz"}, "cannot read bad.npz"),
        (["evaluate", "gone"], {}, "holds no run"),
        (["evaluate", "taken", "--samples", "0"], {}, "--samples is 0"),
        (["evaluate", "taken"], {}, "has no weights.npz"),
        (["train", "--likelihood", "gaussian", "--fixed-sigma", "0"], {}, "fixed_sigma is 0"),
        (["train", "--fixed-sigma", "1"], {}, "only likelihood gaussian takes it"),
        (["train", "--likelihood", "categorical", "--levels", "1"], {}, "levels is 1"),
        (["figures", "gone"], {}, "holds no run"),
        (["sample", "gone"], {}, "holds no run"),
        (["sample", "taken", "--count", "0"], {}, "--count is 0"),
    ],
)
def test_bad_input_gets_one_line_and_writes_nothing(
    trained, tmp_path, monkeypatch, capsys, arguments, environment, message
):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "taken").mkdir()
    config = trained / "keras_vae-post-keras-seed4" / "config.json"
    (tmp_path / "taken" / "config.json").write_bytes(config.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for package in ("keras_vae", "tf_vae"):
        assert main(package, arguments) == 2
        written = capsys.readouterr()
        assert written.out == ""
        (line,) = written.err.splitlines()
        assert message in line
    assert sorted(tmp_path.rglob("*")) == before


def test_bad_input_ends_a_process_with_the_same_status_and_message_as_main(tmp_path):
    done = run("tf_vae", "evaluate", "gone", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gone holds no run (no config.json)\n"


def test_a_users_keras_json_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "")
    monkeypatch.chdir(tmp_path)
    for text, message in (
        ('{"floatx": "float64"}', "floatx 'float64'; expected 'float32'"),
        ('{"backend": "jax"}', "'jax'; tf_vae needs tensorflow"),
    ):
        (tmp_path / "keras.json").write_text(text, encoding="utf-8")
        assert main("tf_vae", ["train", *SMALL]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
