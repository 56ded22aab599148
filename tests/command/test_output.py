"""What a user sees of a training: in a pipe, on a terminal, and on one with NO_COLOR."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from pseudo_terminal import run_in_terminal

from shared.command.arguments import command_of
from shared.run.folder import read_history

LINK = re.compile("\x1b]8;;([^\x1b]*)\x1b\\\\([^\x1b]*)\x1b]8;;\x1b\\\\")
WIDTH = 80
READING = "train: reading the data, {}\n"


class Seen(NamedTuple):
    """The folder of a run, and all that its training wrote."""

    folder: Path
    text: str


@pytest.fixture(scope="module")
def seen(data_path, tmp_path_factory):
    """{how: Seen}: of keras_vae in a pipe, and of tf_vae on a terminal."""
    folder = tmp_path_factory.mktemp("a b")  # a link has no blanks
    flags = ["--hidden-dims", "8", "--epochs", "2", "--data", str(data_path)]
    command = [sys.executable, "-m", "keras_vae", "train", *flags, "--out", folder / "pipe"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    # This line comes first if it takes long.
    text = done.stdout.removeprefix(f"keras_vae {READING.format(data_path)}")
    command[2:3], command[-1] = ["tf_vae"], folder / "terminal"
    status, shown = run_in_terminal(command, WIDTH)
    assert status == 0, shown
    shown = shown.removeprefix(f"tf_vae {READING.format(data_path)}")
    return {"pipe": Seen(folder / "pipe", text), "terminal": Seen(folder / "terminal", shown)}


def screen(text):
    """The lines that stay on a terminal: after a carriage return, a line is written over."""
    lines = []
    for line in LINK.sub(r"\2", text).split("\n"):
        cells = ""
        for part in line.split("\r"):
            cells = part + cells[len(part) :]
        lines.append(cells.rstrip())
    return lines


def epochs(lines):
    """The header and the epochs without their seconds, as lists of words."""
    (first,) = [n for n, line in enumerate(lines) if line.startswith("epoch ")]
    return [line.split()[:-1] for line in lines[first : first + 3]]


def test_a_pipe_gets_no_escape_sequence_and_no_carriage_return(seen):
    text = seen["pipe"].text
    assert "\x1b" not in text and "\r" not in text and "\b" not in text
    for phase in ("loading TensorFlow", "compiling the training step", "drawing the figures"):
        assert text.splitlines().count(phase) == 1


def test_a_terminal_without_colour_gets_neither(seen):
    folder = seen["pipe"].folder
    command = [sys.executable, "-m", "tf_vae", "evaluate", folder, "--samples", "1"]
    status, text = run_in_terminal(command, WIDTH, NO_COLOR="1")
    assert status == 0 and "loading TensorFlow\n" in text
    assert "\x1b" not in text and "\r" not in text and "\b" not in text


def test_what_is_being_done_does_not_stay_on_a_terminal(seen):
    """But for the phases, the implementation, folder and seconds, it has the lines of the pipe."""
    text = seen["terminal"].text
    assert "\r" in text and "compiling the training step" in text
    lines = screen(text)
    phases = {"loading TensorFlow", "compiling the training step", "drawing the figures"}
    piped = [each for each in seen["pipe"].text.split("\n") if each not in {*phases, "measuring"}]
    changes = {"keras_vae": "tf_vae", str(seen["pipe"].folder): str(seen["terminal"].folder)}
    changes[seen["pipe"].folder.as_uri()] = seen["terminal"].folder.as_uri()
    wanted = "\n".join(piped)
    for old, new in changes.items():
        wanted = wanted.replace(old, new)
    seconds = re.compile(r" +\d+\.\d$", re.MULTILINE)
    assert seconds.sub("", "\n".join(lines)).split() == seconds.sub("", wanted).split()


def test_both_implementations_print_the_same_columns_with_the_same_numbers(seen):
    piped, shown = epochs(seen["pipe"].text.split("\n")), epochs(screen(seen["terminal"].text))
    assert piped == shown
    header, *lines = piped
    for line, row in zip(lines, read_history(seen["pipe"].folder), strict=True):
        assert line == [f"{row['epoch']}/2", *(f"{row[name]:.2f}" for name in header[1:])]


def test_the_first_lines_say_what_is_trained(seen):
    lines = seen["pipe"].text.splitlines()
    assert lines[0] == "keras_vae: recipe post-keras, seed 0, 2 epochs of 3 steps"
    with np.load(seen["pipe"].folder / "weights.npz") as weights:
        count = sum(weights[name].size for name in weights if name != "step")
        pixels = weights["encoder/hidden_1/kernel"].shape[0]
    assert lines[2] == f"model   {pixels}-8-2-8-{pixels}, {count:,} weights"
    assert lines[3] == f"folder  {seen['pipe'].folder}"


def path_of(address):
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc) == ("file", "")
    return Path(unquote(parts.path))


def test_the_last_lines_have_a_link_and_the_next_command(seen):
    for how, package in (("pipe", "keras_vae"), ("terminal", "tf_vae")):
        folder, text = seen[how]
        links = LINK.findall(text)
        assert len(links) == (how == "terminal") and all(a == b for a, b in links)
        *_, figures, following = filter(None, screen(text))
        assert path_of(figures.removeprefix("figures: ")) == folder / "figures"
        assert path_of(figures.removeprefix("figures: ")).is_dir() and " " in str(folder)
        words = shlex.split(following.removeprefix("next: "))
        assert words[:3] == ["python", "-m", package]
        assert command_of(package, words[3:]).dir == folder
