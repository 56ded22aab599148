"""Tasks in several processes: their results, their reports, and how they end together."""

import os
import signal
import subprocess
import sys
import time

import filelock
import pytest

from shared.command.processes import default_processes, run_tasks
from shared.machine.backend import check_backend
from shared.machine.checks import UsageError
from shared.machine.memory import cores
from shared.run.folder import locked


def double(number, advance, say):
    advance(number, f"task {number}")
    say(f"line {number}")
    check_backend("tf_vae")  # the settings of the arithmetic are accepted here, too
    return 2 * number, os.getpid()


def fail(folder, advance, say):
    while not (folder / "began").exists():
        time.sleep(0.05)
    raise UsageError("found this; expected that")


def train_on(folder, advance, say):
    """Trains until it is told to end, which must happen at the end of an epoch."""
    (folder / "began").touch()
    try:
        for epoch in range(1200):
            time.sleep(0.05)
            advance(1, f"epoch {epoch}")
    except KeyboardInterrupt:
        (folder / "ended").touch()
        raise


def hold(folder, advance, say):
    """Holds the lock of a folder as long as its process exists."""
    with locked(folder):
        (folder / "began").touch()
        time.sleep(600)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_tasks(processes):
    advanced, said = [], []
    results = run_tasks(
        [(double, (number,)) for number in range(5)],
        processes,
        lambda steps, text: advanced.append((steps, text)),
        said.append,
    )
    assert [value for value, _ in results] == [0, 2, 4, 6, 8]
    assert sorted(advanced) == [(number, f"task {number}") for number in range(5)]
    assert sorted(said) == [f"line {number}" for number in range(5)]
    assert (os.getpid() in {pid for _, pid in results}) == (processes == 1)


def test_a_task_that_fails_ends_the_others_at_the_end_of_their_epoch(tmp_path):
    tasks = [(train_on, (tmp_path,)), (fail, (tmp_path,)), (double, (1,))]
    with pytest.raises(UsageError, match="found this; expected that"):
        run_tasks(tasks, 2, lambda steps, text: None, lambda line: None)
    assert (tmp_path / "ended").exists()


def test_ctrl_c_ends_the_tasks(tmp_path):
    def interrupt(steps, text):
        raise KeyboardInterrupt

    tasks = [(train_on, (tmp_path,)), (train_on, (tmp_path,))]
    with pytest.raises(KeyboardInterrupt):
        run_tasks(tasks, 2, interrupt, lambda line: None)
    assert (tmp_path / "ended").exists()


def test_tasks_end_with_a_killed_parent_and_leave_their_locks(tmp_path):
    command = (
        "from test_processes import *; from pathlib import Path\n"
        "tasks = [(hold, (Path(path),)) for path in sys.argv[1:]]\n"
        "run_tasks(tasks, 2, print, print)"
    )
    folders = [tmp_path / "a", tmp_path / "b"]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    parent = subprocess.Popen([sys.executable, "-c", command, *map(str, folders)], env=here)
    try:
        while not all((folder / "began").exists() for folder in folders):
            assert parent.poll() is None
            time.sleep(0.05)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    for folder in folders:
        filelock.FileLock(folder / ".lock", timeout=30).acquire()


def test_there_are_as_many_processes_as_cores_and_at_least_one():
    assert 1 <= default_processes() <= cores()
