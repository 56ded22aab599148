"""Executes the notebooks: from each NN_name.py (py:percent) to NN_name.ipynb with its outputs.

A translation is not executed: translations.py builds it from its prose and the executed original.
Everything that changes between executions (times, random cell ids) is left out, so that equal
results give equal files.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import tyro
from translations import all_prose, build, translated
from tyro.conf import FlagCreatePairsOff, Positional

from shared.command.line import exit_status
from shared.machine.checks import UsageError

FOLDER = Path(__file__).parent
TIMEOUT = 600  # seconds per cell
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
FORM = "# @title "  # so begins a cell that is folded to this line: the set-up
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["hide-input"]}


@dataclass
class Execute:
    """Execute the notebooks, and build their translations."""

    names: Positional[tuple[str, ...]] = ()
    """Beginnings of the names of notebooks, such as 01 03; without them, all notebooks."""
    translations: FlagCreatePairsOff[bool] = False
    """Build only the translations, from their prose and the notebooks as they were last executed."""
    processes: int = min(4, os.cpu_count() or 1)
    """Notebooks that are executed side by side, each on one core and in about 1.5 GB of memory."""


def read(source):
    """Reads the notebook of a py:percent file, without outputs."""
    import jupytext  # translations need none of the notebook tools
    import nbformat

    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict(FOLDED if cell.source.startswith(FORM) else {})
    return notebook


def execute(notebook):
    """Runs all cells of a notebook in its own kernel, in the folder of the notebooks."""
    import nbformat
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
        coalesce_streams=True,  # otherwise one print can give two outputs
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # hides a warning about local ports
    )
    client.execute()
    notebook.metadata = nbformat.from_dict(METADATA)  # the kernel adds its own version


def write(notebook, source):
    """Writes a notebook beside its source."""
    import nbformat

    nbformat.validate(notebook)
    text = nbformat.writes(notebook) + "\n"
    source.with_suffix(".ipynb").write_text(text, encoding="utf-8", newline="\n")


def chosen(names):
    """Returns the sources of the notebooks whose name begins with one of `names`, or all sources.

    Raises:
        UsageError: no notebook begins with one of the names.
    """
    sources = sorted(FOLDER.glob("[0-9]*.py"))
    for name in names:
        if not any(source.name.startswith(name) for source in sources):
            known = ", ".join(source.stem for source in sources)
            raise UsageError(
                f"no notebook begins with {name!r}; expected the beginning of one of {known}"
            )
    return [source for source in sources if not names or source.name.startswith(tuple(names))]


def made(source):
    """Executes a notebook, writes it with its translations, and returns the names of the files."""
    notebook, prose = read(source), all_prose(FOLDER, source.stem)
    for each in prose:
        translated(notebook, each)  # so that an error in it is said before the execution
    execute(notebook)
    write(notebook, source)
    return [source.stem, *(build(each).stem for each in prose)]


def main():
    """Executes what is named on the command line."""
    job = tyro.cli(Execute, prog="notebooks/execute.py")
    if job.processes < 1:
        raise UsageError(f"--processes is {job.processes}; expected at least 1")
    sources = chosen(job.names)
    if job.translations:
        for prose in [each for source in sources for each in all_prose(FOLDER, source.stem)]:
            print(build(prose).stem, flush=True)
        return
    together = min(job.processes, len(sources))
    print(
        f"executing {', '.join(each.stem[:2] for each in sources)}; {together} at a time",
        flush=True,
    )
    with ProcessPoolExecutor(together, get_context("spawn")) as pool:
        tasks = [pool.submit(made, source) for source in sources]
        try:
            for number, task in enumerate(as_completed(tasks), start=1):
                print(f"{number}/{len(sources)}", *task.result(), flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # the others are not begun
            raise


if __name__ == "__main__":
    sys.exit(exit_status(main))
