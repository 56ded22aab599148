# %% [markdown]
# # 7. Beyond digits: other networks, other uses
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/07_beyond_digits.ipynb)
#
# ## What you will learn
#
# - The same mathematics with a convolutional network, which the project trains as it trains its own.
# - A conditional VAE: the label beside $x$ and beside $z$, and a digit in another class with the same style.
# - What single latents mean, at $\beta = 1$ and at $\beta = 4$.
# - One use: how surprising is an image? The ELBO as a score of anomaly, and where it fails.
# - How to decide by a validation set, in all of this.
#
# The data are the digits again, because they are at hand; nothing here depends on it. You should have read the
# notebooks 2 or 3, and 5. The notebook takes one to two minutes on two cores.

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
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path.cwd().parent))  # the root of the project, for the folder examples
from examples import conditional, conv
from shared.config import recipe
from shared.data import load_data
from shared.measure import diagnostics
from shared.show.figures import lessons
from tf_vae.evaluate import elbo_terms, evaluate
from tf_vae.model import decode, encode
from tf_vae.train import train

whole = load_data("mnist-5k")
order = np.random.RandomState(0).permutation(len(whole.x_train))
fitting, held_out = order[800:], order[:800]
temporary = tempfile.TemporaryDirectory()  # deleted when the notebook is closed


def write_split(name, rows):
    """Writes an .npz with these training images, and 800 others for validation; loads it."""
    np.savez(
        Path(temporary.name) / f"{name}.npz",
        x_train=whole.x_train[rows],
        y_train=whole.y_train[rows],
        x_valid=whole.x_train[held_out],
        x_test=whole.x_test,
        y_test=whole.y_test,
    )
    return load_data(str(Path(temporary.name) / f"{name}.npz"))


data = write_split("digits", fitting)
print(
    *(len(each) for each in (data.x_train, data.x_valid, data.x_test)),
    "images; pixels",
    data.input_dim,
)

# %% [markdown]
# The images are floats here, and flat; `image_shape` is found by their number. `x_valid` is what the training watches
# (notebook 6, section 1).
#
# ## 1. Convolutions
#
# The encoder may be any network that returns $\mu$ and $\log\sigma^2$, and the decoder any network that returns the
# logits of the pixels. `train` takes a function that returns both, and joins them with the objective and the noise of
# the project. We compare a small convolutional pair with the dense network of the recipe, at eight latents each. The
# pair is in `examples/conv.py`, written for images of any size and for any likelihood; copy it for your own data.

# %%
print(inspect.getsource(conv.networks))

# %%
config = recipe("post-keras", optimizer="adam", latent_dim=8, epochs=fast(20, 1))
models, runs = {}, {}
for name, network in {"dense": None, "convolutional": conv.networks}.items():
    models[name], runs[name] = train(config, data, network=network, verbose=0)
    count = sum(int(np.prod(v.shape)) for v in models[name].trainable_variables)
    last = runs[name].history[-1]
    print(
        f"{name:14} {count:8,} weights   training {last['loss']:.2f}, validation {last['val_loss']:.2f} nats"
    )

# %%
rows = {"test images": data.x_test[5::67][:15]}
for name, model in models.items():
    rows[name] = decode(model, encode(model, rows["test images"])[0])
show(lessons.image_rows(rows, data.image_shape, "Reconstructions from eight latents"))

# %% [markdown]
# The convolutional pair has an eighth of the weights, and a lower loss: neighbouring pixels share what is learned about
# them. (It is trained without XLA, whose convolutions on a CPU are slow; the two implementations have equal bits
# without it, too.) Which of the two would you choose? The *validation* loss decides.
# Only after the choice do we look at the test set, once, for the chosen model:

# %%
chosen = min(runs, key=lambda name: runs[name].history[-1]["val_loss"])
measured = evaluate(models[chosen], data.x_test, config, samples=fast(10, 2))
print(f"chosen: {chosen}; test loss {measured['loss']:.2f} nats, of which KL {measured['kl']:.2f}")

