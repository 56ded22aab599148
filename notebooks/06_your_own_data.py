# %% [markdown]
# # 6. Your own data
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/06_your_own_data.ipynb)
#
# ## What you will learn
#
# - How to write your own images to the file format that this project reads, and which error messages a bad
#   file causes.
# - The mistake that *no* check can detect, and how to notice it.
# - How to train on your file with either implementation, from Python or from the command line.
# - How to choose a likelihood, and when two numbers in **bits per pixel** may be compared.
# - How to read the diagnostics: two kinds of error, three bounds, used and unused units.
#
# Our example images are scikit-learn's 1,797 handwritten digits of 8 × 8 pixels. They are small and come
# with a package that is installed anyway; nothing in this notebook depends on their being digits. Replace
# them with your own arrays. The notebook takes about two minutes on two cores.

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
import os
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import keras_vae.checkpoint
import keras_vae.train
import tf_vae.checkpoint
import tf_vae.train
from shared.command.implementation import import_implementation
from shared.config import recipe
from shared.data import evaluation_images, load_data
from shared.elbo import kl_to_standard_normal
from shared.machine.checks import UsageError
from shared.machine.process import Stopped
from shared.measure.metrics import measure, measure_bound, measure_exact, measure_z, write_metrics
from shared.show.figures import lessons, plots
from shared.show.figures.of_run import draw_figures, prior_samples
from tf_vae.evaluate import elbo_terms
from tf_vae.model import decode, encode

temporary = tempfile.TemporaryDirectory()  # deleted when the notebook is closed
folder = Path(temporary.name)  # for your own files, use a permanent folder

# %% [markdown]
# ## 1. The file
#
# `--data` and `load_data` take a folder of PNG or JPEG files, a CSV, an `.npy` or an `.npz`
# ([all forms](../docs/commands.md#your-own-data)). Here we write an `.npz`, in which nothing is left open:
#
# | name | shape | type |
# |---|---|---|
# | `x_train`, `x_test` | (n, rows, columns), (n, rows, columns, channels) with 1, 3 or 4 channels, or (n, pixels) | `uint8` in [0, 255], or float in [0, 1] |
# | `y_train`, `y_test` | (n,) | integers or names: one label per image |
# | `x_valid` (optional) | as `x_train` | images on which the loss is watched during training; they need no labels |
#
# Labels give the colours of the figures and are used to *describe* the latents after training. The model is
# not trained on them. If you have no labels, leave these arrays out. Without `x_test`, a fifth of the images is
# split off for testing.
#
# These digits are floats from 0 to 16, so they have to be divided by 16. They are stored in the order in
# which people wrote them, so we shuffle them with a fixed seed before we split them: all sets should be random
# samples of one distribution.
#
# We split them into **three** sets. The model is trained on the training set. Every decision (how long to train,
# how many latents, which likelihood) is made by the loss on the *validation* set. The *test* set is used once, at
# the end: a model that was chosen by its test loss has a test loss that is too good. (Sections 4 and 5 print test numbers
# of several models, to explain what the numbers mean. Nothing is chosen by them; a choice would need the validation set.)

# %%
digits = load_digits()
order = np.random.RandomState(0).permutation(len(digits.images))
test, valid, train = order[:360], order[360:600], order[600:]
print(
    f"{digits.images.shape}, {digits.images.dtype}, {digits.images.min()} to {digits.images.max()}"
)

np.savez_compressed(
    folder / "digits.npz",
    x_train=digits.images[train] / 16,
    y_train=digits.target[train],
    x_valid=digits.images[valid] / 16,
    x_test=digits.images[test] / 16,
    y_test=digits.target[test],
)
data = load_data(str(folder / "digits.npz"))
sizes = [len(each) for each in (data.x_train, data.x_valid, data.x_test)]
print(data.name, data.image_shape, "training, validation and test images:", *sizes)
print(
    "x_test:", data.x_test.shape, data.x_test.dtype, f"{data.x_test.min()} to {data.x_test.max()}"
)

