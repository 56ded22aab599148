# %% [markdown]
# # 0. 五十行写一个 VAE
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/00_a_vae_in_fifty_lines.zh-CN.ipynb)
#
# ## 你将学到什么
#
# - 变分自编码器（VAE）由哪些部分组成，每一部分只需要几行代码。
# - 损失的两项各起什么作用。
# - 这几十行算出的损失与本项目的相同。
#
# 所有代码都写在这里，只用 NumPy 和 TensorFlow；最后一节之前不用本项目的任何东西。数据是 scikit-learn 自带的 1,797 个 8 × 8 像素的手写数字。你需要知道什么是矩阵乘积和导数。阅读大约需要一刻钟，运行需要半分钟。

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
import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

digits = load_digits()
images = (digits.images.reshape(-1, 64) / 16).astype(np.float32)
print(images.shape, images.dtype, "from", images.min(), "to", images.max())

# %% [markdown]
# 每一行是一张 64 个像素的图像，取值在 0（黑）与 1（白）之间。标签只用来给一张图上色。
#
# ## 思路
#
# VAE 讲的是一张图像怎样产生的故事，并从图像中学习这个故事的细节：
#
# 1. 抽取两个数 $z \sim \mathcal N(0, I)$，它们是这张图像的**隐变量**。
# 2. 一个网络，即**解码器**，把 $z$ 变成每个像素的概率，再按这些概率抽出图像。
#
# ![模型：x 经过编码器得到 z_mean 和 z_log_var，与噪声 ε 一起给出 z，解码器给出 logit；损失是 KL 减去对数似然的平均值](../docs/figures/model.png)
#
# 要学习解码器的权重，就要知道哪个 $z$ 对应哪张图像。另一个网络，即**编码器**，被训练来回答这个问题。它的回答不是一个点，而是一个分布 $q(z|x) = \mathcal N(\mu, \sigma^2)$，因为一张图像可能来自不同的 $z$。
#
# ## 网络：12 行
#
# 两个网络各有一个隐藏层。一层就是一个矩阵乘积加上偏置。初始权重是小的随机数，在 $\pm\sqrt{6/(\text{行数} + \text{列数})}$ 之内均匀分布（Glorot 规则）。

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
# ## 编码、抽样、解码：9 行
#
# 编码器输出 $\mu$ 和 $\log\sigma^2$。取对数，是因为一层的输出可以是任意实数，而方差必须为正。
#
# $q(z|x)$ 的一个样本是 $z = \mu + \sigma\varepsilon$，其中 $\varepsilon \sim \mathcal N(0, I)$。这就是**重参数化技巧**：随机性都在 $\varepsilon$ 里，于是 $z$ 对 $\mu$ 和 $\sigma$ 有导数，编码器才能训练。
#
# 解码器输出各像素的 **logit**；白色的概率是 $1/(1 + e^{-\text{logit}})$。


# %%
def encoder(x):
    h = tf.nn.relu(layer("hidden", x))
    return layer("mean", h), layer("log_var", h)


def sample(mean, log_var, epsilon):
    return mean + tf.exp(log_var / 2) * epsilon


def decoder(z):
    return layer("logits", tf.nn.relu(layer("back", z)))


mean, log_var = encoder(images[:3])
z = sample(mean, log_var, tf.random.stateless_normal((3, 2), [0, 0]))
print("μ", mean.shape, " z", z.shape, " logits", decoder(z).shape)
assert decoder(z).shape == (3, 64)

# %% [markdown]
# ## 损失：8 行
#
# 每张图像的损失有两项，单位都是奈特（自然对数）。
#
# - **对数似然**表示给定 $z$ 时这张图像有多可能。给定 $z$，各像素独立，所以对数是对像素的*求和*：$\log p(x|z) = \sum_k x_k\,\ell_k - \log(1 + e^{\ell_k})$，$\ell_k$ 是 logit。
# - **KL** 表示 $q(z|x)$ 离 $\mathcal N(0, I)$ 有多远：$\frac12\sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2)$。没有这一项，每张图像都会在平面的某处得到自己的一个很窄的 $q$，而从 $\mathcal N(0, I)$ 抽出的 $z$ 就不属于任何图像。
#
# 两者之差是 $\log p(x)$ 的一个下界，即 **ELBO**，推导见笔记本 1。损失是它对图像的平均值的相反数。平均只有这一次：对像素和隐变量都是求和。


# %%
def two_terms(x, epsilon):
    mean, log_var = encoder(x)
    logits = decoder(sample(mean, log_var, epsilon))
    log_likelihood = tf.reduce_sum(x * logits - tf.nn.softplus(logits), axis=1)
    kl = tf.reduce_sum(mean**2 + tf.exp(log_var) - 1 - log_var, axis=1) / 2
    return log_likelihood, kl


def loss_of(log_likelihood, kl):
    return tf.reduce_mean(kl - log_likelihood)


log_likelihood, kl = two_terms(images, tf.random.stateless_normal((len(images), 2), [0, 1]))
print(
    f"loss {float(loss_of(log_likelihood, kl)):.2f} = {-np.mean(log_likelihood):.2f} + {np.mean(kl):.2f}"
)
print(f"64 · log 2 = {64 * np.log(2):.2f}: every pixel has a probability of about 1/2")
assert abs(np.mean(log_likelihood) + 64 * np.log(2)) < 3 and np.min(kl) >= 0

