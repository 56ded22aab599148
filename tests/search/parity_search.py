"""Searches for a config with which the two implementations differ in a bit.

    make parity COUNT=1000 SEED=0

draws configs over every field of `Config` and small data sets, trains both implementations on each,
and compares weights, optimizer slots, step losses and histories. For each difference it prints a
line with the first array that differs. One example is reduced by hypothesis, and the first step
with a difference is located.
"""

import concurrent.futures
import contextlib
import dataclasses
import io
import multiprocessing
import tempfile
import traceback
import typing
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import numpy as np
import tyro
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

from shared.command.implementation import import_implementation
from shared.command.line import exit_status
from shared.config import Config
from shared.data import Data, load_data
from shared.data.scale import scaling_of
from shared.machine.backend import IMPLEMENTATIONS
from shared.machine.checks import UsageError
from shared.machine.process import Stopped, end_process
from shared.run.folder import BEST, CHECKPOINT, COLUMNS, read_history, read_step_losses
from shared.seeds import seed_of

CHUNK = 50  # configs per process, because compiled programs stay in its memory


@dataclass(frozen=True)
class Images:
    """A small data set: real digits, or noise of any shape, grey or binary."""

    kind: str
    n_train: int
    n_test: int
    shape: tuple[int, int]
    seed: int

    def data(self, scale=None):
        """The images as `shared.data.Data`; with a scale, of values up to 30."""
        n, random = self.n_train + self.n_test, np.random.RandomState(self.seed)
        if self.kind == "digits":
            digits = load_data("mnist-5k").x_train
            x = digits[random.choice(len(digits), n, replace=False)]
        else:
            x = random.uniform(size=(n, self.shape[0] * self.shape[1])).astype(np.float32)
            x = np.round(x) if self.kind == "binary" else x
        y = np.zeros(n, np.int64)
        train, test = slice(self.n_train), slice(self.n_train, None)
        data = Data(self.kind, x[train], y[train], x[test], y[test], self.shape, "", {})
        if scale is None:
            return data
        scaling = scaling_of([30 * x[train]], scale, per_column=False)
        parts = {f"x_{name}": scaling.scaled(30 * x[each]) for name, each in
                 (("train", train), ("test", test))}  # fmt: skip
        return dataclasses.replace(data, **parts, scaling=scaling)


