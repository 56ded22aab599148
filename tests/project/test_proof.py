"""Every rule in docs/proof.md names a place in the code and a test, and both are there."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = r"\| (?:rule|refused) \| why \| where \| test \|\n\|[-|]+\|\n"
TABLE = re.compile(rf"^{HEAD}((?:\|.*\n)+)", re.MULTILINE)
TEST = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)(?:\[(.+)\])?")


def rules():
    """The cells of every row of the tables of rules."""
    text = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
    lines = [line for table in TABLE.findall(text) for line in table.splitlines()]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


RULES = rules()
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule[0][:60])


@functools.cache
def defined(path):
    """What a file defines: functions, classes, their methods as CLASS.METHOD, and constants."""
    names = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inside = [each for each in node.body if isinstance(each, ast.FunctionDef)]
            names |= {f"{node.name}.{each.name}" for each in inside}
    return names


def test_all_tables_are_read():
    text = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
    section = text[text.index("## The rules") : text.index("## Systems")]
    heads = len(re.findall(r"^\|[-|]+\|$", section, re.MULTILINE))
    lines = len(re.findall(r"^\|", section, re.MULTILINE))
    assert heads == 6 and len(RULES) == lines - 2 * heads > 50
    assert {len(rule) for rule in RULES} == {4}


@every_rule
def test_the_place_of_a_rule_is_there(rule):
    spans = re.findall(r"`([^`]+)`", rule[2])
    assert spans[0].endswith(".py")
    for span in spans:
        if span.endswith(".py"):
            names = defined(span)
        else:
            assert span in names, span


@every_rule
def test_the_test_of_a_rule_is_there(rule):
    spans = re.findall(r"`([^`]+)`", rule[3])
    assert spans
    for span in spans:
        path, function, example = TEST.fullmatch(span).groups()
        assert function in defined(path), span
        assert example is None or f'"{example}":' in (ROOT / path).read_text(encoding="utf-8"), span


def test_other_tests_that_the_page_names_are_there():
    for path, function, _ in TEST.findall((ROOT / "docs" / "proof.md").read_text(encoding="utf-8")):
        assert function in defined(path), (path, function)
