"""Runs a command that draws figures, and draws the words in them in Chinese.

For the Chinese documentation, from the folder of the project:

    python benchmarks/in_chinese.py benchmarks/diagrams.py --out docs/figures/zh-CN
    python benchmarks/in_chinese.py -m keras_vae figures runs/post-keras

Nothing else changes: the same command draws the same figure in English. The font is that of
Debian's package fonts-droid-fallback, or a file named in CHINESE_FONT.
"""

import os
import re
import runpy
import sys
from pathlib import Path

from matplotlib import font_manager
from matplotlib.text import Text

from shared.command.line import exit_status
from shared.machine.checks import UsageError
from shared.show.figures import plots

__all__ = ["WORDS", "chinese", "in_chinese"]

FONT = Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf")
# Regular expressions and what replaces them, in this order. Names of the code stay as they are.
WORDS = {
    # along the axes
    r"mean of q\(z\|x\)": "q(z|x) 的均值",
    r"at quantiles (\S+) to (\S+) of N\(0, 1\)": r"N(0, 1) 的 \1 到 \2 分位数",
    r"^training loss = −ELBO, nats per image$": "训练损失 = −ELBO，nats/图像",
    r"^loss = −ELBO, nats per image$": "损失 = −ELBO，nats/图像",
    r"^microseconds per image$": "微秒/图像",
    r"^seconds per epoch$": "秒/轮",
    r"^nats per image$": "nats/图像",
    r"^epoch$": "轮",
    r"^step$": "步",
    r"^batch size$": "批大小",
    r"^hidden units$": "隐单元数",
    r"^images$": "图像数",
    # captions
    r"\bepoch (\d+)": r"第 \1 轮",
    r"\bseed (\d+)": r"种子 \1",
    r"\btest set$": "测试集",
    r"· test loss after each epoch": "· 每轮之后的测试损失",
    r"· running means over 10 steps": "· 10 步的滑动平均",
    r", changed in one thing ·": "，各改变一处 ·",
    r"([\d,]+) images\b": r"\1 张图像",
    r"([\d,]+) rounds\b": r"\1 个回合",
    r"\b(\d+)-D z": r"\1 维 z",
    r", binary: recipe nats, (\d+) epochs, batch (\d+)": r"，二值：配方 nats，\1 轮，批大小 \2",
    # legends
    r"^post-tf, seeds (\d+) to (\d+): range and median$": r"post-tf，种子 \1 到 \2：范围和中位数",
    r"^the script of 2018, (\d+) runs: range and median$": (
        r"2018 年的脚本，\1 次训练：范围和中位数"
    ),
    r"^post-tf with Keras' ε = (\S+), seeds (\d+) to (\d+)$": (
        r"post-tf，用 Keras 的 ε = \1，种子 \2 到 \3"
    ),
    r"^median \(line\) and range \(band\) of (\d+) seeds$": r"\1 个种子的中位数（线）和范围（带）",
    r"^minimum$": "最小值",
    r"^median$": "中位数",
    r"^(\d+) threads?$": r"\1 个线程",
    r"^five matrix products$": "五个矩阵乘积",
    r", per step$": "，每步一次调用",
    r"^Keras fit, defaults$": "Keras fit，默认值",
    r"^PyTorch, compiled$": "PyTorch，编译",
    r"^PyTorch, eager$": "PyTorch，即时执行",
    r"^JAX, scan$": "JAX，scan",
    r"^(\S+): −ELBO$": r"\1：−ELBO",
    r"^(\S+): −importance bound, K = (\d+)$": r"\1：−重要性下界，K = \2",
    r"^(\S+), Burda et al\.: (\S+)$": r"\1，Burda et al.：\2",
    r"^(\S+), reruns by others: (\S+) to (\S+)$": r"\1，别人的重跑：\2 到 \3",
    # rows of images
    r"^test images$": "测试图像",
    r"^autoencoder: reconstruction$": "自编码器：重构",
    r"^autoencoder: z ~": "自编码器：z ~",
    r"^VAE: reconstruction$": "VAE：重构",
    r"^VAE: z ~": "VAE：z ~",
    # diagrams
    r"^The networks of the model, and its tensors with shapes$": "模型的网络，以及各个张量和形状",
    r"^The gradient of the loss flows backward, along the green arrows$": (
        "损失的梯度沿绿色箭头反向流动"
    ),
    r"^encoder\n": "编码器 encoder\n",
    r"^decoder\n": "解码器 decoder\n",
    r"^decoder,\nloss$": "解码器，\n损失",
    r"^random\ndraw$": "随机\n抽取",
    r"^z is drawn from N\(μ, σ²\)$": "z 从 N(μ, σ²) 中抽取",
    r"^a draw has no derivative:\nthe gradients of μ and σ are None$": (
        "抽取没有导数：\nμ 和 σ 的梯度是 None"
    ),
    r"^loss = mean\(": "损失 loss = mean(",
}


def in_chinese(text):
    """Returns the text of a figure with its words in Chinese."""
    for pattern, replacement in WORDS.items():
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def chinese(figure, font):
    """Replaces the words of a figure; the other characters keep the font that they had.

    Args:
        figure: matplotlib Figure, which is changed.
        font: name of a font that has Chinese characters.
    """
    for text in figure.findobj(Text):
        words = in_chinese(text.get_text())
        if words != text.get_text():
            text.set_text(words)
            text.set_fontfamily([*text.get_fontfamily(), font])
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        names = [label.get_text() for label in axis.get_ticklabels()]
        words = [in_chinese(name) for name in names]
        if words != names:  # the axis writes its own names again when it is drawn
            for label in axis.set_ticks(axis.get_ticklocs(), words):
                label.label1.set_fontfamily([*label.label1.get_fontfamily(), font])
    return figure


def main():
    """Runs the command that follows on the command line, with figures in Chinese."""
    command = sys.argv[1:]
    if not command or command == ["-m"]:
        raise UsageError("no command is given; expected a script, or -m and a module")
    path = Path(os.environ.get("CHINESE_FONT", FONT))
    if not path.is_file():
        raise UsageError(
            f"there is no font at {path}; install it: apt install fonts-droid-fallback"
        )
    font_manager.fontManager.addfont(path)
    font, rendered = font_manager.get_font(path).family_name, plots._rendered
    plots._rendered = lambda figure, dpi: rendered(chinese(figure, font), dpi)
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.path.insert(0, str(Path(command[0]).parent))
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    sys.exit(exit_status(main))
