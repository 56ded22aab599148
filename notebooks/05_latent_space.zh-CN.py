# %% [markdown]
# # 5. 隐空间
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/05_latent_space.zh-CN.ipynb)
#
# ## 你将学到什么
#
# - 怎样查看隐空间：散点图、流形、插值、先验的样本。
# - 两个数字之间的直线说明什么，不说明什么。
# - 自编码器缺少什么，用一幅图和两个数说明。
# - 数据的隐变量落在哪里，解码器在先验的哪些区域没有受过训练。
# - 怎样看出哪些隐变量被使用：每一维的 KL，活跃单元。
# - **后验坍缩**，用“以平均代替求和”或很大的 `beta` 有意造成；`beta` 太小的后果；以及 KL 预热什么时候有用。
#
# 所有模型都在这里用 4,000 个数字训练，在两个 CPU 核上大约需要一分半钟。数字和图像要一起看：这个笔记本里有好几个例子，坏的模型在选得不好的指标上得到好的值。

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

import numpy as np
from scipy import special, stats

from shared import elbo
from shared.measure import diagnostics
from shared.show.figures import lessons, plots
from shared.config import recipe
from shared.data import load_data
from shared.show.figures.of_run import prior_samples
from tf_vae.evaluate import elbo_terms, evaluate
from tf_vae.model import decode, encode
from tf_vae.train import train

data = load_data("mnist-5k")
shown = np.arange(33, 1000, 100)  # a test image of each class (the set is sorted by class)
random = np.random.RandomState(0)

# %% [markdown]
# ## 1. 平面
#
# 先用博文的网络和二维隐变量，这样整个隐空间都画得出来。（有 4,000 张图像时一轮只有 40 步，所以我们用 Adam，它在这里比博文的优化器学得快。）像素与博文一样是灰度：下面的数可以互相比较，但不能与二值 MNIST 上已发表的结果比较（笔记本 1 第 10 节）。
#
# 页面 [docs/index.html](../docs/index.html) 是全部 MNIST 的隐平面，可以自己移动 z。旁边画出一张图像通过模型的全过程和所有的数：按几次“Draw a new ε”，看哪些数会变。页面上的滑块显示每一轮之后的隐平面。

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
# 编码器把图像映射到点，解码器把点映射到图像。在先验上取一个 $z$ 的网格（从 5 % 到 95 % 的分位数，于是每一步的先验概率相同），把每个点解码：这就是**流形**。

# %%
text = "The decoder over the plane, at equal steps of the prior's probability"
show(plots.manifold(decode(vae, plots.manifold_z()), data.image_shape, text), dpi=65)

# %% [markdown]
# 相邻的图像相似，各类逐渐地互相过渡。损失中没有任何一项直接要求这一点，它是 $z$ 上的噪声的结果。每一步都从 $q(z|x)$ 抽取新的 $z$，所以解码器对 $q(z|x)$ 之下所有可能的 $z$ 都必须给出几乎相同的图像。
#
# ## 2. 两个数字之间的直线
#
# 取两张测试图像，都编码，从一个均值以相等的步长走到另一个，并解码每个点。作为比较，在像素里做同样的事，也就是淡入淡出。（在 0 和 7 两类里，各取重构得最好的一张。）

# %%
t = np.linspace(0, 1, 12, dtype=np.float32)[:, None]
errors = np.square(decode(vae, z_mean) - data.x_test).sum(axis=1)
first, last = (np.where(data.y_test == label, errors, np.inf).argmin() for label in (0, 7))
line = (1 - t) * z_mean[first] + t * z_mean[last]
rows = {
    "in pixels": (1 - t) * data.x_test[first] + t * data.x_test[last],
    "in z, decoded": decode(vae, line),
}
show(lessons.image_rows(rows, data.image_shape, "From one test image to another in twelve steps"))

# %% [markdown]
# 淡入淡出的中途，两个数字同时可见。在 $z$ 的直线上，每次只有一个数字，而且可能既不是 0 也不是 7。这条线穿过哪些类？我们查最近的训练隐变量的标签。

# %%
z_train = encode(vae, data.x_train)[0]
nearest = np.square(z_train[None] - line[:, None]).sum(axis=2).argmin(axis=1)
print("label of the nearest training latent, step by step:", *data.y_train[nearest])

pace = np.linalg.norm(np.diff(rows["in z, decoded"], axis=0), axis=1)
print("change of the image at each step:", *pace.round(1))

