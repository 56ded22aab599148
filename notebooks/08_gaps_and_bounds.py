# %% [markdown]
# # 8. Gaps and bounds: how good is q?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/08_gaps_and_bounds.ipynb)
#
# ## What you will learn
#
# - Two derivations of the ELBO: by Jensen's inequality, and by a KL. Which one the post uses, and what each of
#   them shows.
# - How to find the best $q$ for *one* image, without an encoder.
# - What an encoder costs: the amortization gap and the approximation gap, for 100 images, with the exact $\log p(x)$.
# - How fast the importance bound approaches $\log p(x)$ as $K$ grows, and when it does not.
# - Why a tighter bound can train the encoder worse, and two gradient estimators that help.
#
# You should have read notebook 1, sections 2, 3 and 7. The models here have two latents, or are linear, so that every
# claim can be compared with an exact value. The notebook takes about two minutes on two cores.

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

import math

import numpy as np
from scipy import special, stats

from shared.config import recipe
from shared.data import evaluation_images, load_data
from shared.measure import gaps, quadrature
from shared.measure.bias import bound_bias, leading_bias, log_log_slope
from shared.measure.gradients import bernoulli_log_joint, importance_gradients, signal_to_noise
from shared.measure.linear_gaussian import LinearGaussian
from shared.show.figures import bounds, lessons
from tf_vae.checkpoint import gather
from tf_vae.model import encode
from tf_vae.train import train

random = np.random.RandomState(0)

# %% [markdown]
# ## 1. The bound, derived twice
#
# **By a KL.** This is the derivation of the post, and of notebook 1. It begins with the distance that is to be small:
#
# $$ \begin{aligned}
# 0 &\le \mathrm{KL}\big(q(z|x)\,\|\,p(z|x)\big) \\
#   &= \mathbb E_q\big[\log q(z|x) - \log p(z|x)\big] \\
#   &= \mathbb E_q\big[\log q(z|x) - \log p(x,z) + \log p(x)\big] \\
#   &= \log p(x) - \mathrm{ELBO}.
# \end{aligned} $$
#
# **By Jensen's inequality.** It begins with what is to be large. With the importance weight $w = p(x,z)/q(z|x)$:
#
# $$ \begin{aligned}
# \log p(x) &= \log\int p(x,z)\,dz \\
#   &= \log\int q(z|x)\,\frac{p(x,z)}{q(z|x)}\,dz \\
#   &= \log\mathbb E_q[w] \\
#   &\ge \mathbb E_q[\log w] \\
#   &= \mathrm{ELBO}.
# \end{aligned} $$
#
# The results are equal; what they show is not. The first names what is missing: a KL, and how to remove it: a better
# $q$. The second needs only that $w$ is positive and has the expectation $p(x)$. So it holds for the mean of $K$ weights,
# too, and gives the importance bound of notebook 1 without a new argument.
#
# To check both, we use a model in which everything is known: a linear decoder, $x = Wz + \text{noise}$, here with two
# latents, and a $q$ that is not the posterior.

# %%
linear = LinearGaussian(x=random.normal(size=5), kernel=random.normal(size=(2, 5)), noise_var=0.4)
posterior = linear.posterior()
mean, scale = posterior[0] + 0.2, 1.2 * np.diag(np.sqrt(np.diag(posterior[1])))  # q


def drawn_weights(log_joint, mean, scale, samples, seed=0):
    """log w at samples of a Gaussian q with this mean and the covariance scale · scaleᵀ."""
    z = mean + np.random.RandomState(seed).normal(size=(samples, 2)) @ scale.T
    return log_joint(z) - stats.multivariate_normal(mean, scale @ scale.T).logpdf(z)


logs = drawn_weights(lambda z: linear.log_joint(z)[0], mean, scale, 400_000)
precision, away = np.linalg.inv(posterior[1]), mean - posterior[0]
kl = np.trace(precision @ scale @ scale) - 2 + away @ precision @ away
kl = 0.5 * (kl + np.linalg.slogdet(posterior[1])[1] - 2 * np.log(np.diag(scale)).sum())

