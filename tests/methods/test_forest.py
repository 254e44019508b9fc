"""Flat forests against the trees that they were made of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import ExtraTreeRegressor

from methods.encoding import TableEncoder
from methods.forest import Forest, round_down, votes


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_forest_predicts_as_the_trees_that_it_was_made_of(n_outputs):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 5)).astype(np.float32)
    target = rng.normal(size=(300, n_outputs))
    trees = [ExtraTreeRegressor(random_state=seed).fit(features[:200], target[:200]) for seed in range(4)]
    frame = pd.DataFrame({"x": [*"abc"] if n_outputs == 3 else [1.0, 2.0, 4.0]})
    column = TableEncoder().fit(frame).columns[0]
    # features of the trees are columns 1, 2, ... of the matrix, column by column
    places = np.arange(1, 6, dtype=np.int32)
    table = np.ascontiguousarray(np.hstack([np.zeros((300, 1), np.float32), features]).T)
    forest = Forest.of(column, [tree.tree_ for tree in trees], places)
    expected = np.mean([tree.predict(features).reshape(300, -1) for tree in trees], axis=0)
    found = forest.predict(table, np.arange(300, dtype=np.int32))
    np.testing.assert_allclose(votes(column, found), expected, atol=1e-12)


def test_cuts_are_rounded_down():
    values = np.array([0.1, -0.1, 1.0, 1 + 1e-12, -1e300, 0.0])
    with np.errstate(over="ignore"):
        rounded = round_down(values)
    assert rounded.dtype == np.float32
    assert (rounded <= values).all()
    assert (np.nextafter(rounded[:4], np.float32(np.inf)) > values[:4]).all()
