# %% [markdown]
# # 4. Side by side: one algorithm, written twice
#
# ## What you will learn
#
# - Block by block, how the same computation looks in Keras and in plain TensorFlow.
# - What each framework decides for you, and what that hides.
# - **The parity ladder**, climbed before your eyes: equal weights, order, noise, outputs, loss,
#   gradients, trained weights. Equal means: no bit differs.
# - What makes the bits agree, and what breaks them: a compiler, a seed, a mean in place of a sum.
# - How fast the two are.
#
# The whole notebook takes about two minutes on two cores. All of it holds for one machine, on its CPU,
# with XLA on both sides; the README says [what is not proved](../README.md).

# %%
# Set-up. On your own machine: nothing to do, after `make setup`. On Colab: fill in the address.
REPOSITORY = ""  # of a copy of this repository, e.g. "https://github.com/YOU/REPOSITORY"

import os
import subprocess
import sys

if "google.colab" in sys.modules:
    if not REPOSITORY:
        raise SystemExit("REPOSITORY is empty: fill in the address of a copy, in the line above")
    if not os.path.exists("vae"):
        subprocess.run(["git", "clone", "--depth", "1", REPOSITORY, "vae"], check=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "-r", "vae/requirements.txt"], check=True)
    sys.path.insert(0, "vae")

from tools import check, fast, show  # first: it keeps TensorFlow's start quiet

# %%
import dataclasses
import inspect
import tempfile
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_vae.batches
import keras_vae.model
import keras_vae.program
import keras_vae.train
import tf_vae.batches
import tf_vae.model
import tf_vae.program
import tf_vae.train
from shared import elbo
from shared.show import pictures
from shared.run.implementation import import_implementation
from shared.config import recipe
from shared.data import load_data
from tools import KeepGradient, block, side_by_side
from shared.measure.programs import differences
from shared.seeds import seed_of
from shared.measure.parity import compare

ours, theirs = import_implementation("keras_vae"), import_implementation("tf_vae")
data = load_data("mnist-5k")

# %% [markdown]
# ## 1. Block by block
#
# Both packages have the same files with the same functions in the same order, and the same comment heads
# each matching block. So we can cut the blocks out of the source and lay them side by side. Keras is at
# the left.


# %%
def both_blocks(module, word):
    """The block `# word` of keras_vae/MODULE.py and of tf_vae/MODULE.py."""
    sources = [
        inspect.getsource(sys.modules[f"{package}.{module}"]) for package in ("keras_vae", "tf_vae")
    ]
    titles = [f"{package}/{module}.py" for package in ("keras_vae", "tf_vae")]
    return side_by_side(*(block(source, word) for source in sources), titles)


both_blocks("model", "encode")

# %% [markdown]
# **Encode.** At the left, layers are objects that make their own weights, and calling one on a symbolic
# input draws an edge of a graph. At the right, weights exist already, under a name, and the code is what
# is computed.
#
# *Keras decides* the names, the moment when weights are made, and where shapes are checked.

# %%
both_blocks("model", "decode")

# %%
both_blocks("model", "sample")

# %% [markdown]
# **Sample.** The greatest difference of style. At the right, the noise is a function of a seed that the
# caller hands in. At the left it is a layer, and what the layer does stands elsewhere:

# %%
print(inspect.getsource(keras_vae.model.Sampling.call))

# %% [markdown]
# A Keras `SeedGenerator` is a *state*: a seed and a counter that moves on with every call. The two implementations
# can only agree because that counter, if nobody else draws from it, is the number of the step. So there are
# two generators, one for training and one for evaluation; with a single one, a validation in between would
# shift all the noise after it.

# %%
both_blocks("model", "objective")

# %% [markdown]
# **Objective.** The same two lines of mathematics, from `shared/elbo.py`: that is the part which has one right
# answer in any framework, and so it is written once.

# %%
both_blocks("train", "update")

# %% [markdown]
# **Update.** Here `fit` hides the most. At the right you see the tape, the gradient, the optimizer's step,
# the running means of the log and the compiled loop. At the left you see `compile`, and none of these.

# %%
titles = ["keras_vae/train.py", "tf_vae/train.py"]
bodies = keras_vae.train._fit, tf_vae.train._loop
side_by_side(*(inspect.getsource(function) for function in bodies), titles)

