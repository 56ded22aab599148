"""One command line for both implementations: `python -m keras_vae …` and `python -m tf_vae …`.

Config, run folder and data are checked before TensorFlow is imported, so a mistake is answered
at once and `--help` in no time.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, subcommand

from shared.config import RECIPES, Config, UsageError, recipe

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
    """Folder of the run; without it runs/IMPLEMENTATION-RECIPE-seedS."""
    resume: FlagCreatePairsOff[bool] = False
    """Continue from the last finished epoch of the run in the folder."""
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
    """Samples of q(z|x) per image, for the ELBO and its standard error."""
    importance_samples: int | None = None
    """K of the importance bound of the test images, which grows with K towards log p(x)."""
    exact_images: int | None = None
    """Test images whose log p(x) is integrated, where z is 2-D; two seconds each."""


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
    training = "train" in argv[:1]
    saved = "finished epochs are saved, --resume continues" if training else "nothing was changed"
    return exit_status(lambda: _run(package, list(argv)), saved)


def exit_status(command, interrupted="nothing was changed"):
    """Call `command` and turn what ends it into an exit status: 0, its own, 2 or 130.

    Args:
        command: function without arguments that returns an exit status or None.
        interrupted: what Ctrl-C leaves behind, to tell the user.
    """
    try:
        return command() or 0
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\ninterrupted; {interrupted}", file=sys.stderr)
        return 130


def _run(package, argv):
    kinds = (
        Annotated[Train, subcommand("train", default=Train(config=_recipe(argv)))]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Figures, subcommand("figures")]
        | Annotated[Sample, subcommand("sample")]
        | Annotated[Export, subcommand("export")]
    )
    prog = f"python -m {package}"
    command = tyro.cli(kinds, args=argv, prog=prog, description=_DESCRIPTION[package])
    from shared import commands

    run = {
        Train: commands.train,
        Evaluate: commands.evaluate,
        Figures: commands.figures,
        Sample: commands.sample,
        Export: commands.export,
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
