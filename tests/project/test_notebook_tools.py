"""The blocks that notebooks/tools.py extracts from a source, and texts side by side."""

import textwrap
from pathlib import Path

import pytest
from tools import block, show, side_by_side

from shared.show.figures.canvas import new_panels

ROOT = Path(__file__).parents[2]

SOURCE = """
def build():
    # encode
    h = 1  # a comment behind code
    # A comment of several words is no heading.

    if h:
        h = 2
    # decode
    return h


x = 3


# encode
x = 4
"""


def test_a_block_ends_at_the_next_heading_or_dedent():
    first = block(SOURCE, "encode")
    assert first == textwrap.dedent("""
        # encode
        h = 1  # a comment behind code
        # A comment of several words is no heading.

        if h:
            h = 2""").lstrip("\n")
    assert block(SOURCE, "decode") == "# decode\nreturn h"
    with pytest.raises(ValueError, match="# sample"):
        block(SOURCE, "sample")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("keras_vae/model.py", ("encode", "decode", "sample", "objective")),
        ("tf_vae/model.py", ("encode", "decode", "sample", "objective")),
        ("keras_vae/train.py", ("step", "loop", "train")),
        ("tf_vae/train.py", ("step", "loop", "train")),
        ("shared/training/frame.py", ("build", "restore", "loop", "finish")),
    ],
)
def test_every_block_that_the_notebook_shows_is_a_part_of_its_file(path, words):
    source = (ROOT / path).read_text(encoding="utf-8")
    lines = [line.strip() for line in source.splitlines()]
    for word in words:
        shown = [line.strip() for line in block(source, word).splitlines()]
        starts = [i for i, line in enumerate(lines) if line == f"# {word}"]
        assert any(lines[i : i + len(shown)] == shown for i in starts)
        assert len(shown) > 1


def test_two_texts_are_shown_in_two_columns():
    columns = side_by_side("a\nlonger <b>", "one\ntwo\nthree", ("left", "right"))
    assert repr(columns).splitlines() == [
        "left       │ right",
        "           │",
        "a          │ one",
        "longer <b> │ two",
        "           │ three",
    ]
    page = columns._repr_html_()
    # Inside a <pre>, code is displayed as text and not interpreted as HTML.
    assert "<pre>a\nlonger &lt;b&gt;</pre>" in page and "<pre>one\ntwo\nthree</pre>" in page
    assert page.index("left") < page.index("right") < page.index("longer")


def test_a_picture_has_an_alternative_text_with_its_title_axes_and_lines():
    figure, [[left, right], [below, _]] = new_panels((4, 4), "Loss of\ntwo runs", 2, 2)
    for axes in (left, right):  # the same words are said once
        axes.set(title="epochs", xlabel="epoch", ylabel="nats")
        axes.plot([1, 2], label="training")
        axes.plot([2, 1], label="test")
        axes.plot([1, 1])  # without a label
    below.set(xlabel="z[0]")
    (band,) = below.plot([1, 1])
    below.legend([band], ["a band"])  # the legend alone has its name
    png, metadata = show(figure)._repr_png_()
    assert png.startswith(b"\x89PNG")
    text = "Loss of two runs. epochs; x: epoch; y: nats; training, test. x: z[0]; a band"
    assert metadata == {"alt": text}
    assert repr(show(figure)) == f"picture: {text}"
