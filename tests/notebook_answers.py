"""Answers to the notebooks' exercises: the right one first, then wrong ones that readers give."""

ANSWERS = {"01_derivation": {"answer_1": (1.0, -1.0, "text")}}
