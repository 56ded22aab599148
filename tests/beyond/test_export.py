"""Exported encoders and decoders give the same outputs as the model when they are loaded."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from shared.beyond import export, onnx_files
from shared.command.implementation import import_beyond
from shared.config import recipe
from shared.run.folder import read_config
from shared.run.state import Run

CONFIGS = {
    "bernoulli": recipe("post-keras"),
    "gaussian": recipe("post-keras", likelihood="gaussian", latent_dim=3),
    "categorical": recipe("post-keras", likelihood="categorical", levels=3),
    "autoencoder": recipe("post-keras", posterior="delta"),
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def exported(request, implementation, tmp_path):
    """The arguments of `export_run`, with an untrained model."""
    model = implementation.build(dataclasses.replace(request.param, hidden_dims=(8,)), 36)
    exporter = import_beyond(implementation.name, "export")
    return tmp_path / "run", implementation, exporter, model, 36


def test_saved_models_are_the_model(exported):
    differences = export.export_run(*exported).differences
    saved = [path for path in differences if path.suffix == ""]
    assert [path.name for path in saved] == ["encoder", "decoder"]
    assert all((path / "saved_model.pb").exists() for path in saved)
    assert max(differences.values()) < export.TOLERANCE
    # Every output is in the file: a missing output would not be compared.
    folder, implementation, exporter, model, input_dim = exported
    x = np.random.RandomState(0).uniform(size=(3, input_dim)).astype(np.float32)
    q = dict(zip(("z_mean", "z_log_var"), implementation.encode(model, x), strict=True))
    if np.isneginf(q["z_log_var"]).all():
        del q["z_log_var"]  # of a delta posterior, which has only z_mean
    z = q["z_mean"]
    for part, inputs, outputs in (
        ("encoder", x, q),
        ("decoder", z, {"x": implementation.decode(model, z)}),
    ):
        ours = exporter.load_exported(folder / "exported" / part)(inputs)
        assert ours.keys() == outputs.keys()
        for name, values in outputs.items():
            # As in export.py: float32 sums, which are in another order with XLA.
            np.testing.assert_allclose(ours[name], values, rtol=1e-5, atol=1e-5)


def test_an_export_of_another_model_is_not_written(implementation, data, tmp_path):
    """The written file is checked: one with other weights raises an error and is removed."""
    config = recipe("post-keras", hidden_dims=(8,))
    model, other = (implementation.build(dataclasses.replace(config, seed=s), 36) for s in (0, 1))
    exporter = import_beyond(implementation.name, "export")

    def export_other(model, directory, onnx=False):
        exporter.export(other, directory, onnx)

    wrong = SimpleNamespace(export=export_other, load_exported=exporter.load_exported)
    with pytest.raises(ArithmeticError, match="encoder differs from the model"):
        export.export_run(tmp_path, implementation, wrong, model, 36)
    assert not (tmp_path / "exported").exists()


def test_training_on_removes_the_export_of_the_old_weights(implementations, data, tmp_path):
    implementation, folder = implementations["tf_vae"], tmp_path / "run"
    config = recipe("post-keras", hidden_dims=(8,), epochs=1)
    model, _ = implementation.train(config, data, folder, verbose=0)
    exporter = import_beyond("tf_vae", "export")
    export.export_run(folder, implementation, exporter, model, 36)
    assert (folder / "exported" / "decoder").exists()
    longer = dataclasses.replace(config, epochs=2)
    with Run(folder, longer, data, "tf_vae", resume=True) as run:
        run.begin()  # as `train` does, once the checkpoint is in its variables
    assert not (folder / "exported").exists() and read_config(folder)["epochs"] == 2


@pytest.mark.extras
def test_onnx_files_are_the_model(exported):
    differences = export.export_run(*exported).differences
    assert [path.name for path in differences] == [
        "encoder",
        "decoder",
        "encoder.onnx",
        "decoder.onnx",
    ]
    assert max(differences.values()) < export.TOLERANCE


@pytest.mark.extras
def test_an_onnx_file_takes_any_number_of_images(exported):
    folder, implementation, _, model, input_dim = exported
    export.export_run(*exported)
    encode = onnx_files.load_onnx(folder / "exported" / "encoder.onnx")
    for n in (1, 7):
        x = np.full((n, input_dim), 0.5, np.float32)
        # float32 sums in another order than XLA's
        np.testing.assert_allclose(
            encode(x)["z_mean"], implementation.encode(model, x)[0], atol=1e-5
        )
