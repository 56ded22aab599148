"""Reads changed files: each must be refused in one line, or read as what it was before the change.

    make fuzz COUNT=20000 SEED=0

Every file that the project reads is changed at random: bits and bytes, values of JSON and CSV,
members and arrays of archives. A finished run has checksums, so no change of its files may be
accepted. Files without a checksum (of an interrupted run, data, keras.json) may be accepted if what
they are read as is valid. A reader that raises another exception, or takes seconds, is an error.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from array_training import CONFIG, FILES, PowerFailure, complete, train
from file_changes import changed
from small_data import write_bars

from shared.data import load_data
from shared.machine.backend import check_backend
from shared.machine.checks import UsageError
from shared.measure.spread import read_seeds
from shared.run.files import write_npz
from shared.run.folder import (
    read_config,
    read_history,
    read_metrics,
    read_run_weights,
    read_step_losses,
)
from shared.run.state import Run

STATE = ("config.json", "history.csv", "steps.csv", *FILES[7:9])  # of an interrupted run
SECONDS = 10  # of one call; more is a hang


def run_readers(directory):
    """Names of files of a run, and what reads them."""
    return {
        "config.json": lambda: read_config(directory),
        "history.csv": lambda: read_history(directory),
        "steps.csv": lambda: read_step_losses(directory),
        "metrics.json": lambda: read_metrics(directory),
        "weights.npz": lambda: read_run_weights(directory)[1],
        "weights_epoch_003.npz": lambda: read_run_weights(directory, 3)[1],
    }


class Fuzzer:
    """The files, and one check for each way in which they are read."""

    def __init__(self, folder):
        self.data_path = write_bars(folder, 300, 500)
        self.data = load_data(str(self.data_path))
        self.finished, self.stopped = folder / "finished", folder / "stopped"
        train(CONFIG, self.data, self.finished, "keras_vae")
        complete(self.finished)
        with contextlib.suppress(PowerFailure):
            train(CONFIG, self.data, self.stopped, stop=2)
        self.results, self.home = folder / "results", folder / "home"
        shutil.copytree(self.finished, self.results / "tf" / "post-tf")
        losses = np.tile(np.float32(100) / np.arange(1, 7, dtype=np.float32), (2, 1))
        self.losses = {"recipe": losses, "keras_epsilon": losses, "seeds": np.arange(2)}
        write_npz(self.results / "seeds.npz", self.losses)
        self.home.mkdir()
        settings = {"backend": "tensorflow", "floatx": "float32", "epsilon": 1e-7}
        (self.home / "keras.json").write_text(json.dumps(settings), encoding="utf-8")
        self.targets = [
            *((self.finished / name, self.check_finished) for name in FILES),
            *(
                (self.stopped / f"checkpoints/{n}.npz", self.check_stopped)
                for n in ("last", "previous")
            ),
            *(
                (self.stopped / name, self.check_stopped)
                for name in ("config.json", "history.csv", "steps.csv")
            ),
            (self.data_path, self.check_data),
            (self.results / "seeds.npz", self.check_seeds),
            (self.home / "keras.json", self.check_settings),
        ]

    def check_finished(self, path):
        """No changed file of a finished run is read, and the run is not complete with it."""
        name = str(path.relative_to(self.finished))
        reader = run_readers(self.finished).get(name)
        if reader is not None:
            try:
                reader()
            except UsageError as error:
                one_line(error)
            else:
                raise AssertionError("it was read in spite of its checksum")
        run = Run(self.finished, CONFIG, self.data, "keras_vae", resume=True).check()
        assert not run.complete or name == "SHA256SUMS"  # of which any part may be unused
        return "repaired"

    def check_stopped(self, path):
        """A resumed run continues with the state of step 4, or of step 2."""
        run = Run(self.stopped, CONFIG, self.data, "tf_vae", resume=True).check()
        assert run.step in (2, 4) and not run.complete
        assert [row["loss"] for row in run.history] == [1.0, 2.0][: run.step // 2]
        losses = np.float32(100) / np.arange(1, run.step + 1, dtype=np.float32)
        assert run.step_losses == losses.tolist()
        return "restored"

    def check_data(self, path):
        """Data are images with pixels in [0, 1]; other images have another hash."""
        data = load_data(str(path))
        for x in (data.x_train, data.x_test):
            assert x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1
        same = data.sha256 == self.data.sha256
        assert not same or all(
            np.array_equal(getattr(data, name), getattr(self.data, name)) for name in data.sha256
        )
        return "valid"

    def check_seeds(self, path):
        """Losses of the seeds are finite, and are trained again if they cannot be read."""
        losses = read_seeds(self.results, [0, 1])
        if losses is None:
            return "repaired"
        assert all(np.isfinite(each).all() for each in losses.values())
        return "valid"

    def check_settings(self, path):
        """Keras' settings are its defaults."""
        variables = {name: os.environ.get(name) for name in ("KERAS_HOME", "KERAS_BACKEND")}
        os.environ["KERAS_HOME"] = str(self.home)
        os.environ.pop("KERAS_BACKEND", None)
        try:
            check_backend("tf_vae")
        finally:
            for name, value in variables.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
        return "valid"

    def run(self, count, seed):
        """Reads `count` changed files; returns how many were refused, restored, …."""
        outcomes = Counter()
        for number in range(count):
            rng = random.Random(f"{seed} {number}")
            path, check = rng.choice(self.targets)
            whole = path.read_bytes()
            content = changed(whole, path.name, rng)
            path.write_bytes(content)
            signal.alarm(SECONDS)
            try:
                outcomes[check(path)] += 1
            except UsageError as error:
                one_line(error)
                outcomes["refused"] += 1
            except BaseException as error:
                saved = Path(tempfile.gettempdir()) / f"fuzz-{seed}-{number}-{path.name}"
                saved.write_bytes(content)
                raise SystemExit(f"{path.name}, number {number}: {error!r}; see {saved}") from error
            finally:
                signal.alarm(0)
                path.write_bytes(whole)
        return outcomes


def one_line(error):
    assert len(str(error).splitlines()) == 1, str(error)


def main():
    """Fuzzes as many files as the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Fuzzer(Path(folder).resolve()).run(arguments.count, arguments.seed)
    texts = [f"{number} {name}" for name, number in outcomes.items()]
    print(
        f"{arguments.count} changed files: {', '.join(texts)}; {time.monotonic() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
