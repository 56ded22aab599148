# %% [markdown]
# # 4. Side by side: one algorithm, written twice
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/04_side_by_side.ipynb)
#
# ## What you will learn
#
# - How the same computation looks in Keras and in plain TensorFlow, block by block.
# - What each framework decides for you.
# - **The parity ladder**: the two implementations have equal weights, order of images, noise, outputs, loss,
#   gradients and trained weights. Equal means equal in every bit.
# - What makes the bits equal, and what changes them: a compiler, a seed, a mean in place of a sum.
# - How fast the two are.
#
# The notebook takes about two minutes on two cores. Its results hold on a CPU (Linux, x86-64), with both
# implementations compiled by XLA; [docs/proof.md](../docs/proof.md#what-is-proved-and-its-limits) says what is not proved.

# %%
# @title Set-up. On your own machine there is nothing to do; on Colab and Kaggle, run this cell.
REPOSITORY = ""  # the address of a copy, which `notebooks/address.py` fills in; Colab may know it
import os
import re
import subprocess
import sys

away = "google.colab" in sys.modules or "KAGGLE_KERNEL_RUN_TYPE" in os.environ
if away and not os.path.exists("hosted.py"):  # the notebook was opened alone: get the project
    if not os.path.exists("vae/notebooks/hosted.py"):
        if not REPOSITORY:  # Colab's list of sessions says from where it opened the notebook
            server = "http://${COLAB_JUPYTER_IP:-172.28.0.12}:${KMP_TARGET_PORT:-9000}"
            sessions = subprocess.getoutput(f"curl -s -m 5 {server}/api/sessions")
            opened = re.search(r"github\.com/[\w.-]+/[\w.-]+(?=/blob/)", sessions)
            REPOSITORY = f"https://{opened[0]}" if opened else ""
        if not REPOSITORY:
            sys.exit("REPOSITORY is empty: fill in the address of a copy of the project")
        if subprocess.run(["git", "clone", "--depth", "1", REPOSITORY, "vae"]).returncode:
            sys.exit(f"{REPOSITORY} was not downloaded to vae; on Kaggle, switch Internet on")
    sys.path.insert(0, os.path.abspath("vae/notebooks"))
    import hosted

    hosted.prepare()

# %%
# The tools come first: they keep TensorFlow's start quiet.
from tools import KeepGradient, block, fast, show, side_by_side
from exercises import check

import dataclasses
import inspect
import sys
import tempfile
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_vae.batches
import keras_vae.beyond.program
import keras_vae.model
import keras_vae.train
import tf_vae.batches
import tf_vae.beyond.program
import tf_vae.model
import tf_vae.train
from shared import elbo
from shared.command.implementation import import_implementation
from shared.config import recipe
from shared.data import load_data
from shared.measure.parity import compare
from shared.measure.programs import differences
from shared.seeds import seed_of
from shared.show.figures import lessons
from shared.training import frame
from shared.training.optimizer import build_optimizer

ours, theirs = import_implementation("keras_vae"), import_implementation("tf_vae")
data = load_data("mnist-5k")

# %% [markdown]
# ## 1. Block by block
#
# Both packages have the modules `model`, `batches`, `train`, `evaluate` and `checkpoint`, with the same public
# functions. In `model.py` and in `train.py`, the matching blocks have the same headings in the same order: comments of
# one word. So we can take the blocks from the source and show them side by side, with Keras on the left.


# %%
def both_blocks(module, word):
    """Shows the block `# word` of keras_vae/MODULE.py and of tf_vae/MODULE.py side by side."""
    sources = [
        inspect.getsource(sys.modules[f"{package}.{module}"]) for package in ("keras_vae", "tf_vae")
    ]
    titles = [f"{package}/{module}.py" for package in ("keras_vae", "tf_vae")]
    return side_by_side(*(block(source, word) for source in sources), titles)


both_blocks("model", "encode")

# %% [markdown]
# **Encode.** On the left, layers are objects that create their own weights, and a call of a layer on a symbolic
# input adds it to a graph. On the right, the weights exist already, by name, and the code is the computation.
#
# *Keras decides* the names of the weights, when they are created, and where shapes are checked.

