"""The commands for a finished run: evaluate, figures, sample, export.

Each command first checks its input, then loads the implementation, and holds the lock of the run's
folder from then on. Slow imports are inside the functions, so that bad input is reported first.
"""

import math
import sys
from pathlib import Path

from shared.command.implementation import import_beyond, import_implementation
from shared.command.training import print_metrics, tell_next
from shared.machine.arithmetic import use_threads
from shared.machine.backend import BACKENDS, backend
from shared.machine.checks import UsageError
from shared.machine.process import announce, say
from shared.show.status import Status, tell

__all__ = ["evaluate", "export", "figures", "sample"]


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
        command: shared.command.arguments.Evaluate.
    Returns:
        int, the exit status 0.
    Raises:
        UsageError: there is no finished run, the data do not fit it, or a number is out of range.
    """
    from shared.measure import metrics
    from shared.run.folder import locked, read_metrics, read_run_weights, run_data
    from shared.run.stopping import finished_config

    use_threads(command.threads)
    if command.samples < 1:
        raise UsageError(f"--samples is {command.samples}; expected an integer >= 1")
    epoch, best = _chosen(command.weights)
    values, _ = read_run_weights(command.dir, epoch)
    network = _named_network(command, values)
    read_metrics(command.dir)  # so that a damaged file is reported before the work
    config = finished_config(values)
    if command.importance_samples is not None:
        metrics.check_bound(config, command.importance_samples)
    if command.exact_images is not None:
        metrics.check_exact(config, command.exact_images, values.get("network"))
    input_dim = math.prod(values["data"]["image_shape"])
    announce(f"{package} evaluate: reading the data, {command.data or values['data']['name']}")
    data = run_data(command.dir) if command.data is None else _other_data(command, values, config)
    if data.input_dim != input_dim:
        raise UsageError(
            f"{data.name} has {data.input_dim} pixels; {command.dir} was trained on {input_dim}"
        )
    if command.data is not None and data.understood:
        tell(data.understood)
    if data.name == "mnist-5k" and values["data"]["name"] == "mnist":
        tell("note: the mnist-5k digits are training images of mnist, so they are not held out")
    with locked(command.dir), Status(tell) as status:
        implementation = import_implementation(package, network, status.phase)
        model, _ = implementation.load(command.dir, epoch)

        def task(name, unit="images"):
            status.phase(name)
            return lambda done, total: status.show(f"{name}: {done:,} of {total:,} {unit}")

        run = command.dir, implementation, model, data
        draws = task("measuring the ELBO", "samples")
        measured = [metrics.measure(*run, command.samples, draws)]
        epochs = task("measuring the use of z", "epochs")
        measured += [metrics.measure_z(command.dir, implementation, data, epochs, best)]
        if (k := command.importance_samples) is not None:
            images = task(f"measuring the importance bound, K = {k}")
            measured += [metrics.measure_bound(*run, k, images)]
        if (count := command.exact_images) is not None:
            images = task("integrating log p(x)")
            measured += [metrics.measure_exact(*run, count, images)]
        written = metrics.write_metrics(command.dir, data, *measured, best=best)
    print_metrics(command.dir, written)
    tell("")
    tell_next(command.dir, f"python -m {package} sample")
    return 0


def _chosen(weights):
    """Returns the epoch for `load`, and whether it is the best one, from the flag --weights."""
    return (None, False) if weights == "last" else ("best", True)


def _other_data(command, values, config):
    """Loads other data for an evaluation, scaled by the statistics of the run.

    Args:
        command: shared.command.arguments.Evaluate.
        values: the dict in the run's config.json.
        config: shared.config.Config of the run.
    """
    from shared.data import check_scale, load_data
    from shared.data.own import form_of

    entry, size = values["data"], command.image_size
    named = command.data in ("auto", "mnist", "mnist-5k")
    if size is None and not named and form_of(Path(command.data)) == "images":
        size = entry["image_shape"][:2]
    data = load_data(
        command.data,
        image_size=size,
        scale=config.scale,
        label_column=command.label_column,
        scaling=entry.get("scaling"),
    )
    if data.columns and entry.get("columns"):
        for number, (name, wanted) in enumerate(zip(data.columns, entry["columns"], strict=False)):
            if name != wanted:
                raise UsageError(
                    f"{command.data}: column {number + 1} is {name!r}, and {command.dir} was"
                    f" trained on {wanted!r}; expected the same columns in the same order"
                )
    check_scale(config, data)
    return data


def figures(package, command):
    """Draws the figures of a finished run again, and prints their paths.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.arguments.Figures.
    Returns:
        int, the exit status 0.
    Raises:
        UsageError: there is no finished run, or its data are missing.
    """
    from shared.run.folder import locked, read_run_weights, run_data
    from shared.run.stopping import finished_config

    values, _ = read_run_weights(command.dir)
    network = _named_network(command, values)
    for epoch in finished_config(values).pictured(values["data"]["n_train"]):
        read_run_weights(command.dir, epoch)
    data = run_data(command.dir)
    with locked(command.dir), Status() as status:
        implementation = import_implementation(package, network, status.phase)
        status.phase("drawing the figures")
        from shared.show.figures.of_run import draw_figures

        paths = draw_figures(command.dir, data, implementation)
    for path in paths:
        tell(path)
    return 0


def sample(package, command):
    """Decodes samples from the prior, and writes samples.png and samples.npz.

    Numbers that were scaled are written in the units of the data; of a table, also samples.csv.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.arguments.Sample.
    Returns:
        int, the exit status 0.
    Raises:
        UsageError: there is no finished run, or a number is out of range.
    """
    from shared.run.files import csv_bytes, npz_bytes
    from shared.run.folder import locked, read_run_weights, write_product

    if command.count < 1:
        raise UsageError(f"--count is {command.count}; expected an integer >= 1")
    if command.seed is not None and command.seed < 0:
        raise UsageError(f"--seed is {command.seed}; expected an integer >= 0")
    epoch, best = _chosen(command.weights)
    values, _ = read_run_weights(command.dir, epoch)
    network = _named_network(command, values)
    from shared.show.figures.of_run import Pictures, caption, prior_samples, save_figure

    pictures = Pictures(values["data"])
    x = _test_rows(command.dir) if pictures.table else None
    name = "samples_best" if best else "samples"
    with locked(command.dir), Status() as status:
        implementation = import_implementation(package, network, status.phase)
        model, config = implementation.load(command.dir, epoch)
        z = prior_samples(config, command.count, command.seed)
        probs = implementation.decode(model, z)
        seed = config.seed if command.seed is None else command.seed
        weights = " of the best weights" if best else ""
        text = f"{caption(values)}\nsamples{weights}, z ~ N(0, I), seed {seed}"
        figure = pictures.samples(probs, text, min(15, command.count), x)
        save_figure(figure, command.dir, f"{name}.png")
        probs = pictures.original(probs)
        write_product(command.dir, f"{name}.npz", npz_bytes({"z": z, "probs": probs}))
        if pictures.table:
            rows = ([f"{number:.9g}" for number in row] for row in probs.tolist())
            write_product(command.dir, f"{name}.csv", csv_bytes(pictures.columns, rows))
    tell(command.dir / f"{name}.png")
    return 0


def _test_rows(directory):
    """Returns the test rows of a run on a table, or None if its data are gone."""
    from shared.run.folder import run_data

    try:
        return run_data(directory).x_test
    except UsageError as error:
        say(f"samples without the data beside them: {error}")
        return None


def export(package, command):
    """Exports encoder and decoder of a finished run, and prints how exactly they were reproduced.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.arguments.Export.
    Returns:
        int, the exit status: 1 if ONNX files were to be written and could not, otherwise 0.
    Raises:
        UsageError: there is no finished run, or Keras uses another backend than TensorFlow.
    """
    from shared.beyond.export import export_run
    from shared.beyond.onnx_files import has_onnx
    from shared.run.folder import locked, read_run_weights

    if (name := backend()) != BACKENDS[0]:
        raise UsageError(
            f"export needs Keras on its TensorFlow backend, and it is set to {name!r}; export with"
            " KERAS_BACKEND=tensorflow, which reads the runs of any backend"
        )

    epoch, best = _chosen(command.weights)
    values, _ = read_run_weights(command.dir, epoch)
    network = _named_network(command, values)
    with locked(command.dir), Status(tell) as status:
        implementation = import_implementation(package, network, status.phase)
        model, _ = implementation.load(command.dir, epoch)
        status.phase("exporting the encoder and the decoder")
        input_dim = math.prod(values["data"]["image_shape"])
        exporter = import_beyond(package, "export")
        exported = export_run(command.dir, implementation, exporter, model, input_dim, values, best)
    for path, difference in exported.differences.items():
        tell(f"{path}: loaded again, it differs from the model by at most {difference:.1e}")
    if not has_onnx():
        tell("no ONNX files were written; to get them: pip install -r requirements/extras.txt")
    if exported.refusal:
        print(f"{exported.refusal}; only SavedModels were written", file=sys.stderr)
    return 1 if exported.refusal else 0
