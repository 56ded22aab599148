"""results/index.html: everything that `reproduce.py` made, on one self-contained page.

The template is page.html beside this file, with the blocks in page_blocks.html and page.css.
"""

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["page"]

HERE = Path(__file__).parent


def page(title, lines, good, sections):
    """The text of a page that opens from a file, offline, with nothing fetched.

    Args:
        title: of the page.
        lines: the lines of the proof, shown first.
        good: whether every bit agrees; where not, the lines are red.
        sections: [(heading, [block, …]), …], a block being one of
            ("text", str), ("figures", [(path of a PNG, alternative text), …]),
            ("table", (header, rows)), ("code", str), and once in a page
            ("explorer", (dict of explorer_data, str, whether the str is good news)).
    Returns:
        HTML, every text escaped.
    Raises:
        jinja2.UndefinedError: a block is of none of these kinds.
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
    """The text of a style or script beside this file, which goes into the page as it is."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def _base64(path):
    """The content of a file in base64."""
    return base64.b64encode(Path(path).read_bytes()).decode()


def _numeric_columns(header, rows):
    """Whether each column of a table holds only numbers, which are aligned at the right."""
    return [all(map(_is_number, column)) for _, *column in zip(header, *rows, strict=True)]


def _is_number(cell):
    try:
        float(cell)
    except (TypeError, ValueError):
        return cell == ""  # nothing to show for this row
    return True
