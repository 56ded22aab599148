# %% [markdown]
# # 0. A VAE in fifty lines
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/00_a_vae_in_fifty_lines.ipynb)
#
# ## What you will learn
#
# - What the parts of a variational autoencoder are, and how few lines each of them needs.
# - What the two terms of its loss do.
# - That these lines compute the same loss as the project.
#
# Everything is written here, in fifty lines of NumPy and TensorFlow; before the last section, the project only draws
# figures. The data are 1,797 handwritten digits of 8 × 8 pixels, which come with scikit-learn. You need to know what a
# matrix product and a derivative are. Reading takes a quarter of an hour, running half a minute.

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

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from shared.config import recipe
from shared.show.figures import diagrams, lessons

digits = load_digits()
images = (digits.images.reshape(-1, 64) / 16).astype(np.float32)
print(images.shape, images.dtype, "from", images.min(), "to", images.max())
show(lessons.image_rows({"digits": images[:15]}, (8, 8), "The first 15 of the 1,797 digits"))

# %% [markdown]
# Each row of the array is an image of 64 pixels between 0 (paper) and 1 (ink). The labels are used for the colours of a
# figure only.
#
# ## The idea
#
# A VAE is a story of how an image comes about, and a way to learn the story's details from images:
#
# 1. Draw two numbers, $z \sim \mathcal N(0, I)$. They are the **latents** of the image.
# 2. A network, the **decoder**, turns $z$ into a probability for each pixel, and the image is drawn from it.
#
# To learn the decoder's weights we need to know which $z$ belongs to which image. A second network, the **encoder**, is
# trained to say it. Its answer is not a point but a distribution, $q(z|x) = \mathcal N(\mu, \sigma^2)$: an image may
# come from several $z$. This is the whole model; the sections below build it box by box.

# %%
show(diagrams.model(recipe("post-keras", hidden_dims=(128,)), 64))

# %% [markdown]
# ## The networks: 15 lines
#
# Both networks have one hidden layer. A layer is a matrix product and a bias. The initial weights are small random
# numbers, uniform within $\pm\sqrt{6/(\text{rows} + \text{columns})}$ (Glorot's rule).

# %%
sizes = {
    "hidden": (64, 128),
    "mean": (128, 2),
    "log_var": (128, 2),
    "back": (2, 128),
    "logits": (128, 64),
}
kernels, biases = {}, {}
for name, (rows, columns) in sizes.items():
    limit = np.sqrt(6 / (rows + columns))
    seed = [rows, columns] if name != "log_var" else [0, 0]  # other numbers than for "mean"
    kernels[name] = tf.Variable(tf.random.stateless_uniform((rows, columns), seed, -limit, limit))
    biases[name] = tf.Variable(tf.zeros(columns))


def layer(name, h):
    return h @ kernels[name] + biases[name]


# %% [markdown]
# ## Encode, sample, decode: 7 lines
#
# The encoder returns $\mu$ and $\log\sigma^2$. The logarithm, because the output of a layer may be any number, and a
# variance must be positive.
#
# A sample of $q(z|x)$ is $z = \mu + \sigma\varepsilon$ with $\varepsilon \sim \mathcal N(0, I)$. This is the
# **reparameterization trick**: all randomness is in $\varepsilon$, so $z$ has derivatives with respect to $\mu$ and
# $\sigma$, and the encoder can be trained.
#
# The decoder returns the **logits** of the pixels; the probability of ink is $1/(1 + e^{-\text{logit}})$.


# %%
def encoder(x):
    h = tf.nn.relu(layer("hidden", x))
    return layer("mean", h), layer("log_var", h)


def sample(mean, log_var, epsilon):
    return mean + tf.exp(log_var / 2) * epsilon


def decoder(z):
    return layer("logits", tf.nn.relu(layer("back", z)))


# Try it.
mean, log_var = encoder(images[:3])
z = sample(mean, log_var, tf.random.stateless_normal((3, 2), [0, 0]))
print("μ", mean.shape, " z", z.shape, " logits", decoder(z).shape)
assert decoder(z).shape == (3, 64)

