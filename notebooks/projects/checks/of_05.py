"""Checks project 5, own images and networks, by a training on the command line."""

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from checking import expect
from scipy import special

from shared.config import recipe
from shared.data import load_data
from shared.machine.checks import UsageError

ROOT = Path(__file__).parents[3]


def file_of(work, place):
    """Returns the path of the file that the work writes to a folder."""
    path = Path(place, "own.npz")
    work.save(str(path))
    expect(path.exists(), "save wrote no file at the path that it was given")
    return path


def images(work):
    """Requires a file that the project reads, with three different sets of images."""
    with tempfile.TemporaryDirectory() as place:
        path = file_of(work, place)
        try:
            data = load_data(str(path))
        except UsageError as error:
            expect(False, str(error).replace(place, ""))
        with np.load(path) as arrays:
            expect("x_valid" in arrays, "the file has no x_valid; what are decisions made by?")
    count, shape = len(data.x_train), data.image_shape
    expect(count >= 500, f"x_train has {count} images; expected 500 or more")
    expect(min(shape[:2]) >= 8, f"the images are {shape[:2]}; expected 8 × 8 or more")
    parts = [data.x_train, data.x_valid, data.x_test]
    for part, name in zip(parts, ("x_train", "x_valid", "x_test"), strict=True):
        expect(
            np.ptp(part) > 0.5, f"{name} is from {part.min():.2f} to {part.max():.2f}: too dark?"
        )
    first, *others = [set(map(bytes, np.ascontiguousarray(part))) for part in parts]
    for part, name in zip(others, ("x_valid", "x_test"), strict=True):
        share = len(part & first) / len(part)
        expect(share < 0.5, f"{share:.0%} of {name} are in x_train: the sets must be different")
    return f"{count:,} images of {shape[0]} × {shape[1]}"


def shapes(work):
    """Requires networks of the right outputs, with at most 20,000 weights."""
    config = recipe("post-keras", latent_dim=3)
    with tempfile.TemporaryDirectory() as place:
        data = load_data(str(file_of(work, place)))
    encoder, decoder = work.networks(config, data.image_shape)
    count = encoder.count_params() + decoder.count_params()
    expect(count <= 20_000, f"the networks have {count:,} weights; expected 20,000 at most")
    q = encoder(data.x_train[:2].reshape(2, *data.image_shape[:2], 1))
    found = [tuple(each.shape) for each in q]
    expect(found == [(2, 3), (2, 3)], f"the encoder returns {found}; expected two of (2, latents)")
    return f"{count:,} weights"


def training(work):
    """Requires a training whose validation loss is below that of a decoder without z."""
    with tempfile.TemporaryDirectory() as place:
        path, out = file_of(work, place), str(Path(place, "run"))
        command = [sys.executable, "-m", "tf_vae", "train", "--recipe", "post-keras"]
        command += ["--network", f"{work.__file__}:networks", "--data", str(path), "--out", out]
        command += ["--latent-dim", "4", "--optimizer", "adam", "--learning-rate", "0.005"]
        command += ["--binarization", "dynamic", "--epochs", "30"]
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
        )
        lines = done.stderr.strip().splitlines() or ["no message"]
        expect(done.returncode == 0, f"the training ended with: {lines[-1]}")
        with open(Path(out, "history.csv"), encoding="utf-8") as file:
            last = list(csv.DictReader(file))[-1]
        data = load_data(str(path))
    mean = data.x_train.mean(axis=0, dtype=np.float64)
    entropy = special.entr([mean, 1 - mean]).sum()
    loss = float(last["val_loss"])
    text = f"validation loss {loss:.1f}; the mean image alone has {entropy:.1f} nats"
    expect(loss < 0.95 * entropy, f"{text}: expected at least 5 % less")
    return text


REQUIREMENTS = (
    ("a file of own images in three sets", images),
    ("networks with the right outputs", shapes),
    ("a training on the command line that uses z", training),
)
