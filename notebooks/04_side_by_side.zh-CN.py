# %% [markdown]
# # 4. 并排对照：一个算法，写了两遍
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/04_side_by_side.zh-CN.ipynb)
#
# ## 你将学到什么
#
# - 同样的计算在 Keras 和在纯 TensorFlow 里各是什么样子，逐块来看。
# - 每个框架替你决定了什么。
# - **一致性阶梯**：两个实现的权重、图像次序、噪声、输出、损失、梯度和训练后的权重都相同。相同是指每一位都相同。
# - 什么使各位相同，什么会改变它们：编译器、种子、用平均代替求和。
# - 两者各有多快。
#
# 在两个 CPU 核上，这个笔记本大约需要两分钟。结果对一台机器、在它的 CPU 上、两个实现都由 XLA 编译时成立；[没有证明什么](../README.zh-CN.md#证明了什么界限在哪里)见 README。

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
import inspect
import tempfile
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_vae.batches
import keras_vae.model
import keras_vae.beyond.program
import keras_vae.train
import tf_vae.batches
import tf_vae.model
import tf_vae.beyond.program
import tf_vae.train
from shared import elbo
from shared.show.figures import lessons
from shared.command.implementation import import_implementation
from shared.config import recipe
from shared.data import load_data
from tools import KeepGradient, block, side_by_side
from shared.measure.programs import differences
from shared.training.optimizer import build_optimizer
from shared.seeds import seed_of
from shared.measure.parity import compare

ours, theirs = import_implementation("keras_vae"), import_implementation("tf_vae")
data = load_data("mnist-5k")

# %% [markdown]
# ## 1. 逐块对照
#
# 两个包有同样的文件，文件里有同样的函数，次序也相同，每一对相应的块都以同样的注释为标题。所以可以从源代码里取出这些块并排显示，左边是 Keras。


# %%
def both_blocks(module, word):
    """Shows the block `# word` of keras_vae/MODULE.py and of tf_vae/MODULE.py side by side."""
    sources = [
        inspect.getsource(sys.modules[f"{package}.{module}"]) for package in ("keras_vae", "tf_vae")
    ]
    titles = [f"{package}/{module}.py" for package in ("keras_vae", "tf_vae")]
    return side_by_side(*(block(source, word) for source in sources), titles)


both_blocks("model", "encode")

# %% [markdown]
# **编码。** 左边，层是自己创建权重的对象，对符号输入调用一层，就把它加进图里。右边，权重已按名称存在，代码就是计算本身。
#
# *Keras 决定*权重的名称、何时创建权重、在哪里检查形状。

# %%
both_blocks("model", "decode")

# %%
both_blocks("model", "sample")

# %% [markdown]
# **抽样。** 这一块风格差别最大。右边，噪声是种子的函数，种子是参数。左边，抽样是一个层，它的 `call` 定义在别处：

# %%
print(inspect.getsource(keras_vae.model.Sampling.call))

# %% [markdown]
# Keras 的 `SeedGenerator` 有*状态*：一个种子，和一个每次调用都增加的计数器。两个实现能够一致，只是因为没有别的东西从这个发生器抽取时，计数器就是步数。所以有两个发生器，一个用于训练，一个用于评估；如果只有一个，一次验证就会改变此后的全部噪声。

# %%
both_blocks("model", "objective")

# %% [markdown]
# **目标。** 两边调用 `shared/objective.py` 里同样的函数，公式在 `shared/elbo.py` 里。数学在任何框架里都只有一个正确结果，所以只写一遍。

# %%
both_blocks("train", "update")

# %% [markdown]
# **更新。** 在这里，`fit` 替你做得最多。右边可以看到磁带、梯度、优化器的一步、日志的累计平均和编译后的循环。左边只看到 `compile`，看不到其余的。

# %%
titles = ["keras_vae/train.py", "tf_vae/train.py"]
bodies = keras_vae.train._fit, tf_vae.train._loop
side_by_side(*(inspect.getsource(function) for function in bodies), titles)