log_mean, mean_log = special.logsumexp(logs) - math.log(len(logs)), logs.mean()
error = logs.std() / math.sqrt(len(logs))
print(f"Jensen: log of the mean weight {log_mean:.4f}, exact log p(x) {linear.log_evidence():.4f}")
print(f"        mean of the log weights, the ELBO: {mean_log:.4f} ± {error:.4f}")
print(f"KL:     log p(x) - KL(q || p(z|x)) = {linear.log_evidence() - kl:.4f}")
assert abs(linear.log_evidence() - kl - mean_log) < 5 * error
assert abs(log_mean - linear.log_evidence()) < 0.02 and mean_log < log_mean

# %% [markdown]
# ## 2. The best q of one image, without an encoder
#
# The ELBO belongs to *one* image: it depends on a mean and a variance per latent, and on nothing else that could not be
# changed for this image alone. So $q$ can be found without an encoder: start anywhere, and climb. This is *variational
# inference* as it was done before the VAE.
#
# We need a decoder, so we train a VAE as in notebook 1, on 4,000 binary digits, with two latents. Then we forget its
# encoder for a while.

# %%
data = load_data("mnist-5k")
config = recipe("post-keras", epochs=fast(50, 5), binarization="dynamic")
vae, _ = train(config, data, verbose=0)