# %% [markdown]
# **Look at the images** before training. Section 2 shows why.


# %%
def framed(images):
    """Adds a black border of one pixel, because these digits reach the edge of their images."""
    squares = np.reshape(images, (-1, *data.image_shape))
    return np.pad(squares, ((0, 0), (1, 1), (1, 1))).reshape(len(images), -1)


shape = (data.image_shape[0] + 2, data.image_shape[1] + 2)
show(plots.image_grid(framed(data.x_test[:60]), shape, "digits.npz: the first 60 test images"))

# %% [markdown]
# ## 2. Bad files
#
# A wrong file is refused with one line that says what was found and what was expected. In Python this is a
# `UsageError`; on the command line, only the line is printed, with exit status 2, before TensorFlow is
# imported. Here are some examples.

# %%
good = dict(np.load(folder / "digits.npz"))


def try_to_load(**changes):
    """Writes digits.npz with some arrays changed (None: left out) and prints the result of loading it."""
    arrays = {name: array for name, array in {**good, **changes}.items() if array is not None}
    np.savez(folder / "changed.npz", **arrays)
    try:
        changed = load_data(str(folder / "changed.npz"))
    except UsageError as error:
        print("refused:", str(error).replace(f"{folder}{os.sep}", ""))
    else:
        print(f"accepted: pixels from {changed.x_train.min():.3f} to {changed.x_train.max():.3f}")
        return changed


torn = good["x_train"].copy()
torn[17, 3, 3] = np.nan
try_to_load(x_train=good["x_train"] * 16)
try_to_load(x_train=(good["x_train"] * 16).astype(int))
try_to_load(x_train=torn)
try_to_load(x_test=good["x_test"][:, :6])
try_to_load(x_train=good["x_train"][0])
try_to_load(y_test=None)
try_to_load(y_test=good["y_test"][:-1])
try_to_load(y_train=good["y_train"] / 10)

# %% [markdown]
# The next mistake cannot be detected by a check. `uint8` means 0 to 255, and a `uint8` array with values from
# 0 to 16 is a valid, very dark image.

# %%
dark = try_to_load(
    x_train=(good["x_train"] * 16).astype(np.uint8), x_test=(good["x_test"] * 16).astype(np.uint8)
)
show(plots.image_grid(framed(dark.x_test[:30]), shape, "The same digits as uint8 from 0 to 16"))

# %% [markdown]
# A model trains on these images without an error and reaches a very low loss, because pixels that are nearly
# black are easy to predict, but it has learned almost nothing. So look at the images, and print their minimum
# and maximum.
#
# ## 3. Training with either implementation
#
# We use the post's recipe with smaller layers for the smaller images. In each epoch, every pixel is drawn as
# 0 or 1 with its grey value as the probability (dynamic binarization), so that the likelihood is the
# probability of a binary image. The `out` folder holds the run: config, history, weights, checkpoint.

# %%
settings = {"hidden_dims": fast((128,), (16,)), "batch_size": 50, "epochs": fast(150, 7)}
config = recipe("post-keras", binarization="dynamic", picture_epochs=(fast(50, 5),), **settings)

model, run = tf_vae.train.train(config, data, out=folder / "runs" / "tf", verbose=0)
twin, _ = keras_vae.train.train(config, data, out=folder / "runs" / "keras", verbose=0)

weights, twin_weights = tf_vae.checkpoint.gather(model), keras_vae.checkpoint.gather(twin)
equal = [np.array_equal(weights[name], twin_weights[name]) for name in weights]
print(f"{sum(equal)} of {len(equal)} weights are equal in every bit, in TensorFlow and in Keras")
print("files of the run:", *sorted(path.name for path in (folder / "runs" / "tf").glob("[!.]*")))

# %% [markdown]
# (On a CPU all of them should be equal; on a GPU expect agreement up to rounding errors.)

# %%
text = f"{data.name}: loss after each epoch, x: binary"
show(plots.loss_by_epoch(run.history, text, data.held_out_name))

