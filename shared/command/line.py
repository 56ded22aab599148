"""The command line of both implementations: `python -m keras_vae …` and `python -m tf_vae …`.

Config, run folder and data are checked before TensorFlow is imported, so that `--help` and the
message for bad input appear at once.
"""

import shlex
import sys

from shared.command.arguments import COMMANDS, command_of
from shared.machine.checks import UsageError
from shared.machine.process import (
    Stopped,
    Terminated,
    WorkerEnded,
    check_interrupted,
    say,
    settle,
    silence_output,
)
from shared.machine.text import suggestion
from shared.machine.versions import version_line

__all__ = ["exit_status", "main", "resume_advice"]


def main(package, argv=None):
    """Runs one command of an implementation, and returns the exit status.

    Args:
        package: "keras_vae" or "tf_vae".
        argv: arguments without the program's name; None means the arguments of the process.
    Returns:
        int: as `exit_status`.
    Raises:
        SystemExit: with status 0, after --help.
    """
    argv = sys.argv[1:] if argv is None else argv
    saved = "nothing was changed"
    if "train" in argv[:1]:
        saved = resume_advice(["python", "-m", package, *argv])
    return exit_status(lambda: _run(package, list(argv)), saved)


def resume_advice(words):
    """Returns what the user is told if a training is interrupted: the command that continues it.

    Args:
        words: the words of the command that was given.
    """
    words = [word for word in words if word not in ("--overwrite", "--resume")]
    return f"what was saved is complete; continue with: {shlex.join([*words, '--resume'])}"


def exit_status(command, interrupted="nothing was changed"):
    """Calls `command`, and returns an exit status; what stops it is reported in one line.

    Args:
        command: function without arguments that returns an exit status, or None for success.
        interrupted: what the user is told about the results after Ctrl-C or an error.
    Returns:
        int: the command's status; 2 after a UsageError; 1 if the training diverged, the operating
        system refused something or memory was not sufficient; 130 after Ctrl-C; 143 after SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a character that the terminal lacks is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            status = command() or 0
        except Exception:
            check_interrupted()  # TensorFlow raises a RuntimeError if a signal meets its exception
            raise
        finally:
            settle()
        sys.stdout.flush()
        return status
    except UsageError as error:
        say(error)
        return 2
    except Stopped as error:
        say(f"{error}; {interrupted}" if isinstance(error, WorkerEnded) else error)
        return 1
    except KeyboardInterrupt as error:
        terminated = isinstance(error, Terminated)
        say("")  # after the ^C of the terminal
        say(f"{'terminated' if terminated else 'interrupted'}; {interrupted}")
        return 143 if terminated else 130
    except BrokenPipeError:  # the reader of the output has ended, as in `… | head -1`
        silence_output()
        return 1
    except OSError as error:
        say(f"{error.filename or 'error'}: {error.strerror or error}; {interrupted}")
        try:
            sys.stdout.flush()
        except OSError:  # its disk is full; Python would report it again at the end
            silence_output()
        return 1
    except MemoryError as error:
        say(f"not enough memory: {error}; {interrupted}")
        return 1


def _run(package, argv):
    if not argv or argv[0] not in COMMANDS:
        return _without_command(package, argv)
    command = command_of(package, argv)
    from shared.command import commands, training

    run = training.train if argv[0] == "train" else getattr(commands, argv[0])
    return run(package, command)


def _without_command(package, argv):
    """Prints the help or the versions; raises UsageError for arguments without a command."""
    prog = f"python -m {package}"
    if "--version" in argv:
        print(version_line())
    elif {"-h", "--help"} & {*argv}:
        print(f"usage: {prog} COMMAND [FLAGS]\n\n{_DESCRIPTION[package]}\n\ncommands:")
        for name, kind in COMMANDS.items():
            print(f"  {name:10}{kind.__doc__}")
        print(f"\n`{prog} COMMAND --help` lists the flags of a command.")
        print(f"`{prog} --version` prints the versions of the packages.")
    else:
        found = f"there is no command {argv[0]!r}" if argv else "a command is missing"
        meant = suggestion(argv[0], COMMANDS) if argv else ""
        raise UsageError(f"{prog}: {found}; expected one of {', '.join(COMMANDS)}{meant}")
    return 0


_DESCRIPTION = {
    "keras_vae": "A variational autoencoder in Keras' functional API, trained with fit.",
    "tf_vae": "A variational autoencoder in plain TensorFlow, trained with tf.GradientTape.",
}