# %% [markdown]
# ## 2. A conditional VAE
#
# Often something is known about an image: here, its label $y$. A conditional VAE puts $y$ beside $x$ at the encoder and
# beside $z$ at the decoder, and its ELBO is a bound on $\log p(x|y)$:
#
# $$ \log p(x|y) \ge \mathbb E_{q(z|x,y)}\big[\log p(x|z,y)\big] - \mathrm{KL}\big(q(z|x,y)\,\|\,p(z)\big) $$
#
# Nothing else changes: the formulas are the same functions of `shared/elbo.py`. Networks, terms and step are in
# `examples/conditional.py`, in plain TensorFlow; `fit` there is the loop around the step. For comparison, the same loop
# trains a model whose label is always zero. (The inequality holds for a normalised likelihood. Our pixels are grey, so
# the numbers below can be compared with each other, but they bound no probability: notebook 1, section 10.)

# %%
for function in (conditional.networks, conditional.terms, conditional.training_step):
    print(inspect.getsource(function))

# %%
labels_of = {
    part: np.eye(10, dtype=np.float32)[y]
    for part, y in (("train", data.y_train), ("test", data.y_test))
}
bounds = {}
for name in ("without the label", "with the label"):
    used = {part: each * (name == "with the label") for part, each in labels_of.items()}
    keras.utils.set_random_seed(1)
    networks = conditional.networks(data.input_dim, 2, 10)
    conditional.fit(networks, data.x_train, used["train"], fast(60, 2), verbose=0)
    bounds[name] = conditional.measure(networks, data.x_test, used["test"])
    print(
        f"{name:18} bound {bounds[name][0] - bounds[name][1]:8.2f} nats = {bounds[name][0]:8.2f} - KL {bounds[name][1]:.2f}"
    )
assert (
    bounds["with the label"][0] - bounds["with the label"][1]
    > bounds["without the label"][0] - bounds["without the label"][1]
)
print(
    f"log 10 = {math.log(10):.2f} nats: the most that a label of ten classes can tell about an image"
)

# %% [markdown]
# With the label the ELBO is higher by 25 nats. A label of ten classes carries at most $\log 10$ nats of information, so
# it cannot be the information alone. (For a normalised likelihood this would be a proof; on grey pixels it is a
# comparison of sizes.) The other reason is the model: with only two latents, the first one has to use them for the class
# as well, and the second one is free to use them for the style.
#
# This is visible. Each row below is one $z$, drawn from the prior, decoded with each of the ten labels:

# %%
styles = np.random.RandomState(4).normal(size=(5, 2))
decoded = conditional.grid(networks, styles, 10)
rows = {f"z number {number}": row for number, row in enumerate(decoded, start=1)}
show(lessons.image_rows(rows, data.image_shape, "One z per row, one label per column"))

# %% [markdown]
# Within a row, slant and width of the strokes stay the same while the class changes. It does not always work: the 1 of the
# first row is broken, two strokes that cross. The prior gives every label the same $z$, and nothing in the loss makes sure
# that images of this label were encoded near it.
#
# ## 3. What single latents mean
#
# With ten latents there is no plane to draw. A **traversal** shows one latent at a time: start from the mean of $q(z|x)$
# of a test image, and move one coordinate from −2.5 to 2.5 while the others stay. We compare $\beta = 1$ with $\beta = 4$
# (Higgins et al., 2017). The rows are sorted by their KL, the largest first.

# %%
ten = {
    beta: recipe("post-keras", optimizer="adam", latent_dim=10, beta=beta, epochs=fast(40, 2))
    for beta in (1.0, 4.0)
}
steps = np.linspace(-2.5, 2.5, 11, dtype=np.float32)
traversals, shares = {}, {}
for beta, its_config in ten.items():
    model, _ = train(its_config, data, verbose=0)
    z_mean, z_log_var = encode(model, data.x_test)
    kl = diagnostics.kl_per_dimension(z_mean, z_log_var)
    shares[f"beta = {beta:g}"] = kl, diagnostics.active_units(z_mean)
    traversals[beta] = {}
    for dimension in np.argsort(kl)[::-1]:
        path = np.repeat(z_mean[[420]], len(steps), axis=0)
        path[:, dimension] = steps
        traversals[beta][f"latent {dimension}, KL {kl[dimension]:.2f}"] = decode(model, path)
