"""Executes the notebooks: from each NN_name.py (py:percent) to NN_name.ipynb with its outputs.

A translation has the same code cells as the original, so it is not executed, and gets the outputs
of the original. Everything that changes between executions (times, random cell ids) is left out, so
that equal results give equal files.
"""

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
TIMEOUT = 600  # seconds per cell
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(source):
    """Reads the notebook of a py:percent file, without outputs."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", nbformat.from_dict({})
    return notebook


def execute(notebook):
    """Runs all cells of a notebook in its own kernel, in the folder of the notebooks."""
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
    nbformat.validate(notebook)
    nbformat.write(notebook, source.with_suffix(".ipynb"))


def main(names):
    """Executes the notebooks whose name begins with one of `names`, or all notebooks."""
    sources = sorted(path for path in FOLDER.glob("[0-9]*.py") if path.suffixes == [".py"])
    for source in sources:
        if names and not source.name.startswith(tuple(names)):
            continue
        print(source.stem, flush=True)
        notebook = read(source)
        execute(notebook)
        write(notebook, source)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for twin_source in FOLDER.glob(f"{source.stem}.*.py"):
            twin = read(twin_source)
            twin_code = [cell for cell in twin.cells if cell.cell_type == "code"]
            if [cell.source for cell in twin_code] != [cell.source for cell in code]:
                raise SystemExit(
                    f"the code cells of {twin_source.name} differ from those of {source.name}"
                )
            for cell, executed in zip(twin_code, code, strict=True):
                cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
            write(twin, twin_source)


if __name__ == "__main__":
    main(sys.argv[1:])
