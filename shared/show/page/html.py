"""Composes results/index.html, a self-contained page with everything that `reproduce.py` produces.

The template is page.html in this folder, with page_blocks.html and page.css. Its texts, in English
and Chinese, are in texts/ (see texts.py); text.js switches the language.
"""

import base64
import io
from pathlib import Path

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from shared.show.page.difference import difference
from shared.show.page.texts import Text, english, filled, read_texts

__all__ = ["page"]

HERE = Path(__file__).parent
# Address of the repository, e.g. https://github.com/NAME/REPOSITORY. While it is empty, the page
# has no links to the notebooks and the code.
REPOSITORY = ""
SMALL = 640  # pixels


def page(title, lines, good, sections, about=None, trainer=None):
    """Returns the HTML of a page that needs no other file and no network.

    A text below is a str, or a `texts.Text` in both languages.

    Args:
        title: text, the title of the page.
        lines: the lines of the proof, as str; the page begins with their result.
        good: whether every bit agrees; otherwise the lines are red.
        sections: [(heading, [block, …]), …] of which the first is open and the others are folded;
            the heading is a text, and a block is one of
            ("text", text), ("figures", [(path of a PNG, alternative text), …]),
            ("table", (header, rows)), ("code", str), and at most once, in the first section,
            ("explorer", (dict of explorer_data, whether the bits agree, [text, …] about its
            weights, figures to show without JavaScript)).
        about: text beside the result of the proof, or None.
        trainer: dict of trainer_data for the section that trains, below the explorer; or None.
    Returns:
        HTML in which every text is escaped.
    Raises:
        jinja2.UndefinedError: a block is of another kind.
    """
    texts = read_texts()
    environment = _environment(texts)
    explorers = [
        content[0] for _, blocks in sections for kind, content in blocks if kind == "explorer"
    ]
    return environment.get_template("page.html").render(
        title=title,
        lines=lines,
        good=good,
        sections=sections,
        about=about,
        texts=texts,
        repository=REPOSITORY,
        explorer_data=explorers[0] if explorers else None,
        trainer_data=trainer,
        difference=difference() if explorers else None,
    )


def _environment(texts):
    """Returns the environment of the templates, which hold the English texts."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob("*.html")}
    environment = Environment(
        loader=DictLoader({name: filled(source, texts) for name, source in sources.items()}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"source": _source, "said": Text}
    environment.filters |= {
        "base64": _base64,
        "english": lambda said: english(texts, said),
        "numeric_columns": _numeric_columns,
    }
    return environment


def _source(name):
    """Returns the text of a style sheet or script in this folder, which is not escaped."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def _base64(path, small=False):
    """Returns a PNG in base64, with a single channel if all its pixels are grey.

    Args:
        path: path of the PNG.
        small: whether at most SMALL pixels a side and 64 colours are enough.
    """
    content = Path(path).read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        red, green, blue, alpha = image.convert("RGBA").split()
        coloured = image.convert("RGB")
    grey = red if red == green == blue and alpha.getextrema() == (255, 255) else None
    if small:
        coloured.thumbnail((SMALL, SMALL))
        return _encoded(coloured.quantize(64))
    if grey is not None:
        return min(base64.b64encode(content).decode(), _encoded(grey), key=len)
    return base64.b64encode(content).decode()


def _encoded(image):
    """Returns an image as a PNG in base64."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _numeric_columns(header, rows):
    """Returns, for each column of a table, whether it has only numbers and is aligned right."""
    return [all(map(_is_number, column)) for _, *column in zip(header, *rows, strict=True)]


def _is_number(cell):
    try:
        float(cell)
    except (TypeError, ValueError):
        return cell == ""  # a row without a value here
    return True
