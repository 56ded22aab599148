"""The commands of both implementations and their flags; the docstring of a field is its help."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.command.flags import given_flags
from shared.config import Config, recipe
from shared.machine.checks import UsageError

__all__ = ["COMMANDS", "Evaluate", "Export", "Figures", "Sample", "Train", "command_of"]


@dataclass
class Train:
    """Train a VAE, evaluate it and draw its figures."""

    config: Config
    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of your own data: an .npz, an .npy, a CSV, a folder of PNG
    or JPEG files, or a folder of .npy files."""
    image_size: tuple[int, ...] | None = None
    """Resize the images of a folder: to a square of this side, or to these rows and columns."""
    label_column: str | None = None
    """Name of a CSV's column of labels, or none; if not given, label, class, target or y."""
    out: Path | None = None
    """Folder of the run; if not given, runs/IMPLEMENTATION-RECIPE-seedS."""
    network: str | None = None
    """Your own networks: a function of the config and the image shape that returns an encoder and a
    decoder, e.g. examples/conv.py:networks."""
    resume: bool = False
    """Continue the run in the folder from its last checkpoint, or repair a finished run."""
    overwrite: bool = False
    """Replace the run in the folder."""
    threads: int = 1
    """Threads that compute one operation. With 1, every x86-64 machine gives the same bits; more
    are faster, and give bits of their own."""
    checkpoint_steps: int | None = None
    """Steps between checkpoints inside a long epoch; each epoch ends with one anyway."""
    workers: str | None = None
    """Addresses of all workers that train this run together."""
    worker: int | None = None
    """Number of this worker; the first of --workers is 0, and it alone writes files."""
    virtual_devices: int | None = None
    """Parts of this machine's CPU that train as replicas (tf_vae only)."""
    connect_timeout: float = 300.0
    """Seconds for which a worker waits for the others."""
    tensorboard: Path | None = None
    """Folder for tensorboard --logdir, to which scalars, figures and latents are also written."""


@dataclass
class Evaluate:
    """Measure a finished run, and update its metrics.json."""

    dir: Path
    """Folder of the run."""
    data: str | None = None
    """Data to evaluate on, named as for train; if not given, those of the run. Numbers are scaled
    by the statistics of the run."""
    image_size: tuple[int, ...] | None = None
    """As for train; if not given, the size of the run's images."""
    label_column: str | None = None
    """As for train."""
    weights: Literal["last", "best"] = "last"
    """Weights of the end of the run, or of its best epoch, which a run with --patience keeps."""
    samples: int = 10
    """Samples of q(z|x) per test image, for the ELBO and its standard error."""
    importance_samples: int | None = None
    """K, samples per test image for the importance bound, which grows with K towards log p(x)."""
    exact_images: int | None = None
    """Test images whose log p(x) is integrated (2-D z only); two seconds per image."""
    threads: int = 1
    """As for train: more are faster, and may change the last digits."""
    network: str | None = None
    """The run's own networks, if they are not of Keras' own layers."""


@dataclass
class Figures:
    """Draw the figures of a finished run again."""

    dir: Path
    """Folder of the run."""
    network: str | None = None
    """The run's own networks, if they are not of Keras' own layers."""


@dataclass
class Sample:
    """Decode samples from the prior, to samples.png and samples.npz."""

    dir: Path
    """Folder of the run."""
    weights: Literal["last", "best"] = "last"
    """Weights of the end of the run, or of its best epoch, which a run with --patience keeps."""
    count: int = 150
    """Number of samples."""
    seed: int | None = None
    """Seed of the samples; if not given, that of the run."""
    network: str | None = None
    """The run's own networks, if they are not of Keras' own layers."""


@dataclass
class Export:
    """Write encoder and decoder as SavedModel and, with tf2onnx, as ONNX."""

    dir: Path
    """Folder of the run; the files are written to its subfolder exported."""
    network: str | None = None
    """The run's own networks, if they are not of Keras' own layers."""
    weights: Literal["last", "best"] = "last"
    """Weights of the end of the run, or of its best epoch, which a run with --patience keeps."""


COMMANDS = {
    "train": Train,
    "evaluate": Evaluate,
    "figures": Figures,
    "sample": Sample,
    "export": Export,
}
# The flags of `train`, as its help shows them.
GROUPS = {
    "common": "recipe data epochs steps seed out resume overwrite",
    "model": "hidden_dims latent_dim activation initializer initializer_stddev output_bias network",
    "objective": "likelihood fixed_sigma levels posterior beta kl_warmup_steps objective"
    " train_samples",
    "optimizer and batches": "optimizer learning_rate learning_rate_decay optimizer_epsilon"
    " rmsprop_epsilon batch_size order",
    "data": "binarization scale image_size label_column",
    "stopping, checkpoints and pictures": "patience checkpoint_steps picture_epochs step_losses"
    " tensorboard",
    "several threads, devices or machines": "threads workers worker virtual_devices"
    " connect_timeout",
}
GROUPS = {title: names.split() for title, names in GROUPS.items()}
METAVARS = {
    "data": "DATA",
    "network": "FILE.py:FUNCTION",
    "label_column": "NAME",
    "workers": "HOST:PORT,HOST:PORT,…",
}
TRAIN_EXAMPLES = """examples:
  {prog} --recipe post-keras --epochs 5
  {prog} --recipe nats --latent-dim 20 --out runs/nats20
  {prog} --data photos --image-size 32 --patience 10"""


def command_of(package, argv):
    """Returns the command that the arguments give.

    Args:
        package: "keras_vae" or "tf_vae".
        argv: list; its first word is a key of COMMANDS.
    Returns:
        Train, Evaluate, Figures, Sample or Export.
    Raises:
        UsageError: a flag does not exist, or its value is bad.
        SystemExit: with status 0, after --help.
    """
    kind, prog, options = COMMANDS[argv[0]], f"python -m {package} {argv[0]}", {}
    if kind is not Train:
        return kind(**given_flags(argv[1:], prog, [kind], metavars=METAVARS))
    name = _value_of("--recipe", argv) or "post-keras"
    options = {"defaults": dataclasses.asdict(recipe(name)), "groups": GROUPS}
    options["note"] = f"The defaults are those of the recipe {name}."
    options["end"] = TRAIN_EXAMPLES.format(prog=prog)
    given = given_flags(argv[1:], prog, [Train, Config], metavars=METAVARS, **options)
    if given.get("epochs") is not None and given.get("steps") is not None:
        raise UsageError("--epochs and --steps exclude each other; give one")
    settings = {each.name for each in dataclasses.fields(Config)} & given.keys() - {"recipe"}
    config = recipe(name, **{each: given.pop(each) for each in settings})
    given.pop("recipe", None)
    return Train(config, **given)


def _value_of(flag, argv):
    """Returns the last value of a flag among the arguments, "" if it has none, or None."""
    found = None
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word == flag:
            found = following
        elif word.startswith(f"{flag}="):
            found = word.split("=", 1)[1]
    return found
