"""Makes the name of a file fit for a terminal, a caption or a page."""

__all__ = ["printable"]


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
