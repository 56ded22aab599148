"""The main job: both implementations on both recipes, the pictures, the table and the proof.

Trains the VAE of the 2018 post by Keras' `fit` and by a `tf.GradientTape` loop, draws the latent
space and the manifold at epochs 5 and 50 and the loss of 1000 steps, lets one implementation finish
what the other began, compares every weight bit by bit, and puts all of it on one page.
"""

import contextlib
import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tyro.conf import FlagCreatePairsOff

from shared.cli import exit_status
from shared.config import UsageError, recipe
from shared.data import load_data
from shared.measure.metrics import measure
from shared.measure.parity import compare
from shared.run.files import write_atomically, write_json, write_npz
from shared.run.folder import (
    read_config,
    read_history,
    read_run_weights,
    read_step_losses,
    versions,
)
from shared.run.implementation import import_implementation
from shared.run.run import Run
from shared.show import plots
from shared.show.animation import animate
from shared.show.explorer import explorable, explorer_data
from shared.show.page import page
from shared.show.report import draw_figures, save_figure

IMPLEMENTATIONS = {"keras": "keras_vae", "tf": "tf_vae"}
IDENTICAL = "every weight bit-identical"
RELAY_EPOCHS = 4
ANIMATION = "latent.gif"
SEEDS = 8  # of the range in the picture of 1000 steps
# The 2018 TensorFlow recipe with initial weights and a step size that do not gamble.
STEADY = {"initializer": "glorot_uniform", "learning_rate": 1e-3}
# Test loss by (recipe, epoch), nats an image: logs of the 2018 Keras code that others published,
# and eight seeds of a prototype of the 2018 TensorFlow recipe.
REFERENCE = {("post-keras", 5): "163.0", ("post-keras", 50): "153.0", ("post-tf", 2): "119 to 189"}


@dataclass
class Reproduce:
    """Both implementations on both recipes: pictures, table, proof and page."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz with x_train, y_train, x_test, y_test."""
    epochs: tuple[int, ...] = (5, 50)
    """Epochs of post-keras that are drawn; the run ends with the last."""
    steps: int = 1000
    """Steps of post-tf."""
    seed: int = 0
    """Seed of both; the range over seeds begins with it."""
    out: Path = Path("results")
    """Folder of the results."""
    resume: FlagCreatePairsOff[bool] = False
    """Go on with what an interrupted run left in the folder."""
    overwrite: FlagCreatePairsOff[bool] = False
    """Replace the results in the folder."""
    quick: FlagCreatePairsOff[bool] = False
    """A first look: the 5,000 digits, post-keras to epoch 5 alone, into runs/quick."""
    animate: FlagCreatePairsOff[bool] = False
    """Also train once more for latent.gif: the latent plane, epoch by epoch."""


def main(argv=None):
    """Run the main job; returns 0, or 1 where a bit differs, 2 for bad input, 130 interrupted."""
    return exit_status(lambda: reproduce(tyro.cli(Reproduce, args=argv, prog="reproduce.py")))


def reproduce(job):
    """The whole job, from checks to page; returns the exit status."""
    if job.quick:
        job = dataclasses.replace(job, data="mnist-5k", epochs=(5,), out=Path("runs/quick"))
    if not job.epochs:
        raise UsageError("--epochs names none; expected at least one, e.g. 5 50")
    configs = {
        "post-keras": recipe(
            "post-keras", epochs=max(job.epochs), picture_epochs=job.epochs, seed=job.seed
        )
    }
    if not job.quick:
        configs["post-tf"] = recipe("post-tf", steps=job.steps, seed=job.seed)
    _check_folder(job)
    data = load_data(job.data)
    runs = {
        (name, implementation): Run(
            job.out / implementation / name, config, data, package, job.resume, job.overwrite
        )
        for name, config in configs.items()
        for implementation, package in IMPLEMENTATIONS.items()
    }
    modules = {
        implementation: import_implementation(package)
        for implementation, package in IMPLEMENTATIONS.items()
    }

    started = time.perf_counter()
    total = sum(run.config.total_steps(len(data.x_train)) - run.step for run in runs.values())
    with _progress(total + _extra_steps(job, configs, data)) as (advance, say):
        say(f"data: {data.name} ({len(data.x_train):,} + {len(data.x_test):,}), seed {job.seed}")
        for (_, implementation), run in runs.items():
            _train(run, modules[implementation], job, advance, say)
        relay = {} if job.quick else _relay(job, configs["post-keras"], data, modules, advance)
        if not job.quick:
            _draw_seeds(job, configs["post-tf"], data, modules["tf"], advance)
        if job.animate and not (job.resume and (job.out / ANIMATION).exists()):
            config = configs["post-keras"]
            steps = config.steps_per_epoch(len(data.x_train))
            animate(
                job.out / ANIMATION,
                modules["tf"],
                config,
                data,
                lambda row: advance(steps, f"{ANIMATION}, epoch {row['epoch']}"),
            )

    parity = _parity(job, configs, data, relay)
    write_json(job.out / "parity.json", parity)
    _write_page(job, configs, data, parity, modules["keras"])
    print("\n".join([*_table_lines(job, configs, data), *parity["lines"]]))
    print(f"{job.out / 'index.html'} shows it all; {time.perf_counter() - started:.0f} s")
    return 0 if parity["bit_identical"] else 1


