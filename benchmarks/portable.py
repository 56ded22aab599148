"""Compares the bits of short trainings between numbers of threads, cores and processors.

    python benchmarks/portable.py               # natively, with 1, 2, 3, 4 and 8 threads
    python benchmarks/portable.py --emulated    # and under emulated processors; needs qemu-user

Each row of the table is a process of its own, which trains each recipe for some steps. With one
thread, all rows must have the bits of `pretrained/portable.json`, whatever machine wrote it; the
exit status is 1 if one differs.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import FlagCreatePairsOff

from shared.command.line import exit_status
from shared.machine.arithmetic import use_threads
from shared.machine.backend import IMPLEMENTATIONS
from shared.machine.process import end_process, set_up
from shared.machine.versions import versions
from shared.run.files import write_json
from shared.show.terminal import print_table, text_table

__all__ = ["EMULATED", "KNOWN", "RECIPES", "STEPS", "bits"]

KNOWN = Path(__file__).resolve().parents[1] / "pretrained" / "portable.json"
RECIPES = ("post-keras", "post-tf", "nats")
STEPS = 3
THREADS = (1, 2, 3, 4, 8)
# Of other makers, with other instructions and other caches than the processor at hand.
EMULATED = ("Haswell", "Icelake-Server", "EPYC-Rome")


@dataclass
class Portable:
    """Compare the bits of short trainings between threads, cores and processors."""

    emulated: FlagCreatePairsOff[bool] = False
    """Also train under emulated processors, which takes some minutes each."""
    write: FlagCreatePairsOff[bool] = False
    """Replace pretrained/portable.json by the bits of this machine."""
    child: Literal["keras_vae", "tf_vae"] | None = None
    """Only train, with this implementation, and print the hashes as JSON; used for each row."""
    threads: int = 1
    """Number of threads of the child."""


def bits(implementation, recipe_name):
    """Trains a recipe for STEPS steps on mnist-5k.

    Args:
        implementation: functions of an implementation.
        recipe_name: name of a recipe.
    Returns:
        the first 16 hexadecimal digits of the SHA-256 of the weights.
    """
    from shared.config import recipe
    from shared.data import load_data

    config = dataclasses.replace(
        recipe(recipe_name), epochs=None, steps=STEPS, picture_epochs=(), step_losses=False
    )
    model, _ = implementation.train(config, load_data("mnist-5k"), verbose=0)
    digest = hashlib.sha256()
    for name, array in sorted(implementation.gather(model).items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()[:16]


def child(job):
    """Trains each recipe, and prints {recipe: hash} as JSON."""
    from shared.command.implementation import import_implementation

    use_threads(job.threads)
    implementation = import_implementation(job.child)
    print(json.dumps({name: bits(implementation, name) for name in RECIPES}))


def row(title, job, prefix=()):
    """Returns {recipe: hash} of a process of its own, or {} and a line that says why not."""
    flags = ["--child", job.child, "--threads", str(job.threads)]
    print(f"{title} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as messages:
        done = subprocess.run(
            [*prefix, sys.executable, __file__, *flags],
            stdout=subprocess.PIPE,
            stderr=messages,
            encoding="utf-8",
            env={k: v for k, v in os.environ.items() if k != "TF_NUM_INTRAOP_THREADS"},
        )
        if done.returncode:
            messages.seek(0)
            print(f"{title}: {messages.read()[-500:]}", file=sys.stderr)
            return {}
    return json.loads(done.stdout.splitlines()[-1])


def compare(job):
    """Trains every row, prints the table, and returns the exit status."""
    rows = {}
    for package in IMPLEMENTATIONS.values():
        rows[f"{package}, 1 thread"] = row(package, Portable(child=package))
    if shutil.which("taskset"):
        core = ("taskset", "--cpu-list", "0")
        rows["1 thread on 1 core"] = row("1 core", Portable(child="tf_vae"), core)
    for threads in THREADS[1:]:
        title = f"{threads} threads"
        rows[title] = row(title, Portable(child="tf_vae", threads=threads))
    if job.emulated:
        emulator = shutil.which("qemu-x86_64")
        if emulator is None:
            print("qemu-x86_64 is not installed: apt-get install qemu-user", file=sys.stderr)
            return 2
        for name in EMULATED:
            title = f"1 thread, emulated {name}"
            rows[title] = row(title, Portable(child="tf_vae"), (emulator, "-cpu", name))
    first = rows["tf_vae, 1 thread"]
    if job.write:
        write_json(KNOWN, {"versions": versions(), "steps": STEPS, "sha256": first})
    known = json.loads(KNOWN.read_text(encoding="utf-8"))["sha256"]
    table = [["pretrained/portable.json", *(known[name] for name in RECIPES)]]
    table += [
        [title, *(found.get(name, "failed") for name in RECIPES)] for title, found in rows.items()
    ]
    print_table(text_table(f"SHA-256 of the weights after {STEPS} steps", ["", *RECIPES], table))
    differing = [title for title, found in rows.items() if "1 thread" in title and found != known]
    for title in differing:
        print(f"{title}: A BIT DIFFERS from pretrained/portable.json")
    if not differing:
        print("one thread: every bit is that of pretrained/portable.json")
    return 1 if differing else 0


if __name__ == "__main__":
    set_up()
    arguments = tyro.cli(Portable, prog="portable.py")
    end_process(exit_status(lambda: (child if arguments.child else compare)(arguments)))
