"""The command `train`: it trains a run, draws its figures and measures it.

It first checks its input, then loads the implementation, and holds the lock of the run's folder
from then on. Slow imports are inside the functions, so that bad input is reported first.
"""

import dataclasses
import math
import os
import shlex
from pathlib import Path

from shared.command.implementation import import_implementation
from shared.machine.arithmetic import use_threads
from shared.machine.backend import CLUSTER_VARIABLES, check_backend
from shared.machine.checks import UsageError
from shared.machine.process import announce
from shared.show.epochs import EpochLines
from shared.show.status import Status, link, tell
from shared.show.terminal import line_width, metrics_text
from shared.weights import weight_shapes

__all__ = ["data_text", "described", "model_text", "print_metrics", "tell_next", "train"]


def train(package, command):
    """Trains a model, draws its figures and measures it, or continues an interrupted run.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.arguments.Train.
    Returns:
        int, the exit status 0.
    Raises:
        UsageError: the folder or the data cannot be used.
    """
    from shared.data import load_data
    from shared.run.folder import locked
    from shared.run.network import network_of
    from shared.run.state import Run, check_checkpoint_steps

    config = command.config
    use_threads(command.threads)
    if command.tensorboard:
        from shared.beyond.tensorboard import check_installed

        check_installed()
    out = command.out or Path("runs") / f"{package}-{config.recipe}-seed{config.seed}"
    check_checkpoint_steps(command.checkpoint_steps, out)
    announce(f"{package} train: reading the data, {command.data}")
    data = load_data(
        command.data,
        image_size=command.image_size,
        scale=config.scale,
        label_column=command.label_column,
    )
    network = network_of(command.network)
    run = Run(out, config, data, package, command.resume, command.overwrite, network)
    if run.complete:
        tell(f"{out}: already complete{_stopped(run, advised=True)}")
        return 0
    check_backend(package)
    cluster = _cluster(package, command)
    description = "\n".join(described(run, package, command.network))
    if cluster is not None:
        if network is not None or run.progress.network is not None:
            raise UsageError("--workers train the dense network only; leave out --network")
        from shared.beyond.distributed.supervisor import supervise

        tell(description)
        supervise(package, command, cluster, out, data)
        if not cluster.chief:
            tell(f"worker {cluster.index}: finished")
            return 0
        # What is left, figures and metrics, is done by worker 0 alone.
        command = dataclasses.replace(command, resume=True, overwrite=False)
    with locked(out), Status(tell) as status:  # until figures and metrics are written
        if cluster is None:
            tell(description)
        run, metrics = _trained(package, command, out, data, network, status)
    tell("")
    print_metrics(out, metrics)
    tell(f"\n{out}: finished{_stopped(run)}")
    tell_next(out, f"python -m {package} evaluate")
    return 0


def _trained(package, command, out, data, network, status):
    """Trains, draws and measures; returns the run and its metrics."""
    from shared.data import evaluation_images

    config = command.config
    implementation = import_implementation(package, network, status.phase)
    board = None
    if command.tensorboard:
        from shared.beyond.tensorboard import Board

        board = Board(command.tensorboard, data.held_out_name)
    status.phase("compiling the training step")
    lines = EpochLines(config, data.n_train, status.say, status.show)

    def on_epoch(row):
        lines.epoch(row)
        if board:
            board.epoch(row)

    model, run = implementation.train(
        config,
        data,
        out,
        command.resume,
        command.overwrite,
        verbose=0,
        on_epoch=on_epoch,
        checkpoint_steps=command.checkpoint_steps,
        network=network,
        on_steps=lines.steps,
    )
    status.phase("drawing the figures")
    from shared.measure.metrics import measure, write_metrics
    from shared.show.figures.of_run import draw_figures

    figures = draw_figures(out, data, implementation)
    if board:
        x, labels = evaluation_images(data.x_test, config), data.names_of(data.y_test)
        board.finish(run.step, figures, implementation.encode(model, x)[0], labels)
    status.phase("measuring")
    return run, write_metrics(out, data, measure(out, implementation, model, data))


def described(run, package, network=None):
    """Returns recipe, data, model and folder of a training in lines, which are printed before it.

    Args:
        run: shared.run.state.Run.
        package: "keras_vae" or "tf_vae".
        network: the flag --network, or None.
    """
    config, data = run.config, run.data
    steps, epochs = config.steps_per_epoch(data.n_train), config.total_epochs(data.n_train)
    length = f"{epochs:,} epochs of {steps:,} steps"
    if config.epochs is None:
        length = f"{config.steps:,} steps"
    model = model_text(config, data.input_dim)
    if network or run.progress.network is not None:
        model = network or "the network of the run"
    return [
        f"{package}: recipe {config.recipe}, seed {config.seed}, {length}",
        f"data    {data_text(data)}",
        f"model   {model}",
        f"folder  {run.directory}" + (f", continued after step {run.step:,}" if run.step else ""),
    ]


def data_text(data):
    """Returns the name, the numbers and the shape of images in one line, or what was understood."""
    shape = " × ".join(map(str, data.image_shape))
    found = f"{data.name}: {data.n_train:,} training and {data.n_test:,} test images of {shape}"
    return data.understood or found


def model_text(config, input_dim):
    """Returns the widths of the config's dense network and the number of its weights."""
    half = [input_dim, *config.hidden_dims]
    count = sum(map(math.prod, weight_shapes(config, input_dim).values()))
    return "-".join(map(str, [*half, config.latent_dim, *half[::-1]])) + f", {count:,} weights"


def _stopped(run, advised=False):
    """Returns what is said of a run that stopped early, and how to continue it, or nothing."""
    from shared.run.stopping import stop_text

    if run.stopped is None:
        return ""
    other = "give a larger --patience or leave it out"
    if run.stopped["by"] == "callback":
        other = "give another length or --patience"
    return f"; {stop_text(run.config, run.stopped)}{f'; {other}' if advised else ''}"


def _cluster(package, command):
    """Returns the cluster that flags or variables ask for, or None.

    Only in the first case is the code for workers imported.
    """
    if command.connect_timeout <= 0:
        raise UsageError(f"--connect-timeout is {command.connect_timeout:g}; expected seconds > 0")
    flags = command.workers, command.worker, command.virtual_devices
    if not os.environ.get(CLUSTER_VARIABLES[package]) and all(flag is None for flag in flags):
        return None
    from shared.beyond.distributed.cluster import cluster_of

    return cluster_of(package, command)


def tell_next(directory, command):
    """Prints where the figures of a run are, and the command that may be next.

    Args:
        directory: folder of the run.
        command: the words before the folder.
    """
    tell(f"figures: {link(directory / 'figures')}")
    tell(f"next: {command} {shlex.quote(str(directory))}")


def print_metrics(directory, metrics):
    """Prints the metrics of a finished run as a table.

    Args:
        directory: folder of the run.
        metrics: the dict in its metrics.json.
    """
    from shared.run.folder import read_config
    from shared.run.stopping import finished_config

    config = finished_config(values := read_config(directory))
    step = config.total_steps(values["data"]["n_train"])
    title = f"{directory}: step {step:,}, seed {config.seed}"
    tell(metrics_text(metrics, title, line_width()))