def _check_folder(job):
    ours = {"keras", "tf", "relay", "seeds.npz", "seeds.png", "parity.json", "index.html"}
    ours |= {ANIMATION}
    found = {path.name for path in job.out.iterdir()} if job.out.is_dir() else set()
    if job.out.exists() and not job.out.is_dir():
        raise UsageError(f"{job.out} is a file; expected a folder for the results")
    if found - ours:
        raise UsageError(f"{job.out} holds {sorted(found - ours)[0]}, which is no result of ours")
    if job.resume and job.overwrite:
        raise UsageError("--resume and --overwrite exclude each other; give one")
    if found and not (job.resume or job.overwrite):
        raise UsageError(f"{job.out} already holds results; give --resume, --overwrite or --out")


# ---- training, with one bar over all of it


@contextlib.contextmanager
def _progress(total):
    """A bar with the remaining time; yields advance(steps, text) and say(line)."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("", total=total)
        yield (
            lambda steps, text: bar.update(task, advance=steps, description=text),
            lambda line: bar.console.print(line, highlight=False),
        )


def _train(run, implementation, job, advance, say):
    """Train, measure and draw one run, or what is left of it."""
    name = f"{implementation.name} {run.config.recipe}"
    if run.complete:
        say(f"{name}: already complete")
        return
    last = [run.step]

    def on_epoch(row):
        advance(row["step"] - last[0], f"{name} epoch {row['epoch']:>2} loss {row['loss']:.2f}")
        last[0] = row["step"]

    model, done = implementation.train(
        run.config, run.data, run.directory, job.resume, job.overwrite, verbose=0, on_epoch=on_epoch
    )
    draw_figures(run.directory, run.data, implementation)
    metrics = measure(run.directory, implementation, model, run.data)
    seconds = sum(row["seconds"] for row in done.history)
    say(f"{name}: test loss {metrics['test_loss']['value']:.2f}, {seconds:.0f} s of training")


def _extra_steps(job, configs, data):
    """Steps beside the runs themselves: the relay and its undisturbed twin, and the seeds."""
    per_epoch = configs["post-keras"].steps_per_epoch(len(data.x_train))
    steps = max(job.epochs) * per_epoch if job.animate else 0
    return steps if job.quick else steps + 2 * RELAY_EPOCHS * per_epoch + 2 * SEEDS * job.steps


def _relay(job, config, data, modules, advance):
    """Half of a short run by `fit`, the other half by the tape, against an undisturbed run."""
    folder = job.out / "relay"
    half, whole = (
        dataclasses.replace(config, epochs=epochs, picture_epochs=(RELAY_EPOCHS,))
        for epochs in (RELAY_EPOCHS // 2, RELAY_EPOCHS)
    )
    per_epoch = config.steps_per_epoch(len(data.x_train))

    def on_epoch(row):
        advance(per_epoch, f"relay epoch {row['epoch']} loss {row['loss']:.2f}")

    options = {"verbose": 0, "on_epoch": on_epoch}
    modules["keras"].train(half, data, folder, overwrite=folder.exists(), **options)
    modules["tf"].train(whole, data, folder, resume=True, **options)
    undisturbed, _ = modules["tf"].train(whole, data, **options)
    relayed = read_run_weights(folder)[1]
    return compare(relayed, modules["tf"].gather(undisturbed))


def _draw_seeds(job, config, data, implementation, advance):
    """The loss of every step over several seeds, of the 2018 recipe and of a steady one."""
    seeds = range(job.seed, job.seed + SEEDS)
    losses = {
        name: implementation.step_losses(
            each, data, seeds, lambda seed, name=name: advance(job.steps, f"{name}, seed {seed}")
        )
        for name, each in (("recipe", config), ("steady", dataclasses.replace(config, **STEADY)))
    }
    write_npz(job.out / "seeds.npz", {"seeds": np.array(seeds), **losses})
    bands = {
        f"post-tf, seeds {seeds[0]} to {seeds[-1]}: median and range": losses["recipe"],
        "the same with Glorot weights and Adam 1e-3": losses["steady"],
    }
    lines = {
        f"{package}, seed {job.seed}": np.array(read_step_losses(job.out / name / "post-tf"))
        for name, package in IMPLEMENTATIONS.items()
    }
    # The first steps come down from 543 nats and would flatten all that follows.
    top = float(np.quantile(losses["recipe"][:, min(20, job.steps - 1) :], 0.995))
    bottom = min(float(each.min()) for each in losses.values())
    text = f"post-tf · {data.name} · bands: running means over 10 steps"
    save_figure(
        plots.loss_by_step(lines, bands, text, (0.95 * bottom, 1.05 * top)), job.out / "seeds.png"
    )


# ---- the proof


def _parity(job, configs, data, relay):
    """The contents of parity.json: every weight of both, at every pictured epoch."""
    parity = {"bit_identical": True, "lines": [], "data": data.name, "seed": job.seed}
    parity["versions"] = versions()
    for name, config in configs.items():
        folders = [job.out / implementation / name for implementation in IMPLEMENTATIONS]
        epochs = config.pictured(len(data.x_train))
        by_epoch = {
            epoch: compare(*(read_run_weights(folder, epoch)[1] for folder in folders))
            for epoch in epochs
        }
        weights = [read_run_weights(folder)[1] for folder in folders]
        steps = config.total_steps(len(data.x_train))
        parity[name] = {"steps": steps, "weights": compare(*weights), "epochs": by_epoch}
        numbers = sum(array.size for array in weights[0].values())
        verdict = _verdict({**by_epoch, "end": parity[name]["weights"]})
        what = f"{name}: {' and '.join(IMPLEMENTATIONS.values())}"
        size = f"{len(weights[0])} weights, {numbers:,} numbers"
        parity["lines"].append(f"{steps:,} steps: {verdict} ({what}, {size})")
        parity["bit_identical"] &= verdict == IDENTICAL
    if relay:
        verdict = _verdict({"end": relay})
        half = RELAY_EPOCHS // 2
        parity["relay"] = relay
        parity["lines"].append(
            f"epochs 1 to {half} by keras_vae, {half + 1} to {RELAY_EPOCHS} by tf_vae: {verdict}"
            " (against a run that nothing disturbed)"
        )
        parity["bit_identical"] &= verdict == IDENTICAL
    return parity


def _bit_identical(compared):
    """Of a recipe's part of parity.json: every weight, at the end and at every pictured epoch."""
    sets = [compared["weights"], *compared["epochs"].values()]
    return all(weight["bit_identical"] for weights in sets for weight in weights.values())


