# %% [markdown]
# # 6. Your own data
#
# ## What you will learn
#
# - How to turn images of your own into the one file that this project reads, and what a bad file is
#   answered.
# - The mistake that *no* check can catch, and the one-line habit that does.
# - How to train on it, by either implementation, from Python or from the command line.
# - How to choose a likelihood, and when two numbers in **bits per pixel** may be compared.
# - How to read the diagnostics: two kinds of error, three bounds, used and unused units.
#
# Our "own" images are scikit-learn's 1,797 handwritten digits of 8 × 8 pixels. They are small and come
# with a package that is installed anyway; nothing in this notebook knows that they are digits. Put
# your own arrays in their place. It takes about two minutes on two cores.

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
import dataclasses
import math
import os
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import keras_vae.checkpoint
import keras_vae.train
import tf_vae.checkpoint
import tf_vae.train
from shared.show import pictures, plots
from shared.run.implementation import import_implementation
from shared.config import UsageError, recipe
from shared.data import evaluation_images, load_data
from shared.measure.metrics import measure, measure_bound, measure_exact, measure_z, write_metrics
from shared.show.report import draw_figures, prior_samples
from tf_vae.evaluate import elbo_terms
from tf_vae.model import decode, encode

temporary = tempfile.TemporaryDirectory()  # it goes when the notebook is closed
folder = Path(temporary.name)  # for what is yours, take a folder of your own

# %% [markdown]
# ## 1. The file
#
# An `.npz` with four arrays:
#
# | name | shape | type |
# |---|---|---|
# | `x_train`, `x_test` | (n, rows, columns), (n, rows, columns, channels) with 1, 3 or 4 channels, or (n, pixels) | `uint8` in [0, 255], or float in [0, 1] |
# | `y_train`, `y_test` | (n,) | integers: a label an image |
#
# Labels colour the pictures and are used to *describe* the codes afterwards. The model never sees
# them. Without labels, write zeros.
#
# These digits are floats from 0 to 16, so they have to be divided by 16. And they come in the order in
# which people wrote them, so we shuffle before we split, with a fixed seed: the test set should
# differ from the training set in nothing but luck.

# %%
digits = load_digits()
order = np.random.RandomState(0).permutation(len(digits.images))
test, train = order[:360], order[360:]
print(
    f"{digits.images.shape}, {digits.images.dtype}, {digits.images.min()} to {digits.images.max()}"
)

np.savez_compressed(
    folder / "digits.npz",
    x_train=digits.images[train] / 16,
    y_train=digits.target[train],
    x_test=digits.images[test] / 16,
    y_test=digits.target[test],
)
data = load_data(str(folder / "digits.npz"))
print(data.name, data.image_shape, f"{len(data.x_train):,} + {len(data.x_test)} images")
print(
    "x_test:", data.x_test.shape, data.x_test.dtype, f"{data.x_test.min()} to {data.x_test.max()}"
)

# %% [markdown]
# **Look at it.** This is the habit that saves afternoons.


# %%
def framed(images):
    """Images with a black border of one pixel: these digits fill theirs to the edge."""
    squares = np.reshape(images, (-1, *data.image_shape))
    return np.pad(squares, ((0, 0), (1, 1), (1, 1))).reshape(len(images), -1)


shape = (data.image_shape[0] + 2, data.image_shape[1] + 2)
show(plots.image_grid(framed(data.x_test[:60]), shape, "digits.npz: the first 60 test images"))

# %% [markdown]
# ## 2. Bad files
#
# A file that is wrong is refused in one line: what was found, what was wanted. From Python it is a
# `UsageError`; on the command line the line alone, with exit status 2, before TensorFlow is even
# loaded. Here is a collection.

# %%
good = dict(np.load(folder / "digits.npz"))


