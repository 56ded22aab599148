"""Writes the address of a public copy of this repository into every notebook.

The "Open in Colab" badge of each notebook then opens it there, and its first cell downloads the
code from the same address. The links of both READMEs to the page, docs/index.html, lead to where
GitHub Pages publishes it. A later call replaces the address.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from translations import all_prose, as_text

from shared.command.line import exit_status
from shared.machine.checks import UsageError

FOLDER = Path(__file__).parent
BADGE = re.compile(
    r"(?<=colab\.research\.google\.com/github/)[^/]+/[^/]+/blob/[^/]+(?=/notebooks/)"
)
LINE = re.compile(r'^REPOSITORY = "[^"]*"', re.MULTILINE)
PAGE = re.compile(r"^\[page\]: \S+$", re.MULTILINE)  # where the links of a README to the page lead
NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass
class Address:
    """Write the address of a copy of this repository on GitHub into every notebook."""

    repository: Annotated[str, tyro.conf.Positional]
    """The copy, as OWNER/NAME."""
    branch: str = "main"
    """Branch of the copy."""


def addressed(text, repository, branch):
    """Returns the text of a cell or of a source file with the address.

    Args:
        text: str.
        repository: OWNER/NAME.
        branch: name of the branch.
    """
    text = BADGE.sub(f"{repository}/blob/{branch}", text)
    return LINE.sub(f'REPOSITORY = "https://github.com/{repository}"', text)


def write_address(folder, repository, branch="main"):
    """Writes the address into the notebooks of a folder, their sources and their translations.

    Args:
        folder: folder of the notebooks.
        repository, branch: as for `addressed`.
    Returns:
        number of notebooks, with translations.
    Raises:
        UsageError: the repository is not written as OWNER/NAME, or the branch has a slash.
    """
    if not NAME.fullmatch(repository):
        raise UsageError(f"the repository is {repository!r}; expected OWNER/NAME")
    if not re.fullmatch(r"[\w.-]+", branch):
        raise UsageError(
            f"--branch is {branch!r}; expected a name of letters, digits, '.', '_', '-'"
        )
    for source in [*folder.glob("[0-9]*.py"), *all_prose(folder)]:
        text = source.read_text(encoding="utf-8")
        source.write_text(addressed(text, repository, branch), encoding="utf-8", newline="\n")
    paths = sorted(folder.glob("[0-9]*.ipynb"))
    for path in paths:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            text = addressed("".join(cell["source"]), repository, branch)
            cell["source"] = text.splitlines(keepends=True)
        path.write_text(as_text(notebook), encoding="utf-8", newline="\n")
    return len(paths)


def write_page_address(folder, repository):
    """Writes the address of the published page into the READMEs of a folder.

    Args:
        folder: folder of the READMEs.
        repository: OWNER/NAME.
    Returns:
        the address.
    """
    owner, name = repository.split("/")
    page = f"https://{owner.lower()}.github.io/{name}/"
    for path in sorted(folder.glob("README*.md")):
        text = PAGE.sub(f"[page]: {page}", path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8", newline="\n")
    return page


def main():
    """Writes the address given on the command line."""
    address = tyro.cli(Address, prog="notebooks/address.py")
    count = write_address(FOLDER, address.repository, address.branch)
    page = write_page_address(FOLDER.parent, address.repository)
    print(f"the READMEs lead to the page at {page}")
    print(f"{count} notebooks have the address {address.repository}, branch {address.branch}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
