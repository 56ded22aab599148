"""The main job: both implementations on both recipes, the figures, the table and the proof.

It trains the VAE of the 2018 post with Keras' `fit` and with a `tf.GradientTape` loop, draws the
latent space and the manifold at epochs 5 and 50 and the loss of 1000 steps, continues a run of one
implementation with the other, compares every weight bit by bit, and writes one page with all this.
"""

import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from shared.machine.versions import require_packages

require_packages()  # before they are imported

import numpy as np
import tyro
from tyro.conf import FlagCreatePairsOff

from shared.command.implementation import import_implementation
from shared.command.line import exit_status, resume_advice
from shared.config import recipe
from shared.data import load_data
from shared.machine.backend import IMPLEMENTATIONS
from shared.machine.checks import UsageError
from shared.machine.process import end_process, set_up
from shared.measure.metrics import measure, write_metrics
from shared.measure.parity import compare, parity_report
from shared.measure.spread import read_seeds, train_seeds
from shared.run.files import write_json
from shared.run.folder import locked, read_run_weights
from shared.run.network import network_of
from shared.run.state import Run
from shared.show.figures.animation import animate, read_frames
from shared.show.figures.of_run import draw_figures
from shared.show.page.results import draw_seeds, results_table, write_page
from shared.show.terminal import on_epoch_of, print_table, progress

RELAY_EPOCHS = 4
ANIMATION = "latent.gif"
FILES = ("seeds.npz", "seeds.png", "parity.json", "index.html", ANIMATION, "latent.npz")
FOLDERS = (*IMPLEMENTATIONS, "relay", "undisturbed")
SEEDS = 8  # number of seeds in the figure of the loss of every step


@dataclass
class Reproduce:
    """Train both implementations on both recipes; write figures, table, proof and page."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or a path, as for train; numbers need to be pixels, or in [0, 1]."""
    image_size: tuple[int, ...] | None = None
    """Resize the images of a folder: to a square of this side, or to these rows and columns."""
    epochs: tuple[int, ...] = (5, 50)
    """Epochs of post-keras whose figures are drawn; the last is the length of the run."""
    steps: int | None = 1000
    """Number of steps of post-tf; None leaves this recipe out."""
    seed: int = 0
    """Seed of all runs, and first seed of the range over seeds."""
    out: Path = Path("results")
    """Folder of the results."""
    resume: FlagCreatePairsOff[bool] = False
    """Continue the interrupted job in the folder."""
    overwrite: FlagCreatePairsOff[bool] = False
    """Replace the results in the folder."""
    quick: FlagCreatePairsOff[bool] = False
    """A first result in a minute: --data mnist-5k --epochs 5 --steps None --out runs/quick, where
    these are not given, without the relay and the range over seeds."""
    network: str | None = None
    """FILE.py:FUNCTION of your own networks, as for train; with it, only post-keras is trained."""
    animate: FlagCreatePairsOff[bool] = False
    """Train post-keras once more for latent.gif, the latent plane epoch by epoch, and for a slider
    through all epochs on the page."""


QUICK = Reproduce(data="mnist-5k", epochs=(5,), steps=None, out=Path("runs/quick"))