def answer_to(**changes):
    """Write digits.npz with some arrays changed (None: left out); print what loading it says."""
    arrays = {name: array for name, array in {**good, **changes}.items() if array is not None}
    np.savez(folder / "changed.npz", **arrays)
    try:
        changed = load_data(str(folder / "changed.npz"))
    except UsageError as error:
        print("refused:", str(error).replace(f"{folder}{os.sep}", ""))
    else:
        print(f"taken: pixels from {changed.x_train.min():.3f} to {changed.x_train.max():.3f}")
        return changed


torn = good["x_train"].copy()
torn[17, 3, 3] = np.nan
answer_to(x_train=good["x_train"] * 16)
answer_to(x_train=(good["x_train"] * 16).astype(int))
answer_to(x_train=torn)
answer_to(x_test=good["x_test"][:, :6])
answer_to(x_train=good["x_train"][0])
answer_to(y_test=None)
answer_to(y_test=good["y_test"][:-1])
answer_to(y_train=good["y_train"] / 10)

# %% [markdown]
# Now the one that no check can catch. `uint8` means 0 to 255; a `uint8` array with values from 0 to 16 is
# a perfectly legal, very dark picture.

# %%
dark = answer_to(
    x_train=(good["x_train"] * 16).astype(np.uint8), x_test=(good["x_test"] * 16).astype(np.uint8)
)
show(plots.image_grid(framed(dark.x_test[:30]), shape, "The same digits as uint8 from 0 to 16"))

# %% [markdown]
# A model trains on this without complaint, reaches a loss that looks splendid (nearly black pixels are
# cheap to predict), and has learned next to nothing. So: look at the pictures, and print minimum and
# maximum.
#
# ## 3. Training, by either implementation
#
# We take the post's recipe with smaller layers for smaller images. Pixels are drawn as 0 or 1 by
# their grey value, anew at every epoch, so that "the probability of an image" means what it says. The
# `out` folder keeps the run: config, history, weights, checkpoint.

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
# (On a CPU all of them should be equal; on a GPU expect agreement to rounding, and no further.)

# %%
text = f"{data.name}: loss after each epoch, x: binary"
show(plots.loss_by_epoch(run.history, text))

# %% [markdown]
# The test loss is what to watch. It lies close above the training loss here and has nearly stopped to
# fall: enough. Two latents, and pixels that are drawn anew at every epoch, leave little to learn by
# heart. Where the test loss turns *upward* while the training loss still falls, stop earlier, get more
# images, or take a smaller network.

# %%
x_test = evaluation_images(data.x_test, config)  # drawn once, the same for every run
z_mean, z_log_var = encode(model, x_test)
shown = slice(0, 12)
rows = {
    "test images, grey": data.x_test[shown],
    "drawn as 0 and 1": x_test[shown],
    "reconstructions": decode(model, z_mean[shown]),
    "z ~ N(0, I)": decode(model, prior_samples(config, 12)),
}
rows = {name: framed(images) for name, images in rows.items()}
show(pictures.image_rows(rows, shape, f"{data.name}: two latents"))

# %% [markdown]
# All the usual figures at once, into the run's folder:

# %%
paths = draw_figures(folder / "runs" / "tf", data, import_implementation("tf_vae"))
print(*[path.relative_to(folder).as_posix() for path in paths], sep="\n")

# %% [markdown]
# ## 4. Which likelihood?
#
# Ask what a pixel *is*.
#
# | a pixel is | likelihood |
# |---|---|
# | black or white | `bernoulli` with `binarization="fixed"` |
# | grey, and only the shape matters | `bernoulli` with `binarization="dynamic"` |
# | grey, one of a few levels | `categorical` with `levels=` their number |
# | grey, continuous in [0, 1] | `continuous-bernoulli`, or `gaussian` |
# | a measurement with a known noise | `gaussian` with `fixed_sigma=` that noise |
# | grey, as in the post | `bernoulli`: trains well, but its number is no log p(x) |
#
# On images that are black and white already, `fixed` changes no pixel. It only tells the project, which
# then reports `x: binary`, and bits:

# %%
binary = (data.x_test > 0.5).astype(np.float32)
fixed = recipe("post-keras", binarization="fixed")
print("fixed leaves 0 and 1 alone:", np.array_equal(evaluation_images(binary, fixed), binary))

# %% [markdown]
# ### Bits per pixel
#
# The loss bounds the nats that an image costs. Divide by the pixels and by $\log 2$: bits per pixel. If the
# pixels are *discrete*, it bounds the length of a real code, and it can't be negative. If the
# likelihood is a *density*, its height depends on the unit, and it can be anything. (Bernoulli on grey
# pixels is neither, and the report has no bits for it.)
#
# Let us provoke that. A Gaussian with learned $\sigma$, on `digits.npz`, where every grey value is a
# multiple of 1/16:

# %%
implementation = import_implementation("tf_vae")


def bits(name, data, **changes):
    """Train with eight latents on data; print and return test bits per pixel."""
    its_config = recipe("post-keras", latent_dim=8, **settings, **changes)
    out = folder / "runs" / f"{name}-{data.name}"
    its_model, _ = tf_vae.train.train(its_config, data, out=out, verbose=0)
    metrics = measure(out, implementation, its_model, data, samples=fast(10, 2))
    found = metrics["test_bits_per_pixel"]
    value = f"{found['value']:6.3f} ± {found['standard_error']:.3f}"
    print(f"{data.name:7} {name:21} {value} {found['unit']}")
    return found["value"], its_model


bits("gaussian, learned σ", data, likelihood="gaussian")
always = np.mean((data.x_train == 0).all(axis=0))
print(f"pixels that are 0 in every training image: {always:.1%}")

# %% [markdown]
# Less than no bits? A density may be of any height, so the sign alone is no alarm. This is: some pixels
# of the border are 0 in every image. There the density rises as $\sigma$ falls, and would rise to
# infinity if the project did not stop $\sigma$ at one grey level of 256. **A density on values that
# repeat exactly measures the repetition, not the model.**
#
# The cure is to give each level its width: of a value with 17 levels, $k = 0 \ldots 16$, store
# $(k + u)/17$ with $u$ uniform in [0, 1). On such data a density's bits, plus $\log_2 17$, are an upper
# bound on the bits of the discrete image (Theis et al., 2016, arXiv:1511.01844). Now everything stands
# on one scale, with the categorical of 17 levels too, as it reads $k$ back by rounding down.

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
    "levels read back:", np.array_equal(np.floor(spread.x_test * 17), levels[test].reshape(360, 64))
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
print(f"bits per pixel of the 17 levels; {math.log2(17):.3f} if every level were as likely")
for name, (value, _) in results.items():
    discrete = value if name == "categorical" else value + math.log2(17)
    print(f"   {name:22} {discrete:.3f}")

# %%
rows = {"test images": spread.x_test[shown]}
for name, (_, its_model) in results.items():
    rows[name] = decode(its_model, encode(its_model, spread.x_test[shown])[0]).clip(0, 1)
rows = {name: framed(images) for name, images in rows.items()}
show(pictures.image_rows(rows, shape, "Reconstructions from eight latents"))

# %% [markdown]
# - **The pictures do not decide.** All rows but the last look alike; the bits differ widely. A likelihood
#   says not only what the pixel should be, but how sure one is. Here the categorical says it best: it
#   assumes nothing about the shape, and pays with 17 times the output weights.
# - A fixed $\sigma$ is a choice with consequences: with $\sigma = 1$ an error of a whole pixel from black to
#   white costs half a nat, so the KL outweighs the picture: the last row is always the mean image, and its
#   bits are worse than those of a guess at random. This is the "MSE + KL" of many a tutorial. If the
#   noise is known, give it; else let it be learned.
# - The bits of `digits.npz` and of `spread.npz` are not comparable: other data. Nor are those with
#   `binarization`: a black-and-white image is another image, with less in it.
#
# ## 5. Reading the diagnostics
#
# `measure` gives the numbers with two errors, and they answer different questions.

