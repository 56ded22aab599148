"""Makes text that comes from outside fit for one line of a terminal, a caption or a page."""

__all__ = ["first_line", "printable"]


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
