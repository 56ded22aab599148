"""Converts an .npz to a folder of .npy files, which need not fit into memory: --help.

python -m shared.beyond.shards digits.npz digits
python -m keras_vae train --data digits
"""

from shared.machine.process import set_up

set_up()

import sys
from dataclasses import dataclass
from pathlib import Path

from shared.beyond.shards.writing import write_shards
from shared.command.flags import given_flags
from shared.command.line import exit_status
from shared.show.status import Status, tell


@dataclass
class Convert:
    """Convert an .npz with x_train, y_train, x_test and y_test to a folder of .npy files."""

    data: Path
    """Path of the .npz."""
    out: Path
    """Path of the folder, which must not exist."""
    images_per_file: int = 100_000
    """Images in each file but the last one."""


def convert(argv):
    """Converts, and shows the progress on stderr."""
    job = Convert(**given_flags(argv, "python -m shared.beyond.shards", [Convert]))
    with Status() as status:
        status.phase("writing the folder")
        write_shards(
            job.data,
            job.out,
            job.images_per_file,
            lambda done, total: status.show(f"writing the folder: {done:,} of {total:,} files"),
        )
    tell(f"{job.out} is written; train on it with --data {job.out}")


if __name__ == "__main__":
    sys.exit(exit_status(lambda: convert(sys.argv[1:])))