# %%
out = folder / "runs" / "tf"
metrics = write_metrics(out, data, measure(out, implementation, model, data, samples=10))
for name in ("test_loss", "test_log_likelihood", "test_kl", "test_bits_per_pixel", "train_loss"):
    metric = metrics[name]
    print(
        f"{name:20} {metric['value']:8.3f} {metric['unit']}, n {metric['n']}, x: {metric['x']}"
        + (
            f"\n{'':20} standard error {metric['standard_error']:.3f},"
            f" noise error {metric['noise_error']:.4f}"
            if "standard_error" in metric
            else ""
        )
    )

# %% [markdown]
# - **Standard error**: how far the number would move with *another test set* of the same size. Some
#   digits are harder than others, and 360 of them are few. Use it to say how good the model is.
# - **Noise error**: how far it would move with *other samples of z* on the same images. It is much
#   smaller, and more samples make it smaller still. Use it to know whether you have sampled enough.
#
# The second can be checked by repetition. One sample instead of ten has $\sqrt{10}$ times the noise:

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
# And which error for "model A is better than model B"? Neither. Both are measured on the *same*
# images, and what is hard for one is hard for the other. Take the difference image by image. Here:
# the same run at two of the epochs it has kept.

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
print(f"gain, image by image: {gain.mean():.2f} ± {error:.2f} nats")

# %% [markdown]
# ### Is z used?

# %%
metrics = measure_z(out, implementation, data)
for name, metric in metrics.items():
    if name.startswith(("test_knn", "test_sil", "test_kl_per", "active", "dead")):
        print(f"{name:30} {np.round(metric['value'], 3)!s:15} {metric['unit']}")

# %% [markdown]
# - `test_kl_per_dimension`: a latent near 0 says nothing. `active_units` counts those whose mean varies
#   over images (notebook 5, section 6).
# - `dead_units_…`: hidden relu units that are 0 for every test image. They get no gradient and won't
#   come back. A few are normal; half a layer says that the step size was too large.
# - `test_knn_accuracy_…`: let the 5 nearest *training* codes vote for the label of a test image. With ten
#   classes chance is 0.1. `silhouette` asks whether classes stand apart: 0 where they overlap. Neither
#   is what the model was trained for, and a better ELBO need not make them better. If all your labels
#   are the same, they are left out.
#
# ### How good is the bound?
#
# Three numbers, from the outside in, for the same test images:
#
# $$ \mathrm{ELBO} \;\le\; \text{importance bound with } K \text{ samples} \;\le\; \log p(x) $$
#
# The middle one gets closer as $K$ grows. The right one is exact, by integration over the plane, and
# only to be had with two latents and Bernoulli pixels. We take a few images, as it takes its time.

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
print(f"what integration may be off by  {metrics['test_exact_residual']['value']:8.0e}")

# %% [markdown]
# Read it like this. The distance from the ELBO to $\log p(x)$ is the KL from $q(z|x)$ to the true
# posterior: what the *encoder* loses. What remains is up to the *decoder* and the data. If the
# importance bound is far above your ELBO, a better encoder (or more data for it) is worth more than a
# better decoder. (The bound holds on average; by chance, one run may lie a hair above the exact value.)
#
# ## 6. The same by command line
#
# Everything above, in a terminal. Write `keras_vae` for `tf_vae` and get the same bits.
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
# `--likelihood gaussian --fixed-sigma 0.2` and `--likelihood continuous-bernoulli` are the others. A
# run remembers its data by content: if the file has changed since, `evaluate` says so and stops. (And
# mind the `n` in its lines: the importance bound is of all test images, the exact value of the first 40.)
#
# ## 7. What to expect of other images
#
# - **Size.** The network is two dense layers a side. Up to some 64 × 64 pixels that is fine. Beyond, it
#   trains, but a network without convolutions is the wrong tool.
# - **Position.** Dense layers know nothing of neighbourhood. Centre your objects and scale them alike, as
#   MNIST's makers did: it helps more than any setting.
# - **Colour.** (n, rows, columns, 3) trains with three numbers per pixel, and the pictures are drawn in
#   colour. A grey copy of the images trains a smaller model.
# - **Number.** A thousand images are enough to play, not to be believed: watch the gap between training
#   and test loss.