# %%
both_blocks("model", "decode")

# %%
both_blocks("model", "sample")

# %% [markdown]
# **Sample.** This block shows the greatest difference in style. On the right, the noise is a function of a seed,
# which is an argument. On the left it is a layer, whose `call` is defined elsewhere:

# %%
print(inspect.getsource(keras_vae.model.Sampling.call))

# %% [markdown]
# A Keras `SeedGenerator` has a *state*: a seed and a counter that increases with every call. The two implementations
# can only agree because this counter, if nothing else draws from the generator, is the number of the step. So there
# are two generators, one for training and one for evaluation; with a single generator, a validation would change
# all noise after it.

# %%
both_blocks("model", "objective")

# %% [markdown]
# **Objective.** Both sides call the same function, `terms_of` in `shared/objective.py`; on the left, the layer
# `Objective` calls it. The formulas are in `shared/elbo.py`. The mathematics has one right result in any framework, so
# it is written once.

# %%
both_blocks("train", "step")

# %% [markdown]
# **Step.** This is where `fit` does the most for you. On the right, `train_step` is the whole step: the tape, the loss,
# the gradients, the update by the optimizer. `Steps` compiles it, in a loop over the batches of a call, and keeps the
# running means of the log. On the left you see `compile`, and none of these: Keras writes the step. What we give it is
# the loss (`compute_loss` in `keras_vae/model.py`; it ends in `objective_loss`, which `train_step` calls, too) and the
# number of steps per call, which must divide every epoch.

# %%
both_blocks("train", "loop")

# %% [markdown]
# **Loop.** On the left is the call of `fit`, on the right what `fit` does: take the order of an epoch, run the compiled
# steps, read the means, evaluate, show a progress bar. The functions have the same name, `run_epochs`, and train what is
# left of a run.
#
# Neither side records an epoch itself. Both tell an `EpochRecord` (`shared/training/record.py`) what they have computed:
# `begin` at the start of an epoch, `add` after each compiled call, `finish` at the end; on the left, the callback
# `Recorder` does it. The record measures the seconds, collects the losses of the steps, writes the checkpoints and adds
# a row to the history. So the two cannot record an epoch differently.

# %%
both_blocks("train", "train")

# %% [markdown]
# **Train.** Each file ends by naming its parts, from which `train_with` makes the function `train`. What surrounds the
# parts is written once, in `shared/training/frame.py`, also under headings:

# %%
source = inspect.getsource(frame)
print(*(block(source, word) for word in ("build", "restore", "loop", "finish")), sep="\n\n")

# %% [markdown]
# So this is *shared*: the formulas and the objective, the optimizer, the running means, the record of an epoch, this
# frame, the folder of a run. And this is *written twice*, because each framework has its own style for it: the model,
# the batches, the step, the loop, the evaluation.
#
# The differences in one table:
#
# | | `keras_vae` | `tf_vae` | who decides |
# |---|---|---|---|
# | weights | created by layers | created by us, by name | Keras: names, and what "glorot" means |
# | noise | a generator with a state | a function of a seed | Keras: when the state advances |
# | loss | `compute_loss` | a line in the step | Keras: how logs are averaged |
# | gradients, update | inside `fit` | `tape.gradient`, `optimizer.apply` | nobody: both use the same Keras optimizer |
# | several steps per call | `steps_per_execution` | a `while` loop in a `tf.function` | we do: at most 128 |
# | epoch | `steps_per_epoch` | the loop | Keras: when callbacks run |
# | order | a stream of batches | a table of indices | we do: `fit` would shuffle in its own way |
# | compilation | `jit_compile=True` | `tf.function(jit_compile=True)` | we do: "auto" does not use XLA on a CPU |
#
# ## 2. The ladder
#
# Are they the same algorithm? We compare them rung by rung, from the initial weights to the trained ones. A rung says
# *yes* only if the bytes are equal; there is no tolerance. (`tests/implementations/test_parity.py` makes these
# comparisons for several models and optimizers whenever the tests run.)
#
# The example is the post's Keras recipe with batches of 64: 62 whole batches, and a last one of 32 images.

