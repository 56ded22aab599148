"""The main job: trains both implementations on both recipes, compares their bits, writes the page.

Its flags are in reproduce.py, which first checks its input with the functions here. Slow imports
are inside the functions, so that bad input is reported first.
"""

import dataclasses
import functools
import shlex
import time

import numpy as np

from shared.command.implementation import import_implementation
from shared.command.processes import default_processes, run_tasks
from shared.command.training import data_text, model_text
from shared.config import recipe
from shared.data import load_data
from shared.machine.backend import IMPLEMENTATIONS
from shared.machine.checks import UsageError
from shared.measure.metrics import measure, write_metrics
from shared.measure.parity import compare, parity_report
from shared.measure.spread import VARIANTS, read_seeds, train_seeds, write_seeds
from shared.run.files import write_json
from shared.run.folder import locked, read_run_weights
from shared.run.network import network_of
from shared.run.state import Run
from shared.show.status import Status, link, on_epoch_of, progress, tell
from shared.show.terminal import line_width, print_table, wrapped

__all__ = ["Given", "check_folder", "configs_of", "places_of", "run_job"]

RELAY_EPOCHS = 4
ANIMATION = "latent.gif"
FILES = ("seeds.npz", "seeds.png", "parity.json", "index.html", ANIMATION, "latent.npz")
RELAY = ("relay", "undisturbed")
FOLDERS = (*IMPLEMENTATIONS, *RELAY)
SEEDS = 8  # number of seeds in the figure of the loss of every step
SEEDS_OF_TASK = 2  # trained with one compilation


def places_of(job):
    """Returns (folder of an implementation, recipe) of each run, the longest first."""
    return [(folder, name) for name in configs_of(job) for folder in IMPLEMENTATIONS]


def configs_of(job):
    """Returns {recipe: Config} of a job, whose flags are those of reproduce.py."""
    options = {"epochs": max(job.epochs), "picture_epochs": job.epochs, "seed": job.seed}
    configs = {"post-keras": recipe("post-keras", **options)}
    if job.steps is not None and job.network is None:
        configs["post-tf"] = recipe("post-tf", steps=job.steps, seed=job.seed)
    return configs


def check_folder(job):
    """Raises UsageError unless the job may write into its folder."""
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


def run_job(given, runs, relay_runs):
    """Trains what is left of the job, compares, draws, and prints the results.

    Args:
        given: Given.
        runs: the checked Run of each place.
        relay_runs: those of the relay, or [].
    Returns:
        int, the exit status: 1 if a bit differs, otherwise 0.
    """
    from shared.show.figures.animation import read_frames

    job, data, configs = given.job, given.data, configs_of(given.job)
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
    tasks = _tasks(given, relay_runs, animated, parts)
    left = sum(run.config.total_steps(n) - run.step for run in [*runs, *relay_runs])
    left += len(VARIANTS) * SEEDS * job.steps if parts else 0
    left += configs["post-keras"].total_steps(n) if animated else 0
    processes = default_processes() if job.processes is None else job.processes
    for line in _described(given, min(processes, len(tasks))):
        tell(line)
    with progress(left) as (advance, say):
        losses = run_tasks(tasks, processes, advance, say)[len(tasks) - len(parts) :]
    if parts:
        shape = len(VARIANTS), SEEDS, job.steps
        known = dict(zip(VARIANTS, np.concatenate(losses).reshape(shape), strict=True))
        write_seeds(job.out, wanted, known)
    parity, table = _report(given, relay_runs, known, wanted, animation)
    tell("")
    print_table(table)
    for line in ["", *parity["lines"]]:
        tell("\n".join(wrapped(line, line_width(), "  ")))
    tell(f"\nfinished after {time.perf_counter() - started:.0f} s")
    tell(f"page: {link(job.out / 'index.html')}")
    run = shlex.quote(str(job.out / "tf" / "post-keras"))
    tell(f"next: python -m tf_vae evaluate {run}")
    return 0 if parity["bit_identical"] else 1


def _tasks(given, relay_runs, animated, parts):
    """Returns the tasks of a job, (function, arguments), the longest first."""
    places = places_of(given.job)
    tasks = [(train_run, (given, *place)) for place in places[:2]]
    tasks += [(train_animation, (given,))] if animated else []
    tasks += [(train, (given,)) for train in (train_relay, train_undisturbed) if relay_runs]
    tasks += [(train_run, (given, *place)) for place in places[2:]]
    return tasks + [(train_part, (given, *part)) for part in parts]