# %% [markdown]
# ## Exercises
#
# Fill in an answer and run the cell; it tells you whether it is right.
#
# **Exercise 1.** A microscope gives `uint16` images with values from 0 to 4095. Write the function that makes
# them fit for the file, so that black arrives as 0 and white as 1.

# %%
answer_1 = None  # your answer, a function: lambda x: …


def arrives(prepare):
    """Whether scans that were prepared, saved and loaded have the right grey values."""
    scans = np.array([[0, 1024, 2048, 4095]] * 2, np.uint16)
    with tempfile.TemporaryDirectory() as place:
        x, y = prepare(scans), np.array([0, 1])
        np.savez(Path(place, "scans.npz"), x_train=x, y_train=y, x_test=x, y_test=y)
        try:
            loaded = load_data(str(Path(place, "scans.npz")))
        except UsageError:
            return False
    return np.allclose(loaded.x_train, scans / 4095, atol=1e-4)


check(
    "exercise 1",
    answer_1,
    arrives,
    "Make them float in [0, 1]: by which number must 4095 be divided to become exactly 1?",
)

# %% [markdown]
# **Exercise 2.** The test loss is 40 nats an image, on black-and-white images of 8 × 8 pixels. How many bits per
# pixel are that? Three decimals.

# %%
answer_2 = None  # your answer, a number

check(
    "exercise 2",
    answer_2,
    lambda bits: abs(bits - 40 / (8 * 8 * math.log(2))) < 1e-3,
    "Divide by the number of pixels, and by log 2: a bit is 0.693 nats.",
)

# %% [markdown]
# **Exercise 3.** The ELBO of single images has a standard deviation of 30 nats over the test set. How many test
# images do you need for a standard error of half a nat?

# %%
answer_3 = None  # your answer, a number

check(
    "exercise 3",
    answer_3,
    lambda n: abs(30 / math.sqrt(n) - 0.5) < 1e-3,
    "The standard error is the standard deviation over the square root of n.",
)

# %% [markdown]
# **Exercise 4.** Your images are stamps, every pixel 0 or 1 already, and you want bits per pixel in the report.
# Which fields of the recipe `post-keras` have to change? Give a dict, as for
# `recipe("post-keras", **answer)`.

# %%
answer_4 = None  # your answer, a dict: {"field": value, …}


def suits_stamps(changes):
    """Whether a recipe with these changes takes pixels of 0 and 1 for what they are."""
    try:
        changed = recipe("post-keras", **changes)
    except UsageError:
        return False
    return changed.likelihood == "bernoulli" and changed.binarization == "fixed"


check(
    "exercise 4",
    answer_4,
    suits_stamps,
    "The likelihood is right already. What tells the project that the pixels are binary?",
)

# %% [markdown]
# **Exercise 5.** A continuous Bernoulli reaches −5.2 bits per pixel (of a density over [0, 1]) on images with 256
# levels, each spread evenly over its width of 1/256. A categorical of 256 levels reaches 3.1 bits. How
# many bits per pixel is the first, on the scale of the second?

# %%
answer_5 = None  # your answer, a number

check(
    "exercise 5",
    answer_5,
    lambda bits: abs(bits - (-5.2 + math.log2(256))) < 1e-6,
    "Section 4: add what it costs to name one of 256 equally wide steps.",
)
