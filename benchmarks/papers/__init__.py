"""Results of papers, measured again: a module per paper, each with TITLE, SOURCE and `measure`."""

from typing import NamedTuple

import numpy as np

__all__ = ["Row", "in_words"]


class Row(NamedTuple):
    """A number of a paper, and the same number measured here.

    Attributes:
        quantity: what was measured, with its unit.
        obtained: list of numbers, one per seed or repetition.
        published: what the paper says, as text; "" if it has no such number.
        agrees: whether the obtained numbers support the paper's claim, by the rule in `rule`; None
            if the setting is not the paper's, so that only the direction can be compared.
        rule: the rule of `agrees` in a few words, or why the numbers cannot be compared.
    """

    quantity: str
    obtained: list
    published: str
    agrees: bool | None
    rule: str


def in_words(obtained):
    """Returns the mean of some numbers as text, and of several their standard deviation."""
    values = np.asarray(obtained, float)
    mean = f"{values.mean():.4g}"
    return mean if len(values) == 1 else f"{mean} ± {values.std(ddof=1):.2g}"
