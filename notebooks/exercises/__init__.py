"""Checks the answers to the notebooks' exercises, and gives hints; of_NN.py has those of notebook NN.

The solutions are in docs/teaching.md.
"""

from collections import Counter
from importlib import import_module

__all__ = ["check"]

_wrong = Counter()  # wrong answers so far, by name of the exercise


def check(name, answer, *given):
    """Prints whether an answer is right and, if it is not, a hint: with each wrong answer the next one.

    After a right prediction it prints first what a measurement gives.

    Args:
        name: notebook and number of the exercise, such as "02.1".
        answer: the reader's answer; None if it is not answered yet.
        given: functions of the notebook that the exercise needs.
    """
    notebook, number = name.split(".")
    if answer is None:
        print(f"exercise {number}: not answered yet")
        return
    exercise = import_module(f"exercises.of_{notebook}").EXERCISES[int(number)]
    raised = ""
    try:
        right = bool(exercise.right(answer, *given))
    except Exception as error:  # of a function that the reader has written, or of a wrong type
        right, raised = False, f"{type(error).__name__}: {error}. "
    if right:
        if exercise.measured is not None:
            print(f"measured: {exercise.measured()}")
        print(f"exercise {number}: right")
        return
    hint = exercise.hints[min(_wrong[name], len(exercise.hints) - 1)]
    solution = (
        " The solution is in docs/teaching.md." if _wrong[name] >= len(exercise.hints) else ""
    )
    _wrong[name] += 1
    print(f"exercise {number}: not yet. {raised}{hint}{solution}")