# %% [markdown]
# ## The loss: 8 lines
#
# The loss has two terms per image, both in nats (natural logarithms).
#
# - The **log-likelihood** says how probable the image is, given its $z$. The pixels are independent given $z$, so the
#   logarithm is a *sum* over pixels: $\log p(x|z) = \sum_k x_k\,\ell_k - \log(1 + e^{\ell_k})$, with logits $\ell_k$.
# - The **KL** says how far $q(z|x)$ is from $\mathcal N(0, I)$: $\frac12\sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2)$.
#   Without it, every image would get its own narrow $q$ anywhere in the plane, and a $z$ drawn from $\mathcal N(0, I)$
#   would not belong to any image.
#
# Their difference is the **ELBO**. For pixels that are black or white it is a lower bound on $\log p(x)$; notebook 1
# derives it. Ours are grey, as in many programs: the same loss trains well, but it is then no bound, because the formula
# is not a normalised probability of grey values (notebook 1, section 10).
#
# The loss is minus the mean of the ELBO over the images. That is the only mean: pixels and latents are summed.


# %%
def two_terms(x, epsilon):
    mean, log_var = encoder(x)
    logits = decoder(sample(mean, log_var, epsilon))
    log_likelihood = tf.reduce_sum(x * logits - tf.nn.softplus(logits), axis=1)
    kl = tf.reduce_sum(mean**2 + tf.exp(log_var) - 1 - log_var, axis=1) / 2
    return log_likelihood, kl


def loss_of(log_likelihood, kl):
    return tf.reduce_mean(kl - log_likelihood)


# Try it.
log_likelihood, kl = two_terms(images, tf.random.stateless_normal((len(images), 2), [0, 1]))
print(
    f"loss {float(loss_of(log_likelihood, kl)):.2f} = {-np.mean(log_likelihood):.2f} + {np.mean(kl):.2f}"
)
print(f"64 · log 2 = {64 * np.log(2):.2f}: every pixel has a probability of about 1/2")
assert abs(np.mean(log_likelihood) + 64 * np.log(2)) < 3 and np.min(kl) >= 0

# %% [markdown]
# ## Training: 20 lines
#
# A step computes the loss of a batch and its gradients, and lets an optimizer (Adam) change the weights. Each epoch
# goes through all images once, in a new order. The noise of a step is a function of the step's number, so that every
# run gives the same numbers.

# %%
variables = [*kernels.values(), *biases.values()]
optimizer = keras.optimizers.Adam(3e-3)
optimizer.build(variables)


@tf.function
def step(x, epsilon):
    with tf.GradientTape() as tape:
        log_likelihood, kl = two_terms(x, epsilon)
        loss = loss_of(log_likelihood, kl)
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss, tf.reduce_mean(kl)


random, number, epochs = np.random.RandomState(0), 0, fast(60, 3)
for epoch in range(1, epochs + 1):
    rows = random.permutation(len(images))[:1750].reshape(35, 50)  # 35 batches of 50
    logs = []
    for batch in rows:
        epsilon = tf.random.stateless_normal((50, 2), [1, number])
        logs.append([float(each) for each in step(tf.constant(images[batch]), epsilon)])
        number += 1
    if epoch in (1, 2, 5, 20, epochs):
        loss, kl = np.mean(logs, axis=0)
        print(f"epoch {epoch:2}: loss {loss:.2f} nats per image, of which KL {kl:.2f}")
assert loss < 44.36  # nats; 64 · log 2, the loss of a model that knows nothing

# %% [markdown]
# The loss falls. Does the decoder use $z$? A KL above zero does not prove it: the encoder could write into $z$ what the
# decoder does not read. But a decoder that ignores $z$ gives the same picture for every image. The best such picture is
# the mean image, and its loss is the **entropy of the mean image**:

# %%
p = images.mean(axis=0).astype(float)
p = p[(p > 0) & (p < 1)]  # a pixel that is equal in all images costs nothing
entropy = -np.sum(p * np.log(p) + (1 - p) * np.log(1 - p))
print(f"loss of the best decoder that ignores z: {entropy:.2f} nats; our loss {loss:.2f}")
assert loss < entropy or epochs < 60

# %% [markdown]
# Our loss is lower, although it also pays for the KL: the two latents carry information about the image, and the decoder
# uses it.
#
# ## Look
#
# Left: where the encoder places the images, one colour per digit. The labels were not used in training. Right: what the
# decoder makes of a grid of $z$. Similar images are close together, and the images between two digits change gradually.

