# %% [markdown]
# # 5. The latent space
#
# ## What you will learn
#
# - How to look at a latent space: scatter, manifold, interpolation, samples from the prior.
# - What a straight line between two digits is, and what it is not.
# - What an autoencoder lacks, in a picture and in two numbers.
# - Where the codes of the data really lie, and which parts of the prior nobody ever taught the
#   decoder.
# - How to see which latents are used: the KL of each dimension, active units.
# - **Posterior collapse**, caused on purpose: a mean in place of a sum, a large `beta`; what a small
#   one does; and when a KL warm-up helps.
#
# Everything is trained here, on 4,000 digits, in about a minute and a half on two cores. Where a
# number decides between two pictures, look at both: one lesson of this notebook is how well a bad
# model can do in a number that was not chosen with care.

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
import math

import numpy as np
from scipy import special, stats

from shared import elbo
from shared.measure import diagnostics
from shared.show import pictures, plots
from shared.config import recipe
from shared.data import load_data
from shared.show.report import prior_samples
from tf_vae.evaluate import elbo_terms, evaluate
from tf_vae.model import decode, encode
from tf_vae.train import train

data = load_data("mnist-5k")
shown = np.arange(33, 1000, 100)  # a test image of each class (the set is sorted by class)
random = np.random.RandomState(0)

# %% [markdown]
# ## 1. The plane
#
# We begin with the post's network and two latents, so that the whole latent space fits on paper. (With
# 4,000 images an epoch is only 40 steps, so we take a faster optimizer than the post's.)
# Pixels stay grey, as in the post: the numbers below compare with each other, and not with
# published ones on binary MNIST (notebook 1, section 5).

# %%
plane = {"optimizer": "adam", "learning_rate": 3e-3, "epochs": fast(50, 20)}
config = recipe("post-keras", **plane)
vae, run = train(config, data, verbose=0)
z_mean, z_log_var = encode(vae, data.x_test)
show(
    plots.latent_scatter(
        z_mean, data.y_test, plots.latent_limit(z_mean), "1,000 test images, by the mean of q(z|x)"
    ),
    dpi=80,
)

# %% [markdown]
# That is the encoder's view: images to points. The decoder's view goes the other way. Take a grid of
# $z$ over the prior (its quantiles from 5 % to 95 %, so that each step carries the same share of the
# prior), and decode each point: the **manifold**.

# %%
text = "The decoder over the plane: the same axes as above, a smaller window"
show(plots.manifold(decode(vae, plots.manifold_z()), data.image_shape, text), dpi=65)

# %% [markdown]
# Neighbours look alike, and classes fade into one another. Nobody asked for that in words: noise on
# $z$ did it. An image's code is drawn anew at every step, so the decoder must give nearly the same
# image for the whole cloud of $z$ that the encoder allows it.
#
# ## 2. A straight line between two digits
#
# Take two test images, encode both, walk from one mean to the other in equal steps and decode each
# point. For contrast, the same walk in pixels, which is a cross-fade. (A 0 and a 7 that the plane can
# hold: of each class the image that is reconstructed best.)

# %%
t = np.linspace(0, 1, 12, dtype=np.float32)[:, None]
errors = np.square(decode(vae, z_mean) - data.x_test).sum(axis=1)
first, last = (np.where(data.y_test == label, errors, np.inf).argmin() for label in (0, 7))
line = (1 - t) * z_mean[first] + t * z_mean[last]
rows = {
    "in pixels": (1 - t) * data.x_test[first] + t * data.x_test[last],
    "in z, decoded": decode(vae, line),
}
show(pictures.image_rows(rows, data.image_shape, "From one test image to another in twelve steps"))

# %% [markdown]
# In the middle of the cross-fade there are two digits at once. On the line in $z$ there is one at a
# time, and it need not be a 0 or a 7. Which classes does the line cross? Ask the nearest training
# image, by its code.

# %%
z_train = encode(vae, data.x_train)[0]
nearest = np.square(z_train[None] - line[:, None]).sum(axis=2).argmin(axis=1)
print("nearest training code, step by step:", *data.y_train[nearest])

