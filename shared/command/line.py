"""The command line of both implementations: `python -m keras_vae …` and `python -m tf_vae …`.

Config, run folder and data are checked before TensorFlow is imported, so that `--help` and the
message for bad input appear at once.
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, subcommand

from shared.config import RECIPES, Config, recipe
from shared.machine.checks import UsageError
from shared.machine.process import (
    Stopped,
    Terminated,
    WorkerEnded,
    check_interrupted,
    say,
    silence_output,
)

__all__ = ["exit_status", "main", "resume_advice"]


@dataclass
class Train:
    """Train a VAE, evaluate it and draw its figures."""

    config: OmitArgPrefixes[Config]
    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of your own data: an .npz (x_train and, if there are any,
    y_train, x_test, y_test, x_valid), an .npy, a CSV, a folder of PNG or JPEG files, or a folder of
    .npy files (python -m shared.beyond.shards)."""
    image_size: tuple[int, ...] | None = None
    """Resize the images of a folder: to a square of this side, or to these rows and columns."""
    label_column: str | None = None
    """Name of a CSV's column of labels, or none; by default label, class, target or y."""
    out: Path | None = None
    """Folder of the run; the default is runs/IMPLEMENTATION-RECIPE-seedS."""
    network: str | None = None
    """FILE.py:FUNCTION of your own networks: the function gets the config and the image shape, and
    returns an encoder and a decoder, e.g. examples/conv.py:networks."""
    resume: FlagCreatePairsOff[bool] = False
    """Continue the run in the folder from its last checkpoint, or repair a finished run."""
    overwrite: FlagCreatePairsOff[bool] = False
    """Replace the run in the folder."""
    threads: int = 1
    """Number of threads that compute one operation. With 1, every x86-64 machine gives the same
    bits; more are faster, and give bits of their own."""
    checkpoint_steps: int | None = None
    """Number of steps between checkpoints inside a long epoch; each epoch ends with one anyway."""
    workers: str | None = None
    """Addresses host:port,host:port,… of all workers that train this run together."""
    worker: int | None = None
    """Number of this worker; the first of --workers is 0, and it alone writes files."""
    virtual_devices: int | None = None
    """Number of parts of this machine's CPU that train as replicas (tf_vae only)."""
    connect_timeout: float = 300.0
    """Seconds for which a worker waits for the others."""
    tensorboard: Path | None = None
    """Folder for tensorboard --logdir, to which scalars, figures and latents are also written."""


@dataclass
class Evaluate:
    """Measure bounds on log p(x), the use of z and clusters by label, and update metrics.json."""

    dir: Positional[Path]
    """Folder of the run."""
    data: str | None = None
    """Data to evaluate on, named as for train; the default is the data of the run. Numbers are
    scaled by the statistics of the run."""
    image_size: tuple[int, ...] | None = None
    """As for train; for a folder of images, the default is the size of the run's images."""
    label_column: str | None = None
    """As for train."""
    weights: Literal["last", "best"] = "last"
    """Weights of the end of the run, or of its best epoch, which a run with --patience keeps."""
    samples: int = 10
    """Samples of q(z|x) per test image, for the ELBO and its standard error."""
    importance_samples: int | None = None
    """K, samples per test image for the importance bound, which grows with K towards log p(x)."""
    exact_images: int | None = None
    """Number of test images whose log p(x) is integrated (2-D z only); two seconds per image."""
    threads: int = 1
    """As for train: more are faster, and may change the last digits."""
    network: str | None = None
    """FILE.py:FUNCTION of the run's own networks, if they are not of Keras' own layers."""


@dataclass
class Figures:
    """Draw the figures of a finished run again."""

    dir: Positional[Path]
    """Folder of the run."""
    network: str | None = None
    """FILE.py:FUNCTION of the run's own networks, if they are not of Keras' own layers."""