n = fast(100, 6)
x_test = evaluation_images(data.x_test, config)
x = x_test[:: len(x_test) // n][:n]  # the same number of each digit
log_likelihood = quadrature.bernoulli_on_grid(quadrature.decoder64(gather(vae), "relu"))
print(f"{n} test images of {x.shape[1]} pixels, each 0 or 1")

# %% [markdown]
# In the plane the expectation in the ELBO can be computed without samples, as a weighted sum over fixed $\varepsilon$.
# Then the ELBO is an ordinary function of four numbers, and any optimizer finds its maximum. `fit_gaussian` does this: it
# first computes $\log p(x|z)$ on a grid around the posterior (`log_likelihood_surfaces`), and then uses L-BFGS. We start
# at the prior, $q = \mathcal N(0, I)$.

# %%
surfaces = gaps.log_likelihood_surfaces(log_likelihood, x, spacing=0.05)
chosen = fast(42, 2)
fit = gaps.fit_gaussian(surfaces[chosen], np.zeros(2), np.eye(2))
for step in (*range(0, len(fit.path) - 1, 4), len(fit.path) - 1):
    mean, scale, elbo = fit.path[step]
    sigma = np.diag(scale).round(2)
    print(f"step {step:2}: mean {mean.round(2)}, σ {sigma}, ELBO {elbo:9.2f} nats")
exact = gaps.gaussian_elbo(log_likelihood, x[[chosen]], [fit.mean], [fit.scale])[0]
print(f"the last ELBO by a separate integration, with the decoder itself: {exact:.3f}")
assert abs(exact - fit.elbo) < 0.01

# %%
side = np.linspace(-2.6, 2.6, 131)
plane = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
log_posterior = log_likelihood(x[[chosen]], plane)[0] + stats.norm.logpdf(plane).sum(axis=1)
log_posterior = log_posterior.reshape(len(side), len(side))

steps = [0, 2, 5, len(fit.path) - 1]
panels = {f"step {s}: ELBO {fit.path[s][2]:.1f}": fit.path[s][:2] for s in steps}
text = f"Test image {chosen}: its exact p(z|x) in grey, and q after some steps"
show(bounds.gaussian_panels((side, side), log_posterior, panels, text))

# %% [markdown]
# This took no training, but an optimization. With 60,000 images and a decoder that changes in each step, 60,000
# optimizations per step would be needed. The encoder replaces them: it *amortizes* the cost over all images. What does
# it lose?
#
# ## 3. Two gaps
#
# Let $q^*$ be the best Gaussian with a diagonal covariance for this image. Then the gap of the ELBO has two parts (Cremer
# et al., 2018):
#
# $$ \log p(x) - \mathrm{ELBO}(q) =
#    \underbrace{\log p(x) - \mathrm{ELBO}(q^*)}_{\text{approximation gap}}
#    + \underbrace{\mathrm{ELBO}(q^*) - \mathrm{ELBO}(q)}_{\text{amortization gap}} $$
#
# The first is the price of the *family*: a diagonal Gaussian cannot be the posterior. The second is the price of the
# *encoder*: it does not find the best member of the family. To see how much of the first is due to "diagonal" and how
# much to "Gaussian", we also look for the best Gaussian with any covariance.
#
# The ELBO may have several local maxima (a posterior with two modes gives two), so each search has several starts: the
# moments of the posterior, its modes, and the encoder's $q$. **Predict first:** which gap will be the larger one, and by
# which factor?

# %%
z_mean, z_log_var = encode(vae, x)
split = gaps.gap_split(log_likelihood, x, z_mean, z_log_var, spacing=0.04, surfaces=surfaces)
amortization = split["diagonal"] - split["encoder"]
approximation = split["log_px"] - split["diagonal"]
beyond_diagonal = split["log_px"] - split["full"]

print(f"nats, mean ± standard error over {n} images, and median")
for name, gap in (
    ("log p(x) - ELBO of the encoder", split["log_px"] - split["encoder"]),
    ("   amortization gap", amortization),
    ("   approximation gap, diagonal q", approximation),
    ("      what any covariance leaves", beyond_diagonal),
):
    error = gap.std(ddof=1) / math.sqrt(n)
    print(f"{name:34} {gap.mean():7.3f} ± {error:.3f}   {np.median(gap):7.3f}")
order = [split[name] for name in ("encoder", "diagonal", "full", "log_px")]
print(f"encoder ≤ diagonal ≤ full ≤ log p(x): least difference {np.diff(order, axis=0).min():.4f}")
print(f"images with several local maxima: {(split['optima'] > 1).sum()} of {n}")
assert np.diff(order, axis=0).min() > -2e-3  # the error of the grids, in nats
assert amortization.mean() > approximation.mean()

# %% [markdown]
# The definitions make the two parts add up to $\log p(x) - \mathrm{ELBO}$. That the sum is the KL to the posterior is not a
# definition; `posterior_identity` integrates that KL for itself:

# %%
few = slice(None, None, fast(20, 2))
identity = quadrature.posterior_identity(
    log_likelihood, x[few], z_mean[few], z_log_var[few], spacing=0.02
)
both = (amortization + approximation)[few]
for i, kl in enumerate(identity["kl_to_posterior"]):
    print(f"amortization + approximation gap {both[i]:8.4f}   KL(q || p(z|x)) {kl:8.4f}")
assert np.abs(both - identity["kl_to_posterior"]).max() < 2e-3

# %%
ranks = np.arange(1, n + 1)
lines = {
    "amortization gap": amortization,
    "approximation gap, diagonal q": approximation,
    "what any covariance leaves": beyond_diagonal,
}
lines = {name: np.sort(gap.clip(1e-4)) for name, gap in lines.items()}
text = f"The gaps of {n} test images, each sorted from the smallest to the largest"
show(lessons.curves(ranks, lines, text, "images, sorted by the gap", "nats", log="y"))

# %% [markdown]
# Here is the image with the largest approximation gap: the encoder's $q$, the best diagonal Gaussian, and the best
# Gaussian with any covariance.

# %%
worst = int(np.argmax(approximation))
diagonal, full = split["fits"][worst]
centre, half_width = full.mean, 5 * np.sqrt(np.diag(full.scale @ full.scale.T)).max()
ticks = [np.linspace(c - half_width, c + half_width, 121) for c in centre]
plane = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 2)
log_posterior = log_likelihood(x[[worst]], plane)[0] + stats.norm.logpdf(plane).sum(axis=1)