def _verdict(comparisons):
    differing = {
        name: weight["max_abs_difference"]
        for weights in comparisons.values()
        for name, weight in weights.items()
        if not weight["bit_identical"]
    }
    if not differing:
        return IDENTICAL
    shown = ", ".join(f"{name} by {value:.3g}" for name, value in sorted(differing.items()))
    return f"A BIT DIFFERS in {shown}"


# ---- the table and the page


def _rows(job, configs, data):
    """Header and rows of the results table: each pictured epoch of each run."""
    header = ["recipe", "implementation", "epoch", "step"]
    header += [
        f"{part} {name}" for name in ("loss", "log-lik.", "KL") for part in ("train", "test")
    ]
    header += ["reference test loss"]
    rows = []
    for name, config in configs.items():
        for implementation, package in IMPLEMENTATIONS.items():
            for row in read_history(job.out / implementation / name):
                if row["epoch"] not in config.pictured(len(data.x_train)):
                    continue
                values = [
                    f"{row[prefix + key]:.2f}"
                    for key in ("loss", "log_likelihood", "kl")
                    for prefix in ("", "val_")
                ]
                reference = REFERENCE.get((name, row["epoch"]), "") if data.name == "mnist" else ""
                rows.append([name, package, row["epoch"], row["step"], *values, reference])
    return header, rows


