"""What a reader of files has found, its labels as integers, and its split into two parts."""

from dataclasses import dataclass, field

import numpy as np

from shared.machine.checks import UsageError
from shared.seeds import seed_of

__all__ = ["Found", "coded_labels", "drawn_order", "split_rows"]


@dataclass
class Found:
    """Holds the arrays of a file or folder as they are stored, and what is known about them."""

    arrays: dict  # {name: list of parts}: x_train and, where there are any, y_train, x_test, …
    columns: tuple[str, ...] | None = None  # names of the columns, if it is a table
    labels_from: str = ""  # where the labels are from, for the line about the data
    split: str = ""  # how the parts were chosen, for the same line
    notes: list[str] = field(default_factory=list)  # more for this line
    release: object = None  # gives back the memory of files that were read, or None


def drawn_order(n, role):
    """Returns a permutation of 0 … n-1 that is the same for every run."""
    return np.random.RandomState(seed_of(0, role)).permutation(n)


def split_rows(n, labels=None):
    """Chooses a fifth of the rows as the test set, by seed 0 and not by the seed of a run.

    The rows are drawn in a random order, sorted by their labels, and every fifth is for testing, so
    that every class has its share in both parts. Of two to four rows, the last one is.

    Args:
        n: number of rows, at least 2.
        labels: (n,) labels, or None.
    Returns:
        (rows for training, rows for testing), both in random order.
    """
    drawn = drawn_order(n, "split")
    ordered = drawn if labels is None else drawn[np.argsort(labels[drawn], kind="stable")]
    is_test = np.zeros(n, bool)
    is_test[ordered[4::5] if n > 4 else ordered[-1:]] = True
    return drawn[~is_test[drawn]], drawn[is_test[drawn]]


def split_arrays(arrays, where):
    """Splits x_train and y_train into a training and a test set, if there is no test set.

    Args:
        arrays: {name: [array]}; it is changed.
        where: name of the data in messages.
    Returns:
        how it was split, in words.
    Raises:
        UsageError: there are too few images, or the arrays do not go together.
    """
    [x], [y] = arrays["x_train"], arrays.get("y_train", [None])
    if np.ndim(x) < 1 or len(x) < 2:
        raise UsageError(
            f"{where} holds no test set and {len(x) if np.ndim(x) else 0} image(s); expected at"
            " least 2, of which a fifth is split off for testing"
        )
    labels = None if y is None else coded_labels({"y_train": [y]}, {"x_train": x.shape}, where)[0]
    train, test = split_rows(len(x), None if labels is None else labels["y_train"])
    arrays |= {"x_train": [x[train]], "x_test": [x[test]]}
    if y is not None:
        arrays |= {"y_train": [y[train]], "y_test": [y[test]]}
    return "80/20 split by seed 0" if len(x) > 4 else "one of them for testing, chosen by seed 0"


def coded_labels(labels, shapes, where):
    """Checks labels, and converts them to integers.

    Args:
        labels: {"y_train", "y_test": list of parts}, integers or texts.
        shapes: {"x_train", "x_test": shape of the images}.
        where: name of the data in messages.
    Returns:
        {"y_train", "y_test": (n,) int64}, and the names of the classes 0, 1, … in the order of
        their names, or None if the labels are integers.
    Raises:
        UsageError: labels are neither, or their number is wrong.
    """
    whole = {}
    for name, parts in labels.items():
        x = name.replace("y", "x")
        y = np.concatenate(parts) if np.ndim(parts[0]) else np.asarray(parts[0])
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.shape != shapes[x][:1] or y.dtype.kind not in "biuUS":
            kind = y.dtype.kind
            advice = f"; save it as {name}.astype(int)" if kind == "f" and y.ndim == 1 else ""
            raise UsageError(
                f"{where}: {name} is {y.dtype} of shape {y.shape}; expected one integer label for"
                f" each of the {shapes[x][0]} images in {x}, which has shape {shapes[x]}, or"
                f" one name each{advice}"
            )
        if y.dtype.kind == "S":
            y = np.array([each.decode("utf-8", "backslashreplace") for each in y.tolist()])
        whole[name] = y
    texts = {name for name, y in whole.items() if y.dtype.kind == "U"}
    if texts and texts != whole.keys():
        first, second = whole
        raise UsageError(
            f"{where}: {first} is {whole[first].dtype} and {second} is {whole[second].dtype};"
            " expected integers in both, or names in both"
        )
    if not texts:
        return {name: y.astype(np.int64) for name, y in whole.items()}, None
    classes = np.unique(np.concatenate([*whole.values()]))
    codes = {name: np.searchsorted(classes, y).astype(np.int64) for name, y in whole.items()}
    return codes, tuple(classes.tolist())
