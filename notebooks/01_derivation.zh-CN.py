# %% [markdown]
# # 1. VAE 的损失函数从哪里来
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/01_derivation.zh-CN.ipynb)
#
# ## 你将学到什么
#
# - 变分自编码器（VAE）比自编码器多了什么：一个可以从中抽样的分布。
# - 为什么精确的后验 $p(z|x)$ 无法计算，以及用什么方法代替。
# - 为什么 $\log p(x) = \mathrm{KL}(q(z|x)\,\|\,p(z|x)) + \mathrm{ELBO}$，以及损失如何由这个等式得出。
# - 损失的两项：有闭式解的 KL；以及对数似然 $\log p(x|z)$ 在黑白、连续、离散、灰度像素下各是什么。
# - 为什么对像素求和而不是取平均，为什么 KL 前面没有权重。
# - 重参数化技巧改进了什么，用测量说明。
#
# 推导依照 2018 年的一篇[博文](../README.md#where-it-comes-from)《VAE模型》，用我们自己的话写成。**每个单独成行的公式后面，都有一个用数值检验它的单元格**；只要有一个 `assert` 不成立，笔记本就会在那里停止。你可以改动一个公式，看它的检验如何失败。
#
# 在两个 CPU 核上，全部运行大约需要两分钟。你需要知道什么是概率密度、什么是期望，并且会一点 Python。
#
# （代码、图中文字和输出与英文版完全相同，因此保留英文。）

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
from shared.measure import diagnostics, quadrature
from shared.measure.gradients import gradient_estimators
from shared.show.figures import lessons
from shared.config import recipe
from shared.data import evaluation_images, load_data
from shared.show.figures.of_run import prior_samples
from tf_vae.checkpoint import gather, load
from tf_vae.evaluate import elbo_terms, log_weights
from tf_vae.model import build, decode, encode
from tf_vae.train import train

random = np.random.RandomState(0)

# %% [markdown]
# ## 1. 自编码器与变分自编码器
#
# 两者都有编码器 $x \to z$ 和解码器 $z \to x$，区别在于 $z$ 是什么。
#
# - 在**自编码器**里，$z$ 是一个点。训练只要求重构 $x$。
# - 在 **VAE** 里，编码器给出一个分布 $q(z|x) = \mathcal N(\mu, \sigma^2)$，每一维隐变量有自己的均值和方差；此外还有一个**先验** $p(z) = \mathcal N(0, I)$，它是模型的一部分。要生成一张新图，就从先验里抽一个 $z$，再解码。
#
# 下面各训练一个：同样的网络，同样的 4,000 张手写数字，隐变量取二维，这样才画得出来。每个像素以其灰度值为概率取 0 或 1，这样似然就是一张二值图像的概率；灰度像素在第 10 节讨论。

# %%
data = load_data("mnist-5k")
config = recipe("post-keras", epochs=fast(50, 20), binarization="dynamic")
vae, _ = train(config, data, verbose=0)

delta_config = recipe("post-keras", epochs=fast(50, 20), binarization="dynamic", posterior="delta")
autoencoder, _ = train(delta_config, data, verbose=0)

x_test = evaluation_images(data.x_test, config)  # 1,000 images of 784 pixels, each 0 or 1
print(f"{len(data.x_train):,} training images, {len(x_test):,} test images of {x_test.shape[1]}")

# %% [markdown]
# 下图是两个编码器放置测试图像的位置。颜色表示标签，两个模型的训练都没有使用标签。虚线圆的半径为 3，先验有 99 % 的概率在圆内。

# %%
panels = {"autoencoder": encode(autoencoder, x_test)[0], "VAE": encode(vae, x_test)[0]}
show(lessons.latent_panels(panels, data.y_test, "Test set in the plane: z, or the mean of q(z|x)"))

# %% [markdown]
# VAE 的隐变量位于先验概率大的区域；自编码器的隐变量可以在任何位置，因为它的损失没有关于位置的项。现在用两个模型解码样本 $z \sim \mathcal N(0, I)$。自编码器没有在这样的 $z$ 上训练过，从图像可以看出这一点。

# %%
z_prior = prior_samples(config, 15)
made = {"autoencoder": decode(autoencoder, z_prior), "VAE": decode(vae, z_prior)}
show(lessons.image_rows(made, data.image_shape, "z ~ N(0, I), decoded by both"))

