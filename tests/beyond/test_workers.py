"""Training by several workers: the results of one, and what happens if a worker ends."""

import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from bits import history

from shared.run.folder import (
    read_config,
    read_history,
    read_metrics,
    read_run_weights,
    read_step_losses,
)

pytestmark = pytest.mark.backends
BACKEND = {"tf_vae": "tensorflow", "keras_vae": "jax"}
PACKAGES = tuple(BACKEND)
# 110 steps in two epochs; batches, also the last ones, can be divided by two.
SIZE = ["--hidden-dims", "16", "--batch-size", "6", "--step-losses"]
# Relative differences of losses that are allowed: in the first ten steps ten roundings of a
# float32, and later the effect of a relu that is on in one training and off in the other.
FIRST, LATER = 1e-6, 1e-3


def start(package, *arguments, stdout=subprocess.DEVNULL):
    """Start a `train` command."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": BACKEND[package],
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    words = [sys.executable, "-m", package, "train", *SIZE, *map(str, arguments)]
    pipes = {"stdout": stdout, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, env=environment, **pipes)


def addresses(count=2):
    """Addresses on this machine whose ports are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def start_both(package, folder, *arguments):
    """Start two workers; the second has no folder of the run."""
    where = addresses()
    return [
        start(package, *arguments, "--out", out, "--workers", where, "--worker", index)
        for index, out in enumerate((folder, folder.with_name("not used")))
    ]


def ended(processes, statuses, seconds=120):
    """Wait for processes; returns the last line that each has printed on stderr."""
    lines, deadline = [], time.monotonic() + seconds
    for process, status in zip(processes, statuses, strict=True):
        try:
            _, error = process.communicate(timeout=max(1, deadline - time.monotonic()))
        finally:
            process.kill()
        assert process.returncode == status, error[-2000:]
        assert "Traceback" not in error
        lines.append(["", *error.strip().splitlines()][-1])
    return lines


def assert_same_training(one, several, steps):
    """Several workers take the steps of one, but for the order of the sums over a batch.

    That changes the last bits of a gradient. Where it moves the input of a relu across zero, a
    whole image is missing in the gradient of a unit, and the optimizer makes a visible difference
    of it (docs/scaling.md); this is rare, and hardly ever happens in the first steps.
    """
    alone, together = (np.array(read_step_losses(folder)) for folder in (one, several))
    assert len(alone) == steps
    np.testing.assert_allclose(together[:10], alone[:10], rtol=FIRST)
    np.testing.assert_allclose(together, alone, rtol=LATER)


@pytest.fixture
def uneven_path(uneven_data):
    """The path of 330 + 620 images."""
    return uneven_data.source


LONG = pytest.mark.long


@pytest.mark.parametrize("seed", (0, pytest.param(1, marks=LONG), pytest.param(2, marks=LONG)))
@pytest.mark.parametrize("package", PACKAGES)
def test_two_workers_compute_what_one_computes(package, seed, uneven_path, tmp_path):
    arguments = ["--epochs", 2, "--seed", seed, "--data", uneven_path]
    one, two = tmp_path / "one", tmp_path / "two"
    ended([start(package, *arguments, "--out", one)], [0])
    ended(start_both(package, two, *arguments), [0, 0])  # it compares the workers' final weights
    assert not (tmp_path / "not used").exists()
    assert_same_training(one, two, steps=110)
    losses = [read_metrics(folder)["test_loss"]["value"] for folder in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=LATER)
    for ours, theirs in zip(*(read_history(folder) for folder in (one, two)), strict=True):
        for name in ("loss", "log_likelihood", "val_loss"):
            assert theirs[name] == pytest.approx(ours[name], rel=LATER), name
        for name in ("kl", "val_kl"):  # a small part of the loss
            assert theirs[name] == pytest.approx(ours[name], rel=20 * LATER), name


def test_virtual_devices_compute_what_one_computes(uneven_path, tmp_path):
    """Three replicas, of which two have one more image than the third in a batch of 8."""
    for name, more in (("one", []), ("three", ["--virtual-devices", "3"])):
        arguments = ["--batch-size", 8, "--steps", 100, "--data", uneven_path, *more]
        ended([start("tf_vae", *arguments, "--out", tmp_path / name)], [0])
    assert_same_training(tmp_path / "one", tmp_path / "three", steps=100)


@LONG
@pytest.mark.parametrize("package", PACKAGES)
def test_checkpoints_inside_an_epoch_change_no_digit(package, uneven_path, tmp_path):
    """Not of the history either, although they cut the steps into other calls."""
    arguments = ["--epochs", 2, "--data", uneven_path]
    folders = [tmp_path / "epochs", tmp_path / "steps"]
    for folder, more in zip(folders, ([], ["--checkpoint-steps", 7]), strict=True):
        if package == "tf_vae":
            more = [*more, "--virtual-devices", 2, "--out", folder]
            ended([start(package, *arguments, *more)], [0])
        else:
            ended(start_both(package, folder, *arguments, *more), [0, 0])
    assert history(folders[1]) == history(folders[0])
    for name in ("weights.npz", "steps.csv", "checkpoints/last.npz"):
        assert (folders[1] / name).read_bytes() == (folders[0] / name).read_bytes(), name


