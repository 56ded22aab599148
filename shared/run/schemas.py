"""Defines what config.json, metrics.json, history.csv and steps.csv must hold.

What is written is checked with the same types as what is read. A default value marks an entry that
may be missing.
"""

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shared.machine.checks import UsageError

__all__ = [
    "COLUMNS",
    "LOGS",
    "MEANS",
    "PENALTY",
    "Arithmetic",
    "DataEntry",
    "Description",
    "HistoryRow",
    "Metric",
    "NetworkEntry",
    "Reading",
    "ScalingEntry",
    "StepRow",
    "Stop",
    "VariableEntry",
    "checked",
    "columns_of",
]

AtLeast1 = Annotated[int, Meta(ge=1)]
# The implementations, and the first of them on the other backends of Keras.
Trainer = Literal["keras_vae", "tf_vae", "keras_vae on jax", "keras_vae on torch"]


class Reading(msgspec.Struct):
    """The options with which the data were read, as shared.data.own.checked_options has them."""

    image_size: Annotated[list[AtLeast1], Meta(min_length=2, max_length=2)] | None = None
    scale: Literal["minmax", "standard", "none"] | None = None
    label_column: str | None = None


class ScalingEntry(msgspec.Struct):
    """Statistics of the training part, as shared.data.scale.Scaling.describe returns them."""

    scale: Literal["minmax", "standard", "none"]
    shift: list[float]
    width: list[float]
    low: list[float]
    high: list[float]


class DataEntry(msgspec.Struct):
    """The data of a run, as shared.data.Data.describe returns them."""

    name: str
    source: str
    n_train: AtLeast1
    n_test: AtLeast1
    image_shape: Annotated[list[AtLeast1], Meta(min_length=1, max_length=3)]
    sha256: dict[str, str]
    n_valid: AtLeast1 | None = None  # if val_loss is measured on images of its own
    understood: str | None = None  # what was found at the path, in one line
    reading: Reading | None = None
    classes: list[str] | None = None  # names of the labels 0, 1, …
    columns: list[str] | None = None  # of a table
    scaling: ScalingEntry | None = None


class VariableEntry(msgspec.Struct):
    """A variable of a network of one's own."""

    shape: list[Annotated[int, Meta(ge=0)]]
    dtype: Annotated[str, Meta(pattern="^(float|int|uint|bool)[0-9]*$")]
    trainable: bool


class NetworkEntry(msgspec.Struct):
    """The network of a run that does not have the dense one of its config."""

    function: str
    file: str
    sha256: str  # of the source
    kept: Literal["architecture", "source"]  # what the folder keeps of it
    jit_compile: bool
    variables: dict[str, VariableEntry]


class Stop(msgspec.Struct):
    """Where a run stopped before its length: at the end of an epoch."""

    epoch: AtLeast1
    step: AtLeast1
    by: Literal["patience", "callback"]


class Arithmetic(msgspec.Struct):
    """What decides the bits beside the versions: shared.machine.arithmetic.describe_arithmetic."""

    threads: AtLeast1
    instructions: str


class Description(msgspec.Struct):
    """What config.json holds beside the fields of shared.config.Config."""

    data: DataEntry
    trained_by: Annotated[list[Trainer], Meta(min_length=1)]
    versions: dict[str, str]
    arithmetic: list[Arithmetic] = []  # of the trainings so far, in their order
    diverged_after: int | None = None  # the step after which the training diverged and stopped
    changes: list[dict[str, Any]] = []  # settings changed then: {"step": 600, "beta": [9.0, 1.0]}
    network: NetworkEntry | None = None
    stopped_after: Stop | None = None  # if the run is finished before its length
    watched: Literal["test", "validation"] | None = None  # the images by which patience chooses
    callbacks: list[str] = []  # names of the callbacks that were called during the training


class Metric(msgspec.Struct):
    """One entry of metrics.json; entries that belong to one metric only are not listed."""

    value: float | list[float]
    unit: str
    step: AtLeast1
    n: AtLeast1 | None = None
    samples: int | None = None
    data: str | None = None
    x: Literal["grey", "binary", "numbers"] | None = None
    seed: int | None = None
    versions: dict[str, str] | None = None
    seconds: float | None = None
    weights: Literal["best"] | None = None  # those of weights_best.npz; otherwise of the end
    watched: Literal["test", "validation"] | None = None  # as in config.json


class HistoryRow(msgspec.Struct):
    """One epoch. `seconds` is NaN if a damaged history.csv was restored from a checkpoint."""

    epoch: AtLeast1
    step: AtLeast1
    loss: float
    log_likelihood: float
    kl: float
    val_loss: float
    val_log_likelihood: float
    val_kl: float
    seconds: float
    penalty: float | None = None  # what the networks add to the loss; a part of it


class StepRow(msgspec.Struct):
    """The loss of one step."""

    step: AtLeast1
    loss: float


COLUMNS = HistoryRow.__struct_fields__[:-1]
LOGS = COLUMNS[2:-1]  # what an epoch logs: the running means, and those of its validation
MEANS = LOGS[:3]  # loss, log_likelihood and kl
PENALTY = "penalty"  # a column more, of a network with regularizers; it is a part of the loss


def columns_of(history):
    """Returns the columns of a history: COLUMNS, and PENALTY if its rows have one."""
    return (*COLUMNS, PENALTY) if any(PENALTY in row for row in history) else COLUMNS


def checked(values, schema, strict=True):
    """Checks that a value has the types of a schema.

    Args:
        values: dicts, lists, numbers and texts, as JSON has them.
        schema: a type for msgspec.convert.
        strict: False also takes numbers written as text, as in a CSV file.
    Returns:
        an instance of the schema
    Raises:
        UsageError: a value is missing, of another type or out of range.
    """
    try:
        result = msgspec.convert(values, schema, strict=strict)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UsageError(" ".join(str(error).split())) from error
    for name, value in (
        (name, getattr(result, name)) for name in getattr(result, "__struct_fields__", ())
    ):
        if isinstance(value, float) and math.isnan(value) and name != "seconds":
            raise UsageError(f"{name} is NaN; expected a finite number")
    return result