# %% [markdown]
# **循环。** 左边是对 `fit` 的调用，右边是 `fit` 所做的事：取一轮的次序，运行编译后的各步，读取平均值，评估，显示进度条。（左边每轮之后做的事在它的回调里。）
#
# 差别列成一张表：
#
# | | `keras_vae` | `tf_vae` | 由谁决定 |
# |---|---|---|---|
# | 权重 | 由层创建 | 由我们按名称创建 | Keras：名称，以及“glorot”的含义 |
# | 噪声 | 有状态的发生器 | 种子的函数 | Keras：状态何时前进 |
# | 损失 | `compute_loss` | 训练步里的一行 | Keras：日志怎样取平均 |
# | 梯度、更新 | 在 `fit` 里面 | `tape.gradient`、`optimizer.apply` | 没有差别：两者用同一个 Keras 优化器 |
# | 轮 | `steps_per_epoch` | 循环 | Keras：何时运行回调 |
# | 次序 | 批次的数据流 | 下标的表 | 我们：`fit` 会按自己的方式打乱 |
# | 编译 | `jit_compile=True` | `tf.function(jit_compile=True)` | 我们：在 CPU 上，“auto”不用 XLA |
#
# ## 2. 阶梯
#
# 它们是同一个算法吗？我们从初始权重到训练后的权重，一级一级地比较。只有字节相同，一级才算*通过*，没有容差。（每次运行测试，`tests/implementations/test_parity.py` 都对几个模型和优化器做这些比较。）
#
# 例子是博文的 Keras 配方，每批 64 张：62 个整批，最后一批 32 张图像。

# %%
config = recipe("post-keras", batch_size=64, epochs=fast(10, 3), seed=3)
n, epoch_steps = len(data.x_train), config.steps_per_epoch(len(data.x_train))
ladder = {}


