"""The examples in the docstrings are true."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["", ".library", ".missingness", ".naming", ".synthetic"])
def test_examples(module):
    done = doctest.testmod(importlib.import_module(f"datasets{module}"))
    assert done.attempted > 0
    assert done.failed == 0