# %% [markdown]
# **Loop.** At the left the call of `fit`; at the right what it stands for: take an epoch's order, run the
# compiled steps, read the means, evaluate, show a bar. (What the left does after an epoch stands in its callbacks.)
#
# In one table:
#
# | | `keras_vae` | `tf_vae` | who decides |
# |---|---|---|---|
# | weights | layers make them | we make them, by name | Keras: names, and what "glorot" means |
# | noise | a generator with a state | a function of a seed | Keras: when the state moves on |
# | loss | `compute_loss` | a line in the step | Keras: how logs are averaged |
# | gradients, update | inside `fit` | `tape.gradient`, `optimizer.apply` | nobody: the same Keras optimizer |
# | epoch | `steps_per_epoch` | the loop | Keras: when callbacks run |
# | order | a stream of batches | a table of indices | we do: `fit` would shuffle by a rule of its own |
# | compilation | `jit_compile=True` | `tf.function(jit_compile=True)` | we do: "auto" is off on a CPU |
#
# ## 2. The ladder
#
# Are they the same algorithm? We go up rung by rung. A rung says *yes* only where the bytes are the same; no
# tolerance. (`tests/test_parity.py` climbs it on every change of the code, for several models and
# optimizers.)
#
# The post's Keras recipe, with batches of 64: 62 whole ones and a last one of 32 images.

# %%
config = recipe("post-keras", batch_size=64, epochs=fast(10, 3), seed=3)
n, epoch_steps = len(data.x_train), config.steps_per_epoch(len(data.x_train))
ladder = {}


