"""Reads which workers train together, from flags or from the variables of the two engines."""

import json
import os
import socket
from dataclasses import dataclass

from shared.machine.backend import CLUSTER_VARIABLES, backend
from shared.machine.checks import UsageError
from shared.machine.text import printable

__all__ = ["Cluster", "cluster_of"]

JAX_VARIABLES = (CLUSTER_VARIABLES["keras_vae"], "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
WANTED = "expected host:port,host:port,…, one address for each worker"


@dataclass(frozen=True)
class Cluster:
    """Holds the workers of a training, or the virtual devices of one process.

    `addresses` has the host:port of each worker; from JAX's variables, only that of worker 0 is
    known. `index` is the number of this worker, and `timeout` the number of seconds for which it
    waits for the others. With `devices` there is one process, with that many virtual CPU devices.
    """

    addresses: tuple[str, ...] = ()
    count: int = 1
    index: int = 0
    timeout: float = 300.0
    devices: int | None = None

    @property
    def chief(self):
        """Whether this is worker 0, the only one that writes files."""
        return self.index == 0

    def name(self, index):
        """Returns how a message names a worker."""
        return f"worker {index}" + (
            f" ({printable(self.addresses[index])})" if index < len(self.addresses) else ""
        )


def cluster_of(package, command):
    """Returns the cluster that a `train` command asks for, or None for an ordinary training.

    Args:
        package: "keras_vae" or "tf_vae".
        command: shared.command.arguments.Train.
    Raises:
        UsageError: the flags or variables contradict themselves, or name no valid addresses.
    """
    if command.virtual_devices is not None:
        return _virtual(package, command)
    if command.workers is not None:
        addresses = [part.strip() for part in command.workers.split(",")]
        if command.worker is None:
            raise UsageError("--workers needs --worker I, the number of this worker from 0 on")
        source, index = "--workers", command.worker
    elif command.worker is not None:
        raise UsageError(f"--worker needs --workers; {WANTED}")
    elif not os.environ.get(CLUSTER_VARIABLES[package]):
        return None
    elif package == "tf_vae":
        source = CLUSTER_VARIABLES[package]
        addresses, index = _from_tf_config(os.environ[source])
    else:
        _check_backend(package)
        return _from_jax(command.connect_timeout)
    _check_backend(package)
    for address in addresses:
        _parse(source, address)
    if len(set(addresses)) < len(addresses):
        twice = next(each for each in addresses if addresses.count(each) > 1)
        raise UsageError(f"{source} names {printable(twice)} twice; {WANTED}")
    _check_index(source, index, len(addresses))
    return Cluster(tuple(addresses), len(addresses), index, command.connect_timeout)


def _check_backend(package):
    if package == "keras_vae" and backend() != "jax":
        raise UsageError(
            f"`fit` does not train on several workers with Keras' backend {backend()}; set"
            " KERAS_BACKEND=jax, or train with tf_vae"
        )


def _virtual(package, command):
    if package != "tf_vae":
        raise UsageError(
            "--virtual-devices needs tf_vae; with keras_vae, start several --workers instead"
        )
    if command.workers is not None or command.worker is not None:
        raise UsageError("--virtual-devices and --workers exclude each other; give one")
    if not 1 <= command.virtual_devices <= 64:
        raise UsageError(f"--virtual-devices is {command.virtual_devices}; expected 1 to 64")
    return Cluster(devices=command.virtual_devices)


def _from_tf_config(text):
    """Returns addresses and index from the value of TF_CONFIG."""
    try:
        value = json.loads(text)
        (kind, addresses), *others = value["cluster"].items()
        task = value["task"]
        if others or kind != "worker" or task["type"] != "worker" or type(task["index"]) is not int:
            raise ValueError("it has other tasks than workers")
        return [str(address) for address in addresses], task["index"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"TF_CONFIG cannot be used ({printable(str(error))}); expected"
            ' {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
        ) from None


def _from_jax(timeout):
    """Returns the cluster that JAX's own variables describe."""
    values = {name: os.environ.get(name, "") for name in JAX_VARIABLES}
    address, *numbers = values.values()
    if not all(each.isascii() and each.isdecimal() for each in numbers) or not address:
        shown = ", ".join(f"{name}={printable(value)!r}" for name, value in values.items())
        raise UsageError(f"{shown}; expected host:port and two integers, or --workers and --worker")
    count, index = map(int, numbers)
    _parse("JAX_COORDINATOR_ADDRESS", address)
    _check_index("JAX_NUM_PROCESSES", index, count)
    return Cluster((address,), count, index, timeout)


def _check_index(source, index, count):
    if not 0 <= index < count:
        raise UsageError(
            f"worker {index} is not one of the {count} in {source}; expected 0 to {count - 1}"
        )


def _parse(source, address):
    """Returns host and port of an address."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or not 1 <= int(port) <= 65535:
        raise UsageError(f"{source} holds {printable(address)!r}; {WANTED}")
    return host, int(port)


def listen(cluster):
    """Returns a socket that listens on this worker's own address.

    Raises:
        UsageError: the port is in use, or the address is not one of this machine.
    """
    address = cluster.addresses[cluster.index]
    host, port = _parse("--workers", address)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[
            0
        ]
        server = socket.socket(family, kind, protocol)
        # The engine listens on the same port while connections to this socket are still open.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(target)
        server.listen(cluster.count + 8)
    except OSError as error:
        raise UsageError(
            f"{cluster.name(cluster.index)} cannot listen on its address:"
            f" {error.strerror or error}; give a free port of this machine, and each worker its own"
            " number"
        ) from error
    return server


def connect(cluster, timeout):
    """Returns a connection to worker 0, or raises OSError."""
    host, port = _parse("--workers", cluster.addresses[0])
    return socket.create_connection((host, port), timeout)
