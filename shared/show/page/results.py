"""Composes the results of reproduce.py: the table, the figure of many seeds, and index.html."""

import json

import numpy as np

from shared.data import pixels_of
from shared.machine.backend import IMPLEMENTATIONS
from shared.measure.original import original_step_losses, original_test_losses
from shared.measure.parity import all_identical
from shared.run.files import write_atomically
from shared.run.folder import figure_name, figure_names, read_config, read_history
from shared.show.figures import plots
from shared.show.figures.of_run import save_figure
from shared.show.page.explorer import explorable, explorer_data
from shared.show.page.html import page
from shared.show.page.texts import Text
from shared.show.page.trainer import trainer_data
from shared.show.terminal import text_table

__all__ = ["draw_seeds", "results_table", "write_page"]

# Test losses of the originals: logs of the Keras script that others published, and the range over
# seeds of the TensorFlow script.
SCRIPT = original_test_losses()["windows"]
REFERENCE = {
    ("post-keras", 5): "163.0",
    ("post-keras", 50): "153.0",
    ("post-tf", 2): f"{SCRIPT.min():.0f} to {SCRIPT.max():.0f}",
}
# The texts of results.json about the numbers, by what the pixels are.
NOTES = {
    "grey": "results-grey",
    "binary": "results-binary",
    "binary and grey": "results-binary-and-grey",
    "numbers": "results-in-range",
    "binary and numbers": "results-binary-and-in-range",
}


def draw_seeds(out, losses, seeds, data, steps):
    """Draws seeds.png: the loss of every step over several seeds, with two values of epsilon.

    On MNIST, the figure also has the range of the original script (shared.measure.original).

    Args:
        out: folder of the results, with the runs of post-tf.
        losses: as shared.measure.spread.train_seeds returns them.
        seeds: list of seeds; the first is that of the runs.
        data: shared.data.Data.
        steps: number of steps of the runs.
    """
    numbers = f"seeds {seeds[0]} to {seeds[-1]}"
    bands = {f"post-tf, {numbers}: range and median": losses["recipe"]}
    if data.name == "mnist" and steps >= 20:
        original = original_step_losses()[:, :steps]
        bands[f"the script of 2018, {len(original)} runs: range and median"] = original
    lines = {f"post-tf with Keras' ε = 1e-7, {numbers}": losses["keras_epsilon"]}
    # The loss starts at 543 nats; on axes up to that, later differences would not be visible.
    top = float(np.quantile(losses["keras_epsilon"][:, min(20, steps - 1) :], 0.995))
    bottom = float(losses["recipe"].min())
    text = f"post-tf · {data.name} · running means over 10 steps"
    limits = 0.95 * bottom, 1.05 * top
    save_figure(plots.loss_by_step(lines, bands, text, limits), out, "seeds.png")


def _rows(out, configs, data):
    """Returns header and rows of the results table: each pictured epoch of each run."""
    header = ["recipe", "implementation", "epoch", "step"]
    header += [
        f"{part} {name}"
        for name in ("loss", "log-lik.", "KL")
        for part in ("train", data.held_out_name)
    ]
    with_reference = data.name == "mnist"
    header += ["reference test loss"] * with_reference
    rows = []
    for name, config in configs.items():
        for folder, package in IMPLEMENTATIONS.items():
            for row in read_history(out / folder / name):
                if row["epoch"] not in config.pictured(data.n_train):
                    continue
                values = [
                    f"{row[prefix + key]:.2f}"
                    for key in ("loss", "log_likelihood", "kl")
                    for prefix in ("", "val_")
                ]
                if with_reference:
                    values.append(REFERENCE.get((name, row["epoch"]), ""))
                rows.append([name, package, row["epoch"], row["step"], *values])
    return header, rows


def _pixels(configs, data):
    """Returns what the pixels are of which the results are: a key of NOTES."""
    parts = ("train", data.held_out_name)
    return " and ".join(
        sorted({pixels_of(data, config, part) for config in configs.values() for part in parts})
    )


def results_table(out, configs, data):
    """Returns the results as a table for the terminal: each pictured epoch of each run.

    Args:
        out: folder of the results.
        configs: {recipe: shared.config.Config}.
        data: shared.data.Data.
    Returns:
        rich.table.Table
    """
    title = (
        f"nats per image, x: {_pixels(configs, data)}; train is a running mean over the epoch;"
        f" data {data.name}"
    )
    return text_table(title, *_rows(out, configs, data), left=2)


