"""A training with NumPy arrays: it calls a Run as `train` does, without a model to compile."""

import os
import shutil
from pathlib import Path

import numpy as np

from shared.config import recipe
from shared.run import folder
from shared.run.checkpoints import read_checkpoint
from shared.run.state import Run
from shared.weights import slot_shapes, weight_shapes

CONFIG = recipe(
    "post-keras",
    epochs=3,
    picture_epochs=(1, 3),
    hidden_dims=(3,),
    batch_size=200,
    step_losses=True,
)  # 300 images: two steps per epoch

# The files of a finished run.
FILES = (
    "config.json",
    "history.csv",
    "steps.csv",
    "metrics.json",
    "weights.npz",
    "weights_epoch_003.npz",
    "model.keras",
    "checkpoints/last.npz",
    "checkpoints/previous.npz",
    "SHA256SUMS",
)


def weights_at(step, config=CONFIG):
    """Weights that are a function of the step, as those of a real training are."""
    shapes = weight_shapes(config, 36)
    return {name: np.full(shape, step, np.float32) for name, shape in shapes.items()}


def variables_at(step, config=CONFIG):
    """Weights and slots of the optimizer at a step."""
    slots = {
        name: np.full(shape, -step, np.float32)
        for name, shape in slot_shapes(config, weight_shapes(config, 36)).items()
    }
    return {**weights_at(step, config), **slots}


def train(
    config, data, directory, implementation="tf_vae", stop=None, change=lambda *_: None, **options
):
    """Calls a Run as `train` does, without a model; raises PowerFailure after epoch `stop`.

    `change` is called with the row, the losses and the weights of each epoch, which it may change.
    """
    with Run(directory, config, data, implementation, **options) as run:
        if run.checkpoint:
            shapes = weight_shapes(config, 36) | slot_shapes(config, weight_shapes(config, 36))
            restored = read_checkpoint(run.checkpoint, shapes).variables
            assert (restored["encoder/z_mean/bias"] == run.step).all()
            assert (restored["optimizer/velocity/encoder/z_mean/bias"] == -run.step).all()
        run.begin()
        for epoch, start, end in config.epoch_ends(data.n_train, run.step):
            if run.stopped:
                break
            losses = np.float32(100) / np.arange(start + 1, end + 1, dtype=np.float32)
            row = dict.fromkeys(folder.COLUMNS, float(epoch)) | {"epoch": epoch, "step": end}
            weights = weights_at(end, config)
            change(row, losses, weights)
            run.finish_epoch(row, losses, {**variables_at(end, config), **weights})
            if epoch == stop:
                raise PowerFailure
        save = None
        if implementation == "keras_vae":

            def save(path):
                np.savez(path.with_suffix(".npz"), **weights_at(run.step, config))
                path.with_suffix(".npz").rename(path)

        run.finish(weights_at(run.step, config), save)
    return run


class PowerFailure(BaseException):
    """Ends the training between two changes of the folder; the project does not catch it."""


def contents(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def complete(directory):
    """Write what the command `train` writes after the training."""
    for name in folder.figure_names(CONFIG, 300):
        folder.write_product(directory, f"figures/{name}", b"a picture")
    metric = {"value": 1.0, "unit": "nats", "step": 6}
    metrics = dict.fromkeys(("test_loss", "train_loss"), metric)
    folder.store_metrics(directory, {**metrics, **folder.read_metrics(directory)})


CHANGES = ((os, "replace"), (Path, "unlink"), (shutil, "rmtree"))


def changes_until(monkeypatch, count, after, action):
    """Runs `action`, which fails before or after change number `count`; returns whether it did."""
    done = []
    with monkeypatch.context() as patch:
        for owner, name in CHANGES:
            original = getattr(owner, name)

            def changed(*arguments, original=original, **options):
                if len(done) == count and not after:
                    raise PowerFailure
                result = original(*arguments, **options)
                done.append(arguments)
                if len(done) > count and after:
                    raise PowerFailure
                return result

            patch.setattr(owner, name, changed)
        try:
            action()
        except PowerFailure:
            return True
    return False
