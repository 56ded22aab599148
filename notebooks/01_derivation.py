# %% [markdown]
# # 1. Where the loss of a VAE comes from
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/01_derivation.ipynb)
#
# ## What you will learn
#
# - What a variational autoencoder (VAE) has that an autoencoder does not have: a distribution to sample
#   from.
# - Why the exact posterior $p(z|x)$ cannot be computed, and what is done instead.
# - Why $\log p(x) = \mathrm{KL}(q(z|x)\,\|\,p(z|x)) + \mathrm{ELBO}$, and how the loss follows from this
#   equation.
# - Both terms of the loss: the KL in closed form, and $\log p(x|z)$ for black-and-white,
#   continuous, discrete and grey pixels.
# - Why pixels are summed and not averaged, and why the KL has no weight.
# - What the reparameterization trick improves, measured.
#
# The derivation follows a [blog post from 2018](../README.md#where-it-comes-from), *VAE模型*, in our own
# words. **Every displayed equation is followed by a cell that checks it numerically**, and a failing
# `assert` would have stopped the notebook. Change a formula and see how its check fails.
#
# The whole notebook takes about two minutes on two cores. You need to know what a density and an
# expectation are, and a little Python.

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

import functools
import inspect
import itertools
import math
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy import integrate, optimize, special, stats

import tf_vae.model
from shared import elbo
from shared.config import recipe
from shared.data import evaluation_images, load_data
from shared.measure import diagnostics, quadrature
from shared.measure.gradients import gradient_estimators
from shared.show.figures import diagrams, lessons
from shared.show.figures.of_run import prior_samples
from tf_vae.checkpoint import gather, load
from tf_vae.evaluate import elbo_terms, log_weights
from tf_vae.model import build, decode, encode
from tf_vae.train import train

random = np.random.RandomState(0)

# %% [markdown]
# ## 1. An autoencoder, and a variational one
#
# Both have an encoder $x \to z$ and a decoder $z \to x$. The difference is what $z$ is.
#
# - In an **autoencoder**, $z$ is a point. The model is trained only to reconstruct $x$.
# - In a **VAE**, the encoder returns a distribution, $q(z|x) = \mathcal N(\mu, \sigma^2)$, with one mean and
#   one variance per latent dimension, and the model includes a **prior** $p(z) = \mathcal N(0, I)$. To
#   generate a new image, draw $z$ from the prior and decode it.
#
# We train one of each, with the same network on the same 4,000 digits, and with two latents so that we can
# draw them. Every pixel is drawn as 0 or 1 with its grey value as the probability, so that the likelihood is
# the probability of a binary image; section 10 treats grey pixels.

# %%
data = load_data("mnist-5k")
config = recipe("post-keras", epochs=fast(50, 20), binarization="dynamic")
vae, _ = train(config, data, verbose=0)

delta_config = recipe("post-keras", epochs=fast(50, 20), binarization="dynamic", posterior="delta")
autoencoder, _ = train(delta_config, data, verbose=0)

x_test = evaluation_images(data.x_test, config)  # 1,000 images of 784 pixels, each 0 or 1
print(f"{len(data.x_train):,} training images, {len(x_test):,} test images of {x_test.shape[1]}")

# %% [markdown]
# The figure shows where the two encoders place the test images. The colours are the labels, which neither
# model was trained on. The dashed circle has radius 3 and contains 99 % of the probability of the prior.

# %%
panels = {"autoencoder": encode(autoencoder, x_test)[0], "VAE": encode(vae, x_test)[0]}
show(lessons.latent_panels(panels, data.y_test, "Test set in the plane: z, or the mean of q(z|x)"))

# %% [markdown]
# The latents of the VAE lie where the prior has its probability. The latents of the autoencoder lie anywhere,
# because its loss has no term for their position. Now we decode samples $z \sim \mathcal N(0, I)$ with both. Nearly all
# of them fall into the dashed circle. The autoencoder has placed only a few kinds of digits there, so its samples are
# nearly all alike.

# %%
z_prior = prior_samples(config, 15)
made = {"autoencoder": decode(autoencoder, z_prior), "VAE": decode(vae, z_prior)}
show(lessons.image_rows(made, data.image_shape, "z ~ N(0, I), decoded by both"))

# %% [markdown]
# The post says that with $\sigma^2 = 0$ the VAE becomes the autoencoder. For the *sampling* this is exactly
# true. A sample of $q$ is computed as
#
# $$ z = \mu + \sigma\,\varepsilon, \qquad \varepsilon \sim \mathcal N(0, I), $$
#
# so $\sigma = 0$ gives $z = \mu$ for every $\varepsilon$. (For the *loss* it is not true: section 4 shows that
# the KL is infinite there. An autoencoder is a VAE with $\sigma = 0$ **and without the KL**.)

# %%
mean, epsilon = random.normal(size=(5, 2)), random.normal(size=(5, 2))

no_sigma = np.full((5, 2), -np.inf)  # log σ² of σ = 0
assert np.array_equal(elbo.reparameterize(mean, no_sigma, epsilon), mean)

z = elbo.reparameterize(mean, np.full((5, 2), math.log(0.3**2)), epsilon)
print("largest |z - (μ + 0.3 ε)|:", np.abs(z - (mean + 0.3 * epsilon)).max())
assert np.allclose(z, mean + 0.3 * epsilon, rtol=1e-15)

# %% [markdown]
# ## 2. Why $p(z|x)$ cannot be computed
#
# We have a prior $p(z)$ and a decoder $p(x|z)$. They determine the distribution that the encoder should
# return, by Bayes' rule:
#
# $$ p(z|x) = \frac{p(x|z)\,p(z)}{p(x)}, \qquad p(x) = \int p(x|z)\,p(z)\,dz $$
#
# The numerator is easy to compute. The difficulty is $p(x)$, the **evidence**: an integral of a neural
# network over all $z$.
#
# In two dimensions it can be computed on a fine grid over the plane. We compute it twice: with
# `log_evidence`, which refines its cells where the integrand is large, and as a plain sum over 40,000 squares.

# %%
x = x_test[::50][: fast(20, 8)]  # two test images of each digit
z_mean, z_log_var = encode(vae, x)
log_likelihood = quadrature.bernoulli_on_grid(quadrature.decoder64(gather(vae), "relu"))
log_px = quadrature.log_evidence(log_likelihood, x, spacing=0.02)

step = 0.05
axis = np.arange(-5 + step / 2, 5, step)
rows = []
for z1 in axis:
    z = np.stack([axis, np.full_like(axis, z1)], axis=1)
    log_joint = log_likelihood(x, z) + stats.norm.logpdf(z).sum(axis=1)  # log p(x|z) + log p(z)
    rows.append(special.logsumexp(log_joint, axis=1))
plain_sum = special.logsumexp(rows, axis=0) + 2 * math.log(step)

for i in range(4):
    print(f"image {i}: log p(x) = {log_px[i]:.3f}   by a plain sum: {plain_sum[i]:.3f}")
assert np.abs(log_px - plain_sum).max() < 0.05  # what squares of 0.05 leave out

# %% [markdown]
# $\log p(x) = -150$ nats is a probability of $e^{-150}$. For an image of 784 pixels this is a high
# probability: if each pixel were drawn with probability ½, it would be $e^{-543}$.
#
# The sum needed 200 squares along each axis, so $200^2 = 40{,}000$ calls of the decoder. With the 20 latents of
# the post's second experiment it would need $200^{20} \approx 10^{46}$ calls. This is what "intractable"
# means here: the formula is known, but it cannot be evaluated.
#
# ### What about sampling?
#
# An integral against $p(z)$ is an expectation, and expectations can be sampled:
#
# $$ p(x) = \mathbb E_{p(z)}\big[p(x|z)\big] \approx \frac1K \sum_{k=1}^K p(x|z_k),
#    \qquad z_k \sim p(z) $$
#
# This is correct, but nearly useless. Most samples $z$ of the prior have a negligible $p(x|z)$ for *this*
# image, and a few rare ones dominate the sum. It is better to draw from a $q(z|x)$ that is large where
# $p(x|z)\,p(z)$ is large, and to weight each sample:
#
# $$ p(x) = \mathbb E_{q(z|x)}\left[\frac{p(x|z)\,p(z)}{q(z|x)}\right], \qquad
#    \mathbb E\left[\log \frac1K\sum_{k=1}^K \frac{p(x|z_k)\,p(z_k)}{q(z_k|x)}\right] \le \log p(x) $$
#
# The second part (Jensen's inequality; Burda et al., 2015) says that the estimate is a lower bound in
# expectation. `importance_bounds` computes it for any Gaussian $q$. With $q = p$, that is mean 0 and
# $\log\sigma^2 = 0$, the weight is $p(x|z)$, and the same function computes the simple sum above.

