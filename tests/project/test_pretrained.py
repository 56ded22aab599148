"""The pretrained run: both implementations load and measure it, and a changed bit is reported."""

import base64
import json
import shutil
import zlib

import numpy as np
import pytest
from train_again import (
    EPOCHS,
    EQUAL,
    FILES,
    PRETRAINED,
    agreement,
    reasons,
    start_flag,
    write_report,
)

from shared.command.line import main
from shared.measure.parity import IDENTICAL
from shared.run.checksums import seal
from shared.run.files import step_of, write_npz
from shared.run.folder import read_history, read_metrics, read_run_weights


def test_both_implementations_compute_the_same_images(implementations):
    z = np.random.RandomState(1).normal(size=(20, 2))
    probs = []
    for implementation in implementations.values():
        model, config = implementation.load(PRETRAINED)
        assert (config.recipe, config.total_steps(60_000)) == ("post-keras", 30_000)
        probs.append(implementation.decode(model, z))
    assert probs[0].tobytes() == probs[1].tobytes()


def test_the_files_belong_together():
    """The last epoch's weights, history and metrics are those of one state."""
    end, at_50 = read_run_weights(PRETRAINED)[1], read_run_weights(PRETRAINED, 50)[1]
    assert all(end[name].tobytes() == at_50[name].tobytes() for name in end)
    last, metrics = read_history(PRETRAINED)[-1], read_metrics(PRETRAINED)
    for name in ("loss", "log_likelihood", "kl"):
        # The same images and noise; `fit` sums in float32, the metrics in float64.
        assert last[f"val_{name}"] == pytest.approx(metrics[f"test_{name}"]["value"], rel=1e-5)


def test_the_published_page_shows_the_results_of_the_pretrained_run():
    page = PRETRAINED.parents[1] / "docs" / "index.html"
    assert page.stat().st_size < 4_000_000
    text = page.read_text(encoding="utf-8")
    for row in read_history(PRETRAINED):
        if row["epoch"] in EPOCHS:
            for name in ("loss", "val_loss", "val_log_likelihood", "val_kl"):
                assert f"{row[name]:.2f}" in text


def test_the_published_page_computes_with_the_pretrained_weights():
    """Its biases are exact, and its kernels are within half a step of their columns."""
    page = PRETRAINED.parents[1] / "docs" / "index.html"
    text = page.read_text(encoding="utf-8")
    start = text.index('id="explorer-data">') + len('id="explorer-data">')
    explorer = json.loads(text[start : text.index("</script>", start)])
    epochs = [each["epoch"] for each in explorer["epochs"]]
    assert epochs == [1, 2, 3, 5, 9, 16, 29, 50] and set(EPOCHS) <= set(epochs)
    packed, later = explorer["weights"], 0
    for epoch, stream in reversed([*zip(epochs, packed["epochs"], strict=True)]):
        content = zlib.decompress(base64.b64decode(stream))
        lengths = [4 * length for _, length in packed["biases"]]
        integers = np.frombuffer(content[sum(lengths) :], np.int8) + later
        later = integers = integers.astype(np.int8)
        if epoch not in EPOCHS:
            continue
        weights = read_run_weights(PRETRAINED, epoch)[1]
        biases = b"".join(weights[name].tobytes() for name, _ in packed["biases"])
        assert content[: sum(lengths)] == biases
        for name, steps, rows in packed["kernels"]:
            steps = np.frombuffer(base64.b64decode(steps), "<f4").astype(np.float64)
            kernel, integers = np.split(integers, [rows * len(steps)])
            difference = kernel.reshape(rows, -1) * steps - weights[name]
            assert (np.abs(difference) <= 0.5001 * steps).all(), (epoch, name)


