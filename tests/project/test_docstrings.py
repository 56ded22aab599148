"""The examples in the docstrings run, and give the result that is written below them."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["shared.config", "shared.data", "shared.elbo", "shared.seeds"])
def test_the_examples_give_what_they_say(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0 and results.failed == 0