@st.composite
def examples(draw):
    """A config and images that are valid together; simple examples are small."""
    widths = st.one_of(st.integers(1, 5), st.integers(1, 40))
    kind = draw(st.sampled_from(("grey", "binary", "digits")))
    side = st.integers(1, 9)
    images = Images(
        kind=kind,
        n_train=draw(st.integers(2, 120)),
        n_test=draw(st.one_of(st.just(1), st.integers(1, 40))),
        shape=(28, 28) if kind == "digits" else (draw(side), draw(side)),
        seed=draw(st.integers(0, 99)),
    )
    batch_size = draw(st.one_of(st.integers(1, images.n_train + 9), st.sampled_from((8, 32, 100))))
    steps = draw(st.one_of(st.none(), st.integers(1, 3 * -(-images.n_train // batch_size))))
    optimizer = draw(st.sampled_from(("rmsprop", "adam", "sgd")))
    likelihood = draw(st.sampled_from(typing.get_args(Config.__annotations__["likelihood"])))
    posterior = draw(st.sampled_from(("gaussian", "delta")))
    gaussian = posterior == "gaussian"
    binarization = draw(st.sampled_from(("none", "fixed", "dynamic")))
    unbounded = likelihood == "gaussian" and binarization == "none"
    objective = draw(st.sampled_from(("elbo", "elbo", "iwae") if gaussian else ("elbo",)))
    weighted = gaussian and objective == "elbo"  # only then the KL has a weight
    rates = st.sampled_from((1e-4, 1e-3, 3e-3, 0.01, 0.1))
    config = Config(
        recipe=draw(st.sampled_from(("post-keras", "post-tf", "nats"))),
        seed=draw(st.integers(0, 2**40)),
        hidden_dims=tuple(draw(st.lists(widths, min_size=1, max_size=3))),
        latent_dim=draw(st.integers(1, 8)),
        activation=draw(st.sampled_from(("relu", "tanh"))),
        initializer=draw(st.sampled_from(("glorot_uniform", "truncated_normal"))),
        initializer_stddev=draw(st.sampled_from((0.001, 0.1, 1.0))),
        optimizer=optimizer,
        learning_rate=draw(rates if likelihood != "gaussian" else st.just(1e-3)),
        learning_rate_decay=draw(st.sampled_from((1.0, 3.0, 10.0))),
        optimizer_epsilon=draw(st.sampled_from((None, 1e-4))) if optimizer != "sgd" else None,
        rmsprop_epsilon="inside" if optimizer == "rmsprop" and draw(st.booleans()) else "outside",
        order="windows" if batch_size <= images.n_train and draw(st.booleans()) else "shuffle",
        batch_size=batch_size,
        epochs=draw(st.integers(1, 3)) if steps is None else None,
        steps=steps,
        patience=draw(st.sampled_from((None, None, 1, 2))),
        picture_epochs=tuple(draw(st.lists(st.integers(1, 3), max_size=2))),
        step_losses=draw(st.booleans()),
        likelihood=likelihood,
        fixed_sigma=draw(st.sampled_from((None, 0.1, 1.0))) if likelihood == "gaussian" else None,
        levels=draw(st.integers(2, 6)) if likelihood == "categorical" else None,
        binarization=binarization,
        posterior=posterior,
        output_bias="mean-image" if likelihood == "bernoulli" and draw(st.booleans()) else "zero",
        beta=draw(st.sampled_from((1.0, 0.0, 0.3, 4.0))) if weighted else 1.0,
        kl_warmup_steps=draw(st.sampled_from((0, 1, 7))) if weighted else 0,
        objective=objective,
        train_samples=draw(st.sampled_from((1, 1, 2, 5))) if gaussian else 1,
        scale=draw(st.sampled_from((None, "minmax", "standard"))) if unbounded else None,
    )
    return config, images


def outcome(implementation, config, data):
    """Returns what a training of one implementation ends with, also if it diverged."""
    message, end = "", {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # without the note about patience
                implementation.train(config, data, folder, verbose=0)
        except Stopped as error:
            message = str(error)
        if (Path(folder) / CHECKPOINT).exists():
            with np.load(Path(folder) / CHECKPOINT) as checkpoint:
                end = {name: checkpoint[name] for name in checkpoint.files}
        if (Path(folder) / BEST).exists():
            with np.load(Path(folder) / BEST) as best:
                end |= {f"best/{name}": best[name] for name in best.files}
        history = read_history(folder)
        end["step losses"] = np.array(read_step_losses(folder))
    for name in COLUMNS[:-1]:  # without the seconds
        end[f"history/{name}"] = np.array([row[name] for row in history])
    end["message"] = np.frombuffer(message.encode(), np.uint8)
    return end


def difference(implementations, config, images):
    """None if both implementations agree in every bit, otherwise one line that says where not."""
    data, ends = images.data(config.scale), []
    for implementation in implementations.values():
        try:
            ends.append(outcome(implementation, config, data))
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            reason = str(error).strip().partition("\n")[0]
            return f"{implementation.name} raises {type(error).__name__} ({place.name}): {reason}"
    if ends[0].keys() != ends[1].keys():  # one has no checkpoint, since its first epoch diverged
        return "one diverges in its first epoch, the other does not"
    names = [name for name in ends[0] if ends[0][name].tobytes() != ends[1][name].tobytes()]
    if not names:
        return None
    if "message" in names:
        return f"one diverges or does so elsewhere, {len(names)} of {len(ends[0])} differ"
    largest = np.max(np.abs(np.subtract(*(np.float64(end[names[0]]) for end in ends))))
    return f"{len(names)} of {len(ends[0])} differ, first {names[0]}, by {largest:.3g}"


def first_step(implementations, config, images):
    """The first step after which the implementations differ, by bisection, and how they differ."""
    total = config.total_steps(images.n_train)
    low, high, message = 0, total, None
    while high - low > 1 or message is None:
        steps = high if message is None else (low + high) // 2
        # The learning rate decays over the run, so over a part of it by a smaller factor.
        decay = config.learning_rate_decay ** (steps / total)
        part = dataclasses.replace(config, epochs=None, steps=steps, learning_rate_decay=decay)
        line = difference(implementations, part, images)
        if line:
            high, message = steps, line
        elif message is None:
            return None, None
        else:
            low = steps
    return high, message


def shown(config, images):
    """An example in one line: the fields that differ from the defaults, and the images."""
    default = Config()
    fields = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(Config)
        if getattr(config, field.name) != getattr(default, field.name)
    }
    return " ".join(f"{name}={value}" for name, value in fields.items()) + f" on {images}"


def run_examples(count, seed, check, shrinking=False):
    """Calls `check(config, images)` on `count` examples that depend on `seed`.

    Args:
        count, seed: the first example of hypothesis is always the same and is not counted.
        check: an AssertionError in it ends the examples.
        shrinking: whether to then continue with simpler examples for which it is still raised.
    """
    seen = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count + 1,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink)[: 1 + shrinking],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(examples())
    def each(example):
        seen.append(example)
        if len(seen) > 1:
            check(*example)

    each()


def search(count, seed):
    """The differences of `count` examples, [(example, line)]; it runs in its own process."""
    implementations = {name: import_implementation(name) for name in IMPLEMENTATIONS.values()}
    results = []

    def record(*example):
        results.append((example, difference(implementations, *example)))

    run_examples(count, seed, record)
    return results


def shrink(count, seed, known):
    """The simplest example with a difference that hypothesis finds, from a known one.

    Args:
        count, seed: those of the chunk with the known difference.
        known: {example: line or None} of that chunk, so that nothing is trained twice.
    """
    implementations = {name: import_implementation(name) for name in IMPLEMENTATIONS.values()}
    known, differing = dict(known), []

    def check(*example):
        if example not in known:
            known[example] = difference(implementations, *example)
        if known[example]:
            differing.append(example)
            raise AssertionError(known[example])

    with contextlib.suppress(AssertionError):
        run_examples(count, seed, check, shrinking=True)
    config, images = differing[-1]
    step, _ = first_step(implementations, config, images)
    return config, images, step, known[differing[-1]]


@dataclass
class Search:
    """Train both implementations on random configs and data, and compare every bit."""

    count: int = 40
    """Number of configs."""
    seed: int = 0
    """Seed of the configs."""
    jobs: int = 2
    """Number of parallel processes."""
    reduce: bool = True
    """Whether to reduce one config with a difference to a simpler one."""


def main():
    """Prints a line per difference and their number; returns 1 if there is a difference."""
    job = tyro.cli(Search, prog="tests/search/parity_search.py")
    if job.count < 1 or job.jobs < 1 or job.seed < 0:
        raise UsageError("--count and --jobs are integers >= 1, --seed is one >= 0")
    size = min(CHUNK, -(-job.count // job.jobs))
    chunks = [
        (min(size, job.count - start), seed_of(job.seed, "parity", start // size))
        for start in range(0, job.count, size)
    ]
    fresh, results = multiprocessing.get_context("spawn"), {}
    pool = concurrent.futures.ProcessPoolExecutor(job.jobs, fresh, max_tasks_per_child=1)
    with pool, Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("configs", total=job.count)
        futures = {pool.submit(search, *chunk): chunk for chunk in chunks}
        for future in concurrent.futures.as_completed(futures):
            results[futures[future]] = future.result()
            bar.update(task, completed=sum(map(len, results.values())))
        differing = {
            chunk: [(example, line) for example, line in each if line]
            for chunk, each in results.items()
        }
        differing = {chunk: each for chunk, each in differing.items() if each}
        for each in differing.values():
            for example, line in each:
                print(f"{line}: {shown(*example)}")
        if differing and job.reduce:
            bar.console.print("reducing one of them to a simpler example takes some minutes")
            chunk = next(iter(differing))
            config, images, step, line = pool.submit(shrink, *chunk, results[chunk]).result()
            print(f"reduced: {line}, at step {step}: {shown(config, images)}")
    count = sum(map(len, results.values()))
    equal = count - sum(map(len, differing.values()))
    print(f"{count} configs: {equal} equal in every bit")
    return int(equal < count)


if __name__ == "__main__":
    end_process(exit_status(main))
