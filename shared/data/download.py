"""Downloads MNIST, and checks that it is the file that Keras publishes."""

import hashlib
import http.client
import os
import sys
import urllib.request

from shared.machine.checks import UsageError
from shared.machine.process import interactive

__all__ = ["FAILURES", "download_mnist"]

# The file that Keras itself downloads, with the SHA-256 that Keras expects.
MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_FILE_SIZE = 11_490_434  # bytes
MNIST_FILE_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
TIMEOUT = 10  # seconds, for the connection and for each read
# What a download raises without a connection, or if it is interrupted.
FAILURES = (OSError, http.client.HTTPException)


def download_mnist(path, say):
    """Downloads MNIST to `path`, which is written completely or not at all.

    Args:
        path: path of the file; missing folders are created.
        say: called with a line of text.
    Raises:
        one of FAILURES: there is no connection, or it was interrupted.
        UsageError: the content is not the file that Keras publishes.
    """
    from rich.progress import Console, wrap_file

    with urllib.request.urlopen(MNIST_URL, timeout=TIMEOUT) as response:
        size = response.length or 0  # from the server's header; each `read` reduces it
        say(f"downloading MNIST ({size / 2**20:.0f} MiB) to {path}")
        bar = {"console": Console(stderr=True), "disable": not (size and interactive(sys.stderr))}
        with wrap_file(response, size, description="", **bar) as file:
            content = b""  # a server may send without end: what is longer has another hash
            while len(content) <= MNIST_FILE_SIZE and (part := file.read(2**20)):
                content += part
        if (
            response.length and len(content) <= MNIST_FILE_SIZE
        ):  # bytes are missing, which `read` does not report
            raise http.client.IncompleteRead(content, response.length)
    digest = hashlib.sha256(content).hexdigest()
    if digest != MNIST_FILE_SHA256:
        raise UsageError(
            f"the download from {MNIST_URL} has SHA-256 {digest[:12]}…, expected"
            f" {MNIST_FILE_SHA256[:12]}…; try again, or set MNIST_NPZ to a good copy"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
