"""All settings of a run in one frozen dataclass, and the named recipes.

The command line checks a config before TensorFlow is imported, so this module imports nothing slow.
The docstring of each field is its text in `train --help`.
"""

import dataclasses
import math
import typing
from dataclasses import dataclass
from typing import Literal

from shared.machine.checks import FLOAT32_MIN, INT32_MAX, UsageError, integer, integers, number
from shared.machine.text import suggestion

__all__ = ["RECIPES", "Config", "UsageError", "from_dict", "recipe"]


# What a config.json of a run that was begun before these fields existed lacks. Such a run of
# rmsprop has its epsilon inside the root (see `from_dict`).
ADDED = {
    "objective": "elbo",
    "train_samples": 1,
    "order": "shuffle",
    "rmsprop_epsilon": "outside",
    "patience": None,
    "scale": None,
}
# (least, most) of the numbers whose limits are not those of their type: integers from 1 to
# INT32_MAX, and floats of at least FLOAT32_MIN.
LIMITS = {
    "seed": (0, math.inf),  # only its decimal text is used, so any size is valid
    "kl_warmup_steps": (0, INT32_MAX),
    "beta": (0, math.inf),
}


@dataclass(frozen=True)
class Config:
    """Holds the settings of one training run, without its data and its folder.

    Lists are converted to tuples, and the settings that are real numbers to floats.

    Raises:
        UsageError: a value is of the wrong type or out of range, or two values exclude each other.
    """

    recipe: Literal["post-keras", "post-tf", "nats"] = "post-keras"
    """The recipe that gives the defaults; each flag replaces one of them."""
    seed: int = 0
    """Seed of the initial weights, the order of the examples and all noise."""
    hidden_dims: tuple[int, ...] = (256,)
    """Widths of the encoder's hidden layers; the decoder mirrors them."""
    latent_dim: int = 2
    """Number of latent dimensions; 2 of them are drawn as a plane, with the manifold."""
    activation: Literal["relu", "tanh"] = "relu"
    """Activation function of the hidden layers."""
    initializer: Literal["glorot_uniform", "truncated_normal"] = "glorot_uniform"
    """Distribution of the initial kernels; biases start at zero."""
    initializer_stddev: float = 0.001
    """Standard deviation of truncated_normal."""
    optimizer: Literal["rmsprop", "adam", "sgd"] = "rmsprop"
    """Optimizer of Keras; what no flag sets has Keras' default value."""
    learning_rate: float = 1e-3
    """Learning rate at the first step."""
    learning_rate_decay: float = 1.0
    """Factor by which the learning rate falls exponentially over the run; 1 keeps it."""
    optimizer_epsilon: float | None = None
    """Constant in the denominator of rmsprop and adam; if not given, 1e-7, Keras' default."""
    rmsprop_epsilon: Literal["outside", "inside"] = "outside"
    """Where rmsprop adds it: g/(√a + ε) as Keras 2 did, or g/√(a + ε) as Keras 3 does."""
    batch_size: int = 100
    """Examples per step; the last batch of an epoch may be smaller."""
    order: Literal["shuffle", "windows"] = "shuffle"
    """Batches: all examples in a new order each epoch, or random windows of the stored order."""
    epochs: int | None = 50
    """Length of the run in epochs; excludes --steps."""
    steps: int | None = None
    """Length of the run in steps; excludes --epochs."""
    patience: int | None = None
    """Stop after so many epochs without a better val_loss, and keep the best weights; val_loss is
    of x_valid or, if the data have none, of the test images."""
    picture_epochs: tuple[int, ...] = (5, 50)
    """Epochs whose weights are saved and drawn; the last one always is."""
    step_losses: bool = False
    """Write the loss of every step to steps.csv."""
    likelihood: Literal["bernoulli", "gaussian", "categorical", "continuous-bernoulli"] = (
        "bernoulli"
    )
    """Distribution p(x|z) of the pixels, which are independent given z."""
    fixed_sigma: float | None = None
    """Standard deviation of every pixel, for gaussian; if not given, it is learned."""
    levels: int | None = None
    """Number of grey levels, for categorical; if not given, 8."""
    binarization: Literal["none", "fixed", "dynamic"] = "none"
    """Draw each pixel as 0 or 1, with its grey value as probability: never, once, or anew in each
    epoch."""
    posterior: Literal["gaussian", "delta"] = "gaussian"
    """Distribution q(z|x); delta is z = z_mean without a KL, a plain autoencoder."""
    output_bias: Literal["zero", "mean-image"] = "zero"
    """Initial bias of the Bernoulli logits: zero, or the logit of the mean training image."""
    beta: float = 1.0
    """Weight of the KL in the training objective; 1 is the ELBO."""
    kl_warmup_steps: int = 0
    """Number of steps over which the weight of the KL rises to beta; 0 is no warm-up."""
    objective: Literal["elbo", "iwae"] = "elbo"
    """What training maximizes: the ELBO, or the importance bound of --train-samples samples."""
    train_samples: int = 1
    """Samples of q(z|x) per image in each training step."""
    scale: Literal["minmax", "standard", "none"] | None = None
    """How numbers that are no pixels are scaled: to [0, 1], to mean 0 and deviation 1, or not; by
    statistics of the training part, of each column of a table."""

    def __post_init__(self):
        for each in dataclasses.fields(self):
            if each.name == "levels":
                continue  # is checked with its likelihood, which gives its default
            value = _checked(each.name, each.type, getattr(self, each.name))
            object.__setattr__(self, each.name, value)
        if not self.hidden_dims:
            raise UsageError("hidden_dims is empty; expected at least one width, e.g. 256")
        if (self.epochs is None) == (self.steps is None):
            given = "no length is given" if self.epochs is None else "epochs and steps are given"
            raise UsageError(f"{given}; expected either epochs or steps")
        self._check_combinations()

    def _check_combinations(self):
        """Raises UsageError for a setting that the likelihood, posterior or optimizer ignores."""
        if self.likelihood == "categorical":
            levels = 8 if self.levels is None else self.levels
            if not isinstance(levels, int) or not 2 <= levels <= 256:  # True is 1
                raise UsageError(f"levels is {levels!r}; expected an integer from 2 to 256")
            object.__setattr__(self, "levels", levels)
        for name, owner, given in (
            ("levels", "likelihood categorical", self.levels is not None),
            ("fixed_sigma", "likelihood gaussian", self.fixed_sigma is not None),
            ("output_bias", "likelihood bernoulli", self.output_bias != "zero"),
            ("rmsprop_epsilon", "optimizer rmsprop", self.rmsprop_epsilon != "outside"),
            ("beta", "posterior gaussian", self.beta != 1),
            ("kl_warmup_steps", "posterior gaussian", self.kl_warmup_steps != 0),
            ("train_samples", "posterior gaussian", self.train_samples != 1),
            ("objective", "posterior gaussian", self.objective != "elbo"),
            ("beta", "objective elbo", self.beta != 1),
            ("kl_warmup_steps", "objective elbo", self.kl_warmup_steps != 0),
        ):
            field, value = owner.split()
            if given and getattr(self, field) != value:
                raise UsageError(
                    f"{name} is {getattr(self, name)} but {field} is {getattr(self, field)};"
                    f" only {owner} takes it: leave it out"
                )
        if self.scale in ("standard", "none"):
            for name, wanted in (("likelihood", "gaussian"), ("binarization", "none")):
                if (value := getattr(self, name)) != wanted:
                    raise UsageError(
                        f"scale is {self.scale} and {name} is {value}, which needs [0, 1]; give"
                        f" --{name} {wanted}, or --scale minmax"
                    )
        if self.optimizer_epsilon is not None and self.optimizer == "sgd":
            raise UsageError("optimizer_epsilon is given but optimizer is sgd, which takes none")

    def steps_per_epoch(self, n):
        """Returns the number of steps per epoch of `n` examples, a partial last batch included."""
        return math.ceil(n / self.batch_size)

    def total_steps(self, n):
        """Returns the number of steps of the whole run on `n` training examples."""
        return self.steps if self.epochs is None else self.epochs * self.steps_per_epoch(n)

    def total_epochs(self, n):
        """Returns the number of epochs of the run; a partial last epoch counts as one."""
        return math.ceil(self.total_steps(n) / self.steps_per_epoch(n))

    def end_of_epoch(self, epoch, n):
        """Returns the number of steps done at the end of `epoch`, on `n` training examples."""
        return min(epoch * self.steps_per_epoch(n), self.total_steps(n))

    def pictured(self, n):
        """Returns the epochs of a run on `n` examples whose weights are saved, in order."""
        last = self.total_epochs(n)
        return sorted({epoch for epoch in self.picture_epochs if epoch < last} | {last})

    def epoch_ends(self, n, step=0):
        """Yields (epoch, first step, end step) of each remaining epoch after `step` steps.

        Only the last epoch can be partial, and only if the length of the run is given in steps.
        """
        per_epoch, total = self.steps_per_epoch(n), self.total_steps(n)
        while step < total:
            epoch = step // per_epoch + 1
            end = min(epoch * per_epoch, total)
            yield epoch, step, end
            step = end


