"""Converts an .npz to a folder of .npy files, which need not fit into memory: --help.

python -m shared.beyond.shards digits.npz digits
python -m keras_vae train --data digits
"""

from shared.machine.process import set_up

set_up()

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from shared.beyond.shards.writing import write_shards
from shared.command.line import exit_status


@dataclass
class Convert:
    """Convert an .npz with x_train, y_train, x_test and y_test to a folder of .npy files."""

    data: Positional[Path]
    """Path of the .npz."""
    out: Positional[Path]
    """Path of the folder, which must not exist."""
    images_per_file: int = 100_000
    """Images in each file but the last one."""


def convert(job):
    """Converts, and shows the progress on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("files")

        def on_progress(done, total):
            progress.update(bar, completed=done, total=total)

        write_shards(job.data, job.out, job.images_per_file, on_progress)
    print(f"{job.out} is written; train on it with --data {job.out}")


if __name__ == "__main__":
    job = tyro.cli(Convert, prog="python -m shared.beyond.shards")
    sys.exit(exit_status(lambda: convert(job)))
