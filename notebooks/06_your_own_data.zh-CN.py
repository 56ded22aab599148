# %% [markdown]
# # 6. 自己的数据
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/06_your_own_data.zh-CN.ipynb)
#
# ## 你将学到什么
#
# - 怎样把自己的图像写成本项目读取的文件格式，坏的文件会引出哪些错误信息。
# - *没有*任何检查能够发现的那个错误，以及怎样察觉它。
# - 怎样用任一实现在自己的文件上训练，在 Python 里或在命令行上。
# - 怎样选择似然，两个以**每像素比特**为单位的数什么时候可以比较。
# - 怎样读诊断结果：两种误差，三个界，使用的和未使用的单元。
#
# 例子是 scikit-learn 的 1,797 个 8 × 8 像素的手写数字。它们很小，所在的包本来就已安装；这个笔记本里没有任何东西依赖于它们是数字。请换成自己的数组。在两个 CPU 核上，这个笔记本大约需要两分钟。

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
from shared.show.figures import lessons, plots
from shared.command.implementation import import_implementation
from shared.config import recipe
from shared.machine.checks import UsageError
from shared.data import evaluation_images, load_data
from shared.measure.metrics import measure, measure_bound, measure_exact, measure_z, write_metrics
from shared.show.figures.of_run import draw_figures, prior_samples
from tf_vae.evaluate import elbo_terms
from tf_vae.model import decode, encode

temporary = tempfile.TemporaryDirectory()  # deleted when the notebook is closed
folder = Path(temporary.name)  # for your own files, use a permanent folder

# %% [markdown]
# ## 1. 文件
#
# 文件是一个 `.npz`，里面有四个数组，还可以有第五个：
#
# | 名称 | 形状 | 类型 |
# |---|---|---|
# | `x_train`、`x_test` | (n, rows, columns)，或带 1、3、4 个通道的 (n, rows, columns, channels)，或 (n, pixels) | [0, 255] 的 `uint8`，或 [0, 1] 的浮点数 |
# | `y_train`、`y_test` | (n,) | 整数：每张图像一个标签 |
# | `x_valid`（可选） | 与 `x_train` 相同 | 训练期间用来观察损失的图像，不需要标签 |
#
# 标签给出图的颜色，训练之后用来*描述*隐变量。模型不用它们训练。没有标签时，写零。
#
# 这些数字是从 0 到 16 的浮点数，所以要除以 16。它们按书写者的次序存放，所以在划分之前先用固定的种子打乱：各个集合都应当是同一分布的随机样本。
#
# 我们把它们划分为**三个**集合。模型用训练集训练。每个决定（训练多久、用多少维隐变量、用哪种似然）都根据*验证*集上的损失作出。*测试*集只在最后用一次：按测试损失挑选的模型，其测试损失过于乐观。

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
# 训练之前**看看图像**。第 2 节说明为什么。


# %%
def framed(images):
    """Adds a black border of one pixel, because these digits reach the edge of their images."""
    squares = np.reshape(images, (-1, *data.image_shape))
    return np.pad(squares, ((0, 0), (1, 1), (1, 1))).reshape(len(images), -1)


shape = (data.image_shape[0] + 2, data.image_shape[1] + 2)
show(plots.image_grid(framed(data.x_test[:60]), shape, "digits.npz: the first 60 test images"))

# %% [markdown]
# ## 2. 坏的文件
#
# 错误的文件会被拒绝，并给出一行说明，指出发现了什么、期望什么。在 Python 里这是一个 `UsageError`；在命令行上只打印这一行，退出状态为 2，发生在导入 TensorFlow 之前。下面是几个例子。

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
# 下一个错误没有检查能够发现。`uint8` 意味着 0 到 255，取值从 0 到 16 的 `uint8` 数组是有效的，只是图像非常暗。

# %%
dark = try_to_load(
    x_train=(good["x_train"] * 16).astype(np.uint8), x_test=(good["x_test"] * 16).astype(np.uint8)
)
show(plots.image_grid(framed(dark.x_test[:30]), shape, "The same digits as uint8 from 0 to 16"))