# %% [markdown]
# Watch the validation loss. Here it is slightly above the training loss and has nearly stopped falling, so the run
# is long enough. With two latents and pixels that are drawn again in each epoch, the model can hardly overfit.
# If the validation loss *rises* while the training loss still falls, train for fewer epochs, get more images, or
# use a smaller network. (Without `x_valid` in the file, this curve is measured on the test set. Then do not make
# decisions by it, or do not call the result a test loss.)

# %%
x_test = evaluation_images(data.x_test, config)  # binarized once, equally for all runs
z_mean, z_log_var = encode(model, x_test)
shown = slice(0, 12)
rows = {
    "test images, grey": data.x_test[shown],
    "drawn as 0 and 1": x_test[shown],
    "reconstructions": decode(model, z_mean[shown]),
    "z ~ N(0, I)": decode(model, prior_samples(config, 12)),
}
rows = {name: framed(images) for name, images in rows.items()}
show(lessons.image_rows(rows, shape, f"{data.name}: two latents"))

# %% [markdown]
# `draw_figures` writes all figures of a run to its folder:

# %%
paths = draw_figures(folder / "runs" / "tf", data, import_implementation("tf_vae"))
print(*[path.relative_to(folder).as_posix() for path in paths], sep="\n")

# %% [markdown]
# ## 4. Which likelihood?
#
# The choice depends on what a pixel *is*.
#
# | a pixel is | likelihood |
# |---|---|
# | black or white | `bernoulli` |
# | grey, and drawn once as black or white | `bernoulli` with `binarization="fixed"` |
# | grey, and only the shape matters | `bernoulli` with `binarization="dynamic"` |
# | grey, one of a few levels | `categorical` with `levels=` their number |
# | grey, continuous in [0, 1] | `continuous-bernoulli`, or `gaussian` |
# | a measurement with a known noise | `gaussian` with `fixed_sigma=` the standard deviation of the noise |
# | grey, as in the post | `bernoulli`: trains well, but its loss is not a bound on log p(x) |
#
# If the images are already black and white, `fixed` changes no pixel. With it or without it, reports say
# `x: binary` and contain bits per pixel, because `measure` looks at the pixels themselves:

# %%
binary = (data.x_test > 0.5).astype(np.float32)
fixed = recipe("post-keras", binarization="fixed")
print("fixed does not change 0 and 1:", np.array_equal(evaluation_images(binary, fixed), binary))

# %% [markdown]
# ### Bits per pixel
#
# The loss is an upper bound on $-\log p(x)$ in nats per image. Divided by the number of pixels and by $\log 2$,
# it is in bits per pixel. If the pixels are *discrete*, it bounds the length of a code for the image, so it
# cannot be negative. If the likelihood is a *density*, its value depends on the unit of $x$ and may have any
# sign. (A Bernoulli likelihood of grey pixels is neither, so reports have no bits for it.)
#
# Here is an example of a negative value: a Gaussian with learned $\sigma$ on `digits.npz`, where every grey
# value is a multiple of 1/16:

# %%
implementation = import_implementation("tf_vae")


def bits(name, data, **changes):
    """Trains with eight latents on data; prints and returns the test bits per pixel."""
    its_config = recipe("post-keras", latent_dim=8, **settings, **changes)
    out = folder / "runs" / f"{name}-{data.name}"
    its_model, _ = tf_vae.train.train(its_config, data, out=out, verbose=0)
    metrics = measure(out, implementation, its_model, data, samples=fast(10, 2))
    metric = metrics["test_bits_per_pixel"]
    value = f"{metric['value']:6.3f} ± {metric['standard_error']:.3f}"
    print(f"{data.name:7} {name:21} {value} {metric['unit']}")
    return metric["value"], its_model


bits("gaussian, learned σ", data, likelihood="gaussian")
always = np.mean((data.x_train == 0).all(axis=0))
print(f"pixels that are 0 in every training image: {always:.1%}")