def _checked(name, kind, value):
    """Returns the value of a field as its type, e.g. a list as a tuple.

    Raises:
        UsageError: the value is of another type, or out of range.
    """
    choices = typing.get_args(kind)
    if type(None) in choices:
        if value is None:
            return None  # it is not given
        kind = choices[0]
        choices = typing.get_args(kind)
    if kind is int:
        integer(name, value, *LIMITS.get(name, (1, INT32_MAX)))
    elif kind is float:
        return number(name, value, LIMITS.get(name, (FLOAT32_MIN,))[0])
    elif kind is bool:
        if not isinstance(value, bool):
            raise UsageError(f"{name} is {value!r}; expected True or False")
    elif typing.get_origin(kind) is tuple:
        return integers(name, value)  # JSON and library calls give lists, which have no hash
    elif not isinstance(value, str) or value not in choices:
        raise UsageError(f"{name} is {value!r}; expected one of {', '.join(choices)}")
    return value


RECIPES = {
    # The defaults of Config: the 2018 Keras script, which trains with the RMSprop of Keras 2 at its
    # default learning rate of 1e-3, in batches of 100, and shows figures after 5 and 50 epochs.
    "post-keras": Config(),
    # The 2018 TensorFlow script, with the defaults of TensorFlow 1 and the script's own batches.
    # With Keras' epsilon about half of the seeds stall, with this one a few (docs/from-2018.md).
    "post-tf": Config(
        recipe="post-tf",
        hidden_dims=(400,),
        latent_dim=20,
        initializer="truncated_normal",  # with the default standard deviation of 0.001
        optimizer="adam",
        learning_rate=0.01,
        optimizer_epsilon=1e-8,  # the default of TensorFlow 1; Keras' is 1e-7
        order="windows",
        epochs=None,
        steps=1000,  # at batch 100 this is one and two thirds of an epoch of MNIST
        step_losses=True,  # its figure is the loss of each of the 1000 steps
    ),
    # Burda et al., arXiv:1509.00519, table 1, one layer, which report 86.76 nats after 3,280 epochs
    # in batches of 20. In batches of 100, 500 epochs are a 33rd of their number of steps.
    "nats": Config(
        recipe="nats",
        hidden_dims=(200, 200),
        latent_dim=50,
        activation="tanh",
        optimizer="adam",
        learning_rate=2e-3,  # Burda et al. start at 1e-3, with a fifth of the batch size
        learning_rate_decay=10.0,  # as theirs, which falls from 1e-3 to 1e-4
        optimizer_epsilon=1e-4,  # their value; Keras' default is 1e-7
        epochs=500,  # a prototype reached 87.59 nats after 449
        binarization="dynamic",  # as theirs: their pixels are drawn again for every epoch
        output_bias="mean-image",  # the first outputs are then near the mean image and not near 1/2
    ),
}


