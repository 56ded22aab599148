"""Content of the section of results/index.html on the two programs and their bits.

It has the code of both implementations, block by block, read from their files when the page is
written, and what one changed operation does to a training, which benchmarks/first_difference.py has
measured. The section consists of difference.html, difference.css and difference.js, in this folder.
"""

import ast
import json
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

from shared.show.page.texts import Text

__all__ = ["code_of", "difference", "last_statement"]

ROOT = Path(__file__).resolve().parents[3]
MEASURED = ROOT / "shared" / "measure" / "first_difference.json"

KERAS, TF, ELBO = "keras_vae/model.py", "tf_vae/model.py", "shared/elbo.py"
OPTIMIZER = "shared/training/optimizer.py"
# {block: (code of Keras, code of TensorFlow, mathematics that both call)}; a piece of code is
# (file, function, heading in it), of the mathematics only the last statement is shown.
BLOCKS = {
    "encoder": ([(KERAS, "build", "encode")], [(TF, "build", "encode")], []),
    "sample": (
        [(KERAS, "Sampling.call", None)],
        [(TF, "VAE.terms", "sample")],
        [(ELBO, "reparameterize")],
    ),
    "decoder": ([(KERAS, "build", "decode")], [(TF, "build", "decode")], []),
    "loss": (
        [(KERAS, "Objective.call", None), (KERAS, "VAE.compute_loss", None)],
        [(TF, "VAE.terms", "objective")],
        [
            (ELBO, "bernoulli_log_likelihood"),
            (ELBO, "kl_to_standard_normal"),
            (ELBO, "elbo"),
            (ELBO, "negative_elbo"),
        ],
    ),
    "step": (
        [("keras_vae/train.py", "compile_step", None)],
        [("tf_vae/train.py", "train_step", None)],
        [(OPTIMIZER, "RMSpropOfKeras2.update_step")],
    ),
}
# The function whose last statement each change of benchmarks/first_difference.py replaces
CHANGED = {
    "log-sigmoid": (ELBO, "bernoulli_log_likelihood"),
    "root": (ELBO, "reparameterize"),
    "inverse": ("tf_vae/train.py", "Steps.__init__.run_steps.batch_of"),
    "means": (ELBO, "negative_elbo"),
    "expm1": (ELBO, "kl_to_standard_normal"),
    "rows": (ELBO, "bernoulli_log_likelihood"),
    "epsilon": (OPTIMIZER, "RMSpropOfKeras2.update_step"),
}


class Piece(NamedTuple):
    """Holds some code and the place that it was read from, e.g. "tf_vae/train.py, train_step"."""

    place: str
    code: str


class Block(NamedTuple):
    """Holds the code of a block of the model: lists of Piece."""

    name: str
    keras: list
    tf: list
    shared: list  # what both call


def difference():
    """Returns the content of the section.

    Returns:
        dict: `about`, what was trained; `blocks`, a list of Block; `changes`, {name: dict with the
        code "before" and "after", its "place", the sentence "found" and the measured numbers};
        `growth`, {name: dict of the numbers that the chart draws}.
    """
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    about = {name: measured[name] for name in ("recipe", "data", "seed", "steps")}
    about["tensorflow"] = measured["versions"]["tensorflow"]
    changes = {
        name: {
            "before": last_statement(*CHANGED[name]),
            "place": ", ".join(CHANGED[name]),
            "found": _found(change, measured["steps"]),
            **change,
        }
        for name, change in measured["changes"].items()
    }
    growth = {
        name: {key: change[key] for key in ("steps", "weights")} for name, change in changes.items()
    }
    blocks = []
    for name, (ours, theirs, both) in BLOCKS.items():
        pieces = [
            [Piece(", ".join(at[:2]), code_of(*at)) for at in part] for part in (ours, theirs)
        ]
        shared = [Piece(", ".join(at), last_statement(*at)) for at in both]
        blocks.append(Block(name, *pieces, shared))
    return {"about": about, "blocks": blocks, "changes": changes, "growth": growth}


def _found(change, steps):
    """Returns the sentence that says when the first bit differs."""
    values = {
        "loss": change["first_loss"],
        "weight": change["first_weight"],
        "steps": steps,
        "largest": f"{change['weights'][-1]:.2g}",
        "nats": f"{change['loss'][-1]:.2g}",
    }
    if change["first_weight"] is not None:
        return Text("difference-found", values)
    return Text(
        "difference-same" if change["first_loss"] is None else "difference-loss-only", values
    )


def code_of(file, function, heading=None):
    """Returns the body of a function without its docstring, or one of its blocks.

    Args:
        file: path from the root of the project.
        function: its name, after the name of its class and a dot.
        heading: the word of a comment `# word` before the block, which ends at an empty line; None
            for the whole body.
    Returns:
        code without its common indentation.
    Raises:
        LookupError: there is no such function, or no such heading in it.
    """
    lines, body = _function(file, function)
    code = lines[body[0].lineno - 1 : body[-1].end_lineno]
    if heading is not None:
        # A comment before the first statement is not part of it.
        code = lines[body[0].lineno - 2 : body[-1].end_lineno]
        code = _after_heading(code, heading, f"{file}, {function}")
    return textwrap.dedent("\n".join(code)).strip("\n")


def last_statement(file, function):
    """Returns the last statement of a function, without its common indentation.

    Args:
        file, function: as for `code_of`.
    """
    lines, body = _function(file, function)
    return textwrap.dedent("\n".join(lines[body[-1].lineno - 1 : body[-1].end_lineno]))


def _function(file, function):
    """Returns the lines of a file and the statements of a function in it but its docstring."""
    source = (ROOT / file).read_text(encoding="utf-8")
    node = ast.parse(source)
    for name in function.split("."):
        found = [each for each in node.body if getattr(each, "name", None) == name]
        if not found:
            raise LookupError(f"{file} has no {function}")
        node = found[0]
    body = node.body
    if ast.get_docstring(node) is not None:
        body = body[1:]
    return source.splitlines(), body


def _after_heading(lines, heading, place):
    """Returns the lines between a heading and the next empty line."""
    found = [n for n, line in enumerate(lines) if re.fullmatch(rf" *# {heading}", line)]
    if not found:
        raise LookupError(f"{place} has no heading # {heading}")
    block = lines[found[0] + 1 :]
    return block[: block.index("")] if "" in block else block
