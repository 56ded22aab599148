"""Lets the workers of a training meet, checks that they fit, and watches that none of them ends.

Before an engine starts, every worker connects to worker 0, on the address that the engine will
use, and sends a description of itself. Worker 0 compares them and lets all of them begin, or tells
all of them what does not fit. The connections stay open while the engine trains. A worker that
ends, for whatever reason, closes its connection; one that does not send a sign of life is given up.
So the others do not wait for it, whatever the engine does.
"""

import contextlib
import json
import select
import time

from shared.beyond.distributed.cluster import connect, listen
from shared.machine.checks import UsageError
from shared.machine.process import Stopped, WorkerEnded
from shared.machine.text import printable

__all__ = ["Peers", "meet"]

BEAT = 2.0  # seconds between two signs of life
SILENCE = 30.0  # seconds without one after which a worker is given up
LONGEST = 10_000  # bytes of a message


class Peers:
    """The open connections of a worker: of worker 0 to all others, of the others to worker 0."""

    def __init__(self, cluster, sockets):
        self.cluster = cluster
        self.sockets = sockets  # {index: socket}
        self.finished = {}  # {index: SHA-256 of the final weights}
        self.heard = dict.fromkeys(sockets, time.monotonic())
        self.sent = time.monotonic()
        self.buffers = dict.fromkeys(sockets, b"")

    def watch(self, seconds):
        """Waits, and exchanges signs of life.

        Args:
            seconds: how long it waits.
        Raises:
            WorkerEnded: a worker has ended before the training, or does not answer.
        """
        now = time.monotonic()
        if now - self.sent > BEAT:
            self.tell({"alive": True})
            self.sent = now
        waiting = {i: s for i, s in self.sockets.items() if i not in self.finished}
        ready, _, _ = select.select(list(waiting.values()), [], [], seconds)
        for index, connection in waiting.items():
            if connection in ready:
                self._receive(index, connection)
            elif time.monotonic() - self.heard[index] > SILENCE:
                self._lost(index, f"does not answer for {SILENCE:.0f} s")

    def _receive(self, index, connection):
        try:
            received = connection.recv(4096)
        except OSError:
            received = b""
        if not received:
            self._lost(index, "has ended")
        self.heard[index] = time.monotonic()
        *lines, self.buffers[index] = (self.buffers[index] + received).split(b"\n")
        for line in lines:
            message = _decoded(line)
            if "finished" in message:
                self.finished[index] = message["finished"]
            if "lost" in message:
                raise WorkerEnded(printable(str(message["lost"])))

    def finish(self, sha256):
        """Tells the others that this worker has finished; worker 0 compares the final weights.

        Args:
            sha256: of this worker's final weights.
        Raises:
            WorkerEnded: a worker has ended before.
            Stopped: a worker has other weights than worker 0.
        """
        self.tell({"finished": sha256})
        if not self.cluster.chief:
            return
        while len(self.finished) < len(self.sockets):
            self.watch(0.2)
        for index, theirs in sorted(self.finished.items()):
            if theirs != sha256:
                raise Stopped(f"{self.cluster.name(index)} has other final weights than worker 0")

    def _lost(self, index, what):
        text = f"{self.cluster.name(index)} {what}"
        self.tell({"lost": text})
        raise WorkerEnded(text)

    def tell(self, message):
        """Sends a message to all other workers that are connected."""
        for connection in self.sockets.values():
            _send(connection, message)

    def close(self):
        """Closes the connections; the others then learn that this worker has ended."""
        for connection in self.sockets.values():
            connection.close()


def meet(cluster, description, say):
    """Waits for all workers, and compares their descriptions.

    Args:
        cluster: shared.beyond.distributed.cluster.Cluster.
        description: dict of texts; each must be the same for all workers.
        say: called with a line of text that tells the user for whom this worker waits.
    Returns:
        Peers
    Raises:
        UsageError: a worker's own address cannot be used, or the workers do not fit.
        Stopped: not all workers appeared in time.
    """
    hello = {"index": cluster.index, "count": cluster.count, **description}
    deadline = time.monotonic() + cluster.timeout
    if cluster.chief:
        return _receive_all(cluster, hello, deadline, say)
    if len(cluster.addresses) == cluster.count:
        listen(cluster).close()  # so that a wrong address is reported before the engine starts
    return _report(cluster, hello, deadline, say)


def _receive_all(cluster, hello, deadline, say):
    """Worker 0: waits until all others are connected."""
    sockets = {}
    with listen(cluster) as server:
        say(f"waiting for {cluster.count - 1} other workers at {cluster.addresses[0]}")
        while len(sockets) < cluster.count - 1:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, _ = server.accept()
                connection.settimeout(5.0)
                theirs = _decoded(connection.makefile("rb").readline(LONGEST))
            except TimeoutError:
                if time.monotonic() < deadline:
                    continue
                missing = [i for i in range(1, cluster.count) if i not in sockets]
                text = (
                    f"{', '.join(map(cluster.name, missing))} did not appear within"
                    f" {cluster.timeout:g} s; start all workers, or give a longer --connect-timeout"
                )
                Peers(cluster, sockets).tell({"lost": text})
                raise Stopped(text) from None
            except OSError:
                continue
            if "index" not in theirs:
                connection.close()  # something else than a worker, e.g. a port scanner
                continue
            problem = _problem(cluster, hello, theirs, sockets)
            if problem:
                Peers(cluster, {**sockets, "new": connection}).tell({"refused": problem})
                raise UsageError(problem)
            sockets[theirs["index"]] = connection
    peers = Peers(cluster, sockets)
    peers.tell({"begin": True})
    return peers


def _problem(cluster, ours, theirs, sockets):
    """Returns why a worker does not fit, or None."""
    index = theirs["index"]
    if theirs.get("count") != cluster.count:
        return (
            f"worker {index} counts {theirs.get('count')} workers and worker 0 counts"
            f" {cluster.count}; give all of them the same --workers"
        )
    if type(index) is not int or not 0 < index < cluster.count or index in sockets:
        return f"worker {index} appeared twice; give each worker its own --worker"
    for key, value in ours.items():
        if key != "index" and theirs.get(key) != value:
            return (
                f"worker {index} has other {key} than worker 0 ({printable(str(theirs.get(key)))}"
                f" and {printable(str(value))}); give all workers the same command and data"
            )
    return None


def _report(cluster, hello, deadline, say):
    """Another worker: connects to worker 0, and waits until it lets all begin."""
    say(f"waiting for {cluster.name(0)}")
    late = Stopped(
        f"{cluster.name(0)} did not answer within {cluster.timeout:g} s; start all workers, or give"
        " a longer --connect-timeout"
    )
    while True:
        try:
            connection = connect(cluster, max(0.01, deadline - time.monotonic()))
            _send(connection, hello)
            # Worker 0 itself reports when its time is over.
            connection.settimeout(max(0.01, deadline - time.monotonic()) + 5)
            answer = _decoded(connection.makefile("rb", buffering=0).readline(LONGEST))
        except OSError:
            answer = {}
        if answer.get("begin"):
            connection.settimeout(5.0)
            return Peers(cluster, {0: connection})
        if "lost" in answer:
            raise Stopped(printable(str(answer["lost"])))
        if "refused" in answer:
            raise UsageError(printable(str(answer["refused"])))
        if time.monotonic() > deadline:
            raise late
        time.sleep(0.2)


def _send(connection, message):
    with contextlib.suppress(OSError):  # its end is noticed when it is read
        connection.sendall(json.dumps(message).encode() + b"\n")


def _decoded(line):
    """Returns the dict of one line, or {} for anything else."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