# %%
config = recipe("post-keras", batch_size=64, epochs=fast(10, 3), seed=3)
n, epoch_steps = len(data.x_train), config.steps_per_epoch(len(data.x_train))
ladder = {}


def same_bits(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def rung(name, same):
    """Records and prints whether a rung holds."""
    ladder[name] = bool(same)
    print(f"{name}: bit-identical {'yes' if same else 'NO'}")


def same_weights(a, b):
    return all(each["bit_identical"] for each in compare(a, b).values())


print(f"{n:,} images, {epoch_steps} steps per epoch, {config.epochs} epochs")

# %% [markdown]
# **Rung 1: the initial weights** are a function of (seed, name).

# %%
fit_model, tape_model = (v.build(config, data.input_dim) for v in (ours, theirs))
weights, others = ours.gather(fit_model), theirs.gather(tape_model)
print(len(weights), "weights,", f"{sum(w.size for w in weights.values()):,}", "numbers")
rung("1 initial weights", list(weights) == list(others) and same_weights(weights, others))

# %% [markdown]
# **Rung 2: the order of the images** is a function of (seed, epoch). On the left it is a stream of batches, on the right
# the images and a table of indices. We compare two epochs, batch by batch.

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
# **Rung 3: the noise** is a function of (seed, step). On the left, a generator is set to start at step 0 and then counts
# by itself; on the right, the step is the second half of the seed.

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
# **Rung 4: the outputs of the encoder and the decoder.**

# %%
(mean, log_var), (other_mean, other_log_var) = (
    ours.encode(fit_model, data.x_test),
    theirs.encode(tape_model, data.x_test),
)
decoded = ours.decode(fit_model, mean), theirs.decode(tape_model, mean)
rung("4 q(z|x)", same_bits(mean, other_mean) and same_bits(log_var, other_log_var))
rung("4 p(x|z)", same_bits(*decoded))

# %% [markdown]
# **Rung 5: the loss and the gradients of the first step.** `fit` does not return its gradients. So we give both
# implementations an optimizer that stores the gradient and changes no weight, and read the gradients from their
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
        with np.load(run.directory / "checkpoints" / "last.npz") as file:
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
# **Rung 6: the weights after one step**, now with RMSprop, the optimizer of the recipe.

# %%
(fit, _), (tape, _) = (
    implementation.train(one_step, data, verbose=0) for implementation in (ours, theirs)
)
rung("6 weights after a step", same_weights(ours.gather(fit), theirs.gather(tape)))

# %% [markdown]
# **Rung 7: the weights after one epoch**, whose last batch is smaller than the others. One run of several epochs in each
# implementation is used for this rung and the next; its folder holds the weights of epoch 1.

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
# **Rung 8: after several epochs**, with the loss of every step and the evaluation. The noise of an evaluation is a
# function of (seed, sample, batch), so an evaluation does not affect the training.

# %%
losses, others = fit_run.step_losses, tape_run.step_losses
print(f"{len(losses)} steps; losses {losses[0]:.3f}, {losses[1]:.3f}, … {losses[-1]:.3f}")
rung("8 loss of every step", losses == others)
rung(f"8 weights after {config.epochs} epochs", same_weights(ours.gather(fit), theirs.gather(tape)))

measured = ours.evaluate(fit, data.x_test, config), theirs.evaluate(tape, data.x_test, config)
print({name: round(value, 6) for name, value in measured[0].items()})
rung("8 evaluation", measured[0] == measured[1])

# %% [markdown]
# **Rung 9: a relay.** `keras_vae` trains one epoch and stops; `tf_vae` resumes from the folder and finishes. The result is
# compared with an uninterrupted run:

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
# One rule makes this possible: **every random number is a function of the seed and of where it is used**. Order =
# f(seed, epoch), noise = f(seed, step), weights = f(seed, name). Then the result does not depend on which
# implementation draws the numbers, or on what was drawn before.
#
# ### Two styles, one program
#
# The ladder is an experiment with one config. The reason for its result can be shown, too. Each implementation gives XLA
# a program: the step of `fit`, and the body of our loop. `step_program` reads this program and removes what has no
# influence on the numbers: names, the order of independent instructions, and integers that depend only on integers (the
# seed of the noise, counters). The rest can be compared, before and after XLA optimizes it.

# %%
programs = {}
for stage in ("before", "after"):
    pair = [
        module.step_program(config, len(data.x_train), data.input_dim, config.batch_size, stage)
        for module in (keras_vae.beyond.program, tf_vae.beyond.program)
    ]
    programs[stage] = differences(*pair)
    print(f"{stage} XLA optimizes: {len(pair[1].results)} results, made of the same instructions:")
    print("   ", "yes" if not programs[stage] else programs[stage])

# %% [markdown]
# The results are the new weights, the optimizer's slots and the running means of the log. Each is computed by the same
# instructions from the same inputs, so on one machine the bits *must* be equal, whatever the inputs are.
#
# After optimization this needs one setting. By default XLA moves constants out of our loop, where it cannot simplify
# what they are multiplied with; the step of `fit` has no loop. A search over random configs found a few in which this
# changed bits, so `shared/machine/arithmetic.py` disables this optimization pass (`while-loop-invariant-code-motion`).
#
# What does a difference look like? Here we add the bias with `+` in `tf_vae`, where `Dense` uses `bias_add`. The lines
# are the instructions that only one of the two programs has, `-` for Keras and `+` for TensorFlow. The *sum* in the
# gradient of the bias differs; and since `+` may broadcast, TensorFlow computes some lengths that were known before.


# %%
def plain_plus(h, kernel, bias):
    return tf.matmul(h, kernel) + bias


theirs_dense, tf_vae.model.dense = tf_vae.model.dense, plain_plus
try:
    pair = [
        module.step_program(config, len(data.x_train), data.input_dim, config.batch_size)
        for module in (keras_vae.beyond.program, tf_vae.beyond.program)
    ]
finally:
    tf_vae.model.dense = theirs_dense
print("\n".join(differences(*pair)))

# %% [markdown]
# `make parity COUNT=1000` trains both implementations on a thousand random configs and data sets and compares every bit.
#
# Such a proof cannot find an error that *both* implementations have, and they share the mathematics. So the tests
# compute everything once more with NumPy, in float64, with gradients derived by hand (`tests/helpers/oracle.py`).
#
# ## 3. What changes the bits
#
# Equality of bits is a strict criterion. To see how strict, we use the loop by hand, as in notebook 3, and change one
# thing at a time. The changed part is an argument: the loss, as a function of the model, the images and the noise.

# %%
config = recipe("post-keras", steps=fast(400, 10))
watched = [s for s in (1, 2, 5, 10, 20, 40, 100, 200, 300, 400) if s <= config.steps]
stream = iter(keras_vae.batches.training_batches(data.x_train, config))
batches = list(islice(stream, config.steps))


def by_hand(config, loss_of, compiled=True):
    """Returns the weights after each watched number of steps: {steps: {name: array}}."""
    model = theirs.build(config, data.input_dim)
    variables = list(model.named_weights.values())
    optimizer = build_optimizer(config, len(data.x_train), variables)

    def update(x, noise_seed):
        with tf.GradientTape() as tape:
            loss = loss_of(model, x, noise_seed)
        optimizer.apply(tape.gradient(loss, variables), variables)

    update = tf.function(update, jit_compile=True) if compiled else update
    weights, noise = {}, seed_of(config.seed, "noise")
    for number in range(config.steps):
        update(batches[number], tf.constant([noise, number]))
        if number + 1 in watched:
            weights[number + 1] = theirs.gather(model)
    return weights


def distance(a, b):
    """Returns the largest |difference| of any weight after each watched number of steps."""
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
# From here on, all runs are compared with this loop by hand.
#
# ### A mean in place of a sum
#
# Mathematically, a sum over 784 pixels is 784 times their mean. We write the step with the log-likelihood of *each
# pixel* and reduce it in three ways: by a sum, as before; by 784 times the mean; and by the mean *without* the factor,
# which is a well-known mistake and a different model: it is β = 784, which notebook 5 trains. (With the KL averaged
# over the two latents as well, it is notebook 1's β = 392.)


# %%
def pixel_by_pixel(together):
    """Returns the loss with `together`, which reduces log-likelihoods (batch, 784) to (batch,)."""

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
# The seed changes the initial weights and the noise; the order of the images stays the same.

# %%
away["another seed"] = distance(by_hand(dataclasses.replace(config, seed=1), as_it_is), loop)

# %% [markdown]
# ### Without XLA
#
# Now both implementations run without the compiler: `fit` with `jit_compile=False`, and the loop eagerly. The two are
# compared *with each other*: same weights, same order, same noise.


# %%
def fit_without_xla(config):
    """Returns the same as `by_hand`, by `fit`."""
    model = ours.build(config, data.input_dim)
    optimizer = build_optimizer(config, len(data.x_train), model.trainable_variables)
    model.compile(optimizer=optimizer, jit_compile=False)
    weights = {}

    def note_weights(batch, logs):
        if batch + 1 in watched:
            weights[batch + 1] = ours.gather(model)

    model.fit(
        keras_vae.batches.training_batches(data.x_train, config),
        steps_per_epoch=config.steps,
        callbacks=[
            keras_vae.train.Noise(config.seed, 0),
            keras.callbacks.LambdaCallback(on_train_batch_end=note_weights),
        ],
        shuffle=False,
        verbose=0,
    )
    return weights


def both_without_xla(config):
    """Returns the weights of `fit` and of the eager loop at the watched steps."""
    tf.config.run_functions_eagerly(True)
    try:
        eager = by_hand(config, as_it_is, compiled=False)
    finally:
        tf.config.run_functions_eagerly(False)
    return fit_without_xla(config), eager


plain_fit, eager = both_without_xla(config)
away["XLA off: fit against the loop"] = distance(plain_fit, eager)
keras_3 = dataclasses.replace(config, rmsprop_epsilon="inside")
keras_3_runs = both_without_xla(keras_3)
away["the same, with Keras 3's RMSprop"] = distance(*keras_3_runs)
away["the loop, XLA off against XLA on"] = distance(eager, loop)

# %%
print(f"{'largest |difference| of a weight; steps':42}" + "".join(f"{step:>9}" for step in watched))
for name, values in away.items():
    print(f"{name:42}" + "".join(f"{value:9.0e}" for value in values))

# %%
text = f"post-keras · {data.name} · largest difference of two runs in any weight"
lines = {name: np.where(values > 0, values, np.nan) for name, values in away.items()}
show(lessons.curves(np.array(watched), lines, text, "step", "largest |difference|", log="xy"))

# %%
kernel = "encoder/hidden_1/kernel"
print(
    "step   weights of the kernel apart by more than 1e-5, and the hidden units that they belong to"
)
for step in watched:
    apart = np.abs(keras_3_runs[0][step][kernel] - keras_3_runs[1][step][kernel]) > 1e-5
    print(
        f"{step:4} {apart.sum():8,} of {apart.size:,} {apart.any(axis=0).sum():6} of {apart.shape[1]}"
    )

# %% [markdown]
# From the top of the figure downward:
#
# - **Another seed** gives another model from the start. (Two models with different weights may be equally good: this
#   figure compares bits, not quality.)
# - **The mean without the factor**: the gradients have another size and another direction, because the weight of the KL
#   is wrong by a factor of 784. RMSprop divides the size away: in its first step every weight moves by the same
#   length, up or down. After this step the largest difference, 6e-03, is already as large as it can be: two lengths, of
#   weights that moved in opposite directions. So RMSprop makes up for the size of the gradients, and for nothing else.
# - **XLA off against XLA on** differs as much, for a simple reason: a compiled function draws other noise from the same
#   seed. Both are right; they are two different runs.
# - **XLA off on both sides, with Keras 3's form of RMSprop**: after the first step the weights differ by $10^{-8}$, in the last
#   digit of float32. In a graph, TensorFlow computes $g / \sqrt{a + \varepsilon}$ as $g \cdot \mathrm{rsqrt}(a + \varepsilon)$;
#   in the eager loop it does not. With Keras 2's form, $g / (\sqrt a + \varepsilon)$, there is nothing to rewrite, and **the
#   two are equal in every bit** (their differences are 0, so the line is not in the figure). This is one
#   experiment with one network; without XLA nothing more is proved.
# - **A sum of the pixels, written out**: the same formula in other operations, and the compiler computes other sums.
#   784 times the mean *changes nothing more*; the two lines are equal, because the compiler converts one into the other.
#
# The last three start with a difference in the last digit, which is about $10^{-6}$ at most after 100 steps. Then it
# becomes thousands of times as large: by step 200 with Keras 3's form of RMSprop, by step 300 with the sums. The last
# table shows where it is in the first of them: in more than half of the hidden units. This is a **butterfly effect**,
# and not the growth of rounding errors. A relu that is slightly above 0 in one run and slightly below 0 in the other
# has a gradient in one run and none in the other. At a pixel that few images use, that is the whole gradient of a
# weight, and RMSprop, which divides a gradient by its own size, turns it into a whole step.
# ([docs/scaling.md](../docs/scaling.md#several-workers) has another case, and names such a pixel and its hidden unit.)
#
# So "nearly equal" does not last for a few hundred steps, and this is why the ladder compares bits. With a tolerance of
# $10^{-6}$, a real error can pass at the first step, and a correct program fails at the four-hundredth.
#
# ## 4. Speed
#
# We compare one epoch of each, training only, with the times of the run of rung 8: the fastest of its epochs, because
# other processes can only add time. The first two epochs include compilation and do not count.

# %%
seconds = {
    name: min(row["seconds"] for row in run.history[2:])
    for name, run in (("keras_vae", fit_run), ("tf_vae", tape_run))
}
ratio = seconds["keras_vae"] / seconds["tf_vae"]
print(f"in this run, one epoch of fit takes {ratio:.1f} times as long as one of the compiled loop")

# %% [markdown]
# This number is uncertain. An epoch of 63 steps is very short, and on a busy machine either of the two can be faster.
# The [results](../docs/results.md#speed) have a better measurement on MNIST, with many epochs of each, beside `fit` as
# most tutorials use it. What `fit` does besides the steps (requesting batches, running callbacks, keeping logs) takes
# little time if one call runs many steps.
#
# Which style should you use? Use `fit` if its decisions suit you: it is shorter, and just as exact. Use the loop if
# you need to see the step, as in notebook 3, or to change it.

# %% [markdown]
# ## Exercises
#
# Enter an answer and run the cell; it tells you whether the answer is right.
#
# **Exercise 1.** This is the reason for the differences in section 3: give three numbers whose float32 sum depends on the
# order, so that $(a + b) + c \ne a + (b + c)$.

# %%
answer_1 = None  # your answer, three numbers: (a, b, c)

check("04.1", answer_1)

# %% [markdown]
# **Exercise 2.** A run on 4,000 images with batches of 64 was stopped after three epochs and is resumed. What is the
# number of the step whose noise it draws first? (The first step of all has number 0.)

# %%
answer_2 = None  # your answer, a whole number

check("04.2", answer_2)

# %% [markdown]
# **Exercise 3.** Why do we compare bytes and not use `==`? Give two numbers or arrays that are equal for
# `np.array_equal`, but not for `same_bits`.

# %%
answer_3 = None  # your answer, two numbers or arrays: (a, b)

check("04.3", answer_3)

# %% [markdown]
# **Exercise 4.** A weight of about 0.05 differs between two implementations by $3.7 \cdot 10^{-9}$ after one step. How many
# float32 steps is this at 0.05? (`np.spacing` gives the distance to the next number.) Is it an error or rounding?

# %%
answer_4 = None  # your answer, a whole number

check("04.4", answer_4)

# %% [markdown]
# **Exercise 5.** The rule of section 2 in code: write a function of the number of images, the seed and the epoch (whole
# numbers) that returns the order of the images, an array with each of 0, …, n − 1 once. The same arguments must give the
# same order, whatever was drawn before; another seed or another epoch must give another order. (With `def` above,
# or in one line.)

# %%
answer_5 = None  # your answer, a function: lambda n, seed, epoch: …

check("04.5", answer_5)