def same_bits(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def rung(name, same):
    """Note a rung and say whether it holds."""
    ladder[name] = bool(same)
    print(f"{name}: bit-identical {'yes' if same else 'NO'}")


def same_weights(a, b):
    return all(each["bit_identical"] for each in compare(a, b).values())


print(f"{n:,} images, {epoch_steps} steps an epoch, {config.epochs} epochs")

# %% [markdown]
# **Rung 1: initial weights**, a function of (seed, name).

# %%
fit_model, tape_model = (v.build(config, data.input_dim) for v in (ours, theirs))
weights, others = ours.gather(fit_model), theirs.gather(tape_model)
print(len(weights), "weights,", f"{sum(w.size for w in weights.values()):,}", "numbers")
rung("1 initial weights", list(weights) == list(others) and same_weights(weights, others))

# %% [markdown]
# **Rung 2: the order of the images**, a function of (seed, epoch). At the left a stream of batches, at the
# right the images and a table of indices. Two epochs, batch by batch.

# %%
stream = keras_vae.batches.training_batches(data.x_train, config)
table = tf_vae.batches.training_batches(data.x_train, config)
from_table = []
for images, orders in islice(table, 2):
    from_table += [tf.gather(images, rows) for order in orders for rows in order]
from_stream = list(islice(iter(stream), len(from_table)))
print(len(from_table), "batches; sizes", sorted({len(batch) for batch in from_table}))
rung(
    "2 order of images", all(same_bits(a, b) for a, b in zip(from_stream, from_table, strict=True))
)

# %% [markdown]
# **Rung 3: the noise**, a function of (seed, step). At the left, a generator that has been told to start at
# step 0 and counts by itself; at the right, the step's number as half of the seed.

# %%
sampling = fit_model.sampling
sampling.start_training_noise(config.seed, 0)
zeros = np.zeros((64, config.latent_dim), np.float32)  # z = 0 + 1 · epsilon
same = True
for step in range(10):
    drawn = sampling([zeros, zeros], training=True)
    same &= same_bits(drawn, tf.random.stateless_normal(zeros.shape, [seed_of(3, "noise"), step]))
print("first epsilon of step 10:", np.array(drawn)[0])
rung("3 noise", same)

# %% [markdown]
# **Rung 4: what encoder and decoder give.**

# %%
(mean, log_var), (other_mean, other_log_var) = (
    ours.encode(fit_model, data.x_test),
    theirs.encode(tape_model, data.x_test),
)
decoded = ours.decode(fit_model, mean), theirs.decode(tape_model, mean)
rung("4 q(z|x)", same_bits(mean, other_mean) and same_bits(log_var, other_log_var))
rung("4 p(x|z)", same_bits(*decoded))

# %% [markdown]
# **Rung 5: the loss and the gradients of the first step.** `fit` doesn't show its gradients. So we give both
# versions an optimizer that keeps the gradient it is handed and moves nothing, and look into their
# checkpoints.


# %%
print(inspect.getsource(KeepGradient))

folder = Path(tempfile.mkdtemp())
one_step = dataclasses.replace(config, epochs=None, steps=1, step_losses=True)
usual, keras.optimizers.SGD = keras.optimizers.SGD, KeepGradient
try:
    kept, first_losses = [], []
    for implementation in (ours, theirs):
        sgd = dataclasses.replace(one_step, optimizer="sgd")
        _, run = implementation.train(
            sgd, data, folder / f"gradient-{implementation.name}", verbose=0
        )
        first_losses.append(np.float32(run.step_losses[0]))
        with np.load(run.checkpoint) as file:
            kept.append({name: file[name] for name in file.files if "/gradient/" in name})
finally:
    keras.optimizers.SGD = usual

print(
    "loss:",
    *first_losses,
    "nats;",
    len(kept[0]),
    "gradients, the largest entry",
    f"{max(np.abs(gradient).max() for gradient in kept[0].values()):.3f}",
)
rung("5 loss", same_bits(*first_losses))
rung("5 gradients", same_weights(*kept))

# %% [markdown]
# **Rung 6: the weights after one step**, now with the recipe's own RMSprop.

# %%
(fit, _), (tape, _) = (
    implementation.train(one_step, data, verbose=0) for implementation in (ours, theirs)
)
rung("6 weights after a step", same_weights(ours.gather(fit), theirs.gather(tape)))

# %% [markdown]
# **Rung 7: after an epoch**, the last batch of which is smaller than the others. One run of several epochs in
# each implementation serves this rung and the next; its folder keeps the weights of epoch 1.

# %%
whole = dataclasses.replace(config, picture_epochs=(1,), step_losses=True)
(fit, fit_run), (tape, tape_run) = (
    implementation.train(whole, data, folder / implementation.name, verbose=0)
    for implementation in (ours, theirs)
)
after_one = [
    implementation.load(folder / implementation.name, epoch=1)[0]
    for implementation in (ours, theirs)
]
rung(
    "7 weights after an epoch", same_weights(ours.gather(after_one[0]), theirs.gather(after_one[1]))
)

# %% [markdown]
# **Rung 8: after several epochs**, with the loss of every step on the way, and the evaluation. The evaluation draws
# noise too, a function of (seed, sample, batch), so that it disturbs no training.

# %%
losses, others = fit_run.step_losses, tape_run.step_losses
print(f"{len(losses)} steps; losses {losses[0]:.3f}, {losses[1]:.3f}, … {losses[-1]:.3f}")
rung("8 loss of every step", losses == others)
rung(f"8 weights after {config.epochs} epochs", same_weights(ours.gather(fit), theirs.gather(tape)))

measured = ours.evaluate(fit, data.x_test, config), theirs.evaluate(tape, data.x_test, config)
print({name: round(value, 6) for name, value in measured[0].items()})
rung("8 evaluation", measured[0] == measured[1])

# %% [markdown]
# **Rung 9: a relay.** `keras_vae` runs one epoch and stops; `tf_vae` finds the folder and finishes. Against the
# run that nothing disturbed:

# %%
begun = dataclasses.replace(config, epochs=1)
ours.train(begun, data, folder / "relay", verbose=0)
relayed, run = theirs.train(config, data, folder / "relay", resume=True, verbose=0)
print("trained by", " then ".join(run.trained_by))
rung("9 relay", same_weights(theirs.gather(relayed), theirs.gather(tape)))

# %%
print("\n".join(f"{'yes' if same else 'NO ':4} {name}" for name, same in ladder.items()))
print(f"{sum(ladder.values())} of {len(ladder)} rungs hold")

# %% [markdown]
# What makes it possible is one rule: **randomness is a function, never a state**. Order = f(seed, epoch), noise
# = f(seed, step), weights = f(seed, name). Then it does not matter who draws, when, or after what.
#
# ### Two styles, one program
#
# The ladder is an experiment on one config. The reason behind it can be shown too. XLA is handed a program for
# each implementation: `fit`'s step, and the body of our loop. `step_program` reads it and leaves out what says nothing about
# the numbers: names, the order of independent instructions, and whole numbers that depend on whole numbers alone
# (the seed of the noise, counters). What is left can be compared, before XLA optimizes it and after.

# %%
programs = {}
for stage in ("before", "after"):
    pair = [
        module.step_program(config, len(data.x_train), data.input_dim, config.batch_size, stage)
        for module in (keras_vae.program, tf_vae.program)
    ]
    programs[stage] = differences(*pair)
    print(f"{stage} XLA optimizes: {len(pair[1].results)} results, made of the same instructions:")
    print("   ", "yes" if not programs[stage] else programs[stage])

# %% [markdown]
# The results are the new weights, the optimizer's slots and the running means of the log. Each is made by the same
# instructions from the same inputs, so on one machine the bits *must* be equal, whatever the numbers are.
#
# And when the two styles do hand over different programs? Here we add the bias by a plain `+` in our version, where
# `Dense` uses `bias_add`. The lines are the instructions that only one of the two has, `-` for Keras and `+` for
# ours. The *sum* in the bias' gradient is another one; and since a `+` may broadcast, TensorFlow works out some
# lengths that it knew before.


# %%
def plain_plus(h, kernel, bias):
    return tf.matmul(h, kernel) + bias


theirs_dense, tf_vae.model.dense = tf_vae.model.dense, plain_plus
try:
    pair = [
        module.step_program(config, len(data.x_train), data.input_dim, config.batch_size)
        for module in (keras_vae.program, tf_vae.program)
    ]
finally:
    tf_vae.model.dense = theirs_dense
print("\n".join(differences(*pair)))

# %% [markdown]
# `make parity COUNT=1000` trains both implementations on a thousand random configs and data sets and compares every bit.
#
# A warning about such proofs: they cannot find an error that *both* versions have, and the mathematics is shared.
# So the tests compute all of it once more, in NumPy, in float64, with gradients by hand
# (`tests/oracle.py`).
#
# ## 3. What breaks the bits
#
# Bits are a strict judge. To see how strict, we take the loop by hand, as in notebook 3, and change one thing at
# a time. What changes is handed in: the loss, as a function of the model, the images and the noise.

# %%
config = recipe("post-keras", steps=fast(400, 10))
watched = [s for s in (1, 2, 5, 10, 20, 40, 100, 200, 300, 400) if s <= config.steps]
stream = iter(keras_vae.batches.training_batches(data.x_train, config))
batches = list(islice(stream, config.steps))


def by_hand(config, loss_of, compiled=True):
    """The weights after each watched number of steps: {steps: {name: array}}."""
    model = theirs.build(config, data.input_dim)
    variables = list(model.named_weights.values())
    optimizer = keras.optimizers.RMSprop(config.learning_rate)
    optimizer.build(variables)

    def step(x, noise_seed):
        with tf.GradientTape() as tape:
            loss = loss_of(model, x, noise_seed)
        optimizer.apply(tape.gradient(loss, variables), variables)

    step = tf.function(step, jit_compile=True) if compiled else step
    found, noise = {}, seed_of(config.seed, "noise")
    for number in range(config.steps):
        step(batches[number], tf.constant([noise, number]))
        if number + 1 in watched:
            found[number + 1] = theirs.gather(model)
    return found


def distance(a, b):
    """The largest |difference| of any weight, at each watched number of steps."""
    worst = {s: max(w["max_abs_difference"] for w in compare(a[s], b[s]).values()) for s in a}
    return np.array([worst[s] for s in watched])


def as_it_is(model, x, noise_seed):
    return elbo.negative_elbo(**model(x, noise_seed))


loop = by_hand(config, as_it_is)
fit, _ = ours.train(config, data, verbose=0)
same = same_weights(loop[config.steps], ours.gather(fit))
print(
    f"the loop by hand and fit after {config.steps} steps: bit-identical {'yes' if same else 'NO'}"
)

# %% [markdown]
# The loop by hand is our measure from here on.
#
# ### A mean in place of a sum
#
# On paper, a sum over 784 pixels is 784 times their mean. We write the step out with the log-likelihood of
# *each pixel*, and take them together in three ways: by a sum, as before; by 784 times the mean; and by the mean
# *without* the factor, a well-known mistake and another model (as in notebook 1: β = 784).


# %%
def pixel_by_pixel(together):
    """The loss, where `together` makes an image's log-likelihood of (batch, 784) those of its pixels."""

    def loss_of(model, x, noise_seed):
        z_mean, z_log_var = model.encoder(x)
        epsilon = tf.random.stateless_normal(tf.shape(z_mean), noise_seed)
        logits = model.decoder(elbo.reparameterize(z_mean, z_log_var, epsilon))["logits"]
        each = [tf.reshape(values, (-1, 1)) for values in (x, logits)]
        pixels = tf.reshape(elbo.bernoulli_log_likelihood(*each), tf.shape(x))
        kl = elbo.kl_to_standard_normal(z_mean, z_log_var)
        return elbo.negative_elbo(together(pixels), kl)

    return loss_of


ways = {
    "sum of the pixels": lambda pixels: tf.reduce_sum(pixels, axis=1),
    "784 · mean of the pixels": lambda pixels: 784 * tf.reduce_mean(pixels, axis=1),
    "mean, without the factor": lambda pixels: tf.reduce_mean(pixels, axis=1),
}
away = {
    name: distance(by_hand(config, pixel_by_pixel(way)), loop)
    for name, way in fast(list(ways.items()), list(ways.items())[:1])
}

# %% [markdown]
# ### Another seed
#
# Of the initial weights, of the noise; the order stays as it was.

# %%
away["another seed"] = distance(by_hand(dataclasses.replace(config, seed=1), as_it_is), loop)

# %% [markdown]
# ### Without XLA
#
# Both implementations again, each without the compiler: `fit` with `jit_compile=False`, the loop eagerly. The two are
# compared *with each other*: same weights, same order, same noise.


# %%
def fit_without_xla(config):
    """What by_hand gives, by `fit`."""
    model = ours.build(config, data.input_dim)
    model.compile(optimizer=keras.optimizers.RMSprop(config.learning_rate), jit_compile=False)
    found = {}

    def note(batch, logs):
        if batch + 1 in watched:
            found[batch + 1] = ours.gather(model)

    model.fit(
        keras_vae.batches.training_batches(data.x_train, config),
        steps_per_epoch=config.steps,
        callbacks=[
            keras_vae.train.Noise(config.seed, 0),
            keras.callbacks.LambdaCallback(on_train_batch_end=note),
        ],
        shuffle=False,
        verbose=0,
    )
    return found


tf.config.run_functions_eagerly(True)
try:
    eager = by_hand(config, as_it_is, compiled=False)
finally:
    tf.config.run_functions_eagerly(False)
plain_fit = fit_without_xla(config)
away["XLA off: fit against the loop"] = distance(plain_fit, eager)
away["the loop, XLA off against XLA on"] = distance(eager, loop)

# %%
print(f"{'largest |difference| of a weight; steps':42}" + "".join(f"{step:>9}" for step in watched))
for name, values in away.items():
    print(f"{name:42}" + "".join(f"{value:9.0e}" for value in values))

# %%
text = f"post-keras · {data.name} · how far two runs are apart in any weight"
lines = {name: np.where(values > 0, values, np.nan) for name, values in away.items()}
show(pictures.curves(np.array(watched), lines, text, "step", "largest |difference|", log="xy"))

# %% [markdown]
# From the top of the picture downward:
#
# - **Another seed** is another model from the start. (Two models with other weights may be equally good: this measures
#   bits, not quality.)
# - **The mean without the factor**: RMSprop hides the wrong size of the gradients at first, but the weight of the KL is
#   wrong by 784, and the run goes elsewhere.
# - **XLA off against XLA on** looks as bad, and there is a plain reason: compiled, the same seed draws other noise. Each
#   is right; they are two runs.
# - **XLA off on both sides**: noise and order agree again, and the first step differs by $10^{-8}$, the last digit of
#   float32. The two frameworks add up in another order, and no one promised them the same one.
# - **A sum of the pixels, written out**: the very formula, only arranged otherwise, and the compiler makes other sums
#   of it. To take 784 times the mean *changes nothing more*; the two lines lie on each other, because the
#   compiler turns one into the other.
#
# The last three begin in the last digit, and for 200 steps they grow slowly. Then they jump, by a factor of ten thousand.
# We looked: it starts with one or two hidden units, and twenty steps later it is everywhere. A relu that is just above 0
# in one run and just below in the other gives a gradient in the one and none in the other, and that is no longer
# rounding.
#
# So this is what "nearly the same" comes to after a few hundred steps, and why the ladder asks for bits. With a tolerance
# of $10^{-6}$ a real mistake can pass on the first step, and a sound program fails on the four-hundredth.
#
# ## 4. Speed
#
# One epoch of each, training alone, by the clock of the ladder's run: the fastest of its epochs, as a disturbance
# only ever adds time. The first two compile and do not count.

# %%
seconds = {
    name: min(row["seconds"] for row in run.history[2:])
    for name, run in (("keras_vae", fit_run), ("tf_vae", tape_run))
}
ratio = seconds["keras_vae"] / seconds["tf_vae"]
print(f"an epoch of fit takes {ratio:.1f} times as long as one of the compiled loop, here and now")

# %% [markdown]
# Do not read much into it. An epoch of 63 steps is over in a blink, and a busy machine decides which of the two is
# ahead: executions of this cell have given 0.8 and 1.1. On MNIST, with 20 epochs of each, the README has 1.25 in favour
# of the loop, and both more than twice as fast as `fit` the way tutorials write it. What `fit` does beside the steps
# (it asks for batches, calls back, keeps logs) costs little once a call runs many steps.
#
# So which style should you use? `fit` where its decisions suit you: it is shorter, and as exact. The loop where
# you must see the step, as in notebook 3, or change it.

# %% [markdown]
# ## Exercises
#
# Fill in an answer and run the cell; it tells you whether it is right.
#
# **Exercise 1.** The reason behind section 3: give three numbers whose float32 sum depends on the order, that is
# $(a + b) + c \ne a + (b + c)$.

# %%
answer_1 = None  # your answer, three numbers: (a, b, c)


def depends_on_order(a, b, c):
    a, b, c = map(np.float32, (a, b, c))
    total = (a + b) + c, a + (b + c)
    return bool(np.isfinite(total).all() and total[0] != total[1])


check(
    "exercise 1",
    answer_1,
    lambda numbers: depends_on_order(*numbers),
    "Float32 keeps some seven digits. What becomes of a small number beside a large one?",
)

# %% [markdown]
# **Exercise 2.** A run on 4,000 images with batches of 64 was stopped after three epochs and is resumed. With
# which number of a step does its noise go on? (The first step of all is 0.)

# %%
answer_2 = None  # your answer, a whole number

steps_of_three = recipe("post-keras", batch_size=64, epochs=3).total_steps(4000)
check(
    "exercise 2",
    answer_2,
    lambda step: step == steps_of_three,
    "Count the smaller batches too; and the first step was number 0.",
)

# %% [markdown]
# **Exercise 3.** Why bytes are compared, and not `==`: give two numbers or arrays that `np.array_equal` calls equal
# and `same_bits` does not.

# %%
answer_3 = None  # your answer, two numbers or arrays: (a, b)


def bytes_differ(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes()


check(
    "exercise 3",
    answer_3,
    lambda pair: np.array_equal(pair[0], pair[1]) and bytes_differ(pair[0], pair[1]),
    "Which number has two signs? Or: which numbers have two types?",
)

# %% [markdown]
# **Exercise 4.** A weight of about 0.05 differs between two implementations by $3.7 \cdot 10^{-9}$ after one step. How many steps of
# float32 is that, at 0.05? (`np.spacing` knows the distance to the next number.) Then judge: a bug, or rounding?

# %%
answer_4 = None  # your answer, a whole number

check(
    "exercise 4",
    answer_4,
    lambda count: count == round(3.7e-9 / float(np.spacing(np.float32(0.05)))),
    "The spacing of float32 at 0.05, not of float64, and not at 1.",
)
