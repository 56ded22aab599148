"""Composes results/index.html, a self-contained page with everything that `reproduce.py` produces.

The template is page.html in this folder, with page_blocks.html and page.css.
"""

import base64
import io
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

__all__ = ["page"]

HERE = Path(__file__).parent


def page(title, lines, good, sections):
    """Returns the HTML of a page that needs no other file and no network.

    Args:
        title: title of the page.
        lines: the lines of the proof, shown first.
        good: whether every bit agrees; otherwise the lines are red.
        sections: [(heading, [block, …]), …], where a block is one of
            ("text", str), ("figures", [(path of a PNG, alternative text), …]),
            ("table", (header, rows)), ("code", str), and at most once on a page
            ("explorer", (dict of explorer_data, str, whether the bits agree)).
    Returns:
        HTML in which every text is escaped.
    Raises:
        jinja2.UndefinedError: a block is of another kind.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["source"] = _source
    environment.filters |= {"base64": _base64, "numeric_columns": _numeric_columns}
    explorers = [
        content[0] for _, blocks in sections for kind, content in blocks if kind == "explorer"
    ]
    return environment.get_template("page.html").render(
        title=title,
        lines=lines,
        good=good,
        sections=sections,
        explorer_data=explorers[0] if explorers else None,
    )


def _source(name):
    """Returns the text of a style sheet or script in this folder, which is not escaped."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def _base64(path):
    """Returns a PNG in base64, with a single channel if all its pixels are grey."""
    content = Path(path).read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        red, green, blue, alpha = image.convert("RGBA").split()
    if red == green == blue and alpha.getextrema() == (255, 255):
        grey = io.BytesIO()
        red.save(grey, "PNG", optimize=True)
        content = min(content, grey.getvalue(), key=len)
    return base64.b64encode(content).decode()


def _numeric_columns(header, rows):
    """Returns, for each column of a table, whether it has only numbers and is aligned right."""
    return [all(map(_is_number, column)) for _, *column in zip(header, *rows, strict=True)]


def _is_number(cell):
    try:
        float(cell)
    except (TypeError, ValueError):
        return cell == ""  # a row without a value here
    return True
