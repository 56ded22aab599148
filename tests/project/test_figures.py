"""The figures of the documentation: dark variants, words in Chinese, legends of benchmarks."""

import io
import itertools
import re
import statistics
import warnings
from pathlib import Path

import bench_figures
import dark_figures
import numpy as np
import published
import pytest
from colour_distance import contrast
from in_chinese import chinese
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from shared.config import recipe
from shared.show.figures import diagrams, lessons, plots
from shared.show.figures.canvas import CLASS_COLOURS

ROOT = Path(__file__).parents[2]
DARK = dark_figures.figures()
named = {"ids": lambda path: str(path.relative_to(dark_figures.FIGURES))}


def pixels(path, frame=0):
    with Image.open(path) as picture:
        picture.seek(frame)
        return np.asarray(picture.convert("RGB"))


# ---- dark


def test_a_dark_colour_keeps_its_hue_and_turns_its_lightness(monkeypatch):
    ends = np.array([[255, 255, 255], [0, 0, 0]], np.uint8)
    np.testing.assert_array_equal(dark_figures.darkened(ends), [(13, 17, 23), (255, 255, 255)])
    monkeypatch.setattr(dark_figures, "BACKGROUND", (0, 0, 0))
    light = np.random.RandomState(0).randint(96, 160, (500, 3)).astype(np.uint8)  # none is clipped
    dark = dark_figures.darkened(light).astype(float)
    differences = [each - each[:, :1] for each in (dark, light.astype(float))]
    np.testing.assert_allclose(*differences, atol=1)  # two rounded numbers
    weights = (0.2126, 0.7152, 0.0722)
    np.testing.assert_allclose(dark @ weights, 255 - light @ weights, atol=0.5)  # rounded


def test_class_colours_can_be_seen_in_the_dark():
    paper = np.array(dark_figures.BACKGROUND) / 255
    light = np.round(255 * np.array([to_rgb(each) for each in CLASS_COLOURS])).astype(np.uint8)
    assert all(contrast(each / 255, paper) >= 3 for each in dark_figures.darkened(light))


@pytest.mark.parametrize("light", DARK, **named)
def test_a_dark_figure_is_that_of_its_light_one(light):
    dark = DARK[light]
    assert dark.exists(), "run: python benchmarks/dark_figures.py"
    again = dark_figures.dark_bytes(light)
    if light.suffix == ".gif":  # whose tables of colours alone are changed
        same = again == dark.read_bytes()
    else:  # another version of Pillow may compress otherwise, and choose other rare colours
        first, second = (pixels(each).astype(int) for each in (io.BytesIO(again), dark))
        same = first.shape == second.shape and np.abs(first - second).max() <= 16
    assert same, "run: python benchmarks/dark_figures.py"


def test_no_dark_figure_is_without_a_light_one():
    assert sorted(dark_figures.FIGURES.rglob("dark/*")) == sorted(DARK.values())


def test_a_dark_animation_has_the_same_frames():
    (light,) = (path for path in DARK if path.suffix == ".gif")
    with Image.open(light) as first, Image.open(DARK[light]) as second:
        assert first.n_frames == second.n_frames == 50
        assert first.size == second.size
    for frame in (0, 20, 49):
        dark = pixels(DARK[light], frame)
        np.testing.assert_array_equal(dark, dark_figures.darkened(pixels(light, frame)))


@pytest.mark.parametrize("name", dark_figures.WITH_IMAGES)
def test_digits_are_white_on_black_in_light_and_in_dark(name):
    """As MNIST has them, and as the page shows them; only what is around them turns."""
    path = dark_figures.FIGURES / name
    light, dark = pixels(path), pixels(DARK[path])
    middle = tuple(slice(int(0.45 * n), int(0.85 * n)) for n in light.shape[:2])
    # Of 256 colours in a file, those of the text are others now, and greys may share one.
    np.testing.assert_allclose(dark[middle].astype(int), light[middle], atol=4)
    assert (light[middle] < 64).mean() > 0.6
    assert 0.01 < (light[middle] > 128).mean() < 0.3
    assert light[2, 2].min() > 250 and tuple(dark[2, 2]) == dark_figures.BACKGROUND


# ---- in the documentation


def test_every_figure_is_shown_and_every_picture_has_a_dark_variant():
    shown = set()
    for page in [*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for dark, light in re.findall(r'srcset="([^"]+)"><img alt="[^"]+" src="([^"]+)"', text):
            dark, light = ((page.parent / each).resolve() for each in (dark, light))
            assert DARK[light] == dark
            shown.add(light)
        assert text.count("<img") == text.count("<picture>") == text.count("</picture>")
    assert shown == set(DARK)


# ---- what benchmarks draw

NAMES = ["five matrix products", "tf_vae", "JAX, scan", "Keras fit, defaults"]
EPOCHS = {
    name: {"1": [3.0 + n, 2.0 + n, 7.0 + n], "2": [2.5 - n / 2, 1.5 - n / 4, 9.0]}
    for n, name in enumerate(NAMES)
}
GROWTH = {
    "batch_size": {"keras_vae": {"32": 33.0, "100": 23.0}, "tf_vae": {"32": 20.0, "100": 16.0}},
    "images": {"keras_vae": {5000: 26.0, 60000: 21.0}, "tf_vae": {5000: 38.0, 60000: 20.0}},
}


def legend_texts(figure):
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for each in legends if each for text in each.get_texts()]


