# %% [markdown]
# # 9. Rate, distortion and linear theory
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/09_rate_and_linear_theory.ipynb)
#
# ## What you will learn
#
# - A VAE whose best ELBO is known exactly: the **linear VAE**, and its relation to probabilistic PCA.
# - How many latents are used, and how many nats each of them carries, from the eigenvalues of the data.
# - The **rate–distortion curve** over $\beta$, and the ELBO as its tangent; why the ELBO alone does not say how much a
#   latent carries.
# - How to choose `latent_dim` by a sweep on validation data, and what limits it.
# - What the split of the mean KL says and what it does not say; a prior that is fitted to the latents after training.
# - Why samples are blurry: every reason with a number.
#
# You need notebook 1, sections 3 to 6, and notebook 5, sections 5 to 8. All models are trained here, on a few thousand
# digits, in about three minutes on two cores.

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

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
from scipy import special, stats

sys.path.insert(0, str(Path.cwd().parent))  # the root of the project, for the folder examples
from examples import linear
from shared import elbo
from shared.config import recipe
from shared.data import evaluation_images, load_data
from shared.measure import aggregate, diagnostics
from shared.measure.linear import (
    best_encoder,
    linear_optimum,
    linear_terms,
    log_evidence_linear,
    ppca,
    spectrum,
)
from shared.measure.linear_training import train_linear_vae
from shared.show.figures import lessons
from shared.show.figures.of_run import prior_samples
from shared.show.figures.rates import rate_distortion
from tf_vae.evaluate import elbo_terms
from tf_vae.model import decode, encode
from tf_vae.train import train

whole = load_data("mnist-5k")
order = np.random.RandomState(0).permutation(len(whole.x_train))
fitting, held_out = whole.x_train[order[800:]], whole.x_train[order[:800]]
data = dataclasses.replace(whole, x_train=fitting, x_valid=held_out)
print(*(len(x) for x in (data.x_train, data.x_valid, data.x_test)), "images")

# %% [markdown]
# The three sets are for training, for every choice, and for the final numbers.
#
# ## 1. Probabilistic PCA
#
# Take away everything nonlinear. The decoder is a matrix $W$, and all pixels have the same variance $\sigma^2$:
#
# $$ p(z) = \mathcal N(0, I), \qquad p(x|z) = \mathcal N(b + Wz,\; \sigma^2 I). $$
#
# A sum of Gaussian variables is Gaussian, so the integral over $z$, which no network allows, has a closed form:
#
# $$ p(x) = \mathcal N(b,\; WW^\top + \sigma^2 I). $$
#
# This is **probabilistic PCA** (Tipping and Bishop, 1999). Its best parameters are known, too. Let $\lambda_1 \ge
# \lambda_2 \ge \dots$ be the eigenvalues of the covariance of the data, and $u_j$ the eigenvectors, the *principal
# directions*. With $k$ latents and $d$ pixels,
#
# $$ w_j = \sqrt{\lambda_j - \sigma^2}\; u_j, \qquad \sigma^2 = \frac{1}{d-k}\sum_{j>k}\lambda_j: $$
#
# $\sigma^2$ is the mean of the eigenvalues that are left out. Pixels are grey numbers here, and $p(x)$ is a density, so
# its logarithm may be positive.

# %%
x = data.x_train.astype(float)
mean, eigenvalues, directions = spectrum(x)
covariance = (x - mean).T @ (x - mean) / len(x)
k = 10
_, pca = ppca(x, k)
evidence = log_evidence_linear(x, mean, pca.weights, pca.noise_variance).mean()
print("largest eigenvalues:", *eigenvalues[:13].round(2))
print(f"their sum {eigenvalues.sum():.2f}; the first {k}: {eigenvalues[:k].sum():.2f}")
print(f"sigma² {pca.noise_variance:.5f}, log p(x) {evidence:.4f} nats per image")
assert math.isclose(pca.noise_variance, eigenvalues[k:].sum() / (784 - k))

random = np.random.RandomState(1)  # is any other set of parameters better?
for _ in range(fast(20, 3)):
    moved = pca.weights + 0.01 * random.standard_normal(pca.weights.shape)
    assert log_evidence_linear(x, mean, moved, pca.noise_variance).mean() < evidence

# %% [markdown]
# ## 2. A linear VAE reaches it
#
# Now forget the closed form, and train a VAE: the same decoder, and an encoder without hidden layers,
#
# $$ q(z|x) = \mathcal N\big(V^\top(x - b),\; \mathrm{diag}(s)\big), $$
#
# with one variance per latent for all images. Both terms of its ELBO are polynomials and logarithms of the parameters,
# averaged over the covariance of the data, so they can be computed without drawing a single $z$. `train_linear_vae` maximizes this exact ELBO
# in float64, from random weights, with $\sigma^2$ learned. It knows nothing about eigenvalues.