pace = np.linalg.norm(np.diff(rows["in z, decoded"], axis=0), axis=1)
print("how far the image moves at each step:", *pace.round(1))

# %% [markdown]
# Three things that the line **is not**:
#
# - It is not a path through data. The decoder gives an image for *every* $z$, also where no code lies
#   within reach; that it looks like a digit there is luck, or smoothness, not knowledge.
# - It is not evenly paced, as the second line of numbers says: equal steps in $z$ are unequal steps in
#   the image. A straight line in $z$ has no claim to be the shortest way between two images.
# - It does not join the two images. It joins their *reconstructions*: compare both ends of the rows.
#
# What it is: a fair test of whether the decoder is smooth. Over many pairs: how far is a point of the
# way from the most similar training image?

# %%
pairs = random.permutation(1000)[: 2 * fast(150, 10)].reshape(2, -1)
ways = {"in pixels": [], "in z, decoded": []}
for step in t.ravel():
    blend = [(1 - step) * each[pairs[0]] + step * each[pairs[1]] for each in (data.x_test, z_mean)]
    for name, images in zip(ways, (blend[0], decode(vae, blend[1])), strict=True):
        ways[name].append(diagnostics.nearest_distance(images, data.x_train).mean())
text = f"{pairs.shape[1]} pairs of test images: distance to the most similar training image"
show(pictures.curves(t.ravel(), ways, text, "share of the way", "Euclidean distance over pixels"))

# %% [markdown]
# The cross-fade leaves the data in the middle, the line in $z$ hardly does. (That the lower curve
# lies low already at its ends is no merit: a reconstruction is blurred, and a blurred image is near
# many. Compare the *shape* of the curves, not their height.)
#
# ### With many latents the middle is empty
#
# In the plane, a draw from $\mathcal N(0, I)$ often lies near 0. In 20 dimensions it practically never
# does: all draws lie in a shell of radius about $\sqrt{20}$. A straight line between two of them cuts
# through the inside, where the prior has its highest *density* and next to no *mass*.

# %%
for dimensions in (2, 20):
    ends = random.normal(size=(2, 100_000, dimensions))
    at_end, halfway = np.linalg.norm(ends[0], axis=1), np.linalg.norm(ends.mean(axis=0), axis=1)
    inside = stats.chi2.cdf(np.mean(halfway) ** 2, dimensions)
    print(
        f"{dimensions:2} latents: |z| of a draw {at_end.mean():.2f} ± {at_end.std():.2f},"
        f" halfway between two {halfway.mean():.2f}; {inside:.1%} of the prior lies further in"
    )

# %% [markdown]
# Hence the advice to walk on an arc instead (exercise 2). It is advice for draws of the *prior*; means
# of $q(z|x)$ lie further in anyway, since their noise is missing.
#
# ## 3. Reconstructions and samples
#
# Two uses of the same decoder. A **reconstruction** starts from an image: encode, take the mean,
# decode. A **sample** starts from nothing: draw $z \sim \mathcal N(0, I)$, decode.

# %%
samples = decode(vae, prior_samples(config, 1000))
rows = {
    "test images": data.x_test[shown],
    "reconstructions": decode(vae, z_mean[shown]),
    "samples": samples[: len(shown)],
}
show(pictures.image_rows(rows, data.image_shape, "Two latents, 50 epochs"))

# %% [markdown]
# What is drawn is in both cases the *mean* of $p(x|z)$, one probability a pixel. To sample an image in
# the strict sense one would also have to toss a coin for each pixel. Nobody shows that, because the
# coins are independent, and it looks like snow.
#
# Two latents can't tell a thin 4 from a thin 9. The blur is honest: where the code does not say which
# it was, the best answer is the average.
#
# ## 4. The autoencoder beside it
#
# `posterior="delta"` is the autoencoder: $z$ is the encoder's output, there is no noise and no KL.
# Everything else is the same, to the initial weights.

# %%
delta_config = recipe("post-keras", **plane, posterior="delta")
autoencoder, _ = train(delta_config, data, verbose=0)
codes = encode(autoencoder, data.x_test)[0]
panels = {"VAE": z_mean, "autoencoder": codes}
show(
    pictures.latent_panels(panels, data.y_test, "Test set: mean of q(z|x), and z; circle: |z| = 3")
)

