"""Draws the two diagrams of docs/code.md and of the notebooks into docs/figures."""

from pathlib import Path

from shared.config import recipe
from shared.show.figures import diagrams, plots

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures"

if __name__ == "__main__":
    plots.save(diagrams.model(recipe("post-keras"), 28 * 28), FIGURES / "model.png")
    plots.save(diagrams.gradient_paths(), FIGURES / "gradient.png")
    print("model.png and gradient.png are written to docs/figures")