# %% [markdown]
# A density may be larger than 1, so a negative value alone is not an error. The problem is another one: some
# pixels at the border are 0 in every image. For them the density grows as $\sigma$ falls, and it would grow
# to infinity if $\sigma$ were not bounded below by one grey level of 256. **A density on values that repeat
# exactly measures the repetition, not the model.**
#
# The solution is to give each level a width: for a value with 17 levels, $k = 0 \ldots 16$, store
# $(k + u)/17$ with $u$ uniform in [0, 1). On such data, the bits of a density plus $\log_2 17$ are an upper
# bound on the bits of the discrete image (Theis et al., 2016, arXiv:1511.01844). Then all likelihoods can be
# compared, including the categorical with 17 levels, which recovers $k$ by rounding down.

# %%
levels = np.round(digits.images)  # 0 … 16
u = np.random.RandomState(1).uniform(size=levels.shape)
x = ((levels + u) / 17).astype(np.float32).clip(max=np.float32(1 - 2**-24))  # below 1 in float32
np.savez_compressed(
    folder / "spread.npz",
    x_train=x[train],
    y_train=digits.target[train],
    x_test=x[test],
    y_test=digits.target[test],
)
spread = load_data(str(folder / "spread.npz"))
print(
    "levels are recovered:",
    np.array_equal(np.floor(spread.x_test * 17), levels[test].reshape(360, 64)),
)

results = {}
choices = {
    "categorical": {"likelihood": "categorical", "levels": 17},
    "continuous-bernoulli": {"likelihood": "continuous-bernoulli"},
    "gaussian, learned σ": {"likelihood": "gaussian"},
    "gaussian, σ = 0.2": {"likelihood": "gaussian", "fixed_sigma": 0.2},
    "gaussian, σ = 1": {"likelihood": "gaussian", "fixed_sigma": 1.0},
}
for name in fast(list(choices), ["categorical"]):
    results[name] = bits(name, spread, **choices[name])

# %%
print(f"bits per pixel of the 17 levels; {math.log2(17):.3f} if all levels were equally likely")
for name, (value, _) in results.items():
    discrete = value if name == "categorical" else value + math.log2(17)
    print(f"   {name:22} {discrete:.3f}")

# %%
rows = {"test images": spread.x_test[shown]}
for name, (_, its_model) in results.items():
    rows[name] = decode(its_model, encode(its_model, spread.x_test[shown])[0]).clip(0, 1)
rows = {name: framed(images) for name, images in rows.items()}
show(lessons.image_rows(rows, shape, "Reconstructions from eight latents"))

# %% [markdown]
# - **The reconstructions do not show the difference.** All rows except the last look alike, but their bits differ
#   widely. A likelihood describes not only the expected pixel but also its uncertainty. Here the categorical
#   has the lowest bits: it assumes nothing about the shape of the distribution, but needs 17 times as many output
#   weights. (To *choose* a likelihood for your data, compare validation losses in this way, and print the test bits of
#   the chosen one alone.)
# - A fixed $\sigma$ has consequences. With $\sigma = 1$, an error of a whole pixel from black to white costs half
#   a nat, so the KL outweighs the reconstruction: the last row is always the mean image, and its bits are
#   higher than those of a uniform distribution over the levels. This loss is *half* the sum of squares plus the KL. The
#   "sum of squares + KL" of many tutorials is $\sigma^2 = \frac12$, and a *mean* of squares implies a far larger
#   $\sigma$ (notebook 1, section 5). If the noise is known, set it; otherwise let $\sigma$ be learned.
# - The bits of `digits.npz` and of `spread.npz` are not comparable, because the data differ. Bits with
#   `binarization` are not comparable with either: a binary image contains less information.
#
# ### A softmax over 256 levels
#
# The post proposes a softmax for discrete values, and then trains MNIST with the Bernoulli formula. The pixels of MNIST have
# 256 levels: what would the softmax cost? The output layer has 256 numbers per pixel, for MNIST 784 · 256 = 200,704. We do it
# for a crop, the middle 10 × 10 pixels of the 5,000 digits, with eight latents. Beside it are a model without $z$, the
# histogram of each pixel in the training set (with 1/256 added to each count, so that no level is impossible), and the
# continuous Bernoulli, with 8 bits added as above.

