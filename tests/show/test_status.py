"""The status line: it never mixes with a line that stays, and is on terminals only."""

import subprocess
import sys

import pytest
from pseudo_terminal import run_in_terminal, screen

from shared.show.status import clock

# The line is drawn 100 times as often as in a command.
LINES = """
import time
from shared.machine.process import say
from shared.show import status

status.TICK /= 100
with status.Status(status.tell) as line:
    line.phase("begun")
    for number in range(200):
        line.show(f"shown {number} " + "x" * 100)
        time.sleep(0.003)
        line.say(f"told {number}")
        say(f"said {number}")
"""


@pytest.mark.parametrize("columns", [40, 80])
def test_lines_that_stay_do_not_mix_with_the_status_line(columns):
    status, text = run_in_terminal([sys.executable, "-c", LINES], columns)
    lines = [f"{word} {number}" for number in range(200) for word in ("told", "said")]
    assert status == 0 and screen(text) == [*lines, ""]
    assert text.count("shown") > 10
    drawn = [part for line in text.split("\n") for part in line.split("\r")]
    assert max(map(len, drawn)) < columns  # a longer one would take a second line


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_plain_terminal_gets_the_phases_and_the_lines_alone(environment):
    status, text = run_in_terminal([sys.executable, "-c", LINES], 80, **environment)
    lines = [f"{word} {number}" for number in range(200) for word in ("told", "said")]
    assert status == 0 and text.split("\n") == ["begun", *lines, ""]


FIRST = """
import sys, time
from shared.machine.process import announce, say, set_up, settle
from shared.show.status import tell

how, slow = sys.argv[1:]
if how != "library":
    set_up()
announce("first", 0.01 if slow == "slow" else 600)
if slow == "slow":
    time.sleep(0.5)
{"tell": tell, "say": say}.get(how, lambda line: settle())("second")
"""


@pytest.mark.parametrize(
    ("how", "out", "err"),
    [("tell", "second\n", ""), ("say", "", "second\n"), ("end", "", ""), ("library", "", "")],
)
@pytest.mark.parametrize("slow", ["slow", "quick"])
def test_what_is_announced_comes_first_or_not_at_all(how, out, err, slow):
    done = subprocess.run(
        [sys.executable, "-c", FIRST, how, slow], capture_output=True, text=True, check=True
    )
    first = "first\n" if slow == "slow" and how != "library" else ""
    assert (done.stdout, done.stderr) == (first + out, err)


def test_a_clock_has_minutes_and_if_need_be_hours():
    assert [clock(s) for s in (0, 59.9, 60, 3599, 3600, 90061)] == [
        "0:00", "0:59", "1:00", "59:59", "1:00:00", "25:01:01",
    ]  # fmt: skip
