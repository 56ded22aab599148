"""A run with a network of one's own: its folder is resumed, loaded and refused as any other."""

import importlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bits import history

from shared.command.line import main
from shared.config import recipe
from shared.machine.checks import UsageError
from shared.run.folder import read_config, read_history
from shared.run.network import network_of
from shared.run.state import Run

CONFIG = recipe("post-keras", epochs=4, picture_epochs=(1,), batch_size=60, step_losses=True)
OTHER = {"keras_vae": "tf_vae", "tf_vae": "keras_vae"}

# Batch normalization, dropout and a penalty: everything that a checkpoint has beside weights.
KERAS = '''
import keras
from keras import layers

WIDTH = 8


def networks(config, image_shape):
    """A dense pair with all kinds of state."""
    x, z = keras.Input((*image_shape, 1)), keras.Input((config.latent_dim,))
    h = layers.Dense(WIDTH, "relu", kernel_regularizer="l2")(layers.Flatten()(x))
    h = layers.Dropout(0.2)(layers.BatchNormalization()(h))
    heads = [layers.Dense(config.latent_dim)(h) for _ in range(2)]
    logits = layers.Dense(image_shape[0] * image_shape[1])(layers.Dense(WIDTH, "tanh")(z))
    logits = layers.Reshape((*image_shape, 1))(logits)
    return keras.Model(x, heads), keras.Model(z, {"logits": logits})
'''
# It is kept by its source, because Keras cannot describe it; executing it leaves a trace.
PLAIN = """
import pathlib
import tensorflow as tf

pathlib.Path("executed").touch()


def weight(shape, seed):
    return tf.Variable(0.1 * tf.random.stateless_normal(shape, [seed, 0]), name="kernel")


class Encoder(tf.Module):
    def __init__(self, n, k):
        super().__init__()
        self.kernel = weight((n, 2 * k), 1)
        self.steps = tf.Variable(0, trainable=False, name="steps")

    def __call__(self, x, training=False):
        if training:
            self.steps.assign_add(1)
        return tf.split(x @ self.kernel, 2, axis=1)


def networks(config, image_shape):
    kernel = weight((config.latent_dim, 36), 2)
    return Encoder(36, config.latent_dim), lambda z: {"logits": z @ kernel}
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The files of the two networks."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "dense.py").write_text(KERAS, encoding="utf-8")
    (folder / "plain.py").write_text(PLAIN, encoding="utf-8")
    return {name: f"{folder / name}.py:networks" for name in ("dense", "plain")}


@pytest.fixture(scope="module")
def whole(implementations, data, sources, tmp_path_factory):
    """An uninterrupted run by each implementation."""
    folders = {}
    for name, implementation in implementations.items():
        folders[name] = tmp_path_factory.mktemp("whole") / name
        implementation.train(CONFIG, data, folders[name], verbose=0, network=sources["dense"])
    return folders


def assert_same_run(folder, expected):
    names = ["weights.npz", "weights_epoch_001.npz", "steps.csv"]
    for name in [*names, "checkpoints/last.npz"]:
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert history(folder) == history(expected)


def test_both_implementations_write_the_same_run(whole):
    ours, theirs = whole.values()
    for name in ("weights.npz", "weights_epoch_001.npz", "steps.csv", "checkpoints/last.npz"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    assert history(ours) == history(theirs)
    assert all(row["penalty"] > 0 for row in history(ours))
    entry = read_config(ours)["network"]
    assert entry == read_config(theirs)["network"]
    assert entry["kept"] == "architecture" and entry["function"] == "networks"
    with np.load(ours / "weights.npz") as arrays:
        assert {name: list(arrays[name].shape) for name in arrays} == {
            name: each["shape"] for name, each in entry["variables"].items()
        }


KILLED = """
import os, signal
from shared.command.implementation import import_implementation
from shared.config import from_dict
from shared.data import load_data

def on_epoch(row):
    if row["epoch"] == 2:
        os.kill(os.getpid(), signal.SIGKILL)