# %% [markdown]
# 模型能在这些图像上训练而不出错，并达到很低的损失，因为接近黑色的像素容易预测，但它几乎什么也没学到。所以要看图像，并打印它们的最小值和最大值。
#
# ## 3. 用任一实现训练
#
# 我们用博文的配方，图像较小，层也较小。在每一轮里，每个像素以灰度值为概率抽取为 0 或 1（动态二值化），这样似然就是二值图像的概率。`out` 文件夹保存这次训练：配置、历史、权重、检查点。

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
# （在 CPU 上应当全部相同；在 GPU 上可以期待在舍入误差之内一致。）

# %%
text = f"{data.name}: loss after each epoch, x: binary"
show(plots.loss_by_epoch(run.history, text, data.held_out_name))

# %% [markdown]
# 观察验证损失。这里它略高于训练损失，并且几乎不再下降，所以训练得够久了。只有二维隐变量，像素每轮重新抽取，模型几乎不可能过拟合。如果验证损失*上升*而训练损失仍在下降，就少训练几轮，多找些图像，或者用小一些的网络。（文件里没有 `x_valid` 时，这条曲线在测试集上测量。这时不要根据它作决定，或者不要把结果称为测试损失。）

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
# `draw_figures` 把一次训练的所有图写到它的文件夹里：

# %%
paths = draw_figures(folder / "runs" / "tf", data, import_implementation("tf_vae"))
print(*[path.relative_to(folder).as_posix() for path in paths], sep="\n")

# %% [markdown]
# ## 4. 用哪种似然？
#
# 这取决于一个像素*是什么*。
#
# | 像素 | 似然 |
# |---|---|
# | 黑或白 | `bernoulli` |
# | 灰度，只抽取一次成黑或白 | `bernoulli`，加 `binarization="fixed"` |
# | 灰度，只有形状重要 | `bernoulli`，加 `binarization="dynamic"` |
# | 灰度，少数几级之一 | `categorical`，`levels=` 级数 |
# | 灰度，在 [0, 1] 上连续 | `continuous-bernoulli`，或 `gaussian` |
# | 噪声已知的测量值 | `gaussian`，`fixed_sigma=` 噪声的标准差 |
# | 灰度，与博文一样 | `bernoulli`：训练得好，但它的损失不是 log p(x) 的界 |
#
# 如果图像本来就是黑白的，`fixed` 不改变任何像素。有没有它，报告都写 `x: binary`，并给出每像素比特，因为 `measure` 看的是像素本身：

# %%
binary = (data.x_test > 0.5).astype(np.float32)
fixed = recipe("post-keras", binarization="fixed")
print("fixed does not change 0 and 1:", np.array_equal(evaluation_images(binary, fixed), binary))