panels = {}
for name, q in (
    ("encoder", (z_mean[worst], np.diag(np.exp(z_log_var[worst] / 2)))),
    ("diagonal", (diagonal.mean, diagonal.scale)),
    ("full", (full.mean, full.scale)),
):
    panels[f"{name}: gap {split['log_px'][worst] - split[name][worst]:.3f}"] = q
text = f"Test image {worst}: its exact p(z|x) in grey, and three q; gaps to log p(x) in nats"
show(bounds.gaussian_panels(ticks, log_posterior.reshape(121, 121), panels, text))

# %% [markdown]
# Most of the gap is due to the encoder: 2.1 of the 2.2 nats in the mean, 0.70 of 0.80 in the median. The family costs
# 0.09 nats, and most of that is due to "diagonal": with any covariance 0.02 are left. So these posteriors are nearly
# Gaussian, but some of them are rotated, as in the figure. The mean of the amortization gap is three times its median,
# because a few images are encoded badly: the right end of the curves.
#
# Cremer et al. found the same direction with larger networks and more latents, where they had to estimate $\log p(x)$:
# often the encoder, and not the family, is the cause. They name one reason: the decoder is trained together with $q$, so it
# learns posteriors that the family can represent.
#
# What the encoder gives is a good start. We count the steps of the optimizer to within 0.1 nats of the optimum:

# %%
starts = {"the prior N(0, I)": [], "the encoder's q": []}
for i in range(n):
    for name, q in zip(
        starts,
        ((np.zeros(2), np.eye(2)), (z_mean[i], np.diag(np.exp(z_log_var[i] / 2)))),
        strict=True,
    ):
        elbos = np.array([elbo for _, _, elbo in gaps.fit_gaussian(surfaces[i], *q).path])
        near = np.flatnonzero(elbos > split["fits"][i][0].elbo - 0.1)
        starts[name].append(near[0] if len(near) else np.inf)
for name, counts in starts.items():
    reached = np.isfinite(counts)
    print(
        f"from {name:18}: median {np.median(counts):4.1f} steps; "
        f"{reached.sum()} of {n} images reach the best optimum"
    )
assert np.median(starts["the encoder's q"]) < np.median(starts["the prior N(0, I)"])

# %% [markdown]
# From the encoder's $q$, two steps are enough in the median, and all 100 images reach the best optimum. From the prior it
# takes seven, and three images stop at a lower ELBO. So the encoder's error is cheap to repair for a single image, and the
# encoder also chooses the right one of several maxima.
#
# ## 4. More samples: how fast does the importance bound rise?
#
# The importance bound with $K$ samples is the expectation of the logarithm of a mean of $K$ weights. Expand the logarithm
# around the expectation $p(x)$ of that mean: the first-order term is 0, and the second-order term contains the variance of
# a mean of $K$, which is $\mathrm{Var}(w)/K$ (Nowozin, 2018):
#
# $$ \mathbb E\left[\log\frac1K\sum_{k=1}^K w_k\right] = \log p(x) - \frac{1}{K}\,\frac{\mathrm{Var}(w)}{2\,p(x)^2} + O(K^{-2}) $$
#
# So ten times as many samples leave a tenth of the bias, **if the variance is finite**. We check it on the linear model.
# Since $p(x)$ is known, the noise can be removed: $\frac1K\sum w_k/p(x) - 1$ has expectation 0, and `bound_bias`
# subtracts it from each estimate.

# %%
ks = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256])
mean, scale = posterior[0] + 0.1, 1.2 * np.linalg.cholesky(posterior[1])  # a q that is near
logs = drawn_weights(lambda z: linear.log_joint(z)[0], mean, scale, fast(1_000_000, 100_000))
coefficient = leading_bias(logs, linear.log_evidence())

biases, errors = np.transpose([bound_bias(logs, linear.log_evidence(), k) for k in ks])
for k, bias, error in zip(ks, biases, errors, strict=True):
    print(f"K = {k:3}: bias {bias:10.6f} ± {error:.6f} nats; K · bias = {k * bias:.4f}")
