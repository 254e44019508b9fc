"""Extremely randomised trees: what a cut is, where growth ends, classes as numbers, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import ExtraTreeRegressor

from methods import trees
from methods.encoding import TableEncoder
from methods.forest import Forest


def table_of(n_rows=300, n_columns=5, seed=0):
    """Features, column by column, and a target on the grid."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n_columns, n_rows)).astype(np.float32)
    target = np.sin(2 * table[0]) + table[1] * table[2] + 0.1 * rng.normal(size=n_rows)
    return table, np.rint(target * 2**30) / 2**30


def grown(table, target, *, n_trees=1, n_classes=0, n_tried=None, min_leaf=1, seed=0, features=None):
    n_columns, n_rows = table.shape
    features = np.arange(n_columns, dtype=np.int32) if features is None else features
    rows = np.tile(np.arange(n_rows, dtype=np.int32), (n_trees, 1))
    return trees.grow(
        table, features, rows, target, n_classes, n_tried or len(features), min_leaf, np.uint64(seed)
    )


def walked(table, forest):
    return trees.walk(table, np.arange(table.shape[1], dtype=np.int32), *forest)


def leaves(table, forest):
    """The leaf that each row ends in, by the numbers of the leaves as what they vote for."""
    *nodes, votes = forest
    return walked(table, (*nodes, np.arange(len(votes), dtype=float)[:, None]))[:, 0]


def test_a_full_tree_knows_its_rows_by_heart():
    table, target = table_of()
    np.testing.assert_array_equal(walked(table, grown(table, target))[:, 0], target)


def test_leaves_have_the_rows_they_must_and_the_mean_of_these():
    table, target = table_of()
    forest = grown(table, target, min_leaf=7)
    leaf = leaves(table, forest)
    numbers, counts = np.unique(leaf, return_counts=True)
    assert counts.min() >= 7
    assert len(numbers) > 10
    for number in numbers:
        np.testing.assert_allclose(forest[-1][int(number), 0], target[leaf == number].mean(), rtol=1e-12)


def test_a_cut_lies_between_the_values_of_its_node_anywhere():
    table = np.array([[0.0, 1.0]], dtype=np.float32)
    cuts = np.concatenate([grown(table, np.array([0.0, 1.0]), seed=s)[2][:1] for s in range(500)])
    assert 0 <= cuts.min() < 0.02 and 0.98 < cuts.max() < 1
    assert np.abs(np.sort(cuts) - np.linspace(0, 1, 500)).max() < 1.63 / np.sqrt(500), "Kolmogorov, 1 %"


def test_the_cut_that_lowers_the_squared_error_most_is_taken():
    rng = np.random.default_rng(0)
    target = np.repeat([0.0, 1.0], 50)
    table = rng.normal(size=(4, 100)).astype(np.float32)
    table[2] = target  # whatever its cut, it parts the target
    for seed in range(20):
        assert grown(table, target, seed=seed)[1][0] == 2


def test_a_node_looks_at_no_more_features_than_told():
    table, _ = table_of()
    target = np.rint(table[3].astype(float) * 2**30) / 2**30
    first = [int(grown(table, target, n_tried=1, seed=s)[1][0]) for s in range(300)]
    counts = np.bincount(first, minlength=5)
    assert counts.min() > 35, "one of five at random"


def test_features_of_one_value_are_passed_over_and_count_for_nothing():
    table, target = table_of(n_columns=6)
    table[[0, 2, 4]] = 1.0
    forest = grown(table, target, n_tried=1)
    inner = forest[3][:, 0] >= 0
    assert set(forest[1][inner].tolist()) == {1, 3, 5}
    assert len(np.unique(leaves(table, forest))) == table.shape[1]


def test_features_that_become_constant_below_are_back_for_the_sibling():
    # the left half knows one value of the second feature, the right half needs it
    first = np.repeat([0.0, 10.0], 100)
    second = np.concatenate([np.zeros(100), np.arange(100.0)])
    target = np.concatenate([np.arange(100) % 2, np.arange(100.0)])
    table = np.vstack([first, second]).astype(np.float32)
    found = walked(table, grown(table, target, n_tried=1, seed=3))[:, 0]
    np.testing.assert_array_equal(found[100:], target[100:])
    np.testing.assert_allclose(found[:100], 0.5)


def test_rows_without_a_cut_share_a_leaf():
    table = np.ones((2, 6), dtype=np.float32)
    target = np.arange(6.0)
    forest = grown(table, target)
    assert len(forest[1]) == 1
    np.testing.assert_allclose(walked(table, forest), 2.5)


def test_two_classes_are_a_number_with_two_values():
    table, target = table_of()
    label = (target > 0).astype(float)
    for seed in range(5):
        # one feature each: which of two equally good ones is taken would hang on the last bit of a score
        *as_classes, shares = grown(table, label, n_classes=2, n_tried=1, seed=seed, min_leaf=4)
        *as_number, mean = grown(table, label, n_tried=1, seed=seed, min_leaf=4)
        for one, other in zip(as_classes, as_number, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(shares, np.hstack([1 - mean, mean]))


def test_classes_vote_by_their_shares():
    table, target = table_of()
    label = np.digitize(target, [-1.0, 0.0, 1.0]).astype(float)
    forest = grown(table, label, n_classes=4, min_leaf=10)
    leaf = leaves(table, forest)
    for number in np.unique(leaf):
        shares = np.bincount(label[leaf == number].astype(int), minlength=4) / (leaf == number).sum()
        np.testing.assert_allclose(forest[-1][int(number)], shares)


def test_the_seed_makes_the_forest():
    table, target = table_of()
    one, again, other = (grown(table, target, n_trees=3, seed=s) for s in (1, 1, 2))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(one[2]) != len(other[2]) or (one[2] != other[2]).any()
    assert len(one[0]) == 3 and len(np.unique(one[2][one[0]])) == 3, "trees of a forest differ"


@pytest.mark.parametrize("n_tried", [2, 5])
def test_as_accurate_as_scikit_learns(n_tried):
    table, target = table_of(600)
    new, truth = table_of(2000, seed=1)
    ours = walked(new, grown(table, target, n_trees=1000, n_tried=n_tried))[:, 0]
    theirs = np.mean(
        [
            ExtraTreeRegressor(max_features=n_tried, random_state=s).fit(table.T, target).predict(new.T)
            for s in range(1000)
        ],
        axis=0,
    )
    error, reference = (np.sqrt(((found - truth) ** 2).mean()) for found in (ours, theirs))
    assert error == pytest.approx(reference, rel=0.04)


def test_a_fitted_tree_of_scikit_learn_walks_the_same():
    table, target = table_of()
    tree = ExtraTreeRegressor(random_state=0).fit(table[[1, 3]].T, target)
    (column,) = TableEncoder().fit(pd.DataFrame({"y": target})).columns
    forest = Forest.of(column, [tree.tree_], np.array([1, 3], dtype=np.int32))
    found = forest.predict(table, np.arange(table.shape[1], dtype=np.int32))
    np.testing.assert_allclose(found[:, 0], tree.predict(table[[1, 3]].T))
