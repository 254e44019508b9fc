"""SoftImpute: low-rank completion by iterative soft thresholding of singular values.

Mazumder, Hastie and Tibshirani, "Spectral Regularization Algorithms for Learning Large Incomplete Matrices",
JMLR 2010, algorithm 1. Over the observed entries Ω of a table X,

    minimise over Z and μ:   ½ Σ_Ω (x_ij - μ_j - z_ij)² + λ ‖Z‖_*,

by filling the holes with μ + Z, and replacing Z by S_λ of the filled table, whose singular values are lowered
by λ and cut at 0. The λ fall along a path, each solution the start of the next.

**What differs.** The column means μ are free and re-estimated with every fill: the mean of what is observed
is off where what is missing depends on the other columns. Steps are extrapolated as in FISTA (Beck and
Teboulle 2009), with a restart when they point uphill (O'Donoghue and Candès 2015), which saves more than half
of them. λ is chosen on a tenth of the observed entries, hidden for one run along the path; a second run with
all entries stops there. The rank is capped by λ alone.

New rows: ‖Z‖_* is the least ½(‖A‖² + ‖B‖²) with Z = A Bᵀ, reached at B = V S^½ (lemma 6 of the paper). With B
and μ fixed, a new row's coordinates are the ridge regression, with weight λ, of what it observes on B; a row
of the fitted table would get the imputation that it has.

**Cost.** An iteration is O(n d min(n, d)), some ten for each λ; memory O(n d). New rows O(d r²) each, r the
rank.

**When.** Many correlated columns and linear relations, in a fraction of the time of `em`, whose error is
lower. Not for few columns (no low rank to find) or curved relations.

Checked against the plain iteration run to convergence, and against the MAE of 0.264 to 0.268 of breast cancer
with 30 % of the entries hidden completely at random; it is 0.317 on parkinsons, 0.424 on blood, 0.510 on
ionosphere, 0.615 on white wine and 0.669 on concrete.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from methods.base import ImputationError, Imputer, Matrix
from methods.checks import check_integer, check_number
from methods.encoding import code_starts
from methods.registry import MethodInfo

CHUNK = 2**21
"""Entries of the largest stack of ridge systems for new rows: 16 MB of float64."""


class SoftImpute(Imputer):
    """Nuclear-norm regularised completion with a held-out choice of λ.

    Parameters
    ----------
    n_lambdas : int
        Length of the path.
    lambda_ratio : float
        The least λ as a share of the largest, at which Z is 0; the path is evenly spaced on the log scale.
    validation : float
        Share of the observed entries that choose λ.
    max_iter : int
        Most iterations for each λ.
    tol : float
        A λ is solved when an iteration moves μ + Z by less than this, relative to its norm.
    random_state : int or None
        Seed of the entries that choose λ.

    Attributes
    ----------
    lambda_ : float
        The chosen λ, in units of singular values of the standardised table.
    validation_error_ : ndarray, shape (n_lambdas,)
        Mean squared error at the entries held out, for each λ from the largest to the least.
    mean_ : ndarray, shape (n_encoded,)
        μ.
    loadings_ : ndarray, shape (n_encoded, rank)
        B.
    n_iter_ : int
        Iterations of the final run.
    """

    info = MethodInfo(
        name="softimpute",
        title="SoftImpute",
        family="low rank",
        reference="Mazumder, Hastie and Tibshirani, Spectral Regularization Algorithms, JMLR 2010",
        inductive=True,
        stochastic=False,
        version=2,
        search_space={"n_lambdas": [8, 16, 32], "lambda_ratio": ("log", 1e-4, 1e-2)},
    )

    def __init__(
        self,
        *,
        n_lambdas: int = 16,
        lambda_ratio: float = 1e-3,
        validation: float = 0.1,
        max_iter: int = 200,
        tol: float = 1e-4,
        random_state: int | None = None,
    ):
        self.n_lambdas = n_lambdas
        self.lambda_ratio = lambda_ratio
        self.validation = validation
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _check(self) -> None:
        check_integer("n_lambdas", self.n_lambdas, low=1)
        check_number("lambda_ratio", self.lambda_ratio, low=0, high=1, open_low=True)
        check_number("validation", self.validation, low=0, high=0.9, open_low=True)
        check_integer("max_iter", self.max_iter, low=1)
        check_number("tol", self.tol, low=0, open_low=True)

    def _fit(self, X: Matrix, rng: np.random.Generator) -> None:
        self._fit_impute(X, rng)

    def _fit_impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        start = np.where(np.isnan(X), 0, X)
        largest = np.linalg.norm(start - start.mean(axis=0), 2)
        lambdas = largest * np.geomspace(1, self.lambda_ratio, self.n_lambdas + 1)[1:]

        # lots are drawn for the rows in the order of their values: that of the table then does not matter
        by_value = np.lexsort(X.T)
        owners = self.encoder_.owners
        firsts = code_starts(owners)  # of a category, the whole code is held out
        chosen = np.empty((len(X), len(firsts)), dtype=bool)
        chosen[by_value] = choose_entries(~np.isnan(X[np.ix_(by_value, firsts)]), self.validation, rng)
        held_out = chosen[:, owners]
        path = solve_path(np.where(held_out, np.nan, X), lambdas, max_iter=self.max_iter, tol=self.tol)
        self.validation_error_ = np.array([np.mean((s.table - X)[held_out] ** 2) for s in path])
        n_solved = int(self.validation_error_.argmin()) + 1

        solutions = list(solve_path(X, lambdas[:n_solved], max_iter=self.max_iter, tol=self.tol))
        last = solutions[-1]
        self.lambda_ = float(lambdas[n_solved - 1])
        self.mean_, self.loadings_ = last.mean, last.loadings
        self.n_iter_ = sum(solution.n_iter for solution in solutions)
        return last.table

    def _impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        filled = X.copy()
        B = self.loadings_
        rank = B.shape[1]
        outer = (B[:, :, None] * B[:, None, :]).reshape(len(B), rank * rank)
        rows = np.flatnonzero(np.isnan(X).any(axis=1))
        size = max(1, CHUNK // max(rank * rank, 1))
        for begin in range(0, len(rows), size):
            part = rows[begin : begin + size]
            seen = ~np.isnan(X[part])
            residual = np.where(seen, X[part] - self.mean_, 0)
            gram = (seen.astype(np.float64) @ outer).reshape(len(part), rank, rank)
            gram += self.lambda_ * np.eye(rank)
            coordinates = np.linalg.solve(gram, (residual @ B)[:, :, None])[:, :, 0]  # (n_part, rank)
            filled[part] = self.mean_ + coordinates @ B.T
        return filled


@dataclass(frozen=True)
class Solution:
    """The minimiser for one λ."""

    table: Matrix
    """μ + Z, shape (n_rows, n_columns)."""
    mean: NDArray[np.float64]
    """μ, shape (n_columns,)."""
    loadings: NDArray[np.float64]
    """B = V S^½, shape (n_columns, rank)."""
    n_iter: int


def choose_entries(observed: NDArray[np.bool_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """About `share` of the True entries, at least one; a row keeps one of its own if others can be chosen."""
    order = rng.random(observed.shape)
    kept = np.zeros_like(observed)
    kept[np.arange(len(observed)), np.where(observed, order, np.inf).argmin(axis=1)] = True
    candidates = observed & ~kept
    if not candidates.any():
        candidates = observed
    n_chosen = min(max(1, round(share * observed.sum())), int(candidates.sum()))
    rank = np.where(candidates, order, np.inf).ravel()
    chosen = np.zeros(observed.size, dtype=bool)
    chosen[np.argpartition(rank, n_chosen - 1)[:n_chosen]] = True
    return chosen.reshape(observed.shape)


def solve_path(X: Matrix, lambdas: NDArray[np.float64], *, max_iter: int, tol: float) -> Iterator[Solution]:
    """The solution for each λ, from the largest to the least, each the start of the next.

    Parameters
    ----------
    X
        Shape (n_rows, n_columns), NaN where missing.
    lambdas
        Falling.
    max_iter, tol
        As of :class:`SoftImpute`.

    Raises
    ------
    ImputationError
        If the iteration does not stay finite.
    """
    holes = np.isnan(X)
    table = np.zeros_like(X)
    for lambda_ in lambdas:
        ahead, momentum = table, 1.0
        n_iter, moving = 0, True
        while moving and n_iter < max_iter:
            n_iter += 1
            before = table
            filled = np.where(holes, ahead, X)
            mean = filled.mean(axis=0)
            Z, loadings = shrink(filled - mean, lambda_)
            table = mean + Z
            step = table - before
            if not np.isfinite(table).all():
                raise ImputationError(f"the completion diverged at λ = {lambda_:g}: look for extreme values")
            moving = np.linalg.norm(step) > tol * np.linalg.norm(table)
            if np.vdot(ahead - table, step) > 0:  # the extrapolation points uphill
                ahead, momentum = table, 1.0
            else:
                following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
                ahead = table + (momentum - 1) / following * step
                momentum = following
        yield Solution(table, mean, loadings, n_iter)


def shrink(Y: Matrix, lambda_: float) -> tuple[Matrix, NDArray[np.float64]]:
    """S_λ(Y) = U (S - λ)₊ Vᵀ, and the loadings V (S - λ)₊^½, shape (n_columns, rank).

    Singular values come from the smaller Gram matrix, whose rounding of small ones is far below any λ.

    >>> shrink(np.diag([3.0, 1.0]), 2.0)[0]
    array([[1., 0.],
           [0., 0.]])
    """
    tall = len(Y) >= Y.shape[1]
    squares, vectors = np.linalg.eigh(Y.T @ Y if tall else Y @ Y.T)
    values = np.sqrt(np.maximum(squares, 0))
    kept = values > lambda_
    s, Q = values[kept], vectors[:, kept]
    weight = 1 - lambda_ / s
    if tall:
        return (Y @ (Q * weight)) @ Q.T, Q * np.sqrt(s - lambda_)
    right = Y.T @ Q  # V S
    return (Q * weight) @ right.T, right / s * np.sqrt(s - lambda_)
