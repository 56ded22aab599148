"""The main job: both implementations on both recipes, the figures, the table and the proof.

It trains the VAE of the 2018 post with Keras' `fit` and with a `tf.GradientTape` loop, draws the
latent space and the manifold at epochs 5 and 50 and the loss of 1000 steps, continues a run of one
implementation with the other, compares every weight bit by bit, and writes one page with all this.
"""

import dataclasses
import functools
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
from shared.command.processes import default_processes, run_tasks
from shared.config import recipe
from shared.data import load_data
from shared.machine.backend import IMPLEMENTATIONS, check_backend
from shared.machine.checks import UsageError, integer
from shared.machine.process import end_process, set_up
from shared.measure.metrics import measure, write_metrics
from shared.measure.parity import compare, parity_report
from shared.measure.spread import VARIANTS, read_seeds, train_seeds, write_seeds
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
RELAY = ("relay", "undisturbed")
FOLDERS = (*IMPLEMENTATIONS, *RELAY)
SEEDS = 8  # number of seeds in the figure of the loss of every step
SEEDS_OF_TASK = 2  # trained with one compilation


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
    these are not given, in one process, without the relay and the range over seeds."""
    network: str | None = None
    """FILE.py:FUNCTION of your own networks, as for train; with it, only post-keras is trained."""
    animate: FlagCreatePairsOff[bool] = False
    """Train post-keras once more for latent.gif, the latent plane epoch by epoch, and for eight
    epochs on the page's slider, which otherwise has those of --epochs."""
    processes: int | None = None
    """Number of trainings side by side, with one thread each; the default is the number of cores.
    It changes no result."""


QUICK = Reproduce(data="mnist-5k", epochs=(5,), steps=None, out=Path("runs/quick"), processes=1)


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
    if job.processes is not None:
        integer("--processes", job.processes)
    if job.network is not None and job.animate:
        raise UsageError("--animate draws the dense network; leave it out, or leave out --network")
    network_of(job.network)
    _configs(job)
    _check_folder(job)
    check_backend("tf_vae")
    given = Given(job, load_data(job.data, image_size=job.image_size))
    runs = [given.run(*place) for place in _places(job)]
    relay_runs = [] if job.quick else [given.relay_run(name) for name in RELAY]
    with locked(job.out):
        return _reproduce(given, runs, relay_runs)


def _places(job):
    """Returns (folder of an implementation, recipe) of each run, the longest first."""
    return [(folder, name) for name in _configs(job) for folder in IMPLEMENTATIONS]


def _configs(job):
    """Returns {recipe: Config} of the job."""
    options = {"epochs": max(job.epochs), "picture_epochs": job.epochs, "seed": job.seed}
    configs = {"post-keras": recipe("post-keras", **options)}
    if job.steps is not None and job.network is None:
        configs["post-tf"] = recipe("post-tf", steps=job.steps, seed=job.seed)
    return configs


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


def _reproduce(given, runs, relay_runs):
    job, data, configs = given.job, given.data, _configs(given.job)
    for path in (*job.out.glob(".*.partial"), *(job.out / name for name in FILES)):
        if job.overwrite or path.suffix == ".partial":  # from a process that was killed
            path.unlink(missing_ok=True)
    started, n = time.perf_counter(), data.n_train
    with_seeds = "post-tf" in configs and not job.quick
    wanted = list(range(job.seed, job.seed + SEEDS))
    animation = job.out / ANIMATION, configs["post-keras"], data
    animated = job.animate and read_frames(*animation) is None
    known = read_seeds(job.out, wanted) if with_seeds else None
    parts = []
    if with_seeds and known is None:
        chunks = [wanted[i : i + SEEDS_OF_TASK] for i in range(0, SEEDS, SEEDS_OF_TASK)]
        parts = [(variant, chunk) for variant in VARIANTS for chunk in chunks]
    places = _places(job)
    # The longest first.
    tasks = [(train_run, (given, *place)) for place in places[:2]]
    tasks += [(train_animation, (given,))] if animated else []
    tasks += [(train, (given,)) for train in (train_relay, train_undisturbed) if relay_runs]
    tasks += [(train_run, (given, *place)) for place in places[2:]]
    tasks += [(train_part, (given, *part)) for part in parts]
    left = sum(run.config.total_steps(n) - run.step for run in [*runs, *relay_runs])
    left += len(VARIANTS) * SEEDS * job.steps if parts else 0
    left += configs["post-keras"].total_steps(n) if animated else 0
    processes = default_processes() if job.processes is None else job.processes
    with progress(left) as (advance, say):
        say(f"data: {data.name} ({n:,} + {data.n_test:,}), seed {job.seed}")
        losses = run_tasks(tasks, processes, advance, say)[len(tasks) - len(parts) :]
    if parts:
        shape = len(VARIANTS), SEEDS, job.steps
        known = dict(zip(VARIANTS, np.concatenate(losses).reshape(shape), strict=True))
        write_seeds(job.out, wanted, known)
    if with_seeds:
        draw_seeds(job.out, known, wanted, data, job.steps)
    relay = None
    if relay_runs:
        relay = compare(*(read_run_weights(run.directory)[1] for run in relay_runs))
    parity = parity_report(job.out, configs, data, job.seed, relay)
    write_json(job.out / "parity.json", parity)
    extras = {"seeds": SEEDS if with_seeds else None, "frames": read_frames(*animation)}
    write_page(job.out, configs, data, parity, given.implementation("keras_vae"), **extras)
    print_table(results_table(job.out, configs, data))
    print("\n".join(parity["lines"]))
    print(f"{job.out / 'index.html'} shows all results; {time.perf_counter() - started:.0f} s")
    return 0 if parity["bit_identical"] else 1