show(lessons.image_rows(traversals[1.0], data.image_shape, "beta = 1: one latent per row"), dpi=80)

# %%
show(lessons.image_rows(traversals[4.0], data.image_shape, "beta = 4: one latent per row"), dpi=80)

# %%
show(lessons.kl_bars(shares, "KL of each latent, mean of 1,000 test images"))

# %% [markdown]
# At $\beta = 1$ every latent changes the image, and most of them change several things at once. At $\beta = 4$ the KL is
# smaller, and less is left to each latent. Do not read too much into a row: nothing in the loss names a latent, and
# another seed gives other rows.
#
# ## 4. How surprising is an image?
#
# A model of images can say how improbable an image is. We leave one class out of the training set, the digit 4, and ask
# whether $-\mathrm{ELBO}$ is higher for the images of that class. The area under the ROC curve is the probability that an
# image of the unknown class has a higher score than one of the known classes: ½ is guessing, 1 is perfect.

# %%
known = write_split("without-4", fitting[whole.y_train[fitting] != 4])
its_config = recipe("post-keras", optimizer="adam", latent_dim=8, epochs=fast(40, 2))
model, _ = train(its_config, known, verbose=0)


def surprise(x):
    """Returns -ELBO of each image in nats, averaged over samples of q(z|x)."""
    terms = [elbo_terms(model, x, its_config, sample) for sample in range(fast(20, 2))]
    return np.mean([kl - log_likelihood for log_likelihood, kl in terms], axis=0)


score, unknown = surprise(known.x_test), known.y_test == 4
print(f"left out, the digit 4: area under the ROC curve {roc_auc_score(unknown, score):.3f}")
for name, images in {
    "upside down": known.x_test.reshape(-1, 28, 28)[:, ::-1].reshape(-1, 784),
    "black": np.zeros((100, 784), np.float32),
    "a digit 1": known.x_test[known.y_test == 1],
}.items():
    print(f"{name:12} mean {surprise(images).mean():7.1f} nats; all test images {score.mean():.1f}")

# %%
most = np.argsort(score)[::-1][:15]
rows = {
    "most surprising": known.x_test[most],
    "least surprising": known.x_test[np.argsort(score)[:15]],
}
print("labels of the most surprising:", *known.y_test[most])
show(
    lessons.image_rows(rows, known.image_shape, "Test images by -ELBO, trained without the digit 4")
)

# %% [markdown]
# The score finds the unknown class better than guessing, but far from perfectly, and the last lines say why: **the ELBO
# also measures how much there is to describe**. A black image and a digit 1 have few white pixels, so their ELBO is high,
# whether the model knows such images or not. Of the fifteen most surprising images only two are of the class that was
# left out; the others are an 8, 5, 2 or 3 with thick or unusual strokes, of classes that the model was trained on. And
# the fifteen least surprising ones are all a single stroke, a 1. Compare scores only between images of similar
# complexity, or subtract what a simple model of pixels would give. This caveat applies to every likelihood model.

# %% [markdown]
# ## Exercises
#
# Enter an answer and run the cell; it tells you whether the answer is right. Eight larger tasks, about an hour each, are the
# [projects](projects/README.md).
#
# **Exercise 1.** Two models have validation losses of 104.2 and 103.1 nats and test losses of 103.0 and 103.4. Which test
# loss do you report?

# %%
answer_1 = None  # your answer, a number

check("07.1", answer_1)

# %% [markdown]
# **Exercise 2.** Predict: how many inputs does the *decoder* of a conditional VAE have, with 20 latents and 26 classes given as
# one number each? (Then the check builds one and looks.)

# %%
answer_2 = None  # your answer, a whole number

check("07.2", answer_2)

# %% [markdown]
# **Exercise 3.** Write a function of `z_mean` of one image (shape (latent_dim,)), a dimension and an array of values that
# returns the latents of a traversal: shape (number of values, latent_dim).

# %%
answer_3 = None  # your answer, a function: lambda z_mean, dimension, values: …

check("07.3", answer_3)
