"""Kills trainings, or lets their writes fail, and checks that each is resumed to the same bits.

    make faults                       # some 900 faults in about 20 minutes
    make faults KILLS=10 WRITES=30    # fewer

A chain of processes trains one run, and all but the last end early, by one of four faults:

- `write`: SIGKILL before each call that changes a file, one after another,
- `full`: such a call fails as on a full disk, one after another,
- `moment`: SIGKILL at a random moment,
- `limit`: no file can be larger than a random size (RLIMIT_FSIZE), so writes fail in the middle.

After each fault, every checkpoint must be one of an undisturbed run, byte by byte, and the history
the beginning of its history. At the end of a chain every result must be that of the undisturbed
run. Both implementations take part in turn, so each continues what the other has begun; the main
job is continued in turn by one process and by several.

A process is a fork of one that has imported TensorFlow and has not used it.
"""

import argparse
import os
import random
import re
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from fault_injection import Fault, start
from small_data import write_bars

import reproduce
from shared.run.files import step_of

BASE = ["--hidden-dims", "5", "--batch-size", "60", "--picture-epochs", "1", "3"]
CASES = {  # the arguments of `train`; 330 images, so six steps per epoch
    "bernoulli": [*BASE, "--epochs", "3"],
    "steps inside epochs": [*BASE, "--steps", "14", "--step-losses"],
    "stopped by patience": [
        *BASE, "--epochs", "6", "--patience", "1", "--learning-rate", "0.1", "--optimizer", "adam",
    ],
    "checkpoints inside epochs": [
        *BASE, "--epochs", "2", "--checkpoint-steps", "4", "--optimizer", "adam", "--latent-dim",
        "3", "--likelihood", "gaussian", "--binarization", "dynamic",
    ],
}  # fmt: skip
JOB = ["--epochs", "1", "2", "--steps", "8"]  # of reproduce.py
PACKAGES = ("keras_vae", "tf_vae")
RESULTS = ("weights*.npz", "steps.csv", "last.npz", "seeds.npz", "parity.json", "metrics.json")


class Chain:
    """One run or job, the command that trains it, and the undisturbed result."""

    def __init__(self, name, kind, home, data, commands, seed):
        self.name, self.kind, self.home = name, kind, home / f"{name} {kind}"
        self.commands, self.data = commands, data
        self.random = random.Random(f"{seed} {name} {kind}")
        self.expected, self.record = home / name / "expected", home / name / "record"
        self.folder = self.home / "run"
        self.home.mkdir(parents=True)
        self.faults = self.processes = 0
        self.duration = 3.0  # seconds of a process

    def command(self, folder, number, resume):
        """Returns the command of process `number` as a function."""
        return lambda: self.commands[number % len(self.commands)](folder, resume)

    def undisturbed(self):
        """Trains without a fault, if that has not been done; records every checkpoint."""
        if self.expected.exists():
            return
        self.record.mkdir(parents=True)
        recorder = Fault(self.expected, None, None, self.record)
        log = self.record.parent / "log"
        _, status = os.waitpid(
            start(self.command(self.expected, 0, False), self.expected, log, recorder), 0
        )
        if status:
            raise SystemExit(
                f"{self.name}: the undisturbed training failed:\n{log.read_text(encoding='utf-8')}"
            )

    def run(self, most):
        """Runs at most `most` processes with a fault; random ones train the run several times."""
        self.undisturbed()
        resumed = False
        while True:
            kind = self.kind if self.processes < most else None
            status = self.process(kind, resumed)
            self.check()
            resumed = status != 0
            if status == 0:
                self.compare()
                if kind in (None, "write", "full"):
                    return
                shutil.rmtree(self.folder)

    def process(self, kind, resumed):
        """Runs one process, which may have a fault; returns its exit status."""
        log = self.home / "log"
        fault = Fault(self.folder, kind, self.home / "seen", None)
        limit = self.random.randrange(1, 30_000) if kind == "limit" else None
        command = self.command(self.folder, self.processes, resumed)
        started = time.monotonic()
        pid = start(command, self.folder, log, fault, limit)
        self.processes += 1
        if kind == "moment":
            end = started + self.random.uniform(0, 1.3) * self.duration
            while time.monotonic() < end and os.waitpid(pid, os.WNOHANG) == (0, 0):
                time.sleep(0.005)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it had ended before
                self.duration = time.monotonic() - started
                return 0
        _, status = os.waitpid(pid, 0)
        status = os.waitstatus_to_exitcode(status)
        self.faults += status != 0
        text = log.read_text(encoding="utf-8")
        if status not in (0, -signal.SIGKILL) and (status != 1 or "Traceback" in text):
            raise SystemExit(f"{self.name}, {kind}: exit status {status}\n{text[-3000:]}")
        return status

    def check(self):
        """Compares the checkpoints and histories with those of the undisturbed run."""
        for path in self.folder.rglob("checkpoints/*.npz"):
            name = str(path.relative_to(self.folder).with_name("last.npz")).replace("/", " ")
            expected = self.record / f"{name} {step_of(path)}"
            with np.load(path) as ours, np.load(expected) as theirs:
                assert ours.files == theirs.files, path
                for each in set(ours.files) - {"running/seconds"}:
                    assert ours[each].tobytes() == theirs[each].tobytes(), (path, each)
        for path in self.folder.rglob("history.csv"):
            expected = self.expected / path.relative_to(self.folder)
            ours, theirs = (_rows(each) for each in (path, expected))
            assert ours == theirs[: len(ours)], path

    def compare(self):
        """Compares the end of the run with the undisturbed one."""
        paths = {
            p.relative_to(self.expected) for each in RESULTS for p in self.expected.rglob(each)
        }
        for path in sorted(paths):
            ours, theirs = (folder / path for folder in (self.folder, self.expected))
            if path.suffix == ".json":
                same = _values(ours) == _values(theirs)
            else:
                same = ours.read_bytes() == theirs.read_bytes()
            assert same, ours
        for path in self.expected.rglob("history.csv"):
            assert _rows(self.folder / path.relative_to(self.expected)) == _rows(path), path
        assert not list(self.folder.rglob("*.partial"))