# %%
weigh = functools.partial(log_weights, vae)
zeros = np.zeros_like(z_mean)
K = (1, 10, 100, 1000, fast(10_000, 2000))

naive = diagnostics.importance_bounds(weigh, x, zeros, zeros, seed=0, samples=K)
guided = diagnostics.importance_bounds(weigh, x, z_mean, z_log_var, seed=0, samples=K)


def missing(bounds):
    """Returns the median over the images of what each number of samples misses, in nats."""
    return [float(np.median(log_px - bounds[k])) for k in K]


print(f"nats below the exact log p(x), median of {len(x)} images")
for k, without, with_q in zip(K, missing(naive), missing(guided), strict=True):
    print(f"K = {k:6,}   z from p(z): {without:8.2f}   z from q(z|x): {with_q:8.2f}")
ratio = np.exp(naive[K[-1]] - log_px)  # of the sum over K draws of the prior to p(x) itself
error = ratio.std() / math.sqrt(len(x))
print(f"p(x) by {K[-1]:,} draws of the prior, over the exact one: {ratio.mean():.2f} ± {error:.2f}")
assert abs(ratio.mean() - 1) < 5 * error
for bounds in (naive, guided):
    # Below the exact value, and higher with many samples than with one.
    assert bounds[1].mean() < bounds[K[-1]].mean() < log_px.mean() + 0.1
assert guided[1].mean() > naive[100].mean()

# %%
lines = {
    "z from the prior p(z)": missing(naive),
    "z from the encoder's q(z|x)": missing(guided),
}
worst = np.sort(log_px - guided[K[-1]])[-2:]
print(f"the two images for which q misses most at K = {K[-1]:,}: {worst.round(2)} nats")
text = f"What K samples miss of log p(x): median of {len(x)} test images"
show(lessons.curves(K, lines, text, "K samples per image", "nats missing", log="xy"))

# %% [markdown]
# **One** sample of the encoder's $q$ is as good as several hundred samples of the prior. (The figure shows the median
# over the images, because a few are badly encoded: $q$ is narrow and in the wrong place. Of the worst one, even the
# largest $K$ misses many nats, as the printed line says, and it would dominate a mean. Section 3 looks at such
# images. With two latents the prior overtakes $q$ at the largest $K$, because its samples cover the whole plane,
# including regions that a wrong $q$ misses; its line falls so steeply there because a difference that goes to zero goes to
# minus infinity on a logarithmic axis. With 20 latents this would need far too many samples.)
#
# ### Jensen's inequality, in a picture
#
# Why is the estimate *below* $\log p(x)$? The logarithm is concave: it lies above each of its chords. So the
# logarithm of a mean is never less than the mean of the logarithms:
#
# $$ \mathbb E[\log w] \le \log\mathbb E[w] $$
#
# The figure shows it for a weight that is 0.2 or 1.8 with probability ½ each. With more samples in the mean, the mean
# varies less, the chord gets shorter, and the difference smaller. This is why the bound rises with $K$. The second
# check is the same inequality with $w = p/q$, whose mean under $q$ is 1: then $\mathbb E_q[\log(p/q)] \le \log 1 = 0$,
# so **a KL is never negative**, and it is 0 only if $w$ is constant, that is, if $q = p$.

# %%
w = np.linspace(0.05, 2.2, 200)
low, high = 0.2, 1.8
mean_of_logs, log_of_mean = (math.log(low) + math.log(high)) / 2, math.log((low + high) / 2)
chord = math.log(low) + (w - low) * (math.log(high) - math.log(low)) / (high - low)
chord[(w < low) | (w > high)] = np.nan

several = stats.dirichlet(np.ones(6)).rvs(2000, random_state=0).reshape(2, 1000, 6)
kl_of_pairs = stats.entropy(several[0], several[1], axis=1)  # 1,000 pairs of distributions
print(f"log of the mean {log_of_mean:.3f}, mean of the logs {mean_of_logs:.3f}")
print(f"KL of 1,000 random pairs: {kl_of_pairs.min():.3f} to {kl_of_pairs.max():.3f}", end="; ")
print(f"of a distribution with itself: {stats.entropy(several[0, 0], several[0, 0])}")
assert mean_of_logs < log_of_mean and (kl_of_pairs > 0).all()
samples_of_w = random.choice([low, high], size=(20_000, 64))
by_count = [np.log(samples_of_w[:, :k].mean(axis=1)).mean() for k in (1, 2, 4, 16, 64)]
print("E[log of the mean of K]:", *(f"{each:.3f}" for each in by_count), "for K = 1, 2, 4, 16, 64")
assert all(a < b for a, b in itertools.pairwise([*by_count, log_of_mean]))

lines = {"log w": np.log(w), "a chord": chord}
points = {"log of the mean": (1.0, log_of_mean), "mean of the logs": (1.0, mean_of_logs)}
show(lessons.curves(w, lines, "Jensen's inequality", "w", "log w", points=points))

# %% [markdown]
# So a good $q(z|x)$ is useful. The question is how to train one without knowing $p(z|x)$.
#
# ## 3. $\log p(x)$ in two parts
#
# Take Bayes' rule, solve it for $p(x)$, and multiply and divide by $q(z|x)$:
#
# $$ \log p(x) = \log\frac{p(x|z)\,p(z)}{p(z|x)}
#    = \log\frac{p(x|z)\,p(z)}{q(z|x)} + \log\frac{q(z|x)}{p(z|x)} $$
#
# The left side does not depend on $z$. So the right side is **the same number at every $z$**. To check this
# without circularity, we need a model whose posterior is known independently: a linear decoder with Gaussian
# noise, $x = Wz + \text{noise}$. There $p(x)$ and $p(z|x)$ are both Gaussian, with known formulas.

# %%
W, noise = random.normal(size=(5, 2)), 0.4  # 5 pixels, 2 latents; variance of the noise
x0 = random.normal(size=5)

evidence = stats.multivariate_normal.logpdf(x0, np.zeros(5), W @ W.T + noise * np.eye(5))
precision = np.eye(2) + W.T @ W / noise
posterior = stats.multivariate_normal(
    np.linalg.solve(precision, W.T @ x0 / noise), np.linalg.inv(precision)
)
q = stats.multivariate_normal([0.3, -0.1], [0.5, 0.2])  # any other Gaussian, here a bad one

print(f"log p(x) = {evidence:.10f}, and at five z:")
for z in random.normal(size=(5, 2)):
    log_joint = stats.norm.logpdf(x0, W @ z, math.sqrt(noise)).sum() + stats.norm.logpdf(z).sum()
    first, second = log_joint - q.logpdf(z), q.logpdf(z) - posterior.logpdf(z)
    print(f"   {first:9.4f}  + {second:9.4f}  = {first + second:.10f}")
    assert abs(first + second - evidence) < 1e-10

# %% [markdown]
# Each of the two parts depends on $z$; their sum does not. Now take the average of both over $z \sim q(z|x)$.
# The left side does not change, and the two averages have names:
#
# $$ \log p(x) = \underbrace{\mathbb E_{q(z|x)}\left[\log\frac{p(x|z)\,p(z)}{q(z|x)}\right]}_{\text{ELBO}}
#    + \underbrace{\mathbb E_{q(z|x)}\left[\log\frac{q(z|x)}{p(z|x)}\right]}_{\mathrm{KL}(q(z|x)\,\|\,p(z|x))\;\ge\;0} $$
#
# This is the whole derivation. For our trained VAE with two latents, `posterior_identity` computes each of the
# three terms *by a separate integration*. The residual is close to 0 only because the identity is true.

# %%
exact = quadrature.posterior_identity(log_likelihood, x, z_mean, z_log_var, spacing=0.02)

