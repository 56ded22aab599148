"""The figures of a run, their captions, and the animation of one."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from shared.config import recipe
from shared.data import load_data
from shared.run.folder import read_config, read_run_weights
from shared.show.figures import plots
from shared.show.figures.animation import animate, read_frames
from shared.show.figures.of_run import caption, draw_figures, prior_samples


@pytest.mark.either
def test_figures_of_a_run(implementation, data, tmp_path):
    config = recipe("post-keras", epochs=2, picture_epochs=(1,), hidden_dims=(8,))
    implementation.train(config, data, tmp_path, verbose=0)
    calls = []

    def decode(model, z):
        calls.append(len(z))
        return implementation.decode(model, z)

    paths = draw_figures(
        tmp_path, data, SimpleNamespace(**{**vars(implementation), "decode": decode})
    )
    assert calls == [225, 225]  # one batched call per manifold
    assert [path.name for path in paths] == [
        "latent_epoch_001.png",
        "manifold_epoch_001.png",
        "latent_epoch_002.png",
        "manifold_epoch_002.png",
        "loss.png",
    ]
    for path in paths:
        assert Image.open(path).size[0] > 600
    text = caption(read_config(tmp_path), 2)
    for part in (
        implementation.name,
        "post-keras",
        "hidden_dims (8,)",
        "epoch 2",
        "bars",
        "seed 0",
    ):
        assert part in text


def test_a_caption_fits_its_figure_whatever_it_names():
    """No line of a caption is wider than the narrowest figure."""
    config = recipe(
        "post-tf", initializer="glorot_uniform", learning_rate=1e-3, batch_size=128, epochs=10,
        likelihood="categorical", hidden_dims=(64, 32, 16), latent_dim=7, beta=0.5,
    )  # fmt: skip
    described = {"name": "fashion-of-1900", "n_train": 60000, "n_test": 10000}
    values = {**dataclasses.asdict(config), "data": described, "trained_by": ["keras_vae"]}
    text = caption(values, 10)
    assert "likelihood categorical" in text and text.endswith("seed 0")
    figure = plots.latent_scatter(np.zeros((3, 2)), np.arange(3), 1.0, text)
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_samples_do_not_depend_on_the_model(data):
    config = recipe("post-keras", latent_dim=3)
    z = prior_samples(config, 4000)
    assert z.dtype == np.float32 and z.shape == (4000, 3)
    # Standard errors of mean and variance of 4000 standard normals.
    assert np.abs(z.mean(axis=0)).max() < 5 / 4000**0.5
    assert np.abs(z.var(axis=0) - 1).max() < 5 * (2 / 4000) ** 0.5
    other = prior_samples(dataclasses.replace(config, seed=1), 4000)
    assert (z != other).any() and (prior_samples(config, 4000, seed=1) == other).all()


def test_an_animation_has_a_frame_per_epoch_on_the_same_axes(implementations, data, tmp_path):
    rows = []
    config = recipe("post-keras", hidden_dims=(8,), epochs=3)
    animation = tmp_path / "latent.gif", config, data
    assert read_frames(*animation) is None
    animate(*animation, implementations["tf_vae"], rows.append)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    with Image.open(tmp_path / "latent.gif") as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0
        frames, durations = [], []
        for number in range(3):
            gif.seek(number)
            frames.append(np.asarray(gif.convert("RGB")))
            durations.append(gif.info["duration"])
    assert durations == [200, 200, 2000]
    assert frames[0].shape == frames[1].shape == frames[2].shape
    assert (frames[0] != frames[2]).any()
    left, below = frames[0][60:-40, :35], frames[0][-35:, 60:-5]
    assert (left == frames[2][60:-40, :35]).all() and (below == frames[2][-35:, 60:-5]).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latent.gif", "latent.npz"]


@pytest.mark.long
def test_the_frames_of_an_animation_are_the_latents_of_a_run(implementations, data, tmp_path):
    config = recipe("post-keras", hidden_dims=(8,), epochs=2, picture_epochs=(1, 2))
    implementation, animation = implementations["keras_vae"], (tmp_path / "a.gif", config, data)
    animate(*animation, implementation)
    frames = read_frames(*animation)
    implementation.train(config, data, tmp_path / "run", verbose=0)
    assert frames["epochs"].tolist() == [1, 2]
    for epoch, z_mean in zip((1, 2), frames["z_mean"], strict=True):
        own = implementation.encode(implementation.load(tmp_path / "run", epoch)[0], data.x_test)[0]
        by_place = [np.lexsort(z.T) for z in (own, z_mean)]  # the points are shuffled
        assert (own[by_place[0]] == z_mean[by_place[1]]).all()
        assert (data.y_test[by_place[0]] == frames["labels"][by_place[1]]).all()
        weights = read_run_weights(tmp_path / "run", epoch)[1]
        assert weights.keys() == frames["weights"][epoch].keys()
        for name, array in weights.items():
            assert array.tobytes() == frames["weights"][epoch][name].tobytes()
    # Those of another length or of other data, damaged ones and those without a GIF are not used.
    longer = dataclasses.replace(config, epochs=3)
    assert read_frames(tmp_path / "a.gif", longer, data) is None
    fewer = dataclasses.replace(data, x_test=data.x_test[1:], y_test=data.y_test[1:])
    assert read_frames(tmp_path / "a.gif", config, fewer) is None
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[:-100])
    assert read_frames(*animation) is None
    (tmp_path / "a.npz").write_bytes(content)
    assert read_frames(*animation) is not None
    (tmp_path / "a.gif").unlink()
    assert read_frames(*animation) is None


@pytest.mark.parametrize("count", [1, pytest.param(16, marks=pytest.mark.long)])
def test_figures_of_few_colour_images(implementations, tmp_path, count):
    """If z is not 2-D, any number of test images is drawn with their reconstructions."""
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (20 + count, 3, 2, 3), np.uint8)
    labels = np.full(20 + count, -7)
    np.savez(
        tmp_path / "own.npz",
        x_train=images[:20],
        y_train=labels[:20],
        x_test=images[20:],
        y_test=labels[20:],
    )
    data, run = load_data(str(tmp_path / "own.npz")), tmp_path / "run"
    config = recipe("post-keras", latent_dim=3, epochs=1, picture_epochs=(), hidden_dims=(4,))
    implementations["tf_vae"].train(config, data, run, verbose=0)
    paths = draw_figures(run, data, implementations["tf_vae"])
    assert [path.name for path in paths] == [
        "samples_epoch_001.png",
        "reconstructions_epoch_001.png",
        "loss.png",
    ]
    for path in paths:
        with Image.open(path) as picture:
            picture.load()
            assert picture.size[0] > 600


def values_of(name, **changes):
    """The part of a run's config.json that a caption needs."""
    described = {"name": name, "n_train": 60000, "n_test": 10000}
    config = dataclasses.asdict(recipe("post-keras", **changes))
    return {**config, "data": described, "trained_by": ["keras_vae", "tf_vae"]}