def same_bits(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def rung(name, same):
    """Records and prints whether a rung holds."""
    ladder[name] = bool(same)
    print(f"{name}: bit-identical {'yes' if same else 'NO'}")


def same_weights(a, b):
    return all(each["bit_identical"] for each in compare(a, b).values())


print(f"{n:,} images, {epoch_steps} steps per epoch, {config.epochs} epochs")

# %% [markdown]
# **第 1 级：初始权重**是 (seed, name) 的函数。

# %%
fit_model, tape_model = (v.build(config, data.input_dim) for v in (ours, theirs))
weights, others = ours.gather(fit_model), theirs.gather(tape_model)
print(len(weights), "weights,", f"{sum(w.size for w in weights.values()):,}", "numbers")
rung("1 initial weights", list(weights) == list(others) and same_weights(weights, others))

# %% [markdown]
# **第 2 级：图像的次序**是 (seed, epoch) 的函数。左边是批次的数据流，右边是图像和下标的表。逐批比较两轮。

# %%
stream = keras_vae.batches.training_batches(data.x_train, config)
table = tf_vae.batches.training_batches(data.x_train, config)
from_table = []
for images, orders in islice(table, 2):
    from_table += [tf.gather(images, rows) for order in orders for rows in order]
from_stream = list(islice(iter(stream), len(from_table)))
print(len(from_table), "batches; sizes", sorted({len(batch) for batch in from_table}))
rung(
    "2 order of images", all(same_bits(a, b) for a, b in zip(from_stream, from_table, strict=True))
)

# %% [markdown]
# **第 3 级：噪声**是 (seed, step) 的函数。左边，发生器设为从第 0 步开始，然后自己计数；右边，步数是种子的第二半。

# %%
sampling = fit_model.sampling
sampling.start_training_noise(config.seed, 0)
zeros = np.zeros((64, config.latent_dim), np.float32)  # z = 0 + 1 · epsilon
same = True
for step in range(10):
    drawn = sampling([zeros, zeros], training=True)
    same &= same_bits(drawn, tf.random.stateless_normal(zeros.shape, [seed_of(3, "noise"), step]))
print("first epsilon of step 10:", np.array(drawn)[0])
rung("3 noise", same)

# %% [markdown]
# **第 4 级：编码器和解码器的输出。**

# %%
(mean, log_var), (other_mean, other_log_var) = (
    ours.encode(fit_model, data.x_test),
    theirs.encode(tape_model, data.x_test),
)
decoded = ours.decode(fit_model, mean), theirs.decode(tape_model, mean)
rung("4 q(z|x)", same_bits(mean, other_mean) and same_bits(log_var, other_log_var))
rung("4 p(x|z)", same_bits(*decoded))

# %% [markdown]
# **第 5 级：第一步的损失和梯度。** `fit` 不返回梯度。所以我们给两个实现一个只保存梯度、不改变权重的优化器，再从检查点里读出梯度。


# %%
print(inspect.getsource(KeepGradient))

folder = Path(tempfile.mkdtemp())
one_step = dataclasses.replace(config, epochs=None, steps=1, step_losses=True)
usual, keras.optimizers.SGD = keras.optimizers.SGD, KeepGradient
try:
    kept, first_losses = [], []
    for implementation in (ours, theirs):
        sgd = dataclasses.replace(one_step, optimizer="sgd")
        _, run = implementation.train(
            sgd, data, folder / f"gradient-{implementation.name}", verbose=0
        )
        first_losses.append(np.float32(run.step_losses[0]))
        with np.load(run.directory / "checkpoints" / "last.npz") as file:
            kept.append({name: file[name] for name in file.files if "/gradient/" in name})
finally:
    keras.optimizers.SGD = usual

print(
    "loss:",
    *first_losses,
    "nats;",
    len(kept[0]),
    "gradients, the largest entry",
    f"{max(np.abs(gradient).max() for gradient in kept[0].values()):.3f}",
)
rung("5 loss", same_bits(*first_losses))
rung("5 gradients", same_weights(*kept))

# %% [markdown]
# **第 6 级：一步之后的权重**，现在用的是配方的优化器 RMSprop。

# %%
(fit, _), (tape, _) = (
    implementation.train(one_step, data, verbose=0) for implementation in (ours, theirs)
)
rung("6 weights after a step", same_weights(ours.gather(fit), theirs.gather(tape)))

# %% [markdown]
# **第 7 级：一轮之后的权重**，最后一批比其他批小。每个实现训练几轮，供这一级和下一级使用；它的文件夹里有第 1 轮的权重。

# %%
whole = dataclasses.replace(config, picture_epochs=(1,), step_losses=True)
(fit, fit_run), (tape, tape_run) = (
    implementation.train(whole, data, folder / implementation.name, verbose=0)
    for implementation in (ours, theirs)
)
after_one = [
    implementation.load(folder / implementation.name, epoch=1)[0]
    for implementation in (ours, theirs)
]
rung(
    "7 weights after an epoch", same_weights(ours.gather(after_one[0]), theirs.gather(after_one[1]))
)

# %% [markdown]
# **第 8 级：几轮之后**，包括每一步的损失和评估。评估的噪声是 (seed, sample, batch) 的函数，所以评估不影响训练。

# %%
losses, others = fit_run.step_losses, tape_run.step_losses
print(f"{len(losses)} steps; losses {losses[0]:.3f}, {losses[1]:.3f}, … {losses[-1]:.3f}")
rung("8 loss of every step", losses == others)
rung(f"8 weights after {config.epochs} epochs", same_weights(ours.gather(fit), theirs.gather(tape)))

measured = ours.evaluate(fit, data.x_test, config), theirs.evaluate(tape, data.x_test, config)
print({name: round(value, 6) for name, value in measured[0].items()})
rung("8 evaluation", measured[0] == measured[1])

# %% [markdown]
# **第 9 级：接力。** `keras_vae` 训练一轮后停下，`tf_vae` 从文件夹继续并完成。结果与一次不间断的训练比较：

# %%
begun = dataclasses.replace(config, epochs=1)
ours.train(begun, data, folder / "relay", verbose=0)
relayed, run = theirs.train(config, data, folder / "relay", resume=True, verbose=0)
print("trained by", " then ".join(run.trained_by))
rung("9 relay", same_weights(theirs.gather(relayed), theirs.gather(tape)))

# %%
print("\n".join(f"{'yes' if same else 'NO ':4} {name}" for name, same in ladder.items()))
print(f"{sum(ladder.values())} of {len(ladder)} rungs hold")

# %% [markdown]
# 一条规则使这成为可能：**每个随机数都是种子和使用位置的函数**。次序 = f(seed, epoch)，噪声 = f(seed, step)，权重 = f(seed, name)。于是结果既不取决于由哪个实现抽取，也不取决于之前抽取过什么。
#
# ### 两种风格，一个程序
#
# 阶梯是对一个配置的实验。它的结果的原因也可以展示出来。每个实现都交给 XLA 一个程序：`fit` 的一步，以及我们循环的循环体。`step_program` 读取这个程序，并去掉对数值没有影响的东西：名称、互不依赖的指令的次序，以及只依赖整数的整数（噪声的种子、计数器）。剩下的就可以比较，在 XLA 优化之前和之后。

# %%
programs = {}
for stage in ("before", "after"):
    pair = [
        module.step_program(config, len(data.x_train), data.input_dim, config.batch_size, stage)
        for module in (keras_vae.beyond.program, tf_vae.beyond.program)
    ]
    programs[stage] = differences(*pair)
    print(f"{stage} XLA optimizes: {len(pair[1].results)} results, made of the same instructions:")
    print("   ", "yes" if not programs[stage] else programs[stage])

# %% [markdown]
# 结果是新的权重、优化器的变量和日志的累计平均。每一个都由同样的指令从同样的输入算出，所以在一台机器上，无论输入是什么，各位*必然*相同。
#
# 优化之后要做到这一点，需要一个设置。默认情况下 XLA 会把常量移到我们的循环之外，在那里它无法化简与常量相乘的部分；而 `fit` 的一步没有循环。对随机配置的搜索发现，在少数配置里这会改变一些位，所以 `shared/machine/backend.py` 关闭了这个优化（`while-loop-invariant-code-motion`）。
#
# 有差别时是什么样子？这里我们在 `tf_vae` 里用 `+` 加偏置，而 `Dense` 用 `bias_add`。各行是只有其中一个程序才有的指令，`-` 是 Keras 的，`+` 是 TensorFlow 的。偏置梯度中的*求和*不同；又因为 `+` 可能广播，TensorFlow 要计算一些原本已知的长度。


# %%
def plain_plus(h, kernel, bias):
    return tf.matmul(h, kernel) + bias


theirs_dense, tf_vae.model.dense = tf_vae.model.dense, plain_plus
try:
    pair = [
        module.step_program(config, len(data.x_train), data.input_dim, config.batch_size)
        for module in (keras_vae.beyond.program, tf_vae.beyond.program)
    ]
finally:
    tf_vae.model.dense = theirs_dense
print("\n".join(differences(*pair)))

# %% [markdown]
# `make parity COUNT=1000` 用一千个随机配置和数据集训练两个实现，并比较每一位。
#
# 这样的证明发现不了*两个*实现共有的错误，而它们的数学是共用的。所以测试用 NumPy 在 float64 里把一切再算一遍，梯度由手工推导（`tests/helpers/oracle.py`）。
#
# ## 3. 什么会改变各位
#
# 逐位相同是一个严格的标准。为了看出有多严格，我们像笔记本 3 那样手写循环，每次只改动一处。被改动的部分是一个参数：损失，它是模型、图像和噪声的函数。

# %%
config = recipe("post-keras", steps=fast(400, 10))
watched = [s for s in (1, 2, 5, 10, 20, 40, 100, 200, 300, 400) if s <= config.steps]
stream = iter(keras_vae.batches.training_batches(data.x_train, config))
batches = list(islice(stream, config.steps))


def by_hand(config, loss_of, compiled=True):
    """Returns the weights after each watched number of steps: {steps: {name: array}}."""
    model = theirs.build(config, data.input_dim)
    variables = list(model.named_weights.values())
    optimizer = build_optimizer(config, len(data.x_train), variables)

    def step(x, noise_seed):
        with tf.GradientTape() as tape:
            loss = loss_of(model, x, noise_seed)
        optimizer.apply(tape.gradient(loss, variables), variables)

    step = tf.function(step, jit_compile=True) if compiled else step
    weights, noise = {}, seed_of(config.seed, "noise")
    for number in range(config.steps):
        step(batches[number], tf.constant([noise, number]))
        if number + 1 in watched:
            weights[number + 1] = theirs.gather(model)
    return weights


def distance(a, b):
    """Returns the largest |difference| of any weight after each watched number of steps."""
    worst = {s: max(w["max_abs_difference"] for w in compare(a[s], b[s]).values()) for s in a}
    return np.array([worst[s] for s in watched])


def as_it_is(model, x, noise_seed):
    return elbo.negative_elbo(**model(x, noise_seed))


loop = by_hand(config, as_it_is)
fit, _ = ours.train(config, data, verbose=0)
same = same_weights(loop[config.steps], ours.gather(fit))
print(
    f"the loop by hand and fit after {config.steps} steps: bit-identical {'yes' if same else 'NO'}"
)

# %% [markdown]
# 从这里开始，所有的训练都与这个手写循环比较。
#
# ### 用平均代替求和
#
# 在数学上，784 个像素的和就是它们平均值的 784 倍。我们用*每个像素*的对数似然来写这一步，并用三种方式归约：求和，与之前相同；平均值乘以 784；以及*不带*这个因子的平均值，这是一个著名的错误，也是另一个模型：相当于 β = 784，笔记本 5 训练了它。（如果 KL 也对两维隐变量取平均，就是笔记本 1 的 β = 392。）


# %%
def pixel_by_pixel(together):
    """Returns the loss with `together`, which reduces log-likelihoods (batch, 784) to (batch,)."""

    def loss_of(model, x, noise_seed):
        z_mean, z_log_var = model.encoder(x)
        epsilon = tf.random.stateless_normal(tf.shape(z_mean), noise_seed)
        logits = model.decoder(elbo.reparameterize(z_mean, z_log_var, epsilon))["logits"]
        each = [tf.reshape(values, (-1, 1)) for values in (x, logits)]
        pixels = tf.reshape(elbo.bernoulli_log_likelihood(*each), tf.shape(x))
        kl = elbo.kl_to_standard_normal(z_mean, z_log_var)
        return elbo.negative_elbo(together(pixels), kl)

    return loss_of


ways = {
    "sum of the pixels": lambda pixels: tf.reduce_sum(pixels, axis=1),
    "784 · mean of the pixels": lambda pixels: 784 * tf.reduce_mean(pixels, axis=1),
    "mean, without the factor": lambda pixels: tf.reduce_mean(pixels, axis=1),
}
away = {
    name: distance(by_hand(config, pixel_by_pixel(way)), loop)
    for name, way in fast(list(ways.items()), list(ways.items())[:1])
}

# %% [markdown]
# ### 另一个种子
#
# 种子改变初始权重和噪声；图像的次序不变。

# %%
away["another seed"] = distance(by_hand(dataclasses.replace(config, seed=1), as_it_is), loop)

# %% [markdown]
# ### 不用 XLA
#
# 现在两个实现都不用编译器：`fit` 设 `jit_compile=False`，循环即时执行。两者*互相*比较：权重、次序、噪声都相同。


# %%
def fit_without_xla(config):
    """Returns the same as `by_hand`, by `fit`."""
    model = ours.build(config, data.input_dim)
    optimizer = build_optimizer(config, len(data.x_train), model.trainable_variables)
    model.compile(optimizer=optimizer, jit_compile=False)
    weights = {}

    def record(batch, logs):
        if batch + 1 in watched:
            weights[batch + 1] = ours.gather(model)

    model.fit(
        keras_vae.batches.training_batches(data.x_train, config),
        steps_per_epoch=config.steps,
        callbacks=[
            keras_vae.train.Noise(config.seed, 0),
            keras.callbacks.LambdaCallback(on_train_batch_end=record),
        ],
        shuffle=False,
        verbose=0,
    )
    return weights


def both_without_xla(config):
    """Returns the weights of `fit` and of the eager loop at the watched steps."""
    tf.config.run_functions_eagerly(True)
    try:
        eager = by_hand(config, as_it_is, compiled=False)
    finally:
        tf.config.run_functions_eagerly(False)
    return fit_without_xla(config), eager


plain_fit, eager = both_without_xla(config)
away["XLA off: fit against the loop"] = distance(plain_fit, eager)
keras_3 = dataclasses.replace(config, rmsprop_epsilon="inside")
keras_3_runs = both_without_xla(keras_3)
away["the same, with Keras 3's RMSprop"] = distance(*keras_3_runs)
away["the loop, XLA off against XLA on"] = distance(eager, loop)

# %%
print(f"{'largest |difference| of a weight; steps':42}" + "".join(f"{step:>9}" for step in watched))
for name, values in away.items():
    print(f"{name:42}" + "".join(f"{value:9.0e}" for value in values))

# %%
text = f"post-keras · {data.name} · largest difference of two runs in any weight"
lines = {name: np.where(values > 0, values, np.nan) for name, values in away.items()}
show(lessons.curves(np.array(watched), lines, text, "step", "largest |difference|", log="xy"))

# %%
kernel = "encoder/hidden_1/kernel"
print(
    "step   weights of the kernel apart by more than 1e-5, and the hidden units that they belong to"
)
for step in watched:
    apart = np.abs(keras_3_runs[0][step][kernel] - keras_3_runs[1][step][kernel]) > 1e-5
    print(
        f"{step:4} {apart.sum():8,} of {apart.size:,} {apart.any(axis=0).sum():6} of {apart.shape[1]}"
    )

# %% [markdown]
# 从图的上方往下看：
#
# - **另一个种子**从一开始就是另一个模型。（权重不同的两个模型可能一样好：这幅图比较的是各位，不是质量。）
# - **不带因子的平均值**：KL 的权重错了 784 倍，所以梯度的大小和方向都不同。RMSprop 会除掉大小，因此第一步的差别就有一步那么长。
# - **一边用 XLA、一边不用**，差别同样大，原因很简单：编译后的函数从同一个种子抽出不同的噪声。两者都正确，是两次不同的训练。
# - **两边都不用 XLA，RMSprop 用 Keras 3 的形式**：第一步之后权重相差 $10^{-8}$，是 float32 的最后一位。在图里，TensorFlow 把 $g / \sqrt{a + \varepsilon}$ 算成 $g \cdot \mathrm{rsqrt}(a + \varepsilon)$；在即时执行的循环里则不会。用 Keras 2 的形式 $g / (\sqrt a + \varepsilon)$ 时没有什么可改写的，**两者逐位相等**（差别是 0，所以图里没有这条线）。这只是用一个网络做的一次实验；不用 XLA 时，除此之外什么也没有证明。
# - **把像素的和写开**：同样的公式用了别的运算，编译器就算出别的和。784 乘以平均值*没有带来更多变化*；两条线重合，因为编译器把一个变换成了另一个。
#
# 后三者从最后一位的差别开始，在 100 步里一直小于 $10^{-6}$。到第 200 步时，差别是一万倍，最后一张表说明它在哪里：在一半以上的隐藏单元里。这是**蝴蝶效应**，而不是舍入误差的增长。一个 relu 在一次训练里略大于 0，在另一次里略小于 0，于是在一次里有梯度，在另一次里没有。在很少有图像用到的像素上，这就是一个权重的全部梯度，而 RMSprop 用梯度自己的大小去除它，把它变成整整一步。（[docs/scaling.md](../docs/scaling.md#several-workers) 里有一个例子，找到了最先相差整整一步的权重：它们属于两个单元。）
#
# 所以“几乎相同”维持不了几百步，这就是阶梯比较各位的原因。如果容差是 $10^{-6}$，真正的错误可能在第一步通过，而正确的程序会在第四百步失败。
#
# ## 4. 速度
#
# 比较两者各一轮的时间，只计训练，取第 8 级那次训练的时间：各轮中最快的一轮，因为别的进程只会增加时间。前两轮含有编译，不计。

# %%
seconds = {
    name: min(row["seconds"] for row in run.history[2:])
    for name, run in (("keras_vae", fit_run), ("tf_vae", tape_run))
}
ratio = seconds["keras_vae"] / seconds["tf_vae"]
print(f"in this run, one epoch of fit takes {ratio:.1f} times as long as one of the compiled loop")

# %% [markdown]
# 这个数并不准确。63 步的一轮非常短，在繁忙的机器上，两者中任何一个都可能更快。[README](../README.zh-CN.md#速度) 里有在 MNIST 上更好的测量，每个都有许多轮，旁边还有多数教程的用法。如果一次调用运行许多步，`fit` 在各步之外所做的事（请求批次、运行回调、记录日志）只占很少的时间。
#
# 该用哪种风格？如果 `fit` 的决定适合你，就用 `fit`：它更短，而且同样精确。如果像笔记本 3 那样需要看到或改动一步，就用循环。

# %% [markdown]
# ## 练习
#
# 填入答案，运行单元格，它会告诉你答案是否正确（`not answered yet`：尚未作答；`right`：正确；`not yet`：还不对，后面是提示）。
#
# **练习 1.** 这就是第 3 节那些差别的原因：给出三个数，它们的 float32 和取决于次序，即 $(a + b) + c \ne a + (b + c)$。

# %%
answer_1 = None  # your answer, three numbers: (a, b, c)


def depends_on_order(a, b, c):
    a, b, c = map(np.float32, (a, b, c))
    total = (a + b) + c, a + (b + c)
    return bool(np.isfinite(total).all() and total[0] != total[1])


check(
    "exercise 1",
    answer_1,
    lambda numbers: depends_on_order(*numbers),
    "Float32 has about seven digits. What happens to a small number that is added to a large one?",
)

# %% [markdown]
# **练习 2.** 在 4,000 张图像上、每批 64 张的一次训练，在三轮之后停下，然后继续。它首先抽取第几步的噪声？（最初的一步是第 0 步。）

# %%
answer_2 = None  # your answer, a whole number

steps_of_three = recipe("post-keras", batch_size=64, epochs=3).total_steps(4000)
check(
    "exercise 2",
    answer_2,
    lambda step: step == steps_of_three,
    "Count the smaller batches, too; the first step has number 0.",
)

# %% [markdown]
# **练习 3.** 为什么比较字节，而不用 `==`？给出两个数或数组，`np.array_equal` 认为相等，`same_bits` 却不认为相等。

# %%
answer_3 = None  # your answer, two numbers or arrays: (a, b)


def bytes_differ(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes()


check(
    "exercise 3",
    answer_3,
    lambda pair: np.array_equal(pair[0], pair[1]) and bytes_differ(pair[0], pair[1]),
    "Which number exists with both signs? Or: can equal numbers have different types?",
)

# %% [markdown]
# **练习 4.** 一步之后，一个大约 0.05 的权重在两个实现之间相差 $3.7 \cdot 10^{-9}$。在 0.05 处，这是多少个 float32 步长？（`np.spacing` 给出到下一个数的距离。）这是错误还是舍入？

# %%
answer_4 = None  # your answer, a whole number

check(
    "exercise 4",
    answer_4,
    lambda count: count == round(3.7e-9 / float(np.spacing(np.float32(0.05)))),
    "The spacing of float32 at 0.05, not of float64, and not at 1.",
)