# %%
trained = train_linear_vae(covariance, k, steps=fast(1500, 200))
log_likelihood, kl = linear_terms(covariance, trained)
its_elbo = log_likelihood - kl.sum()
print(f"ELBO of the trained linear VAE {its_elbo:.4f}")
print(f"log p(x), probabilistic PCA    {evidence:.4f}, difference {evidence - its_elbo:.1e} nats")
assert -1e-6 < evidence - its_elbo < fast(0.01, 5)

by_kl = np.argsort(kl)[::-1]
columns = trained.weights[:, by_kl] / np.linalg.norm(trained.weights[:, by_kl], axis=0)
cosines = np.abs((columns * directions[:, :k]).sum(axis=0))
print("|cosine| of each column of W and its principal direction:", *cosines.round(4))
rows = {
    "principal directions": directions[:, :k].T
    * np.sign((columns * directions[:, :k]).sum(0))[:, None],
    "columns of the decoder": columns.T,
}
rows = {name: 0.5 + 3 * row for name, row in rows.items()}  # 0 is grey
show(lessons.image_rows(rows, data.image_shape, "Ten latents of a linear VAE, by their KL"))

# %% [markdown]
# The ELBO reaches $\log p(x)$, although it is only a bound: for a linear decoder the exact posterior $p(z|x)$ is a
# Gaussian with one covariance for all images, and a linear encoder can be equal to it. And the columns of the decoder are the principal directions, each by itself.
# (The cosines are lowest for the eighth and ninth column, 0.94 and 0.93: their eigenvalues, 1.52 and 1.44, are nearly equal, so turning one
# into the other costs almost nothing.)
#
# The second fact is remarkable. $\log p(x)$ depends on $WW^\top$ only, so a rotation of the latents, $W \to WR$,
# does not change it: probabilistic PCA finds the *plane* of the directions, not the directions. The ELBO does
# depend on the rotation, because $q$ has a diagonal covariance, and $p(z|x)$ has one only if the columns of $W$ are
# orthogonal. We turn the first two columns, with the best encoder at each angle:

# %%
angles = np.linspace(0, 90, 31)
lines = {"log p(x)": [], "ELBO, best diagonal q": []}
for angle in np.deg2rad(angles):
    weights = pca.weights.copy()
    turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    weights[:, [0, 5]] = weights[:, [0, 5]] @ np.array(turn)
    vae = pca._replace(weights=weights)
    encoder, q_variance = best_encoder(weights, pca.noise_variance)
    terms = linear_terms(covariance, vae._replace(encoder=encoder, q_variance=q_variance))
    lines["log p(x)"].append(log_evidence_linear(x[:500], mean, weights, pca.noise_variance).mean())
    lines["ELBO, best diagonal q"].append(terms[0] - terms[1].sum())
lines["log p(x)"] = np.array(lines["log p(x)"]) - lines["log p(x)"][0]
lines["ELBO, best diagonal q"] = np.array(lines["ELBO, best diagonal q"]) - evidence
print(f"largest change of log p(x) {np.abs(lines['log p(x)']).max():.1e} nats")
print(f"largest loss of the ELBO   {-lines['ELBO, best diagonal q'].min():.4f} nats")
assert np.abs(lines["log p(x)"]).max() < 1e-9 and abs(lines["ELBO, best diagonal q"][0]) < 1e-9
text = "Latents 1 and 6 turned by an angle"
show(lessons.curves(angles, lines, text, "angle, degrees", "nats, against angle 0"))

# %% [markdown]
# The ELBO has its maximum at 0° and 90°, where each column is one principal direction. So a VAE prefers directions
# that probabilistic PCA cannot tell apart, and the reason is the *diagonal* $q$. (A nonlinear VAE has the same
# preference only locally; nothing guarantees that its latents mean something.)
#
# ### Eigenvalues predict the KL
#
# For one direction with the eigenvalue $\lambda$, insert the best $V$ and $s$ for a given length $w$ of the column. With
# the *level* $\tau = \beta\sigma^2$, what remains of the loss $\beta\,\mathrm{KL} - \mathbb E_q[\log p(x|z)]$ is
#
# $$ \frac{\beta}{2}\left(\frac{\lambda}{w^2+\tau} + \log\frac{w^2+\tau}{\tau}\right). $$
#
# Its derivative in $w^2$ is zero at $w^2 + \tau = \lambda$. If $\lambda \le \tau$ there is no such $w$; the minimum is
# then at $w = 0$, and the latent has collapsed. Inserting the minimum into the KL and the squared error gives
#
# $$ \mathrm{KL}_j = \begin{cases} \frac12\log\dfrac{\lambda_j}{\beta\sigma^2} & \text{if } \lambda_j > \beta\sigma^2 \\[2mm] 0 & \text{otherwise,} \end{cases}
#    \qquad \mathbb E\big[(\text{error along } u_j)^2\big] = \min(\lambda_j,\; \beta\sigma^2). $$

