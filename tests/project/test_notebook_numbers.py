"""Every number in the prose of a notebook was measured: it is in an output or in the code."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))
ORIGINALS = [path for path in NOTEBOOKS if ".zh-CN" not in path.name]
END = re.compile(r"^## (Exercises|练习)$", re.MULTILINE)
# No outputs: these follow from numbers of the same sentence, or are read in the figure above it.
DERIVED = {
    "02": {
        "1.4",
        "1.6",
    },  # 2 log 2; the end of the manifold's axes, of which the code has quantiles
    "03": {"0.0001"},  # a limit, and the output is below it
    "05": {"0.26"},  # 206/784
    "06": {"0.30", "3.3", "0.29"},  # a difference of two outputs; weights in millions
    "09": {"0.04"},  # a difference of two columns
}


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def prose_of(path):
    """The Markdown cells before the exercises (their numbers are given), without equations."""
    cells = ["".join(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == "markdown"]
    texts = []
    for cell in cells:
        if END.search(cell):
            break
        texts.append(re.sub(r"\$\$.*?\$\$|\]\([^)]*\)|`[^`]*`|arXiv:[\d.]+", "", cell, flags=re.S))
    return texts


def decimals_of(text):
    """The numbers with decimals, without their signs: "−1,234.5" is "1234.5"."""
    return re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)", text.replace(",", ""))


def known(path):
    """What the code and the outputs have, also rounded to fewer digits, and in percent."""
    texts = []
    for cell in cells_of(path):
        if cell["cell_type"] == "code":
            texts.append("".join(cell["source"]))
            texts += ["".join(out.get("text", "")) for out in cell["outputs"]]
    found = set()
    for number in re.findall(r"\d+\.?\d*(?:e[-+]?\d+)?", "\n".join(texts).replace(",", "")):
        for value in (float(number), 100 * float(number)):
            found |= {f"{value:.{digits}f}" for digits in range(1, 7)}
    return found


@pytest.mark.parametrize("notebook", ORIGINALS, ids=lambda path: path.stem)
def test_every_number_in_a_sentence_comes_from_an_output_or_from_the_code(notebook):
    wanted = {number for text in prose_of(notebook) for number in decimals_of(text)}
    missing = wanted - known(notebook) - DERIVED.get(notebook.name[:2], set())
    assert not missing


@pytest.mark.parametrize("notebook", ORIGINALS, ids=lambda path: path.stem)
def test_a_translation_has_the_numbers_of_the_original(notebook):
    """Cell by cell, in any order, but for millions, which are 万 in Chinese."""
    derived = DERIVED.get(notebook.name[:2], set())
    translation = notebook.with_suffix(".zh-CN.ipynb")
    for one, other in zip(prose_of(notebook), prose_of(translation), strict=True):
        numbers = [sorted(set(decimals_of(text)) - derived) for text in (one, other)]
        assert numbers[0] == numbers[1], one


def test_a_number_that_nobody_measured_is_found():
    (notebook,) = [path for path in ORIGINALS if path.name[:2] == "05"]
    assert decimals_of("from −1,234.56 to 5.68 nats, §2.1.3, v1.2.3, 0.5") == [
        "1234.56",
        "5.68",
        "0.5",
    ]
    assert "5.68" in known(notebook) and "5.67891" not in known(notebook)
