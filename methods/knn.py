"""K nearest neighbours under the nan-Euclidean distance.

Troyanskaya et al. 2001, "Missing value estimation methods for DNA microarrays" (KNNimpute), in the form
that scikit-learn's ``KNNImputer`` gave it. With m = 1 where an entry is observed and d columns,

    dist²(x, y) = d / Σ m_x m_y · Σ m_x m_y (x - y)²,

and a hole in column j is the weighted mean of column j over the k nearest rows in which j is observed;
where no such row shares an observed column with x, it is the mean of column j.

**What differs.** Donors that tie at the k-th distance share the places that are left, so the result does
not depend on the order of the rows (scikit-learn takes some of them, whichever its partition yields).
Without ties the two agree to rounding.

**How.** Expanding the square turns all distances from a chunk of rows into two matrix products. For each
row a radius is found that holds a few times k rows; all columns of the row search that ball alone, with
distances recomputed by differences, and only a column that finds fewer than k donors there searches its
donors again.

**Cost.** O(q n d) time for q rows with holes and n fitted rows, O(n + n d) memory beyond chunks of 16 MB.

**When.** Tables of a few to some tens of columns where similar rows exist; it follows any shape of the
data but shrinks towards the mean as d grows, and each imputation reads the whole fitted table.

Checked against ``KNNImputer(n_neighbors=10, weights="distance")``, whose MAE on breast cancer with 30 %
of the entries hidden completely at random is 0.38.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from methods.base import Imputer, Matrix
from methods.checks import check_choice, check_integer
from methods.registry import MethodInfo

CHUNK = 2**21
"""Entries of the largest temporary array, 16 MB of float64."""

TILE = 2**20
"""Entries of what is worked on at once: 8 MB, which a processor's cache can hold."""

ROUNDING = 1e-9
"""Squared distances closer than this (relative to 1 + their size) count as equal."""


