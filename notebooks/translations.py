"""Builds the translations of the notebooks from their prose; nothing is executed.

zh-CN/NN_name.md has the prose of NN_name.zh-CN.ipynb. Code cells and outputs are those of the
executed original, NN_name.ipynb: each line <!-- code --> in the prose stands for the next code cell.
The text between two such lines is one Markdown cell, and a line <!-- cell --> divides it into two.
Links are those of the built notebook: they are relative to the folder of the notebooks.
"""

import copy
import json

from shared.machine.checks import UsageError

CODE, CELL = "<!-- code -->", "<!-- cell -->"


def all_prose(folder, stem="[0-9]*"):
    """Returns the files of prose of all translations, or of those of one notebook.

    Args:
        folder: folder of the notebooks.
        stem: NN_name of a notebook.
    """
    return sorted(folder.glob(f"*/{stem}.md"))


def original_of(prose):
    """Returns the path of the executed original, given that of the prose."""
    return prose.parents[1] / f"{prose.stem}.ipynb"


def translation_of(prose):
    """Returns the path of the translation, given that of its prose."""
    return original_of(prose).with_suffix(f".{prose.parent.name}.ipynb")


def build(prose):
    """Writes the translation that has this prose, and returns its path.

    Raises:
        UsageError: as for `translated`.
    """
    original = json.loads(original_of(prose).read_text(encoding="utf-8"))
    path = translation_of(prose)
    path.write_text(as_text(translated(original, prose)), encoding="utf-8", newline="\n")
    return path


def translated(original, prose):
    """Returns a copy of a notebook, with other prose.

    Args:
        original: notebook as a dict, with outputs or without them.
        prose: path of the prose.
    Raises:
        UsageError: the prose has other cells than the original.
    """
    found, wanted = _read(prose), _prose_cells(original)
    name, origin = _name(prose), original_of(prose).name
    if len(found) != len(wanted):
        raise UsageError(
            f"{name}: the line {CODE} occurs {len(found) - 1} times; expected {len(wanted) - 1}, "
            f"as {origin} has code cells"
        )
    notebook = copy.deepcopy(original)
    for number, (texts, places) in enumerate(zip(found, wanted, strict=True)):
        if len(texts) != len(places):
            raise UsageError(
                f"{name}: number of Markdown cells {_where(number, len(found))} is {len(texts)}; "
                f"expected {len(places)} as in {origin}, with lines {CELL} between them"
            )
        for text, place in zip(texts, places, strict=True):
            notebook["cells"][place]["source"] = text.splitlines(keepends=True)
    return notebook


def as_text(notebook):
    """Returns the text of a notebook's file, in the layout of nbformat, given the notebook's dict."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _read(prose):
    """The texts of the Markdown cells before each code cell, and of those after the last one."""
    lines = prose.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if "<!--" in line and line not in (CODE, CELL):
            raise UsageError(f"{_name(prose)}, line {number}: {line}; expected {CODE} or {CELL}")
    parts = _split(lines, CODE)
    found = [[_text(cell) for cell in _split(part, CELL)] if _text(part) else [] for part in parts]
    for number, texts in enumerate(found):
        if "" in texts:
            where = _where(number, len(found))
            raise UsageError(
                f"{_name(prose)}: empty cell {where}; expected text on both sides of {CELL}"
            )
    return found


def _split(lines, marker):
    parts = [[]]
    for line in lines:
        if line == marker:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _text(lines):
    text = "\n".join(lines).strip("\n")
    return text if text.strip() else ""


def _prose_cells(notebook):
    """The places of the Markdown cells before each code cell, and of those after the last one."""
    places = [[]]
    for place, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            places.append([])
        else:
            places[-1].append(place)
    return places


def _name(prose):
    return f"{prose.parent.name}/{prose.name}"


def _where(number, count):
    return f"before code cell {number + 1}" if number + 1 < count else "after the last code cell"