# %% [markdown]
# 博文说，当 $\sigma^2 = 0$ 时 VAE 就变成了自编码器。就**抽样**而言，完全正确。$q$ 的样本是这样得到的：
#
# $$ z = \mu + \sigma\,\varepsilon, \qquad \varepsilon \sim \mathcal N(0, I), $$
#
# 所以 $\sigma = 0$ 时，无论 $\varepsilon$ 是多少，都有 $z = \mu$。（就**损失**而言则不然：第 4 节会看到，那时 KL 是无穷大。准确地说，自编码器是 $\sigma = 0$ **并且去掉 KL** 的 VAE。）

# %%
mean, epsilon = random.normal(size=(5, 2)), random.normal(size=(5, 2))

no_sigma = np.full((5, 2), -np.inf)  # log σ² of σ = 0
assert np.array_equal(elbo.reparameterize(mean, no_sigma, epsilon), mean)

z = elbo.reparameterize(mean, np.full((5, 2), math.log(0.3**2)), epsilon)
print("largest |z - (μ + 0.3 ε)|:", np.abs(z - (mean + 0.3 * epsilon)).max())
assert np.allclose(z, mean + 0.3 * epsilon, rtol=1e-15)

# %% [markdown]
# ## 2. 为什么 $p(z|x)$ 无法计算
#
# 先验 $p(z)$ 和解码器 $p(x|z)$ 给定之后，编码器应当给出的分布就由贝叶斯公式确定：
#
# $$ p(z|x) = \frac{p(x|z)\,p(z)}{p(x)}, \qquad p(x) = \int p(x|z)\,p(z)\,dz $$
#
# 分子容易计算。困难在于分母 $p(x)$，也叫**证据**（evidence）：它是一个神经网络在整个 $z$ 空间上的积分。
#
# 在二维情形下，可以在平面的细密网格上计算。我们算两遍：一遍用 `log_evidence`，它在被积函数大的地方加密网格；另一遍直接对 40,000 个小方格求和。

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
# $\log p(x) = -150$ 奈特（nat，以 e 为底的信息单位）就是概率 $e^{-150}$。对 784 个像素的图像来说，这个概率很高：若每个像素以概率 ½ 抽取，概率只有 $e^{-543}$。
#
# 这个求和在每个轴上用了 200 格，共 $200^2 = 40{,}000$ 次解码。博文第二个实验用了 20 维隐变量，需要 $200^{20} \approx 10^{46}$ 次。“难解”（intractable）在这里就是这个意思：公式是已知的，但无法求值。
#
# ### 用抽样估计
#
# 对 $p(z)$ 的积分就是期望，而期望可以用抽样来估计：
#
# $$ p(x) = \mathbb E_{p(z)}\big[p(x|z)\big] \approx \frac1K \sum_{k=1}^K p(x|z_k),
#    \qquad z_k \sim p(z) $$
#
# 这是正确的，但几乎没有用。对**这一张**图，先验的绝大多数样本 $z$ 的 $p(x|z)$ 都小到可以忽略，整个和由极少数样本决定。更好的办法是从一个在 $p(x|z)\,p(z)$ 大的地方也大的 $q(z|x)$ 中抽样，再给每个样本加权：
#
# $$ p(x) = \mathbb E_{q(z|x)}\left[\frac{p(x|z)\,p(z)}{q(z|x)}\right], \qquad
#    \mathbb E\left[\log \frac1K\sum_{k=1}^K \frac{p(x|z_k)\,p(z_k)}{q(z_k|x)}\right] \le \log p(x) $$
#
# 后一部分（Jensen 不等式；Burda 等，2015）说明这个估计在期望上是下界。`importance_bounds` 对任意高斯 $q$ 计算这个量。若取 $q = p$，也就是均值为 0、$\log\sigma^2 = 0$，权重就是 $p(x|z)$，同一个函数给出的就是上面的简单估计。

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
# 编码器的 $q$ 的**一个**样本，与先验的几百个样本一样好。（图中是各张图像的中位数，因为有少数图像的编码很差：$q$ 又窄又偏。如上面打印的那一行所示，最差的一张即使 $K$ 最大也还差许多奈特，它会左右平均值。第 3 节会看到这样的图像。在二维时，先验最终会达到同样的值，因为它的样本覆盖整个平面，包括错误的 $q$ 遗漏的区域。在 20 维时，这需要太多的样本。）
#
# ### 一张图看懂 Jensen 不等式
#
# 这个估计为什么*低于* $\log p(x)$？对数是凹函数：它在每一条弦的上方。所以平均值的对数不会小于对数的平均值：
#
# $$ \mathbb E[\log w] \le \log\mathbb E[w] $$
#
# 图中的权重以各 ½ 的概率取 0.2 或 1.8。参与平均的样本越多，平均值的波动越小，弦就越短，差距也越小，所以下界随 $K$ 上升。第二个检验是同一个不等式取 $w = p/q$，它在 $q$ 之下的平均值为 1：于是 $\mathbb E_q[\log(p/q)] \le \log 1 = 0$，即 **KL 不会是负数**，并且只有当 $w$ 是常数、也就是 $q = p$ 时才为 0。

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
# 所以一个好的 $q(z|x)$ 是有用的。问题是：不知道 $p(z|x)$，怎样训练它？
#
# ## 3. 把 $\log p(x)$ 拆成两部分
#
# 取贝叶斯公式，解出 $p(x)$，再同乘、同除以 $q(z|x)$：
#
# $$ \log p(x) = \log\frac{p(x|z)\,p(z)}{p(z|x)}
#    = \log\frac{p(x|z)\,p(z)}{q(z|x)} + \log\frac{q(z|x)}{p(z|x)} $$
#
# 左边与 $z$ 无关。所以右边**在每一个 $z$ 处都是同一个数**。为了检验时不循环论证，我们需要一个后验可以独立得知的模型：带高斯噪声的线性解码器 $x = Wz + \text{噪声}$。它的 $p(x)$ 和 $p(z|x)$ 都是高斯分布，公式是已知的。

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
# 两部分各自都随 $z$ 变化，但它们的和不变。现在两部分都对 $z \sim q(z|x)$ 取平均。左边不变，右边的两个平均值各有名称：
#
# $$ \log p(x) = \underbrace{\mathbb E_{q(z|x)}\left[\log\frac{p(x|z)\,p(z)}{q(z|x)}\right]}_{\text{ELBO}}
#    + \underbrace{\mathbb E_{q(z|x)}\left[\log\frac{q(z|x)}{p(z|x)}\right]}_{\mathrm{KL}(q(z|x)\,\|\,p(z|x))\;\ge\;0} $$
#
# 这就是整个推导。对训练好的二维 VAE，`posterior_identity` 对这三个量**各自单独积分**。残差接近 0，只是因为这个等式成立。