def write_page(out, configs, data, parity, implementation, seeds=None, frames=None):
    """Writes index.html from the files of the runs.

    Args:
        out: folder of the results.
        configs: {recipe: shared.config.Config}.
        data: shared.data.Data.
        parity: the dict in parity.json.
        implementation: functions of keras_vae; `load` and `encode` are used.
        seeds: number of seeds in seeds.png, or None if there is no such figure.
        frames: what `animation.read_frames` returns.
    """
    dense = read_config(out / "keras" / "post-keras").get("network") is None
    explored = dense and explorable(configs["post-keras"], data)
    same = {name: all_identical(parity[name]) for name in configs}
    if explored:
        sections = [_explorer_section(out, data, same["post-keras"], implementation, frames)]
    else:
        sections = [_figures_section(out, "post-keras", configs, data, same)]
    sections.append((Text("results-losses"), [("figures", _loss_figures(out, configs))]))
    if "post-tf" in configs:
        sections.append(_figures_section(out, "post-tf", configs, data, same))
    if seeds is not None:
        steps = configs["post-tf"].total_steps(data.n_train)
        caption = Text("results-seeds-figure", {"steps": steps, "seeds": seeds})
        blocks = [("text", Text("results-seeds-text")), ("figures", [(out / "seeds.png", caption)])]
        sections.append((Text("results-seeds"), blocks))
    sections += [_table_section(out, configs, data), _weights_section(configs, parity)]
    config = read_config(out / "keras" / "post-keras")
    sections.append((Text("results-config"), [("code", json.dumps(config, indent=2))]))
    title = Text("page-title" if explored else "page-title-figures")
    about = Text("page-of", {"data": data.name, "seed": parity["seed"]})
    with_labels = explored and data.y_train is not None
    trainer = trainer_data(data, configs["post-keras"]) if with_labels else None
    text = page(title, parity["lines"], parity["bit_identical"], sections, about, trainer)
    write_atomically(out / "index.html", text.encode())


def _explorer_section(out, data, same, implementation, frames):
    """Returns the section of post-keras as an explorer of its models."""
    folder = out / "keras" / "post-keras"
    contents = explorer_data(folder, data, implementation.load, implementation.encode, frames)
    pictured = contents["pictured"]
    notes = [Text("explorer-different")]
    if same:
        notes = [Text("explorer-same", {"epochs": ", ".join(map(str, pictured))})]
        notes += [Text("explorer-between")] * (len(contents["epochs"]) > len(pictured))
    names = ("median", "largest", "probability")
    errors = {
        name: f"{value:.1g}" for name, value in zip(names, contents["rounding_error"], strict=True)
    }
    notes.append(Text("explorer-rounding", errors))
    pictures = [
        (folder / "figures" / figure_name(kind, pictured[-1]), Text(f"explorer-noscript-{kind}"))
        for kind in ("latent", "manifold")
    ]
    return Text("results-explorer"), [("explorer", (contents, same, notes, pictures))]


def _figures_section(out, name, configs, data, same):
    """Returns the section of a recipe with its figures; equal weights give equal ones, once."""
    pictured = {"keras": "keras_vae"} if same[name] else IMPLEMENTATIONS
    names = figure_names(configs[name], data.n_train)
    names = sorted((each for each in names if "_epoch_" in each), key=lambda n: n.split("_")[0])
    figures = [
        (out / folder / name / "figures" / figure, _described(package, name, figure))
        for figure in names
        for folder, package in pictured.items()
    ]
    blocks = [("text", Text("results-same"))] if same[name] else []
    return Text("results-figures", {"recipe": name}), [*blocks, ("figures", figures)]


def _loss_figures(out, configs):
    """Returns the figures of the loss of every run, with their captions."""
    return [
        (
            out / folder / name / "figures" / "loss.png",
            Text("results-loss-figure", {"implementation": package, "recipe": name}),
        )
        for name in configs
        for folder, package in IMPLEMENTATIONS.items()
    ]


def _table_section(out, configs, data):
    """Returns the section with the table of results."""
    part = Text("results-of", {"part": data.held_out_name})
    note = Text(NOTES[_pixels(configs, data)])
    blocks = [("text", Text("results-unit")), ("text", note), ("text", part)]
    return Text("results-table"), [*blocks, ("table", _rows(out, configs, data))]


def _weights_section(configs, parity):
    """Returns the section with the largest difference of each weight."""
    weights = [
        [name, weight, each["max_abs_difference"], "yes" if each["bit_identical"] else "NO"]
        for name in configs
        for weight, each in parity[name]["weights"].items()
    ]
    header = ["recipe", "weight", "max |difference|", "bit-identical"]
    return Text("results-weights"), [("table", (header, weights))]


def _described(package, name, figure):
    """Returns the caption of a figure, e.g. of "latent_epoch_005.png"."""
    kind, _, epoch = figure.removesuffix(".png").split("_")
    values = {"implementation": package, "recipe": name, "epoch": int(epoch)}
    return Text(f"results-{kind}-figure", values)