def recipe(name, **overrides):
    """Returns the recipe called `name`, with some fields replaced.

    Args:
        name: a key of RECIPES.
        overrides: fields of Config; `epochs` also replaces the recipe's `steps`, and vice versa.
    Returns:
        Config
    Raises:
        UsageError: there is no such recipe or field, or a value is bad.
    Example:
        >>> recipe("nats", epochs=10, latent_dim=2).total_steps(60_000)  # batch 100
        6000
    """
    if name not in RECIPES:
        meant = suggestion(str(name), RECIPES)
        raise UsageError(f"recipe is {name!r}; expected one of {', '.join(RECIPES)}{meant}")
    unknown = set(overrides) - {field.name for field in dataclasses.fields(Config)}
    if unknown:
        raise UsageError(f"{sorted(unknown)[0]!r} is not a config field; see shared/config.py")
    if overrides.get("epochs") is not None:
        overrides.setdefault("steps", None)
    if overrides.get("steps") is not None:
        overrides.setdefault("epochs", None)
    return dataclasses.replace(RECIPES[name], **overrides)


def from_dict(values):
    """Returns the config with the fields in a dict, e.g. from config.json.

    Args:
        values: {field: value}, as `dataclasses.asdict` returns it; other keys are ignored.
    Raises:
        UsageError: a field is missing or has a bad value.
    """
    inside = {"rmsprop_epsilon": "inside"} if values.get("optimizer") == "rmsprop" else {}
    values = {**ADDED, **inside, **values}
    names = [field.name for field in dataclasses.fields(Config)]
    missing = [name for name in names if name not in values]
    if missing:
        raise UsageError(f"the config lacks {missing[0]!r}; expected every field of Config")
    return Config(**{name: values[name] for name in names})
