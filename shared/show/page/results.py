"""Composes the results of reproduce.py: the table, the figure of many seeds, and index.html."""

import json

import numpy as np

from shared.data import pixels_of
from shared.machine.backend import IMPLEMENTATIONS
from shared.measure.original import original_step_losses, original_test_losses
from shared.measure.parity import all_identical
from shared.run.files import write_atomically
from shared.run.folder import figure_names, read_config, read_history
from shared.show.figures import plots
from shared.show.figures.of_run import save_figure
from shared.show.page.explorer import explorable, explorer_data
from shared.show.page.html import page
from shared.show.page.trainer import trainer_data
from shared.show.terminal import text_table

__all__ = ["draw_seeds", "results_table", "write_page"]

# Test loss by (recipe, epoch), nats per image: published logs of the 2018 Keras code, and eight
# seeds of a prototype of the 2018 TensorFlow recipe.
# Test losses of the originals: logs of the Keras script that others published, and the range over
# seeds of the TensorFlow script.
SCRIPT = original_test_losses()["windows"]
REFERENCE = {
    ("post-keras", 5): "163.0",
    ("post-keras", 50): "153.0",
    ("post-tf", 2): f"{SCRIPT.min():.0f} to {SCRIPT.max():.0f}",
}
HEADINGS = {"post-keras": "Explore the latent plane", "post-tf": "post-tf: 1000 steps"}
SAME = (
    "The weights of keras_vae and tf_vae are bit-identical at every epoch shown here, so this file"
    " holds one copy of them, rounded to float16."
)
DIFFERENT = (
    "A BIT DIFFERS between the weights of keras_vae and tf_vae. Shown here are the weights of"
    " keras_vae, rounded to float16."
)
SAME_PICTURES = (
    "These figures were drawn by keras_vae. The weights of tf_vae are bit-identical, so its figures"
    " are the same."
)
SEED_DEPENDENCE = (
    "The recipe is trained as it was published, with the ε of TensorFlow 1 in Adam, 1e-8. The thin"
    " lines show it with the default of Keras, 1e-7: about half of the seeds stall, because the"
    " first step of the encoder is then six times as short, and most of its hidden units die in the"
    " next ten (notebook 03)."
)
NOTES = {
    "grey": "The pixels are grey, so the Bernoulli likelihood is not normalised: these numbers can"
    " be compared with each other and with those of the 2018 code, but not with published tables on"
    " binary MNIST.",
    "binary": "Every pixel is 0 or 1, so the Bernoulli likelihood is normalised, and minus the loss"
    " is a lower bound on log p(x).",
    "binary and grey": "Some of the images are binary and the others grey, on which the Bernoulli"
    " likelihood is not normalised: train and test cannot be compared.",
    "numbers": "The data are numbers in [0, 1], on which the Bernoulli likelihood is not"
    " normalised: these numbers can be compared with each other only.",
    "binary and numbers": "Some of the data are binary and the others numbers in [0, 1], on which"
    " the Bernoulli likelihood is not normalised: train and test cannot be compared.",
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
    sections = [
        _recipe_section(
            out, name, config, data, all_identical(parity[name]), implementation, frames
        )
        for name, config in configs.items()
    ]
    if seeds is not None:
        steps = configs["post-tf"].total_steps(data.n_train)
        figure = (out / "seeds.png", f"post-tf: loss of each of {steps} steps, {seeds} seeds")
        heading = "The 2018 TensorFlow recipe depends on its seed"
        sections.append((heading, [("text", SEED_DEPENDENCE), ("figures", [figure])]))
    table = ("table", _rows(out, configs, data))
    note = (
        f"Nats per image; lower loss is better. {NOTES[_pixels(configs, data)]} Train is a running"
        f" mean over the epoch, {data.held_out_name} is measured at its end."
    )
    sections.append(("Results", [("text", note), table]))
    weights = [
        [name, weight, each["max_abs_difference"], "yes" if each["bit_identical"] else "NO"]
        for name in configs
        for weight, each in parity[name]["weights"].items()
    ]
    header = ["recipe", "weight", "max |difference|", "bit-identical"]
    sections.append(("Every weight", [("table", (header, weights))]))
    config = read_config(out / "keras" / "post-keras")
    sections.append(("Config, data and versions", [("code", json.dumps(config, indent=2))]))
    title = f"One VAE, two implementations: {data.name}, seed {parity['seed']}"
    explored = any(kind == "explorer" for kind, _ in sections[0][1]) and data.y_train is not None
    trainer = trainer_data(data, configs["post-keras"]) if explored else None
    text = page(title, parity["lines"], parity["bit_identical"], sections, trainer=trainer)
    write_atomically(out / "index.html", text.encode())


def _recipe_section(out, name, config, data, same, implementation, frames):
    """Returns the section of a recipe: its explorer or its figures, and the loss of both runs."""
    dense = read_config(out / "keras" / name).get("network") is None
    if dense and explorable(config, data):
        text = f"{name}, {data.name}. {SAME if same else DIFFERENT}"
        contents = explorer_data(
            out / "keras" / name, data, implementation.load, implementation.encode, frames
        )
        blocks = [("explorer", (contents, text, same))]
    else:
        # Equal weights give equal figures, which are shown only once.
        pictured = {"keras": "keras_vae"} if same else IMPLEMENTATIONS
        names = [each for each in figure_names(config, data.n_train) if "_epoch_" in each]
        names.sort(key=lambda each: each.split("_")[0])
        figures = [
            (out / folder / name / "figures" / figure, f"{package}, {name}: {_described(figure)}")
            for figure in names
            for folder, package in pictured.items()
        ]
        blocks = [("text", SAME_PICTURES)] if same else []
        blocks.append(("figures", figures))
    losses = [
        (out / folder / name / "figures" / "loss.png", f"{package}, {name}: loss")
        for folder, package in IMPLEMENTATIONS.items()
    ]
    return HEADINGS[name], [*blocks, ("figures", losses)]


def _described(figure):
    """Returns a description of a figure, e.g. "latent, epoch 5" for "latent_epoch_005.png"."""
    kind, _, epoch = figure.removesuffix(".png").split("_")
    return f"{kind}, epoch {int(epoch)}"
