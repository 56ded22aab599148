"""Every choice a run depends on, in one frozen dataclass, and the named recipes.

Standard library only: the command line checks a config before TensorFlow is imported.
"""

import dataclasses
import math
import typing
from dataclasses import dataclass
from typing import Literal

__all__ = ["RECIPES", "Config", "UsageError", "from_dict", "recipe"]


class UsageError(Exception):
    """Bad usage or bad input, in one line: what was found, what was wanted, what to do.

    No ValueError: tyro would print one in a box of its own.
    """


@dataclass(frozen=True)
class Config:
    """One training run, but for its data and its folder.

    Raises:
        UsageError: a value out of range, in one line.
    """

    recipe: Literal["post-keras", "post-tf", "nats"] = "post-keras"
    """Named starting point; every flag below overrides one of its fields."""
    seed: int = 0
    """Seed of the weights, the order of examples and all noise."""
    hidden_dims: tuple[int, ...] = (256,)
    """Widths of the encoder's hidden layers; the decoder mirrors them."""
    latent_dim: int = 2
    """Width of z; with 2 the figures are latent scatter and manifold."""
    activation: Literal["relu", "tanh"] = "relu"
    """Nonlinearity of the hidden layers."""
    initializer: Literal["glorot_uniform", "truncated_normal"] = "glorot_uniform"
    """Initial kernels; biases start at zero."""
    initializer_stddev: float = 0.001
    """Standard deviation of the truncated_normal initializer (the other has none)."""
    optimizer: Literal["rmsprop", "adam", "sgd"] = "rmsprop"
    """Keras optimizer, with its default settings but for the learning rate."""
    learning_rate: float = 1e-3
    """Step size of the optimizer."""
    learning_rate_decay: float = 1.0
    """The step size falls smoothly by this factor over the run; 1 keeps it."""
    optimizer_epsilon: float | None = None
    """Constant in the optimizer's denominator; without it Keras' 1e-7 (sgd has none)."""
    batch_size: int = 100
    """Examples a step; the last batch of an epoch holds what is left."""
    epochs: int | None = 50
    """Length of the run in epochs, where it is not given in steps."""
    steps: int | None = None
    """Length of the run in steps, where it is not given in epochs."""
    picture_epochs: tuple[int, ...] = (5, 50)
    """Epochs whose weights are kept and drawn; the last epoch always is."""
    step_losses: bool = False
    """Write the loss of every step into steps.csv."""
    likelihood: Literal["bernoulli", "gaussian", "categorical", "continuous-bernoulli"] = (
        "bernoulli"
    )
    """p(x|z), of independent pixels."""
    fixed_sigma: float | None = None
    """Standard deviation of every pixel of a gaussian (the MSE case); without it learned."""
    levels: int | None = None
    """Grey levels of the categorical [8]; each takes its own output weights: 256 are 51 million."""
    binarization: Literal["none", "fixed", "dynamic"] = "none"
    """Pixels drawn as 0 or 1 by their grey value: never, once, or anew each epoch."""
    posterior: Literal["gaussian", "delta"] = "gaussian"
    """q(z|x); delta is z = z_mean without a KL: the autoencoder."""
    output_bias: Literal["zero", "mean-image"] = "zero"
    """Initial bias of the Bernoulli logits: 0, or the logit of the mean training image."""
    beta: float = 1.0
    """Weight of the KL in the training objective; 1 is the ELBO."""
    kl_warmup_steps: int = 0
    """Steps over which the weight of the KL rises to beta; 0 is no warm-up."""

    def __post_init__(self):
        # Flags arrive as lists from JSON and from library calls; a frozen value holds tuples.
        object.__setattr__(self, "hidden_dims", _integers("hidden_dims", self.hidden_dims))
        object.__setattr__(self, "picture_epochs", _integers("picture_epochs", self.picture_epochs))
        if not self.hidden_dims:
            raise UsageError("hidden_dims is empty; expected at least one width, e.g. 256")
        for name in ("latent_dim", "batch_size"):
            _integers(name, (getattr(self, name),))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise UsageError(f"seed is {self.seed!r}; expected an integer >= 0")
        for name in (
            "initializer_stddev",
            "learning_rate",
            "learning_rate_decay",
            "optimizer_epsilon",
            "fixed_sigma",
        ):
            value = getattr(self, name)
            if value is not None and _number(name, value) <= 0:
                raise UsageError(f"{name} is {value}; expected a number > 0")
        if isinstance(self.kl_warmup_steps, bool) or self.kl_warmup_steps < 0:
            raise UsageError(f"kl_warmup_steps is {self.kl_warmup_steps}; expected an integer >= 0")
        if _number("beta", self.beta) < 0:
            raise UsageError(f"beta is {self.beta}; expected a number >= 0")
        if (self.epochs is None) == (self.steps is None):
            found = "neither" if self.epochs is None else "both"
            raise UsageError(f"the length of the run is given as {found}; give epochs or steps")
        _integers("epochs", () if self.epochs is None else (self.epochs,))
        _integers("steps", () if self.steps is None else (self.steps,))
        for name in (
            "recipe",
            "activation",
            "initializer",
            "optimizer",
            "likelihood",
            "binarization",
            "posterior",
            "output_bias",
        ):
            choices = typing.get_args(Config.__annotations__[name])
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"{name} is {getattr(self, name)!r}; expected one of {', '.join(choices)}"
                )

        self._check_combinations()

    def _check_combinations(self):
        """Refuse options that the likelihood, posterior or optimizer does not take."""
        if self.likelihood == "categorical":
            levels = 8 if self.levels is None else self.levels
            if isinstance(levels, bool) or not isinstance(levels, int) or not 2 <= levels <= 256:
                raise UsageError(f"levels is {levels!r}; expected an integer from 2 to 256")
            object.__setattr__(self, "levels", levels)
        for name, owner, given in (
            ("levels", "likelihood categorical", self.levels is not None),
            ("fixed_sigma", "likelihood gaussian", self.fixed_sigma is not None),
            ("output_bias", "likelihood bernoulli", self.output_bias != "zero"),
            ("beta", "posterior gaussian", self.beta != 1),
            ("kl_warmup_steps", "posterior gaussian", self.kl_warmup_steps != 0),
        ):
            field, value = owner.split()
            if given and getattr(self, field) != value:
                raise UsageError(
                    f"{name} is {getattr(self, name)} but {field} is {getattr(self, field)};"
                    f" only {owner} takes it: leave it out"
                )
        if self.optimizer_epsilon is not None and self.optimizer == "sgd":
            raise UsageError("optimizer_epsilon is given but optimizer is sgd, which takes none")

    def steps_per_epoch(self, n):
        """Steps in one pass over `n` examples: the partial last batch is a step of its own."""
        return math.ceil(n / self.batch_size)

    def total_steps(self, n):
        """Steps of the whole run on `n` training examples."""
        return self.steps if self.epochs is None else self.epochs * self.steps_per_epoch(n)

    def total_epochs(self, n):
        """Rows of the history: whole epochs, and one more where the length ends inside one."""
        return math.ceil(self.total_steps(n) / self.steps_per_epoch(n))

    def end_of_epoch(self, epoch, n):
        """Steps done at the end of `epoch` of a run on `n` training examples."""
        return min(epoch * self.steps_per_epoch(n), self.total_steps(n))

    def pictured(self, n):
        """The epochs of a run on `n` examples whose weights are kept, in order."""
        last = self.total_epochs(n)
        return sorted({epoch for epoch in self.picture_epochs if epoch < last} | {last})

    def epoch_ends(self, n, step=0):
        """(epoch, first step, end step) of each epoch still to run after `step` steps.

        Only the last may be partial, where the length of the run is given in steps.
        """
        per_epoch, total = self.steps_per_epoch(n), self.total_steps(n)
        ends = []
        while step < total:
            epoch = step // per_epoch + 1
            end = min(epoch * per_epoch, total)
            ends.append((epoch, step, end))
            step = end
        return ends


