"""Measures results of papers about VAEs again, and prints them beside the published ones.

    python benchmarks/theory.py                  # all papers: overnight on two cores
    python benchmarks/theory.py lucas --quick    # one paper, few repetitions

The numbers of a paper that is finished are kept in --out, so the command continues after an
interrupt. The exit status is 1 if a number does not agree with the claim of its paper.
"""

import json
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import tyro
from papers import Row, in_words
from tyro.conf import FlagCreatePairsOff, Positional

from shared.command.line import exit_status
from shared.machine.checks import UsageError
from shared.machine.process import end_process
from shared.machine.versions import versions

FOLDER = Path(__file__).parent / "papers"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("[a-z]*.py")))


@dataclass
class Theory:
    """Measure results of papers again."""

    papers: Positional[tuple[str, ...]] = ()
    """Names of papers, such as lucas rainforth; without them, all papers."""
    quick: FlagCreatePairsOff[bool] = False
    """Few repetitions and short runs: shows that everything runs, with larger errors."""
    out: Path = Path("runs/theory")
    """Folder of the numbers, NAME.json for each paper."""


def chosen(names):
    """Returns the names of the papers to measure.

    Raises:
        UsageError: there is no such paper.
    """
    for name in names:
        if name not in NAMES:
            raise UsageError(f"no paper is named {name!r}; expected one of {', '.join(NAMES)}")
    return names or NAMES


def measured(name, quick, out):
    """Returns the rows of a paper: those of its file, or else new ones, which are written there."""
    path = out / (f"{name}-quick.json" if quick else f"{name}.json")
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["versions"] == versions():
            return [Row(**row) for row in found["rows"]], found["seconds"]
    start = time.perf_counter()
    rows = import_module(f"papers.{name}").measure(quick)
    seconds = time.perf_counter() - start
    out.mkdir(parents=True, exist_ok=True)
    about = {"versions": versions(), "seconds": seconds, "rows": [row._asdict() for row in rows]}
    text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
    return rows, seconds


def table(rows):
    """Returns the Markdown table of some rows."""
    marks = {True: "yes", False: "**no**", None: "not comparable"}
    lines = ["| measured here | obtained | published | agrees | rule |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.quantity} | {in_words(row.obtained)} | {row.published} | {marks[row.agrees]} | "
        f"{row.rule} |"
        for row in rows
    ]
    return "\n".join(lines)


def main(options):
    """Measures, prints a table per paper, and returns 1 if a number does not agree with it."""
    failed = 0
    print(", ".join(f"{name} {number}" for name, number in versions().items()), flush=True)
    for name in chosen(options.papers):
        paper = import_module(f"papers.{name}")
        print(f"\n{paper.TITLE}\n{paper.SOURCE}", flush=True)
        rows, seconds = measured(name, options.quick, options.out)
        print(f"{table(rows)}\n{seconds:.0f} s", flush=True)
        failed += sum(row.agrees is False for row in rows)
    return 1 if failed else 0


if __name__ == "__main__":
    end_process(exit_status(lambda: main(tyro.cli(Theory, prog="benchmarks/theory.py"))))