# %%
exact = quadrature.posterior_identity(log_likelihood, x, z_mean, z_log_var, spacing=0.02)

print("   log p(x)        ELBO   KL(q || p(z|x))   residual")
for i in range(6):
    parts = [exact[name][i] for name in ("log_px", "elbo", "kl_to_posterior", "residual")]
    print("{:11.4f} {:11.4f} {:17.4f} {:10.1e}".format(*parts))
assert np.abs(exact["residual"]).max() < 1e-3  # nats
assert (exact["kl_to_posterior"] > 0).all()

# %% [markdown]
# KL 永远不为负，所以 ELBO 是 $\log p(x)$ 的**下界**（Evidence Lower BOund，证据下界），而且计算它不需要 $p(z|x)$。它一旦提高，要么是 $\log p(x)$ 变大了，要么是 $q(z|x)$ 离 $p(z|x)$ 更近了，或者兼而有之。至于是哪一种，它并不告诉你。
#
# 为了看到这个和不变，我们取一张图，把编码器的 $q$ 的标准差乘以 0.3 到 3 之间的倍数。

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
# 最上面的线是常数：ELBO 低多少，KL 就高多少。
#
# 下图说明这个 KL 度量的是什么：四张测试图像的精确后验 $p(z|x)$（彩色），以及编码器的 $q(z|x)$（一倍和两倍标准差的曲线），从拟合最好的排到最差的。

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
# $q(z|x)$ 与 $p(z|x)$ 之间的差异有两种可能的原因。
#
# - 真正的后验可能是旋转的、弯曲的，或者有多个峰。对角协方差的高斯分布无论取什么参数，都不能表示这些。
# - 编码器没有在这些图像上训练过，它给出的均值或方差可能是错的。
#
# 为了区分两者，我们给每张图换上一个高斯分布，其均值和方差取自它的精确后验，再测量一次。

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
# KL 几乎全部来自第二个原因：对角协方差的高斯分布能很好地拟合这些后验。KL 的这一部分叫作**摊销差距**（amortization gap；Cremer 等，2018，arXiv:1801.03558）：由一个网络为所有图像计算 $q$，而不是为每张图像做一次优化。编码器出错，是因为没有见过这些图像吗？我们在训练图像上测量同样的 KL。

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
# 训练图像上也有这个差距：它是编码器的性质。在新图像上差距更大，因为其中有一些被编码到了错误的位置；从中位数可以看出，这样的图像只是少数。
#
# ### 真正用来计算的形式
#
# 把 ELBO 里的对数拆开，就得到损失的两项：
#
# $$ \mathrm{ELBO} = \mathbb E_{q(z|x)}\big[\log p(x|z)\big] - \mathrm{KL}\big(q(z|x)\,\|\,p(z)\big) $$
#
# 注意这是哪一个 KL：是到**先验**的 KL，可以计算；不是到后验的 KL，无法计算。检验时，左边对 $\log\frac{p(x|z)p(z)}{q(z|x)}$ 抽样取平均，右边用数值积分加上第 4 节的闭式解。（左边的一个样本就是第 2 节的重要性下界取 $K = 1$：所以 ELBO 是这一串下界中的第一个，更大的 $K$ 使下界更紧。）

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
# ## 4. 左边一项：$\mathrm{KL}(q(z|x)\,\|\,p(z))$
#
# 两个分布都是高斯，积分有闭式解。对一维隐变量：
#
# $$ \mathrm{KL}\big(\mathcal N(\mu, \sigma^2)\,\|\,\mathcal N(0, 1)\big)
#    = \int q(z)\log\frac{q(z)}{p(z)}\,dz = \tfrac12\left(\mu^2 + \sigma^2 - 1 - \log\sigma^2\right) $$
#
# 我们用通用的数值积分 `scipy.integrate.quad` 检验它。

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
# 下图是同一个积分。上排：先验和三个不同的 $q$；下排：被积函数。$q$ 高于先验的地方为正（蓝色），低于先验的地方为负（橙色）；总面积就是 KL。

