# %% [markdown]
# # 7. 不止于数字：别的网络，别的用途
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/07_beyond_digits.zh-CN.ipynb)
#
# ## 你将学到什么
#
# - 同样的数学配上卷积网络，本项目训练它与训练自己的网络一样。
# - 条件 VAE：标签放在 $x$ 旁边，也放在 $z$ 旁边；同样的风格，换一个类别的数字。
# - 在 $\beta = 1$ 和 $\beta = 4$ 时，单个隐变量各表示什么。
# - 一种用途：一张图像有多出人意料？用 ELBO 作为异常分数，以及它在哪里失效。
# - 在所有这些事情上，怎样根据验证集作决定。
#
# 数据仍是那些数字，因为手边就有；这里没有任何东西依赖于它。请先读笔记本 2 或 3，以及 5。在两个 CPU 核上，这个笔记本需要两到三分钟。

# %%
# Set-up. On your own machine: nothing to do, after `make setup`. On Colab, the code is downloaded.
REPOSITORY = ""  # the address of a copy, which `notebooks/address.py` fills in

import os
import subprocess
import sys

if "google.colab" in sys.modules:
    if not REPOSITORY:
        raise SystemExit("REPOSITORY is empty: fill in the address of a copy of the project")
    if not os.path.exists("tools.py"):
        subprocess.run(["git", "clone", "--depth", "1", REPOSITORY, "vae"], check=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "-r", "vae/requirements.txt"], check=True)
        os.chdir("vae/notebooks")
    sys.path[:0] = [os.getcwd(), os.path.dirname(os.getcwd())]

from tools import check, fast, show  # first: it keeps TensorFlow's start quiet

# %%
import math
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras.layers import Conv2D, Conv2DTranspose, Dense, Flatten, Reshape
from sklearn.metrics import roc_auc_score

from shared import elbo
from shared.config import recipe
from shared.data import load_data
from shared.measure import diagnostics
from shared.seeds import epoch_order
from shared.show.figures import lessons
from tf_vae.evaluate import elbo_terms, evaluate
from tf_vae.model import assemble, decode, encode
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
# 这里的图像是展平的浮点数；`image_shape` 由像素数得出。训练期间观察的是 `x_valid`（笔记本 6 第 1 节）。
#
# ## 1. 卷积
#
# 编码器可以是任何输出 $\mu$ 和 $\log\sigma^2$ 的网络，解码器可以是任何输出像素 logit 的网络。`assemble` 把它们与本项目的目标和噪声接在一起。我们比较一对小的卷积网络和配方里的全连接网络，隐变量都是八维。

# %%
config = recipe("post-keras", optimizer="adam", latent_dim=8, epochs=fast(20, 1))


def convolutional(config):
    """Returns a VAE with two layers of convolutions in each network."""
    keras.utils.set_random_seed(0)  # of the initial weights, which are not the recipe's
    x, z = keras.Input((784,)), keras.Input((config.latent_dim,))
    h = Reshape((28, 28, 1))(x)
    for filters in (16, 32):
        h = Conv2D(filters, 3, strides=2, padding="same", activation="relu")(h)
    q = [Dense(config.latent_dim)(Flatten()(h)) for _ in range(2)]
    h = Reshape((7, 7, 32))(Dense(7 * 7 * 32, activation="relu")(z))
    h = Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(h)
    logits = Flatten()(Conv2DTranspose(1, 3, strides=2, padding="same")(h))
    pair = keras.Model(x, q), keras.Model(z, {"logits": logits})
    return assemble(*pair, config, 784, jit_compile=False)


models = {"dense": None, "convolutional": convolutional(config)}
runs = {}
for name, model in models.items():
    models[name], runs[name] = train(config, data, model=model, verbose=0)
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
# 卷积网络只有八分之一的权重，损失却更低：相邻的像素共用学到的东西。（它不用 XLA 训练，因为 XLA 在 CPU 上的卷积很慢；这时两个实现非常接近，但不是每一位都相同。）你会选哪一个？由*验证*损失决定。选定之后才看测试集，只看一次，只看选定的模型：