def test_the_bars_of_the_epochs_are_the_minima_and_the_medians():
    figure = bench_figures.draw_epochs(EPOCHS, "caption")
    assert legend_texts(figure) == ["minimum", "median"]
    for axes, threads in zip(figure.axes, ("1", "2"), strict=True):
        assert axes.get_title() == f"{threads} thread{'s' * (threads == '2')}"
        medians, minima = ([bar.get_width() for bar in each] for each in axes.containers)
        order = NAMES[::-1]  # from the bottom; the fastest with one thread is on top
        assert minima == [min(EPOCHS[name][threads]) for name in order]
        assert medians == [statistics.median(EPOCHS[name][threads]) for name in order]


def test_the_lines_of_the_growth_are_those_of_the_implementations():
    """Also after the values were keys in JSON, which are strings."""
    figure = bench_figures.draw_growth(GROWTH, "caption")
    assert legend_texts(figure) == ["keras_vae", "tf_vae"]
    figure.draw_without_rendering()
    for axes, series in zip(figure.axes, GROWTH, strict=True):
        for line, values in zip(axes.lines, GROWTH[series].values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [int(each) for each in values])
            np.testing.assert_array_equal(line.get_ydata(), [*values.values()])
        low, high = axes.get_ylim()
        ticks = [
            text.get_text()
            for tick, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
            if low <= tick <= high
        ]
        assert len(ticks) >= 2 and all(float(text) > 1 for text in ticks)  # no powers of ten


HISTORY = [{"epoch": epoch, "val_loss": 100.0 - epoch} for epoch in range(1, 6)]
LINES = [(1, HISTORY, {1: 99.0, 5: 88.0}), (5, HISTORY, {1: 98.0, 5: 87.0})]


def test_every_line_and_band_of_the_published_values_is_in_the_legend():
    figure = published.draw(LINES, 500, "caption")
    (axes,) = figure.axes
    drawn = len(axes.lines) + len(axes.patches)  # a band is a patch
    texts = legend_texts(figure)
    assert len(texts) == len(set(texts)) == drawn == 8
    for k, (value, (low, high)) in published.PUBLISHED.items():
        name = "VAE" if k == 1 else f"IWAE-{k}"
        assert f"{name}, Burda et al.: {value}" in texts
        assert f"{name}, reruns by others: {low} to {high}" in texts


# ---- in Chinese

# Names of the code and of programs, symbols, and units
KEPT = re.compile(
    "keras_vae|tf_vae|post-keras|post-tf|mnist|x86_64|JAX|PyTorch|TensorFlow|Keras|fit|scan|encoder"
    "|decoder|Dense|batch|z_mean|z_log_var|logits|loss|mean|KL|log|None|VAE|IWAE(-5)?|ELBO|Burda|et"
    "|al|nats|[xzqpNIKe]|e-7"
)


def words(figure):
    """The Latin words of a figure after its translation, without those that stay."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this font has no Chinese characters
        chinese(figure, "DejaVu Sans").draw_without_rendering()
    texts = [text.get_text() for text in figure.findobj(Text)]
    found = itertools.chain.from_iterable(re.findall(r"[A-Za-z][\w-]*", text) for text in texts)
    return {word for word in found if not KEPT.fullmatch(word)}


CAPTION = "keras_vae · post-keras · epoch 5 · mnist (60,000 + 10,000) · seed 0"
Z, LOSSES = np.random.RandomState(0).normal(size=(20, 2)), np.ones((8, 30))
WITH_WORDS = {
    "model": lambda: diagrams.model(recipe("post-keras"), 784),
    "gradient": diagrams.gradient_paths,
    "latent": lambda: plots.latent_scatter(Z, np.arange(20) % 10, 3, f"{CAPTION}\ntest set"),
    "manifold": lambda: plots.manifold(np.zeros((225, 4)), (2, 2), CAPTION),
    "seeds": lambda: plots.loss_by_step(
        {"post-tf with Keras' ε = 1e-7, seeds 0 to 7": LOSSES},
        {
            "post-tf, seeds 0 to 7: range and median": LOSSES,
            "the script of 2018, 8 runs: range and median": LOSSES,
        },
        "post-tf · mnist · running means over 10 steps",
    ),
    "spread": lambda: lessons.curves(
        np.arange(1, 3),
        {"median (line) and range (band) of 10 seeds": np.ones(2)},
        "post-keras · mnist (60,000 + 10,000) · test loss after each epoch",
        "epoch",
        "loss = −ELBO, nats per image",
    ),
    "autoencoder": lambda: lessons.image_rows(
        dict.fromkeys(
            ["test images"]
            + [
                f"{name}: {kind}"
                for kind in ("reconstruction", "z ~ N(0, I)")
                for name in ("VAE", "autoencoder")
            ],
            np.zeros((2, 4)),
        ),
        (2, 2),
        "tf_vae · post-keras, 2-D z, epoch 50 · mnist · seed 0",
    ),
    "published": lambda: published.draw(
        LINES, 500, "mnist, binary: recipe nats, 500 epochs, batch 100, seed 0"
    ),
    "epochs": lambda: bench_figures.draw_epochs(
        EPOCHS, "post-keras · mnist, 60,000 images · 3 rounds · x86_64"
    ),
    "growth": lambda: bench_figures.draw_growth(
        GROWTH, "post-keras, changed in one thing · mnist, 60,000 images · x86_64"
    ),
}


@pytest.mark.parametrize("name", WITH_WORDS)
def test_a_chinese_figure_has_no_english_words_but_names(name):
    assert not words(WITH_WORDS[name]())