def _rows(path):
    return [
        line.rpartition(",")[0] for line in path.read_text(encoding="utf-8").splitlines()
    ]  # without seconds


def _values(path):
    """The numbers of a JSON file, without versions and seconds."""
    return re.sub(r'"(seconds|seed)": [^\n]*', "", path.read_text(encoding="utf-8"))


def chains(home, data, seed):
    """Every chain of every case."""

    def training(package, arguments):
        def train(folder, resume):
            from shared.command.line import main

            flags = ["--resume"] if resume else []
            return main(
                package, ["train", *arguments, "--data", str(data), "--out", str(folder), *flags]
            )

        return train

    def job(processes):
        flags = [*JOB, "--data", str(data), "--resume", "--processes", str(processes)]
        return lambda folder, resume: reproduce.main([*flags, "--out", str(folder)])

    for name, arguments in CASES.items():
        commands = [training(package, arguments) for package in PACKAGES]
        for kind in ("write", "full", "moment", "limit"):
            yield Chain(name, kind, home, data, commands, seed)
    # Writes are watched in this process alone; one job is the undisturbed one of both chains.
    yield Chain("reproduce.py", "write", home, data, [job(1)], seed)
    yield Chain("reproduce.py", "moment", home, data, [job(1), job(2)], seed)


def main():
    """Executes the chains one after another, and prints how many faults were survived."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--kills", type=int, default=70, help="processes of a chain of kind moment or limit")
    add("--writes", type=int, default=10_000, help="faults of a chain of kind write or full")
    add("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import matplotlib.figure  # noqa: F401 - imported once, for all forks
    import sklearn.neighbors  # noqa: F401
    import tensorflow  # noqa: F401

    faults, started = Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        data = write_bars(home, 330, 120)
        for chain in chains(home, data, arguments.seed):
            before, kind = time.monotonic(), chain.kind
            chain.run(arguments.writes if kind in ("write", "full") else arguments.kills)
            faults[kind] += chain.faults
            text = f"{chain.faults} faults in {chain.processes} processes: equal"
            seconds = f"{time.monotonic() - before:.0f} s"
            print(f"{chain.name}, {kind}: {text}; {seconds}", flush=True)
    print(
        f"SIGKILL at {faults['write']} writes and {faults['moment']} random moments,"
        f" {faults['full']} writes to a full disk and {faults['limit']} to a file that became too"
        f" large: every run was resumed to the same bits; {time.monotonic() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