class Given:
    """Holds what the tasks of a job share: the job, the data, and the network that was named.

    Another process is given the job and the name of the data, and reads these itself.
    """

    def __init__(self, job, data):
        self.job, self.data, self.network = job, data, network_of(job.network)

    def __reduce__(self):
        return _given_again, (self.job, self.data.source)

    def run(self, folder, name):
        """Returns the checked Run of a recipe by an implementation."""
        job, config = self.job, _configs(self.job)[name]
        place, package = job.out / folder / name, IMPLEMENTATIONS[folder]
        return Run(
            place, config, self.data, package, job.resume, job.overwrite, self.network
        ).check()

    def relay_run(self, name):
        """Returns the checked Run of RELAY_EPOCHS epochs in one of the folders RELAY."""
        job, epochs = self.job, RELAY_EPOCHS
        config = dataclasses.replace(
            _configs(job)["post-keras"], epochs=epochs, picture_epochs=(epochs,)
        )
        options = not job.overwrite, job.overwrite, self.network
        return Run(job.out / name, config, self.data, "tf_vae", *options).check()

    def implementation(self, package):
        """Returns the functions of an implementation, which builds the network that was named."""
        return import_implementation(package, self.network)


@functools.cache
def _data_again(source, image_size):
    return load_data(source, image_size=image_size)


def _given_again(job, source):
    return Given(job, _data_again(source, job.image_size))


def train_run(given, folder, name, advance, say):
    """Trains, measures and draws one run, or the rest of it."""
    run, data = given.run(folder, name), given.data
    title = f"{IMPLEMENTATIONS[folder]} {name}"
    if run.complete:
        say(f"{title}: already complete")
        return
    implementation = given.implementation(IMPLEMENTATIONS[folder])
    options = {"verbose": 0, "on_epoch": on_epoch_of(run, title, advance), "network": run.network}
    with locked(run.directory):
        model, done = implementation.train(
            run.config, data, run.directory, given.job.resume, given.job.overwrite, **options
        )
        draw_figures(run.directory, data, implementation)
        measured = measure(run.directory, implementation, model, data)
        metrics = write_metrics(run.directory, data, measured)
    seconds = np.nansum([row["seconds"] for row in done.history])
    say(f"{title}: test loss {metrics['test_loss']['value']:.2f}, {seconds:.0f} s of training")


def train_relay(given, advance, say):
    """Trains half of a run with `fit`, and the other half with the loop."""
    run, job = given.relay_run("relay"), given.job
    half = dataclasses.replace(run.config, epochs=RELAY_EPOCHS // 2)
    options = {"verbose": 0, "network": run.network, "on_epoch": on_epoch_of(run, "relay", advance)}
    begin = {"overwrite": job.overwrite, "resume": not job.overwrite}
    if run.step < half.total_steps(given.data.n_train):
        fit = given.implementation("keras_vae").train
        fit(half, given.data, run.directory, **begin, **options)
    train = given.implementation("tf_vae").train
    train(run.config, given.data, run.directory, resume=True, **options)


def train_undisturbed(given, advance, say):
    """Trains the run of the relay with the loop alone."""
    run, job = given.relay_run("undisturbed"), given.job
    on_epoch = on_epoch_of(run, "relay, undisturbed", advance)
    begin = {"overwrite": job.overwrite, "resume": not job.overwrite}
    options = {"verbose": 0, "network": run.network, "on_epoch": on_epoch}
    train = given.implementation("tf_vae").train
    train(run.config, given.data, run.directory, **begin, **options)


def train_part(given, variant, seeds, advance, say):
    """Trains post-tf with some of the seeds; returns the losses of their steps."""
    steps = given.job.steps
    return train_seeds(
        variant,
        seeds,
        _configs(given.job)["post-tf"],
        given.data,
        given.implementation("tf_vae"),
        lambda text: advance(steps, text),
    )


def train_animation(given, advance, say):
    """Trains post-keras once more, and draws the latent plane after each epoch."""
    config, data = _configs(given.job)["post-keras"], given.data
    on_epoch = on_epoch_of(Run(None, config, data, "tf_vae"), ANIMATION, advance)
    animate(given.job.out / ANIMATION, config, data, given.implementation("tf_vae"), on_epoch)


if __name__ == "__main__":
    set_up()
    end_process(main())