# %%
optimum = linear_optimum(eigenvalues, k)
print("KL, trained:", *kl[by_kl].round(4))
print("½ log(λ/σ²):", *optimum.kl.round(4))
assert np.abs(kl[by_kl] - optimum.kl).max() < fast(0.01, 2)
assert math.isclose(optimum.elbo, evidence, rel_tol=1e-12)

# %% [markdown]
# ## 3. When do latents collapse?
#
# A latent is used if and only if its eigenvalue is above $\beta\sigma^2$. Three things follow:
#
# - A large *fixed* $\sigma$ collapses latents just as a large $\beta$ does. At $\sigma = 1$, a frequent choice (it is
#   the "sum of squared errors" of notebook 1, section 5, up to a factor of two), only eigenvalues above 1 count.
# - If $\sigma$ is *learned* and $\beta = 1$, $\sigma^2$ is the mean of the eigenvalues that are left out, which is below
#   every eigenvalue that is kept. No latent collapses, as long as there is variance left.
# - The KL term does not cause this: at $\beta = 1$ and with the best encoder the ELBO *is* $\log p(x)$, so the best model of the data leaves these
#   latents unused. This is the point of Lucas et al. (2019), *Don't blame the ELBO*, who also prove that the ELBO of
#   the linear VAE has no local maxima that $\log p(x)$ has not.

# %%
print("latents used, of 20     beta = 0.3    1    3   10")
for noise_variance in (0.1, 0.25, 1.0, None):
    used = [
        int((linear_optimum(eigenvalues, 20, beta, noise_variance).kl > 0).sum())
        for beta in (0.3, 1.0, 3.0, 10.0)
    ]
    name = "sigma² learned" if noise_variance is None else f"sigma² = {noise_variance}"
    print(
        f"{name:22}"
        + "".join(f"{count:8}" if n == 0 else f"{count:5}" for n, count in enumerate(used))
    )

fixed = train_linear_vae(covariance, 20, noise_variance=1.0, steps=fast(400, 100))
its_kl = np.sort(linear_terms(covariance, fixed)[1])[::-1]
predicted = linear_optimum(eigenvalues, 20, noise_variance=1.0).kl
print(
    f"\ntrained at sigma = 1: {(its_kl > 1e-3).sum()} of 20 latents have a KL above 0.001;", end=" "
)
print(f"eigenvalues above 1: {(eigenvalues > 1).sum()}")
if fast(True, False):
    assert (its_kl > 1e-3).sum() == (eigenvalues > 1).sum()
panels = {
    "predicted": (predicted, predicted > 0),
    "trained": (its_kl, its_kl > 1e-3),
}
show(
    lessons.kl_bars(
        panels, "Linear VAE, sigma = 1: KL of each latent, from eigenvalues and trained"
    )
)

# %% [markdown]
# ### The project's own loop
#
# `examples/linear.py` has the same encoder and decoder as networks, so `train` can use them, in batches, with the noise
# of the reparameterization. It does not know the mean of the data either.

# %%
config = recipe(
    "post-keras",
    optimizer="adam",
    learning_rate=0.05,
    learning_rate_decay=100.0,
    likelihood="gaussian",
    latent_dim=k,
    epochs=fast(60, 2),
)
model, _ = train(config, data, network=linear.networks, verbose=0)
terms = np.array([elbo_terms(model, data.x_train, config, sample) for sample in range(10)])
by_loop = (terms[:, 0] - terms[:, 1]).astype(float).mean()
print(f"ELBO by batches and noise {by_loop:.2f}, log p(x) of probabilistic PCA {evidence:.2f} nats")
assert by_loop < evidence + 0.1
if fast(True, False):
    assert evidence - by_loop < 2