print("   log p(x)        ELBO   KL(q || p(z|x))   residual")
for i in range(6):
    parts = [exact[name][i] for name in ("log_px", "elbo", "kl_to_posterior", "residual")]
    print("{:11.4f} {:11.4f} {:17.4f} {:10.1e}".format(*parts))
assert np.abs(exact["residual"]).max() < 1e-3  # nats
assert (exact["kl_to_posterior"] > 0).all()

# %% [markdown]
# Because a KL is never negative, the ELBO is a **lower bound** on $\log p(x)$ (Evidence Lower
# BOund), and we can compute it without $p(z|x)$. When it rises, $\log p(x)$ has risen, or $q(z|x)$
# has come closer to $p(z|x)$, or both. It does not say which.
#
# To see that the sum stays constant, we take one image and multiply the standard deviation of the encoder's
# $q$ by factors from 0.3 to 3.

# %%
factors = np.geomspace(0.3, 3, fast(17, 5))
chosen = int(np.argsort(exact["kl_to_posterior"])[len(x) // 2])  # an image like most
x_one, mean_one = (
    np.repeat(x[[chosen]], len(factors), axis=0),
    np.repeat(z_mean[[chosen]], len(factors), axis=0),
)
stretched = z_log_var[chosen] + 2 * np.log(factors)[:, None]

split = quadrature.posterior_identity(log_likelihood, x_one, mean_one, stretched, spacing=0.02)
total = split["elbo"] + split["kl_to_posterior"]
print(f"the ELBO goes from {split['elbo'].min():.2f} to {split['elbo'].max():.2f} nats,")
print(f"ELBO + KL from {total.min():.4f} to {total.max():.4f}; log p(x) = {log_px[chosen]:.4f}")
assert np.abs(total - log_px[chosen]).max() < 1e-3

text = "One test image, and q(z|x) made narrower and wider"
show(
    lessons.evidence_split(
        factors,
        split["elbo"],
        log_px[chosen],
        1.0,
        text,
        "standard deviation of q, as a multiple of the encoder's",
    )
)

# %% [markdown]
# The upper line is constant: where the ELBO is lower, the KL is higher by the same amount.
#
# The next figure shows what this KL measures: the exact $p(z|x)$ of four test images, in colour, and the
# encoder's $q(z|x)$ as curves at one and two standard deviations, from the best fit to the worst.

# %%
order = np.argsort(exact["kl_to_posterior"])
some, half_width, side = order[[0, len(order) // 2, -2, -1]], 0.9, 121
log_posteriors, centres, log_spreads = [], [], []
for i in some:
    axes = [np.linspace(centre - half_width, centre + half_width, side) for centre in z_mean[i]]
    z = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    log_posterior = log_likelihood(x[[i]], z)[0] + stats.norm.logpdf(z).sum(axis=1) - log_px[i]
    log_posteriors.append(log_posterior.reshape(side, side))
    share = special.softmax(log_posterior)[:, None]  # of each point, for the next cell
    centres.append((share * z).sum(axis=0))
    log_spreads.append(np.log((share * (z - centres[-1]) ** 2).sum(axis=0)))

titles = [f"KL(q ‖ p(z|x)) = {exact['kl_to_posterior'][i]:.2f} nats" for i in some]
text = "The exact posterior in colour, the encoder's q(z|x) as ellipses"
q = z_mean[some], z_log_var[some]
show(
    lessons.posterior_contours(
        half_width, log_posteriors, *q, x[some], data.image_shape, titles, text
    )
)

# %% [markdown]
# There are two possible reasons for the difference between $q(z|x)$ and $p(z|x)$.
#
# - The true posterior may be rotated, curved, or have several modes. A Gaussian with a diagonal covariance
#   cannot represent this, whatever its parameters are.
# - The encoder was not trained on these images, and its mean or variances may be wrong.
#
# To separate the two, we give each image a Gaussian with the mean and the variances of its exact posterior,
# and measure again.

# %%
fitted = quadrature.posterior_identity(
    log_likelihood, x[some], np.array(centres), np.array(log_spreads), spacing=0.02
)
for i, after in zip(some, fitted["kl_to_posterior"], strict=True):
    print(
        f"KL to the posterior: encoder {exact['kl_to_posterior'][i]:.2f}, fitted {after:.2f} nats"
    )
assert np.abs(fitted["log_px"] - log_px[some]).max() < 1e-3  # log p(x) knows nothing of q
assert fitted["kl_to_posterior"][-1] < exact["kl_to_posterior"][some[-1]]

# %% [markdown]
# Nearly all of the KL is due to the second reason: a Gaussian with a diagonal covariance fits these posteriors
# well. This part of the KL is called the *amortization gap* (Cremer et al., 2018, arXiv:1801.03558): one network
# computes $q$ for all images, instead of an optimization for each image. Is the encoder wrong because it has not
# seen these images? We measure the same KL on training images.

# %%
x_seen = evaluation_images(data.x_train, config)[:: len(data.x_train) // len(x)][: len(x)]
seen = quadrature.posterior_identity(log_likelihood, x_seen, *encode(vae, x_seen), spacing=0.02)
for name, values in (("training", seen), ("test", exact)):
    gap = values["kl_to_posterior"]
    print(
        f"{name:8} images: KL to the posterior {gap.mean():.2f} nats, median {np.median(gap):.2f}"
    )
    assert np.abs(values["residual"]).max() < 1e-3 and (gap > 0).all()

# %% [markdown]
# The gap exists on training images, too: it is a property of the encoder. That the mean is larger on new images is due to
# few of them: the worst, with 24.51 nats, adds more than a nat to the mean of these 20, and the medians hardly differ.
#
# ### The form that is computed
#
# Splitting the logarithm in the ELBO gives the two terms of the loss:
#
# $$ \mathrm{ELBO} = \mathbb E_{q(z|x)}\big[\log p(x|z)\big] - \mathrm{KL}\big(q(z|x)\,\|\,p(z)\big) $$
#
# Note which KL this is: the KL to the **prior**, which we can compute, and not the KL to the posterior, which
# we cannot compute. To check the equation, we compute the left side by sampling
# $\log\frac{p(x|z)p(z)}{q(z|x)}$, and the right side by integration and the closed form of section 4. (A sample of
# the left side is the importance bound of section 2 with $K = 1$: so the ELBO is its first member, and larger $K$
# tighten it.)

# %%
samples = fast(5000, 500)
sampled = np.concatenate([weigh(x, z_mean, z_log_var, seed, 100) for seed in range(samples // 100)])
mean_weight, error = sampled.mean(axis=0), sampled.std(axis=0) / math.sqrt(samples)

for i in range(3):
    print(
        f"by {samples} samples {mean_weight[i]:.3f} ± {error[i]:.3f}   by integration {exact['elbo'][i]:.3f}"
    )
away = np.abs(mean_weight - exact["elbo"]) / error
print(f"furthest of {len(x)} images: {away.max():.1f} standard errors")
assert away.max() < 5

# %% [markdown]
# ## 4. The left term: $\mathrm{KL}(q(z|x)\,\|\,p(z))$
#
# Both are Gaussian, so the integral has a closed form; for one latent
#
# $$ \mathrm{KL}\big(\mathcal N(\mu, \sigma^2)\,\|\,\mathcal N(0, 1)\big)
#    = \int q(z)\log\frac{q(z)}{p(z)}\,dz = \tfrac12\left(\mu^2 + \sigma^2 - 1 - \log\sigma^2\right) $$
#
# We check it with `scipy.integrate.quad`, a general numerical integration.

# %%
for mu, sigma in ((0.0, 1.0), (1.5, 1.0), (0.0, 0.3), (-1.0, 0.5)):
    q = stats.norm(mu, sigma)
    by_integration, _ = integrate.quad(
        lambda z, q=q: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)),
        mu - 12 * sigma,
        mu + 12 * sigma,
    )
    closed = float(
        elbo.kl_to_standard_normal(np.array([[mu]]), np.array([[2 * math.log(sigma)]]))[0]
    )
    print(
        f"μ = {mu:4}, σ = {sigma:3}: closed form {closed:.6f}, by integration {by_integration:.6f} nats"
    )
    assert abs(closed - by_integration) < 1e-9

# %% [markdown]
# The figure shows the same integral. Above: the prior and three $q$. Below: the integrand, in one colour where $q$ is above
# the prior and it is positive, in another where $q$ is below the prior and it is negative; the total area is the KL.

# %%
z = np.linspace(-5, 6, 1101)
pairs = {"q = N(1.5, 1)": (1.5, 1.0), "q = N(0, 0.3²)": (0.0, 0.3), "q = N(−1, 0.5²)": (-1.0, 0.5)}
panels = {title: stats.norm.pdf(z, *pair) for title, pair in pairs.items()}
show(lessons.kl_areas(z, stats.norm.pdf(z), panels, "The KL to the prior, as an area"))

# %% [markdown]
# With several latents $q$ and $p$ are both products over them, so the logarithms add:
#
# $$ \mathrm{KL}\big(q(z|x)\,\|\,\mathcal N(0, I)\big)
#    = \tfrac12\sum_{j}\left(\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2\right) $$
#
# It is a **sum** over latents and not a mean, because this is the value of the integral. We check it against
# the KL of two multivariate Gaussians, estimated by sampling with `scipy.stats`.

# %%
mean, log_var = random.normal(size=(1, 3)), random.uniform(-2, 1, (1, 3))
together = float(elbo.kl_to_standard_normal(mean, log_var)[0])
one_by_one = [float(elbo.kl_to_standard_normal(mean[:, [j]], log_var[:, [j]])[0]) for j in range(3)]

q = stats.multivariate_normal(mean[0], np.diag(np.exp(log_var[0])))
z = q.rvs(200_000, random_state=0)
ratio = q.logpdf(z) - stats.norm.logpdf(z).sum(axis=1)
error = ratio.std() / math.sqrt(len(z))
print(f"formula {together:.4f} = {' + '.join(f'{each:.4f}' for each in one_by_one)}")
print(f"by sampling {ratio.mean():.4f} ± {error:.4f}")
assert abs(together - sum(one_by_one)) < 1e-12 and abs(together - ratio.mean()) < 5 * error
print()
print(inspect.getsource(elbo.kl_to_standard_normal))

# %% [markdown]
# Now we return to the remark about $\sigma = 0$. As $\sigma$ goes to 0,
#
# $$ \mathrm{KL} \approx -\log\sigma + \text{const} \;\to\; \infty, $$
#
# by 2.3 nats for every factor of ten, without bound. So training does not turn a VAE into an autoencoder: the
# KL would become infinite.

# %%
sigmas = np.array([1e-2, 1e-3, 1e-4, 1e-5])
kl = np.array(elbo.kl_to_standard_normal(np.zeros((4, 1)), 2 * np.log(sigmas)[:, None]))
print("KL at σ = 0.01, 0.001, …:", kl.round(3), " steps:", np.diff(kl).round(3))
assert np.allclose(np.diff(kl), math.log(10), atol=1e-3)

# %% [markdown]
# ### Why the encoder returns $\log\sigma^2$
#
# The encoder's last layer is linear, so its outputs may be any real number. A variance must be positive; its
# logarithm need not be. If the same outputs are taken for $\sigma^2$, the formula fails at once: a large part of
# an untrained encoder's outputs is negative, and the logarithm of a negative number is not defined. The gradient is
# another reason. With respect to $\sigma^2$ it is $\frac12(1 - 1/\sigma^2)$, which has no bound as $\sigma$ falls;
# with respect to $\log\sigma^2$ it is
#
# $$ \frac{\partial\,\mathrm{KL}}{\partial\log\sigma^2} = \tfrac12(\sigma^2 - 1), $$
#
# which stays between $-\frac12$ and 0 for every $\sigma \le 1$. For $\sigma > 1$ neither choice helps: this gradient grows
# with $\sigma^2$, that is exponentially in the encoder's output, and so does the KL. At an output of 90 both are infinite
# in float32, as the last line of the next cell shows, and a step with an infinite gradient leaves weights that are not
# numbers.

# %%
outputs = encode(build(config, data.input_dim), x_test)[1].astype(np.float64)  # untrained
with np.errstate(invalid="ignore"):
    taken_as_variance = (outputs - 1 - np.log(outputs)).sum(axis=1) / 2
print(f"negative outputs: {np.mean(outputs < 0):.0%}", end="; taken as σ², ")
print(f"the KL of {np.mean(np.isnan(taken_as_variance)):.0%} of the images is not a number")
assert np.isnan(taken_as_variance).any()
assert np.isfinite(elbo.kl_to_standard_normal(np.zeros_like(outputs), outputs)).all()

log_var = tf.Variable(np.log([[1.0], [1e-2], [1e-4], [1e-6]]))
with tf.GradientTape(persistent=True) as tape:
    variance = tf.exp(log_var)
    kl = elbo.kl_to_standard_normal(tf.zeros_like(log_var), tf.math.log(variance))
for name, source in (("σ²", variance), ("log σ²", log_var)):
    print(f"gradient with respect to {name:6}", tape.gradient(kl, source).numpy().ravel().round(4))
by_log = tape.gradient(kl, log_var).numpy()
assert np.allclose(by_log, (np.exp(log_var.numpy()) - 1) / 2, atol=1e-12)

large = tf.constant([[1.0], [10.0], [80.0], [90.0]])  # log σ² in float32, as in training
with tf.GradientTape() as tape:
    tape.watch(large)
    kl = elbo.kl_to_standard_normal(tf.zeros_like(large), large)
by_large = tape.gradient(kl, large).numpy().ravel()
print("log σ² = 1, 10, 80, 90: KL", kl.numpy(), " gradient", by_large)
assert np.isinf(kl.numpy()[-1]) and np.isinf(by_large[-1])

# %% [markdown]
# ## 5. The right term: $\mathbb E_{q(z|x)}[\log p(x|z)]$
#
# This expectation has no closed form, because it contains the decoder. It is estimated with the simplest
# estimate: **one** sample of $z$ per image and step.
#
# $$ \mathbb E_{q(z|x)}\big[\log p(x|z)\big] \approx \log p(x|z), \qquad z = \mu + \sigma\,\varepsilon $$
#
# One sample is noisy but unbiased, and training uses thousands of them. The next cell measures the noise and
# the mean:

# %%
many = fast(300, 50)
one_sample = np.stack([elbo_terms(vae, x, config, sample)[0] for sample in range(many)])
by_integration = exact["elbo"] + np.array(elbo.kl_to_standard_normal(z_mean, z_log_var))
error = one_sample.std(axis=0) / math.sqrt(many)
for i in range(3):
    print(
        f"single samples: {one_sample[0, i]:.1f}, {one_sample[1, i]:.1f}, {one_sample[2, i]:.1f}, …"
        f"   mean {one_sample[:, i].mean():.2f} ± {error[i]:.2f}   exact {by_integration[i]:.2f}"
    )
assert (np.abs(one_sample.mean(axis=0) - by_integration) < 5 * error).all()

# %% [markdown]
# What $\log p(x|z)$ *is* depends on what a pixel is. In every case the pixels are independent given
# $z$, so the probability is a product over pixels and **the logarithm is a sum over pixels**.
#
# ### Black and white: Bernoulli
#
# The decoder gives a probability $y_k$ of white for each pixel $k$; in code, its logit
# $\ell_k = \log\frac{y_k}{1-y_k}$.
#
# $$ \log p(x|z) = \sum_k \Big(x_k\log y_k + (1 - x_k)\log(1 - y_k)\Big)
#    = \sum_k \Big(x_k\,\ell_k - \log(1 + e^{\ell_k})\Big) $$
#
# The first form is the (negative) binary cross-entropy. The second is equal to it and never takes the
# logarithm of a number that was rounded to zero. There are two checks: a comparison with SciPy, and, for
# images of six pixels, that the probabilities of **all** images add up to 1.

# %%
logits = random.normal(0, 2, 6)
images = np.array(list(itertools.product([0.0, 1.0], repeat=6)))  # all 64 images of 6 pixels
ours = np.array(elbo.bernoulli_log_likelihood(images, np.tile(logits, (64, 1))))
scipy_s = stats.bernoulli.logpmf(images.astype(int), special.expit(logits)).sum(axis=1)

print(f"largest difference from SciPy {np.abs(ours - scipy_s).max():.1e} nats")
print(f"the probabilities of all 64 images add up to {np.exp(ours).sum():.12f}")
assert np.allclose(ours, scipy_s, atol=1e-12) and abs(np.exp(ours).sum() - 1) < 1e-12
print()
print(inspect.getsource(elbo.bernoulli_log_likelihood))

# %% [markdown]
# ### Why the decoder returns logits
#
# In float32 the sigmoid of a logit of 17 is exactly 1, so $\log(1 - y)$ is the logarithm of 0. Code that computes the
# probability first and its logarithm afterwards returns infinity, or, if it clips the probability, a wrong value with a
# gradient of zero: a pixel that is predicted wrongly with great certainty is then not corrected any more. The second
# form of the equation has neither problem. Below, a white logit meets a black pixel, $x = 0$, where the exact value is
# nearly $-\ell$ and its derivative nearly $-1$.

# %%
logit = tf.Variable([[16.0], [17.0], [20.0], [100.0]])
black = tf.zeros((4, 1))
with tf.GradientTape(persistent=True) as tape:
    y = tf.sigmoid(logit)
    naive_log = tf.math.log(1 - y)[:, 0]
    clipped = tf.math.log(1 - tf.clip_by_value(y, 1e-7, 1 - 1e-7))[:, 0]
    from_logits = elbo.bernoulli_log_likelihood(black, logit)
print("logit                      ", logit.numpy().ravel())
for name, value in (("log(1 - y)", naive_log), ("y clipped", clipped), ("logits", from_logits)):
    slope = tape.gradient(value, logit).numpy().ravel()
    print(f"{name:11} value {value.numpy().round(3)}, gradient {slope.round(3)}")
exact_value = -np.logaddexp(0, logit.numpy().ravel().astype(np.float64))
assert np.allclose(from_logits, exact_value, rtol=1e-6) and np.isinf(naive_log.numpy()[2:]).all()
assert np.allclose(tape.gradient(from_logits, logit), -1, atol=1e-6)
assert (tape.gradient(clipped, logit).numpy()[2:] == 0).all()

# %% [markdown]
# ### Continuous: Gaussian
#
# The decoder gives a mean $m_k$ for each pixel and, if it is learned, a variance $s_k^2$:
#
# $$ \log p(x|z) = -\tfrac12\sum_k\left(\frac{(x_k - m_k)^2}{s_k^2} + \log s_k^2 + \log 2\pi\right) $$

# %%
values, means, variances = random.normal(size=(3, 4, 6))
log_var = np.log(variances**2)
ours = np.array(elbo.gaussian_log_likelihood(values, means, log_var))
scipy_s = stats.norm.logpdf(values, means, np.exp(log_var / 2)).sum(axis=1)
print(f"largest difference from SciPy {np.abs(ours - scipy_s).max():.1e} nats")
assert np.allclose(ours, scipy_s, atol=1e-12)

# %% [markdown]
# ### … and where the MSE comes from
#
# Fix one $s$ for all pixels. Then all that depends on $z$ is the squared error:
#
# $$ \log p(x|z) = -\frac{1}{2s^2}\sum_k (x_k - m_k)^2 - \frac D2\log 2\pi s^2 $$
#
# So the squared error appears **with a factor** $1/2s^2$, while the KL has no factor. A loss "MSE + KL"
# therefore implies a value of $s$, intended or not. A *sum* of squares implies $s^2 = \frac12$. A *mean* over 784
# pixels implies $s^2 = 392$, that is $s \approx 20$ for pixels between 0 and 1: the model is uncertain about
# every pixel by 20 times its whole range.

# %%
grey = data.x_test[:2].astype(float)
guess = decode(vae, encode(vae, data.x_test[:2])[0]).astype(float)
squares = ((grey - guess) ** 2).sum(axis=1)
for what, s2, loss in (("sum", 0.5, squares), ("mean", 392, squares / 784)):
    logs = np.array(elbo.gaussian_log_likelihood(grey, guess, math.log(s2)))
    constant = -784 / 2 * math.log(2 * math.pi * s2)
    print(
        f"{what:4} of squares: {-loss.round(4)};  s² = {s2}: log p - const = {(logs - constant).round(4)}"
    )
    assert np.allclose(logs - constant, -loss, rtol=1e-9)

# %% [markdown]
# Which $s$ makes the data most probable? Its square is the mean squared error:
#
# $$ \arg\max_{s^2}\;\log p(x|z) = \frac1D\sum_k (x_k - m_k)^2 $$

# %%
mse = squares[0] / 784


def cost(log_s2):
    """-log p(x|z) of one image, nats."""
    return -float(elbo.gaussian_log_likelihood(grey[:1], guess[:1], log_s2)[0])


best = math.exp(
    optimize.minimize_scalar(cost, bounds=(-10, 10), method="bounded", options={"xatol": 1e-9}).x
)
print(f"best s² = {best:.6f}, mean squared error = {mse:.6f}: s = {math.sqrt(best):.2f}")
assert abs(best / mse - 1) < 1e-4

variance = np.geomspace(0.02, 1000, 200)
heights = {"log p(x|z)": [-cost(math.log(each)) for each in variance]}
marks = {
    f"s² = {best:.3f}, the mean squared error": best,
    "s² = 1/2: sum": 0.5,
    "s² = 392: mean": 392,
}
points = {label: (each, -cost(math.log(each))) for label, each in marks.items()}
text = "One image and one reconstruction, under Gaussians of different s²"
show(
    lessons.curves(
        variance, heights, text, "s², one for all pixels", "nats", points=points, log="x"
    )
)

# %% [markdown]
# ## 6. The loss
#
# A batch has $N$ images. The loss is minus their mean ELBO:
#
# $$ \text{loss} = \frac1N\sum_{i=1}^N\Big[\mathrm{KL}\big(q(z|x^{(i)})\,\|\,p(z)\big) - \log p(x^{(i)}|z^{(i)})\Big] $$
#
# The mean over the batch is **the only mean**. Pixels are summed because the logarithm of their
# product is a sum; latents are summed because the KL is a sum. And the KL has no weight, because the ELBO of
# section 3 is the log-likelihood minus *once* the KL.

# %%
of_samples = []
for sample in range(many):
    drawn = [np.array(each, float) for each in elbo_terms(vae, x, config, sample)]
    of_samples.append(float(elbo.negative_elbo(*drawn)))
error = np.std(of_samples) / math.sqrt(many)
print(f"loss of {len(x)} images: {np.mean(of_samples):.3f} ± {error:.3f} nats per image", end=", ")
print(f"by integration {-exact['elbo'].mean():.3f}")
assert abs(np.mean(of_samples) + exact["elbo"].mean()) < 5 * error
print()
print(inspect.getsource(elbo.negative_elbo))

terms, kl = (np.array(each, float) for each in elbo_terms(vae, x_test, config))  # for what follows

# %% [markdown]
# Now suppose that the cross-entropy is averaged over pixels, as `BinaryCrossentropy` does, and that the KL is
# averaged over latents, too. With $D$ pixels and $d$ latents this is a hidden weight of the KL:
#
# $$ -\frac1D\log p(x|z) + \frac1d\,\mathrm{KL}
#    = \frac1D\Big(-\log p(x|z) + \beta\,\mathrm{KL}\Big), \qquad \beta = \frac Dd = \frac{784}{2} = 392 $$

# %%
averaged = np.mean(-terms / 784 + kl / 2)
weighted = float(elbo.negative_elbo(terms, kl, beta=392.0)) / 784
print(f"both averaged {averaged:.9f}, beta = 392 {weighted:.9f}")
assert abs(averaged - weighted) < 1e-9

# %% [markdown]
# The four combinations, each as a weight of the KL. Only the first is the ELBO:
#
# | averaged over | β | with 784 pixels and 2 latents |
# |---|---|---|
# | nothing | 1 | 1 |
# | pixels only | $D$ | 784 |
# | latents only | $1/d$ | 0.5 |
# | pixels and latents | $D/d$ | 392 |
#
# (The mean over the *batch* is another matter: it divides both terms by $N$ and changes no weight.)

# %%
D, d = data.input_dim, config.latent_dim
averages = {
    "nothing": (1, 1, 1.0),
    "pixels": (D, 1, D),
    "latents": (1, d, 1 / d),
    "both": (D, d, D / d),
}
for name, (pixels, latents, beta) in averages.items():
    averaged = np.mean(-terms / pixels + kl / latents)
    weighted = float(elbo.negative_elbo(terms, kl, beta=beta)) / pixels
    print(f"averaged over {name:8} {averaged:12.6f}, by beta = {beta:5g} {weighted:12.6f}")
    assert abs(averaged - weighted) < 1e-9

# %% [markdown]
# We train a model with this loss. With this weight, a nat of KL pays only if it raises the log-likelihood by more than
# 392 nats. No information about these digits is worth that much, so the loss is smallest if $z$ contains none. (The row of
# `beta = 1` is by the run in `pretrained/`, which was trained on all of MNIST; after 2,000 steps on 4,000 images,
# many of the reconstructions are still another digit.)

# %%
heavy_config = recipe("post-keras", epochs=fast(50, 20), binarization="dynamic", beta=392.0)
heavy, heavy_run = train(heavy_config, data, verbose=0)
pretrained, _ = load(Path(tf_vae.model.__file__).parents[1] / "pretrained" / "post-keras")
shown = data.x_test[5::67][:15]
rows = {
    "test images": shown,
    "beta = 1": decode(pretrained, encode(pretrained, shown)[0]),
    "beta = 392": decode(heavy, encode(heavy, shown)[0]),
}
show(lessons.image_rows(rows, data.image_shape, "Reconstructed from the mean of q(z|x)"))

# %% [markdown]
# All reconstructions are equal: they are the mean image. This is **posterior collapse**, and it has a typical
# loss. A decoder that learns nothing from $z$ can do no better than to give each pixel its mean $\bar x_k$, and
# its loss is then the entropy of the mean image:
#
# $$ \min_{y}\;-\frac1N\sum_{i}\log p(x^{(i)}|y) = \sum_k H(\bar x_k) $$

# %%
grey = data.x_train.astype(float)
mean_image = grey.mean(axis=0)
floor = (special.entr(mean_image) + special.entr(1 - mean_image)).sum()


def loss_of_constant(y):
    """Nats an image of a decoder that gives y whatever z is."""
    logits = special.logit(y.clip(1e-9, 1 - 1e-9))
    return -np.mean(elbo.bernoulli_log_likelihood(grey, np.tile(logits, (len(grey), 1))))


print(f"entropy of the mean image {floor:.3f}; its loss {loss_of_constant(mean_image):.3f} nats")
print(f"one percent more white: {loss_of_constant(1.01 * mean_image):.3f} nats")
assert abs(loss_of_constant(mean_image) - floor) < 1e-3
assert min(loss_of_constant(0.99 * mean_image), loss_of_constant(1.01 * mean_image)) > floor

last = heavy_run.history[-1]
print(f"trained at beta = 392: {-last['log_likelihood']:.2f} nats, and a KL of {last['kl']:.6f}")
assert -last["log_likelihood"] > floor - 0.5  # its pixels were drawn anew, each epoch

constant = special.logit(np.tile(mean_image.clip(1e-9, 1 - 1e-9), (len(x_test), 1)))
gain = np.mean(terms - np.array(elbo.bernoulli_log_likelihood(x_test.astype(float), constant)))
print(
    f"the VAE of section 1: {kl.mean():.2f} nats of KL raise the log-likelihood by {gain:.1f}",
    end="",
)
print(f" above that of the mean image: {gain / kl.mean():.1f} per nat")
assert 1 < gain / kl.mean() < 392

# %% [markdown]
# If a loss on MNIST stays at about 206 nats, the posterior has collapsed. The last line says why it does so at
# $\beta = 392$: a nat of KL is worth about nine nats of log-likelihood to our VAE, and not hundreds. A model collapses
# when $\beta$ exceeds what even the first nat of KL gains. (With ten latents this happens between 10 and 30: notebook 5,
# section 8.)
#
# ## 7. The reparameterization trick
#
# One step is missing. The loss contains an expectation over $q(z|x)$, and we need its derivatives with respect
# to the parameters of $q$. The trick is to draw noise that does not depend on the parameters, and to compute $z$
# from it, with $\sigma = e^{\frac12\log\sigma^2}$:
#
# $$ \mathbb E_{z\sim\mathcal N(\mu, \sigma^2)}\big[f(z)\big] = \mathbb E_{\varepsilon\sim\mathcal N(0, 1)}\big[f(\mu + \sigma\,\varepsilon)\big] $$
#
# Both sides are equal because $\mu + \sigma\varepsilon$ has the distribution $\mathcal N(\mu, \sigma^2)$.

# %%
epsilon = random.normal(size=(20_000, 1))
z = np.array(elbo.reparameterize(np.full((20_000, 1), 0.7), np.full((20_000, 1), -1.0), epsilon))[
    :, 0
]
test = stats.kstest(z, stats.norm(0.7, math.exp(-0.5)).cdf)
print(f"Kolmogorov-Smirnov: largest distance {test.statistic:.4f}, p-value {test.pvalue:.2f}")
assert test.pvalue > 0.001
print()
print(inspect.getsource(elbo.reparameterize))

# %% [markdown]
# What the trick changes is the path of the gradient. If $z$ is drawn *from* $q$ by a random number generator, as in the
# first line of the next cell, then $z$ is a new number, and nothing connects it with $\mu$ and $\sigma$: the gradient is
# `None`. With $z = \mu + \sigma\varepsilon$ the same number is a function of both.

# %%
show(diagrams.gradient_paths(), dpi=80)

# %% [markdown]
# | | $\mu, \sigma \to z$ | $z \to$ loss | gradient of the loss by $\mu$ |
# |---|---|---|---|
# | $z$ is drawn from $q$ | a draw: no path | decoder | `None` |
# | $z = \mu + \sigma\varepsilon$ | sum and product | decoder | through $z$ |

# %%
mu, log_var = tf.Variable([[0.7]]), tf.Variable([[-1.0]])
epsilon = tf.constant([[0.4]])
with tf.GradientTape(persistent=True) as tape:
    sigma = tf.exp(log_var / 2)
    drawn = tf.constant(random.normal(mu.numpy(), sigma.numpy()), tf.float32)
    blocked = drawn**2  # stands for everything that follows z
    z = elbo.reparameterize(mu, log_var, epsilon)
    opened = z**2
gradients = [tape.gradient(loss, [mu, log_var]) for loss in (blocked, opened)]
print("z drawn from q:     ", gradients[0])
print("z = μ + σε:         ", [float(each[0, 0]) for each in gradients[1]])
expected = 2 * float(z[0, 0]) * np.array([1, 0.5 * math.exp(-0.5) * 0.4])
assert gradients[0] == [None, None]
assert np.allclose([float(each[0, 0]) for each in gradients[1]], expected, rtol=1e-6)

# %% [markdown]
# Now the derivative can be taken inside the expectation, through $f$, which contains the decoder:
#
# $$ \frac{\partial}{\partial\mu}\mathbb E[f] = \mathbb E\big[f'(\mu + \sigma\varepsilon)\big], \qquad
#    \frac{\partial}{\partial\log\sigma^2}\mathbb E[f] = \mathbb E\big[f'(\mu + \sigma\varepsilon)\,\tfrac12\sigma\varepsilon\big] $$
#
# It is often said that one *cannot* differentiate through sampling. This is possible without the trick, by the
# score function (REINFORCE), and $f$ need not even be differentiable:
#
# $$ \frac{\partial}{\partial\mu}\mathbb E[f] = \mathbb E\Big[f(z)\,\frac{\partial\log q(z)}{\partial\mu}\Big] = \mathbb E\Big[f(z)\,\frac{z-\mu}{\sigma^2}\Big] $$
#
# Both estimators are unbiased. First we use a function whose gradient is known:
# $f(z) = 3z^2$ has $\mathbb E[f] = 3(\mu^2 + \sigma^2)$, so the gradients are $6\mu$ and $3\sigma^2$.

# %%
known = gradient_estimators(
    lambda z: 3 * z[:, 0] ** 2, lambda z: 6 * z, z_mean=[0.5], z_log_var=[-1.0], samples=100_000
)
for name, truth in (("z_mean", 6 * 0.5), ("z_log_var", 3 * math.exp(-1))):
    for kind in ("reparameterized", "score"):
        estimate, error = known[name][kind][0], known[name][f"{kind}_error"][0]
        print(f"d/d {name:9} {kind:15} {estimate:.4f} ± {error:.4f}   exact {truth:.4f}")
        assert abs(estimate - truth) < 5 * error

# %% [markdown]
# Now we use $f(z) = \log p(x|z)$ of the trained decoder, for one test image.


# %%
def log_p(i, z):
    """log p(x|z) of test image i at each z, and its slope there."""
    image, z = tf.constant(x[[i]]), tf.constant(z, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = elbo.bernoulli_log_likelihood(
            tf.repeat(image, len(z), axis=0), vae.decoder(z)["logits"]
        )
    return value.numpy().astype(float), tape.gradient(value, z).numpy().astype(float)


def estimates(i, samples, baseline=0.0):
    """Both estimates of the gradient by μ, for test image i."""
    f, slope = (lambda z, part=part: log_p(i, z)[part] for part in (0, 1))
    q = z_mean[i], z_log_var[i]
    return gradient_estimators(f, slope, *q, samples, baseline=baseline)["z_mean"]


counts = (10, 30, 100, 300, 1000, 3000, 10_000)
by_count = [estimates(chosen, count) for count in counts]

last = by_count[-1]
joint_error = np.hypot(last["reparameterized_error"], last["score_error"])
print(
    f"d/dμ after {counts[-1]:,} samples, reparameterized: {last['reparameterized'].round(2)} ± {last['reparameterized_error'].round(2)}"
)
print(
    f"                            score function:  {last['score'].round(2)} ± {last['score_error'].round(2)}"
)
print(f"variance of the score function, as a multiple: {last['variance_ratio'].round(-1)}")
assert (np.abs(last["reparameterized"] - last["score"]) < 5 * joint_error).all()
assert (last["variance_ratio"] > 10).all()

# %%
lines, bands = {}, {}
for kind, label in (("score", "score function"), ("reparameterized", "reparameterized")):
    middle = np.array([each[kind][0] for each in by_count])
    error = np.array([each[f"{kind}_error"][0] for each in by_count])
    lines[label], bands[label] = middle, (middle - error, middle + error)
text = "Gradient of E[log p(x|z)] by μ[0], one test image: estimate ± one standard error"
show(
    lessons.curves(counts, lines, text, "samples of z", "nats per unit of z", bands=bands, log="x")
)

# %% [markdown]
# *Both* estimators are correct. But the score function multiplies its noise, $(z - \mu)/\sigma^2$, by the whole value of
# $f$, which is far from 0. A constant may be subtracted from $f$ first, a **baseline**: it changes no expectation, because
# the noise has mean 0. We take the mean of $f$ itself, and compare the variances on all our images.

# %%
for name, baselines in (
    ("without a baseline", np.zeros(len(x))),
    ("with a baseline", by_integration),
):
    ratios = np.array([estimates(i, 1000, baselines[i])["variance_ratio"] for i in range(len(x))])
    print(
        f"variance of the score function, {name:18}: median {np.median(ratios):8,.0f} times", end=""
    )
    print(f" that of the reparameterized gradient ({ratios.min():,.0f} to {ratios.max():,.0f})")
print(f"mean of f = log p(x|z), of these images: {by_integration.mean():.0f} nats")
assert 1 < np.median(ratios) < 1000

# %% [markdown]
# So most of the huge ratio is due to the value of $f$, and a baseline removes it. What remains has a reason, too: each
# sample of the reparameterized gradient is the *slope* of $f$ at its $z$; a sample of the score function is a *value* of $f$
# times noise. If $f$ is a straight line, every slope is the right answer, and the values still scatter. The narrower
# $q$ is, the more $f$ looks like a straight line to it:

# %%
functions = {
    "a line, f = 2z": (lambda z: 2 * z[:, 0], lambda z: np.full_like(z, 2.0), lambda s: 2.0),
    "a parabola, f = z²": (lambda z: z[:, 0] ** 2, lambda z: 2 * z, lambda s: 1 + s**2),
}
for name, (f, slope, mean_of_f) in functions.items():
    for sigma in (1.0, 0.1):
        q = [1.0], [2 * math.log(sigma)]
        found = gradient_estimators(f, slope, *q, samples=100_000, baseline=mean_of_f(sigma))
        path, score = (
            found["z_mean"][f"{kind}_error"][0] * math.sqrt(100_000)
            for kind in ("reparameterized", "score")
        )
        print(
            f"{name:18} σ = {sigma}: gradient {found['z_mean']['reparameterized'][0]:.2f}, ", end=""
        )
        print(f"standard deviation {path:.2f} reparameterized, {score:.2f} score with a baseline")
        exact_path = 0.0 if "line" in name else 2 * sigma  # of 2 (μ + σε)
        assert abs(path - exact_path) < 0.01 + 0.02 * exact_path and score > 2

# %% [markdown]
# The reparameterized gradient of the parabola varies by $2\sigma$, and the score function by 2.8 or more at every
# $\sigma$. The trick does not make the gradient possible; it gives one with little variance, without a baseline to choose.
# (Of the gradient of the whole ELBO, one part is noise even if $q$ is exact. Roeder et al. (2017), *Sticking the landing*,
# leave it out: notebook 8 measures this.)
#
# ## 8. Summary in one line
#
# The most important line of this notebook is
#
# $$ \log p(x) \;\ge\; \mathbb E_{q(z|x)}[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z)) $$
#
# with equality if $q(z|x) = p(z|x)$: then the logarithm of *every single* importance weight is $\log p(x)$. The
# posterior of the linear model of section 3 is known, so we can check this (with one latent, where every
# Gaussian has a diagonal covariance).

# %%
w = random.normal(size=(5, 1))
precision = 1 + (w**2).sum() / noise
mean, log_var = (w.T @ x0 / noise / precision)[None], np.array([[-math.log(precision)]])
evidence = stats.multivariate_normal.logpdf(x0, np.zeros(5), w @ w.T + noise * np.eye(5))
for epsilon in (-2.0, 0.0, 1.0):
    z = np.array(elbo.reparameterize(mean, log_var, np.array([[epsilon]])))
    given_z = np.array([stats.norm.logpdf(x0, (w @ z[0]), math.sqrt(noise)).sum()])
    weight = float(elbo.log_importance_weight(given_z, z, mean, log_var)[0])
    print(f"z = {z[0, 0]:7.4f}: log weight {weight:.12f}, log p(x) {evidence:.12f}")
    assert abs(weight - evidence) < 1e-10

# %% [markdown]
# ## 9. Where the post is imprecise
#
# The post is good, and its formulas lead to working code. This table is for those who read it together with
# this notebook:
#
# | the post | more precisely |
# |---|---|
# | an autoencoder cannot generalise | it can, to new inputs; it has no $p(z)$ to *draw* from (section 1) |
# | with $\sigma^2 = 0$ the VAE becomes the autoencoder | in its sampling, yes; its KL is then infinite and has to be dropped (section 4) |
# | the KL to the prior, integrated over $x$ | the variable of integration is $z$; the result is the right one (section 4) |
# | $q(z \mid x)$ is the posterior of the *decoder*, fitted to $p(x \mid z)$ | it is given by the *encoder*, and fitted to $p(z \mid x)$ (section 3) |
# | $p(x)$ is maximised by *reducing* the variational bound, which is the loss | the bound is *raised*; the loss is its negative (section 3) |
# | and so $p(x)$ is maximised | the bound is; a part of the gain may be a better $q$ alone (section 3) |
# | the encoder gives the parameters of $p_\theta$ | those of $q_\phi(z \mid x)$ (section 1) |
# | with a fixed $\sigma$ the right term is the MSE | times $1/2\sigma^2$, plus a constant; this factor sets its weight relative to the KL (section 5) |
# | binary images: Bernoulli; then MNIST | MNIST is grey, and on grey pixels the formula is not normalised (section 10) |
# | sampling cannot be differentiated | not by the chain rule; by the score function it can, with a much larger variance (section 7) |

# %% [markdown]
# ## 10. Appendix: discrete and grey pixels
#
# The exercises need nothing of this section. It derives the likelihood of pixels with several levels, and shows
# what is wrong with the Bernoulli formula on grey pixels.
#
# ### Discrete: softmax
#
# A pixel with $L$ levels gets $L$ logits, and the probability of the level it has is a softmax:
#
# $$ \log p(x|z) = \sum_k\Big(\ell_{k,x_k} - \log\sum_{v} e^{\ell_{k,v}}\Big) $$
#
# the (negative) categorical cross-entropy. We check it against SciPy's `log_softmax`, and again the
# probabilities of all images must add up to 1.

# %%
L, pixels = 4, 3
images = np.array(list(itertools.product(range(L), repeat=pixels)))  # all 64 images
logits = random.normal(0, 2, (pixels, L))
ours = np.array(elbo.categorical_log_likelihood(images, np.tile(logits, (len(images), 1, 1))))
scipy_s = special.log_softmax(logits, axis=1)[np.arange(pixels), images].sum(axis=1)
print(f"largest difference from SciPy {np.abs(ours - scipy_s).max():.1e} nats")
print(f"the probabilities of all {len(images)} images add up to {np.exp(ours).sum():.12f}")
assert np.allclose(ours, scipy_s, atol=1e-12) and abs(np.exp(ours).sum() - 1) < 1e-12

# %% [markdown]
# ### Grey pixels, and a common error
#
# MNIST is grey. The post, like much code of its time, uses the grey values $x_k \in [0, 1]$ in the Bernoulli
# formula. Training works and the images look good. But the formula is not a likelihood of grey values: its
# integral over $[0, 1]$ is not 1.
#
# $$ \int_0^1 y^x(1-y)^{1-x}\,dx = \frac{2y - 1}{\ell} \le \tfrac12,
#    \qquad \ell = \log\frac{y}{1-y} $$


# %%
def one_pixel(formula, x, logit):
    """log p(x) of a single pixel, by one of the project's formulas, in float64."""
    return float(formula(np.array([[x]]), np.array([[logit]]))[0])


def area_of(formula, logit):
    """The integral of p(x) over x in [0, 1]."""
    return integrate.quad(lambda x: math.exp(one_pixel(formula, x, logit)), 0, 1)[0]


for y in (0.1, 0.6, 0.99):
    logit = float(special.logit(y))
    area = area_of(elbo.bernoulli_log_likelihood, logit)
    print(f"y = {y:4}: area {area:.9f}   (2y - 1) / ℓ = {(2 * y - 1) / logit:.9f}")
    assert abs(area - (2 * y - 1) / logit) < 1e-9 and area <= 0.5

# %% [markdown]
# Dividing by this integral gives a normalised density with the same exponent, the **continuous Bernoulli**
# (Loaiza-Ganem and Cunningham, 2019):
#
# $$ \log p(x|z) = \sum_k\Big(x_k\,\ell_k - \log(1 + e^{\ell_k}) + \log C(\ell_k)\Big),
#    \qquad C(\ell) = \frac{\ell}{2y - 1} = \frac{\ell}{\tanh(\ell/2)} $$

# %%
for logit in (-6.0, 1e-3, 0.4, 3.0):
    area = area_of(elbo.continuous_bernoulli_log_likelihood, logit)
    ours = one_pixel(elbo.continuous_bernoulli_log_likelihood, 0.7, logit)
    with_constant = one_pixel(elbo.bernoulli_log_likelihood, 0.7, logit)
    with_constant += math.log(logit / math.tanh(logit / 2))
    print(f"ℓ = {logit:6}: area {area:.9f}, log p(0.7) = {ours:.9f} = {with_constant:.9f}")
    assert abs(area - 1) < 1e-9 and abs(ours - with_constant) < 1e-9

# %%
line = np.linspace(-12, 12, 241)
column = line[:, None]
v = np.linspace(0.0005, 0.9995, 1000)  # the middles of 1,000 cells of [0, 1]
grid = np.tile(v, (len(line), 1))[..., None], np.tile(column, (1, len(v)))[..., None]
areas = {
    "Bernoulli formula on grey pixels": np.exp(elbo.bernoulli_log_likelihood(*grid)).mean(axis=1),
    "continuous Bernoulli": np.exp(elbo.continuous_bernoulli_log_likelihood(*grid)).mean(axis=1),
}
show(
    lessons.curves(
        line,
        areas,
        "Area under p(x) over a grey pixel, x from 0 to 1",
        "logit ℓ",
        "area",
        limits=(0, 1.1),
    )
)

# %% [markdown]
# The more certain the decoder is, the smaller is the integral, so the values of the Bernoulli formula on grey pixels are
# not $\log p(x)$. (As a loss it still makes $y_k$ the mean of the grey values $x_k$, so the pictures are right.) Its
# largest possible value on grey pixels is below 0: it is reached at $y_k = x_k$, where
#
# $$ \max_{y}\;\log p(x|z) = -\sum_k H(x_k), \qquad H(x) = -x\log x - (1-x)\log(1-x). $$

# %%
grey = data.x_test.astype(float)
entropy = (special.entr(grey) + special.entr(1 - grey)).sum(axis=1)
sharp = np.array(elbo.bernoulli_log_likelihood(grey, special.logit(grey.clip(1e-12, 1 - 1e-12))))
nudged = np.array(
    elbo.bernoulli_log_likelihood(grey, special.logit(grey.clip(1e-12, 1 - 1e-12)) + 0.1)
)
print(f"y = x: {sharp.mean():.3f} nats per image; minus the entropy: {-entropy.mean():.3f}")
assert np.allclose(sharp, -entropy, atol=1e-6) and (nudged < sharp).all()

# %% [markdown]
# So a "reconstruction loss" of 0 is not possible there. A number on grey pixels may be compared with other
# numbers on grey pixels (as in the README's table of results), but not with published values of $\log p(x)$ on
# binary MNIST. For this reason the project writes `x: grey` or `x: binary` beside every number.

# %% [markdown]
# ## Exercises
#
# Enter an answer and run the cell; it tells you whether the answer is right. The first five can be solved on paper.
#
# **Exercise 1.** Predict: how many nats is $\mathrm{KL}(\mathcal N(1, 4)\,\|\,\mathcal N(0, 1))$? (The variance is 4.)
# Give three decimals. (Then the check integrates, and prints what it found.)

# %%
answer_1 = None  # your answer, a number

check("01.1", answer_1)

# %% [markdown]
# **Exercise 2.** For one image you know $\log p(x) = -140$ nats, an ELBO of $-143.5$, and
# $\mathrm{KL}(q(z|x)\,\|\,p(z)) = 5$. What is $\mathrm{KL}(q(z|x)\,\|\,p(z|x))$?

# %%
answer_2 = None  # your answer, a number

check("01.2", answer_2)

# %% [markdown]
# **Exercise 3.** A loss is `mean((x - x_decoded) ** 2)` over the 3,072 values of a colour image, plus the KL
# summed over latents. Which variance $s^2$ of a Gaussian decoder does this imply?

# %%
answer_3 = None  # your answer, a number

check("01.3", answer_3)

# %% [markdown]
# **Exercise 4.** Another loss averages the log-likelihood over 784 pixels and the KL over 20 latents. Which
# $\beta$ does this imply?

# %%
answer_4 = None  # your answer, a number

check("01.4", answer_4)

# %% [markdown]
# **Exercise 5.** A model is trained with `beta = 0.5`. Write a function of its log-likelihood and its KL (both in
# nats per image) that returns the *lower bound* on $\log p(x)$ that may be compared with published values.

# %%
answer_5 = None  # your answer, a function: lambda log_likelihood, kl: …

check("01.5", answer_5)

# %% [markdown]
# **Exercise 6.** The importance bound in code. Write a function of the logarithms of the weights, an array of shape
# (K, batch), that returns the bound of each image, shape (batch,). It must be right for images whose weights are about
# $e^{-1000}$, which is 0 in float64: take the largest logarithm of each image out of the sum first. (Write it with `def` above
# and enter its name, or in one line.)

# %%
answer_6 = None  # your answer, a function: lambda log_weights: …

check("01.6", answer_6)

# %% [markdown]
# **Exercise 7.** A sketch in three numbers. The posterior $p(z|x)$ of an image is Gaussian, with two independent latents, and
# $q(z|x)$ is equal to it. Now multiply both standard deviations of $q$ by 1/3, by 1 and by 3. Predict how many nats the
# ELBO is below $\log p(x)$ in each case, to within a tenth. (Then the check integrates.)

# %%
answer_7 = None  # your answer, a list of three numbers: […, …, …]

check("01.7", answer_7)