# %% [markdown]
# ### 每像素比特
#
# 损失是 $-\log p(x)$ 的上界，单位是每张图像的奈特。除以像素数，再除以 $\log 2$，单位就是每像素比特。如果像素是*离散*的，它是图像编码长度的界，所以不会是负数。如果似然是*密度*，它的值取决于 $x$ 的单位，正负都有可能。（灰度像素的伯努利似然两者都不是，所以报告不给出它的比特数。）
#
# 这里有一个负值的例子：在 `digits.npz` 上、$\sigma$ 由学习得到的高斯分布，而每个灰度值都是 1/16 的倍数：

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
# 密度可以大于 1，所以负值本身不是错误。问题在别处：边缘的一些像素在每张图像里都是 0。对它们来说，$\sigma$ 越小密度越大，如果 $\sigma$ 没有以 256 级灰度中的一级为下限，密度会趋于无穷。**在一再精确重复的值上，密度衡量的是重复，而不是模型。**
#
# 解决的办法是给每一级一个宽度：对于 17 级的值 $k = 0 \ldots 16$，存放 $(k + u)/17$，其中 $u$ 在 [0, 1) 上均匀分布。在这样的数据上，密度的比特数加上 $\log_2 17$，就是离散图像的比特数的上界（Theis 等，2016，arXiv:1511.01844）。这样所有似然都可以比较，包括 17 级的 categorical，它通过向下取整恢复 $k$。

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
# - **重构看不出差别。** 除最后一行外，各行看上去一样，但比特数相差很大。似然不仅描述像素的期望值，还描述它的不确定性。这里 categorical 最好：它对分布的形状不作任何假设，但输出权重要多到 17 倍。
# - 固定的 $\sigma$ 有后果。$\sigma = 1$ 时，一个像素从黑错到白只花费半个奈特，所以 KL 压过了重构：最后一行总是平均图像，它的比特数比各级均匀分布的还要高。这就是许多教程的“MSE + KL”损失。如果噪声已知，就设定它；否则让 $\sigma$ 通过学习得到。
# - `digits.npz` 与 `spread.npz` 的比特数不能比较，因为数据不同。用了 `binarization` 的比特数与两者都不能比较：二值图像所含的信息更少。
#
# ## 5. 读诊断结果
#
# `measure` 返回的每个数都带有两个误差，它们回答不同的问题。（训练图像只取一个样本，没有噪声误差。）

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
# - **标准误差**：换成同样大小的*另一个测试集*，这个数会变动多少。有些数字比别的难，360 张测试图像并不多。报告模型有多好时用它。
# - **噪声误差**：对同样的图像换成*另一些 z 的样本*，这个数会变动多少。它小得多，样本越多越小。判断样本是否抽得够多时用它。
#
# 噪声误差可以通过重复来检验。一个样本的噪声是十个样本的 $\sqrt{10}$ 倍：

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
# 这两个误差都不能回答模型 A 是否比模型 B 好。两个模型在*同样*的图像上测量，对一个模型难的图像，通常对另一个也难。所以要对每张图像计算差值。这里比较的是同一次训练所保存的两个轮次。

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
# ### z 被使用了吗？

# %%
metrics = measure_z(out, implementation, data)
for name, metric in metrics.items():
    if name.startswith(("test_knn", "test_sil", "test_kl_per", "active", "dead")):
        print(f"{name:30} {np.round(metric['value'], 3)!s:15} {metric['unit']}")

# %% [markdown]
# - `test_kl_per_dimension`：KL 接近 0 的一维不含信息。`active_units` 数的是均值随图像变化的维数（笔记本 5 第 6 节）。
# - `dead_units_…`：对每张测试图像都为 0 的 relu 隐藏单元。它们的梯度为零，所以训练不再改变它们。有几个是正常的；半层都是，就说明学习率可能太大。
# - `test_knn_accuracy_…`：由最近的 5 个*训练*隐变量预测测试标签的准确率。有十类时，随机猜测约为 0.1。`test_silhouette_…` 衡量各类是否分开；重叠时为 0。模型不是为这两者训练的，ELBO 更好也不一定使它们更好。如果所有标签都相同，就不给出它们。
#
# ### 这个界有多紧？
#
# 对同样的测试图像比较三个数：
#
# $$ \mathrm{ELBO} \;\le\; \text{importance bound with } K \text{ samples} \;\le\; \log p(x) $$
#
# 中间是 $K$ 个样本的重要性下界，随着 $K$ 增大，它趋于 $\log p(x)$。$\log p(x)$ 的值由平面上的数值积分算出，只有在二维隐变量和伯努利像素时才做得到。这要花些时间，所以只用少数图像。

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
# $\log p(x)$ 与 ELBO 之差是 $q(z|x)$ 到真实后验的 KL，是损失中由*编码器*造成的部分。其余的由*解码器*和数据造成。如果重要性下界远高于 ELBO，应当先改进编码器。（这个界在期望的意义上成立；单独一次估计可能略高于精确值。）
#
# ## 6. 在命令行上做同样的事
#
# 下面的命令在终端里做同样的事。把 `tf_vae` 换成 `keras_vae`，得到同样的位。
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
# 其他似然是 `--likelihood gaussian --fixed-sigma 0.2` 和 `--likelihood continuous-bernoulli`。一次训练保存了数据的哈希：如果文件变了，`evaluate` 会说明并停止。（注意输出里的 `n`：重要性下界是对所有测试图像的，精确值只对前 40 张。）
#
# ## 7. 换成别的图像会怎样
#
# - **大小。** 编码器和解码器是全连接网络。大约到 64 × 64 像素都工作得好。图像更大时请用卷积：README 说明怎样[使用自己的网络](../README.zh-CN.md#使用自己的网络)。
# - **位置。** 全连接层不知道哪些像素相邻。把对象居中，并缩放到同样大小，就像 MNIST 那样；这往往比其他设置更有帮助。
# - **颜色。** 形状为 (n, rows, columns, 3) 的图像以每像素三个数训练，图也是彩色的。图像的灰度副本只需要更小的模型。
# - **数量。** 一千张图像够做第一次实验，但不足以得到可靠的结果：请比较训练损失与测试损失。

