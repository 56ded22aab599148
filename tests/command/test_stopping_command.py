"""--patience and --weights on the command line, from the training to the exported model."""

import numpy as np
import pytest

from shared.command.line import main
from shared.run.folder import BEST, read_config, read_history, read_metrics

# As in tests/training/test_callbacks.py: the best epoch is the fourth, and the fifth is worse.
FLAGS = ["--hidden-dims", "8", "--batch-size", "60", "--learning-rate", "0.05", "--epochs", "7"]
FLAGS += ["--patience", "1"]


@pytest.fixture(scope="module")
def stopped(data_path, tmp_path_factory):
    """The words of a command that trains, and the folder of its run, which has stopped."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    words = ["train", *FLAGS, "--data", str(data_path), "--out", str(folder)]
    assert main("tf_vae", words) == 0
    return words, folder


def test_the_run_is_finished_and_says_why(stopped, capsys):
    words, folder = stopped
    assert len(read_history(folder)) == 5 and (folder / BEST).exists()
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "latent_epoch_005.png",
        "manifold_epoch_005.png",
        "loss.png",
    }
    advice = "give a larger --patience or leave it out"
    for more in ([], ["--epochs", "70"]):
        assert main("keras_vae", [*words, "--resume", *more]) == 0
        line = f"{folder}: already complete; stopped by patience 1 after epoch 5; {advice}\n"
        assert capsys.readouterr().out == line
    assert main("tf_vae", ["figures", str(folder)]) == 0
    assert f"{folder}/figures/latent_epoch_005.png" in capsys.readouterr().out


def test_the_best_weights_have_metrics_of_their_own(stopped, capsys):
    _, folder = stopped
    before = read_metrics(folder)
    assert before["test_loss"]["watched"] == read_config(folder)["watched"] == "test"
    assert main("tf_vae", ["evaluate", str(folder), "--samples", "1", "--weights", "best"]) == 0
    after, history = read_metrics(folder), read_history(folder)
    assert {name: after[name] for name in before} == before
    best = {name: metric for name, metric in after.items() if name not in before}
    assert best.keys() >= {f"{name}_best" for name in before} | {"active_units_best"}
    assert {"test_knn_accuracy_best", "dead_units_encoder_hidden_1_best"} <= best.keys()
    assert all(metric["weights"] == "best" and metric["step"] == 20 for metric in best.values())
    # Validation measures the same, as a float32 running mean.
    loss = best["test_loss_best"]["value"]
    assert loss == pytest.approx(history[3]["val_loss"], rel=1e-5) != after["test_loss"]["value"]
    # Another evaluation of the end keeps them.
    assert main("tf_vae", ["evaluate", str(folder), "--samples", "1"]) == 0
    assert best.items() <= read_metrics(folder).items()


@pytest.mark.parametrize("package", ["tf_vae", pytest.param("keras_vae", marks=pytest.mark.long)])
def test_samples_and_exports_of_the_best_weights_stand_beside_the_others(package, stopped, capsys):
    _, folder = stopped
    assert main(package, ["sample", str(folder), "--count", "4"]) == 0
    last = (folder / "samples.npz").read_bytes()
    assert main(package, ["sample", str(folder), "--count", "4", "--weights", "best"]) == 0
    assert (folder / "samples.npz").read_bytes() == last
    with np.load(folder / "samples.npz") as one, np.load(folder / "samples_best.npz") as other:
        assert (one["z"] == other["z"]).all() and (one["probs"] != other["probs"]).any()
    assert main(package, ["export", str(folder), "--weights", "best"]) == 0
    assert (folder / "exported_best" / "decoder").is_dir() and not (folder / "exported").exists()
    assert f"{folder}/exported_best/decoder: loaded again" in capsys.readouterr().out


def test_a_run_without_patience_has_no_best_weights(data_path, tmp_path, capsys):
    folder = tmp_path / "run"
    words = ["train", *FLAGS[:-4], "--epochs", "1", "--data", str(data_path), "--out", str(folder)]
    assert main("tf_vae", words) == 0
    capsys.readouterr()
    for command in ("evaluate", "sample", "export"):
        assert main("tf_vae", [command, str(folder), "--weights", "best"]) == 2
        message = f"{folder} has no {BEST}; only a run with --patience keeps it\n"
        assert capsys.readouterr().err == message