# %% [markdown]
# 这样的直线有三个局限：
#
# - 它不是穿过数据的路径。解码器对*每个* $z$ 都给出图像，包括没有图像编码在那里的地方。那里看上去像数字，是平滑性的结果，并没有保证。
# - 它的步长在图像里并不相等，第二行数就是证明：$z$ 里相等的步长，在图像里不相等。$z$ 里的直线一般不是两张图像之间最短的路径。
# - 它连接的不是两张图像，而是它们的*重构*：比较各行的两端。
#
# 这条线可以用来检验解码器是否平滑。我们对许多对图像测量路径上的点到最相似的训练图像的距离。

# %%
pairs = random.permutation(1000)[: 2 * fast(150, 10)].reshape(2, -1)
ways = {"in pixels": [], "in z, decoded": []}
for step in t.ravel():
    blend = [(1 - step) * each[pairs[0]] + step * each[pairs[1]] for each in (data.x_test, z_mean)]
    for name, images in zip(ways, (blend[0], decode(vae, blend[1])), strict=True):
        ways[name].append(diagnostics.nearest_distance(images, data.x_train).mean())
text = f"{pairs.shape[1]} pairs of test images: distance to the most similar training image"
show(lessons.curves(t.ravel(), ways, text, "share of the way", "Euclidean distance over pixels"))

# %% [markdown]
# 在中途，淡入淡出远离所有训练图像；$z$ 里的直线始终靠近它们。（下面那条曲线在两端就已经很低，因为重构是模糊的，而模糊的图像与许多图像都接近。应当比较曲线的*形状*，而不是高低。）
#
# ### 维数高时，中间是空的
#
# 在平面上，$\mathcal N(0, I)$ 的样本常常靠近 0。在 20 维里几乎从不如此：样本的模大约是 $\sqrt{20}$。两个样本之间的直线穿过内部，先验在那里的*密度*最高，*概率*却极小。

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
# 所以常有人建议沿圆弧插值（练习 2）。这个建议适用于*先验*的样本；$q(z|x)$ 的均值的模要小一些，因为不含噪声。
#
# ## 3. 重构与样本
#
# 解码器有两种用法。**重构**从一张图像出发：编码，取均值，解码。**样本**从先验出发：抽取 $z \sim \mathcal N(0, I)$，解码。

# %%
samples = decode(vae, prior_samples(config, 1000))
rows = {
    "test images": data.x_test[shown],
    "reconstructions": decode(vae, z_mean[shown]),
    "samples": samples[: len(shown)],
}
show(lessons.image_rows(rows, data.image_shape, "Two latents, 50 epochs"))

# %% [markdown]
# 两种情形下，图中都是 $p(x|z)$ 的*均值*，每个像素一个概率。严格意义上的图像样本还要把每个像素抽取为 0 或 1。人们很少展示它，因为各像素独立抽取，图像看上去有噪点。
#
# 二维隐变量分不清细的 4 和细的 9。模糊反映的就是这种不确定：如果 $z$ 不能决定是哪个数字，最好的预测就是平均。
#
# ## 4. 与自编码器比较
#
# `posterior="delta"` 就是自编码器：$z$ 是编码器的输出，没有噪声，也没有 KL。其余都相同，包括初始权重。

# %%
delta_config = recipe("post-keras", **plane, posterior="delta")
autoencoder, _ = train(delta_config, data, verbose=0)
codes = encode(autoencoder, data.x_test)[0]
panels = {"VAE": z_mean, "autoencoder": codes}
show(lessons.latent_panels(panels, data.y_test, "Test set: mean of q(z|x), and z; circle: |z| = 3"))

# %%
from_prior = decode(autoencoder, prior_samples(config, 1000))
rows = {
    "test images": data.x_test[shown],
    "VAE: reconstruction": decode(vae, z_mean[shown]),
    "autoencoder: reconstruction": decode(autoencoder, codes[shown]),
    "VAE: z ~ N(0, I)": samples[: len(shown)],
    "autoencoder: z ~ N(0, I)": from_prior[: len(shown)],
}
show(lessons.image_rows(rows, data.image_shape, "Equal networks, with and without noise and KL"))