# %% [markdown]
# ## 4. Rate and distortion
#
# Two terms have names of their own in information theory. The **rate** $R$ is the mean KL: the nats per image that $z$ carries, measured
# against the prior. The **distortion** $D$ is the mean of $-\log p(x|z)$: the nats that describe the image once $z$ is
# known. Training with $\beta$ minimizes $D + \beta R$, and $-\mathrm{ELBO} = D + R$.
#
# In the plane of $R$ and $D$, all models with the same $D + \beta R$ lie on a line of the slope $-\beta$. The best model
# for $\beta$ is on the lowest line of this slope that the family of models touches. So the line is a **tangent** of the
# curve that bounds the family from below:
#
# $$ \frac{\mathrm dD}{\mathrm dR} = -\beta. $$
#
# For the linear VAE with a fixed $\sigma$ the curve is exact. Let the level $\tau = \beta\sigma^2$ rise: a direction above the
# level costs $\frac12\log(\lambda_j/\tau)$ nats of rate and leaves the error $\tau$, a direction below it costs nothing. This
# is *reverse water-filling*, the solution of the rate–distortion problem of a Gaussian source. On the right there is a VAE
# with a hidden layer, on binary pixels, for which no closed form exists; there we only have trained models.

# %%
sigma = 0.5
exact = [linear_optimum(eigenvalues, 20, beta, sigma**2) for beta in np.geomspace(0.15, 25, 200)]
curve = [each.kl.sum() for each in exact], [-each.log_likelihood for each in exact]
near = [linear_optimum(eigenvalues, 20, beta, sigma**2) for beta in (0.999, 1.001)]
slope = (near[0].log_likelihood - near[1].log_likelihood) / (near[1].kl.sum() - near[0].kl.sum())
print(f"slope of the exact curve at beta = 1: {slope:.4f}")
assert abs(slope + 1) < 1e-3


def place_of(model, its_config, x, samples=5):
    """Returns rate and distortion of a model on some images, in nats."""
    terms = [elbo_terms(model, x, its_config, sample) for sample in range(samples)]
    log_likelihood, kl = np.mean(terms, axis=(0, 2), dtype=float)
    return kl, -log_likelihood


points = {}
for beta in fast((1.0, 3.0, 8.0), (3.0, 8.0)):
    its_config = dataclasses.replace(
        config, beta=beta, latent_dim=20, fixed_sigma=sigma, learning_rate=0.01
    )
    model, _ = train(its_config, data, network=linear.networks, verbose=0)
    points[beta] = place_of(model, its_config, data.x_train)
    best = linear_optimum(eigenvalues, 20, beta, sigma**2)
    above = points[beta][1] + beta * points[beta][0] - (beta * best.kl.sum() - best.log_likelihood)
    print(f"linear, beta {beta:g}: D + beta R is {above:.2f} nats above the least possible value")
    assert above > -0.2  # the noise of z

# %%
settings = {"optimizer": "adam", "learning_rate": 2e-3, "learning_rate_decay": 10.0}
settings |= {"binarization": "dynamic", "epochs": fast(50, 1)}
swept = {}
for beta in fast((0.1, 0.3, 1.0, 3.0, 10.0), (1.0, 3.0)):
    its_config = recipe("post-keras", latent_dim=16, beta=beta, **settings)
    swept[beta] = its_config, train(its_config, data, verbose=0)[0]
on_train = {b: place_of(m, c, data.x_train) for b, (c, m) in swept.items()}
on_test = {b: place_of(m, c, data.x_test) for b, (c, m) in swept.items()}

print("  beta   training: R      D   D + R    test: R      D   D + R")
for beta in swept:
    (r, d), (r_test, d_test) = on_train[beta], on_test[beta]
    print(
        f"{beta:6g}{r:13.1f}{d:7.1f}{r + d:8.1f}{r_test:11.1f}{d_test:7.1f}{r_test + d_test:8.1f}"
    )
pairs = list(zip(on_train.items(), list(on_train.items())[1:], strict=False))
for (low, (r, d)), (high, (r_next, d_next)) in pairs:
    secant = (d_next - d) / (r_next - r)
    print(f"between beta {low:g} and {high:g}: slope {secant:.2f}")
    assert fast(-high < secant < -low, True)
panels = {
    "linear, grey pixels, σ = 0.5": (curve, points, {}),
    "one hidden layer, binary pixels": (
        None,
        on_train,
        {"the same, test images": list(zip(*on_test.values(), strict=True))},
    ),
}
show(rate_distortion(panels, "Rate and distortion of training images"))