# %%
z = np.linspace(-5, 6, 1101)
pairs = {"q = N(1.5, 1)": (1.5, 1.0), "q = N(0, 0.3²)": (0.0, 0.3), "q = N(−1, 0.5²)": (-1.0, 0.5)}
panels = {title: stats.norm.pdf(z, *pair) for title, pair in pairs.items()}
show(lessons.kl_areas(z, stats.norm.pdf(z), panels, "The KL to the prior, as an area"))

# %% [markdown]
# 隐变量有多维时，$q$ 和 $p$ 都是各维的乘积，所以对数相加：
#
# $$ \mathrm{KL}\big(q(z|x)\,\|\,\mathcal N(0, I)\big)
#    = \tfrac12\sum_{j}\left(\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2\right) $$
#
# 对各维**求和**，而不是取平均，因为这就是积分的值。我们用 `scipy.stats` 的多元高斯分布抽样估计 KL，与它对照。

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
# 现在回到关于 $\sigma = 0$ 的说明。当 $\sigma$ 趋于 0 时，
#
# $$ \mathrm{KL} \approx -\log\sigma + \text{const} \;\to\; \infty, $$
#
# $\sigma$ 每缩小到十分之一，KL 就增加 2.3 奈特，没有上界。所以训练不会使 VAE 变成自编码器：那时 KL 会是无穷大。

# %%
sigmas = np.array([1e-2, 1e-3, 1e-4, 1e-5])
kl = np.array(elbo.kl_to_standard_normal(np.zeros((4, 1)), 2 * np.log(sigmas)[:, None]))
print("KL at σ = 0.01, 0.001, …:", kl.round(3), " steps:", np.diff(kl).round(3))
assert np.allclose(np.diff(kl), math.log(10), atol=1e-3)

# %% [markdown]
# ### 编码器为什么输出 $\log\sigma^2$
#
# 编码器的最后一层是线性的，输出可以是任意实数。方差必须为正，它的对数则没有这个限制。如果把同样的输出直接当作 $\sigma^2$，公式立刻失效：未经训练的编码器有很大一部分输出是负数，而负数没有对数。梯度是另一个理由。对 $\sigma^2$ 的梯度是 $\frac12(1 - 1/\sigma^2)$，当 $\sigma$ 变小时没有界；对 $\log\sigma^2$ 的梯度是
#
# $$ \frac{\partial\,\mathrm{KL}}{\partial\log\sigma^2} = \tfrac12(\sigma^2 - 1), $$
#
# 只要 $\sigma \le 1$，它总在 $-\frac12$ 与 0 之间。

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

