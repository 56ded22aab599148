"""Own data on the command line: trained, remembered, evaluated, sampled, refused in one line."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bits import differing
from PIL import Image

from shared.command.line import main
from shared.config import from_dict, recipe
from shared.data import load_data
from shared.machine.checks import UsageError
from shared.run.folder import read_config, read_run_weights, run_data, write_product

RANDOM = np.random.RandomState(0)
COLUMNS = ["age", "income", "a, b"]
SMALL = ["--epochs", "1", "--hidden-dims", "4", "--picture-epochs", "1"]
SCALED = ["--scale", "standard", "--likelihood", "gaussian"]
NUMBERS = RANDOM.normal(0, 1, (60, 3)) * [10, 1e5, 1e-3] + [40, 3e5, 0]


def write_csv(path, numbers, labels=None, columns=COLUMNS):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns + (["kind"] if labels is not None else []))
        for number, row in enumerate(numbers.tolist()):
            writer.writerow(row + ([labels[number]] if labels is not None else []))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a table and the run of each implementation on it."""
    folder = tmp_path_factory.mktemp("own")
    labels = ["cat" if n % 3 else "dog" for n in range(60)]
    path = str(write_csv(folder / "table.csv", NUMBERS, labels))
    for package in ("keras_vae", "tf_vae"):
        flags = ["--data", path, "--label-column", "kind", *SMALL, *SCALED]
        assert main(package, ["train", *flags, "--out", str(folder / package)]) == 0
    return folder