print(f"-Var(w) / (2 p(x)²) = {coefficient:.4f}")
print(f"slope on logarithmic axes, from K = 8: {log_log_slope(ks[3:], biases[3:]):.3f}")
assert abs(log_log_slope(ks[3:], biases[3:]) + 1) < 0.1
assert abs(ks[-1] * biases[-1] / coefficient - 1) < 0.15

# %% [markdown]
# Knowing the rate, one can remove the leading term: $K$ times the bound with $K$ samples, minus $K - 1$ times the mean of
# the bounds that leave one sample out. This is the *jackknife*. Its bias is of order $1/K^2$, but it is no lower bound any
# more.
#
# ### Heavy weights
#
# Is $\mathrm{Var}(w)$ finite for a VAE? It contains $\mathbb E_q[w^2] = \int p(x,z)^2/q(z|x)\,dz$. Far from the origin,
# the logits of a relu decoder grow linearly with $z$, so $\log p(x|z)$ falls linearly at most. The prior squared falls
# like $e^{-\|z\|^2}$, and $1/q$ *grows* like $e^{z^2/2\sigma^2}$. If $\sigma^2 < \frac12$ in any direction, the integrand
# grows without bound, and
#
# $$ \mathrm{Var}_{q}(w) = \infty \qquad\text{if}\quad \sigma_j^2 < \tfrac12 \text{ for some latent } j. $$
#
# An encoder that has learned anything has such a $\sigma$. We compute the integral over larger and larger squares, for
# one image; only its logarithm can be printed.

# %%
print(f"largest σ² of the {n} images: {np.exp(z_log_var).max():.3f}")
sigma = np.exp(z_log_var[chosen] / 2)
for half_width in (2, 5, 10, 20, 40):
    axes = np.linspace(-half_width, half_width, fast(401, 101))
    z = np.stack(np.meshgrid(axes, axes, indexing="ij"), axis=-1).reshape(-1, 2)
    values = log_likelihood(x[[chosen]], z)[0] + stats.norm.logpdf(z).sum(axis=1)
    log_q = stats.norm.logpdf(z, z_mean[chosen], sigma).sum(axis=1)
    total = special.logsumexp(2 * values - log_q) + 2 * math.log(axes[1] - axes[0])
    print(
        f"square of half width {half_width:2}: log of E[w²] / p(x)² = {total - 2 * split['log_px'][chosen]:10.2f}"
    )
assert np.exp(z_log_var).max() < 0.5

# %% [markdown]
# The integral grows with the square without end: the variance is infinite. Then the term in $1/K$ does not exist, and the
# bound still rises to $\log p(x)$, but more slowly. A finite sample shows nothing of the kind: its variance is a finite
# number, since no sample of $q$ lies that far outside. What it shows is a few weights that are much larger than all others.
#
# How slowly? We measure the bias with the exact $\log p(x)$ of each image, for the encoder's $q$ and for the best Gaussian
# with any covariance.

# %%
few, few_ks = range(0, n, fast(5, 2)), np.array([1, 3, 10, 30, 100])
lines, slopes = {}, {}
for name in ("encoder's q", "best Gaussian of each image"):
    rows = []
    for i in few:
        q = z_mean[i], np.diag(np.exp(z_log_var[i] / 2))
        if name != "encoder's q":
            q = split["fits"][i][1].mean, split["fits"][i][1].scale
        logs = drawn_weights(
            lambda z, i=i: log_likelihood(x[[i]], z)[0] + stats.norm.logpdf(z).sum(axis=1),
            *q,
            fast(10_000, 1000),
            seed=i,
        )
        rows.append([bound_bias(logs, split["log_px"][i], k)[0] for k in few_ks])
    lines[name] = -np.median(rows, axis=0)
    slopes[name] = log_log_slope(few_ks, lines[name])
    print(f"{name:28} nats missing:", *(f"{each:.4f}" for each in lines[name]))
    print(f"{'':28} slope {slopes[name]:.2f}")
lines["slope -1"] = lines["encoder's q"][0] / few_ks
text = f"What K samples miss of log p(x), median of {len(few)} test images"
show(lessons.curves(few_ks, lines, text, "K", "nats", log="xy"))

