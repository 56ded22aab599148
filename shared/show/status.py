"""Shows what a command is doing, and where its results are.

Without a terminal, or with NO_COLOR, nothing has an escape sequence or a carriage return.
"""

import contextlib
import os
import sys
import threading
import time
from pathlib import Path

from shared.machine.process import interactive, settle, status_lines

__all__ = ["Status", "link", "on_epoch_of", "progress", "tell"]

TICK = 0.2  # seconds between two drawings of a status line


def tell(line):
    """Prints a line of a command's report on stdout, at once also where stdout is a file."""
    settle()
    print(line, flush=True)


def link(path):
    """Returns the address of a file or folder, which a terminal opens with a click.

    On a terminal it is a hyperlink, which works also where the address takes two lines.
    """
    address = Path(path).resolve().as_uri()
    if not interactive(sys.stdout):
        return address
    return f"\x1b]8;;{address}\x1b\\{address}\x1b]8;;\x1b\\"


class Status:
    """Shows on a terminal, in one line of stderr, what is being done and for how long.

    Elsewhere it prints one line when a phase begins. On a terminal the line is drawn by a thread,
    so that its clock goes on during a long computation, and it is removed at the end.
    """

    def __init__(self, say=None):
        """Prepares the line; `with status:` shows it.

        Args:
            say: prints a line that stays; None prints it on stderr.
        """
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self._text = self._drawn = ""
        self._stream, self._began = None, time.monotonic()
        self._lock, self._end = threading.Lock(), threading.Event()

    def __enter__(self):
        if interactive(sys.stderr):
            # A copy, because stderr is redirected while TensorFlow is imported.
            self._stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
            status_lines.append(self._clear)
            threading.Thread(target=self._draw_again, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._end.set()
        if self._stream:
            status_lines.remove(self._clear)
            self._clear()
            self._stream.close()

    def phase(self, text):
        """Begins a phase, whose clock begins at zero."""
        self._began, self._text = time.monotonic(), text
        if self._stream is None:
            self._say(text)
        self._draw_now()

    def show(self, text):
        """Says more of what is being done in this phase; only a terminal shows it."""
        self._text = text

    def say(self, line):
        """Prints a line that stays."""
        self._clear()
        self._say(line)

    def _clear(self):
        with self._lock:
            self._draw("")

    def _draw_again(self):
        while not self._end.wait(TICK):
            self._draw_now()

    def _draw_now(self):
        with self._lock:
            if not self._end.is_set() and self._text:
                self._draw(f"{clock(time.monotonic() - self._began)}  {self._text}")

    def _draw(self, text):
        """Draws the line over the one before it; it is cut, because a second line would stay."""
        if self._stream is None or text == self._drawn:
            return
        with contextlib.suppress(OSError):  # the terminal was closed
            width = os.get_terminal_size(self._stream.fileno()).columns or 80
            text = text[: width - 1]
            blank = " " * min(len(self._drawn), width - 1)
            self._stream.write(f"\r{blank}\r{text}")
            self._stream.flush()
        self._drawn = text


def clock(seconds):
    """Returns a time as minutes and seconds, e.g. 1:05, or with hours, e.g. 2:00:00."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextlib.contextmanager
def progress(total):
    """Shows how many steps are done.

    It gives no estimate of the time that is left: loading, compiling, training and drawing have
    speeds of their own.

    Args:
        total: total number of steps.
    Yields:
        advance(steps, text), which adds steps and shows what is being done, and say(line), which
        prints a line that stays.
    """
    done = 0

    def advance(steps, text):
        nonlocal done
        done += steps
        status.show(f"{done:,} of {total:,} steps  {text}")

    with Status() as status:
        yield advance, status.say


def on_epoch_of(run, name, advance):
    """Returns a callback for `train` that reports the steps of each epoch.

    Args:
        run: shared.run.state.Run before its training.
        name: text before the number of the epoch.
        advance: the function that `progress` yields.
    """
    last = [run.step]

    def on_epoch(row):
        advance(row["step"] - last[0], f"{name}: epoch {row['epoch']}, loss {row['loss']:.2f}")
        last[0] = row["step"]

    return on_epoch
