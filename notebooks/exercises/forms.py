"""The forms in which a reader may write the same answer."""

import re
from typing import NamedTuple

import numpy as np

__all__ = ["Exercise", "close", "letter", "near", "number"]


class Exercise(NamedTuple):
    """How the answers to an exercise are judged.

    Attributes:
        right: function from the answer to a bool; an exception means that it is not right.
        hints: texts, one for each wrong answer; the first ones say least.
        measured: for a prediction, a function that measures what was asked and returns it as text;
            it is shown after the right answer.
    """

    right: object
    hints: tuple
    measured: object = None


def number(answer):
    """Returns the number in an answer.

    Args:
        answer: a number, an array or tensor of one element, or a text such as "3,150 steps".
    Raises:
        ValueError: it is no number, or several.
    """
    if isinstance(answer, str):
        answer = re.sub(r"(?<=\d),(?=\d{3})", "", answer).replace("−", "-").split(" ")[0]
    try:
        [value] = np.ravel(np.asarray(answer, dtype=float))
    except (TypeError, ValueError):
        raise ValueError("expected one number") from None
    return float(value)


def near(value, tolerance):
    """Returns a function that tells whether an answer is a number at most `tolerance` from `value`."""
    return lambda answer: abs(number(answer) - value) <= tolerance


def letter(right):
    """Returns a function that tells whether an answer is a letter: "b", "B", "(b)" or "b: …"."""
    return lambda answer: str(answer).strip(" (\"'").lower()[:2].rstrip(" ).:") == right


def close(a, b):
    """Returns whether two arrays or tensors have one shape and, up to rounding in float32, one value."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6)