def _table_lines(job, configs, data):
    """The results table as aligned text."""
    header, rows = _rows(job, configs, data)
    table = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    title = f"nats per image, x: grey; train is a running mean over the epoch; data {data.name}"
    return [title, *("  ".join(map(str.rjust, row, widths)) for row in table)]


def _write_page(job, configs, data, parity, implementation):
    """results/index.html, from the files of the runs."""
    sections = []
    for name, config in configs.items():
        same = _bit_identical(parity[name])
        pictured = (
            IMPLEMENTATIONS if not same else {"keras": "keras_vae"}
        )  # equal weights, equal pictures
        blocks = []
        if explorable(config, data):
            run = job.out / "keras" / name
            text = f"{name}, {data.name}. {SAME if same else DIFFERENT}"
            contents = explorer_data(run, data, implementation.load, implementation.encode)
            blocks.append(("explorer", (contents, text, same)))
        else:
            plane = config.latent_dim == 2
            figures = [
                (
                    job.out / folder / name / "figures" / f"{kind}_epoch_{epoch:03d}.png",
                    f"{package}, {name}: {kind}, epoch {epoch}",
                )
                for kind in (("latent", "manifold") if plane else ("samples", "reconstructions"))
                for epoch in config.pictured(len(data.x_train))
                for folder, package in pictured.items()
            ]
            blocks += [("text", SAME_PICTURES)] if same else []
            blocks.append(("figures", figures))
        losses = [
            (job.out / folder / name / "figures" / "loss.png", f"{package}, {name}: loss")
            for folder, package in IMPLEMENTATIONS.items()
        ]
        sections.append((HEADINGS[name], [*blocks, ("figures", losses)]))
    if not job.quick:
        figure = (job.out / "seeds.png", f"post-tf, every step of {job.steps}, over {SEEDS} seeds")
        sections.append(
            ("The 2018 TensorFlow recipe is a lottery", [("text", LOTTERY), ("figures", [figure])])
        )
    sections.append(("Results", [("text", GREY), ("table", _rows(job, configs, data))]))
    weights = [
        [name, weight, each["max_abs_difference"], "yes" if each["bit_identical"] else "NO"]
        for name in configs
        for weight, each in parity[name]["weights"].items()
    ]
    header = ["recipe", "weight", "max |difference|", "bit-identical"]
    sections.append(("Every weight", [("table", (header, weights))]))
    config = read_config(job.out / "keras" / "post-keras")
    sections.append(("Config, data and versions", [("code", json.dumps(config, indent=2))]))
    title = f"One VAE, two implementations: {data.name}, seed {job.seed}"
    text = page(title, parity["lines"], parity["bit_identical"], sections)
    write_atomically(job.out / "index.html", text.encode())


HEADINGS = {"post-keras": "Explore the latent plane", "post-tf": "post-tf: 1000 steps"}
SAME = (
    "The weights of keras_vae and tf_vae are bit-identical at every epoch shown here, so the one"
    " copy in this file, rounded to float16, serves both."
)
DIFFERENT = (
    "A BIT DIFFERS between the weights of keras_vae and tf_vae, so no copy serves both: these are"
    " the weights of keras_vae, rounded to float16."
)
SAME_PICTURES = "Drawn by keras_vae; tf_vae's weights are bit-identical, and so are its pictures."
LOTTERY = (
    "Adam with a step size of 0.01 on initial weights of standard deviation 0.001 leaves some seeds"
    " with dead hidden units and a KL near zero: the encoder then says nothing about the image. The"
    " recipe is kept as it was; the second band shows what Glorot's weights and Adam 1e-3 do."
)
GREY = (
    "Nats per image; lower loss is better. The pixels are grey, so the Bernoulli likelihood is not"
    " normalised: these numbers compare with each other and with the 2018 code, not with published"
    " tables on binary MNIST. Train is a running mean over the epoch, test is measured at its end."
)


if __name__ == "__main__":
    sys.exit(main())