# %% [markdown]
# ## 训练：14 行
#
# 一步计算一个批次的损失和梯度，然后由优化器（Adam）改动权重。每一轮以新的次序把所有图像过一遍。每一步的噪声是步数的函数，所以每次运行得到同样的数。

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
# 损失在下降，KL 也不是零：两个隐变量带有关于图像的信息。
#
# ## 看一看：15 行
#
# 左：编码器把图像放在哪里，每个数字一种颜色。训练没有用到标签。右：解码器把网格上的各个 $z$ 变成什么。相似的图像靠在一起，两个数字之间的图像逐渐变化。

# %%
figure = Figure(figsize=(9, 4.4), layout="constrained")
figure.suptitle("1,797 digits: the mean of q(z|x), and the decoder over the plane", fontsize=9)
left, right = figure.subplots(1, 2)
mean, log_var = (each.numpy() for each in encoder(images))
dots = left.scatter(*mean.T, c=digits.target, cmap="tab10", s=6)
left.legend(*dots.legend_elements(), title="digit", fontsize="x-small", loc="upper left")
left.set(xlabel="z[0]", ylabel="z[1]", aspect="equal")

ticks = np.linspace(-2, 2, 13, dtype=np.float32)
grid = np.stack(np.meshgrid(ticks, ticks[::-1]), axis=-1).reshape(-1, 2)  # z[1] points upward
decoded = tf.sigmoid(decoder(grid)).numpy().reshape(13, 13, 8, 8)
right.imshow(
    decoded.swapaxes(1, 2).reshape(13 * 8, 13 * 8), cmap="gray", extent=(-2.2, 2.2, -2.2, 2.2)
)
right.set(xlabel="z[0]", ylabel="z[1]")
show(figure, dpi=80)

# %% [markdown]
# 要得到新的数字，从 $\mathcal N(0, I)$ 抽取 $z$，再解码：

# %%
drawn = np.random.RandomState(1).normal(size=(12, 2)).astype(np.float32)
figure = Figure(figsize=(9, 1.3), layout="constrained")
figure.suptitle("z ~ N(0, I), decoded", fontsize=9)
for axes, image in zip(figure.subplots(1, 12), tf.sigmoid(decoder(drawn)).numpy(), strict=True):
    axes.imshow(image.reshape(8, 8), cmap="gray")
    axes.axis("off")
show(figure, dpi=80)

# %% [markdown]
# ## 用本项目计算同样的东西
#
# 本项目有同样的部分，带有名称、测试和证明，还有更多：其他似然、精确的续训、图形、测量。下面是 `tf_vae` 里的同一个模型。给它我们的权重和噪声，它必须返回我们的两项。

# %%
from shared import elbo
from shared.config import recipe
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
theirs = model.terms(images, None, draw=lambda shape, seed: epsilon)
ours = two_terms(images, epsilon)
for name, a, b in zip(("log_likelihood", "kl"), ours, theirs.values(), strict=True):
    print(f"{name:15} largest difference in any image: {np.abs(a - b).max():.1e} nats")
    assert np.allclose(a, b, atol=1e-4)  # float32, sums over 64 pixels
print(
    f"loss here {float(loss_of(*ours)):.5f}, by the project {float(elbo.negative_elbo(**theirs)):.5f}"
)
assert abs(float(loss_of(*ours)) - float(elbo.negative_elbo(**theirs))) < 1e-4

# %% [markdown]
# 接下来：笔记本 1 推导这个损失，并检验每一个公式；笔记本 2 和 3 分别用 Keras 和 TensorFlow 在 MNIST 的数字上搭建这个模型；笔记本 4 说明两者逐位相同。

# %% [markdown]
# ## 练习
#
# 填入答案，运行单元格，它会告诉你答案是否正确（`not answered yet`：尚未作答；`right`：正确；`not yet`：还不对，后面是提示）。请不看上文，自己写出三个公式。每个都是一行 TensorFlow 或 NumPy。
#
# **练习 1.** 写出每张图像的 KL，它是 `mean` 和 `log_var` 的函数，二者的形状都是 (batch, latents)。

# %%
answer_1 = None  # your answer, a function: lambda mean, log_var: …

some_mean, some_log_var = np.random.RandomState(2).normal(size=(2, 7, 3))
check(
    "exercise 1",
    answer_1,
    lambda kl: np.allclose(
        kl(some_mean, some_log_var), elbo.kl_to_standard_normal(some_mean, some_log_var), rtol=1e-6
    ),
    "½(μ² + σ² − 1 − log σ²), with σ² = exp(log_var), summed over the latents; one number per image.",
)

# %% [markdown]
# **练习 2.** 写出重参数化：`z` 是 `mean`、`log_var` 和 `epsilon` 的函数。

# %%
answer_2 = None  # your answer, a function: lambda mean, log_var, epsilon: …

some_numbers = np.random.RandomState(3).normal(size=(3, 7, 3))  # mean, log_var, epsilon
check(
    "exercise 2",
    answer_2,
    lambda z: np.allclose(z(*some_numbers), elbo.reparameterize(*some_numbers), rtol=1e-6),
    "σ is the standard deviation: log σ² is twice log σ.",
)

# %% [markdown]
# **练习 3.** 写出一个批次的损失，它是 `x`、`logits`（形状 (batch, pixels)）和 `kl`（形状 (batch,)）的函数。

# %%
answer_3 = None  # your answer, a function: lambda x, logits, kl: …

some_x, some_logits = np.random.RandomState(4).uniform(size=(2, 7, 5)) * [[[1]], [[6]]]
some_kl = np.arange(7.0)
check(
    "exercise 3",
    answer_3,
    lambda loss: np.allclose(
        loss(some_x, some_logits, some_kl),
        elbo.negative_elbo(elbo.bernoulli_log_likelihood(some_x, some_logits), some_kl),
        rtol=1e-6,
    ),
    "Sum over the pixels, not the mean; then the mean over the images of KL minus log-likelihood.",
)