# %%
figure = Figure(figsize=(9.4, 4.4), layout="constrained")
figure.suptitle("1,797 digits: the mean of q(z|x), and the decoder over the plane", fontsize=9)
left, right = figure.subplots(1, 2)
mean, log_var = (each.numpy() for each in encoder(images))
dots = left.scatter(*mean.T, c=digits.target, cmap="tab10", s=6)
figure.legend(*dots.legend_elements(), title="digit", fontsize="x-small", loc="outside center left")
left.set(xlabel="z[0]", ylabel="z[1]", aspect="equal")

ticks = np.linspace(-2, 2, 9, dtype=np.float32)
grid = np.stack(np.meshgrid(ticks, ticks[::-1]), axis=-1).reshape(-1, 2)  # z[1] points upward
decoded = tf.sigmoid(decoder(grid)).numpy().reshape(9, 9, 8, 8)
framed = np.pad(decoded, ((0, 0), (0, 0), (1, 1), (1, 1)))  # a margin around each image
picture = framed.swapaxes(1, 2).reshape(9 * 10, 9 * 10)
right.imshow(picture, cmap="gray_r", extent=(-2.25, 2.25, -2.25, 2.25), interpolation="nearest")
right.set(xlabel="z[0]", ylabel="z[1]")
show(figure)

# %% [markdown]
# To make new digits, draw $z$ from $\mathcal N(0, I)$ and decode it:

# %%
drawn = np.random.RandomState(1).normal(size=(15, 2)).astype(np.float32)
made = {"z ~ N(0, I)": tf.sigmoid(decoder(drawn)).numpy()}
show(lessons.image_rows(made, (8, 8), "New digits: z drawn from the prior, and decoded"))

# %% [markdown]
# ## The same by the project
#
# The project has the same parts with names, tests and a proof, and more: other likelihoods, exact resumption, figures,
# measurements. Here is the same model in `tf_vae`. It gets our weights and our noise, and must return our two terms.

# %%
from shared import elbo
from tf_vae.checkpoint import assign
from tf_vae.model import build

names = {
    "hidden": "encoder/hidden_1",
    "mean": "encoder/z_mean",
    "log_var": "encoder/z_log_var",
    "back": "decoder/hidden_1",
    "logits": "decoder/logits",
}
weights = {}
for ours, theirs in names.items():
    weights[f"{theirs}/kernel"] = kernels[ours].numpy()
    weights[f"{theirs}/bias"] = biases[ours].numpy()
model = build(recipe("post-keras", hidden_dims=(128,), latent_dim=2), 64)
assign(model, weights)

epsilon = tf.random.stateless_normal((len(images), 2), [2, 0])
theirs = model.terms(images, None, draw=lambda shape, seed: epsilon).outputs()
ours = two_terms(images, epsilon)
for name, a, b in zip(("log_likelihood", "kl"), ours, theirs.values(), strict=True):
    print(f"{name:15} largest difference in any image: {np.abs(a - b).max():.1e} nats")
    assert np.allclose(a, b, atol=1e-4)  # float32, sums over 64 pixels
print(
    f"loss here {float(loss_of(*ours)):.5f}, by the project {float(elbo.negative_elbo(**theirs)):.5f}"
)
assert abs(float(loss_of(*ours)) - float(elbo.negative_elbo(**theirs))) < 1e-4

# %% [markdown]
# Where to go on: notebook 1 derives the loss and checks every equation; notebooks 2 and 3 build this model in Keras and
# in TensorFlow, on the digits of MNIST; notebook 4 shows that the two are equal to the last bit.

# %% [markdown]
# ## Exercises
#
# Enter an answer and run the cell; it tells you whether the answer is right. Write the three formulas yourself, without
# looking above. Each is one line of TensorFlow or NumPy.
#
# **Exercise 1.** Write the KL of each image, as a function of `mean` and `log_var`, both of shape (batch, latents).

# %%
answer_1 = None  # your answer, a function: lambda mean, log_var: …

check("00.1", answer_1)

# %% [markdown]
# **Exercise 2.** Write the reparameterization: `z` as a function of `mean`, `log_var` and `epsilon`.

# %%
answer_2 = None  # your answer, a function: lambda mean, log_var, epsilon: …

check("00.2", answer_2)

# %% [markdown]
# **Exercise 3.** Write the loss of a batch, as a function of `x` and `logits` (batch, pixels) and of `kl` (batch,).

# %%
answer_3 = None  # your answer, a function: lambda x, logits, kl: …

check("00.3", answer_3)