# %%
from_prior = decode(autoencoder, prior_samples(config, 1000))
rows = {
    "test images": data.x_test[shown],
    "VAE: reconstruction": decode(vae, z_mean[shown]),
    "autoencoder: reconstruction": decode(autoencoder, codes[shown]),
    "VAE: z ~ N(0, I)": samples[: len(shown)],
    "autoencoder: z ~ N(0, I)": from_prior[: len(shown)],
}
show(pictures.image_rows(rows, data.image_shape, "Equal networks, with and without noise and KL"))

# %% [markdown]
# The autoencoder reconstructs at least as well, as it should: it pays no KL. And draws from
# $\mathcal N(0, I)$ give nothing of use: nearly all of them fall into the small dashed circle, and few
# of its codes lie there.
#
# In numbers. *To the data*: how far a sample is from the most similar test image. *From the data*: how
# far a test image is from the most similar sample. The first asks whether samples look real, the
# second whether every kind of digit is among them.

# %%
spread = codes.mean(axis=0) + prior_samples(config, 1000) @ np.linalg.cholesky(np.cov(codes.T)).T
sets = {
    "VAE, z ~ N(0, I)": samples,
    "autoencoder, z ~ N(0, I)": from_prior,
    "autoencoder, z ~ N(fitted)": decode(autoencoder, spread.astype(np.float32)),
    "training images": data.x_train[random.permutation(4000)[:1000]],
}
for name, model, z in (("VAE", vae, z_mean), ("autoencoder", autoencoder, codes)):
    error = np.square(decode(model, z) - data.x_test).sum(axis=1).mean()
    print(f"{name:12} squared error of a reconstruction {error:.1f}")
print(f"\n{'':28}to the data   from the data")
for name, images in sets.items():
    there = diagnostics.nearest_distance(images, data.x_test).mean()
    back = diagnostics.nearest_distance(data.x_test, images).mean()
    print(f"{name:28}{there:11.2f}{back:16.2f}")

# %% [markdown]
# The third row is a fair objection: why not give the autoencoder a prior that fits, a Gaussian with the
# mean and covariance of its codes? It helps a great deal: every kind of digit is among the samples again
# (second column), although the single sample looks less like any (first). It is an afterthought that
# leaves the holes between the classes; a VAE has its prior built in, and its decoder trained on it.
#
# A word on the first column. Real images stand *worse* there than the samples of the VAE. A blurred
# image is nearer to everything than a sharp one, so this number may be used between models of equal
# blur and for nothing else.
#
# ## 5. Where the codes lie: the aggregate posterior
#
# The decoder is trained on draws of $q(z|x)$ for $x$ of the training set. All together they have the
# density
#
# $$ q(z) = \frac1N\sum_{i=1}^N q(z|x^{(i)}), $$
#
# the **aggregate posterior**. At sampling time we draw from $p(z)$ instead. Nothing makes the two
# equal; the loss only pulls each $q(z|x)$ towards $p(z)$. `aggregate_log_density` computes
# $\log q(z)$ exactly: it is a mixture of 4,000 Gaussians.

# %%
mean, log_var = encode(vae, data.x_train)
z = mean + np.exp(log_var / 2) * random.normal(size=mean.shape)  # one draw an image
half_width, side = 4.5, fast(121, 21)
ticks = np.linspace(-half_width, half_width, side)
grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
log_q = diagnostics.aggregate_log_density(grid, mean, log_var).reshape(side, side)
text = "The aggregate posterior of 4,000 training images, against the prior"
show(pictures.aggregate_posterior(half_width, log_q, z, text))

# %% [markdown]
# From the right panel alone one would say: a normal distribution with heavy tails. The left one shows
# ridges, gaps between classes, and codes beyond the third circle. How much of the prior is left
# uncovered, then? And what does the decoder make of it?