def _integers(name, values):
    """`values` as a tuple of integers >= 1, or UsageError."""
    values = tuple(values)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} is {value!r}; expected an integer >= 1")
    return values


def _number(name, value):
    """`value` where it is a finite number, or UsageError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"{name} is {value!r}; expected a finite number")
    return value


RECIPES = {
    "post-keras": Config(),
    "post-tf": Config(
        recipe="post-tf",
        hidden_dims=(400,),
        latent_dim=20,
        initializer="truncated_normal",
        optimizer="adam",
        learning_rate=0.01,
        epochs=None,
        steps=1000,
        step_losses=True,
    ),
    "nats": Config(
        recipe="nats",
        hidden_dims=(200, 200),
        latent_dim=50,
        activation="tanh",
        optimizer="adam",
        learning_rate=2e-3,
        learning_rate_decay=10.0,
        optimizer_epsilon=1e-4,
        epochs=500,
        binarization="dynamic",
        output_bias="mean-image",
    ),
}


def recipe(name, **overrides):
    """The recipe called `name`, with some fields replaced.

    A length given as `epochs` replaces the recipe's `steps`, and the other way round.

    Raises:
        UsageError: no such recipe, no such field, or a value out of range.
    """
    if name not in RECIPES:
        raise UsageError(f"recipe is {name!r}; expected one of {', '.join(RECIPES)}")
    unknown = set(overrides) - {field.name for field in dataclasses.fields(Config)}
    if unknown:
        raise UsageError(f"{sorted(unknown)[0]!r} is not a config field; see shared/config.py")
    if overrides.get("epochs") is not None:
        overrides.setdefault("steps", None)
    if overrides.get("steps") is not None:
        overrides.setdefault("epochs", None)
    return dataclasses.replace(RECIPES[name], **overrides)


def from_dict(values):
    """The config written by `dataclasses.asdict`; keys that are no config field are passed over.

    Raises:
        UsageError: a field is missing or out of range.
    """
    names = [field.name for field in dataclasses.fields(Config)]
    missing = [name for name in names if name not in values]
    if missing:
        raise UsageError(f"the config lacks {missing[0]!r}; expected every field of Config")
    return Config(**{name: values[name] for name in names})