def test_samples_are_drawn_and_figures_need_the_data(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "post-keras"
    shutil.copytree(PRETRAINED, folder)
    assert main("tf_vae", ["sample", str(folder), "--count", "4"]) == 0
    with np.load(folder / "samples.npz") as file:
        assert file["probs"].shape == (4, 784)
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    values["data"]["sha256"]["x_train"] = "0" * 64  # trained on other images
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    seal(folder, FILES)
    capsys.readouterr()
    bars = tmp_path / "bars.npz"
    np.savez(bars, x_train=np.eye(4), y_train=range(4), x_test=np.eye(4), y_test=range(4))
    monkeypatch.setenv("MNIST_NPZ", str(bars))
    assert main("tf_vae", ["figures", str(folder)]) == 2
    assert "bars.npz" in capsys.readouterr().err


def test_a_changed_bit_is_named(tmp_path):
    folder = tmp_path / "post-keras"
    shutil.copytree(PRETRAINED, folder)
    same = agreement(PRETRAINED, folder)
    names = [*(f"weights of epoch {epoch}" for epoch in EPOCHS), "history", "metrics"]
    assert same == {name: IDENTICAL if "weights" in name else EQUAL for name in names}
    path, weights = folder / "weights_epoch_005.npz", read_run_weights(folder, 5)[1]
    kernel = weights["decoder/hidden_1/kernel"]
    kernel[1, 7] = np.nextafter(kernel[1, 7], np.float32(np.inf))
    write_npz(path, weights, step_of(path))
    history = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
    history[3] = ",".join([*history[3].split(",")[:2], "150.5", *history[3].split(",")[3:]])
    (folder / "history.csv").write_text("\n".join(history), encoding="utf-8")
    seal(folder, FILES)
    changed = agreement(PRETRAINED, folder)
    assert changed["weights of epoch 5"].startswith("A BIT DIFFERS in decoder/hidden_1/kernel by")
    assert changed["history"] == "A NUMBER DIFFERS"
    assert (changed["weights of epoch 50"], changed["metrics"]) == (IDENTICAL, EQUAL)


def test_a_difference_has_a_known_reason_or_a_report(tmp_path, monkeypatch):
    folder = tmp_path / "post-keras"
    shutil.copytree(PRETRAINED, folder)
    assert reasons(PRETRAINED, folder) == []
    values = read_run_weights(folder)[0]
    path = folder / "config.json"
    changed = {**values, "versions": {**values["versions"], "keras": "3.12.0"}}
    changed["arithmetic"] = [{"threads": 4, "instructions": "AVX2"}]
    path.write_text(json.dumps(changed), encoding="utf-8")
    seal(folder, FILES)
    versions, threads = reasons(PRETRAINED, folder)
    assert "keras" in versions and "3.12.0" in versions and "'threads': 4" in threads
    monkeypatch.setattr("train_again.has_instructions", lambda: False)
    assert reasons(PRETRAINED, folder)[-1] == "this processor has no AVX2 and FMA"
    report = json.loads(
        write_report(folder, {"history": "A NUMBER DIFFERS"}).read_text(encoding="utf-8")
    )
    assert report["results"] == {"history": "A NUMBER DIFFERS"}
    assert report["steps"] == report["expected_steps"] and len(report["steps"]) == 3


@pytest.mark.mnist
def test_it_is_measured_and_drawn_on_mnist(tmp_path):
    folder = tmp_path / "post-keras"
    shutil.copytree(PRETRAINED, folder)
    before = read_metrics(folder)["test_loss"]
    assert main("keras_vae", ["evaluate", str(folder), "--samples", "1"]) == 0
    # The same noise; another processor rounds some of the 10,000 × 784 terms differently.
    assert read_metrics(folder)["test_loss"]["value"] == pytest.approx(before["value"], rel=1e-6)
    assert main("tf_vae", ["figures", str(folder)]) == 0
    assert (folder / "figures" / "latent_epoch_050.png").exists()


def test_a_finished_run_is_trained_again_and_an_unfinished_one_continued(tmp_path):
    assert start_flag(PRETRAINED) == "--overwrite"
    shutil.copyfile(PRETRAINED / "config.json", tmp_path / "config.json")
    assert start_flag(tmp_path) == "--resume"
