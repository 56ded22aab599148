"""Measures on a GPU what the project has proved on a CPU; one command, under ten minutes.

    python benchmarks/gpu.py

Every part runs in a process of its own, so that one that fails is a row of its table and does not
end the rest. The CPU's numbers come from processes that see no GPU. Without a GPU, the program
compares the CPU with itself. What is to be installed for a GPU: docs/scaling.md, "On a GPU".
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from gpu_tables import compared, tables
from gpu_tasks import RUNGS

from shared.command.line import exit_status
from shared.data import load_data
from shared.machine.backend import BACKENDS, IMPLEMENTATIONS
from shared.machine.checks import UsageError
from shared.machine.process import end_process, say
from shared.run.files import write_json

ROOT = Path(__file__).parents[1]
PARTS = ("ladder", "trainings", "xla", "convolutions")
BOTH = list(IMPLEMENTATIONS.values())
# TensorFlow and JAX take most of the memory otherwise, and keras_vae on JAX needs both.
GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
# Kernels that add in one order, and the same kernel in every process.
STRICT = "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"
IMAGES = 200  # XLA's convolutions take seconds per step on a CPU


@dataclass
class Gpu:
    """Measure parity, step times and ELBOs on a GPU against the CPU."""

    data: str = "mnist-5k"
    """auto, mnist, mnist-5k, or the path of an .npz; the ladder always has mnist-5k."""
    parts: list[Literal["ladder", "trainings", "xla", "convolutions"]] = field(
        default_factory=lambda: list(PARTS)
    )
    """What to measure."""
    epochs: int = 5
    """Epochs of each training; the first includes the compilation."""
    seed: int = 0
    """Seed of all runs."""
    minutes: float = 10
    """What is not finished by then is left out."""
    small: bool = False
    """A small network and few images: a test of this program."""
    out: Path = Path("runs/gpu/gpu.json")
    """File of the results, with all numbers and the tables."""


class Machine:
    """Runs tasks of gpu_tasks.py in new processes, until the time is over."""

    def __init__(self, minutes):
        self.started = time.monotonic()
        self.end = self.started + 60 * minutes

    def run(self, what, task, arguments, environment=None, folder=None):
        """Runs a task, and returns its result, or {"error": one line, "stderr": its last lines}.

        Args:
            what: text of the progress line.
            task: name of a function in gpu_tasks.py.
            arguments: {name: value}, as JSON can hold them.
            environment: variables in addition to those of this process.
            folder: where its files are written; None for a temporary folder.
        """
        left = self.end - time.monotonic()
        if left <= 0:
            return {"error": "left out, the time is over (--minutes)"}
        say(f"[{time.monotonic() - self.started:4.0f} s] {what}")
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        variables = {"KERAS_BACKEND": BACKENDS[0], "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": path}
        variables = {**os.environ, **variables, **GROWTH, **(environment or {})}
        with contextlib.ExitStack() as stack:
            folder = folder or stack.enter_context(tempfile.TemporaryDirectory())
            command = [sys.executable, str(ROOT / "benchmarks" / "gpu_tasks.py"), task]
            try:
                done = subprocess.run(
                    [*command, json.dumps(arguments), str(folder)],
                    env=variables,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    check=False,
                    timeout=left,
                )
            except subprocess.TimeoutExpired:
                return {"error": "not finished in time (--minutes)"}
            if done.returncode == 0:
                return json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            error = lines[-1] if lines else "no message"
            if done.returncode < 0:
                error = f"ended by signal {-done.returncode}: {error}"
            say(f"         {error[:200]}")
            return {"error": error[:200], "stderr": lines[-20:]}


# ---- the ladder


def measure_ladder(gpu, machine, has_gpu):
    """Climbs the ladder of each recipe in several processes, and compares each rung.

    Returns:
        {recipe: {"runs": {name: {"device"} or {"error"}}, "rungs": {rung: {comparison: result}}}},
        each result as `compared` returns it.
    """
    device, cpu, again, exact = "GPU" if has_gpu else "CPU", "CPU apart", "GPU again", "strict GPU"
    strict = {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {STRICT}".strip(),
        "NVIDIA_TF32_OVERRIDE": "0",
    }
    runs = {device: (BOTH, {}, True), cpu: (BOTH, NO_GPU, True)}
    pairs = {
        f"{device}: keras_vae and tf_vae": ((device, BOTH[0]), (device, BOTH[1])),
        f"tf_vae: {device} and {cpu}": ((device, BOTH[1]), (cpu, BOTH[1])),
    }
    if has_gpu:
        runs |= {again: (BOTH[1:], {}, True), exact: (BOTH, strict, False)}
        pairs |= {
            "CPU: keras_vae and tf_vae": ((cpu, BOTH[0]), (cpu, BOTH[1])),
            "tf_vae: GPU twice": ((device, BOTH[1]), (again, BOTH[1])),
            "strict GPU: keras_vae and tf_vae": ((exact, BOTH[0]), (exact, BOTH[1])),
            "tf_vae: strict GPU and CPU": ((exact, BOTH[1]), (cpu, BOTH[1])),
        }
    found = {}
    for recipe in ["post-keras"] if gpu.small else ["post-keras", "post-tf"]:
        results, arrays = {}, {}
        for name, (packages, environment, tf32) in runs.items():
            arguments = {"recipe_name": recipe, "packages": packages, "seed": gpu.seed}
            arguments |= {"data": "mnist-5k", "small": gpu.small, "tf32": tf32}
            with tempfile.TemporaryDirectory() as folder:
                what = f"ladder of {recipe}, {name}"
                results[name] = machine.run(what, "ladder", arguments, environment, folder)
                if "error" not in results[name]:
                    arrays[name] = read_arrays(Path(folder) / "arrays.npz")

        def of(run, package, rung, arrays=arrays):
            return arrays.get(run, {}).get((package, rung))

        rungs = {
            rung: {
                name: compared(*(of(run, package, rung) for run, package in pair))
                for name, pair in pairs.items()
            }
            for rung in RUNGS
        }
        found[recipe] = {"runs": results, "rungs": rungs}
    return found


def read_arrays(path):
    """Returns {(package, rung): {name: array}}."""
    found = {}
    with np.load(path) as file:
        for key in file.files:
            package, rung, name = key.split("|")
            found.setdefault((package, rung), {})[name] = file[key]
    return found


# ---- trainings


def measure_trainings(gpu, machine, has_gpu):
    """Trains on every backend that is installed: {backend: {"device": …, "CPU": …}}."""
    found = {}
    for backend in BACKENDS:
        packages = BOTH if backend == BACKENDS[0] else BOTH[:1]
        if importlib.util.find_spec(backend) is None:
            found[backend] = {"device": {"error": "not installed"}}
            continue
        arguments = {"data": gpu.data, "packages": packages, "seed": gpu.seed}
        arguments |= {"epochs": gpu.epochs, "small": gpu.small}
        found[backend] = {
            name: machine.run(
                f"trainings on {backend}, {'CPU' if environment else 'as it is'}",
                "trainings",
                arguments,
                {**environment, "KERAS_BACKEND": backend},
            )
            for name, environment in (("device", {}), ("CPU", NO_GPU))
        }
    return found


def measure_xla(gpu, machine, has_gpu):
    """Trains the dense networks with and without XLA: {"jit_compile=…": {package: numbers}}."""
    return {
        f"jit_compile={xla}": of_networks(gpu, machine, {}, "dense", xla) for xla in (True, False)
    }


def measure_convolutions(gpu, machine, has_gpu):
    """Trains examples/conv.py: {"jit_compile=…": {package: numbers}, "CPU": …}."""
    found, few = {}, IMAGES if gpu.small else None
    for xla in (True, None):
        images = IMAGES if xla and not has_gpu else few
        found[f"jit_compile={xla}"] = of_networks(gpu, machine, {}, "convolutions", xla, images)
    if has_gpu:
        name, arguments = "CPU, jit_compile=None", ("convolutions", None, few)
        found[name] = of_networks(gpu, machine, NO_GPU, *arguments)
    return found


def of_networks(gpu, machine, environment, kind, xla, images=None):
    """Runs the task `networks` with both implementations."""
    arguments = {"data": gpu.data, "packages": BOTH, "seed": gpu.seed, "small": gpu.small}
    # Where images are few, three epochs are enough to see the time of a step.
    arguments |= {"epochs": min(gpu.epochs, 3) if images else gpu.epochs, "images": images}
    what = f"{kind}, jit_compile={xla}{', CPU' if environment else ''}"
    return machine.run(what, "networks", {**arguments, "kind": kind, "xla": xla}, environment)


def main():
    """Measures the parts, prints the tables, and writes all numbers in one file."""
    gpu = tyro.cli(Gpu, prog="benchmarks/gpu.py")
    if gpu.epochs < 2:
        raise UsageError(f"--epochs is {gpu.epochs}; expected 2 or more: the first is compiled")
    if gpu.out.is_dir():
        raise UsageError(f"--out is {gpu.out}, a folder; expected the path of a file")
    load_data(gpu.data)  # bad data are refused once, and not in every row
    machine = Machine(gpu.minutes)
    facts = machine.run("the machine", "facts", {})
    has_gpu = bool(facts.get("gpus"))
    results = {"data": gpu.data, "epochs": gpu.epochs, "seed": gpu.seed, "small": gpu.small}
    results |= {"memory growth": GROWTH, "machine": facts, "parts": {}}
    for part in gpu.parts:
        results["parts"][part] = globals()[f"measure_{part}"](gpu, machine, has_gpu)
        results["seconds"] = round(time.monotonic() - machine.started)
        results["tables"] = tables(results)
        write_json(gpu.out, results)  # what is measured is kept
    print("\n".join(results["tables"]))
    say(f"{gpu.out} has all numbers, in {results['seconds']} s")


if __name__ == "__main__":
    end_process(exit_status(main))
