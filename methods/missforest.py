"""MissForest: chained random forests.

Stekhoven and Bühlmann, "MissForest: non-parametric missing value imputation for mixed-type data",
Bioinformatics 2012, algorithm 1. Holes get a first guess; then, round after round, each column with holes
(fewest first) is predicted from all others by a forest of fully grown trees fitted to the rows that observe
it. Rounds end when the change from one to the next grows for every kind of column there is,

    Δ_N = Σ (new - old)² / Σ new² over numeric holes,   Δ_F = share of categorical holes with a new class,

and the table before that is the imputation.

**What differs.** The trees are extremely randomised (Geurts, Ernst and Wehenkel 2006): a random cut for every
feature, no bootstrap; as full-depth forests they are more accurate here, and faster to grow, the more so in
compiled code of their own (:mod:`methods.trees`). A round grows few of them, so that the chain keeps moving,
and the imputation is the mean over the rounds after the first `burn_in`: 60 trees a column in all do what
takes 500 in rounds of 100, since an average over settled rounds averages over the guesses of the other
columns too. A mean needs no guard against a last round that is worse, and all rounds are run. The first guess
is `softimpute`'s (the paper: "mean imputation or another imputation method"). :data:`PAPER` holds the paper's
own settings.

A category's trees predict its 0/1 codes; the squared error of these is the Gini impurity, so that they are
the classification trees of the paper. Its holes hold vote shares rather than the winning class until the end.

New rows get the first guess and then every round's trees in order. Columns without holes in the fitted table
have one forest, grown on its completed form. The trees of larger tables see `max_rows` random rows each.

**Cost.** O(rounds · trees · d² n log n) time, features times columns. Trees are kept for new rows: some 20
bytes a node, at most 2 n nodes a tree; 30 MB for breast cancer.

**When.** Mixed types, interactions, thresholds, rows that nearly repeat: the strongest plain baseline on
concrete, parkinsons and blood. Not where relations are linear and rows few, and not for predicting beyond the
range of what was observed.

Checked, with 30 % of the entries hidden completely at random, against scikit-learn's
``IterativeImputer(ExtraTreesRegressor(100), max_iter=5)``, whose MAE is 0.268 on breast cancer, 0.310 on
concrete, 0.247 on parkinsons and 0.401 on blood (random forests: 0.326, 0.302 and 0.422 on the last three);
with seed 0 this gives 0.269, 0.264, 0.250 and 0.416, 26 to 33 times faster (``benchmarks/baselines.py``).
The number of trees, rounds and first rounds left out was chosen on other masks of these tables, of ionosphere
and of white wine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from methods import trees
from methods.base import Imputer, Matrix
from methods.checks import check_choice, check_integer, check_number
from methods.encoding import Column
from methods.forest import Forest, votes
from methods.registry import MethodInfo
from methods.softimpute import SoftImpute

PAPER: dict[str, Any] = {
    "n_estimators": 100,
    "max_iter": 10,
    "average": False,
    "trees": "bootstrap",
    "max_features": "sqrt",
    "start": "mean",
}
"""The settings of Stekhoven and Bühlmann, as ``build("missforest", **PAPER)`` takes them."""

TREES = ("extra", "bootstrap")

COMPLETE_TREES = 10
"""Trees, at least, for a column that has holes in new rows only."""

FLOAT32_RANGE = 1e30
"""Features are cut to this magnitude: trees compare float32 values."""

GRID = 2.0**-30
"""Values are rounded to multiples of this: two features often cut a small node alike, and which of them is
taken must not hang on the last bit of a sum."""


class MissForest(Imputer):
    """Forests of fully grown trees, chained over the columns.

    Parameters
    ----------
    n_estimators : int
        Trees of a column in each round.
    max_iter : int
        Rounds; with ``average=False``, the most of them.
    average : bool
        Impute by the mean over the rounds. False: by the last round, until the paper's stop rule ends them.
    burn_in : int
        First rounds that the mean leaves out; all but the last, where `max_iter` is no larger.
    trees : {"extra", "bootstrap"}
        Extremely randomised trees on all rows, or trees with best cuts on bootstrap samples.
    max_features : float or "sqrt"
        Features tried at each cut: a share of all, or the root of their number.
    min_samples_leaf : int
        Least rows of a leaf.
    max_rows : int
        Most rows that a tree is grown on.
    start : {"softimpute", "mean"}
        The first guess.
    random_state : int or None
        Seed of the trees and of the first guess.

    Attributes
    ----------
    n_iter_ : int
        Rounds that the imputation rests on, `burn_in` included.
    changes_ : list of dict
        For each round, Δ_N as "numeric" and Δ_F as "categorical", for the kinds that have holes.
    """

    info = MethodInfo(
        name="missforest",
        title="MissForest",
        family="chained forests",
        reference="Stekhoven and Bühlmann, MissForest, Bioinformatics 2012",
        inductive=True,
        stochastic=False,
        version=3,
        search_space={
            "n_estimators": [1, 2, 4, 10],
            "max_iter": [10, 20, 30, 60],
            "max_features": ["sqrt", 0.33, 0.67, 1.0],
            "min_samples_leaf": [1, 2, 5],
        },
    )

    def __init__(
        self,
        *,
        n_estimators: int = 3,
        max_iter: int = 20,
        average: bool = True,
        burn_in: int = 4,
        trees: Literal["extra", "bootstrap"] = "extra",
        max_features: float | Literal["sqrt"] = 1.0,
        min_samples_leaf: int = 1,
        max_rows: int = 10_000,
        start: Literal["softimpute", "mean"] = "softimpute",
        random_state: int | None = None,
    ):
        self.n_estimators = n_estimators
        self.max_iter = max_iter
        self.average = average
        self.burn_in = burn_in
        self.trees = trees
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.max_rows = max_rows
        self.start = start
        self.random_state = random_state

    def _check(self) -> None:
        check_integer("n_estimators", self.n_estimators, low=1)
        check_integer("max_iter", self.max_iter, low=1)
        check_choice("average", self.average, (True, False))
        check_integer("burn_in", self.burn_in, low=0)
        check_choice("trees", self.trees, TREES)
        if self.max_features != "sqrt":
            check_number("max_features", self.max_features, low=0, high=1, open_low=True)
        check_integer("min_samples_leaf", self.min_samples_leaf, low=1)
        check_integer("max_rows", self.max_rows, low=2)
        check_choice("start", self.start, ("softimpute", "mean"))

    def _fit(self, X: Matrix, rng: np.random.Generator) -> None:
        self._fit_impute(X, rng)

    def _fit_impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        columns = [column for column in self.encoder_.columns if column.encoded]
        n_holes = {column.name: int(np.isnan(X[:, column.slice.start]).sum()) for column in columns}
        incomplete = sorted((c for c in columns if n_holes[c.name]), key=lambda c: n_holes[c.name])
        self.first_guess_ = SoftImpute() if self.start == "softimpute" else None
        if self.first_guess_ is not None:
            self.first_guess_.encoder_ = self.encoder_  # it has to know the codes of a category
        guess = np.where(
            np.isnan(X), 0 if self.first_guess_ is None else self.first_guess_._fit_impute(X, rng), X
        )
        self.rounds_: list[list[Forest]] = []
        self.complete_: list[Forest] = []
        self.changes_: list[dict[str, float]] = []
        if len(columns) < 2:  # nothing to predict a column from
            self.n_iter_ = 0
            return guess

        chain = Chain(X, guess, 0 if not self.average else min(self.burn_in, self.max_iter - 1))
        result = guess
        for _ in range(self.max_iter if incomplete else 0):
            before = chain.filled.copy()
            forests = []
            for column in incomplete:
                forest = self._grow(column, chain, rng, self.n_estimators)
                chain.update(forest)
                forests.append(forest)
            chain.end_round()
            self.changes_.append(dict(changes(before, chain.filled, np.isnan(X), incomplete)))
            if not self.average and has_grown(self.changes_):
                break
            self.rounds_.append(forests)
            result = chain.mean if self.average else chain.filled.copy()
        self.n_iter_ = len(self.rounds_)

        done = Chain(X, np.where(np.isnan(X), result, X), 0)
        n_trees = max(self.n_estimators, COMPLETE_TREES)
        self.complete_ = [self._grow(c, done, rng, n_trees) for c in columns if not n_holes[c.name]]
        return result

    def _impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        guess = np.where(
            np.isnan(X), 0 if self.first_guess_ is None else self.first_guess_._impute(X, rng), X
        )
        rounds = self.rounds_ or [[]]
        chain = Chain(X, guess, min(self.burn_in, len(rounds) - 1) if self.average else len(rounds) - 1)
        for forests in rounds:
            for forest in [*self.complete_, *forests]:
                chain.update(forest)
            chain.end_round()
        return chain.mean

    def _grow(self, column: Column, chain: Chain, rng: np.random.Generator, n_trees: int) -> Forest:
        """A forest for one column, on the rows that observe it."""
        rows = np.flatnonzero(~chain.holes[:, column.slice.start]).astype(np.int32)
        target = on_grid(votes(column, chain.filled[:, column.slice]))  # (n_rows, width)
        features = chain.features(column)
        n_drawn = min(len(rows), self.max_rows)
        replace = self.trees == "bootstrap"
        if n_drawn < len(rows) or replace:
            drawn = np.stack([rng.choice(rows, n_drawn, replace) for _ in range(n_trees)])
        else:
            drawn = np.tile(rows, (n_trees, 1))
        if replace:
            return self._grow_best(column, features, chain.table, drawn, target, rng)
        n_tried = len(features) ** 0.5 if self.max_features == "sqrt" else self.max_features * len(features)
        n_classes = target.shape[1] if target.shape[1] > 1 else 0
        grown = trees.grow(
            chain.table,
            features,
            drawn,
            target.argmax(axis=1).astype(float) if n_classes else target[:, 0].copy(),
            n_classes,
            max(int(n_tried), 1),
            self.min_samples_leaf,
            rng.integers(2**64, dtype=np.uint64),
        )
        return Forest(column, *grown)

    def _grow_best(
        self,
        column: Column,
        features: NDArray[np.int32],
        table: NDArray[np.float32],
        drawn: NDArray[np.int32],
        target: Matrix,
        rng: np.random.Generator,
    ) -> Forest:
        """Trees with best cuts, each on its own rows."""
        x = np.ascontiguousarray(table[features].T)
        max_features = "sqrt" if self.max_features == "sqrt" else float(self.max_features)
        fitted = []
        # their parameters are checked above, once
        with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):
            for rows, seed in zip(drawn, rng.integers(2**31, size=len(drawn)), strict=True):
                tree = DecisionTreeRegressor(
                    max_features=max_features,
                    min_samples_leaf=self.min_samples_leaf,
                    random_state=int(seed),
                )
                fitted.append(tree.fit(x[rows], target[rows], check_input=False).tree_)
        return Forest.of(column, fitted, features)


class Chain:
    """A table on its way through the rounds.

    Parameters
    ----------
    X
        Shape (n_rows, n_encoded), NaN at holes.
    guess
        `X` with a first guess at its holes.
    burn_in
        Rounds that the mean leaves out.

    Attributes
    ----------
    filled : ndarray, shape (n_rows, n_encoded)
        The table as it stands.
    table : ndarray of float32, shape (n_encoded, n_rows)
        The same as trees see it, column by column.
    mean : ndarray, shape (n_rows, n_encoded)
        The mean of the rounds ended so far, without the first `burn_in`.
    """

    def __init__(self, X: Matrix, guess: Matrix, burn_in: int):
        self.holes = np.isnan(X)
        self.mean = guess
        self._left_out = burn_in
        self._counted = 0
        self.filled = guess.copy()
        self.table = np.ascontiguousarray(as_features(guess).T)

    def features(self, column: Column) -> NDArray[np.int32]:
        """The columns of the matrix that predict `column`: all that are not part of its own code."""
        own = np.arange(column.slice.start, column.slice.stop)
        return np.delete(np.arange(len(self.table), dtype=np.int32), own)

    def update(self, forest: Forest) -> None:
        """Fill the holes of the forest's column by its prediction."""
        column = forest.column
        rows = np.flatnonzero(self.holes[:, column.slice.start]).astype(np.int32)
        if rows.size:
            found = forest.predict(self.table, rows)
            self.filled[rows, column.slice] = found
            self.table[column.slice, rows] = as_features(found).T

    def end_round(self) -> None:
        if self._left_out:
            self._left_out -= 1
            return
        self._counted += 1
        self.mean = self.mean + (self.filled - self.mean) / self._counted