# %%
chosen = min(runs, key=lambda name: runs[name].history[-1]["val_loss"])
measured = evaluate(models[chosen], data.x_test, config, samples=fast(10, 2))
print(f"chosen: {chosen}; test loss {measured['loss']:.2f} nats, of which KL {measured['kl']:.2f}")

# %% [markdown]
# ## 2. 条件 VAE
#
# 关于一张图像，常有一些已知的信息：这里是它的标签 $y$。条件 VAE 在编码器处把 $y$ 放在 $x$ 旁边，在解码器处把它放在 $z$ 旁边，得到的是 $\log p(x|y)$ 的下界：
#
# $$ \log p(x|y) \ge \mathbb E_{q(z|x,y)}\big[\log p(x|z,y)\big] - \mathrm{KL}\big(q(z|x,y)\,\|\,p(z)\big) $$
#
# 其余都不变：公式就是 `shared/elbo.py` 里的那些函数。循环很短，可以写在这里。作为比较，同样的循环再训练一个标签总是零的模型。

# %%
labels_of = {
    part: np.eye(10, dtype=np.float32)[y]
    for part, y in (("train", data.y_train), ("test", data.y_test))
}


def conditional_networks():
    """Returns an encoder and a decoder of two latents, which also get a label of ten classes."""
    keras.utils.set_random_seed(1)
    networks = [
        keras.Sequential([Dense(256, activation="relu"), Dense(width)]) for width in (4, 784)
    ]
    for network, inputs in zip(networks, (784 + 10, 2 + 10), strict=True):
        network.build((None, inputs))
    return networks


def conditional_terms(networks, x, y, seed):
    """Returns the two terms of the bound on log p(x|y) of each image."""
    encoder, decoder = networks
    mean, log_var = tf.split(encoder(tf.concat([x, y], axis=1)), 2, axis=1)
    z = elbo.reparameterize(mean, log_var, tf.random.stateless_normal(tf.shape(mean), seed))
    logits = decoder(tf.concat([z, y], axis=1))
    return elbo.bernoulli_log_likelihood(x, logits), elbo.kl_to_standard_normal(mean, log_var)


def fit_conditional(networks, labels, epochs):
    """Trains with Adam in batches of 100; returns nothing."""
    weights = [weight for each in networks for weight in each.trainable_variables]
    optimizer = keras.optimizers.Adam(2e-3)
    optimizer.build(weights)

    @tf.function(jit_compile=True)
    def one_step(x, y, seed):
        with tf.GradientTape() as tape:
            loss = elbo.negative_elbo(*conditional_terms(networks, x, y, seed))
        optimizer.apply(tape.gradient(loss, weights), weights)

    number = 0
    for epoch in range(1, epochs + 1):
        for rows in epoch_order(0, epoch, len(labels)).reshape(-1, 100):
            one_step(
                tf.constant(data.x_train[rows]), tf.constant(labels[rows]), tf.constant([7, number])
            )
            number += 1


bounds = {}
for name in ("without the label", "with the label"):
    used = {part: each * (name == "with the label") for part, each in labels_of.items()}
    conditional = conditional_networks()
    fit_conditional(conditional, used["train"], fast(60, 2))
    x, y = tf.constant(data.x_test), tf.constant(used["test"])
    terms = conditional_terms(conditional, x, y, [8, 0])
    bounds[name] = [float(tf.reduce_mean(each)) for each in terms]
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
# 有标签时，下界高出的部分超过 $\log 10$，尽管一个标签所含的信息不可能比这更多。原因在模型，不在信息：只有二维隐变量时，前一个模型必须用它们表示类别，后一个则可以用它们表示风格。
#
# 这是看得见的。下面每一行是从先验抽取的一个 $z$，配上十个标签分别解码：