# %% [markdown]
# The trained linear models are a little above the exact curve, by less than a nat; below it there is none. On the right the slope between two neighbours is
# between their two $-\beta$, as it must be on the lower boundary of a family of models: if a model is the best one for its $\beta$, no
# other model of the family lies below its tangent. (This inequality is a test of an optimizer: a pair that violates it
# contains a model that is not the best.) The last column of each half is $-\mathrm{ELBO}$. On the images on which it is trained, $\beta = 1$
# must have the lowest one, if it was trained to its optimum; on test images this need not be so, but it is here.
#
# ### The ELBO does not fix the rate
#
# One tangent can touch at more than one point. Alemi et al. (2018), *Fixing a broken ELBO*, show that models with the same ELBO may use $z$ for everything or for
# nothing. A Gaussian example makes this exact. Let the decoder have any covariance, not only $\sigma^2 I$. Then
# for each share $t$ between 0 and 1,
#
# $$ W = \sqrt t\,S^{1/2}, \qquad p(x|z) = \mathcal N\big(Wz,\; (1-t)S\big) \quad\Rightarrow\quad p(x) = \mathcal N\big(0,\; tS + (1-t)S\big) = \mathcal N(0, S), $$
#
# with the exact posterior $p(z|x) = \mathcal N(\sqrt t\,S^{-1/2}x,\;(1-t)I)$. The density of the data is the same for all
# $t$, and so is the best ELBO. We take the first 20 principal components of the digits as $x$, so that $S$ is diagonal, and draw one $z$ per image.

# %%
scores = (x - mean) @ directions[:, :20]
spread = np.sqrt(eigenvalues[:20])
exact_log_px = stats.norm.logpdf(scores, scale=spread).sum(axis=1)
noise = np.random.RandomState(2).standard_normal(scores.shape)
print("share t   rate R   distortion D   D + R   largest |log weight - log p(x)|")
for share in (0.0, 0.5, 0.9, 0.99):
    z_mean = np.sqrt(share) * scores / spread
    z_log_var = np.full(scores.shape, np.log1p(-share))
    z = z_mean + np.exp(z_log_var / 2) * noise
    given_z = stats.norm.logpdf(scores, np.sqrt(share) * spread * z, np.sqrt(1 - share) * spread)
    its_kl = np.asarray(elbo.kl_to_standard_normal(z_mean, z_log_var))
    weight = np.asarray(elbo.log_importance_weight(given_z.sum(axis=1), z, z_mean, z_log_var))
    away = np.abs(weight - exact_log_px).max()
    rate, distortion = its_kl.mean(), -exact_log_px.mean() - its_kl.mean()
    print(f"{share:7g}{rate:9.2f}{distortion:15.2f}{rate + distortion:8.2f}{away:18.0e}")
    assert away < 1e-9

# %% [markdown]
# The same density, the same ELBO, and a rate from 0 to 46 nats. At $t = 0$ the posterior has collapsed, and nothing is
# wrong with the density: the decoder can do without $z$. This is why strong decoders (autoregressive ones, for example) tend to ignore $z$, and why the
# ELBO should be reported together with its rate. Our pixels are independent given $z$, a weak decoder, which needs $z$.
#
# ## 5. Choosing `latent_dim`
#
# Train with 2 to 64 latents, and compare the *validation* loss. The test set has no vote.

# %%
dims = fast((2, 4, 8, 16, 32, 64), (2, 16))
models, table = {}, {"training": [], "validation": []}
ranked = {}
print("latents   training   validation     R      D   active units   KL above 0.1")
for latent_dim in dims:
    its_config = recipe("post-keras", latent_dim=latent_dim, **settings)
    models[latent_dim] = (
        its_config,
        (swept[1.0][1] if latent_dim == 16 else train(its_config, data, verbose=0)[0]),
    )
    model = models[latent_dim][1]
    r, d = place_of(model, its_config, data.x_valid)
    table["validation"].append(r + d)
    table["training"].append(sum(place_of(model, its_config, data.x_train)))
    q = encode(model, evaluation_images(data.x_valid, its_config))
    active = int(diagnostics.active_units(q[0]).sum())
    kl = diagnostics.kl_per_dimension(*q)
    ranked[latent_dim] = np.full(max(dims), np.nan)
    ranked[latent_dim][:latent_dim] = np.sort(kl)[::-1]
    print(
        f"{latent_dim:7}{table['training'][-1]:11.2f}{r + d:13.2f}{r:6.1f}{d:7.1f}"
        f"{active:15}{(kl > 0.1).sum():15}"
    )
chosen = dims[int(np.argmin(table["validation"]))]
its_config, model = models[chosen]
print(
    f"chosen: {chosen} latents; test loss {sum(place_of(model, its_config, data.x_test)):.2f} nats"
)