# %% [markdown]
# 自编码器的重构至少同样好，这在意料之中，因为它的损失没有 KL。它从 $\mathcal N(0, I)$ 得到的样本也可以辨认。失去的是多样性：几乎所有样本都落在小小的虚线圆里，那里只编码了少数几种数字，其他数字不会出现在样本中。
#
# 有两个距离可以衡量这一点。*到数据*：样本到最相似的测试图像的距离。*从数据*：测试图像到最相似的样本的距离。前者问样本像不像图像，后者问每种数字是否都在样本之中。

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
# 第三行回应了一个反对意见：为什么不用适合自编码器的先验，即均值和协方差与它的隐变量相同的高斯分布？这很有帮助：每种数字又都出现在样本里（第二列），不过单个样本没有那么像图像（第一列）。但它是训练之后拟合的，会覆盖各类之间的空隙；而 VAE 是与先验一起训练的，它的解码器受过 $q(z|x)$ 的样本的训练，这些样本靠近先验。
#
# 关于第一列要小心：真实图像的值比 VAE 的样本*更差*。模糊的图像比清晰的图像更接近所有图像，所以这个数只能在同样模糊的模型之间比较。
#
# ## 5. 隐变量落在哪里：聚合后验
#
# 解码器用训练集中各个 $x$ 的 $q(z|x)$ 的样本训练。它们合在一起的密度是
#
# $$ q(z) = \frac1N\sum_{i=1}^N q(z|x^{(i)}), $$
#
# 即**聚合后验**。而模型的样本是从 $p(z)$ 抽取的。没有什么使这两个密度相等；损失只是把每个 $q(z|x)$ 拉向 $p(z)$。`aggregate_log_density` 精确计算 $\log q(z)$，它是 4,000 个高斯分布的混合。

# %%
mean, log_var = encode(vae, data.x_train)
z = mean + np.exp(log_var / 2) * random.normal(size=mean.shape)  # one draw an image
half_width, side = 4.5, fast(121, 21)
ticks = np.linspace(-half_width, half_width, side)
grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
log_q = diagnostics.aggregate_log_density(grid, mean, log_var).reshape(side, side)
text = "The aggregate posterior of 4,000 training images, against the prior"
show(lessons.aggregate_posterior(half_width, log_q, z, text))

# %% [markdown]
# 只看右图，像是一个尾部较重的正态分布。左图显示了脊、各类之间的空隙，以及第三个圆之外的隐变量。先验有多少没有被覆盖？解码器在那里输出什么？

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
show(lessons.image_rows(rows, data.image_shape, "Draws of the prior, by q(z) / p(z)"))

# %% [markdown]
# 这里先验几乎都被覆盖，没有覆盖的地方，图像看上去不对：坏的样本不一定是解码器的错，它可能在那个 $z$ 附近没有受过训练。第二个数更大：这些图像的隐变量落在先验概率很小的区域，多数是数字 1、7 和 0。它们重构得很好，但在样本中太少见。（平面上容不下大的空隙；维数更高时空隙更多。）
#
# ### 平均 KL 的两部分
#
# 对图像取平均，KL 是两项之和（Hoffman 和 Johnson，2016，*ELBO surgery*）：
#
# $$ \frac1N\sum_i\mathrm{KL}\big(q(z|x^{(i)})\,\|\,p(z)\big)
#    = \underbrace{I(x; z)}_{\text{information in } z \text{ about the image}}
#    + \underbrace{\mathrm{KL}\big(q(z)\,\|\,p(z)\big)}_{\text{mismatch of the aggregate posterior}} $$
#
# 第一项是 $z$ 所含的关于图像的信息，也就是解码器所用的信息；第二项是聚合后验与先验的不匹配，只有它说明样本会不好。

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
# ## 6. 哪些隐变量被使用
#
# KL 是对隐变量各维求和，所以每一维都有自己的份额。KL 为 0 的一维，对每张图像都有 $q(z_j|x) = p(z_j)$：它不含信息，解码器学会忽略它。通常的判据（Burda 等，2015）用均值：如果一个单元的 `z_mean` 在各图像上的方差大于 0.01，它就是**活跃**的。

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
show(lessons.kl_bars(panels, "KL of each latent, mean of 1,000 test images"))

# %% [markdown]
# 从左到右比较各图。只有两维时，每一维的 KL 都很大。有十维时，每一维的 KL 较小，但总和是原来的三倍多，损失低得多。从十维到二十维，损失只改善一点，份额也更不均匀。这里所有维都活跃：在 $\beta = 1$ 时这个网络全部都用。后面几节有不这样的例子。
#
# 维数越高，重构越好。这并不意味着*样本*更好：现在一个样本的二十个坐标必须彼此配合。

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
show(lessons.image_rows(rows, data.image_shape, "Ten and twenty latents, 30 epochs each"), dpi=80)

