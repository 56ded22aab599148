"""The lines of the documentation that use exported files run without this project.

Each runs in a process that sees only the installed packages: without `site`, so that the .pth file
of an editable install is not read.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from shared.beyond import export
from shared.command.implementation import import_beyond
from shared.config import recipe

TEXT = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
ALONE = """
import importlib.util, sys
sys.path.append({packages!r})
for name in ("shared", "keras_vae", "tf_vae"):
    assert importlib.util.find_spec(name) is None, name
{code}
np.savez("results.npz", **{{name: value for name, value in globals().items() if name in {names!r}}})
"""
# The files are not compiled by XLA, so float32 sums over 784 pixels are in another order.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def run(implementation, tmp_path):
    """A folder with own.npz and an exported run, the model's functions, and the test images."""
    random = np.random.RandomState(0)
    x = {
        n: random.randint(0, 256, (k, 28, 28)).astype(np.uint8)
        for n, k in (("train", 40), ("test", 7))
    }
    arrays = {f"x_{name}": each for name, each in x.items()}
    labels = {f"y_{name}": random.randint(0, 10, len(each)) for name, each in x.items()}
    np.savez(tmp_path / "own.npz", **arrays, **labels)
    model = implementation.build(recipe("post-keras", hidden_dims=(8,), latent_dim=3), 784)
    exporter = import_beyond(implementation.name, "export")
    folder = tmp_path / "runs" / "own"
    export.export_run(folder, implementation, exporter, model, 784)
    return tmp_path, implementation, model, x["test"].reshape(7, 784) / np.float32(255)


def results(folder, marker, names, more=""):
    """Runs the lines after a marker in `folder`; returns what they leave in these variables."""
    code = TEXT.split(f"<!-- export: {marker} -->\n```python\n")[1].split("```")[0] + more
    code = ALONE.format(packages=sysconfig.get_path("purelib"), code=code, names=names)
    command = [sys.executable, "-I", "-S", "-c", code]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return np.load(folder / "results.npz")


@pytest.mark.either
@pytest.mark.parametrize(
    "marker", ["tensorflow", pytest.param("onnx", marks=pytest.mark.extras), "tflite"]
)
def test_encoder_and_decoder(run, marker):
    folder, implementation, model, x = run
    found = results(folder, marker, ("z_mean", "z_log_var", "images"))
    wanted = dict(zip(("z_mean", "z_log_var"), implementation.encode(model, x), strict=True))
    wanted["images"] = implementation.decode(model, wanted["z_mean"]).reshape(-1, 28, 28)
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, **CLOSE)


@pytest.mark.either
def test_features_of_a_keras_model(run):
    """The classifier is trained on features that stay those of the model."""
    folder, implementation, model, x = run
    more = """
features = keras.Model(x, z_mean).predict(x_test)
scores = classifier.predict(x_test)
kernel, bias = classifier.layers[-1].get_weights()
count = len(classifier.trainable_variables)
"""
    found = results(folder, "features", ("features", "scores", "kernel", "bias", "count"), more)
    z_mean = implementation.encode(model, x)[0]
    np.testing.assert_allclose(found["features"], z_mean, **CLOSE)
    scores = z_mean @ found["kernel"] + found["bias"]
    np.testing.assert_allclose(found["scores"], scores, **CLOSE)
    assert found["count"] == 2 and np.any(found["bias"])  # trained, and nothing else
