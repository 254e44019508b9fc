"""Nearest neighbours: parity with scikit-learn, ties, memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.impute import KNNImputer
from sklearn.metrics.pairwise import nan_euclidean_distances

from methods import knn
from methods.knn import KNN, Donors, squared_distances


def standardised(n: int, d: int, ratio: float, seed: int = 0) -> np.ndarray:
    """Continuous values (no ties) with holes, each column at mean 0 and variance 1 where observed."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.5 * rng.normal(size=(d, d)))
    X[rng.random(X.shape) < ratio] = np.nan
    return (X - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0)


@pytest.mark.parametrize("weights", ["distance", "uniform"])
@pytest.mark.parametrize("n_neighbors", [1, 10, 500])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8])
def test_agrees_with_scikit_learn(weights, n_neighbors, ratio):
    # at 0.8 some rows are empty, many pairs share no column, and some columns have fewer donors than k
    X = standardised(300, 5, ratio)
    ours = KNN(n_neighbors=n_neighbors, weights=weights).fit_transform(X)
    theirs = KNNImputer(n_neighbors=n_neighbors, weights=weights).fit_transform(X)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_agrees_on_new_rows():
    X = standardised(200, 4, 0.3)
    new = standardised(50, 4, 0.4, seed=1)
    theirs = KNNImputer(n_neighbors=5, weights="distance").fit(X).transform(new)
    np.testing.assert_allclose(KNN(n_neighbors=5).fit(X).transform(new), theirs, atol=1e-9)


def test_a_column_with_few_donors_finds_them():
    X = standardised(400, 3, 0.2)
    X[3:, 2] = np.nan
    X[:3, 2] = [-1.2, 0.2, 1.0]
    X[:, 2] /= np.nanstd(X[:, 2])
    theirs = KNNImputer(n_neighbors=10, weights="distance").fit_transform(X)
    np.testing.assert_allclose(KNN().fit_transform(X), theirs, atol=1e-9)


def test_rows_that_share_nothing_get_the_mean():
    X = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 10.0], [np.nan, 30.0]])
    assert KNN().fit_transform(X).tolist() == [[1.0, 20.0], [3.0, 20.0], [2.0, 10.0], [2.0, 30.0]]


def test_ties_share_the_places_that_are_left():
    # distances to the last row: 0 twice, then three equal ones for the one place left
    X = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 4.0], [1.0, 5.0], [1.0, 9.0], [0.0, np.nan]])
    filled = KNN(n_neighbors=3, weights="uniform").fit_transform(X)
    assert filled[-1, 1] == pytest.approx((1 + 2 + (4 + 5 + 9) / 3) / 3)
    assert KNN(n_neighbors=3).fit_transform(X)[-1, 1] == pytest.approx(1.5), "distance 0 takes all the weight"


@pytest.mark.parametrize("weights", ["distance", "uniform"])
def test_ties_do_not_depend_on_row_order(weights):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, size=(400, 5)).astype(float)
    # the last column is so rare that its donors are searched apart, where the radius holds k of them exactly
    X[rng.random(X.shape) < [0.2, 0.2, 0.3, 0.3, 0.9]] = np.nan
    order = rng.permutation(len(X))
    imputer = KNN(n_neighbors=4, weights=weights)
    np.testing.assert_allclose(imputer.fit_transform(X[order]), imputer.fit_transform(X)[order], atol=1e-12)


def test_chunks_and_tiles_do_not_change_the_result(monkeypatch):
    X = standardised(500, 6, 0.3)
    whole = KNN().fit_transform(X)
    monkeypatch.setattr(knn, "CHUNK", 3000)
    monkeypatch.setattr(knn, "TILE", 700)
    np.testing.assert_allclose(KNN().fit_transform(X), whole, atol=1e-12)


def test_memory_stays_far_below_all_pairs_of_rows():
    X = standardised(8000, 4, 0.2)
    tracemalloc.start()
    KNN().fit_transform(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.25 * 8 * len(X) ** 2


def test_distances_agree_with_scikit_learn():
    X = standardised(40, 5, 0.5)
    theirs = np.nan_to_num(nan_euclidean_distances(X, X, squared=True), nan=np.inf)
    ours = squared_distances(X, Donors.of(X))
    assert np.isinf(ours).any()
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("wanted", [1, 7, 60, 5000])
def test_reach_holds_enough_and_few_more(wanted):
    squared = np.random.default_rng(0).random((20, 3000))
    squared[0] = 0.5  # all tied
    reach = knn._reach(squared, wanted)
    held = (squared <= reach[:, None]).sum(axis=1)
    assert (held >= min(wanted, 3000)).all()
    assert (held[1:] <= 2 * wanted + 10).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors=0"),
        ({"n_neighbors": 2.5}, "n_neighbors=2.5"),
        ({"weights": "gaussian"}, "weights='gaussian'.*'distance'"),
    ],
)
def test_parameters_out_of_range(params, message):
    with pytest.raises(ValueError, match=message):
        KNN(**params).fit(np.eye(3))