# %%
text = "−ELBO of binary pixels by the number of latents, one hidden layer, 50 epochs"
show(lessons.curves(np.array(dims), table, text, "latent_dim", "nats per image"))

# %%
lines = {f"{latent_dim} latents": kl for latent_dim, kl in ranked.items()}
text = "KL of each latent, the largest first, mean of validation images"
show(lessons.curves(np.arange(1, max(dims) + 1), lines, text, "latent, by KL", "KL, nats"))

# %% [markdown]
# Up to 16 latents both losses fall. Between 16 and 32 the validation loss differs by 0.3 nats, which one run of each cannot
# decide. At 64 the loss is higher, and on the training images, too, so this is not overfitting: a model with 64 latents could
# ignore half of them and be as good as one with 32, but in 50 epochs the training does not find it. What limits all of them is
# the rate: from 16 to 64 latents it rises only from 21.8 to 25.9 nats. This network, trained on 3,200 images, pays for about 25
# nats, however many latents share them, and the figure shows how they share them: with more latents each one has less.
#
# The usual criterion of active units (a variance of `z_mean` above 0.01) calls all 64 active, while only 51 have a KL above 0.1,
# so the count alone does not show the limit; look at the validation loss, the rate and the sorted KL. We go on with 16, the
# smallest number whose validation loss is close to the best. With more data, a larger network or a longer training the
# answer may be another one.
#
# ## 6. The aggregate posterior, and another prior
#
# Notebook 5, section 5, splits the mean KL, which is the rate, into two parts (Hoffman and Johnson, 2016):
#
# $$ R = \underbrace{I_q(x; z)}_{\text{information}} + \underbrace{\mathrm{KL}\big(q(z)\,\|\,p(z)\big)}_{\text{mismatch}}, \qquad
#    q(z) = \frac1N\sum_{i=1}^N q(z|x^{(i)}). $$
#
# Here $q(z)$ is an exact mixture of $N$ Gaussians, and $x$ is one of $N$ images with equal probability. So the
# information is at most $\log N$, the entropy of the number of the image, whatever the model is. For a model
# whose rate is far above $\log N$, the split measures $N$:

# %%
counts = fast((100, 400, 1600, 3200), (100, 400))
print("                  log N   R      information   mismatch")
for latent_dim in (2, 16):
    its_config, model = models[latent_dim]
    q = encode(model, evaluation_images(data.x_train, its_config))
    for count in counts:
        split = aggregate.kl_split(q[0][:count], q[1][:count])
        information, mismatch = (split[name].mean() for name in ("information", "mismatch"))
        print(
            f"{latent_dim:2} latents, N {count:4}{math.log(count):7.2f}"
            f"{information + mismatch:7.2f}{information:11.2f}{mismatch:13.2f}"
        )
        assert (split["information"] <= math.log(count) + 1e-9).all()

# %% [markdown]
# With two latents the rate is below $\log N$, and the information comes close to a limit: 4.05, 4.23, 4.28. With 16 latents the
# information is $\log N$ up to 0.04 nats at every $N$, and the mismatch is what remains of the rate. It falls by 3.3 nats from $N
# = 100$ to $3200$ although the model is the same.
#
# Three rules for reading the split:
#
# - Print $\log N$ beside it. If the information is close to $\log N$, every image has a region of its own in the latent space, and the
#   number says nothing about how much $z$ would tell about an image out of all possible ones.
# - A small mismatch is no proof that samples are good. It is a mean over $q(z)$, which hardly sees *holes*, regions where the
#   prior has probability and $q(z)$ has none.
# - The sum is exact, and is what the ELBO pays. Only the split depends on $N$.
#
# ### A prior that is fitted after training
#
# The mismatch can be reduced without training the networks again: keep encoder and decoder, and replace $\mathcal N(0, I)$ by a
# mixture of Gaussians, fitted to samples of $q(z)$ of the training images. The model with the new prior is an ordinary
# latent-variable model, so its ELBO is a bound, too, and the difference of the two ELBOs is
# $\mathbb E_q[\log p_{\text{new}}(z) - \log p(z)]$. We choose the number of Gaussians by the validation images, and measure on
# the test images.

