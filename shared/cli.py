"""One command line for both implementations: `python -m keras_vae …` and `python -m tf_vae …`.

Config, run folder and data are checked before TensorFlow is imported, so a mistake is answered
at once and `--help` in no time.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, subcommand

from shared.config import RECIPES, Config, UsageError, from_dict, recipe
from shared.run.implementation import import_implementation

__all__ = [
    "exit_status",
    "main",
]


@dataclass
class Train:
    """Train a VAE, evaluate it and draw its figures."""

    config: OmitArgPrefixes[Config]
    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz with x_train, y_train, x_test, y_test."""
    out: Path | None = None
    """Folder of the run; without it runs/VERSION-RECIPE-seedS."""
    resume: FlagCreatePairsOff[bool] = False
    """Go on from the last finished epoch of the run in the folder."""
    overwrite: FlagCreatePairsOff[bool] = False
    """Replace the run in the folder."""
    tensorboard: Path | None = None
    """Also write scalars, figures and latents there, for tensorboard --logdir."""


@dataclass
class Evaluate:
    """Bounds on log p(x), the use of z, clusters by label: into a finished run's metrics.json."""

    dir: Positional[Path]
    """Folder of the run."""
    data: str | None = None
    """Other data than the run's own, named as for train."""
    samples: int = 10
    """Samples of q(z|x) an image, for the ELBO and its standard error."""
    importance_samples: int | None = None
    """K of the importance bound of the test images, which grows with K towards log p(x)."""
    exact_images: int | None = None
    """Test images whose log p(x) is integrated exactly, where z is 2-D; two seconds each."""


@dataclass
class Figures:
    """Draw the figures of a finished run again."""

    dir: Positional[Path]
    """Folder of the run."""


@dataclass
class Sample:
    """Decode draws from the prior N(0, I) into samples.png and samples.npz."""

    dir: Positional[Path]
    """Folder of the run."""
    count: int = 150
    """How many."""
    seed: int | None = None
    """Seed of the draws; without it the run's."""


@dataclass
class Export:
    """Write encoder and decoder as SavedModel, and as ONNX where tf2onnx is installed."""

    dir: Positional[Path]
    """Folder of the run; the parts stand in its `exported/`."""


def main(package, argv=None):
    """Run one command of an implementation; returns the exit status.

    Args:
        package: "keras_vae" or "tf_vae".
        argv: arguments, without the program's name; those of the process where None.
    """
    argv = sys.argv[1:] if argv is None else argv
    return exit_status(lambda: _run(package, list(argv)))


def exit_status(command):
    """Call `command` and turn what ends it into an exit status: 0, its own, 2 or 130."""
    try:
        return command() or 0
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; finished epochs are saved, --resume goes on", file=sys.stderr)
        return 130


def _run(package, argv):
    commands = (
        Annotated[Train, subcommand("train", default=Train(config=_recipe(argv)))]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Figures, subcommand("figures")]
        | Annotated[Sample, subcommand("sample")]
        | Annotated[Export, subcommand("export")]
    )
    prog = f"python -m {package}"
    command = tyro.cli(commands, args=argv, prog=prog, description=_DESCRIPTION[package])
    run = {
        Train: _train,
        Evaluate: _evaluate,
        Figures: _figures,
        Sample: _sample,
        Export: _export,
    }
    return run[type(command)](package, command)


_DESCRIPTION = {
    "keras_vae": "A variational autoencoder in Keras' functional API, trained with fit.",
    "tf_vae": "A variational autoencoder in plain TensorFlow, trained with tf.GradientTape.",
}


def _recipe(argv):
    """The defaults of `train`: the recipe that the arguments name, its length in their unit."""
    name = _value_of("--recipe", argv) or "post-keras"
    units = [unit for unit in ("epochs", "steps") if _value_of(f"--{unit}", argv) is not None]
    if len(units) == 2:
        raise UsageError("--epochs and --steps exclude each other; give one")
    if units and getattr(RECIPES.get(name), units[0], None) is None:
        return recipe(name, **{units[0]: 1})  # only the unit counts: tyro fills in the number
    return recipe(name)


def _value_of(flag, argv):
    for place, word in enumerate(argv):
        if word == flag:
            return argv[place + 1] if place + 1 < len(argv) else ""
        if word.startswith(f"{flag}="):
            return word.split("=", 1)[1]
    return None


def _train(package, command):
    from shared.data import evaluation_images, load_data
    from shared.measure.metrics import measure
    from shared.run.run import Run
    from shared.show.tensorboard import Board, check_installed

    config = command.config
    if command.tensorboard:
        check_installed()
    out = command.out or Path("runs") / f"{package}-{config.recipe}-seed{config.seed}"
    data = load_data(command.data)
    run = Run(out, config, data, package, command.resume, command.overwrite)
    if run.complete:
        print(f"{out}: already complete")
        return 0
    from shared.show.report import draw_figures  # matplotlib, which a refusal need not wait for

    implementation = import_implementation(package)
    board = Board(command.tensorboard) if command.tensorboard else None
    on_epoch = board.epoch if board else None
    model, run = implementation.train(
        config, data, out, command.resume, command.overwrite, on_epoch=on_epoch
    )
    figures = draw_figures(out, data, implementation)
    if board:
        x = evaluation_images(data.x_test, config)
        board.finish(run.step, figures, implementation.encode(model, x)[0], data.y_test)
    _print_metrics(measure(out, implementation, model, data))
    print(f"{out}: finished")
    return 0