# %% [markdown]
# ## 练习
#
# 填入答案，运行单元格，它会告诉你答案是否正确（`not answered yet`：尚未作答；`right`：正确；`not yet`：还不对，后面是提示）。
#
# **练习 1.** 一台显微镜产生取值从 0 到 4095 的 `uint16` 图像。写一个函数，为这种文件格式准备它们，使黑色读入为 0，白色读入为 1。

# %%
answer_1 = None  # your answer, a function: lambda x: …


def arrives(prepare):
    """Returns whether scans have the right grey values after they are prepared, saved and loaded."""
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
    "Convert them to float in [0, 1]: by which number must 4095 be divided to give exactly 1?",
)

# %% [markdown]
# **练习 2.** 对 8 × 8 像素的黑白图像，测试损失是每张 40 奈特。这是每像素多少比特？保留三位小数。

# %%
answer_2 = None  # your answer, a number

check(
    "exercise 2",
    answer_2,
    lambda bits: abs(bits - 40 / (8 * 8 * math.log(2))) < 1e-3,
    "Divide by the number of pixels, and by log 2: a bit is 0.693 nats.",
)

# %% [markdown]
# **练习 3.** 各图像的 ELBO 在测试集上的标准差是 30 奈特。要使标准误差为半个奈特，需要多少张测试图像？

# %%
answer_3 = None  # your answer, a number

check(
    "exercise 3",
    answer_3,
    lambda n: abs(30 / math.sqrt(n) - 0.5) < 1e-3,
    "The standard error is the standard deviation over the square root of n.",
)

# %% [markdown]
# **练习 4.** 你的图像是灰度的。你想在只抽取一次的 0 和 1 的图像上训练，并希望报告里有每像素比特。配方 `post-keras` 的哪些字段必须改变？用字典回答，就像用于 `recipe("post-keras", **answer)` 那样。

# %%
answer_4 = None  # your answer, a dict: {"field": value, …}


def draws_binary_images(changes):
    """Returns whether a recipe with these changes draws binary pixels once, with their likelihood."""
    try:
        changed = recipe("post-keras", **changes)
    except UsageError:
        return False
    return changed.likelihood == "bernoulli" and changed.binarization == "fixed"


check(
    "exercise 4",
    answer_4,
    draws_binary_images,
    "The likelihood is already right. Which field says when the pixels are drawn?",
)

# %% [markdown]
# **练习 5.** 在 256 级的图像上，每一级在 1/256 的宽度上均匀散开，一个连续伯努利分布达到每像素 −5.2 比特（[0, 1] 上的密度）。一个 256 级的 categorical 达到每像素 3.1 比特。按后者的尺度，前者达到每像素多少比特？

# %%
answer_5 = None  # your answer, a number

check(
    "exercise 5",
    answer_5,
    lambda bits: abs(bits - (-5.2 + math.log2(256))) < 1e-6,
    "See section 4: add the number of bits that select one of 256 steps of equal width.",
)