# %%
whole = load_data("mnist-5k")


def crop(x):
    """Returns the levels 0 to 255 of the middle of each image."""
    return np.round(255 * x.reshape(-1, 28, 28)[:, 9:19, 9:19]).astype(np.uint8)


middle = {"x_train": crop(whole.x_train), "x_test": crop(whole.x_test)}
u = np.random.RandomState(2).uniform
for name, width in (("levels", 0), ("spread", 1)):
    arrays = {
        part: ((k + 0.5 + width * (u(size=k.shape) - 0.5)) / 256).astype(np.float32)
        for part, k in middle.items()
    }
    np.savez(folder / f"crop-{name}.npz", **{k: x.clip(max=1 - 2**-24) for k, x in arrays.items()})

pixels = {part: k.reshape(len(k), -1) for part, k in middle.items()}
seen = np.stack([np.bincount(column, minlength=256) for column in pixels["x_train"].T])
chance = (seen + 1 / 256) / (seen.sum(axis=1, keepdims=True) + 1)
in_bits = {"each pixel by its histogram": -np.log2(chance[np.arange(100), pixels["x_test"]]).mean()}
for name, file, changes, added in (
    ("categorical, 256 levels", "levels", {"likelihood": "categorical", "levels": 256}, 0),
    ("continuous Bernoulli", "spread", {"likelihood": "continuous-bernoulli"}, 8),
):
    cropped = load_data(str(folder / f"crop-{file}.npz"))
    its_config = recipe(
        "post-keras",
        hidden_dims=(128,),
        latent_dim=8,
        optimizer="adam",
        epochs=fast(10, 1),
        **changes,
    )
    its_model, its_run = tf_vae.train.train(its_config, cropped, verbose=0)
    in_bits[name] = its_run.history[-1]["val_loss"] / 100 / math.log(2) + added
    count = sum(int(np.prod(v.shape)) for v in its_model.trainable_variables)
    print(f"{name:28} {count:9,} weights")
for name, value in in_bits.items():
    print(f"{name:28} {value:.2f} bits per pixel; 8 if all levels were equally likely")
print(f"pixels that are 0: {np.mean(pixels['x_train'] == 0):.0%}")

# %% [markdown]
# After ten short epochs the categorical has 4.37 bits per pixel on the test set, 0.30 fewer than the histograms, which know
# each pixel but nothing of the image: this is what eight latents tell about it, after paying for their KL. The continuous
# Bernoulli is at 6.37. One reason can be read from the last line: 44 % of the pixels are exactly 0. A categorical gives this one level a
# large probability; a smooth density over [0, 1] cannot. The price is in the weights, 3.3 million in place of 29,000, for
# images of 100 pixels. It also knows nothing of the order of the levels: 7 and 8 are as different for it as 7 and 200.
#
# ## 5. Reading the diagnostics
#
# `measure` returns each number with two errors, which answer different questions. (A training image gets only
# one sample, which has no noise error.)

# %%
out = folder / "runs" / "tf"
metrics = write_metrics(out, data, measure(out, implementation, model, data, samples=10))
for name in ("test_loss", "test_log_likelihood", "test_kl", "test_bits_per_pixel", "train_loss"):
    metric = metrics[name]
    print(f"{name:20} {metric['value']:8.3f} {metric['unit']}, n {metric['n']}, x: {metric['x']}")
    for error in ("standard_error", "noise_error"):
        if metric.get(error) is not None:
            print(f"{'':20} {error.replace('_', ' ')} {metric[error]:.4f}")

# %% [markdown]
# - **Standard error**: how much the number would vary with *another test set* of the same size. Some digits are
#   harder than others, and 360 test images are few. Use it to report how good the model is.
# - **Noise error**: how much the number would vary with *other samples of z* for the same images. It is much
#   smaller, and more samples reduce it. Use it to decide whether you have drawn enough samples.
#
# The noise error can be checked by repetition. One sample instead of ten has $\sqrt{10}$ times the noise:

# %%
terms = np.array([elbo_terms(model, x_test, config, sample) for sample in range(fast(100, 12))])
losses = (terms[:, 1] - terms[:, 0]).mean(axis=1, dtype=np.float64)
print(
    f"the loss by one sample, repeated: {losses.mean():.3f}, standard deviation {losses.std():.4f}"
)
print(
    f"noise error × √10:                          {metrics['test_loss']['noise_error'] * 10**0.5:.4f}"
)

# %% [markdown]
# Neither error answers whether model A is better than model B. Both models are measured on the *same* images,
# and an image that is hard for one is usually hard for the other. So compute the difference for each image.
# Here we compare the same run at two of its saved epochs.

# %%
kept = config.pictured(len(data.x_train))[-2:]
costs = {}
for epoch in kept:
    its_model, _ = tf_vae.checkpoint.load(out, epoch)
    terms = np.mean([elbo_terms(its_model, x_test, config, sample) for sample in range(10)], axis=0)
    costs[epoch] = terms[1] - terms[0]  # of each image
    error = costs[epoch].std(ddof=1) / math.sqrt(len(x_test))
    print(f"epoch {epoch:3}: {costs[epoch].mean():.2f} ± {error:.2f} nats")
gain = costs[kept[0]] - costs[kept[1]]
error = gain.std(ddof=1) / math.sqrt(len(gain))
print(f"gain, per image: {gain.mean():.2f} ± {error:.2f} nats")

# %% [markdown]
# ### Is z used?

# %%
metrics = measure_z(out, implementation, data)
for name, metric in metrics.items():
    if name.startswith(("test_knn", "test_sil", "test_kl_per", "active", "dead")):
        print(f"{name:30} {np.round(metric['value'], 3)!s:15} {metric['unit']}")

# %% [markdown]
# - `test_kl_per_dimension`: a latent dimension with a KL near 0 carries no information. `active_units` counts the
#   dimensions whose mean varies over images (notebook 5, section 6).
# - `dead_units_…`: hidden relu units that are 0 for every test image. Their gradient is zero, so training does
#   not change them any more. A few are normal; half a layer suggests that the learning rate was too large.
# - `test_knn_accuracy_…`: the accuracy of predicting a test label by the 5 nearest *training* latents. With ten
#   classes, chance is about 0.1. `test_silhouette_…` measures whether classes are separated; it is 0 where they
#   overlap. The model is not trained for either, and a better ELBO need not improve them. If all your labels
#   are equal, they are left out.
#
# ### How tight is the bound?
#
# We compare three numbers for the same test images:
#
# $$ \mathrm{ELBO} \;\le\; \text{importance bound with } K \text{ samples} \;\le\; \log p(x) $$
#
# The importance bound approaches $\log p(x)$ as $K$ grows. The value of $\log p(x)$ is computed by numerical
# integration over the plane, which is possible only with two latents and Bernoulli pixels. We use a few
# images, because it takes some time.

# %%
few = fast(40, 2)
some = dataclasses.replace(data, x_test=data.x_test[:few], y_test=data.y_test[:few])
metrics = measure(out, implementation, model, some, samples=fast(100, 2))
metrics |= measure_bound(out, implementation, model, some, samples=fast(1000, 100))
metrics |= measure_exact(out, implementation, model, some, count=few)

elbo = -metrics["test_loss"]["value"]
bound, exact = metrics["test_importance_bound"], metrics["test_exact_log_px"]
print(
    f"ELBO                            {elbo:8.3f} ± {metrics['test_loss']['noise_error']:.3f} (noise)"
)
print(f"importance bound, K = {bound['samples']:5,}     {bound['value']:8.3f}")
print(f"exact log p(x)                  {exact['value']:8.3f}")
print(f"exact ELBO                      {metrics['test_exact_elbo']['value']:8.3f}")
print(f"exact KL(q(z|x) ‖ p(z|x))       {metrics['test_exact_kl_to_posterior']['value']:8.3f}")
print(f"error of the integration        {metrics['test_exact_residual']['value']:8.0e}")