def test_the_line_of_an_epoch_has_the_losses_of_the_history(uneven_path, tmp_path):
    arguments = ["--epochs", 1, "--data", uneven_path, "--virtual-devices", 2]
    with (tmp_path / "output").open("w", encoding="utf-8") as file:
        ended([start("tf_vae", *arguments, "--out", tmp_path / "run", stdout=file)], [0])
    shown = (tmp_path / "output").read_text(encoding="utf-8").splitlines()
    (number,) = [n for n, line in enumerate(shown) if line.startswith("epoch ")]
    names, values = shown[number].split(), shown[number + 1].split()
    assert values[0] == "1/1"
    (row,) = history(tmp_path / "run")
    assert values[1:-1] == [f"{row[name]:.2f}" for name in names[1:-1]]
    assert names[1:] == ["loss", "log_likelihood", "kl", "val_loss", "seconds"]


@pytest.mark.parametrize(
    "package, killed",
    [
        (PACKAGES[0], 0),
        pytest.param(PACKAGES[1], 1, marks=LONG),
        pytest.param(PACKAGES[0], 1, marks=LONG),
        pytest.param(PACKAGES[1], 0, marks=LONG),
    ],
)
def test_a_killed_worker_ends_the_other_and_the_run_resumes(package, killed, uneven_path, tmp_path):
    """Mostly inside an epoch: ten of eleven checkpoints are."""
    arguments = ["--data", uneven_path]
    run, whole = tmp_path / "run", tmp_path / "whole"
    workers = start_both(package, run, *arguments, "--epochs", 5000, "--checkpoint-steps", 5)
    deadline, table = time.monotonic() + 120, run / "history.csv"

    def two_epochs():
        return table.exists() and table.read_text(encoding="utf-8").count("\n") > 2

    while not two_epochs() and time.monotonic() < deadline:
        time.sleep(0.05)
    workers[killed].send_signal(signal.SIGKILL)
    began = time.monotonic()
    line = ended([workers[1 - killed]], [1], 60)[0]
    workers[killed].communicate()
    assert line.startswith(f"worker {killed} (127.0.0.1:") and " has ended; what was saved" in line
    assert line.endswith("--resume") and time.monotonic() - began < 30
    done = len(read_history(run))
    assert done >= 2
    more = [*arguments, "--epochs", done + 2]
    ended(start_both(package, run, *more, "--resume"), [0, 0])
    ended(start_both(package, whole, *more), [0, 0])
    for name in ("weights.npz", "steps.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert history(run) == history(whole)
    assert read_run_weights(run)[0]["trained_by"] == read_config(whole)["trained_by"]


@pytest.mark.parametrize("package", [PACKAGES[0], pytest.param(PACKAGES[1], marks=LONG)])
def test_patience_stops_all_workers_after_the_same_epoch(package, uneven_path, tmp_path):
    """Also after a resume, at which the second worker knows the history by worker 0 alone."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    arguments = ["--data", uneven_path, "--learning-rate", 0.05, "--epochs", 9]
    ended(start_both(package, run, *arguments, "--patience", 1), [0, 0])
    stopped = read_config(run)["stopped_after"]
    assert stopped["epoch"] == len(read_history(run)) < 9 and stopped["by"] == "patience"
    (run / "figures" / "loss.png").unlink()  # nothing is left but to draw it
    ended(start_both(package, run, *arguments, "--patience", 1, "--resume"), [0, 0])
    assert (run / "figures" / "loss.png").exists() and read_config(run)["stopped_after"] == stopped
    ended(start_both(package, run, *arguments, "--patience", 2, "--resume"), [0, 0])
    ended(start_both(package, whole, *arguments, "--patience", 2), [0, 0])
    for name in ("weights.npz", "weights_best.npz", "steps.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert history(run) == history(whole) and len(history(run)) > stopped["epoch"]


def test_a_late_worker_is_waited_for_and_a_missing_one_is_not(uneven_path, tmp_path):
    arguments = ["--epochs", 1, "--data", uneven_path, "--connect-timeout"]
    where = ["--workers", addresses(), "--worker"]
    first = start("tf_vae", *arguments, 60, "--out", tmp_path / "a", *where, 0)
    time.sleep(5)
    second = start("tf_vae", *arguments, 60, "--out", tmp_path / "b", *where, 1)
    ended([first, second], [0, 0])
    for index, text in ((0, "worker 1 (127.0.0.1:"), (1, "worker 0 (127.0.0.1:")):
        alone = start("tf_vae", *arguments, 2, "--out", tmp_path / "c", *where, index)
        (line,) = ended([alone], [1], 30)
        assert line.startswith(text) and "within 2 s" in line


def test_workers_that_do_not_fit_are_refused(uneven_path, data_path, tmp_path):
    where = addresses()
    arguments = ["--epochs", 1, "--out", tmp_path / "run", "--connect-timeout", 30]
    data = ["--data", uneven_path]
    cases = {
        "data": ([*data, "--workers", where], ["--data", data_path, "--workers", where]),
        "settings": ([*data, "--workers", where], [*data, "--workers", where, "--seed", 5]),
        "counts": ([*data, "--workers", where], [*data, "--workers", f"{where},127.0.0.1:9"]),
    }
    for word, (first, second) in cases.items():
        workers = [
            start("tf_vae", *arguments, *first, "--worker", 0),
            start("tf_vae", *arguments, *second, "--worker", 1),
        ]
        lines = ended(workers, [2, 2], 60)
        assert lines[0] == lines[1] and lines[0].startswith("worker 1 ") and word in lines[0]
    host, port = where.split(",")[0].split(":")
    with socket.create_server((host, int(port))):
        worker = start("tf_vae", *arguments, *data, "--workers", where, "--worker", 0)
        (line,) = ended([worker], [2], 30)
    assert "cannot listen on its address" in line and "in use" in line
    assert not (tmp_path / "run").exists()