# %% [markdown]
# ## 5. 右边一项：$\mathbb E_{q(z|x)}[\log p(x|z)]$
#
# 这个期望含有解码器，没有闭式解，只能估计。用的是最简单的估计：每张图、每一步，只抽**一个** $z$。
#
# $$ \mathbb E_{q(z|x)}\big[\log p(x|z)\big] \approx \log p(x|z), \qquad z = \mu + \sigma\,\varepsilon $$
#
# 一个样本噪声很大，但估计是无偏的，而训练会用到成千上万个样本。下面的单元格测量噪声和均值：

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
# $\log p(x|z)$ **是什么**，要看像素是什么。无论哪一种情形，给定 $z$ 之后各像素相互独立，所以概率是对像素的连乘，**对数就是对像素的求和**。
#
# ### 黑白像素：伯努利分布
#
# 解码器给出每个像素 $k$ 为白的概率 $y_k$；代码里用的是它的 logit，即 $\ell_k = \log\frac{y_k}{1-y_k}$。
#
# $$ \log p(x|z) = \sum_k \Big(x_k\log y_k + (1 - x_k)\log(1 - y_k)\Big)
#    = \sum_k \Big(x_k\,\ell_k - \log(1 + e^{\ell_k})\Big) $$
#
# 第一种写法就是（取负的）二元交叉熵。第二种写法与它相等，但永远不会对一个被舍入成零的数取对数。检验两件事：与 SciPy 一致；对六个像素的图像，**所有**图像的概率之和等于 1。

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
# ### 解码器为什么输出 logit
#
# 在 float32 里，logit 为 17 时 sigmoid 恰好等于 1，于是 $\log(1 - y)$ 成了 0 的对数。先算概率、再取对数的代码会得到无穷大；如果先把概率截断，得到的就是一个错误的值，而且梯度为零：一个被非常肯定地预测错的像素从此不再被纠正。公式的第二种写法没有这两个问题。下面的像素是黑的，$x = 0$，而 logit 偏向白色；精确值约为 $-\ell$，导数约为 $-1$。

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
# ### 连续像素：高斯分布
#
# 解码器给出每个像素的均值 $m_k$；如果方差也要学习，再给出方差 $s_k^2$：
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
# ### ……以及 MSE 的来历
#
# 让所有像素共用一个固定的 $s$，那么与 $z$ 有关的就只剩平方误差：
#
# $$ \log p(x|z) = -\frac{1}{2s^2}\sum_k (x_k - m_k)^2 - \frac D2\log 2\pi s^2 $$
#
# 所以平方误差**带有一个系数** $1/2s^2$，而 KL 前面没有系数。因此损失“MSE + KL”隐含了一个 $s$ 的值，无论是否有意。对平方**求和**，相当于 $s^2 = \frac12$；对 784 个像素的平方**取平均**，相当于 $s^2 = 392$，即 $s \approx 20$，而像素值只在 0 和 1 之间：这样的模型对每个像素的不确定度是像素整个取值范围的 20 倍。

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
# 哪个 $s$ 使数据的概率最大？它的平方就是均方误差：
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
# ## 6. 损失函数
#
# 一个批次有 $N$ 张图，损失就是它们 ELBO 平均值的相反数：
#
# $$ \text{loss} = \frac1N\sum_{i=1}^N\Big[\mathrm{KL}\big(q(z|x^{(i)})\,\|\,p(z)\big) - \log p(x^{(i)}|z^{(i)})\Big] $$
#
# 对批次取平均，是**唯一的平均**。对像素求和，因为连乘的对数是求和；对隐变量求和，因为 KL 本来就是求和。KL 前面没有权重，因为第 3 节的 ELBO 是对数似然减去**一倍**的 KL。

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
# 假设交叉熵像 `BinaryCrossentropy` 那样对像素取平均，KL 也对隐变量取平均。设有 $D$ 个像素、$d$ 维隐变量，这就是 KL 的一个隐藏的权重：
#
# $$ -\frac1D\log p(x|z) + \frac1d\,\mathrm{KL}
#    = \frac1D\Big(-\log p(x|z) + \beta\,\mathrm{KL}\Big), \qquad \beta = \frac Dd = \frac{784}{2} = 392 $$

# %%
averaged = np.mean(-terms / 784 + kl / 2)
weighted = float(elbo.negative_elbo(terms, kl, beta=392.0)) / 784
print(f"both averaged {averaged:.9f}, beta = 392 {weighted:.9f}")
assert abs(averaged - weighted) < 1e-9

