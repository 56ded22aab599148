"""Makes a process fail at a call that changes a file: it is killed there, or the call fails."""

import os
import re
import resource
import signal
import sys
import traceback
from pathlib import Path

from shared.run.files import step_of

__all__ = ["Fault", "start"]

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


class Fault:
    """Counts the calls that change files below a folder, and acts at the first one not yet seen."""

    def __init__(self, folder, kind, seen, record):
        self.folder, self.kind, self.seen, self.record = folder, kind, seen, record
        self.inside = False

    def __call__(self, event, arguments):
        """Is an audit hook of Python, which is called before the call."""
        if self.inside or not (event in CHANGES or (event == "open" and _writes(arguments))):
            return
        paths = [os.path.abspath(os.fsdecode(a)) for a in arguments[:2] if _is_path(a)]
        if not paths or not paths[-1].startswith(str(self.folder)):
            return
        self.inside = True  # what follows opens files, too
        try:
            self.act(event, paths)
        finally:
            self.inside = False

    def act(self, event, paths):
        name = re.sub(
            r"\.[0-9a-f]{8}\.partial", ".partial", os.path.relpath(paths[-1], self.folder)
        )
        run = Path(paths[-1]).parent
        run = run.parent if run.name in ("checkpoints", "figures") else run
        label = f"{event} {name} after step {step_of(run / 'checkpoints' / 'last.npz')}"
        if self.record is not None and event == "os.rename" and name.endswith("last.npz"):
            content = Path(paths[0]).read_bytes()
            step = step_of(paths[0])
            with open(self.record / f"{name.replace('/', ' ')} {step}", "wb") as file:
                file.write(content)
        if self.kind in ("write", "full"):
            with open(self.seen, "a+", encoding="utf-8") as file:
                file.seek(0)
                if label in file.read().splitlines():
                    return
                print(label, file=file, flush=True)
            if self.kind == "write":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(28, "No space left on device", paths[-1])


def _is_path(argument):
    return isinstance(argument, (str, bytes, os.PathLike))


def _writes(arguments):
    path, mode, flags = arguments
    if not _is_path(path):
        return False
    return set(mode or "") & set("wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)


def start(command, folder, log, fault=None, limit=None):
    """Forks a process that executes `command`; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 99
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(folder.parent)
        if fault is not None:
            sys.addaudithook(fault)
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        status = command()
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