# %% [markdown]
# With the encoder's $q$ the median falls like $K^{-0.69}$: at $K = 100$ it is 0.024 nats, four times what the rate $1/K$
# would leave. With the best Gaussian of each image the slope is $-0.92$, close to $-1$. Its weights have no variance either,
# but $q$ is so close to the posterior that nearly all weights are equal, and samples in the tail are too rare to matter at
# these $K$. Compare the two curves: *one* sample of the best $q$ misses less (0.008 nats) than 100 samples of the encoder's.
# A better $q$ is worth more than more samples.
#
# ## 5. A tighter bound can train the encoder worse
#
# If the bound with $K = 1000$ is so close to $\log p(x)$, why not train with it? Rainforth et al. (2018) look at the
# *signal-to-noise ratio* of the gradient estimates: the expectation of the gradient divided by its standard deviation,
# for each parameter.
#
# - The **decoder** has a gradient also when the bound is tight: that of $\log p(x)$. The noise of a mean of $K$ falls like
#   $1/\sqrt K$, so the ratio *grows* like $\sqrt K$.
# - The **encoder** has a gradient only because the bound is *not* tight: $\log p(x)$ does not depend on $q$. What depends
#   on $q$ is the bias, of order $1/K$. The noise is of order $1/\sqrt K$, so the ratio *falls* like $1/\sqrt K$:
#
# $$ \mathrm{SNR}_{\text{decoder}} = O(\sqrt K), \qquad \mathrm{SNR}_{\text{encoder}} = O(1/\sqrt K) $$
#
# We measure it on their model: $z \sim \mathcal N(\mu, I)$ in 20 dimensions, $x \sim \mathcal N(z, I)$, and the encoder
# $q(z|x) = \mathcal N(Ax + b, \frac23 I)$, with all parameters moved a little from their optimum. (The posterior has the
# covariance $\frac12 I$.) **Predict first:** by which factor does the ratio of $b$ change from $K = 10$ to $K = 1000$?
#
# A signal far below the noise cannot be measured by a mean of a thousand estimates. For the expectation we therefore use
# another estimator with the same expectation and less noise, the *doubly reparameterized* one (Tucker et al., 2018).

# %%
D, moved = 20, np.random.RandomState(1)
images = moved.normal(size=D) + math.sqrt(2) * moved.normal(size=(1024, D))
mu = images.mean(axis=0) + 0.01 * moved.normal(size=D)
A = np.eye(D) / 2 + 0.01 * moved.normal(size=(D, D))
b = images.mean(axis=0) / 2 + 0.01 * moved.normal(size=D)
model = LinearGaussian(images[0], np.eye(D), 1.0, mu)
q = A @ images[0] + b, np.full(D, math.log(2 / 3))

snr_ks = np.array([1, 3, 10, 30, 100, 300, 1000][: fast(7, 5)])
lines = {
    name: []
    for name in ("decoder (μ)", "encoder (b)", "encoder, doubly reparameterized", "by a plain mean")
}
for k in snr_ks:
    estimates = importance_gradients(
        model.log_joint, *q, int(k), fast(1000, 200), model_slope=lambda z: z - mu
    )
    total, double = estimates["total"][:, 0], estimates["double"][:, 0]  # by z_mean: as by b
    for name, ratio in (
        ("decoder (μ)", signal_to_noise(estimates["model"])),
        ("encoder (b)", signal_to_noise(total, double.mean(axis=0))),
        ("encoder, doubly reparameterized", signal_to_noise(double)),
        ("by a plain mean", signal_to_noise(total)),
    ):
        lines[name].append(ratio.mean())
for name, ratios in lines.items():
    slope = log_log_slope(snr_ks[2:], ratios[2:])
    print(
        f"{name:32} SNR {ratios[0]:.3f} at K = 1, {ratios[-1]:7.4f} at K = {snr_ks[-1]}; slope {slope:5.2f}"
    )