# %%
its_config, model = models[16]
q = {
    name: encode(model, evaluation_images(x, its_config))
    for name, x in (("train", data.x_train), ("valid", data.x_valid), ("test", data.x_test))
}
z_train = aggregate.samples_of_q(*q["train"], samples=fast(2, 1))
mixtures, gains = {}, {}
print("Gaussians   gain of the ELBO: training   validation")
for components in fast((1, 5, 20, 50), (1, 5)):
    mixture = mixtures[components] = aggregate.fit_mixture(z_train, components)
    gain = {
        name: aggregate.prior_gain(*q[name], mixture.log_density).mean()
        for name in ("train", "valid")
    }
    gains[components] = gain["valid"]
    print(f"{components:9}{gain['train']:26.2f}{gain['valid']:13.2f}")
best = max(gains, key=gains.get)
mixture = mixtures[best]
gain = aggregate.prior_gain(*q["test"], mixture.log_density)
r, d = place_of(model, its_config, data.x_test)
error = gain.std(ddof=1) / math.sqrt(len(gain))
print(
    f"\nchosen: {best}. Test images: -ELBO {r + d:.2f} with N(0, I), {r + d - gain.mean():.2f} with the mixture;"
)
print(f"gain {gain.mean():.2f} ± {error:.2f} nats")

# %%
number = fast(1000, 100)
images = {
    "z ~ N(0, I)": decode(model, prior_samples(its_config, number)),
    "z ~ mixture": decode(model, mixture.sample(number)),
    "z ~ q(z|x), training images": decode(model, np.float32(z_train[:number])),
}
print(f"{'':29}to the data   from the data")
for name, drawn in images.items():
    there = diagnostics.nearest_distance(drawn, data.x_test).mean()
    back = diagnostics.nearest_distance(data.x_test, drawn).mean()
    print(f"{name:29}{there:11.2f}{back:16.2f}")
rows = {name: drawn[:12] for name, drawn in images.items()}
show(
    lessons.image_rows(
        rows, data.image_shape, "16 latents: the mean of p(x|z), z from three distributions"
    )
)

# %% [markdown]
# The test bound rises by 4.1 nats. This is far less than the mismatch of 14.3 nats of the table above, and now we know why: that
# number belongs to the mixture of the 3,200 posteriors of the training images themselves, which does not fit new images. The same happens here
# on a smaller scale: with 50 Gaussians the gain is higher on training images and lower on validation images.
#
# The samples gain, too: both distances fall most of the way to those of the last row, which are reconstructions of training
# images and no new images. (The caution of notebook 5, section 4, holds here as well: compare such distances only between
# images of about equal blur.)
#
# ## 7. Why samples are blurry
#
# "VAEs are blurry" has several causes. Each is measured here by one number, how *undecided* an image is: the sum over
# pixels of the entropy of $p(x_k|z)$, in nats. It is 0 if each pixel is certainly black or white.


# %%
def undecided(probs):
    """Returns the mean over images of the entropy of independent pixels, in nats."""
    probs = np.asarray(probs, float)
    return (special.entr(probs) + special.entr(1 - probs)).sum(axis=1).mean()


def isolated(x):
    """Returns the share of white pixels without a white neighbour above, below or beside them."""
    white = np.pad(np.asarray(x).reshape(-1, 28, 28) > 0.5, ((0, 0), (1, 1), (1, 1)))
    near = white[:, :-2, 1:-1] | white[:, 2:, 1:-1] | white[:, 1:-1, :-2] | white[:, 1:-1, 2:]
    own = white[:, 1:-1, 1:-1]
    return (own & ~near).sum() / own.sum()


random = np.random.RandomState(5)
x_test = evaluation_images(data.x_test, its_config)
reconstructed = decode(model, q["test"][0])
shown_samples = images["z ~ N(0, I)"]
drawn = (random.uniform(size=shown_samples.shape) < shown_samples).astype(np.float32)
grey = data.x_test.astype(float)
print("entropy of the pixels, nats per image")
print(
    f"  one mean image for all z (no latents)      {undecided(data.x_train.astype(float).mean(0)[None]):7.1f}"
)
for latent_dim in dims:
    its, each = models[latent_dim]
    z_mean = encode(each, evaluation_images(data.x_test, its))[0]
    print(
        f"  reconstruction, {latent_dim:2} latents                 {undecided(decode(each, z_mean)):7.1f}"
    )
for beta, (its, each) in swept.items():
    z_mean = encode(each, evaluation_images(data.x_test, its))[0]
    print(
        f"  reconstruction, 16 latents, beta {beta:<4g}      {undecided(decode(each, z_mean)):7.1f}"
    )
for name, its_images in images.items():
    print(f"  16 latents, {name:30} {undecided(its_images):7.1f}")
print(f"  the grey test images, as probabilities     {undecided(grey):7.1f}")
print("white pixels without a white neighbour")
print(
    f"  binary test images {isolated(x_test):.2%}, samples of p(x|z) at the same z as above {isolated(drawn):.2%}"
)