def main(argv=None):
    """Runs the main job; returns 0, 1 if a bit differs, 2 for bad input, 130 after Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    default = QUICK if "--quick" in argv else Reproduce()
    return exit_status(
        lambda: reproduce(tyro.cli(Reproduce, args=argv, prog="reproduce.py", default=default)),
        resume_advice(["python", "reproduce.py", *argv]),
    )


def reproduce(job):
    """Does the whole job, from checks to page, and returns the exit status."""
    if not job.epochs:
        raise UsageError("--epochs is empty; expected at least one epoch, e.g. 5 50")
    configs = {
        "post-keras": recipe(
            "post-keras", epochs=max(job.epochs), picture_epochs=job.epochs, seed=job.seed
        )
    }
    network = network_of(job.network)
    if network is not None and job.animate:
        raise UsageError("--animate draws the dense network; leave it out, or leave out --network")
    if job.steps is not None and network is None:
        configs["post-tf"] = recipe("post-tf", steps=job.steps, seed=job.seed)
    _check_folder(job)
    data = load_data(job.data, image_size=job.image_size)
    runs = [
        Run(
            job.out / folder / name, config, data, package, job.resume, job.overwrite, network
        ).check()
        for name, config in configs.items()
        for folder, package in IMPLEMENTATIONS.items()
    ]
    relay_runs = [] if job.quick else _relay_runs(job, configs["post-keras"], data, network)
    with locked(job.out):
        return _reproduce(job, configs, data, runs, relay_runs, network)


def _check_folder(job):
    names = {path.name for path in job.out.iterdir()} if job.out.is_dir() else set()
    names = {name for name in names if name != ".lock" and not name.endswith(".partial")}
    foreign = sorted(names - {*FILES, *FOLDERS})
    if job.out.exists() and not job.out.is_dir():
        raise UsageError(f"{job.out} is a file; expected a folder for the results")
    if foreign:
        raise UsageError(f"{job.out} holds {foreign[0]}, which is not a result; give another --out")
    if job.resume and job.overwrite:
        raise UsageError("--resume and --overwrite exclude each other; give one")
    if names and not (job.resume or job.overwrite):
        raise UsageError(f"{job.out} already holds results; give --resume, --overwrite or --out")


def _reproduce(job, configs, data, runs, relay_runs, network):
    modules = {e: import_implementation(name, network) for e, name in IMPLEMENTATIONS.items()}
    for path in (*job.out.glob(".*.partial"), *(job.out / name for name in FILES)):
        if job.overwrite or path.suffix == ".partial":  # from a process that was killed
            path.unlink(missing_ok=True)
    started, n = time.perf_counter(), data.n_train
    with_seeds = "post-tf" in configs and not job.quick
    wanted = list(range(job.seed, job.seed + SEEDS))
    seeds = read_seeds(job.out, wanted) if with_seeds else None
    animation = job.out / ANIMATION, configs["post-keras"], data
    animated = job.animate and read_frames(*animation) is None
    left = sum(run.config.total_steps(n) - run.step for run in [*runs, *relay_runs])
    left += 2 * SEEDS * job.steps if with_seeds and seeds is None else 0
    left += configs["post-keras"].total_steps(n) if animated else 0
    with progress(left) as (advance, say):
        say(f"data: {data.name} ({n:,} + {data.n_test:,}), seed {job.seed}")
        for run in runs:
            _train(run, modules[run.directory.parent.name], job, advance, say)
        relay = None if job.quick else _relay(job, relay_runs, modules, advance)
        if with_seeds:
            if seeds is None:
                settings = configs["post-tf"], data, modules["tf"]
                seeds = train_seeds(job.out, wanted, *settings, lambda t: advance(job.steps, t))
            draw_seeds(job.out, seeds, wanted, data, job.steps)
        if animated:
            whole = Run(None, configs["post-keras"], data, "tf_vae")
            on_epoch = on_epoch_of(whole, ANIMATION, advance)
            animate(*animation, modules["tf"], on_epoch)
    parity = parity_report(job.out, configs, data, job.seed, relay)
    write_json(job.out / "parity.json", parity)
    extras = {"seeds": SEEDS if with_seeds else None, "frames": read_frames(*animation)}
    write_page(job.out, configs, data, parity, modules["keras"], **extras)
    print_table(results_table(job.out, configs, data))
    print("\n".join(parity["lines"]))
    print(f"{job.out / 'index.html'} shows all results; {time.perf_counter() - started:.0f} s")
    return 0 if parity["bit_identical"] else 1


def _train(run, implementation, job, advance, say):
    """Trains, measures and draws one run, or the rest of it."""
    name, data = f"{implementation.name} {run.config.recipe}", run.data
    if run.complete:
        say(f"{name}: already complete")
        return
    options = {"verbose": 0, "on_epoch": on_epoch_of(run, name, advance), "network": run.network}
    with locked(run.directory):
        model, done = implementation.train(
            run.config, data, run.directory, job.resume, job.overwrite, **options
        )
        draw_figures(run.directory, data, implementation)
        measured = measure(run.directory, implementation, model, data)
        metrics = write_metrics(run.directory, data, measured)
    seconds = np.nansum([row["seconds"] for row in done.history])
    say(f"{name}: test loss {metrics['test_loss']['value']:.2f}, {seconds:.0f} s of training")


def _relay_runs(job, config, data, network):
    """Returns the short run that both implementations train, and the same run by tf_vae alone."""
    config = dataclasses.replace(config, epochs=RELAY_EPOCHS, picture_epochs=(RELAY_EPOCHS,))
    return [
        Run(
            job.out / name, config, data, "tf_vae", not job.overwrite, job.overwrite, network
        ).check()
        for name in ("relay", "undisturbed")
    ]


def _relay(job, runs, modules, advance):
    """Trains half of a run with `fit` and half with the loop; compares it with a whole run."""
    relay, undisturbed = runs
    half = dataclasses.replace(relay.config, epochs=RELAY_EPOCHS // 2)
    new = {"overwrite": job.overwrite, "resume": not job.overwrite, "verbose": 0}
    new["network"] = relay.network
    on_epoch = on_epoch_of(relay, "relay", advance)
    if relay.step < half.total_steps(relay.data.n_train):
        modules["keras"].train(half, relay.data, relay.directory, **new, on_epoch=on_epoch)
    whole = {**new, "overwrite": False, "resume": True, "on_epoch": on_epoch}
    modules["tf"].train(relay.config, relay.data, relay.directory, **whole)
    on_epoch = on_epoch_of(undisturbed, "relay, undisturbed", advance)
    modules["tf"].train(relay.config, relay.data, undisturbed.directory, **new, on_epoch=on_epoch)
    return compare(*(read_run_weights(run.directory)[1] for run in runs))


if __name__ == "__main__":
    set_up()
    end_process(main())
