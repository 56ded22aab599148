"""The command `train`: it trains a run, draws its figures and measures it.

It first checks its input, then loads the implementation, and holds the lock of the run's folder
from then on. Slow imports are inside the functions, so that bad input is reported first.
"""

import dataclasses
import os
from pathlib import Path

from shared.command.implementation import import_implementation
from shared.machine.arithmetic import use_threads
from shared.machine.backend import CLUSTER_VARIABLES, check_backend
from shared.machine.checks import UsageError

__all__ = ["print_metrics", "train"]


def train(package, command):
    """Trains a model, draws its figures and measures it, or continues an interrupted run.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.line.Train.
    Returns:
        int, the exit status 0.
    Raises:
        UsageError: the folder or the data cannot be used.
    """
    from shared.data import evaluation_images, load_data
    from shared.run.folder import locked
    from shared.run.network import network_of
    from shared.run.state import Run, check_checkpoint_steps

    config = command.config
    use_threads(command.threads)
    if command.tensorboard:
        from shared.beyond.tensorboard import Board, check_installed

        check_installed()
    out = command.out or Path("runs") / f"{package}-{config.recipe}-seed{config.seed}"
    check_checkpoint_steps(command.checkpoint_steps, out)
    data = load_data(
        command.data,
        image_size=command.image_size,
        scale=config.scale,
        label_column=command.label_column,
    )
    network = network_of(command.network)
    run = Run(out, config, data, package, command.resume, command.overwrite, network)
    if run.complete:
        print(f"{out}: already complete{_stopped(run, advised=True)}")
        return 0
    check_backend(package)
    cluster = _cluster(package, command)
    if data.understood:
        print(data.understood)
    if cluster is not None:
        if network is not None or run.progress.network is not None:
            raise UsageError("--workers train the dense network only; leave out --network")
        from shared.beyond.distributed.supervisor import supervise

        supervise(package, command, cluster, out, data)
        if not cluster.chief:
            print(f"worker {cluster.index}: finished")
            return 0
        # What is left, figures and metrics, is done by worker 0 alone.
        command = dataclasses.replace(command, resume=True, overwrite=False)
    with locked(out):  # before the slow import, and until figures and metrics are written
        implementation = import_implementation(package, network)
        board = Board(command.tensorboard, data.held_out_name) if command.tensorboard else None
        on_epoch = board.epoch if board else None
        model, run = implementation.train(
            config,
            data,
            out,
            command.resume,
            command.overwrite,
            on_epoch=on_epoch,
            checkpoint_steps=command.checkpoint_steps,
            network=network,
        )
        from shared.measure.metrics import measure, write_metrics
        from shared.show.figures.of_run import draw_figures

        figures = draw_figures(out, data, implementation)
        if board:
            x, labels = evaluation_images(data.x_test, config), data.names_of(data.y_test)
            board.finish(run.step, figures, implementation.encode(model, x)[0], labels)
        metrics = write_metrics(out, data, measure(out, implementation, model, data))
    print_metrics(out, metrics)
    print(f"{out}: finished{_stopped(run)}")
    return 0


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


def print_metrics(directory, metrics):
    """Prints the metrics of a finished run as a table.

    Args:
        directory: folder of the run.
        metrics: the dict in its metrics.json.
    """
    from shared.run.folder import read_config
    from shared.run.stopping import finished_config
    from shared.show.terminal import metrics_table, print_table

    config = finished_config(values := read_config(directory))
    step = config.total_steps(values["data"]["n_train"])
    print_table(metrics_table(metrics, f"{directory}: step {step:,}, seed {config.seed}"))