# %% [markdown]
# 四种组合各相当于 KL 的一个权重，只有第一种是 ELBO：
#
# | 对什么取平均 | β | 784 个像素、2 个隐变量时 |
# |---|---|---|
# | 都不取 | 1 | 1 |
# | 只对像素 | $D$ | 784 |
# | 只对隐变量 | $1/d$ | 0.5 |
# | 像素和隐变量 | $D/d$ | 392 |
#
# （对*批次*取平均是另一回事：两项都除以 $N$，权重不变。）

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
# 我们用这个损失训练一个模型。在这个权重下，关于 $x$ 的信息使 KL 增加的量，是它使对数似然增加的量的 392 倍，所以当 $z$ 不含任何关于 $x$ 的信息时损失最小。（`beta = 1` 的一行来自 `pretrained/` 中在整个 MNIST 上训练的模型；在 4,000 张图上训练 2,000 步之后，不少重构仍然是另一个数字。）

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
# 所有的重构都相同，都是平均图像。这就是**后验坍缩**（posterior collapse），它有一个典型的损失值。解码器若不能从 $z$ 得到信息，最好的输出就是每个像素的平均值 $\bar x_k$，此时损失就是平均图像的熵：
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

# %% [markdown]
# 如果 MNIST 上的损失停在 206 奈特左右，后验就已经坍缩了。
#
# ## 7. 重参数化技巧
#
# 还差一步。损失里有对 $q(z|x)$ 的期望，而我们需要它对 $q$ 的参数的导数。技巧在于：抽取与参数无关的噪声，再由它算出 $z$，其中 $\sigma = e^{\frac12\log\sigma^2}$：
#
# $$ \mathbb E_{z\sim\mathcal N(\mu, \sigma^2)}\big[f(z)\big] = \mathbb E_{\varepsilon\sim\mathcal N(0, 1)}\big[f(\mu + \sigma\,\varepsilon)\big] $$
#
# 两边相等，因为 $\mu + \sigma\varepsilon$ 的分布就是 $\mathcal N(\mu, \sigma^2)$。

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
# 这个技巧改变的是梯度的路径。如果 $z$ 由随机数发生器*从* $q$ 中抽取（下一个单元格的第一种做法），$z$ 就是一个新的数，与 $\mu$、$\sigma$ 之间没有联系，梯度是 `None`。写成 $z = \mu + \sigma\varepsilon$，同一个数就成了二者的函数。
#
# ![两幅图：如果 z 从 q 中抽取，梯度到抽样为止；写成 z = μ + σ · ε，梯度到达 μ 和 σ](../docs/figures/gradient.png)
#
# | | $\mu, \sigma \to z$ | $z \to$ 损失 | 损失对 $\mu$ 的梯度 |
# |---|---|---|---|
# | 从 $q$ 中抽取 $z$ | 抽样：没有路径 | 解码器 | `None` |
# | $z = \mu + \sigma\varepsilon$ | 加法和乘法 | 解码器 | 经过 $z$ |

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
# 于是导数可以移到期望里面，经过含有解码器的 $f$：
#
# $$ \frac{\partial}{\partial\mu}\mathbb E[f] = \mathbb E\big[f'(\mu + \sigma\varepsilon)\big], \qquad
#    \frac{\partial}{\partial\log\sigma^2}\mathbb E[f] = \mathbb E\big[f'(\mu + \sigma\varepsilon)\,\tfrac12\sigma\varepsilon\big] $$
#
# 常有人说，**不可能**对抽样求导。其实不用这个技巧也可以，办法是得分函数（score function，即 REINFORCE），而且 $f$ 甚至不必可导：
#
# $$ \frac{\partial}{\partial\mu}\mathbb E[f] = \mathbb E\Big[f(z)\,\frac{\partial\log q(z)}{\partial\mu}\Big] = \mathbb E\Big[f(z)\,\frac{z-\mu}{\sigma^2}\Big] $$
#
# 两个估计都是无偏的。先看一个梯度已知的函数：$f(z) = 3z^2$，$\mathbb E[f] = 3(\mu^2 + \sigma^2)$，所以两个梯度是 $6\mu$ 和 $3\sigma^2$。

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
# 再取训练好的解码器，$f(z) = \log p(x|z)$，对一张测试图像。

# %%
image = tf.constant(x[[chosen]])


