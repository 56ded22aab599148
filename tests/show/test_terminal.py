"""Tables in the terminal: at every width each cell is whole, and a line fits if it can."""

import json
import sys

import numpy as np
import pytest
from pseudo_terminal import run_in_terminal

from shared.run.schemas import PENALTY
from shared.show.epochs import EpochLines
from shared.show.terminal import metrics_text, table_text, text_table

RANDOM = np.random.RandomState(0)
WIDTHS = (60, 80, 120)


def read(lines, names, rows):
    """Reads the parts of a printed table without its title: {row: {column: cell}}.

    No cell of these tests holds two blanks, which separate columns, or is empty.
    """
    cells = {}
    for first in range(0, len(lines), rows + 1):
        header, *part = ([c for c in line.split("  ") if c] for line in lines[first:][: rows + 1])
        header = [name.strip() for name in header]
        for line in part:
            line = [cell.strip() for cell in line]
            cells.setdefault(tuple(line[:names]), {}).update(zip(header, line, strict=True))
    return cells


@pytest.mark.parametrize("width", [*WIDTHS, None])
@pytest.mark.parametrize("names", [1, 2])
def test_every_cell_is_whole_at_every_width(width, names):
    for columns in (3, 7, 15):
        header = [f"column {n}" for n in range(columns)]
        rows = [
            [f"name {n}" for _ in range(names)]
            + [f"{x:.4f}" for x in RANDOM.normal(0, 10.0 ** RANDOM.randint(6), columns - names)]
            for n in range(4)
        ]
        lines = table_text(text_table("", header, rows, names), width).splitlines()
        assert read(lines, names, len(rows)) == {
            tuple(row[:names]): dict(zip(header, row, strict=True)) for row in rows
        }
        assert width is None or max(map(len, lines)) <= width
        parts = len(lines) // (len(rows) + 1)
        assert parts == 1 if width is None else parts >= 1


def test_a_column_that_is_wider_than_the_terminal_is_not_cut():
    text = table_text(text_table("", ["a", "b"], [["name", "1" * 70]]), 60)
    assert "1" * 70 in text


def test_equal_facts_go_into_the_title_and_equal_measurements_stay():
    rows = [["a", "mnist", "1.5", "3"], ["b", "mnist", "1.5", "4"]]
    table = text_table("title", ["name", "data", "loss", "n"], rows, facts=["data", "n"])
    title, header, *lines = table_text(table).splitlines()
    assert title == "title; data: mnist"
    assert header.split() == ["name", "loss", "n"]
    assert [line.split() for line in lines] == [["a", "1.5", "3"], ["b", "1.5", "4"]]


def test_wide_characters_take_two_columns():
    text = table_text(text_table("", ["名", "n"], [["数字", "1"], ["abcd", "22"]]))
    assert text.splitlines() == ["名     n", "数字   1", "abcd  22"]


METRICS = {
    "test_loss": {"value": 191.63741, "standard_error": 0.4979, "unit": "nats per image", "n": 9000,
                  "samples": 10, "data": "mnist", "x": "grey"},
    "train_log_likelihood": {"value": -1234567.89, "unit": "nats per image", "n": 60000,
                             "samples": 1, "data": "mnist", "x": "grey"},
    "test_importance_bound": {"value": 1e-9, "standard_error": 1.25, "unit": "nats per image",
                              "n": 10000, "samples": 5000, "data": "mnist", "x": "grey"},
    "test_knn_accuracy_epoch_050": {"value": 0.8125, "n": 10000, "samples": 0, "data": "mnist",
                                    "unit": "share of test images, by 5 nearest training latents",
                                    "x": "grey"},
    "test_kl_per_dimension": {"value": [0.125 * n for n in range(50)], "unit": "nats per image",
                              "n": 10000, "samples": 0, "data": "mnist", "x": "grey"},
}  # fmt: skip
PROGRAM = """
import json, sys
from shared.show.status import tell
from shared.show.terminal import line_width, metrics_text
tell(metrics_text(json.loads(sys.argv[1]), "runs/own: step 30,000, seed 0", line_width()))
"""


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_terminal_shows_every_metric_whole(columns):
    command = [sys.executable, "-c", PROGRAM, json.dumps(METRICS)]
    status, text = run_in_terminal(command, columns)
    lines = text.splitlines()
    assert status == 0 and max(map(len, lines)) <= columns
    assert text.strip("\n") == metrics_text(METRICS, "runs/own: step 30,000, seed 0", columns)
    words = text.split()
    for number in ("191.6374", "0.4979", "-1234567.8900", "1.0e-09", "1.2500", "0.8125", "5,000"):
        assert words.count(number) == 1, number
    # Each of the 50 numbers of the list is whole, in its order.
    first = words.index("test_kl_per_dimension:") + 1
    assert words[first : first + 50] == [f"{0.125 * n:.2f}" for n in range(50)]
    assert "data: mnist; x: grey" in " ".join(words)


@pytest.mark.parametrize("penalty", [False, True])
def test_an_epoch_has_the_numbers_of_its_row_under_their_names(penalty):
    from shared.config import recipe

    config, said, shown = recipe("nats", epochs=120), [], []
    lines = EpochLines(config, 1000, said.append, shown.append)
    row = {"epoch": 7, "step": 70, "loss": 165.125, "log_likelihood": -12345.678, "kl": 5.25,
           "val_loss": 99.0, "seconds": 1.26}  # fmt: skip
    row |= {PENALTY: 0.5} if penalty else {}
    lines.epoch(row)
    lines.epoch({**row, "epoch": 120})
    header, first, last = said
    names = ["epoch", "loss", "log_likelihood", "kl", "val_loss", *[PENALTY] * penalty, "seconds"]
    assert header.split() == names
    values = ["165.12", "-12345.68", "5.25", "99.00", *["0.50"] * penalty, "1.3"]
    assert first.split() == ["7/120", *values] and last.split() == ["120/120", *values]
    # The names and their numbers end in the same column.
    assert [header.index(n) + len(n) for n in names[1:]] == [
        first.index(f" {v}") + len(v) + 1 for v in values
    ]
    assert len(header) <= 60 or penalty
    lines.steps(64)
    lines.steps(70)
    assert shown == ["epoch 7: step 4 of 10", "epoch 7: measuring the held-out images"]
