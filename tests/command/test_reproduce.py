"""The whole main job on small data, and its proof, which must detect a single different bit."""

import base64
import dataclasses
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

import reproduce
from shared.config import recipe
from shared.machine.backend import IMPLEMENTATIONS
from shared.measure.spread import read_seeds
from shared.run.files import npz_bytes, write_npz
from shared.run.folder import read_config, read_run_weights, write_product
from shared.show.page.results import NOTES, results_table, write_page

SMALL = ["--epochs", "1", "2", "--steps", "30"]


@pytest.fixture(scope="module")
def results(data_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("job") / "results"
    assert reproduce.main([*SMALL, "--data", str(data_path), "--out", str(folder)]) == 0
    return folder


def test_the_job_writes_all_documented_files(results):
    for implementation, package in IMPLEMENTATIONS.items():
        for name in ("post-keras", "post-tf"):
            folder = results / implementation / name
            assert read_config(folder)["trained_by"] == [package]
            assert (folder / "weights.npz").exists() and (folder / "figures/loss.png").exists()
        assert (
            results / implementation / "post-keras" / "figures" / "latent_epoch_001.png"
        ).exists()
        assert (
            len(
                (results / implementation / "post-tf" / "steps.csv")
                .read_text(encoding="utf-8")
                .splitlines()
            )
            == 31
        )
    assert read_config(results / "relay")["trained_by"] == ["keras_vae", "tf_vae"]
    with np.load(results / "seeds.npz") as seeds:
        assert seeds["recipe"].shape == seeds["keras_epsilon"].shape == (8, 30)
        first = np.loadtxt(results / "tf" / "post-tf" / "steps.csv", delimiter=",", skiprows=1)
        assert (seeds["recipe"][0] == np.float32(first[:, 1])).all()  # the given seed is the first


def test_the_proof_names_steps_and_weights(results):
    parity = json.loads((results / "parity.json").read_text(encoding="utf-8"))
    assert parity["bit_identical"] is True
    # 300 images in batches of 100: 3 steps per epoch.
    assert parity["lines"][0].startswith("6 steps: every weight bit-identical")
    assert parity["lines"][1].startswith("30 steps: every weight bit-identical")
    weight = parity["post-keras"]["weights"]["encoder/hidden_1/kernel"]
    assert weight == {"max_abs_difference": 0.0, "bit_identical": True}
    assert set(parity["post-keras"]["epochs"]) == {"1", "2"}


def test_the_page_is_one_file_that_fetches_nothing(results):
    text = (results / "index.html").read_text(encoding="utf-8")
    assert "6 steps: every weight bit-identical" in text and 'class="proof good"' in text
    assert "http://" not in text and "https://" not in text and "<script src" not in text
    # The losses of both implementations and recipes, post-tf's two kinds of picture at two epochs
    # drawn once, since the weights are equal, and the spread; post-keras' pictures are drawn live,
    # and without JavaScript there are those of the last epoch.
    assert text.count("data:image/png;base64,") == 2 * 2 + 2 * 2 + 1 + 2
    assert "default-src 'none'" in text
    script = text[text.index('id="explorer-data">') + len('id="explorer-data">') :]
    explorer = json.loads(script[: script.index("</script>")])
    assert [epoch["epoch"] for epoch in explorer["epochs"]] == [1, 2]
    # The last epoch is whole: its biases are the run's, to the last bit.
    _, weights = read_run_weights(results / "tf" / "post-keras", 2)
    content = zlib.decompress(base64.b64decode(explorer["weights"]["epochs"][1]))
    for name, length in explorer["weights"]["biases"]:
        assert content[: 4 * length] == weights[name].tobytes()
        content = content[4 * length :]
    assert len(content) == sum(array.size for array in weights.values() if array.ndim == 2)
    assert "bars" in text and "keras_vae" in text and "tf_vae" in text


@pytest.mark.parametrize(
    ("binary", "named"),
    [((), "grey"), (("x_train",), "binary and grey"), (("x_train", "x_test"), "binary")],
)
def test_table_and_page_say_what_the_pixels_are(
    binary, named, results, data, implementations, tmp_path
):
    """They call no images grey that hold only 0 and 1."""
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    data = dataclasses.replace(data, **{name: np.round(getattr(data, name)) for name in binary})
    configs = {"post-keras": recipe("post-keras", epochs=2, picture_epochs=(1, 2))}
    assert f"x: {named};" in results_table(copy, configs, data).title
    parity = json.loads((copy / "parity.json").read_text(encoding="utf-8"))
    write_page(copy, configs, data, parity, implementations["keras_vae"])
    text = (copy / "index.html").read_text(encoding="utf-8")
    shown = [name for name, key in NOTES.items() if f'data-text="{key}"' in text]
    assert shown == [named]


@pytest.mark.long
def test_an_interrupted_job_continues_and_a_finished_one_is_not_overwritten(
    results, data_path, tmp_path, capsys
):
    arguments = [*SMALL, "--data", str(data_path), "--out"]
    before = [(results / name).read_bytes() for name in ("parity.json", "index.html")]
    assert reproduce.main([*arguments, str(results)]) == 2
    assert "already holds results" in capsys.readouterr().err
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    shutil.rmtree(copy / "tf" / "post-tf")
    for name in ("parity.json", "index.html"):
        (copy / name).unlink()
    (copy / ".index.html.0.partial").write_text(
        "half a page", encoding="utf-8"
    )  # of a process that was killed
    kept = {path: path.stat().st_mtime_ns for path in copy.glob("*/checkpoints/*")}
    assert len(kept) == 4  # two of each of two runs
    assert reproduce.main([*arguments, str(copy), "--resume"]) == 0
    assert [(copy / name).read_bytes() for name in ("parity.json", "index.html")] == before
    assert not (copy / ".index.html.0.partial").exists()
    # The relay was finished: it is compared again, not trained again.
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_seeds_that_were_trained_are_not_trained_again(results, tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    assert read_seeds(copy, range(8)) is not None
    # With another first seed or length, the losses are not those of this job.
    assert read_seeds(copy, range(1, 9)) is None
    with np.load(copy / "seeds.npz") as file:
        losses = dict(file)
    write_npz(copy / "seeds.npz", {**losses, "recipe": losses["recipe"][:, :-1]})
    assert read_seeds(copy, range(8)) is None
    write_npz(copy / "seeds.npz", losses)
    assert read_seeds(copy, range(8)) is not None
    # A damaged file is trained again.
    content = (copy / "seeds.npz").read_bytes()
    (copy / "seeds.npz").write_bytes(content[: len(content) // 2])
    assert read_seeds(copy, range(8)) is None
    (copy / "seeds.npz").unlink()
    assert read_seeds(copy, range(8)) is None


def test_given_flags_replace_the_defaults_of_quick(data_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = []
    monkeypatch.setattr(reproduce, "reproduce", jobs.append)
    reproduce.main(["--quick"])
    reproduce.main(["--quick", "--data", str(data_path), "--epochs", "2", "--out", "mine"])
    first, second = jobs
    assert (first.data, first.epochs, first.steps) == ("mnist-5k", (5,), None)
    assert (first.out, first.quick) == (Path("runs/quick"), True)
    assert (second.data, second.epochs, second.out) == (str(data_path), (2,), Path("mine"))


def test_a_single_different_bit_is_reported(results, data_path, tmp_path, capsys):
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    path = copy / "tf" / "post-keras" / "weights.npz"
    _, weights = read_run_weights(path.parent)
    bits = weights["decoder/hidden_1/bias"].view(np.uint32)
    bits[3] ^= 1
    write_product(path.parent, path.name, npz_bytes(weights, step=6))  # as if trained so
    arguments = [*SMALL, "--data", str(data_path), "--out", str(copy), "--resume"]
    assert reproduce.main(arguments) == 1
    assert "A BIT DIFFERS in decoder/hidden_1/bias" in capsys.readouterr().out
    parity = json.loads((copy / "parity.json").read_text(encoding="utf-8"))
    assert parity["bit_identical"] is False
    weight = parity["post-keras"]["weights"]["decoder/hidden_1/bias"]
    assert weight["bit_identical"] is False and weight["max_abs_difference"] > 0
    assert 'class="proof bad"' in (copy / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "epochs is 0"),
        (["--steps", "0"], "steps is 0"),
        (["--seed", "-1"], "seed is -1"),
        (["--data", "gone.npz"], "no data at gone.npz"),
        (["--out", "occupied"], "occupied holds notes.txt"),
        (["--resume", "--overwrite"], "exclude each other"),
    ],
)
def test_bad_input_is_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "notes.txt").write_text("mine", encoding="utf-8")
    assert reproduce.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["occupied"]


def test_text_on_the_page_is_escaped():
    from shared.show.page.html import page

    blocks = [("text", "<p>"), ("table", (["<t>"], [["<d>"]]))]
    explorer = ("explorer", ({"classes": ["</script><x>"]}, True, ["<n>"], []))
    text = page("<b>", ["<i>&"], False, [("<h>", [*blocks, explorer])])
    for tag in ("<b>", "<i>", "<h>", "<t>", "<d>", "<n>", "<x>"):
        assert tag not in text
    assert text.count("</script>") == text.count("<script")  # none is ended by a text