class KNN(Imputer):
    """Weighted mean of the nearest rows that observe the column.

    Parameters
    ----------
    n_neighbors : int
        How many donors each hole draws on; all of them where fewer observe the column.
    weights : {"distance", "uniform"}
        Weight a donor by the inverse of its distance (donors at distance 0 then take all the weight), or all
        alike.
    random_state : int or None
        Unused: the method is deterministic.
    """

    info = MethodInfo(
        name="knn",
        title="KNN",
        family="neighbours",
        reference="Troyanskaya et al., Missing value estimation methods for DNA microarrays, 2001",
        inductive=True,
        stochastic=False,
        search_space={"n_neighbors": [3, 5, 10, 20, 50], "weights": ["distance", "uniform"]},
    )

    def __init__(
        self,
        *,
        n_neighbors: int = 10,
        weights: Literal["distance", "uniform"] = "distance",
        random_state: int | None = None,
    ):
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.random_state = random_state

    def _check(self) -> None:
        check_integer("n_neighbors", self.n_neighbors, low=1)
        check_choice("weights", self.weights, ("distance", "uniform"))

    def _fit(self, X: Matrix, rng: np.random.Generator) -> None:
        self.donors_ = Donors.of(X)
        self.means_ = np.nanmean(X, axis=0)

    def _impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        filled = X.copy()
        queries = np.flatnonzero(np.isnan(X).any(axis=1))
        observed = np.median(self.donors_.seen.mean(axis=1))
        # enough rows that most columns find their k donors among them
        wanted = int(np.ceil(1.5 * self.n_neighbors / observed)) + 5
        size = max(1, CHUNK // len(self.donors_.values))
        for start in range(0, len(queries), size):
            rows = queries[start : start + size]
            filled[rows] = self._fill(X[rows], wanted)
        return filled

    def _fill(self, X: Matrix, wanted: int) -> Matrix:
        """A chunk of rows, shape (n_queries, n_encoded), with their holes filled."""
        filled = X.copy()
        pairs = _pairs_within_reach(X, self.donors_, wanted)
        for j in np.flatnonzero(np.isnan(X).any(axis=0)):
            hole = np.isnan(X[:, j])
            donors = np.flatnonzero(self.donors_.seen[j])
            usable = pairs.take(hole[pairs.query] & (self.donors_.seen[j, pairs.donor] > 0))
            found = np.bincount(usable.query, minlength=len(X))
            enough = found >= min(self.n_neighbors, len(donors))
            filled[hole, j] = self._average(usable, j, len(X))[hole]

            short = np.flatnonzero(hole & ~enough)
            if short.size:
                near = _pairs_within_reach(X[short], Donors.of(self.donors_.values[donors]), self.n_neighbors)
                near = Pairs(near.query, donors[near.donor], near.squared)
                filled[short, j] = self._average(near, j, len(short))
        return filled

    def _average(self, pairs: Pairs, j: int | np.intp, n_queries: int) -> NDArray[np.float64]:
        """Weighted mean of column j over each query's nearest donors, shape (n_queries,)."""
        k = self.n_neighbors
        counts = np.bincount(pairs.query, minlength=n_queries)
        if not len(pairs.query):
            return np.full(n_queries, self.means_[j])
        first = np.cumsum(counts) - counts  # of each query's pairs, which stand nearest first
        last = first + np.minimum(k, counts) - 1
        limit = pairs.squared[np.minimum(last, len(pairs.query) - 1)][pairs.query]
        slack = ROUNDING * (1 + limit)
        nearer = pairs.squared < limit - slack
        tied = np.abs(pairs.squared - limit) <= slack
        n_nearer = np.bincount(pairs.query, nearer, minlength=n_queries)
        n_tied = np.bincount(pairs.query, tied, minlength=n_queries)
        share = np.minimum(1.0, (k - n_nearer) / np.maximum(n_tied, 1))
        weight = np.where(nearer, 1.0, np.where(tied, share[pairs.query], 0.0))
        if self.weights == "distance":
            zero = pairs.squared == 0
            with np.errstate(divide="ignore"):
                weight *= np.where(zero, 1.0, 1 / np.sqrt(pairs.squared))
            has_zero = np.bincount(pairs.query, zero, minlength=n_queries) > 0
            weight[has_zero[pairs.query] & ~zero] = 0
        total = np.bincount(pairs.query, weight, minlength=n_queries)
        values = np.bincount(pairs.query, weight * self.donors_.values[pairs.donor, j], minlength=n_queries)
        return np.where(total > 0, values / np.where(total > 0, total, 1), self.means_[j])


@dataclass(frozen=True)
class Pairs:
    """Neighbouring rows, ordered by query and then by distance; each array has shape (n_pairs,)."""

    query: NDArray[np.intp]
    donor: NDArray[np.intp]
    squared: NDArray[np.float64]

    def take(self, which: NDArray[Any]) -> Pairs:
        return Pairs(self.query[which], self.donor[which], self.squared[which])


@dataclass(frozen=True)
class Donors:
    """Rows to draw on, with the factors of their squared distances; columns of a factor belong to rows."""

    values: Matrix
    """Shape (n, d), NaN where missing."""
    seen: NDArray[np.float64]
    """1 where observed, shape (d, n)."""
    factor: NDArray[np.float64]
    """What [x², -2x, m_x] of a query is multiplied with, shape (3 d, n)."""

    @classmethod
    def of(cls, Y: Matrix) -> Donors:
        seen = np.ascontiguousarray(~np.isnan(Y.T), dtype=np.float64)
        y = np.where(seen > 0, Y.T, 0)
        return cls(Y, seen, np.vstack([seen, y, y * y]))


def squared_distances(X: Matrix, donors: Donors) -> NDArray[np.float64]:
    """Squared nan-Euclidean distances, shape (n_queries, n_donors); inf where no column is shared.

    >>> X = np.array([[0.0, np.nan, 1.0], [np.nan, 2.0, np.nan]])
    >>> squared_distances(X, Donors.of(np.array([[3.0, 0.0, 1.0], [1.0, np.nan, np.nan]])))
    array([[13.5,  3. ],
           [12. ,  inf]])
    """
    seen = 1.0 - np.isnan(X)
    x = np.where(seen > 0, X, 0)
    factor = np.hstack([x * x, -2 * x, seen])  # (n_queries, 3 d)
    squared = np.empty((len(X), len(donors.values)))
    size = max(1, TILE // len(donors.values))
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        tile = np.matmul(factor[part], donors.factor, out=squared[part])
        # positive, so that dividing by no shared column gives inf
        np.maximum(tile, np.finfo(np.float64).tiny, out=tile)
        with np.errstate(divide="ignore"):
            tile *= X.shape[1] / (seen[part] @ donors.seen)
    return squared


def _pairs_within_reach(X: Matrix, donors: Donors, wanted: int) -> Pairs:
    """For each query, all donors within a radius that holds at least `wanted` of them, or all there are.

    Rows that share no observed column are at no distance and never form a pair.
    """
    squared = squared_distances(X, donors)
    reach = _reach(squared, wanted)
    reach += ROUNDING * (1 + reach)  # rows tied with the last come along
    within = squared <= np.minimum(reach, np.finfo(np.float64).max)[:, None]
    query, donor = np.divmod(np.flatnonzero(within), within.shape[1])

    # the matrix product cancels: near rows get their distance from differences
    exact = np.empty(len(query))
    size = max(1, CHUNK // X.shape[1])
    for start in range(0, len(query), size):
        part = slice(start, start + size)
        difference = X[query[part]] - donors.values[donor[part]]
        shared = ~np.isnan(difference)
        difference[~shared] = 0
        exact[part] = np.einsum("ij,ij->i", difference, difference) * (X.shape[1] / shared.sum(axis=1))
    order = np.lexsort((exact, query))
    return Pairs(query[order], donor[order], exact[order])


def _reach(squared: NDArray[np.float64], wanted: int) -> NDArray[np.float64]:
    """Per row, a value that at least `wanted` entries do not exceed, and few more; inf if there are fewer."""
    n = squared.shape[1]
    if n <= wanted:
        return np.full(len(squared), np.inf)
    width = n // (8 * wanted)
    if width > 1:
        # the smallest of each of many groups: `wanted` of these are at or below their `wanted`-th smallest,
        # and one pass of minima costs far less than a partition of the whole row
        groups = n // width
        minima = squared[:, : width * groups].reshape(len(squared), width, groups).min(axis=1)
    else:
        minima = squared
    return np.partition(minima, wanted - 1, axis=1)[:, wanted - 1]
