"""Trains the pretrained run again, and says whether every bit agrees on this machine.

    python benchmarks/train_again.py                            # about a minute; needs MNIST
    python benchmarks/train_again.py --implementation tf_vae    # gives the same bits
    python benchmarks/train_again.py --write                    # replaces the pretrained run

`pretrained/post-keras` is the finished run of the recipe post-keras on MNIST with seed 0, without
its checkpoints and figures. The exit status is 1 if a bit differs.
"""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from portable import KNOWN, RECIPES, bits
from tyro.conf import FlagCreatePairsOff

from shared.command.implementation import import_implementation
from shared.command.line import exit_status, main, resume_advice
from shared.machine.arithmetic import describe_arithmetic, has_instructions
from shared.machine.process import end_process, set_up
from shared.machine.versions import versions
from shared.measure.parity import IDENTICAL, compare, verdict
from shared.run.checksums import seal
from shared.run.files import write_json
from shared.run.folder import epoch_weights, read_history, read_metrics, read_run_weights

PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained" / "post-keras"
EPOCHS = (5, 50)
EQUAL = "every number equal"
FILES = (
    "config.json",
    "history.csv",
    "metrics.json",
    *map(epoch_weights, EPOCHS),
    "weights.npz",
)


@dataclass
class TrainAgain:
    """Train the pretrained run again, and compare every bit."""

    implementation: Literal["keras_vae", "tf_vae"] = "keras_vae"
    """The implementation that trains; either must give the same bits."""
    out: Path | None = None
    """Folder of the new run, by default runs/pretrained-IMPLEMENTATION. A run that was interrupted
    there is continued, and a finished one is replaced."""
    write: FlagCreatePairsOff[bool] = False
    """Replace the pretrained run by the new one instead of comparing them."""


def train_again(job):
    """Trains, and compares or writes; returns the exit status."""
    out = job.out or Path("runs") / f"pretrained-{job.implementation}"
    flags = ["--recipe", "post-keras", "--data", "mnist", "--seed", "0", start_flag(out)]
    status = main(job.implementation, ["train", *flags, "--out", str(out)])
    if status:
        return status
    if job.write:
        PRETRAINED.mkdir(exist_ok=True)
        for name in FILES:
            shutil.copyfile(out / name, PRETRAINED / name)
        seal(PRETRAINED, FILES)
        print(f"{PRETRAINED} is written")
        return 0
    results = agreement(PRETRAINED, out)
    for name, text in results.items():
        print(f"{name}: {text}")
    if all(text in (IDENTICAL, EQUAL) for text in results.values()):
        print("this machine computes the bits of the pretrained run")
        return 0
    if causes := reasons(PRETRAINED, out):
        print(f"expected, because {'; '.join(causes)}")
    else:
        print(f"no known reason: please send {write_report(out, results)} to the authors")
    return 1


def start_flag(out):
    """Returns the flag with which a training into the folder begins.

    A finished run may be of earlier code, so to compare it again would prove nothing.
    """
    return "--overwrite" if (out / "weights.npz").exists() else "--resume"


def agreement(old, new):
    """Compares weights, history and metrics of two runs.

    Args:
        old, new: folders of the runs.
    Returns:
        {what was compared: IDENTICAL, EQUAL, or what differs}
    """
    results = {}
    for epoch in EPOCHS:
        weights = (read_run_weights(folder, epoch)[1] for folder in (old, new))
        results[f"weights of epoch {epoch}"] = verdict(compare(*weights))
    tables = {
        "history": [[{**row, "seconds": 0} for row in read_history(each)] for each in (old, new)],
        "metrics": [_values(each) for each in (old, new)],
    }
    for name, (ours, theirs) in tables.items():
        results[name] = EQUAL if ours == theirs else "A NUMBER DIFFERS"
    return results


def reasons(old, new):
    """Returns why two runs may differ in their bits, as far as their files and the machine tell.

    Args:
        old, new: folders of the runs; the new one was trained in this process.
    Returns:
        list of texts
    """
    before, after = (read_run_weights(folder)[0] for folder in (old, new))
    there, here = before["versions"], after["versions"]
    causes = [
        f"it was trained with {name} {there.get(name)}, and this is {here[name]}"
        for name in here
        if name != "python" and here[name] != there.get(name)
    ]
    if before.get("arithmetic") != after.get("arithmetic"):
        texts = [each.get("arithmetic", "settings not recorded") for each in (before, after)]
        causes.append(f"it was trained with {texts[0]}, and this run with {texts[1]}")
    if not has_instructions():
        causes.append("this processor has no AVX2 and FMA")
    return causes


def write_report(out, results):
    """Writes report.json, with which a difference without a known reason can be looked into.

    Args:
        out: folder of the run.
        results: as `agreement` returns them.
    Returns:
        path of the file.
    """
    implementation = import_implementation("tf_vae")
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else []
    content = {
        "results": results,
        "versions": versions(),
        "arithmetic": describe_arithmetic(),
        "processor": lines[: lines.index("")] if "" in lines else lines,
        "steps": {name: bits(implementation, name) for name in RECIPES},
        "expected_steps": json.loads(KNOWN.read_text(encoding="utf-8"))["sha256"],
    }
    write_json(out / "report.json", content)
    return out / "report.json"


def _values(folder):
    """Returns the metrics that the end of every training measures."""
    metrics = read_metrics(folder)
    names = [name for name in metrics if name.endswith(("_loss", "_log_likelihood", "_kl"))]
    return {name: metrics[name]["value"] for name in names}


if __name__ == "__main__":
    set_up()
    arguments = tyro.cli(TrainAgain, prog="train_again.py")
    words = ["python", "benchmarks/train_again.py", *sys.argv[1:]]
    end_process(exit_status(lambda: train_again(arguments), resume_advice(words)))
