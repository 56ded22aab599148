"""Reads a command line by dataclasses: their fields are the flags, and their docstrings the help.

`argparse` does the reading. A field without a default value is an argument without a name. Bad
usage is a UsageError, one line that names the command and suggests what may have been meant.
"""

import argparse
import ast
import dataclasses
import inspect
import itertools
import textwrap
import typing
from pathlib import Path
from typing import Any, NamedTuple

from shared.machine.checks import UsageError
from shared.machine.text import suggestion

__all__ = ["docs_of", "given_flags"]

KINDS = {  # what stands for a value in the help, and what a bad one is not
    int: ("N", "an integer"),
    float: ("X", "a number"),
    str: ("TEXT", "a text"),
    Path: ("PATH", "a path"),
}
LONGEST = 60  # characters of a bad value in a message


class Flag(NamedTuple):
    """Holds what is known of a flag."""

    name: str
    """The name of its field."""
    kind: Any
    """The type of its value, e.g. `int | None`."""
    default: Any
    """The default value, or dataclasses.MISSING for an argument without a name."""
    doc: str
    """What the help says of it."""
    paired: bool
    """Whether a flag without a value has another that takes it back, e.g. --no-step-losses."""


def given_flags(argv, prog, kinds, defaults=None, groups=None, metavars=None, note="", end=""):
    """Returns the flags that a command line gives.

    Args:
        argv: arguments without the program's name.
        prog: the words of the command, e.g. "python -m tf_vae train".
        kinds: dataclasses whose fields are the flags. A bool of the first one is False unless its
            flag is given; one of the others has two flags, e.g. --step-losses, --no-step-losses.
        defaults: {field: value} that the help shows in place of the defaults of the fields.
        groups: {title: names of fields}, in the order of the help, or None for one group.
        metavars: {field: what stands for its value in the help}.
        note: what the help says after the docstring of the first dataclass.
        end: what the help says at its end, e.g. examples.
    Returns:
        {field: value} of the flags that are given.
    Raises:
        UsageError: a flag does not exist, or a value is of another type.
        SystemExit: with status 0, after --help.
    Example:
        >>> @dataclasses.dataclass
        ... class Sample:
        ...     count: int = 150
        >>> given_flags(["--count", "3"], "python -m tf_vae sample", [Sample])
        {'count': 3}
    """
    argv = [_hyphens(word) for word in argv]
    flags = _flags(kinds, defaults or {}, helps=bool({"-h", "--help"} & {*argv}))
    required = [name.upper() for name, f in flags.items() if f.default is dataclasses.MISSING]
    parser = _Parser(
        prog=prog,
        usage=" ".join([prog, *required, "[FLAGS]"]),
        description="\n\n".join(filter(None, [_one_line(kinds[0].__doc__), note])),
        epilog=end,
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=_Formatter,
    )
    for number, (title, names) in enumerate((groups or {"flags": flags}).items()):
        group = parser.add_argument_group(title)
        for name in names:
            _add(group, flags[name], (metavars or {}).get(name))
        if number == 0:
            group.add_argument("-h", "--help", action="help", help="Print this text.")
    given, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.refuse(unknown[0])
    return vars(given)


def docs_of(kind):
    """Returns the docstring of each field of a dataclass, {name: text in one line}.

    They are no attributes, so they are read from the source.
    """
    (definition,) = ast.parse(inspect.getsource(kind)).body
    return {
        field.target.id: _one_line(text.value.value)
        for field, text in itertools.pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def _flags(kinds, defaults, helps):
    """Returns {name: Flag}; reads the docstrings only if the help is asked for."""
    flags = {}
    for kind in kinds:
        docs, types = docs_of(kind) if helps else {}, typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            name, default = field.name, defaults.get(field.name, field.default)
            if types[name] not in kinds:  # a field for all flags of another one
                paired = kind is not kinds[0]
                flags[name] = Flag(name, types[name], default, docs.get(name, ""), paired)
    return flags


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Breaks no line at a hyphen, which names of flags, recipes and files have."""

    def _split_lines(self, text, width):
        return textwrap.wrap(text, width, break_on_hyphens=False)


class _Parser(argparse.ArgumentParser):
    """Reports bad usage as the project reports all bad input."""

    def error(self, message):
        message = message.removeprefix("argument ")
        hint = "" if message.endswith("?") else "; --help lists the flags"
        raise UsageError(f"{self.prog}: {message}{hint}")

    def refuse(self, word):
        """Reports a word that is no flag and no value of one."""
        if not word.startswith("-"):
            self.error(f"{_short(word)} is not expected here")
        flag = word.partition("=")[0]
        known = [each for each in self._option_string_actions if each.startswith("--")]
        self.error(f"there is no flag {_short(flag)}{suggestion(flag, known)}")


def _add(group, flag, metavar):
    """Adds a flag to a group of the parser."""
    (kind, optional), options = _without_none(flag.kind), {"help": _help(flag)}
    if typing.get_origin(kind) is tuple:
        kind = typing.get_args(kind)[0]
        options |= {"nargs": "*", "action": _Several}
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction if flag.paired else "store_true"
    else:
        choices = typing.get_args(kind)  # of a Literal
        shown = f"{{{','.join(choices)}}}" if choices else KINDS[kind][0]
        options |= {"type": _reader(kind, optional, choices), "metavar": metavar or shown}
    if flag.default is dataclasses.MISSING:
        group.add_argument(flag.name, **options | {"metavar": flag.name.upper()})
    else:
        group.add_argument(f"--{flag.name.replace('_', '-')}", dest=flag.name, **options)


def _without_none(kind):
    """Returns (type, True) of an optional type, or (kind, False)."""
    kinds = typing.get_args(kind)
    return (kinds[0], True) if type(None) in kinds else (kind, False)


class _Several(argparse.Action):
    """Stores values as a tuple, or None if the word None stands in their place."""

    def __call__(self, parser, namespace, values, option=None):
        setattr(namespace, self.dest, None if values == [None] else tuple(values))


def _reader(kind, optional, choices):
    """Returns the function that converts a word to a value of a flag."""

    def read(word):
        if optional and word == "None":
            return None
        if choices and word not in choices:
            raise argparse.ArgumentTypeError(
                f"{_short(word)} is none of {', '.join(choices)}{suggestion(word, choices)}"
            )
        try:
            return word if choices else kind(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{_short(word)} is not {KINDS[kind][1]}") from None

    return read


def _help(flag):
    """Returns the help of a flag with its default value."""
    default, text = flag.default, flag.doc
    if not (default is None or default is False or default is dataclasses.MISSING):
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        text += f" (default: {shown})"
    return text.replace("%", "%%")  # for `argparse`


def _one_line(docstring):
    return " ".join(docstring.split())


def _short(word):
    return repr(word if len(word) <= LONGEST else f"{word[:LONGEST]}…")


def _hyphens(word):
    """Returns a word with the hyphens of a flag, in place of which underscores may stand."""
    if not word.startswith("--"):
        return word
    flag, sign, value = word.partition("=")
    return flag.replace("_", "-") + sign + value
