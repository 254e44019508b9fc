"""Multivariate Gaussian by expectation-maximisation.

Dempster, Laird and Rubin 1977; Little and Rubin 2019, section 11.2. Rows are drawn from N(μ, Σ). With the
precision P = Σ⁻¹ and a row's missing and observed columns m and o:

    E   x̂_m = μ_m - P_mm⁻¹ P_mo (x_o - μ_o),   C = P_mm⁻¹
    M   μ = mean of x̂,   Σ = (Σ_i (x̂_i - μ)(x̂_i - μ)ᵀ + C_i + κ I) / (n + κ)

**What differs.** The M step is the posterior mode under a weak inverse-Wishart prior, κ = `ridge` · d
rows' worth of uncorrelated unit-variance columns, which keeps Σ invertible for collinear columns and for
more columns than rows. The start is the covariance of the mean-filled table: from a diagonal one, the
first E step returns the mean, and a rule that stops on "no change" stops there.

**How.** One inverse of Σ and one matrix product serve every row; what is left per row is a system of the
size of its missing columns. Rows with the same missing columns share it, and the systems of equal size
are solved as one stack.

**Cost.** An iteration is O(n d² + d³ + Σ_patterns m³); memory O(n d), and stacks of at most 16 MB.

**When.** Continuous, roughly elliptical tables: on Gaussian data no method has a smaller squared error.
Not for strong non-linear relations or many-valued categories.

Checked against the closed-form conditional mean on Gaussian data and against the MAE of 0.224 to 0.231 on
breast cancer with 30 % of the entries hidden completely at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from methods.base import Imputer, Matrix
from methods.checks import check_integer, check_number
from methods.registry import MethodInfo

CHUNK = 2**21
"""Entries of the largest stack of conditional covariances, one a row: 16 MB of float64."""


class EM(Imputer):
    """Conditional mean under one Gaussian, fitted by EM.

    ``sample`` draws from the conditional Gaussian with the fitted μ and Σ held fixed, so its spread leaves
    out the uncertainty of μ and Σ themselves.

    Parameters
    ----------
    max_iter : int
        Most iterations.
    tol : float
        Stop when no entry of μ or Σ (in standard deviations and correlations) moves by more.
    ridge : float
        Weight of the prior, in rows for each column of the matrix.
    random_state : int or None
        Seed of ``sample``; the imputation itself is deterministic.

    Attributes
    ----------
    mean_, covariance_ : ndarray, shapes (n_encoded,) and (n_encoded, n_encoded)
        In units of the standardised columns.
    n_iter_ : int
        Iterations made.
    converged_ : bool
        Whether `tol` was reached within `max_iter`.
    """

    category_code = "joint"
    info = MethodInfo(
        name="em",
        title="EM",
        family="joint Gaussian",
        reference="Dempster, Laird and Rubin, Maximum likelihood from incomplete data via EM, 1977",
        inductive=True,
        stochastic=True,
        version=2,
        search_space={"ridge": ("log", 1e-4, 1.0)},
    )

    def __init__(
        self,
        *,
        max_iter: int = 200,
        tol: float = 1e-4,
        ridge: float = 5e-2,
        random_state: int | None = None,
    ):
        self.max_iter = max_iter
        self.tol = tol
        self.ridge = ridge
        self.random_state = random_state

    def _check(self) -> None:
        check_integer("max_iter", self.max_iter, low=1)
        check_number("tol", self.tol, low=0, open_low=True)
        check_number("ridge", self.ridge, low=0, open_low=True)

    def _fit(self, X: Matrix, rng: np.random.Generator) -> None:
        n, d = X.shape
        stacks = _stacks(np.isnan(X))
        kappa = self.ridge * d
        prior = kappa * np.eye(d)

        mean = np.nanmean(X, axis=0)
        filled = np.where(np.isnan(X), 0, X - mean)
        covariance = (filled.T @ filled + prior) / (n + kappa)
        self.n_iter_, change = 0, np.inf
        while change > self.tol and self.n_iter_ < self.max_iter:
            self.n_iter_ += 1
            # E step, in coordinates centred at the mean
            uncertainty = np.zeros(d * d)
            centred = np.where(np.isnan(X), 0, X - mean)
            for stack, expected, conditional in _conditionals(centred, covariance, stacks):
                centred[stack.rows[:, None], stack.columns[stack.member]] = expected
                weighted = conditional * stack.counts[:, None, None]
                uncertainty += np.bincount(stack.flat(d), weighted.ravel(), minlength=d * d)
            # M step
            shift = centred.mean(axis=0)
            centred -= shift
            updated = (centred.T @ centred + uncertainty.reshape(d, d) + prior) / (n + kappa)
            change = max(np.abs(shift).max(), np.abs(updated - covariance).max())
            mean, covariance = mean + shift, (updated + updated.T) / 2
        self.mean_, self.covariance_, self.converged_ = mean, covariance, bool(change <= self.tol)

    def _impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        filled = X.copy()
        centred = np.where(np.isnan(X), 0, X - self.mean_)
        for stack, expected, _ in _conditionals(centred, self.covariance_, _stacks(np.isnan(X))):
            columns = stack.columns[stack.member]
            filled[stack.rows[:, None], columns] = self.mean_[columns] + expected
        return filled

    def _sample(self, X: Matrix, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        draws = np.repeat(X[None], n_samples, axis=0)
        centred = np.where(np.isnan(X), 0, X - self.mean_)
        for stack, expected, conditional in _conditionals(centred, self.covariance_, _stacks(np.isnan(X))):
            columns = stack.columns[stack.member]  # (n_rows, m)
            root = np.linalg.cholesky(conditional)[stack.member]
            for draw in draws:
                noise = (root @ rng.standard_normal(expected.shape)[:, :, None])[:, :, 0]
                draw[stack.rows[:, None], columns] = self.mean_[columns] + expected + noise
        return draws


@dataclass(frozen=True)
class Stack:
    """Patterns with equally many missing columns, and the rows that show them."""

    columns: NDArray[np.intp]
    """The missing columns of each pattern, shape (n_patterns, m)."""
    counts: NDArray[np.intp]
    """Rows of each pattern, shape (n_patterns,)."""
    rows: NDArray[np.intp]
    """Row numbers, shape (n_rows,)."""
    member: NDArray[np.intp]
    """The pattern of each row, shape (n_rows,)."""

    def flat(self, d: int) -> NDArray[np.intp]:
        """Where each entry of the stacked m × m blocks stands in a flattened d × d matrix."""
        return (self.columns[:, :, None] * d + self.columns[:, None, :]).ravel()


def _stacks(mask: NDArray[np.bool_]) -> list[Stack]:
    """Group the rows that have holes by pattern, and the patterns by their number of missing columns."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return []
    packed, member = np.unique(np.packbits(mask[rows], axis=1), axis=0, return_inverse=True)
    patterns = np.unpackbits(packed, axis=1, count=mask.shape[1]).astype(bool)
    sizes = patterns.sum(axis=1)
    order = np.lexsort((member, sizes[member]))  # by size, then pattern

    stacks = []
    for m in np.unique(sizes):
        same = order[sizes[member[order]] == m]
        budget = max(1, CHUNK // int(m * m))
        for start in range(0, len(same), budget):
            part = same[start : start + budget]
            chosen, local, n_rows = np.unique(member[part], return_inverse=True, return_counts=True)
            columns = np.nonzero(patterns[chosen])[1].reshape(len(chosen), m)
            stacks.append(Stack(columns, n_rows, rows[part], local))
    return stacks


def _conditionals(
    centred: Matrix, covariance: NDArray[np.float64], stacks: list[Stack]
) -> Iterator[tuple[Stack, NDArray[np.float64], NDArray[np.float64]]]:
    """The E step, for rows with 0 at their holes and the mean taken off.

    Yields
    ------
    stack, expected, conditional
        The conditional mean of each row's missing columns, shape (n_rows, m), and the conditional covariance
        of each pattern, shape (n_patterns, m, m).
    """
    precision = linalg.cho_solve(linalg.cho_factor(covariance), np.eye(len(covariance)))
    pull = centred @ precision  # P_mo (x_o - μ_o), at the missing columns
    for stack in stacks:
        blocks = precision[stack.columns[:, :, None], stack.columns[:, None, :]]
        conditional = np.linalg.inv(blocks)
        conditional = (conditional + conditional.transpose(0, 2, 1)) / 2
        targets = pull[stack.rows[:, None], stack.columns[stack.member]]
        yield stack, -(conditional[stack.member] @ targets[:, :, None])[:, :, 0], conditional
