"""The run directory, driven with NumPy arrays: what it holds after a failure at any moment."""

import dataclasses
import subprocess
import sys

import pytest
from array_training import CONFIG, PowerFailure, changes_until, contents, train, weights_at

from shared.config import from_dict
from shared.machine.checks import UsageError
from shared.run import files, folder
from shared.run.folder import missing_products, read_config, read_run_weights
from shared.run.state import Run


def begun(kind, data, directory):
    """A folder at the start of a command that fails, and that command's config and options."""
    if kind == "new":
        return CONFIG, {}
    train(CONFIG, data, directory, "keras_vae")
    (directory / "metrics.json").write_text(
        '{"test_loss": {"value": 1, "unit": "", "step": 6}}', encoding="utf-8"
    )
    (directory / "figures").mkdir()
    (directory / "figures" / "loss.png").write_bytes(b"old")
    if kind == "extended":
        return dataclasses.replace(CONFIG, epochs=5), {"resume": True}
    return dataclasses.replace(CONFIG, seed=1, hidden_dims=(4,)), {"overwrite": True}


@pytest.mark.parametrize(
    "kind",
    ["new", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("extended", "overwritten"))],
)
@pytest.mark.parametrize(
    "implementation", ["keras_vae", pytest.param("tf_vae", marks=pytest.mark.long)]
)
def test_the_power_fails_at_any_change_of_the_folder(
    kind, implementation, data, tmp_path, monkeypatch
):
    """After a failure at any rename or removal, a resumed run ends with the same files."""
    moment = 0
    for moment in range(200):
        outcomes = []
        for after in (False, True):
            directory = tmp_path / f"{moment}-{after}"
            config, options = begun(kind, data, directory)
            outcomes.append(
                changes_until(
                    monkeypatch,
                    moment,
                    after,
                    lambda d=directory, c=config, o=options: train(c, data, d, implementation, **o),
                )
            )
            if outcomes[-1]:
                # No file of another step is taken for that of the end.
                if (directory / "weights.npz").exists():
                    _assert_weights_are_of_their_step(directory)
                again = options if kind == "overwritten" else {"resume": True}
                train(config, data, directory, implementation, **again)
            whole = tmp_path / "whole"
            if not whole.exists():
                config, options = begun(kind, data, whole)
                train(config, data, whole, implementation, **options)
            assert contents(directory) == contents(whole), (moment, after)
        if not any(outcomes):
            break
    # at least config, 4 files per epoch (5 if pictured), the final weights
    assert moment > {"new": 10, "extended": 10, "overwritten": 15}[kind]


def _assert_weights_are_of_their_step(directory):
    values = read_config(directory)
    try:
        _, weights = read_run_weights(directory)
    except UsageError as error:
        assert "finish the run with --resume" in str(error)
    else:
        total = from_dict(values).total_steps(values["data"]["n_train"])
        assert all((array == total).all() for array in weights.values())


def test_an_interrupted_extension_serves_no_stale_weights(data, tmp_path):
    train(CONFIG, data, tmp_path, "keras_vae")
    longer = dataclasses.replace(CONFIG, epochs=5)
    with pytest.raises(PowerFailure):
        train(longer, data, tmp_path, "keras_vae", stop=4, resume=True)
    for name in ("weights.npz", "model.keras"):
        assert not (tmp_path / name).exists()
    with pytest.raises(UsageError, match=r"has no weights\.npz; finish the run with --resume"):
        read_run_weights(tmp_path)
    assert read_run_weights(tmp_path, 3)[1]["encoder/z_mean/bias"][0] == 6  # of epoch 3, still
    # If there are weights of another step nevertheless, they are refused.
    files.write_npz(tmp_path / "weights.npz", weights_at(6), 6)
    with pytest.raises(UsageError, match="is of step 6, not of step 10"):
        read_run_weights(tmp_path)


def test_a_finished_run_is_complete_only_with_all_its_products(data, tmp_path):
    """Each file in turn is removed; the checkpoint restores all it can."""
    train(CONFIG, data, tmp_path)
    assert missing_products(tmp_path, CONFIG, 300) == [
        *(f"figures/{kind}_epoch_{e:03d}.png" for e in (1, 3) for kind in ("latent", "manifold")),
        "figures/loss.png",
        "metrics.json",
    ]
    for name in folder.figure_names(CONFIG, 300):
        folder.write_product(tmp_path, f"figures/{name}", b"")
    metric = {"value": 1.0, "unit": "nats", "step": 6}
    names = ("test_loss", "train_loss")
    folder.store_metrics(tmp_path, dict.fromkeys(names, metric))
    assert Run(tmp_path, CONFIG, data, "tf_vae", resume=True).complete
    for name in ("weights.npz", "weights_epoch_003.npz", "figures/loss.png", "metrics.json"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        run = Run(tmp_path, CONFIG, data, "keras_vae", resume=True)
        assert not run.complete and run.trained_by == ["tf_vae"]
        (tmp_path / name).write_bytes(content)
        assert Run(tmp_path, CONFIG, data, "keras_vae", resume=True).complete
    # A metric of an earlier length does not show that the run is finished.
    folder.store_metrics(tmp_path, {name: {**metric, "step": 4} for name in names})
    assert not Run(tmp_path, CONFIG, data, "tf_vae", resume=True).complete
    # The weights of an earlier epoch are not in the checkpoint.
    (tmp_path / "weights_epoch_001.npz").unlink()
    with pytest.raises(UsageError, match=r"weights_epoch_001\.npz is missing or damaged"):
        Run(tmp_path, CONFIG, data, "tf_vae", resume=True).check()


HOLDS = """
import sys
from shared.run.folder import locked

with locked(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_two_processes_cannot_use_one_run(data, tmp_path):
    """The state is read under the lock, so steps of another process are not trained again."""
    early = Run(tmp_path, CONFIG, data, "tf_vae", resume=True).check()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(UsageError, match="in use by another process"), early:
            pass
        other.communicate("")
    train(CONFIG, data, tmp_path)
    with early:
        assert early.step == 6 and len(early.history) == 3
    fresh = Run(tmp_path / "other", CONFIG, data, "tf_vae").check()
    train(CONFIG, data, tmp_path / "other")
    before = contents(tmp_path / "other")
    with pytest.raises(UsageError, match="already holds a run"), fresh:
        pass
    assert contents(tmp_path / "other") == before


def test_a_link_of_a_partial_files_name_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "0")
    (tmp_path / ".metrics.json.0.partial").symlink_to(tmp_path / "mine")
    with pytest.raises(FileExistsError):
        files.write_json(tmp_path / "metrics.json", {})
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine" and not (
        tmp_path / "metrics.json"
    ).exists()
