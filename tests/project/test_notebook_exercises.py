"""The exercises of the notebooks: judged in any right form, with hints, and solved elsewhere."""

import ast
import re
from importlib import import_module
from pathlib import Path

import exercises
import notebook_answers
import numpy as np
import pytest
from exercises.forms import number

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
DOCS = [ROOT / "docs" / "teaching.md", ROOT / "docs" / "zh-CN" / "teaching.md"]
CELL = re.compile(
    r"# %%\nanswer_(\d) = None  # your answer, .+\n\n"
    r"check\(\"(\d\d)\.(\d)\", answer_(\d)(, \w+)?\)\n"
)
SLOW = "03", 4  # trains; test_notebooks.py tries it
ALL = [
    (stem, int(name.removeprefix("answer_")))
    for stem, answers in sorted(notebook_answers.ANSWERS.items())
    for name in answers
]
QUICK = [each for each in ALL if (each[0][:2], each[1]) != SLOW]


def exercise_of(stem, n):
    return import_module(f"exercises.of_{stem[:2]}").EXERCISES[n]


def accepted(exercise, answer):
    try:
        return bool(exercise.right(answer))
    except Exception:
        return False


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_cell_under_a_question_has_the_answer_and_its_check_alone(source):
    """So a reader does not see how an answer is judged, and with it what is right."""
    text = source.read_text(encoding="utf-8")
    found = CELL.findall(text[text.index("# ## Exercises") :])
    count = len(import_module(f"exercises.of_{source.stem[:2]}").EXERCISES)
    assert [cell[:4] for cell in found] == [
        (str(n), source.stem[:2], str(n), str(n)) for n in range(1, count + 1)
    ]
    assert text.count("\ncheck(") == count


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of logarithms of 0, in wrong answers
@pytest.mark.parametrize(("stem", "n"), QUICK)
def test_right_answers_are_accepted_in_any_form_and_wrong_ones_are_not(stem, n):
    exercise = exercise_of(stem, n)
    right, wrong = notebook_answers.ANSWERS[stem][f"answer_{n}"]
    assert right and wrong
    for answer in right:
        assert exercise.right(answer) is not False and accepted(exercise, answer), answer
    for answer in wrong:
        assert not accepted(exercise, answer), answer


@pytest.mark.parametrize(("stem", "n"), ALL)
def test_every_exercise_has_two_hints_and_none_is_its_answer(stem, n):
    exercise = exercise_of(stem, n)
    assert len(exercise.hints) >= 2
    numbers = re.findall(r"−?\d[\d,]*\.?\d*", " ".join(exercise.hints))
    if (stem[:2], n) != SLOW:
        assert not [each for each in numbers if accepted(exercise, each)]


def said(capsys, *arguments):
    exercises.check(*arguments)
    return capsys.readouterr().out


def test_each_wrong_answer_is_told_the_next_hint_and_then_where_the_solution_is(
    capsys, monkeypatch
):
    monkeypatch.setattr(exercises, "_wrong", type(exercises._wrong)())
    first, second = exercise_of("02", 3).hints
    where = " The solution is in docs/teaching.md."
    assert said(capsys, "02.3", None) == "exercise 3: not answered yet\n"  # counts as no try
    assert said(capsys, "02.3", 3125) == f"exercise 3: not yet. {first}\n"
    assert said(capsys, "02.4", "a").startswith("exercise 4: not yet. Look at the figure")
    assert said(capsys, "02.3", 3100) == f"exercise 3: not yet. {second}\n"
    assert said(capsys, "02.3", 3100) == f"exercise 3: not yet. {second}{where}\n"
    assert said(capsys, "02.3", 3150) == "exercise 3: right\n"


def test_an_error_in_the_readers_function_is_shown_and_is_no_traceback(capsys):
    said_of = said(capsys, "02.5", lambda a, b, n: a + missing)  # noqa: F821
    assert said_of.startswith("exercise 5: not yet. NameError: name 'missing' is not defined. ")
    said_of = said(capsys, "02.1", "many")
    assert said_of.startswith("exercise 1: not yet. ValueError: expected one number. ")


# The largest distance from the right answer, where the measurement is not exact: a training that
# has nearly converged, and a thousand draws, whose standard deviation is known to 2 %.
LOOSE = {("05", 1): 0.03, ("06", 3): 0.03}
# What is measured, where the answer is another number or several.
MEASURED = {("01", 7): 5.8, ("06", 3): 0.5}
PREDICTIONS = [(stem, n) for stem, n in ALL if exercise_of(stem, n).measured]