# %% [markdown]
# ## 7. 一个常见的错误，有意为之
#
# VAE 代码里最常见的错误只有一个词：`mean`。如果交叉熵对 784 个像素取平均，而 KL 求和，损失就是
#
# $$ -\frac1{784}\log p(x|z) + \mathrm{KL} = \frac1{784}\Big(-\log p(x|z) + 784\,\mathrm{KL}\Big): $$
#
# 隐藏的 $\beta$ 等于 784。

# %%
log_likelihood, kl = (each.astype(float) for each in elbo_terms(vae, data.x_test, config))
with_mean = np.mean(-log_likelihood / 784 + kl)
weighted = float(elbo.negative_elbo(log_likelihood, kl, beta=784.0)) / 784
print(f"with the mean over pixels {with_mean:.9f}, by beta = 784 {weighted:.9f}")
assert abs(with_mean - weighted) < 1e-9

# %% [markdown]
# 所以 `beta=784` 与这个错误的效果相同。我们画出每轮之后像素的一项 $-\log p(x|z)$ 以及 KL。虚线是**平均图像的熵** $\sum_k H(\bar x_k)$：对每个 $z$ 都给出同一张图像的解码器所能达到的最低值。

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
show(lessons.curves(epochs, lines, text, "epoch", "−log p(x|z), nats", levels=level, limits=limits))

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
show(lessons.image_rows(rows, data.image_shape, "beta = 784: every digit is the mean image"))

# %% [markdown]
# 这就是**后验坍缩**：对所有 $x$ 都有 $q(z|x) = p(z)$。请记住怎样从日志里认出它，因为训练时不画图像：
#
# - KL 为 0，直到三位小数；
# - 损失保持不变，在 MNIST 上大约是 206 奈特，无论用什么解码器；
# - 如果代码里对像素取了平均，它停在 $206/784 = 0.26$，看上去像是好结果。
#
# ## 8. beta 太大或太小
#
# 0 与 784 之间的 beta 给出一系列模型。这里它们有十维隐变量，下面的损失都在 $\beta = 1$ 处测量，因为只有这时它才是 ELBO 的相反数。

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
show(lessons.image_rows(rows, data.image_shape, "Ten latents, beta from 0.01 to 30"), dpi=80)

# %%
chosen = {title: panel for title, panel in panels.items() if float(title.split()[-1]) >= 1}
show(lessons.kl_bars(chosen, "Ten latents: a larger beta switches them off"))

# %% [markdown]
# - **太小**：模型几乎是自编码器。$q(z|x)$ 很窄，均值散布到远离先验的地方（最后一列），重构好到不能再好，但先验的样本落在很少有图像编码的地方。ELBO 很低，因为 KL 非常大，尽管从重构看不出来。
# - **太大**：$z$ 中的信息代价更高。隐变量一个接一个地不再使用，剩下的由许多数字共用，到 30 时一个也不用。在两者之间，样本看上去比 $\beta = 1$ 时*更好*：更平滑、更典型，但多样性较差。
# - **1** 是目标等于 ELBO 的值。如果想要别的性质（平滑的样本、清晰的重构），可以用别的值，并与结果一起报告。
#
# ## 9. 预热
#
# 设 `kl_warmup_steps=N`，KL 的权重在最初 $N$ 步里从 0 线性升到 `beta`。训练之初解码器还不使用 $z$，所以 KL 只花费奈特、没有收益，不用一维隐变量时损失下降得最快。这样的一维可能从此不再使用。
#
# 预热不能对付很大的 `beta`：预热结束时权重照样是 `beta`，不值其 KL 的一维到那时就不再使用。它能对付的是不好的*开端*，我们有一个例子：博文的 TensorFlow 配方，但 Adam 用 Keras 的 ε（$10^{-7}$，而配方是 $10^{-8}$），这时大约一半的种子停滞（笔记本 3）。种子 1 就是其中之一。

