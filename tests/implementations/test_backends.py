"""keras_vae on the three backends of Keras: the same step, and runs that move between them."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bits import history

from keras_vae.model import build
from shared.config import recipe
from shared.machine.backend import BACKENDS
from shared.run.folder import read_config, read_metrics, read_run_weights

pytestmark = pytest.mark.backends
CASES = {
    "bernoulli": recipe("post-keras", hidden_dims=(32,)),
    "gaussian": recipe("post-tf", hidden_dims=(16, 8), latent_dim=5, likelihood="gaussian"),
    "categorical": recipe("post-keras", hidden_dims=(8,), likelihood="categorical", levels=4),
    "continuous": recipe(
        "nats",
        hidden_dims=(8,),
        likelihood="continuous-bernoulli",
        output_bias="zero",
        learning_rate=2**-9,  # a float32; Keras' schedule of the rate rounds it on TensorFlow
    ),
}
# float64 leaves the order of the sums, some hundred numbers of one size: 1e-14, and a margin.
# float32 has 1e-7 per operation; relative to the largest gradient of a weight 1e-5 is left.
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}


def environment(backend):
    return {
        **os.environ,
        "KERAS_BACKEND": backend,
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def command(backend, *arguments, status=0):
    """Run the command line on a backend; returns what it printed."""
    words = [sys.executable, "-m", "keras_vae", *map(str, arguments)]
    done = subprocess.run(words, env=environment(backend), capture_output=True, text=True)
    assert done.returncode == status, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """A folder with the results of one training step: of each backend, floatx and case."""
    folder, random = tmp_path_factory.mktemp("steps"), np.random.RandomState(5)
    (folder / "cases").mkdir()
    for name, config in CASES.items():
        shapes = {k: tuple(v.shape) for k, v in build(config, 36).named_weights.items()}
        np.savez(
            folder / "cases" / f"{name}.npz",
            config=json.dumps(dataclasses.asdict(config)),
            x=random.uniform(0, 1, (20, 36)),
            epsilon=random.normal(size=(20, config.latent_dim)),
            **{key: random.normal(0, 0.3, shape) for key, shape in shapes.items()},
        )
    for backend in BACKENDS:
        script = Path(__file__).parents[1] / "helpers" / "backend_step.py"
        words = [sys.executable, script, folder / "cases", folder / backend]
        subprocess.run(words, env=environment(backend), check=True)
    return folder


@pytest.mark.parametrize("floatx", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_a_training_step_is_the_same(name, floatx, steps):
    """Loss, gradients and one step of the optimizer, from the same weights, batch and noise."""
    results = {}
    for backend in BACKENDS:
        with np.load(steps / backend / floatx / f"{name}.npz") as file:
            results[backend] = dict(file)
    for backend in BACKENDS[1:]:
        assert results[backend].keys() == results["tensorflow"].keys()
        for key, expected in results["tensorflow"].items():
            assert results[backend][key].dtype == expected.dtype == floatx
            # The first step of RMSprop or Adam divides a gradient by its own size, so a gradient
            # near zero decides the sign of a whole step in float32.
            if key.startswith("after/") and floatx == "float32":
                continue
            scale = np.abs(expected).max()
            difference = np.abs(results[backend][key] - expected).max()
            assert difference <= TOLERANCES[floatx] * scale, (backend, key)


@pytest.fixture(scope="module")
def runs(data_path, tmp_path_factory):
    """A run of three epochs on each backend."""
    folder = tmp_path_factory.mktemp("backends")
    for backend in BACKENDS:
        command(backend, *train(data_path, 3, folder / backend))
    return folder


def train(data_path, epochs, out, *more):
    size = ["--hidden-dims", "16", "--batch-size", "60", "--epochs", epochs, "--step-losses"]
    return ["train", *size, "--data", data_path, "--out", out, *more]


def test_a_run_says_on_which_backend_it_was_trained(runs):
    for backend in BACKENDS:
        values = read_config(runs / backend)
        name = "keras_vae" if backend == "tensorflow" else f"keras_vae on {backend}"
        assert values["trained_by"] == [name] and backend in values["versions"]


def test_every_backend_learns_the_same(runs):
    """The initial weights and the noise are other numbers; 5 % is more than seeds differ by."""
    ends = {backend: history(runs / backend)[-1]["val_loss"] for backend in BACKENDS}
    for backend in BACKENDS[1:]:
        assert abs(ends[backend] / ends["tensorflow"] - 1) < 0.05, ends


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_resumed_run_ends_with_the_same_bits(backend, runs, data_path, tmp_path):
    """Interrupted inside an epoch, with the losses of the steps."""
    whole, part = runs / backend, tmp_path / "part"
    command(backend, *train(data_path, 1, part))
    command(backend, *train(data_path, 3, part, "--resume", "--checkpoint-steps", "2"))
    for name in ("weights.npz", "steps.csv", "checkpoints/last.npz"):
        assert (part / name).read_bytes() == (whole / name).read_bytes(), name
    assert history(part) == history(whole)


@pytest.mark.parametrize(
    "backend", [BACKENDS[1], pytest.param(BACKENDS[2], marks=pytest.mark.long)]
)
def test_a_run_moves_to_another_backend_and_back(backend, runs, data_path, tmp_path):
    """Begun on one backend, continued by tf_vae, and finished on the first backend."""
    folder = tmp_path / "run"
    shutil.copytree(runs / backend, folder)
    words = [sys.executable, "-m", "tf_vae", *map(str, train(data_path, 4, folder, "--resume"))]
    subprocess.run(words, env=environment("tensorflow"), check=True, capture_output=True)
    command(backend, *train(data_path, 5, folder, "--resume"))
    assert read_config(folder)["trained_by"] == [f"keras_vae on {backend}", "tf_vae"]
    rows = history(folder)
    assert rows[:3] == history(runs / backend) and len(rows) == 5
    assert rows[4]["loss"] < rows[0]["loss"]


def test_every_backend_measures_the_same_weights(runs, tmp_path):
    """A run of TensorFlow, evaluated on each backend; the noise of q differs."""
    values = {}
    for backend in BACKENDS:
        folder = tmp_path / backend
        shutil.copytree(runs / "tensorflow", folder)
        command(backend, "evaluate", folder, "--samples", "20", "--importance-samples", "50")
        command(backend, "figures", folder)
        command(backend, "sample", folder, "--count", "8")
        values[backend] = read_metrics(folder)
        with np.load(folder / "samples.npz") as file:
            values[backend]["samples"] = file["probs"]
    for backend in BACKENDS[1:]:
        for name in ("test_loss", "test_importance_bound"):
            ours, theirs = (values[each][name] for each in (backend, "tensorflow"))
            # Both have errors from sampling z; five of them are seen once in a million runs.
            error = ours.get("noise_error", ours.get("standard_error"))
            assert abs(ours["value"] - theirs["value"]) < 5 * 2**0.5 * error, (backend, name)
        np.testing.assert_allclose(
            values[backend]["samples"], values["tensorflow"]["samples"], atol=1e-6
        )


def test_what_a_backend_does_not_have_is_refused(runs):
    line = command("jax", "export", runs / "jax", status=2)
    assert "export needs Keras on its TensorFlow backend" in line
    words = [sys.executable, "-m", "tf_vae", "evaluate", str(runs / "jax")]
    done = subprocess.run(words, env=environment("torch"), capture_output=True, text=True)
    assert done.returncode == 2 and "tf_vae needs tensorflow" in done.stderr
    read_run_weights(runs / "jax")


SAME_PATHS = """
import keras
from keras_vae.model import assemble
from keras_vae.train import train
from shared.config import recipe
from shared.machine.checks import UsageError
from shared.data import load_data

config = recipe("post-keras", epochs=1, batch_size=60)
data = load_data({data!r})
parts = []
for width, heads in ((36, ("z_mean", "z_log_var")), (2, ("logits",))):
    x = keras.Input((width,))
    h = keras.layers.Dense(8, "relu", name="hidden")(x)
    outputs = [keras.layers.Dense(2 if width == 36 else 36, name=name)(h) for name in heads]
    parts.append(keras.Model(x, outputs if width == 36 else {{"logits": outputs[0]}}))
model = assemble(*parts, config, 36)
try:
    train(config, data, model=model, verbose=0)
except UsageError as error:
    print("refused:", error)
"""


def test_weights_whose_gradients_would_not_be_reset_are_refused(data_path):
    words = [sys.executable, "-c", SAME_PATHS.format(data=str(data_path))]
    printed = {}
    for backend in BACKENDS:
        done = subprocess.run(words, env=environment(backend), capture_output=True, text=True)
        printed[backend] = done.stdout
        assert done.returncode == 0, done.stderr[-2000:]
    assert printed["torch"].startswith("refused: two weights have the path hidden/kernel")
    assert printed["tensorflow"] == printed["jax"] == ""