def _print_metrics(metrics):
    for name, metric in metrics.items():
        value, error = metric["value"], metric.get("standard_error")
        if isinstance(value, list):
            value = " ".join(f"{each:.2f}" for each in value)
        else:
            small = isinstance(value, float) and 0 < abs(value) < 0.01
            value = f"{value:.{'1e' if small else '4f'}}" if isinstance(value, float) else value
        error = f" ± {error:.4f}" if error is not None else ""
        samples = f", samples {metric['samples']}" if metric["samples"] else ""
        print(
            f"{name:>28} {value:>10}{error} {metric['unit']}"
            f" (n {metric['n']:,}{samples}, data {metric['data']},"
            f" x: {metric['x']}, seed {metric['seed']})"
        )


def _evaluate(package, command):
    from rich.console import Console
    from rich.progress import Progress

    from shared.data import load_data
    from shared.measure import metrics
    from shared.run.folder import read_run_weights
    from shared.show.report import run_data

    if command.samples < 1:
        raise UsageError(f"--samples is {command.samples}; expected an integer >= 1")
    values, _ = read_run_weights(command.dir)
    config = from_dict(values)
    if command.importance_samples is not None:
        metrics.check_bound(config, command.importance_samples)
    if command.exact_images is not None:
        metrics.check_exact(config, command.exact_images)
    input_dim = math.prod(values["data"]["image_shape"])
    data = run_data(command.dir) if command.data is None else load_data(command.data)
    if data.input_dim != input_dim:
        raise UsageError(
            f"{data.name} has {data.input_dim} pixels; {command.dir} was trained on {input_dim}"
        )
    if data.name == "mnist-5k" and values["data"]["name"] == "mnist":
        print("note: the mnist-5k digits are training images of mnist: this is not held out")
    implementation = import_implementation(package)
    model, _ = implementation.load(command.dir)
    with Progress(console=Console(stderr=True)) as bar:

        def task(name):
            number = bar.add_task(name, total=None)
            return lambda done, total: bar.update(number, completed=done, total=total)

        run = command.dir, implementation, model, data
        metrics.measure(*run, command.samples, task("ELBO"))
        found = metrics.measure_z(command.dir, implementation, data, task("use of z"))
        if (k := command.importance_samples) is not None:
            found = metrics.measure_bound(*run, k, task(f"importance bound, K = {k}"))
        if (count := command.exact_images) is not None:
            found = metrics.measure_exact(*run, count, task("log p(x) by quadrature"))
    _print_metrics(found)
    return 0


def _figures(package, command):
    from shared.run.folder import read_run_weights
    from shared.show.report import draw_figures, run_data

    values, _ = read_run_weights(command.dir)
    for epoch in from_dict(values).pictured(values["data"]["n_train"]):
        read_run_weights(command.dir, epoch)
    data = run_data(command.dir)
    implementation = import_implementation(package)
    for path in draw_figures(command.dir, data, implementation):
        print(path)
    return 0


def _sample(package, command):
    from shared.run.files import write_npz
    from shared.run.folder import read_run_weights
    from shared.show import plots
    from shared.show.report import caption, prior_samples, save_figure

    if command.count < 1:
        raise UsageError(f"--count is {command.count}; expected an integer >= 1")
    if command.seed is not None and command.seed < 0:
        raise UsageError(f"--seed is {command.seed}; expected an integer >= 0")
    values, _ = read_run_weights(command.dir)
    implementation = import_implementation(package)
    model, config = implementation.load(command.dir)
    z = prior_samples(config, command.count, command.seed)
    probs = implementation.decode(model, z)
    seed = config.seed if command.seed is None else command.seed
    text = f"{caption(values)}\nsamples, z ~ N(0, I), seed {seed}"
    columns = min(15, command.count)
    figure = plots.image_grid(probs, tuple(values["data"]["image_shape"]), text, columns)
    save_figure(figure, command.dir / "samples.png")
    write_npz(command.dir / "samples.npz", {"z": z, "probs": probs})
    print(command.dir / "samples.png")
    return 0


def _export(package, command):
    from shared.run.folder import read_run_weights
    from shared.show.export import export_run, has_onnx

    values, _ = read_run_weights(command.dir)
    implementation = import_implementation(package)
    model, _ = implementation.load(command.dir)
    input_dim = math.prod(values["data"]["image_shape"])
    for path, difference in export_run(command.dir, implementation, model, input_dim).items():
        print(f"{path}: read again, differs from the model by {difference:.1e} at most")
    if not has_onnx():
        print("no ONNX: pip install -r requirements-extras.txt")
    return 0
