"""benchmarks/gpu.py tells equal from different, reports a failure in its row, and runs on a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gpu
import gpu_tables
import gpu_tasks
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SMALL = {"data": "mnist-5k", "packages": gpu.BOTH, "seed": 0, "epochs": 2, "small": True}


def cell(ours, theirs):
    """The text in the table of the ladder for two arrays."""
    arrays = ({"w": np.float32(each)} for each in (ours, theirs))
    return gpu_tables.rung_text(gpu_tables.compared(*arrays))


def test_a_rung_is_equal_in_every_bit_or_has_its_largest_difference():
    assert cell([1, 2], [1, 2]) == "equal"
    assert cell([1, 2, 3], [1, 2.25, 2.5]) == "5.0e-01"
    assert cell([0.0], [-0.0]) == "0.0e+00"  # another bit
    assert cell([1, np.nan], [1, np.nan]) == "not finite"
    assert cell([1, 2], [[1, 2]]) == "other names or shapes"
    assert gpu_tables.rung_text(gpu_tables.compared(None, {})) == "not measured"


def test_a_failure_is_a_row_and_does_not_end_the_rest(capsys):
    machine = gpu.Machine(minutes=5)
    failed = machine.run("x", "trainings", SMALL, {"KERAS_BACKEND": "nope"})
    assert "names the Keras backend 'nope'" in failed["error"]
    assert "names the Keras backend 'nope'" in capsys.readouterr().err
    late = gpu.Machine(minutes=0).run("x", "trainings", SMALL)
    works = {"device": "GPU", "seconds": [3.0, 0.5, 1.5], "steps_per_epoch": 10, "loss": 9.0}
    parts = {"trainings": {"tensorflow": {"device": {"tf_vae": works}, "CPU": late}}}
    parts["trainings"]["jax"] = {"device": failed}
    machine = {"error": "no machine"}
    lines = gpu_tables.tables({"machine": machine, "epochs": 2, "parts": parts})
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    # Median of the later epochs over their steps; the first takes two seconds more.
    assert ["tf_vae", "GPU", "100", "2.0", "9.0000", "", "", ""] in rows
    assert [row[:2] for row in rows if "jax" in row[0]] == [["keras_vae on jax", failed["error"]]]
    assert {len(row) for row in rows} == {8} and "no machine" in "\n".join(lines)


def test_bad_flags_are_refused(tmp_path):
    for flags, text in ((["--epochs", "1"], "--epochs is 1"), (["--out", "."], "a folder")):
        command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *flags]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and text in done.stderr


@pytest.mark.long
def test_the_ladder_of_both_implementations():
    """All rungs are there, and equal on a CPU."""
    found = gpu_tasks.ladder("mnist-5k", "post-keras", gpu.BOTH, seed=0, small=True, tf32=True)
    rungs = {}
    for key, array in found["arrays"].items():
        package, rung, name = key.split("|")
        rungs.setdefault(rung, {}).setdefault(package, {})[name] = array
    assert list(rungs) == list(gpu_tasks.RUNGS)
    for rung, each in rungs.items():
        result = gpu_tables.compared(each["keras_vae"], each["tf_vae"])
        assert result["largest_entry"] > 0
        if found["device"] == "CPU":
            assert result["equal"], rung
    first, last = (rungs[rung]["tf_vae"] for rung in ("initial weights", "weights after one epoch"))
    assert not gpu_tables.compared(first, last)["equal"]


@pytest.mark.long
def test_without_a_gpu_the_command_says_so_and_measures(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--small", "--epochs", "2"]
    environment = {**os.environ, **gpu.NO_GPU, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--parts", "xla", "--out", "new/gpu.json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "new" / "gpu.json").read_text(encoding="utf-8"))
    assert done.stdout.splitlines() == results["tables"]
    assert results["tables"][0] == f"# {gpu_tables.NO_GPU}"
    for setting in ("jit_compile=True", "jit_compile=False"):
        found = results["parts"]["xla"][setting]
        assert found["weights"]["equal"]
        for package in gpu.BOTH:
            assert found[package]["device"] == "CPU" and np.isfinite(found[package]["loss"])
