"""Draws the two diagrams of docs/code.md and of the notebooks into docs/figures."""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from shared.command.line import exit_status
from shared.config import recipe
from shared.show.figures import diagrams, plots


@dataclass
class Diagrams:
    """Draw model.png and gradient.png."""

    out: Path = Path("docs/figures")
    """Folder of both."""


def main():
    """Draws both."""
    folder = tyro.cli(Diagrams, prog="benchmarks/diagrams.py").out
    plots.save(diagrams.model(recipe("post-keras"), 28 * 28), folder / "model.png")
    plots.save(diagrams.gradient_paths(), folder / "gradient.png")
    print(f"model.png and gradient.png are written to {folder}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