import_implementation({name!r}).train(
    from_dict({config!r}), load_data({data!r}), {out!r}, verbose=0, on_epoch=on_epoch,
    network={network!r},
)
"""


@pytest.mark.parametrize("named", [True, False], ids=["named", "by its architecture"])
def test_a_killed_run_is_resumed_by_the_other_to_the_same_bits(
    implementations, data, sources, whole, tmp_path, named
):
    first = "keras_vae" if named else "tf_vae"
    values = {k: v for k, v in read_config(whole[first]).items() if k in vars(CONFIG)}
    code = KILLED.format(
        name=first,
        config=values,
        data=data.source,
        out=str(tmp_path / "run"),
        network=sources["dense"],
    )
    process = subprocess.run([sys.executable, "-c", code], check=False)
    assert process.returncode == -signal.SIGKILL
    assert len(read_history(tmp_path / "run")) == 2
    network = sources["dense"] if named else None
    other = implementations[OTHER[first]]
    other.train(CONFIG, data, tmp_path / "run", resume=True, verbose=0, network=network)
    assert read_config(tmp_path / "run")["trained_by"] == [first, OTHER[first]]
    assert_same_run(tmp_path / "run", whole[first])


def test_a_run_is_loaded_without_its_source(implementation, whole, data):
    """By either implementation, from the folder of the other, with the bits of the training."""
    outputs = []
    for folder in whole.values():
        model, config = implementation.load(folder)
        assert config == CONFIG
        outputs.append(implementation.encode(model, data.x_test)[0])
        loss = implementation.evaluate(model, data.x_test, config)["loss"]
        # 1e-5: the log has float32 means of batches.
        assert loss == pytest.approx(read_history(folder)[-1]["val_loss"], rel=1e-5)
    assert (outputs[0] == outputs[1]).all()


def test_a_network_that_changed_is_refused_and_one_with_another_comment_is_not(
    implementation, data, sources, whole, tmp_path
):
    folder = shutil.copytree(whole[implementation.name], tmp_path / "run")
    changed = tmp_path / "changed.py"
    changed.write_text(KERAS.replace("WIDTH = 8", "WIDTH = 9"), encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"networks has changed since .* units is 9, not 8"
    ) as refusal:
        implementation.train(
            CONFIG, data, folder, resume=True, verbose=0, network=f"{changed}:networks"
        )
    assert "\n" not in str(refusal.value)
    assert_same_run(folder, whole[implementation.name])
    changed.write_text("# the same\n" + KERAS, encoding="utf-8")
    longer = recipe("post-keras", **{**vars(CONFIG), "recipe": "post-keras", "epochs": 5})
    implementation.train(
        longer, data, folder, resume=True, verbose=0, network=f"{changed}:networks"
    )
    assert len(read_history(folder)) == 5


def test_a_dense_run_and_one_with_a_network_are_not_mixed(
    implementation, data, whole, tmp_path, sources
):
    config = recipe("post-keras", epochs=1, hidden_dims=(4,))
    implementation.train(config, data, tmp_path / "dense", verbose=0)
    with pytest.raises(UsageError, match="has the dense network of its config, not networks"):
        implementation.train(
            config, data, tmp_path / "dense", resume=True, verbose=0, network=sources["dense"]
        )
    with pytest.raises(UsageError, match="has the dense network of its config"):
        implementation.load(tmp_path / "dense", network=sources["dense"])
    folder = shutil.copytree(whole[implementation.name], tmp_path / "run")
    implementation.train(config, data, folder, overwrite=True, verbose=0)
    assert not (folder / "network.json").exists() and "network" not in read_config(folder)


class TestKeptBySource:
    """A network that Keras cannot describe runs only if the user names it."""

    @pytest.fixture
    def folder(self, implementations, data, sources, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        config = recipe("post-keras", epochs=2, batch_size=60)
        implementations["tf_vae"].train(
            config, data, tmp_path / "run", verbose=0, network=sources["plain"]
        )
        Path("executed").unlink()
        return tmp_path / "run"

    def test_the_folder_has_the_source(self, folder):
        assert (folder / "network.py").read_text(encoding="utf-8") == PLAIN
        assert read_config(folder)["network"]["kept"] == "source"

    def test_it_is_not_executed_unless_it_is_named(self, folder, implementations, data, sources):
        each = implementations["tf_vae"]
        for call in (
            lambda: each.load(folder),
            lambda: each.train(
                recipe("post-keras", epochs=3), data, folder, resume=True, verbose=0
            ),
        ):
            with pytest.raises(UsageError, match="runs only if you name it: give --network"):
                call()
        assert not Path("executed").exists()
        model, _ = each.load(folder, network=sources["plain"])
        assert int(each.gather(model)["encoder/1/steps"]) == 10 and Path("executed").exists()

    def test_a_changed_source_is_refused_before_it_is_executed(
        self, folder, implementations, data, tmp_path
    ):
        changed = tmp_path / "changed.py"
        changed.write_text(PLAIN.replace("0.1", "0.2"), encoding="utf-8")
        with pytest.raises(UsageError, match=r"networks has changed since .*SHA-256"):
            implementations["tf_vae"].load(folder, network=f"{changed}:networks")
        assert not Path("executed").exists()

    def test_it_continues_with_its_counter(self, folder, implementations, data, sources, tmp_path):
        each = implementations["tf_vae"]
        longer = recipe("post-keras", epochs=3, batch_size=60)
        for out, resume in ((folder, True), (tmp_path / "whole", False)):
            each.train(longer, data, out, resume=resume, verbose=0, network=sources["plain"])
        names = ("weights.npz", "checkpoints/last.npz")
        for name in names:
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda kept: kept["encoder"].update(module="os", class_name="system"), "names system"),
        (lambda kept: kept["decoder"].update(class_name="Lambda", module="keras.layers"), "Lambda"),
        (lambda kept: kept.pop("decoder"), "does not hold an encoder and a decoder"),
        (lambda kept: kept["encoder"].update(registered_name="evil>Layer"), "names Functional"),
    ],
    ids=["another module", "a Lambda", "no decoder", "a registered class"],
)
def test_a_foreign_architecture_is_not_built(implementation, whole, tmp_path, change, message):
    """A folder of a stranger, whose checksums are right."""
    folder = shutil.copytree(whole["keras_vae"], tmp_path / "run")
    kept = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    change(kept)
    (folder / "network.json").write_text(json.dumps(kept), encoding="utf-8")
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UsageError, match=message) as refusal:
        implementation.load(folder)
    assert "\n" not in str(refusal.value)


def test_a_damaged_architecture_is_noticed_and_restored(
    implementation, data, sources, whole, tmp_path
):
    folder = shutil.copytree(whole["keras_vae"], tmp_path / "run")
    text = (folder / "network.json").read_text(encoding="utf-8")
    (folder / "network.json").write_text(text.replace("relu", "tanh"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"network.json is damaged"):
        implementation.load(folder)
    assert not Run(folder, CONFIG, data, "tf_vae", resume=True).complete
    implementation.train(CONFIG, data, folder, resume=True, verbose=0, network=sources["dense"])
    assert Run(folder, CONFIG, data, "tf_vae", resume=True).progress.step == 20
    whole_run, restored = (implementation.load(each)[0] for each in (whole["keras_vae"], folder))
    ours, theirs = (implementation.encode(each, data.x_test)[0] for each in (whole_run, restored))
    assert (ours == theirs).all()


@pytest.mark.parametrize(
    "given, message",
    [
        ("nowhere.py:networks", "there is no file nowhere.py"),
        ("dense.py", "expected FILE.py:FUNCTION"),
        ("dense.py:missing", r"has no function missing \(it has networks\)"),
        ("broken.py:networks", "is not Python"),
        (7, "network is 7; expected FILE.py:FUNCTION, or a function"),
    ],
)
def test_a_network_that_is_not_there_is_refused_in_one_line(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    Path("dense.py").write_text(KERAS, encoding="utf-8")
    Path("broken.py").write_text("def networks(:", encoding="utf-8")
    with pytest.raises(UsageError, match=message) as refusal:
        network_of(given)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "body, message",
    [
        ("return 1, 2", "returns tuple; expected a pair"),
        ("return None", "returns NoneType; expected a pair"),
        (
            "raise RuntimeError('so much\\nwent wrong')",
            r"RuntimeError: so much\); expected a function",
        ),
    ],
)
def test_a_function_that_returns_no_networks_is_refused(
    implementation, data, tmp_path, body, message
):
    def networks(config, image_shape):
        exec(f"def inner():\n    {body}", scope := {})
        return scope["inner"]()

    with pytest.raises(UsageError, match=message) as refusal:
        implementation.train(CONFIG, data, tmp_path / "run", verbose=0, network=networks)
    assert "\n" not in str(refusal.value)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_the_commands_take_a_run_with_a_network(data_path, sources, tmp_path, capsys):
    """Train by one implementation, and the rest by the other, without naming the network again."""
    out = str(tmp_path / "run")
    flags = ["--data", str(data_path), "--epochs", "1", "--network", sources["dense"], "--out", out]
    assert main("keras_vae", ["train", *flags]) == 0
    assert main("keras_vae", ["train", *flags, "--resume"]) == 0
    assert "already complete" in capsys.readouterr().out
    for words in (
        ["evaluate", out, "--importance-samples", "3"],
        ["figures", out],
        ["sample", out, "--count", "4"],
        ["export", out],
    ):
        assert main("tf_vae", words) == 0, words
    assert main("tf_vae", ["evaluate", out, "--exact-images", "1"]) == 2
    assert "the run has its own network" in capsys.readouterr().err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert "test_importance_bound" in metrics and not any("dead" in name for name in metrics)
    workers = ["--workers", "localhost:1,localhost:2", "--worker", "0", "--overwrite"]
    assert main("tf_vae", ["train", *flags, *workers]) == 2
    assert "leave out --network" in capsys.readouterr().err


@pytest.mark.either
def test_the_function_may_be_given_itself(implementation, data, tmp_path):
    """Its seed is that of the config, whatever was drawn before."""
    own = importlib.import_module("own_networks")
    ends = []
    for name in ("one", "two"):
        np.random.rand(3)
        config = recipe("post-keras", epochs=1, batch_size=100)
        model, _ = implementation.train(
            config, data, tmp_path / name, verbose=0, network=lambda c, s: own.dropout()
        )
        ends.append(implementation.gather(model))
    assert all((ends[0][name] == ends[1][name]).all() for name in ends[0])
    assert re.search(r"own_networks|lambda", read_config(tmp_path / "one")["network"]["function"])
