"""The commands of the command line: train, evaluate, figures, sample, export.

Each command first checks its input, then loads the implementation, and holds the lock of the run's
folder from then on. Slow imports are inside the functions, so that bad input is reported first.
"""

import dataclasses
import math
import os
from pathlib import Path

from shared.command.implementation import import_beyond, import_implementation
from shared.config import from_dict
from shared.machine.backend import BACKENDS, CLUSTER_VARIABLES, backend, check_backend
from shared.machine.checks import UsageError

__all__ = ["evaluate", "export", "figures", "sample", "train"]


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
    if command.tensorboard:
        from shared.beyond.tensorboard import Board, check_installed

        check_installed()
    out = command.out or Path("runs") / f"{package}-{config.recipe}-seed{config.seed}"
    check_checkpoint_steps(command.checkpoint_steps, out)
    data = load_data(command.data)
    network = network_of(command.network)
    run = Run(out, config, data, package, command.resume, command.overwrite, network)
    if run.complete:
        print(f"{out}: already complete")
        return 0
    check_backend(package)
    if (cluster := _cluster(package, command)) is not None:
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
            x = evaluation_images(data.x_test, config)
            board.finish(run.step, figures, implementation.encode(model, x)[0], data.y_test)
        metrics = write_metrics(out, data, measure(out, implementation, model, data))
    _print_metrics(out, metrics)
    print(f"{out}: finished")
    return 0


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


def _print_metrics(directory, metrics):
    from shared.run.folder import read_config
    from shared.show.terminal import metrics_table, print_table

    config = from_dict(values := read_config(directory))
    step = config.total_steps(values["data"]["n_train"])
    print_table(metrics_table(metrics, f"{directory}: step {step:,}, seed {config.seed}"))


def _named_network(command, values):
    """Returns the Network that --network names, after a check that it can be that of the run."""
    from shared.run.network import check_same, network_of

    network = network_of(command.network)
    check_same(command.dir, values.get("network"), network)
    return network


def evaluate(package, command):
    """Measures a finished run, updates its metrics.json and prints it.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.line.Evaluate.
    Returns:
        int, the exit status 0.
    Raises:
        UsageError: there is no finished run, the data do not fit it, or a number is out of range.
    """
    from rich.console import Console
    from rich.progress import Progress

    from shared.data import load_data
    from shared.measure import metrics
    from shared.run.folder import locked, read_metrics, read_run_weights, run_data

    if command.samples < 1:
        raise UsageError(f"--samples is {command.samples}; expected an integer >= 1")
    values, _ = read_run_weights(command.dir)
    network = _named_network(command, values)
    read_metrics(command.dir)  # so that a damaged file is reported before the work
    config = from_dict(values)
    if command.importance_samples is not None:
        metrics.check_bound(config, command.importance_samples)
    if command.exact_images is not None:
        metrics.check_exact(config, command.exact_images, values.get("network"))
    input_dim = math.prod(values["data"]["image_shape"])
    data = run_data(command.dir) if command.data is None else load_data(command.data)
    if data.input_dim != input_dim:
        raise UsageError(
            f"{data.name} has {data.input_dim} pixels; {command.dir} was trained on {input_dim}"
        )
    if data.name == "mnist-5k" and values["data"]["name"] == "mnist":
        print("note: the mnist-5k digits are training images of mnist, so they are not held out")
    implementation = import_implementation(package, network)
    with locked(command.dir), Progress(console=Console(stderr=True)) as bar:
        model, _ = implementation.load(command.dir)

        def task(name):
            number = bar.add_task(name, total=None)
            return lambda done, total: bar.update(number, completed=done, total=total)

        run = command.dir, implementation, model, data
        measured = [
            metrics.measure(*run, command.samples, task("ELBO")),
            metrics.measure_z(command.dir, implementation, data, task("use of z")),
        ]
        if (k := command.importance_samples) is not None:
            measured += [metrics.measure_bound(*run, k, task(f"importance bound, K = {k}"))]
        if (count := command.exact_images) is not None:
            measured += [metrics.measure_exact(*run, count, task("log p(x) by quadrature"))]
        written = metrics.write_metrics(command.dir, data, *measured)
    _print_metrics(command.dir, written)
    return 0


def figures(package, command):
    """Draws the figures of a finished run again, and prints their paths.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.line.Figures.
    Returns:
        int, the exit status 0.
    Raises:
        UsageError: there is no finished run, or its data are missing.
    """
    from shared.run.folder import locked, read_run_weights, run_data
    from shared.show.figures.of_run import draw_figures

    values, _ = read_run_weights(command.dir)
    network = _named_network(command, values)
    for epoch in from_dict(values).pictured(values["data"]["n_train"]):
        read_run_weights(command.dir, epoch)
    data = run_data(command.dir)
    implementation = import_implementation(package, network)
    with locked(command.dir):
        paths = draw_figures(command.dir, data, implementation)
    for path in paths:
        print(path)
    return 0


def sample(package, command):
    """Decodes samples from the prior, and writes samples.png and samples.npz.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.line.Sample.
    Returns:
        int, the exit status 0.
    Raises:
        UsageError: there is no finished run, or a number is out of range.
    """
    from shared.run.files import npz_bytes
    from shared.run.folder import locked, read_run_weights, write_product
    from shared.show.figures import plots
    from shared.show.figures.of_run import caption, prior_samples, save_figure

    if command.count < 1:
        raise UsageError(f"--count is {command.count}; expected an integer >= 1")
    if command.seed is not None and command.seed < 0:
        raise UsageError(f"--seed is {command.seed}; expected an integer >= 0")
    values, _ = read_run_weights(command.dir)
    network = _named_network(command, values)
    implementation = import_implementation(package, network)
    with locked(command.dir):
        model, config = implementation.load(command.dir)
        z = prior_samples(config, command.count, command.seed)
        probs = implementation.decode(model, z)
        seed = config.seed if command.seed is None else command.seed
        text = f"{caption(values)}\nsamples, z ~ N(0, I), seed {seed}"
        columns = min(15, command.count)
        figure = plots.image_grid(probs, tuple(values["data"]["image_shape"]), text, columns)
        save_figure(figure, command.dir, "samples.png")
        write_product(command.dir, "samples.npz", npz_bytes({"z": z, "probs": probs}))
    print(command.dir / "samples.png")
    return 0


def export(package, command):
    """Exports encoder and decoder of a finished run, and prints how exactly they were reproduced.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.line.Export.
    Returns:
        int, the exit status 0.
    Raises:
        UsageError: there is no finished run, or Keras uses another backend than TensorFlow.
    """
    from shared.beyond.export import export_run, has_onnx
    from shared.run.folder import locked, read_run_weights

    if (name := backend()) != BACKENDS[0]:
        raise UsageError(
            f"export needs Keras on its TensorFlow backend, and it is set to {name!r}; export with"
            " KERAS_BACKEND=tensorflow, which reads the runs of any backend"
        )

    values, _ = read_run_weights(command.dir)
    network = _named_network(command, values)
    implementation = import_implementation(package, network)
    with locked(command.dir):
        model, _ = implementation.load(command.dir)
        input_dim = math.prod(values["data"]["image_shape"])
        exporter = import_beyond(package, "export")
        parts = export_run(command.dir, implementation, exporter, model, input_dim)
    for path, difference in parts.items():
        print(f"{path}: loaded again, it differs from the model by at most {difference:.1e}")
    if not has_onnx():
        print("no ONNX files were written; to get them: pip install -r requirements/extras.txt")
    return 0