# %%
styles = np.random.RandomState(4).normal(size=(5, 2)).astype(np.float32)
rows = {}
for number, z in enumerate(styles, start=1):
    both = np.concatenate([np.tile(z, (10, 1)), np.eye(10, dtype=np.float32)], axis=1)
    rows[f"z number {number}"] = tf.sigmoid(conditional[1](both)).numpy()
show(lessons.image_rows(rows, data.image_shape, "One z per row, one label per column"))

# %% [markdown]
# 在同一行里，类别在变，而笔画的倾斜和粗细不变。
#
# ## 3. 单个隐变量表示什么
#
# 有十维隐变量时，没有平面可画。**遍历**（traversal）一次显示一维：从一张测试图像的 $q(z|x)$ 的均值出发，把一个坐标从 −2.5 移到 2.5，其余不动。我们比较 $\beta = 1$ 与 $\beta = 4$（Higgins 等，2017）。各行按 KL 从大到小排列。

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
# 在 $\beta = 1$ 时，每一维都改变图像，而且多数同时改变几样东西。在 $\beta = 4$ 时 KL 较小，留给每一维的也较少。不要从一行里读出太多：损失中没有任何东西给隐变量命名，换一个种子，各行就不同。
#
# ## 4. 一张图像有多出人意料？
#
# 图像的模型可以说出一张图像有多不可能。我们从训练集中去掉一个类，数字 4，看看这一类图像的 $-\mathrm{ELBO}$ 是否更高。ROC 曲线下的面积，是未知类的图像比已知类的图像分数更高的概率：½ 等于猜测，1 是完美。

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
# 这个分数找出未知类的能力好于猜测，但远非完美，最后几行说明了原因：**ELBO 还衡量有多少东西要描述**。全黑的图像和数字 1 的白色像素很少，所以无论模型是否认识这样的图像，它们的 ELBO 都很高；墨迹多的图像哪怕是正常的 0，也显得“出人意料”。分数只应在复杂程度相近的图像之间比较，或者减去一个简单的像素模型所给出的部分。这个告诫适用于所有似然模型。

# %% [markdown]
# ## 练习
#
# 填入答案，运行单元格，它会告诉你答案是否正确（`not answered yet`：尚未作答；`right`：正确；`not yet`：还不对，后面是提示）。
#
# **练习 1.** 两个模型的验证损失是 104.2 和 103.1 奈特，测试损失是 103.0 和 103.4。你报告哪个测试损失？

# %%
answer_1 = None  # your answer, a number

check(
    "exercise 1",
    answer_1,
    lambda nats: nats == 103.4,
    "Which model do you choose, and by which number? The test set has no vote.",
)

# %% [markdown]
# **练习 2.** 一个条件 VAE 有 20 维隐变量和 26 个类，每类用一个数表示（独热编码）。它的*解码器*有多少个输入？

# %%
answer_2 = None  # your answer, a whole number

check("exercise 2", answer_2, lambda count: count == 46, "What does the decoder get beside z?")

# %% [markdown]
# **练习 3.** 写一个函数，参数是一张图像的 `z_mean`（形状 (latent_dim,)）、一个维度和一个取值数组，返回遍历的各个隐变量：形状 (取值个数, latent_dim)。

# %%
answer_3 = None  # your answer, a function of (z_mean, dimension, values)


def is_traversal(path):
    """Returns whether only the chosen coordinate moves."""
    start, values = np.array([0.1, -0.2, 0.3, 0.7]), np.array([-1.0, 0.0, 2.0])
    moved = np.asarray(path(start.copy(), 2, values))
    others = np.delete(moved, 2, axis=1)
    return (
        moved.shape == (3, 4)
        and np.array_equal(moved[:, 2], values)
        and np.array_equal(others, np.tile(np.delete(start, 2), (3, 1)))
    )


check(
    "exercise 3",
    answer_3,
    is_traversal,
    "Repeat z_mean, then set one column; np.repeat or np.tile.",
)