# %%
rows = {
    "binary test images": x_test[33::83][:12],
    "reconstruction, mean": reconstructed[33::83][:12],
    "z ~ N(0, I), mean": shown_samples[:12],
    "the same z, pixels drawn": drawn[:12],
    "z ~ mixture, mean": images["z ~ mixture"][:12],
}
show(lessons.image_rows(rows, data.image_shape, "16 latents: what is shown as an image"))

# %% [markdown]
# - **The mean is shown.** Rows 2, 3 and 5 show $\mathbb E[x|z]$, one probability per pixel, and not an image that the model
#   would draw. A grey value says "black or white, undecided".
# - **Pixels are independent given $z$.** Drawing them does not help (row 4): 10.9 % of the white pixels then have no white neighbour,
#   against 0.3 % in the data. What two pixels have in common must come from $z$.
# - **Some of it is in the data.** Our binary images are drawn from grey ones, whose entropy is 46 nats. No
#   model of these pixels can be more certain than that about a new drawing, and be right.
# - **Too few latents.** If $z$ does not determine the image, the best mean is an average: 165 nats with two latents, 100
#   with 16, and 207 for one average of all images.
# - **The weight of the KL.** Information has its price: 86 nats at $\beta = 0.1$, and at $\beta = 10$ as undecided as the average of
#   all images.
# - **The gap between $q(z)$ and $p(z)$.** Samples of the prior are more undecided than those of $q(z)$, 119 against 98 nats, in the
#   same decoder; with the mixture prior they are not (100).
# - **Network, data and training.** With 64 latents, which were not trained to the end, reconstructions are more undecided
#   than with 32, 103 against 97. How much a larger network or more images would change was not measured here.
#
# The numbers do not add up to a total: the causes act on one another. They are of one run each, and of a small network; but each cause has its own cure.
#
# For the linear VAE the blur has a closed form. The reconstruction of an image is $b + W\,\mathbb E_q[z]$, and along each principal direction the
# part $(\lambda_j - \beta\sigma^2)/\lambda_j$ of the deviation from the mean survives, or nothing where the latent has collapsed:

# %%
for noise_variance in (0.1, 1.0):
    best = linear_optimum(eigenvalues, 50, noise_variance=noise_variance)
    survives = np.maximum(1 - noise_variance / eigenvalues[:50], 0)
    variance = (survives**2 * eigenvalues[:50]).sum() / eigenvalues.sum()
    print(
        f"sigma² = {noise_variance}: survives of directions 1, 10, 30:",
        *survives[[0, 9, 29]].round(3),
        f"; variance of reconstructions {variance:.1%} of that of the data",
    )

# %% [markdown]
# The first directions are coarse shapes and the later ones fine details, so what is cut off is detail: the linear VAE is a
# filter that keeps what pays for its rate.

# %% [markdown]
# ## Exercises
#
# Enter an answer and run the cell; it tells you whether the answer is right. Predict first, by hand; then compute.
#
# **Exercise 1.** The covariance of some data has the eigenvalues 6, 3, 1.5 and 0.5. A linear VAE with four latents is trained
# with a fixed $\sigma = 1$ and $\beta = 2$. What is its rate, in nats, with two decimals?

# %%
answer_1 = None  # your answer, a number

check("09.1", answer_1)

# %% [markdown]
# **Exercise 2.** The same data, $\beta = 1$, two latents, and $\sigma$ is learned. What is $\sigma^2$?

# %%
answer_2 = None  # your answer, a number

check("09.2", answer_2)

# %% [markdown]
# **Exercise 3.** Write reverse water-filling: a function of an array of eigenvalues and a level that returns the pair
# (rate in nats, sum of the squared errors).

# %%
answer_3 = None  # your answer, a function: lambda eigenvalues, level: …

check("09.3", answer_3)

# %% [markdown]
# **Exercise 4.** A model that was trained with $\beta = 2$ has $R = 10$ and $D = 90$ nats, and is the best one of its family for this $\beta$. Another
# model of the family has $R = 14$. What is the least $D$ that it can have?

# %%
answer_4 = None  # your answer, a number

check("09.4", answer_4)

# %% [markdown]
# **Exercise 5.** The mean KL of 1,000 images is 17 nats. What is the least that $\mathrm{KL}(q(z)\,\|\,p(z))$ can be, with $q(z)$ the mixture
# of these 1,000 posteriors? Two decimals.

# %%
answer_5 = None  # your answer, a number

check("09.5", answer_5)