# %%
draws = prior_samples(config, fast(4000, 200))
log_p = stats.norm.logpdf(draws).sum(axis=1)
lack = log_p - diagnostics.aggregate_log_density(draws, mean, log_var)  # log p(z) / q(z)
print(f"of the prior, where q(z) < p(z) / 10: {np.mean(lack > math.log(10)):.1%}")
own_log_q = diagnostics.aggregate_log_density(z, mean, log_var)
excess = own_log_q - stats.norm.logpdf(z).sum(axis=1)  # log q(z) / p(z)
print(f"of q, where p(z) < q(z) / 10:         {np.mean(excess > math.log(10)):.1%}")
counts = np.bincount(data.y_train[excess > math.log(10)], minlength=10)
print("   of these, by class 0 to 9:", *counts)

order = np.argsort(lack)
n = len(draws)
rows = {
    "well covered": decode(vae, draws[order[n // 8 :: n // 16][:10]]),
    "least covered": decode(vae, draws[order[-10:]]),
}
show(pictures.image_rows(rows, data.image_shape, "Draws of the prior, by q(z) / p(z)"))

# %% [markdown]
# Little of the prior is uncovered here, and what is, comes out broken: a bad sample is not always the
# fault of the decoder, which may have been asked about a place where it has never been. The second
# number is the larger one. Those are codes where the prior seldom goes, mostly of the 1, the 7 and the 0:
# well reconstructed, and too rare among the samples. (In the plane there is no room for large holes.
# With more latents there is.)
#
# ### The mean KL, in two parts
#
# Averaged over images, the KL splits into two terms (Hoffman and Johnson, 2016, *ELBO surgery*):
#
# $$ \frac1N\sum_i\mathrm{KL}\big(q(z|x^{(i)})\,\|\,p(z)\big)
#    = \underbrace{I(x; z)}_{\text{what } z \text{ tells about which image}}
#    + \underbrace{\mathrm{KL}\big(q(z)\,\|\,p(z)\big)}_{\text{misfit of the aggregate}} $$
#
# Only the second says that samples will be bad. The first is what the code is *for*.

# %%
own_q = stats.norm.logpdf(z, mean, np.exp(log_var / 2)).sum(axis=1)  # log q(z|x) of its own image
information, misfit = own_q - own_log_q, excess
mean_kl = float(np.mean(elbo.kl_to_standard_normal(mean, log_var)))
for name, values in (("information", information), ("misfit", misfit)):
    error = values.std() / math.sqrt(len(values))
    print(f"{name:12} {values.mean():.3f} ± {error:.3f} nats")
total = information + misfit
error = total.std() / math.sqrt(len(total))
print(f"together     {total.mean():.3f} ± {error:.3f}; the KL in closed form: {mean_kl:.3f}")
assert abs(total.mean() - mean_kl) < 5 * error

# %% [markdown]
# ## 6. Which latents are used
#
# The KL is a sum over latents, so each has its own share. A latent with a KL of 0 has
# $q(z_j|x) = p(z_j)$ for every image: it says nothing, and the decoder learns to ignore it. The
# common criterion (Burda et al., 2015) looks at the mean: a unit is **active** if the variance of
# its `z_mean` over images is above 0.01.

# %%
models = {}
for latent_dim in fast((2, 10, 20), (10, 20)):
    its_config = recipe("post-keras", epochs=fast(30, 2), latent_dim=latent_dim)
    models[latent_dim] = its_config, train(its_config, data, verbose=0)[0]

panels = {}
print("latents   test loss   log-likelihood      KL   active units")
for latent_dim, (its_config, model) in models.items():
    q = encode(model, data.x_test)
    panels[f"{latent_dim} latents"] = (
        diagnostics.kl_per_dimension(*q),
        diagnostics.active_units(q[0]),
    )
    found = evaluate(model, data.x_test, its_config, samples=5)
    print(
        f"{latent_dim:7}{found['loss']:12.2f}{found['log_likelihood']:17.2f}{found['kl']:8.2f}"
        f"{panels[f'{latent_dim} latents'][1].sum():15}"
    )
show(pictures.kl_bars(panels, "KL of each latent, mean of 1,000 test images"))

# %% [markdown]
# Read it from left to right. Two latents are worked hard. With ten, each carries less, together over three
# times as much, and the loss falls by far. From ten to twenty the gain is small, and the shares
# begin to slope. All are active here: this network at $\beta = 1$ has a use for each of them. The next
# sections show panels where that is not so.
#
# More latents give better reconstructions. For *samples* they are no gift: a draw must now be right in
# twenty coordinates at once.

# %%
rows = {"test images": data.x_test[shown]}
for latent_dim in (10, 20):
    _, model = models[latent_dim]
    rows[f"{latent_dim} latents: reconstruction"] = decode(
        model, encode(model, data.x_test)[0][shown]
    )
for latent_dim in (10, 20):
    its_config, model = models[latent_dim]
    rows[f"{latent_dim} latents: z ~ N(0, I)"] = decode(
        model, prior_samples(its_config, len(shown))
    )
show(pictures.image_rows(rows, data.image_shape, "Ten and twenty latents, 30 epochs each"), dpi=80)

# %% [markdown]
# ## 7. Break it on purpose
#
# The most common mistake in VAE code fits in one word: `mean`. Average the cross-entropy over the 784
# pixels, leave the KL a sum, and
#
# $$ -\frac1{784}\log p(x|z) + \mathrm{KL} = \frac1{784}\Big(-\log p(x|z) + 784\,\mathrm{KL}\Big): $$
#
# a hidden $\beta$ of 784.

# %%
log_likelihood, kl = (each.astype(float) for each in elbo_terms(vae, data.x_test, config))
with_mean = np.mean(-log_likelihood / 784 + kl)
weighted = float(elbo.negative_elbo(log_likelihood, kl, beta=784.0)) / 784
print(f"with the mean over pixels {with_mean:.9f}, by beta = 784 {weighted:.9f}")
assert abs(with_mean - weighted) < 1e-9

# %% [markdown]
# So the mistake can be trained without making it: `beta=784`. We watch the cost of the pixels,
# $-\log p(x|z)$, and the KL, epoch by epoch. The dashed line is the **entropy of the mean image**,
# $\sum_k H(\bar x_k)$: the least that a decoder can reach that gives the same image for every $z$.

# %%
mean_image = data.x_train.astype(float).mean(axis=0)
floor = (special.entr(mean_image) + special.entr(1 - mean_image)).sum()

broken_config = recipe("post-keras", **plane, beta=784.0)
broken, broken_run = train(broken_config, data, verbose=0)
epochs = np.arange(1, len(run.history) + 1)
lines = {
    "beta = 1": [-row["log_likelihood"] for row in run.history],
    "beta = 784": [-row["log_likelihood"] for row in broken_run.history],
}
level = {f"entropy of the mean image, {floor:.1f}": floor}
text = "Cost of the pixels, training images (running mean of each epoch)"
limits = (135, 260)
show(
    pictures.curves(epochs, lines, text, "epoch", "−log p(x|z), nats", levels=level, limits=limits)
)

# %%
last = broken_run.history[-1]
print(
    f"KL {last['kl']:.6f} nats; cost of the pixels {-last['log_likelihood']:.2f}, floor {floor:.2f}"
)
images = decode(broken, encode(broken, data.x_test)[0])
print(
    f"largest difference between any two reconstructions of a pixel: {np.ptp(images, axis=0).max():.4f}"
)
print(f"largest difference from the mean image: {np.abs(images - mean_image).max():.3f}")
assert last["kl"] < 0.01 and -0.5 < -last["log_likelihood"] - floor < 2

rows = {
    "test images": data.x_test[shown],
    "reconstructions": images[shown],
    "the mean image": np.repeat(mean_image[None], len(shown), axis=0),
}
show(pictures.image_rows(rows, data.image_shape, "beta = 784: every digit is the mean image"))

# %% [markdown]
# This is **posterior collapse**: $q(z|x) = p(z)$ for all $x$. Remember how it looks in a log, since no
# picture is drawn while you train:
#
# - the KL is 0, to three decimals;
# - the loss stands still, at about 206 nats on MNIST, whatever you do to the decoder;
# - and with a mean over pixels in the code it stands at $206/784 = 0.26$, which looks like success.
#
# ## 8. Too large, too small
#
# Between 0 and 784 there is a range of models. Ten latents; the loss below is measured at
# $\beta = 1$ for all, since only there it is the bound.

# %%
swept = {1.0: models[10]}
for beta in fast((0.01, 3.0, 10.0, 30.0), (10.0,)):
    its_config = recipe("post-keras", epochs=fast(30, 2), latent_dim=10, beta=beta)
    swept[beta] = its_config, train(its_config, data, verbose=0)[0]
swept = dict(sorted(swept.items()))

panels, rows = {}, {"test images": data.x_test[shown]}
print("  beta   -ELBO   log-likelihood       KL   active   squared error   width of z_mean")
for beta, (its_config, model) in swept.items():
    q = encode(model, data.x_test)
    found, active = (
        evaluate(model, data.x_test, its_config, samples=5),
        diagnostics.active_units(q[0]),
    )
    panels[f"beta = {beta:g}"] = diagnostics.kl_per_dimension(*q), active
    error = np.square(decode(model, q[0]) - data.x_test).sum(axis=1).mean()
    print(
        f"{beta:6g}{found['loss']:8.1f}{found['log_likelihood']:17.1f}{found['kl']:9.2f}"
        f"{active.sum():9}{error:16.1f}{q[0].std(axis=0).mean():18.2f}"
    )
    rows[f"{beta:g}: reconstruction"] = decode(model, q[0][shown])
for beta, (its_config, model) in swept.items():
    rows[f"{beta:g}: z ~ N(0, I)"] = decode(model, prior_samples(its_config, len(shown)))

# %%
show(pictures.image_rows(rows, data.image_shape, "Ten latents, beta from 0.01 to 30"), dpi=80)

# %%
chosen = {title: panel for title, panel in panels.items() if float(title.split()[-1]) >= 1}
show(pictures.kl_bars(chosen, "Ten latents: a larger beta switches them off"))

# %% [markdown]
# - **Too small**: nearly an autoencoder. Codes are sharp and spread far beyond the prior (last
#   column), reconstructions are as good as they get, and the prior misses where the codes are. The
#   bound is bad because the KL is huge, although nobody looking at reconstructions would notice.
# - **Too large**: information is expensive. Latents are given up one by one (pale bars), and what is
#   left is shared by many digits, until at 30 all are gone. On the way samples look *better*
#   than at $\beta = 1$: smoother, more typical, fewer in kind.
# - **1** is the only one of them that bounds $\log p(x)$. Take another if you want something
#   else (smooth samples, sharp reconstructions), and say so beside the number.
#
# ## 9. Warm-up
#
# With `kl_warmup_steps=N` the weight of the KL rises evenly from 0 to `beta` over the first $N$ steps.
# What for? At the start the decoder can't use $z$ yet, so a code costs nats and brings none, and the
# quickest way down is to drop it. A dropped latent may never come back.
#
# It is no cure for a large `beta`: at the end the weight is `beta` all the same, and what is not worth
# its price goes then. It is a cure for a bad *start*, and we have one: the post's TensorFlow recipe
# (Adam with a step of 0.01, initial weights of σ = 0.001), which fails on some seeds. Seed 1 is one of
# them.

# %%
panels, lines, steps = {}, {}, fast(800, 80)
for warmup in fast((0, 600), (60,)):
    title = f"{warmup} steps" if warmup else "no warm-up"
    its_config = recipe("post-tf", steps=steps, seed=1, kl_warmup_steps=warmup)
    model, its_run = train(its_config, data, verbose=0)
    q, found = encode(model, data.x_test), evaluate(model, data.x_test, its_config)
    panels[title] = diagnostics.kl_per_dimension(*q), diagnostics.active_units(q[0])
    lines[title] = [row["kl"] for row in its_run.history]
    print(
        f"{title:12} test loss {found['loss']:.1f} = KL {found['kl']:.1f} - log-likelihood"
        f" {found['log_likelihood']:.1f} nats; {panels[title][1].sum()} of 20 units active"
    )
text = "post-tf, seed 1: the KL while training"
show(
    pictures.curves(np.arange(1, len(lines[title]) + 1), lines, text, "epoch", "KL, nats", log="y")
)

# %%
show(pictures.kl_bars(panels, "post-tf, seed 1: KL of each latent at the end"))

# %% [markdown]
# Without warm-up one latent is left of twenty. With it, the KL is far too high for a while, as it costs
# little then, and comes down to what is worth its price. (Fourteen are active, ten have a bar worth the
# name: a variance of 0.01 is a low hurdle. Look at both.)
#
# Two honest remarks. One seed is an anecdote; the README's figure has eight, without warm-up. And a
# better start makes the question go away: Glorot's initial weights and a step of 0.001 lose no latent
# in section 6, with no warm-up at all.

# %% [markdown]
# ## Exercises
#
# Fill in an answer and run the cell; it tells you whether it is right.
#
# **Exercise 1.** A model of black-and-white images of four pixels has collapsed. In the training set the
# pixels are white in 50 %, 50 %, 0 % and 10 % of the images. At which loss does it stand, in nats?
# Two decimals.

# %%
answer_1 = None  # your answer, a number

shares = np.array([0.5, 0.5, 0.0, 0.1])
check(
    "exercise 1",
    answer_1,
    lambda nats: abs(nats - (special.entr(shares) + special.entr(1 - shares)).sum()) < 0.01,
    "Add up -p log p - (1 - p) log(1 - p), with the natural logarithm; a certain pixel costs 0.",
)

# %% [markdown]
# **Exercise 2.** Walk on an arc. Write a function of `z0`, `z1` (both of shape (latent_dim,)) and `t` in
# [0, 1] whose result goes from one to the other and, if both have the same norm, keeps it all
# the way, turning by the same angle for equal steps of `t`.

# %%
answer_2 = None  # your answer, a function: lambda z0, z1, t: …


def is_arc(path):
    """Whether a path keeps the norm and turns evenly, on two vectors of norm 3."""
    z0, z1 = (3 * v / np.linalg.norm(v) for v in np.array([[1.0, 2, 0, 1], [0, 1, -1, 1]]))
    whole = np.arccos(z0 @ z1 / 9)
    for t in (0.0, 0.25, 0.5, 1.0):
        z = np.asarray(path(z0, z1, t), float)
        angle = np.arccos(np.clip(z @ z0 / 9, -1, 1))
        if abs(np.linalg.norm(z) - 3) > 1e-6 or abs(angle - t * whole) > 1e-6:
            return False
    return np.allclose(path(z0, z1, 1.0), z1)


check(
    "exercise 2",
    answer_2,
    is_arc,
    "With the angle w between z0 and z1: (sin((1 - t) w) z0 + sin(t w) z1) / sin(w).",
)

# %% [markdown]
# **Exercise 3.** The mean KL of a model is 6.1 nats, and $\mathrm{KL}(q(z)\,\|\,p(z))$ is 0.5. About how
# many images can its codes tell apart, $e^{I(x;z)}$? To the nearest ten.

# %%
answer_3 = None  # your answer, a number

check(
    "exercise 3",
    answer_3,
    lambda images: abs(images - math.exp(6.1 - 0.5)) < 10,
    "Section 5: the information is what is left of the KL. Then take exp, as these are nats.",
)

# %% [markdown]
# **Exercise 4.** Of three latents, over a large test set: `z_mean` of the first is 0.5 for one half of
# the images and -0.5 for the other; of the second it is always 2; of the third its standard deviation
# is 0.05. Which are active? Give the list of three booleans.

# %%
answer_4 = None  # your answer, a list: [True or False, …]

halves = np.array([1.0, -1.0] * 500)
means = np.stack([0.5 * halves, np.full(1000, 2.0), 0.05 * halves], axis=1)
check(
    "exercise 4",
    answer_4,
    lambda active: [bool(each) for each in active] == diagnostics.active_units(means).tolist(),
    "The criterion is the *variance* of z_mean over images, above 0.01.",
)

# %% [markdown]
# **Exercise 5.** A run has `beta=4` and `kl_warmup_steps=2000`. Which weight does the KL have in its
# 500th step?

# %%
answer_5 = None  # your answer, a number

check(
    "exercise 5",
    answer_5,
    lambda weight: abs(weight - float(elbo.warmed_up(4.0, 499, 2000))) < 1e-6,  # 0 is the first
    "It rises evenly, from 0 to beta.",
)