# %% [markdown]
# The difference between $\log p(x)$ and the ELBO is the KL from $q(z|x)$ to the true posterior, the part of the
# loss that is due to *q*. The rest is due to the *decoder* and the data. If the importance bound is far above your
# ELBO, two things may be the reason: the encoder gives the wrong means and variances (a larger network or a longer
# training can help), or no Gaussian with a diagonal covariance fits the posterior (then they cannot). Notebook 1,
# section 3, tells the two apart. (The bound holds in expectation; a single estimate may be slightly above the exact
# value.)
#
# ## 6. The same on the command line
#
# These commands do the same in a terminal. Replace `tf_vae` with `keras_vae` and get the same bits.
#
# ```console
# python -m tf_vae train --recipe post-keras --data digits.npz --out runs/tf \
#     --hidden-dims 128 --batch-size 50 --epochs 150 \
#     --binarization dynamic
# python -m tf_vae evaluate runs/tf --samples 10
# python -m tf_vae evaluate runs/tf --importance-samples 1000 --exact-images 40
# python -m tf_vae figures runs/tf
# python -m tf_vae sample runs/tf --count 100
# python -m tf_vae train --recipe post-keras --data digits.npz --out runs/tf \
#     --hidden-dims 128 --batch-size 50 --epochs 300 \
#     --binarization dynamic --resume
# ```
#
# ```console
# python -m tf_vae train --recipe post-keras --data spread.npz --out runs/levels \
#     --hidden-dims 128 --batch-size 50 --epochs 150 \
#     --latent-dim 8 --likelihood categorical --levels 17
# ```
#
# The other likelihoods are `--likelihood gaussian --fixed-sigma 0.2` and `--likelihood continuous-bernoulli`. A
# run stores a hash of its data: if the file has changed, `evaluate` says so and stops. (Note the `n` in its
# output: the importance bound is for all test images, the exact value for the first 40.)
#
# ## 7. What to expect of other images
#
# - **Size.** The encoder and the decoder are dense networks, whose first and last layers grow with the number of
#   pixels. For images much larger than those of MNIST, use convolutions, and [bring your own network](../docs/commands.md#bring-your-own-network).
# - **Position.** Dense layers do not know which pixels are neighbours. Centre your objects and scale them to
#   equal size, as in MNIST; this often helps more than other settings.
# - **Colour.** Images of shape (n, rows, columns, 3) are trained with three numbers per pixel, and the figures are
#   in colour. A grey copy of the images needs a smaller model.
# - **Number.** A thousand images are enough for a first experiment, but not for reliable results: compare the
#   training loss with the test loss.
#
# ## 8. A loss that is NaN, or that stays where it is
#
# A list to work through from the top. Each entry was caused on purpose, in this notebook or where it says.
#
# | the log shows | look for | caused in |
# |---|---|---|
# | NaN at once | NaN or wrong values in the data | section 2, where the file is refused |
# | NaN after some steps | a learning rate that is too large | below |
# | NaN or infinity, or a pixel that is never corrected | a sigmoid, then a logarithm; use logits | notebook 1, section 5 |
# | NaN or infinity in the KL | an output taken for $\sigma^2$, or a $\log\sigma^2$ of 90 | notebook 1, section 4 |
# | the entropy of the mean image (206 nats on MNIST, 27 here) and a KL of 0 | a `mean` over pixels: a large `beta` | below; notebook 5, section 7 |
# | the same, with a correct loss | hidden units that are all dead | notebook 3, section 5 |
# | a loss that is far too good | wrong units of the pixels | section 2 |

