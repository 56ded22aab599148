"""Records the SHA-256 of every file of a finished run, and compares a file with its record.

The record is the file SHA256SUMS, which `sha256sum --check` also reads. While a run is trained
there is none. A file that is replaced later is recorded before it is written, beside its earlier
content, so that the record is right whenever the process ends.
"""

import functools
import hashlib
import os
import re
from pathlib import Path

from shared.machine.checks import UsageError
from shared.run.files import read_text, write_atomically

__all__ = ["SUMS", "damaged", "intact", "record", "seal", "verify"]

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


def _read(directory):
    """Returns {name: hashes of the contents that are intact}; None if nothing is recorded.

    Raises:
        UsageError: the record is damaged.
    """
    path = Path(directory) / SUMS
    if not os.path.lexists(path):
        return None
    state = path.lstat()
    return _parsed(path, (state.st_ino, state.st_mtime_ns, state.st_size))


@functools.lru_cache(maxsize=8)
def _parsed(path, state):
    """Reads a record once for each state of its file; a new record is a new file."""
    sums = {}
    for line in read_text(path).splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            raise UsageError(f"{path} is damaged; train with --resume, which writes it again")
        sums.setdefault(match[2], []).append(match[1])
    return sums


def _write(directory, sums):
    lines = [f"{each}  {name}\n" for name in sorted(sums) for each in sums[name]]
    write_atomically(Path(directory) / SUMS, "".join(lines).encode())


def _sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(directory, names):
    """Records those of the named files that exist, and nothing else: the run is finished.

    Args:
        directory: folder of the run.
        names: paths within the folder, as text with slashes.
    """
    paths = {name: Path(directory) / name for name in names}
    _write(directory, {name: [_sha256(p)] for name, p in paths.items() if p.is_file()})


def record(directory, name, content):
    """Records the content that a file of a finished run is about to get.

    Args:
        directory: folder of the run.
        name: path within the folder, as text with slashes.
        content: bytes.
    """
    sums = _read(directory)
    if sums is None:
        return
    # Only the content that the file has now can still be there if the process is killed.
    path = Path(directory) / name
    earlier = [_sha256(path)] if path.is_file() else []
    earlier = [each for each in earlier if each in sums.get(name, [])]
    new = hashlib.sha256(content).hexdigest()
    _write(directory, {**sums, name: list(dict.fromkeys([new, *earlier]))})


def _differs(directory, name):
    """Returns whether a file is recorded and is not as recorded, or is missing.

    Args:
        directory: folder of the run.
        name: path within the folder, as text with slashes.
    Raises:
        UsageError: the record is damaged.
    """
    sums, path = _read(directory), Path(directory) / name
    if sums is None or name not in sums:
        return False
    return not path.is_file() or _sha256(path) not in sums[name]


def verify(directory, name):
    """Raises UsageError if a file is recorded and is not as recorded, or the record is damaged."""
    if _differs(directory, name):
        raise UsageError(
            f"{Path(directory) / name} is damaged (its SHA-256 is not that in {SUMS}); train with"
            " --resume to repair the run"
        )


def intact(directory, names):
    """Returns the set of those names whose files are recorded, exist and are as recorded."""
    try:
        sums = _read(directory) or {}
        return {name for name in names if name in sums and not _differs(directory, name)}
    except UsageError:
        return set()


def damaged(directory):
    """Returns the names of the recorded files that exist and are not as recorded."""
    try:
        sums = _read(directory) or {}
    except UsageError:
        return []
    present = (name for name in sums if os.path.lexists(Path(directory) / name))
    return [name for name in present if _differs(directory, name)]
