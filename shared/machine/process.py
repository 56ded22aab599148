"""Sets up a process that runs one of the project's programs, before any slow import.

A second Ctrl-C, a signal or an unexpected error then also ends in one line, and never in a
traceback. Programs that import the project as a library are not affected.
"""

import contextlib
import os
import signal
import sys
import threading
import time

from shared.machine.text import printable

__all__ = [
    "Stopped",
    "Terminated",
    "WorkerEnded",
    "announce",
    "check_interrupted",
    "end_process",
    "end_with_parent",
    "interactive",
    "report",
    "say",
    "set_up",
    "settle",
    "silence_output",
    "status_lines",
]


class Stopped(Exception):
    """Reports in one line why a program cannot continue; its exit status is then 1."""


class WorkerEnded(Stopped):
    """Reports that a worker of a training has ended; the run can be resumed."""


class Terminated(KeyboardInterrupt):
    """Is raised on SIGTERM, and is handled like Ctrl-C, except for the exit status."""


def set_up():
    """Reports unexpected exceptions in one line, and lets SIGTERM end the program like Ctrl-C.

    A second signal ends the process at once; every file is complete at any time. A standard stream
    that is closed is opened on the null device: what is printed is discarded, and no file gets its
    number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - until the process ends
    sys.excepthook, sys.unraisablehook = report, _report_ignored
    signal.signal(signal.SIGTERM, _interrupt)
    # A shell lets the programs that it starts in the background ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def interactive(stream):
    """Returns whether a stream is a terminal on which a line may be drawn again."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


_announced = []  # the timer of `announce`
status_lines = []  # functions that clear a line of the terminal, where `say` then prints


def announce(line, seconds=0.2):
    """Prints a line soon, unless the program has said something or ended by then.

    Reading many data takes long, and is done before anything is said of them. A refusal that comes
    at once remains the only line.

    Args:
        line: what the program is doing.
        seconds: from now until it is printed.
    """
    if sys.excepthook is not report:
        return  # a program that calls a command as a library
    timer = threading.Timer(seconds, print, [line], {"flush": True})
    timer.daemon = True
    timer.start()
    _announced.append(timer)


def settle():
    """Takes back what was announced, or waits until it is printed."""
    while _announced:
        timer = _announced.pop()
        timer.cancel()
        timer.join()


def _report_ignored(unraisable):
    """Prints an exception that Python discards, unless it is a signal, which is raised again."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


_received = []  # the signals that were received


def _interrupt(number, frame):
    if _received:
        os._exit(128 + number)
    _received.append(number)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def check_interrupted():
    """Raises KeyboardInterrupt again, if a signal was received and the training continues.

    A library may catch the exception, or Python discards it, if the signal arrives while a
    destructor or a callback from C is executed.
    """
    if _received:
        raise Terminated if _received[0] == signal.SIGTERM else KeyboardInterrupt


def report(kind, error, trace):
    """Reports an uncaught exception in one line, and writes its traceback to a log file.

    Args:
        kind, error, trace: as for `sys.excepthook`.
    """
    if issubclass(kind, KeyboardInterrupt):  # before the command has begun
        say("interrupted")
        return
    import tempfile
    import traceback

    from shared.machine.versions import versions

    with tempfile.NamedTemporaryFile(
        "w", prefix="vae-error-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        print(sys.argv, versions(), sep="\n", file=log)
        traceback.print_exception(kind, error, trace, file=log)
    say(
        f"unexpected {kind.__name__}: {error}; files that were written before are complete;"
        f" the traceback is in {log.name}"
    )


def end_process(status):
    """Ends the process with an exit status; never returns.

    If a command was stopped, threads of TensorFlow may still prepare batches that nobody takes. One
    that calls Python while the interpreter ends is ended with it, and TensorFlow waits for that
    thread for ever. Such a process therefore ends without the usual cleaning up.
    """
    if status in (0, 2, None):
        raise SystemExit(status)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def end_with_parent(parent):
    """Ends this process as soon as its parent has ended, even by SIGKILL.

    Args:
        parent: number of the parent's process.
    """
    while os.getppid() == parent:
        time.sleep(0.3)
    os._exit(1)


def say(message):
    """Prints a message in one line on stderr; control characters in names are escaped."""
    settle()
    for clear in status_lines:
        clear()
    with contextlib.suppress(OSError):  # stderr may be a file on the disk that is full
        print(printable(str(message)), file=sys.stderr, flush=True)


def silence_output():
    """Discards further output, after the reader of stdout has ended."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