@pytest.mark.parametrize(("stem", "n"), PREDICTIONS)
def test_a_right_prediction_is_followed_by_the_measurement_which_agrees(capsys, stem, n):
    right, wrong = notebook_answers.ANSWERS[stem][f"answer_{n}"]
    name = f"{stem[:2]}.{n}"
    assert "measured" not in said(capsys, name, wrong[0])
    shown = said(capsys, name, right[0])
    assert shown.startswith("measured: ") and shown.endswith(f"\nexercise {n}: right\n")
    numbers = [number(each) for each in re.findall(r"\d[\d,.]*\d", shown.splitlines()[0])]
    value = MEASURED.get((stem[:2], n)) or number(right[0])
    tolerance = LOOSE.get((stem[:2], n), 0.01 * abs(value))
    assert min(abs(each - value) for each in numbers) <= tolerance


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (3, 3),
        ("3", 3),
        ("−3.5 nats", -3.5),
        ("3,150", 3150),
        ("1,234,567", 1234567),
        (np.array([[2.5]]), 2.5),
        ("5.95e-4", 5.95e-4),
    ],
)
def test_one_number_is_read_from_every_form(answer, value):
    assert number(answer) == value


@pytest.mark.parametrize("answer", [[1, 2], "", "one", [], {}, max, "1, 2"])
def test_what_is_not_one_number_is_refused(answer):
    with pytest.raises(ValueError, match="expected one number"):
        number(answer)


# ---- the solutions in the documentation

NAMES = {name: getattr(np, name) for name in ("sum", "mean", "exp", "sin", "arccos")}
NAMES |= {"np": np, "norm": np.linalg.norm, "softplus": lambda a: np.logaddexp(0, a)}


def solutions(path):
    """{(notebook, number): text} of the solutions in a file."""
    text = path.read_text(encoding="utf-8")
    text = " ".join(text[text.rindex("\n## ") :].split())
    found = {}
    for notebook, items in re.findall(r"\*\*(\d\d)\.\*\* (.*?)(?= \*\*\d\d\.\*\*|$)", text):
        parts = re.split(r"(?:^|(?<=\.) |(?<=。) ?)([1-9])\. (?=\S)", items)
        for n, item in zip(parts[1::2], parts[2::2], strict=True):
            found[notebook, int(n)] = item
    return found


def arguments_of(stem, n):
    """The arguments of the function that an exercise asks for, or None."""
    source = (ROOT / "notebooks" / f"{stem}.py").read_text(encoding="utf-8")
    match = re.search(rf"^answer_{n} = None  # .*function: lambda ([\w, ]+): …", source, re.M)
    return match and match[1]


def answers_in(text, arguments):
    """What a solution says: its code as a function or as a value, and its numbers."""
    code = re.findall(r"`([^`]+)`", text)
    if arguments:
        *lines, last = "\n".join(code).replace("; ", "\n").splitlines()
        returned = [f"return {last}"]
        if isinstance(
            ast.parse(last).body[0], ast.Assign
        ):  # the last line changes what the first made
            returned = [last, f"return {lines[0].split(' = ')[0]}"]
        body = "\n    ".join([*lines, *returned])
        space = dict(NAMES)
        exec(f"def solution({arguments}):\n    {body}", space)
        return [space["solution"]]
    high = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    plain = re.sub(r" · 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: "e" + m[1].translate(high), text)
    values = [ast.literal_eval(each) for each in code if each[0] in "([{"]
    return [*values, *re.findall(r"−?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", plain), plain.strip(" .。")]


@pytest.mark.parametrize("path", DOCS, ids=["en", "zh-CN"])
@pytest.mark.parametrize(("stem", "n"), QUICK)
def test_the_solutions_in_the_documentation_are_right(path, stem, n):
    text = solutions(path)[stem[:2], n]
    answers = answers_in(text, arguments_of(stem, n))
    assert any(accepted(exercise_of(stem, n), answer) for answer in answers), text


@pytest.mark.parametrize("path", DOCS, ids=["en", "zh-CN"])
def test_every_exercise_has_a_solution_and_the_slow_one_is_tried_elsewhere(path):
    assert sorted(solutions(path)) == [(stem[:2], n) for stem, n in ALL]
    (right,) = notebook_answers.ANSWERS["03_tensorflow_version"]["answer_4"][0]
    assert answers_in(solutions(path)["03", 4], None)[0] == right