def on_grid(values: Matrix) -> Matrix:
    return np.rint(values / GRID) * GRID


def as_features(values: Matrix) -> NDArray[np.float32]:
    return on_grid(values).clip(-FLOAT32_RANGE, FLOAT32_RANGE).astype(np.float32)


def changes(
    before: Matrix, after: Matrix, holes: NDArray[np.bool_], columns: list[Column]
) -> Iterator[tuple[str, float]]:
    """The paper's Δ_N ("numeric") and Δ_F ("categorical"), for the kinds that are among `columns`."""
    numeric = [c.slice.start for c in columns if c.kind == "numeric"]
    if numeric:
        at = holes[:, numeric]
        moved = np.sum((after - before)[:, numeric][at] ** 2)
        yield "numeric", float(moved / max(np.sum(after[:, numeric][at] ** 2), np.finfo(float).tiny))
    categorical = [c for c in columns if c.kind == "categorical"]
    if categorical:
        changed = []
        for column in categorical:
            at = holes[:, column.slice.start]
            old, new = (classes(table[at, column.slice], column) for table in (before, after))
            changed.append(old != new)
        yield "categorical", float(np.concatenate(changed).mean())


def classes(codes: Matrix, column: Column) -> NDArray[np.intp]:
    """The category with the most votes, from standardised vote shares, shape (n_rows, width)."""
    shares = votes(column, codes)
    return shares.argmax(axis=1) if shares.shape[1] > 1 else (shares[:, 0] > 0.5).astype(np.intp)


def has_grown(rounds: list[dict[str, float]]) -> bool:
    """Whether the last change exceeds the one before, for every kind of column.

    >>> has_grown([{"numeric": 0.2, "categorical": 0.1}, {"numeric": 0.3, "categorical": 0.1}])
    False
    >>> has_grown([{"numeric": 0.2}, {"numeric": 0.3}])
    True
    """
    return len(rounds) > 1 and all(rounds[-1][kind] > rounds[-2][kind] for kind in rounds[-1])
