"""Ctrl-C: the exit status, the saved files, and the message."""

import shlex
import signal
import subprocess
import sys
import time

import pytest

from shared.command import commands, training
from shared.command.line import main
from shared.config import from_dict
from shared.data import load_data
from shared.run.folder import read_config, read_history
from shared.run.state import Run

# Processes that a shell starts in the background ignore SIGINT, and so do their children in Python.
# This program is the command line as a terminal starts it.
FROM_A_TERMINAL = """
import runpy, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("package", "number", "status", "word"),
    [
        ("keras_vae", signal.SIGINT, 130, "interrupted"),
        pytest.param("tf_vae", signal.SIGTERM, 143, "terminated", marks=pytest.mark.long),
    ],
    ids=["keras_vae, Ctrl-C", "tf_vae, SIGTERM"],
)
def test_an_interrupted_training_says_so_and_can_be_resumed(
    package, number, status, word, data_path, tmp_path
):
    """Sends a real signal as soon as an epoch is saved."""
    arguments = ["train", "--hidden-dims", "4", "--epochs", "100000", "--data", str(data_path)]
    command = [sys.executable, "-c", FROM_A_TERMINAL, package, *arguments, "--out", "run"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not (tmp_path / "run" / "checkpoints" / "last.npz").exists():
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.05)
            process.send_signal(number)
            _, error = process.communicate(timeout=60)
        finally:
            process.kill()  # otherwise `with` would wait for the end of the training
    assert process.returncode == status
    command = f"python -m {package} {shlex.join(arguments)} --out run --resume"
    assert error.strip() == f"{word}; what was saved is complete; continue with: {command}"
    history = read_history(tmp_path / "run")
    config = from_dict(read_config(tmp_path / "run"))
    assert Run(tmp_path / "run", config, load_data(str(data_path)), package, True).step > 0
    assert [row["epoch"] for row in history] == list(range(1, len(history) + 1))


def test_only_the_message_of_a_training_offers_a_resume(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    monkeypatch.setattr(commands, "evaluate", interrupted)
    assert main("tf_vae", ["evaluate", "run"]) == 130
    assert capsys.readouterr().err == "\ninterrupted; nothing was changed\n"
    assert main("tf_vae", ["train", "--out", "my run", "--overwrite"]) == 130
    end = "continue with: python -m tf_vae train --out 'my run' --resume\n"
    assert capsys.readouterr().err.endswith(end)


SWALLOWED = """
import os, signal
from shared.machine import process

process.set_up()
signal.signal(signal.SIGINT, process._interrupt)

class Executor:
    def __del__(self):  # in which Python discards an exception
        os.kill(os.getpid(), signal.SIGINT)

executor = Executor()
del executor
print("discarded", flush=True)
try:
    process.check_interrupted()
except KeyboardInterrupt:
    print("raised again", flush=True)
os.kill(os.getpid(), signal.SIGINT)
print("not reached")
"""


REPLACED = """
import os, signal
from shared.command.line import exit_status
from shared.machine import process

def command():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt as error:  # as TensorFlow does at the end of an iterator
        raise RuntimeError("REPLACED BY Terminated") from error

process.set_up()
raise SystemExit(exit_status(command))
"""


def test_an_exception_that_replaces_a_signal_is_reported_as_the_signal():
    process = subprocess.run(
        [sys.executable, "-c", REPLACED], capture_output=True, text=True, check=False
    )
    assert process.stderr == "\nterminated; nothing was changed\n"
    assert process.returncode == 143


# A dataset whose thread calls Python nearly all the time, in a cycle of references that is freed
# while the interpreter ends: in about every second process, TensorFlow then waits for ever.
PREPARING = """
import time
import numpy as np, tensorflow as tf
from shared.machine.process import end_process

def slow(x):
    time.sleep(0.3)
    return np.float32(x)

def image(i):
    return tf.data.Dataset.from_tensors(tf.numpy_function(slow, [i], tf.float32))

def stopped():
    batches = iter(tf.data.Dataset.range(1000).flat_map(image).prefetch(50))
    next(batches)
    cycle = [batches]
    cycle.append(cycle)

stopped()
print("printed before")
end_process(130)
"""


@pytest.mark.long
def test_a_stopped_process_does_not_wait_for_the_threads_that_prepare_batches():
    process = subprocess.run(
        [sys.executable, "-c", PREPARING], capture_output=True, text=True, check=False, timeout=120
    )
    assert process.stdout == "printed before\n" and process.returncode == 130


def test_a_swallowed_signal_is_raised_again_and_a_second_one_ends_the_process():
    process = subprocess.run(
        [sys.executable, "-c", SWALLOWED], capture_output=True, text=True, check=False
    )
    assert process.stdout == "discarded\nraised again\n" and process.returncode == 130
    assert process.stderr == ""
