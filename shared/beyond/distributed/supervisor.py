"""Trains as one of several workers, in a process of its own, and ends it if another worker ends.

The engines behave differently if a worker ends: some calls raise an exception, some end the process
from C++, some wait. So the engine runs in a child process, and this process watches the child and
the other workers. Whatever happens, the user gets one line within a bounded time.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from shared.beyond.distributed.cluster import Cluster
from shared.beyond.distributed.rendezvous import meet
from shared.config import from_dict
from shared.data import load_data
from shared.machine.arithmetic import use_threads
from shared.machine.checks import UsageError
from shared.machine.process import Stopped, WorkerEnded, end_with_parent, say, set_up
from shared.machine.versions import versions
from shared.run.files import write_atomically, write_json
from shared.show.epochs import EpochLines
from shared.show.status import tell

__all__ = ["Job", "run_child", "supervise"]

FINISHED = "finished"
GRACE = 20.0  # seconds in which an error of the engine is traced to another worker's end


@dataclasses.dataclass(frozen=True)
class Job:
    """Holds what the child process needs to train as one worker.

    `out` is the folder of the run, which only worker 0 reads and writes; for the others it is None.
    `message` is the path of the file to which the child writes why it ends.
    """

    config: dict
    data: str
    out: str | None
    resume: bool
    overwrite: bool
    checkpoint_steps: int | None
    cluster: dict
    message: str
    threads: int = 1
    reading: dict = dataclasses.field(default_factory=dict)  # the options of load_data

    @property
    def arguments(self):
        """The config, the data and the cluster, as objects."""
        data = load_data(self.data, say=lambda line: None, **self.reading)
        return from_dict(self.config), data, self._cluster

    def on_epoch(self, run):
        """Returns the function with which worker 0 prints an epoch; None for the others."""
        if not self._cluster.chief:
            return None
        return EpochLines(run.config, run.data.n_train, tell).epoch

    @property
    def _cluster(self):
        addresses = tuple(self.cluster["addresses"])
        return Cluster(**{**self.cluster, "addresses": addresses})


def supervise(package, command, cluster, out, data):
    """Trains as one worker of a cluster; returns when this worker has finished.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.arguments.Train.
        cluster: shared.beyond.distributed.cluster.Cluster.
        out: folder of the run.
        data: shared.data.Data, which is compared with that of the other workers.
    Raises:
        UsageError: the workers do not fit, or one's address cannot be used.
        Stopped: another worker has ended or has other final weights, or the training cannot
            continue.
    """
    config = dataclasses.asdict(command.config)
    peers = None
    if cluster.count > 1:
        description = {
            "settings": config,
            "implementation": package,
            "data": data.sha256,
            "versions": versions(),
            "threads": command.threads,
        }
        # As in JSON, in which tuples are lists.
        peers = meet(cluster, json.loads(json.dumps(description)), say)
    with tempfile.TemporaryDirectory(prefix="vae-worker-") as folder:
        message = Path(folder) / "message"
        job = Job(
            config,
            data.source,
            str(out) if cluster.chief else None,
            command.resume,
            command.overwrite,
            command.checkpoint_steps,
            dataclasses.asdict(cluster),
            str(message),
            command.threads,
            data.reading,
        )
        write_json(Path(folder) / "job.json", dataclasses.asdict(job))
        log = Path(folder) / "log"
        with log.open("wb") as file:
            child = subprocess.Popen(
                [sys.executable, "-m", f"{package}.beyond.workers", str(Path(folder) / "job.json")],
                stdin=subprocess.DEVNULL,
                stderr=file,
                stdout=None if cluster.chief else subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C ends this process, which ends the child
            )
        try:
            status = _watch(child, peers)
            kind, text = _read(message)
            # Some engines end a process that has finished with an error, if another ended first.
            if kind != FINISHED:
                _explain(status, kind, text, log, peers, cluster)
            if peers:
                peers.finish(text)
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()  # every file is complete at any time
            child.wait()
            if peers:
                peers.close()


def _watch(child, peers):
    """Returns the child's exit status; raises Stopped if another worker ends first."""
    while (status := child.poll()) is None:
        if peers:
            peers.watch(0.2)
        else:
            time.sleep(0.1)
    return status


def _read(path):
    """Returns what the child has written: why it ends, and a text about it."""
    kind, _, text = (path.read_text(encoding="utf-8") if path.exists() else "").partition("\n")
    return kind, text


def _explain(status, kind, text, log, peers, cluster):
    """Raises the exception that says why the child has ended."""
    if kind == UsageError.__name__:
        raise UsageError(text)
    if kind == Stopped.__name__:
        raise Stopped(text)
    # Either the engine noticed the end of another worker before its connection was closed, or the
    # child has an error of its own.
    deadline = time.monotonic() + (GRACE if peers else 0)
    while time.monotonic() < deadline:
        peers.watch(0.2)
    with tempfile.NamedTemporaryFile(prefix="vae-worker-", suffix=".log", delete=False) as kept:
        kept.write(log.read_bytes())
    what = f"signal {-status}" if status < 0 else f"exit status {status}"
    raise WorkerEnded(f"{cluster.name(cluster.index)} ended unexpectedly ({what}; see {kept.name})")


def run_child(train):
    """Runs the child process of a worker: reads its job, and reports why it ends.

    Args:
        train: function of a Job, which trains and returns the final weights, {name: array}.
    Returns:
        int: the exit status.
    """
    set_up()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, args=[os.getppid()], daemon=True).start()
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    try:
        use_threads(job.threads)
        weights = train(job)
    except (UsageError, Stopped) as error:
        write_atomically(job.message, f"{type(error).__name__}\n{error}".encode())
        return 1
    write_atomically(job.message, f"{FINISHED}\n{_sha256(weights)}".encode())
    return 0


def _sha256(weights):
    """Returns the SHA-256 of the names and bits of weights."""
    digest = hashlib.sha256()
    for name, array in weights.items():
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()
