"""The examples in docstrings give what they say."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["gedi_nesy.core.objective", "gedi_nesy.html_table"])
def test_the_examples_of_a_module_give_what_they_say(name):
    result = doctest.testmod(import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