# %%
mean_image = np.mean(data.x_train, axis=0, dtype=np.float64)
inside = mean_image[(mean_image > 0) & (mean_image < 1)]
entropy = -np.sum(inside * np.log(inside) + (1 - inside) * np.log(1 - inside))
print(f"entropy of the mean image of these digits: {entropy:.2f} nats")
short = {**settings, "epochs": fast(20, 2), "binarization": "dynamic"}
for changes in ({}, {"beta": 64.0}, {"learning_rate": 1.0}):
    try:
        _, its_run = tf_vae.train.train(recipe("post-keras", **short, **changes), data, verbose=0)
    except Stopped as stopped:
        print(changes, "stopped:", stopped)
    else:
        last = its_run.history[-1]
        print(
            changes or "the recipe:",
            f"validation loss at beta = 1 {last['val_kl'] - last['val_log_likelihood']:.2f}, KL {last['val_kl']:.3f}",
        )

# %% [markdown]
# A frequent advice against NaN is to **clip**: the output $\log\sigma^2$ to an interval, or the gradients to a largest norm.
# Both hide the cause, and both have a price:

# %%
outputs = tf.Variable([[1.0], [20.0], [200.0]])  # log σ² of three images
for name, clipped in (("as it is", False), ("clipped to [-10, 10]", True)):
    with tf.GradientTape() as tape:
        z_log_var = tf.clip_by_value(outputs, -10, 10) if clipped else outputs
        kl = kl_to_standard_normal(tf.zeros_like(z_log_var), z_log_var)
    gradient = tape.gradient(kl, outputs)
    print(f"log σ² {name:21} KL {kl.numpy()}, gradient {gradient.numpy().ravel()}")
    by_norm = tf.clip_by_norm(gradient, 1.0).numpy().ravel()
    print(f"{'':28} the gradient, clipped to norm 1: {by_norm}")
assert gradient.numpy()[2] == 0  # of the clipped output

# %% [markdown]
# Outside the interval the gradient is exactly 0: the loss is finite, and an output of 20 or 200 never comes back. The norm
# of a gradient with an infinity is infinite, and dividing by it gives 0 and NaN, so clipping by the norm comes too late there.
# Where it does work, one image with a large gradient decides the direction of the step. Clip if you must, but look for the
# cause first, and log how often it happens.

# %% [markdown]
# ## Exercises
#
# Enter an answer and run the cell; it tells you whether the answer is right.
#
# **Exercise 1.** A microscope produces `uint16` images with values from 0 to 4095. Write a function that prepares
# them for the file, so that black is loaded as 0, white as 1, and no grey level is lost.

# %%
answer_1 = None  # your answer, a function: lambda x: …

check("06.1", answer_1)

# %% [markdown]
# **Exercise 2.** The test loss is 40 nats per image, for black-and-white images of 8 × 8 pixels. How many bits per
# pixel is this? Give three decimals.

# %%
answer_2 = None  # your answer, a number

check("06.2", answer_2)

# %% [markdown]
# **Exercise 3.** Predict: the ELBO of the images has a standard deviation of 30 nats over the test set. How many test
# images do you need for a standard error of half a nat? (Then the check draws 1,000 test sets of that size, and prints how
# much their means vary.)

# %%
answer_3 = None  # your answer, a number

check("06.3", answer_3)

# %% [markdown]
# **Exercise 4.** Your images are grey. You want to train on images of 0 and 1, which are drawn only once, and to
# have bits per pixel in the report. Which fields of the recipe `post-keras` have to change? Answer with a dict,
# as for `recipe("post-keras", **answer)`.

# %%
answer_4 = None  # your answer, a dict: {"field": value, …}

check("06.4", answer_4)

# %% [markdown]
# **Exercise 5.** A continuous Bernoulli reaches −5.2 bits per pixel (of a density on [0, 1]) on images with 256
# levels, each spread uniformly over its width of 1/256. A categorical with 256 levels reaches 3.1 bits per
# pixel. How many bits per pixel does the first reach on the scale of the second?

# %%
answer_5 = None  # your answer, a number

check("06.5", answer_5)

# %% [markdown]
# **Exercise 6.** Is model A better than model B? Write a function of the losses of both models on the *same* images, two
# arrays of shape (n,), that returns the standard error of the difference of their means. (Section 5 has such a
# comparison. With `def` above, or in one line.)

# %%
answer_6 = None  # your answer, a function: lambda a, b: …

check("06.6", answer_6)