def log_p(z):
    """log p(x|z) of the image at each z, and its slope there."""
    z = tf.constant(z, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = elbo.bernoulli_log_likelihood(
            tf.repeat(image, len(z), axis=0), vae.decoder(z)["logits"]
        )
    return value.numpy().astype(float), tape.gradient(value, z).numpy().astype(float)


estimate = functools.partial(
    gradient_estimators,
    lambda z: log_p(z)[0],
    lambda z: log_p(z)[1],
    z_mean[chosen],
    z_log_var[chosen],
)
counts = (10, 30, 100, 300, 1000, 3000, 10_000)
by_count = [estimate(samples=count)["z_mean"] for count in counts]

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
# 两个估计**都**正确，但每步只抽一个样本时，只有第一个能用。所以这个技巧不是使梯度成为可能，而是把它的方差降低到足以用于训练。（从 $f$ 里减去一个接近 $\log p(x|z)$ 的常数，可以降低得分函数的方差，可以试试 `gradient_estimators` 的 `baseline=`；但它的方差仍然更大。）
#
# ## 8. 用一行总结
#
# 本笔记本最重要的一行是
#
# $$ \log p(x) \;\ge\; \mathbb E_{q(z|x)}[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z)) $$
#
# 等号在 $q(z|x) = p(z|x)$ 时成立，那时**每一个**重要性权重的对数都等于 $\log p(x)$。第 3 节的线性模型的后验是已知的，所以可以检验这一点（取一维隐变量，这样任何高斯分布的协方差都是对角的）。

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
# ## 9. 博文中不够准确的地方
#
# 这是一篇好博文，照它的公式能写出可用的代码。下表供对照阅读：
#
# | 博文 | 更准确的说法 |
# |---|---|
# | 自编码器不具备泛化能力 | 它能泛化到新的输入；它缺的是可供**抽样**的 $p(z)$（第 1 节） |
# | $\sigma^2 = 0$ 时，VAE 变成自编码器 | 抽样上如此；但那时 KL 是无穷大，必须去掉（第 4 节） |
# | 到先验的 KL，写成对 $x$ 积分 | 积分变量是 $z$；结果是对的（第 4 节） |
# | $q(z \mid x)$ 是**解码器**的后验，用来拟合 $p(x \mid z)$ | 它由**编码器**给出，用来拟合 $p(z \mid x)$（第 3 节） |
# | **减少**变分下界以极大化 $p(x)$，下界就是损失 | 下界要**提高**；损失是下界的相反数（第 3 节） |
# | 于是 $p(x)$ 就极大化了 | 极大化的是下界；其中一部分提升可能只是 $q$ 变好了（第 3 节） |
# | 编码器给出 $p_\theta$ 的参数 | 给出的是 $q_\phi(z \mid x)$ 的参数（第 1 节） |
# | $\sigma$ 固定时，右边一项就是 MSE | 还要乘以 $1/2\sigma^2$，再加一个常数；这个系数正是它相对于 KL 的权重（第 5 节） |
# | 二值图像用伯努利分布；然后用了 MNIST | MNIST 是灰度图，在灰度像素上这个公式没有归一化（第 10 节） |
# | 随机抽样无法求导 | 链式法则不行；得分函数可以，但方差大得多（第 7 节） |

# %% [markdown]
# ## 10. 附录：离散像素与灰度像素
#
# 做练习不需要这一节。这里推导有若干灰度级的像素的似然，并说明伯努利公式用在灰度像素上错在哪里。
#
# ### 离散像素：softmax
#
# 有 $L$ 个灰阶的像素配 $L$ 个 logit，它实际取到的灰阶的概率由 softmax 给出：
#
# $$ \log p(x|z) = \sum_k\Big(\ell_{k,x_k} - \log\sum_{v} e^{\ell_{k,v}}\Big) $$
#
# 也就是（取负的）多类交叉熵。用 SciPy 的 `log_softmax` 对照；同样，所有图像的概率之和必须是 1。

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
# ### 灰度像素，以及一个常见的错误
#
# MNIST 是灰度图。博文（以及当年的许多代码）把灰度值 $x_k \in [0, 1]$ 直接代进了伯努利公式。训练可以进行，图像也不错，但这个公式不是灰度值的似然：它在 $[0, 1]$ 上的积分不等于 1。
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
# 除以这个积分，就得到一个指数部分相同的、归一化的概率密度：**连续伯努利分布**（Loaiza-Ganem 与 Cunningham，2019）：
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
# 解码器越确定，这个积分就越小。所以在灰度像素上，伯努利公式还会偏向于不够确定的解码器。它的值也不是 $\log p(x)$。在灰度像素上，它的最大值小于 0：最大值在 $y_k = x_k$ 处取到，那里
#
# $$ \max_{y}\;\log p(x|z) = -\sum_k H(x_k), \qquad H(x) = -x\log x - (1-x)\log(1-x). $$

# %%
grey = data.x_test.astype(float)
entropy = (special.entr(grey) + special.entr(1 - grey)).sum(axis=1)
sharp = np.array(elbo.bernoulli_log_likelihood(grey, special.logit(grey.clip(1e-12, 1 - 1e-12))))
nudged = np.array(
    elbo.bernoulli_log_likelihood(grey, special.logit(grey.clip(1e-12, 1 - 1e-12)) + 0.1)
)
print(f"y = x: {sharp.mean():.3f} nats an image; minus the entropy: {-entropy.mean():.3f}")
assert np.allclose(sharp, -entropy, atol=1e-6) and (nudged < sharp).all()

# %% [markdown]
# 所以在那里，“重构损失”不可能等于 0。灰度像素上的数值可以和同类数值比较（README 的结果表就是如此），但不能和文献中二值 MNIST 的 $\log p(x)$ 比较。因此，本项目在每个数值旁边都注明 `x: grey` 或 `x: binary`。

# %% [markdown]
# ## 练习
#
# 填入答案，运行单元格，它会告诉你答案是否正确（`not answered yet`：尚未作答；`right`：正确；`not yet`：还不对，后面是提示）。五道题都可以用纸笔解出。
#
# **练习 1.** $\mathrm{KL}(\mathcal N(1, 4)\,\|\,\mathcal N(0, 1))$ 是多少奈特？（方差是 4。）保留三位小数。

# %%
answer_1 = None  # your answer, a number

check(
    "exercise 1",
    answer_1,
    lambda nats: abs(nats - float(elbo.kl_to_standard_normal([[1.0]], [[math.log(4)]])[0])) < 1e-3,
    "½ (μ² + σ² - 1 - log σ²), with the natural logarithm, of the variance.",
)

# %% [markdown]
# **练习 2.** 已知一张图像的 $\log p(x) = -140$ 奈特，ELBO 为 $-143.5$，$\mathrm{KL}(q(z|x)\,\|\,p(z)) = 5$。$\mathrm{KL}(q(z|x)\,\|\,p(z|x))$ 是多少？

# %%
answer_2 = None  # your answer, a number

check(
    "exercise 2",
    answer_2,
    lambda nats: abs((-143.5 + nats) - -140) < 1e-6,
    "Which KL is what the ELBO lacks? The other one is inside the ELBO already.",
)

# %% [markdown]
# **练习 3.** 一个损失是 `mean((x - x_decoded) ** 2)`，对一张彩色图像的 3,072 个值取平均，再加上（求和的）KL。这相当于高斯解码器的方差 $s^2$ 取多少？

# %%
answer_3 = None  # your answer, a number


def price_of_error(s2):
    """What a pixel that is wrong by 1 costs more than a right one, in nats."""
    wrong, right = elbo.gaussian_log_likelihood([[1.0], [0.0]], [[0.0], [0.0]], math.log(s2))
    return float(right - wrong)


check(
    "exercise 3",
    answer_3,
    lambda s2: abs(price_of_error(s2) * 3072 - 1) < 1e-3,  # in that loss it costs 1 / 3072
    "Compare 1 / (2 s²) with the factor that the mean puts before the sum of squares.",
)

# %% [markdown]
# **练习 4.** 另一个损失让对数似然对 784 个像素取平均，让 KL 对 20 维隐变量取平均。这相当于 $\beta$ 等于多少？

# %%
answer_4 = None  # your answer, a number

log_likelihoods, kls = np.array([-160.3, -95.2]), np.array([4.9, 7.5])  # of two images
averaged = np.mean(-log_likelihoods / 784 + kls / 20)
check(
    "exercise 4",
    answer_4,
    lambda beta: abs(elbo.negative_elbo(log_likelihoods, kls, float(beta)) / 784 - averaged) < 1e-9,
    "Multiply the whole loss by 784 and look at what stands before the KL.",
)

# %% [markdown]
# **练习 5.** 一个模型用 `beta = 0.5` 训练。请写一个函数，由它的对数似然和 KL（都以奈特为单位，每张图一个值）算出可以和已发表的数值比较的 $\log p(x)$ 的**下界**。

# %%
answer_5 = None  # your answer, a function: lambda log_likelihood, kl: …

log_likelihoods, kls = np.array([-160.3, -95.2]), np.array([4.9, 7.5])  # of two images
check(
    "exercise 5",
    answer_5,
    lambda bound: np.allclose(bound(log_likelihoods, kls), elbo.elbo(log_likelihoods, kls)),
    "The weight belongs to the training. What does section 3 say of a bound?",
)