@dataclass
class Sample:
    """Decode samples from the prior N(0, I), and write samples.png and samples.npz."""

    dir: Positional[Path]
    """Folder of the run."""
    weights: Literal["last", "best"] = "last"
    """Weights of the end of the run, or of its best epoch, which a run with --patience keeps."""
    count: int = 150
    """Number of samples."""
    seed: int | None = None
    """Seed of the samples; the default is the seed of the run."""
    network: str | None = None
    """FILE.py:FUNCTION of the run's own networks, if they are not of Keras' own layers."""


@dataclass
class Export:
    """Write encoder and decoder as SavedModel, and as ONNX if tf2onnx is installed."""

    dir: Positional[Path]
    """Folder of the run; the files are written to its subfolder exported."""
    network: str | None = None
    """FILE.py:FUNCTION of the run's own networks, if they are not of Keras' own layers."""
    weights: Literal["last", "best"] = "last"
    """Weights of the end of the run, or of its best epoch, which a run with --patience keeps."""


def main(package, argv=None):
    """Runs one command of an implementation, and returns the exit status.

    Args:
        package: "keras_vae" or "tf_vae".
        argv: arguments without the program's name; None means the arguments of the process.
    Returns:
        int: as `exit_status`.
    Raises:
        SystemExit: with status 2 for bad usage, with 0 after --help.
    """
    argv = sys.argv[1:] if argv is None else argv
    saved = "nothing was changed"
    if "train" in argv[:1]:
        saved = resume_advice(["python", "-m", package, *argv])
    return exit_status(lambda: _run(package, list(argv)), saved)


def resume_advice(words):
    """Returns what the user is told if a training is interrupted: the command that continues it.

    Args:
        words: the words of the command that was given.
    """
    words = [word for word in words if word not in ("--overwrite", "--resume")]
    return f"what was saved is complete; continue with: {shlex.join([*words, '--resume'])}"


def exit_status(command, interrupted="nothing was changed"):
    """Calls `command`, and returns an exit status; what stops it is reported in one line.

    Args:
        command: function without arguments that returns an exit status, or None for success.
        interrupted: what the user is told about the results after Ctrl-C or an error.
    Returns:
        int: the command's status; 2 after a UsageError; 1 if the training diverged, the operating
        system refused something or memory was not sufficient; 130 after Ctrl-C; 143 after SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a character that the terminal lacks is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            status = command() or 0
        except Exception:
            check_interrupted()  # TensorFlow raises a RuntimeError if a signal meets its exception
            raise
        sys.stdout.flush()
        return status
    except UsageError as error:
        say(error)
        return 2
    except Stopped as error:
        say(f"{error}; {interrupted}" if isinstance(error, WorkerEnded) else error)
        return 1
    except KeyboardInterrupt as error:
        terminated = isinstance(error, Terminated)
        say("")  # after the ^C of the terminal
        say(f"{'terminated' if terminated else 'interrupted'}; {interrupted}")
        return 143 if terminated else 130
    except BrokenPipeError:  # the reader of the output has ended, as in `… | head -1`
        silence_output()
        return 1
    except OSError as error:
        say(f"{error.filename or 'error'}: {error.strerror or error}; {interrupted}")
        try:
            sys.stdout.flush()
        except OSError:  # its disk is full; Python would report it again at the end
            silence_output()
        return 1
    except MemoryError as error:
        say(f"not enough memory: {error}; {interrupted}")
        return 1


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
    from shared.command import commands, training

    run = {
        Train: training.train,
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
    """Returns the recipe that the arguments name, with a length in epochs or steps as they have."""
    name = _value_of("--recipe", argv) or "post-keras"
    units = [unit for unit in ("epochs", "steps") if _value_of(f"--{unit}", argv) is not None]
    if len(units) == 2:
        raise UsageError("--epochs and --steps exclude each other; give one")
    if units and getattr(RECIPES.get(name), units[0], None) is None:
        return recipe(name, **{units[0]: 1})  # tyro replaces this 1 by the given number
    return recipe(name)


def _value_of(flag, argv):
    for place, word in enumerate(argv):
        if word == flag:
            return argv[place + 1] if place + 1 < len(argv) else ""
        if word.startswith(f"{flag}="):
            return word.split("=", 1)[1]
    return None
