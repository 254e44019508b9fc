"""Column statistics against scikit-learn's ``SimpleImputer``."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer

import methods

STRATEGIES = {"mean": "mean", "median": "median", "mode": "most_frequent"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_agrees_with_simple_imputer(name):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((80, 4)) < 0.3, np.nan, rng.integers(0, 6, size=(80, 4)) * 1.7)
    ours = methods.build(name).fit_transform(X)
    np.testing.assert_allclose(ours, SimpleImputer(strategy=STRATEGIES[name]).fit_transform(X), rtol=1e-14)


@pytest.mark.parametrize("name", STRATEGIES)
def test_categories_get_the_most_frequent_one(name):
    table = pd.DataFrame({"a": ["x", "y", "y", None, "z", "y"], "b": [True, True, False, None, None, True]})
    filled = methods.build(name).fit_transform(table)
    assert filled["a"][3] == "y"
    assert filled["b"].tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize("name", STRATEGIES)
def test_new_rows_get_the_statistic_of_the_fitted_table(name):
    imputer = methods.build(name).fit(np.array([[1.0], [1.0], [2.0], [8.0]]))
    expected = {"mean": 3.0, "median": 1.5, "mode": 1.0}[name]
    assert imputer.transform(np.array([[np.nan], [50.0]])).tolist() == [[expected], [50.0]]


def test_integers_stay_integers():
    table = pd.DataFrame({"a": pd.array([1, 2, None], dtype="Int64"), "b": [1.0, 2.0, 3.0]})
    assert methods.build("median").fit_transform(table)["a"].tolist() == [1, 2, 2]