assert abs(log_log_slope(snr_ks[2:], lines["encoder (b)"][2:]) + 0.5) < 0.1
assert abs(log_log_slope(snr_ks[2:], lines["decoder (μ)"][2:]) - 0.5) < 0.1

# %%
del lines["by a plain mean"]
text = "Signal-to-noise ratio of the gradient of the importance bound, mean over the parameters"
show(lessons.curves(snr_ks, lines, text, "K", "SNR of one estimate", log="xy"))

# %% [markdown]
# The slopes are 0.49 and $-0.50$, as the theory says. From $K = 1$ to $K = 1000$ the ratio of the encoder falls from 0.085 to
# 0.003: to raise it to 1, one would have to average $1/0.085^2 \approx 140$ estimates at $K = 1$, and about 100,000 at
# $K = 1000$. The doubly reparameterized estimator has the same expectation, and its ratio rises with $K$. The last printed
# line is what a plain mean of 1,000 estimates would have shown: at large $K$ it is nothing but its own noise, about
# $1/\sqrt{1000} = 0.03$.
#
# This does not say that $K > 1$ is bad. The decoder gains, and with a moderate $K$ the whole often does, too: in
# [the results](../docs/results.md), training with $K = 5$ ends at a higher bound than with $K = 1$.
#
# ## 6. Sticking the landing
#
# The gradient of the ELBO by $\mu$ and $\sigma$ has two parts, because $q$ occurs twice in $\log w = \log p(x,z) - \log
# q(z|x)$: in the sample $z = \mu + \sigma\varepsilon$, and as the density itself. The second part is the score:
#
# $$ \nabla_{\mu,\sigma}\log w =
#    \underbrace{\nabla_z\big[\log p(x,z) - \log q(z|x)\big]\,\frac{\partial z}{\partial(\mu,\sigma)}}_{\text{path}}
#    \;-\; \underbrace{\nabla_{\mu,\sigma}\log q(z|x)\big|_{z\text{ fixed}}}_{\text{score}} $$
#
# The score has expectation 0, so it can be left out (Roeder et al., 2017). Then something happens at the optimum: if
# $q = p(z|x)$, then $\log p(x,z) - \log q(z|x) = \log p(x)$ is constant in $z$, its derivative is 0, and **every single
# estimate is exactly 0**. The usual estimate keeps the noise of the score there.
#
# We move $q$ from a wrong place to the exact posterior, in a linear model whose posterior is diagonal:

# %%
kernel = np.array([[1.5, 0.0, 0.0], [0.0, 0.7, 0.0]])
straight = LinearGaussian(np.array([1.0, -0.5, 0.2]), kernel, 0.4)
mean, covariance = straight.posterior()
log_var = np.log(np.diag(covariance))

distances, variances = np.array([1.0, 0.3, 0.1, 0.03, 0.01, 0.0]), {"total": [], "path": []}
for t in distances:
    estimates = importance_gradients(straight.log_joint, mean + t, log_var - t, 1, 10_000)
    for name in variances:
        variances[name].append(estimates[name].var(axis=0, ddof=1).sum())
for t, total, path in zip(distances, *variances.values(), strict=True):
    print(f"distance {t:4}: variance with the score {total:8.4f}, without it {path:.3e}")
assert variances["path"][-1] < 1e-20 < 0.1 < variances["total"][-1]
slope = log_log_slope(distances[:-1], variances["path"][:-1])
print(f"slope of the variance without the score, on logarithmic axes: {slope:.2f}")

# %%
lines = {
    "with the score": np.array(variances["total"][:-1]),
    "without the score": np.array(variances["path"][:-1]),
}
text = "Variance of the gradient of the ELBO, sum over the parameters of q; K = 1"
show(lessons.curves(distances[:-1], lines, text, "distance of q from p(z|x)", "variance", log="xy"))

# %% [markdown]
# In the VAE, $q$ never is the posterior, but it may be close. We compare the variances at the encoder's $q$ and at the best
# diagonal $q$ of each image:

# %%
ratios = {"encoder's q": [], "best diagonal q": []}
for i in few:
    log_joint = bernoulli_log_joint(gather(vae), "relu", x[i])
    best = split["fits"][i][0]
    for name, q in (
        ("encoder's q", (z_mean[i], z_log_var[i])),
        ("best diagonal q", (best.mean, 2 * np.log(np.diag(best.scale)))),
    ):
        estimates = importance_gradients(log_joint, *q, 1, fast(1000, 200))
        total, path = (estimates[each].var(axis=0, ddof=1).sum() for each in ("total", "path"))
        ratios[name].append(path / total)
for name, values in ratios.items():
    print(
        f"variance without the score / with it, {name:16}: median {np.median(values):.3f}, "
        f"{np.min(values):.3f} to {np.max(values):.3f}"
    )
assert np.median(ratios["best diagonal q"]) < np.median(ratios["encoder's q"])

# %% [markdown]
# At the encoder's $q$, the variance without the score is 0.17 of that with it, in the median; but for at least one image it
# is 23 times as *large*. This happens far from the posterior, as in the first line of the linear model (10.7 against 4.2).
# At the best $q$ it is smaller for every image. So it pays to leave out the score where the optimization ends, not
# necessarily where it begins.
#
# ## 7. Summary
#
# | question | answer | section |
# |---|---|---|
# | Which derivation is the post's? | the one by the KL to $p(z \mid x)$ | 1 |
# | Does a VAE need an encoder? | no; without one, $q$ is optimized for each image | 2 |
# | Where does the gap come from? | approximation (the family) and amortization (the encoder) | 3 |
# | How fast does the importance bound rise? | like $1/K$, if the weights have a variance | 4 |
# | Is a tighter bound better? | for the decoder yes; for the encoder's gradients no | 5 |
# | Can the noise vanish at the optimum? | yes, if the score is left out | 6 |

# %% [markdown]
# ## Exercises
#
# Enter an answer and run the cell; it tells you whether the answer is right.
#
# **Exercise 1.** For an image, $\log p(x) = -120.0$; the ELBO of the encoder's $q$ is $-123.5$, of the best diagonal
# Gaussian $-120.6$, and of the best Gaussian with any covariance $-120.1$. How large is the amortization gap?

# %%
answer_1 = None  # your answer, a number

check("08.1", answer_1)

# %% [markdown]
# **Exercise 2.** Write the step of section 2: a function of `log_joint`, `z_mean`, `z_log_var` (shape (2,) each) and
# `epsilon` (shape (samples, 2)) that returns two arrays of shape (2,), estimates of the gradient of the ELBO by `z_mean`
# and by `z_log_var`. `log_joint(z)` returns $\log p(x,z)$ and its derivative by $z$, with shapes (samples,) and
# (samples, 2). Take means over the samples; you may use the score or leave it out.

# %%
answer_2 = None  # your answer, a function: lambda log_joint, z_mean, z_log_var, epsilon: …

check("08.2", answer_2)

# %% [markdown]
# **Exercise 3.** At $K = 10$ the importance bound is 0.30 nats below $\log p(x)$, and the weights have a finite variance.
# About how many samples are needed to come within 0.01 nats?

# %%
answer_3 = None  # your answer, a number

check("08.3", answer_3)

# %% [markdown]
# **Exercise 4.** You change the training from $K = 1$ to $K = 64$. By which factor must the batch grow, so that the
# encoder's gradient has the same signal-to-noise ratio as before? (The gradient of a batch is a mean of independent
# estimates; use the rates of section 5.)

# %%
answer_4 = None  # your answer, a number

check("08.4", answer_4)

# %% [markdown]
# **Exercise 5.** Write the jackknife of section 4: a function of an array `log_weights` of shape (K,) that returns
# $K \cdot L_K - (K - 1) \cdot \bar L_{K-1}$, where $L_K$ is log-mean-exp of all weights, and $\bar L_{K-1}$ the mean of
# the $K$ values that leave one weight out.

# %%
answer_5 = None  # your answer, a function: lambda log_weights: …

check("08.5", answer_5)