# %%
panels, lines, steps = {}, {}, fast(800, 80)
for warmup in fast((0, 600), (60,)):
    title = f"{warmup} steps" if warmup else "no warm-up"
    its_config = recipe(
        "post-tf", steps=steps, seed=1, optimizer_epsilon=1e-7, kl_warmup_steps=warmup
    )
    model, its_run = train(its_config, data, verbose=0)
    q, found = encode(model, data.x_test), evaluate(model, data.x_test, its_config)
    panels[title] = diagnostics.kl_per_dimension(*q), diagnostics.active_units(q[0])
    lines[title] = [row["kl"] for row in its_run.history]
    print(
        f"{title:12} test loss {found['loss']:.1f} = KL {found['kl']:.1f} - log-likelihood"
        f" {found['log_likelihood']:.1f} nats; {panels[title][1].sum()} of 20 units active"
    )
    print(f"{'':12} KL of the first epochs: " + ", ".join(f"{kl:.0f}" for kl in lines[title][:5]))
text = "post-tf with Keras' ε, seed 1: the KL while training"
show(lessons.curves(np.arange(1, len(lines[title]) + 1), lines, text, "epoch", "KL, nats", log="y"))

# %%
show(lessons.kl_bars(panels, "post-tf with Keras' ε, seed 1: KL of each latent at the end"))

# %% [markdown]
# 没有预热时，二十个隐变量里只用了一个。有预热时，第一轮的 KL 是两倍多（28 奈特，而不是 12），因为那时它的权重接近 0：最初几步里 KL 的峰值（笔记本 3 第 5 节）几乎不增加损失，所以它的梯度不会把隐藏单元压到 0 以下。在权重上升的过程中，KL 保持在 26 附近，最后在 20 附近。（有十四个隐变量活跃，但看得见的条没有这么多：0.01 的方差是很低的门槛。两者都要看。）
#
# 这个实验有两个局限。它只有一个种子。而且这个不好的开端，原因是已知的：用配方自己的 ε，种子 1 不需要预热。

# %% [markdown]
# ## 练习
#
# 填入答案，运行单元格，它会告诉你答案是否正确（`not answered yet`：尚未作答；`right`：正确；`not yet`：还不对，后面是提示）。
#
# **练习 1.** 一个用于四个像素的黑白图像的模型坍缩了。在训练集里，各像素为白色的比例是 50 %、50 %、0 % 和 10 %。它的损失是多少奈特？保留两位小数。

# %%
answer_1 = None  # your answer, a number

shares = np.array([0.5, 0.5, 0.0, 0.1])
check(
    "exercise 1",
    answer_1,
    lambda nats: abs(nats - (special.entr(shares) + special.entr(1 - shares)).sum()) < 0.01,
    "Add up -p log p - (1 - p) log(1 - p), with the natural logarithm; a pixel that is always equal adds 0.",
)

# %% [markdown]
# **练习 2.** 沿圆弧插值。写一个 `z0`、`z1`（形状都是 (latent_dim,)）和 [0, 1] 中的 `t` 的函数，其结果从 `z0` 走到 `z1`。如果二者的模相同，那么对所有 `t`，结果都必须有同样的模，并且 `t` 的步长相等时转过的角度也相等。

# %%
answer_2 = None  # your answer, a function: lambda z0, z1, t: …


def is_arc(path):
    """Returns whether a path keeps the norm and turns evenly, for two vectors of norm 3."""
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
# **练习 3.** 一个模型的平均 KL 是 6.1 奈特，$\mathrm{KL}(q(z)\,\|\,p(z))$ 是 0.5。根据隐变量大约能区分多少张图像，即 $e^{I(x;z)}$？取整到十位。

# %%
answer_3 = None  # your answer, a number

check(
    "exercise 3",
    answer_3,
    lambda images: abs(images - math.exp(6.1 - 0.5)) < 10,
    "Section 5: subtract the second part of the KL. Then take exp, because these are nats.",
)

# %% [markdown]
# **练习 4.** 在一个大的测试集上有三维隐变量：第一维的 `z_mean` 对一半图像是 0.5，对另一半是 -0.5；第二维总是 2；第三维的标准差是 0.05。哪些是活跃的？用三个布尔值的列表回答。

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
# **练习 5.** 一次训练设 `beta=4`、`kl_warmup_steps=2000`。在第 500 步，KL 的权重是多少？

# %%
answer_5 = None  # your answer, a number

check(
    "exercise 5",
    answer_5,
    lambda weight: abs(weight - float(elbo.warmed_up(4.0, 499, 2000))) < 1e-6,  # 0 is the first
    "It rises linearly from 0 to beta.",
)
