"""Makes text that comes from outside fit for one line of a terminal, a caption or a page."""

__all__ = ["first_line", "printable", "suggestion"]


def printable(text):
    r"""Returns the text with every control, bidirectional or undecodable character escaped.

    Args:
        text: str, e.g. the name of a file, which may hold a newline.
    Example:
        >>> printable("a\nb")
        'a\\nb'
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode()
        for each in text
    )


def first_line(error):
    """Returns the first line of an exception's text that is not empty, for a message of one line.

    Args:
        error: an exception, whose text may have many lines.
    """
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    return printable(next(filter(None, lines), type(error).__name__))


def suggestion(word, choices):
    """Returns "; did you mean CHOICE?" for the choice that a word is most like, or an empty text.

    A word is like a choice that it abbreviates, by its beginning or by the initials of its parts,
    and like one that has nearly the same letters in the same order.

    Args:
        word: what was found, e.g. a flag that does not exist.
        choices: what would have been right.
    Example:
        >>> suggestion("--lr", ["--latent-dim", "--learning-rate"])
        '; did you mean --learning-rate?'
    """
    import difflib  # only a message for bad input needs it

    names = {choice.lstrip("-").lower(): choice for choice in choices}
    found = word.lstrip("-").lower().replace("_", "-")
    initials = [name for name in names if found == "".join(part[:1] for part in name.split("-"))]
    begun = [name for name in names if len(found) > 1 and name.startswith(found)]
    alike = difflib.get_close_matches(found, names, n=1)  # at least 60 % of their letters
    best = next(iter([*initials, *begun, *alike]), None)
    return f"; did you mean {names[best]}?" if best else ""