def metrics(run):
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def refused(capsys, *arguments):
    """The only line with which a command is refused."""
    capsys.readouterr()
    assert main("tf_vae", list(map(str, arguments))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_both_implementations_agree_in_every_bit_on_scaled_numbers(trained):
    weights = [read_run_weights(trained / name)[1] for name in ("keras_vae", "tf_vae")]
    assert differing(*weights) == []


def test_a_run_remembers_how_its_data_were_read(trained):
    entry = read_config(trained / "tf_vae")["data"]
    assert entry["reading"] == {"scale": "standard", "label_column": "kind"}
    assert entry["columns"] == COLUMNS and entry["classes"] == ["cat", "dog"]
    assert entry["image_shape"] == [3]
    data = run_data(trained / "tf_vae")
    assert entry["understood"] == data.understood and data.understood.startswith("table: 60 rows")
    again = load_data(str(trained / "table.csv"), scale="standard", label_column="kind")
    assert (data.x_train == again.x_train).all() and data.describe() == again.describe() == entry
    # Statistics of the training part, in float64.
    x = np.concatenate([data.x_train, data.x_test])
    assert np.abs(data.x_train.mean(axis=0)).max() < 1e-6
    assert np.abs(data.x_train.std(axis=0) - 1).max() < 1e-6
    np.testing.assert_allclose(
        np.sort(data.scaling.original(x), axis=0), np.sort(NUMBERS, axis=0), rtol=1e-5, atol=1e-9
    )


def test_the_statistics_of_a_run_are_those_that_it_wrote(trained, tmp_path):
    """On another machine their sums may end in another digit."""
    run = tmp_path / "run"
    shutil.copytree(trained / "tf_vae", run)
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["data"]["scaling"]["shift"][0] += 1
    write_product(run, "config.json", json.dumps(config).encode())
    before, after = run_data(trained / "tf_vae"), run_data(run)
    step = np.float32(1 / config["data"]["scaling"]["width"][0])
    np.testing.assert_allclose(before.x_train[:, 0] - after.x_train[:, 0], step, rtol=1e-5)
    assert (before.x_train[:, 1:] == after.x_train[:, 1:]).all()


def test_changed_data_are_not_those_of_the_run(trained, tmp_path):
    run = tmp_path / "run"
    path = write_csv(tmp_path / "t.csv", NUMBERS)
    flags = ["--data", str(path), *SMALL, *SCALED, "--out", str(run)]
    assert main("tf_vae", ["train", *flags]) == 0
    changed = NUMBERS.copy()
    changed[59, 2] += 1e-9
    write_csv(path, changed)
    with pytest.raises(UsageError, match="is not the data that"):
        run_data(run)
    # Without the data, samples are drawn without those beside them.
    assert main("tf_vae", ["sample", str(run), "--count", "5"]) == 0


def test_samples_have_the_units_and_names_of_the_table(trained):
    run = trained / "tf_vae"
    assert main("tf_vae", ["sample", str(run), "--count", "300"]) == 0
    with open(run / "samples.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == COLUMNS
    with np.load(run / "samples.npz") as arrays:
        probs = arrays["probs"]
    assert probs.shape == (300, 3)
    np.testing.assert_allclose(np.array(rows, float), probs, rtol=1e-8)
    # The decoder's means are near the data: within five standard deviations of each column.
    assert (np.abs(probs - NUMBERS.mean(axis=0)) < 5 * NUMBERS.std(axis=0)).all()
    with Image.open(run / "samples.png") as picture:
        assert picture.size[0] > 600


def test_other_data_are_evaluated_by_the_statistics_of_the_run(trained, tmp_path, capsys):
    run = trained / "keras_vae"
    # The same rows in another order: in all, they have the loss of all rows.
    path = write_csv(tmp_path / "other.csv", NUMBERS[::-1])
    assert main("keras_vae", ["evaluate", str(run), "--data", str(path), "--samples", "1"]) == 0
    assert "other: 60 rows of 3 columns" in capsys.readouterr().out
    found = metrics(run)
    entry = read_config(run)["data"]
    other = load_data(str(path), scale="standard", scaling=entry["scaling"])
    own = run_data(run)
    assert other.scaling == own.scaling
    assert sorted(map(tuple, np.concatenate([other.x_train, other.x_test]))) == sorted(
        map(tuple, np.concatenate([own.x_train, own.x_test]))
    )
    assert found["test_loss_on_other"]["n"] == 12
    assert "test_knn_accuracy_epoch_001_on_other" not in found  # it has no labels
    assert found["test_loss"]["n"] == 12
    renamed = write_csv(tmp_path / "renamed.csv", NUMBERS, columns=["age", "wages", "a, b"])
    message = refused(capsys, "evaluate", run, "--data", renamed)
    assert "column 2 is 'wages'" in message and "'income'" in message
    narrow = write_csv(tmp_path / "narrow.csv", NUMBERS[:, :2], columns=COLUMNS[:2])
    assert "has 2 columns" in refused(capsys, "evaluate", run, "--data", narrow)


def test_a_run_without_labels_is_measured_without_clusters(tmp_path, capsys):
    np.save(tmp_path / "x.npy", RANDOM.randint(0, 256, (40, 4, 4)).astype(np.uint8))
    run = tmp_path / "run"
    assert (
        main("tf_vae", ["train", "--data", str(tmp_path / "x.npy"), *SMALL, "--out", str(run)]) == 0
    )
    assert capsys.readouterr().out.count("no labels (") == 1
    assert main("tf_vae", ["evaluate", str(run), "--samples", "1"]) == 0
    assert main("tf_vae", ["figures", str(run)]) == 0
    found = metrics(run)
    assert "active_units" in found
    assert not [name for name in found if "knn" in name or "silhouette" in name]


def test_photos_are_resized_and_evaluated_at_the_size_of_the_run(tmp_path, capsys):
    for number in range(12):
        pixels = RANDOM.randint(0, 256, (6 + number, 8, 3), np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    photos, run = str(tmp_path / "photos"), str(tmp_path / "run")
    assert "--image-size" in refused(capsys, "train", "--data", photos, "--out", run)
    size = ["--image-size", "4", "5"]
    assert main("tf_vae", ["train", "--data", photos, *size, *SMALL, "--out", run]) == 0
    assert read_config(run)["data"]["image_shape"] == [4, 5, 3]
    assert run_data(run).x_train.shape == (10, 60)
    assert main("tf_vae", ["evaluate", run, "--data", photos, "--samples", "1"]) == 0
    # Resumed with the same flags it is the same run, and with another size it is not.
    again = ["train", "--data", photos, *SMALL, "--out", run, "--resume"]
    assert main("tf_vae", [*again, *size]) == 0
    assert "already complete" in capsys.readouterr().out
    assert "other data" in refused(capsys, *again, "--image-size", "4")


def test_a_refusal_is_one_line_before_anything_is_written(tmp_path, capsys):
    path = write_csv(tmp_path / "t.csv", NUMBERS)
    run = tmp_path / "run"
    train = ["train", "--data", path, "--out", run]
    assert "--scale minmax, or --scale standard" in refused(capsys, *train)
    assert "likelihood is bernoulli" in refused(capsys, *train, "--scale", "standard")
    message = refused(capsys, *train, "--scale", "minmax")
    assert "likelihood bernoulli needs [0, 1]: give --likelihood gaussian" in message
    assert not run.exists()


def test_an_old_config_has_no_scale():
    config = read_config(Path(__file__).parents[2] / "pretrained" / "post-keras")
    del config["scale"]
    assert "reading" not in config["data"]
    assert from_dict(config) == recipe("post-keras")