def _described(given, processes):
    """Returns what the job is, in lines."""
    job, data, configs = given.job, given.data, configs_of(given.job)
    models = [f"{name} {model_text(each, data.input_dim)}" for name, each in configs.items()]
    plural = "" if processes == 1 else "es"
    return [
        f"reproduce.py: {' and '.join(configs)}, seed {job.seed}, in {processes} process{plural}",
        f"data    {data_text(data)}",
        *(f"model   {model}" for model in ([job.network] if job.network else models)),
        f"folder  {job.out}",
    ]


def _report(given, relay_runs, losses, seeds, animation):
    """Compares the weights and writes the page; returns the proof and the table of results."""
    from shared.show.figures.animation import read_frames
    from shared.show.page.results import draw_seeds, results_table, write_page

    job, data, configs = given.job, given.data, configs_of(given.job)
    with Status() as status:
        status.phase("comparing every weight, drawing the page")
        if losses is not None:
            draw_seeds(job.out, losses, seeds, data, job.steps)
        relay = None
        if relay_runs:
            relay = compare(*(read_run_weights(run.directory)[1] for run in relay_runs))
        parity = parity_report(job.out, configs, data, job.seed, relay)
        write_json(job.out / "parity.json", parity)
        extras = {"seeds": SEEDS if losses is not None else None}
        extras["frames"] = read_frames(*animation)
        implementation = given.implementation("keras_vae")
        write_page(job.out, configs, data, parity, implementation, **extras)
    return parity, results_table(job.out, configs, data)


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
        job, config = self.job, configs_of(self.job)[name]
        place, package = job.out / folder / name, IMPLEMENTATIONS[folder]
        return Run(
            place, config, self.data, package, job.resume, job.overwrite, self.network
        ).check()

    def relay_run(self, name):
        """Returns the checked Run of RELAY_EPOCHS epochs in one of the folders RELAY."""
        job, epochs = self.job, RELAY_EPOCHS
        config = dataclasses.replace(
            configs_of(job)["post-keras"], epochs=epochs, picture_epochs=(epochs,)
        )
        options = not job.overwrite, job.overwrite, self.network
        return Run(job.out / name, config, self.data, "tf_vae", *options).check()

    def implementation(self, package, title=None, advance=None):
        """Returns the functions of an implementation, which builds the network that was named.

        Args:
            package: "keras_vae" or "tf_vae".
            title: name of a training, or None.
            advance: function of (steps, text), which is told what comes before its first step.
        """
        if not title:
            return import_implementation(package, self.network)
        loaded = import_implementation(
            package, self.network, lambda text: advance(0, f"{title}: {text}")
        )
        advance(0, f"{title}: compiling the training step")
        return loaded


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
    from shared.show.figures.of_run import draw_figures

    implementation = given.implementation(IMPLEMENTATIONS[folder], title, advance)
    options = {"verbose": 0, "on_epoch": on_epoch_of(run, title, advance), "network": run.network}
    with locked(run.directory):
        model, done = implementation.train(
            run.config, data, run.directory, given.job.resume, given.job.overwrite, **options
        )
        advance(0, f"{title}: drawing and measuring")
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
        fit = given.implementation("keras_vae", "relay", advance).train
        fit(half, given.data, run.directory, **begin, **options)
    train = given.implementation("tf_vae", "relay", advance).train
    train(run.config, given.data, run.directory, resume=True, **options)


def train_undisturbed(given, advance, say):
    """Trains the run of the relay with the loop alone."""
    run, job = given.relay_run("undisturbed"), given.job
    on_epoch = on_epoch_of(run, "relay, undisturbed", advance)
    begin = {"overwrite": job.overwrite, "resume": not job.overwrite}
    options = {"verbose": 0, "network": run.network, "on_epoch": on_epoch}
    train = given.implementation("tf_vae", "relay, undisturbed", advance).train
    train(run.config, given.data, run.directory, **begin, **options)


def train_part(given, variant, seeds, advance, say):
    """Trains post-tf with some of the seeds; returns the losses of their steps."""
    steps = given.job.steps
    return train_seeds(
        variant,
        seeds,
        configs_of(given.job)["post-tf"],
        given.data,
        given.implementation("tf_vae", f"post-tf, seeds {seeds[0]} to {seeds[-1]}", advance),
        lambda text: advance(steps, text),
    )


def train_animation(given, advance, say):
    """Trains post-keras once more, and draws the latent plane after each epoch."""
    from shared.show.figures.animation import animate

    config, data = configs_of(given.job)["post-keras"], given.data
    on_epoch = on_epoch_of(Run(None, config, data, "tf_vae"), ANIMATION, advance)
    animate(
        given.job.out / ANIMATION,
        config,
        data,
        given.implementation("tf_vae", ANIMATION, advance),
        on_epoch,
    )