def test_a_caption_breaks_between_its_parts_only():
    changes = {
        "learning_rate": 0.0003, "batch_size": 128, "hidden_dims": (64, 32, 16), "latent_dim": 7,
        "likelihood": "categorical", "beta": 0.5, "kl_warmup_steps": 100, "activation": "tanh",
    }  # fmt: skip
    text = caption(values_of("my own digits", **changes), 10)
    lines = text.split("\n")
    assert len(lines) > 2 and max(map(len, lines)) <= 88
    for line in lines[:-1]:
        assert line.endswith((",", " ·")), line
    whole = " ".join(lines)
    for name, value in changes.items():
        assert f"{name} {value}" in whole
        assert any(f"{name} {value}" in line for line in lines)
    assert whole.startswith("keras_vae then tf_vae · post-keras (")
    assert whole.endswith(") · epoch 10 · my own digits (60,000 + 10,000) · seed 0")


def test_a_name_is_not_broken_where_a_line_would_end():
    for length in range(30, 68):  # with "z", the sizes and a dot, 88 characters
        name = ("ab-cd e " * 20)[:length] + "z"
        lines = caption(values_of(name), 10).split("\n")
        assert max(map(len, lines)) <= 88
        assert any(f"{name} (60,000 + 10,000)" in line for line in lines), lines


def test_a_caption_of_a_long_name_fits_too():
    text = caption(values_of("digits" * 40))
    assert max(map(len, text.split("\n"))) <= 88 and text.replace("\n", "").count("digits") == 40


def test_dollars_in_a_name_are_not_a_formula():
    text = caption(values_of("cost_$5_^^$"))
    figure = plots.image_grid(np.zeros((1, 4)), (2, 2), text)
    figure.draw_without_rendering()  # a wrong formula would raise an error
    assert "cost_$5_^^$" in figure._suptitle.get_text()
