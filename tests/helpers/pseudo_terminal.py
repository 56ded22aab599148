"""Runs a program in a pseudo-terminal of a given width, as a user sees it."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

__all__ = ["run_in_terminal"]

ROWS = 24


def run_in_terminal(command, columns, **environment):
    """Runs a program, and returns its exit status and all that it wrote to the terminal.

    The terminal does not add a carriage return to a line feed, so each one in the text is the
    program's.

    Args:
        command: list of words.
        columns: the width of the terminal.
        environment: variables of the program beside those of this process.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.ONLCR
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    names = ("NO_COLOR", "COLUMNS", "LINES")
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    variables = {**inherited, "TERM": "xterm-256color", **environment}
    with subprocess.Popen(
        list(map(str, command)), stdin=theirs, stdout=theirs, stderr=theirs, env=variables
    ) as process:
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 2**16):
                parts.append(part)
        except OSError:  # Linux says so that the last program has closed the terminal
            pass
    os.close(ours)
    return process.returncode, b"".join(parts).decode()
