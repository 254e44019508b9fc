"""Multiple imputation by chained equations, with Bayesian ridge regressions.

van Buuren and Groothuis-Oudshoorn 2011, "mice". Holes start at the column mean; then, round after round,
each incomplete column (fewest holes first) is regressed on the others, over the rows that observe it, and
its holes are replaced. The regression is MacKay's Bayesian ridge (1992): with noise precision α and
weight precision λ, both set by maximising the evidence,

    w ~ N(m, S),   S⁻¹ = α A + λ I,   m = α S b,   A = ZᵀZ and b = Zᵀy of centred columns,
    γ = Σ α e_k / (α e_k + λ) over the eigenvalues e of A,   λ = γ / |m|²,   α = (n - γ) / |y - Z m|².

Holes are replaced by predictions (``mode="mean"``) or by draws: w from N(m, S) once a regression, then
noise of variance 1/α a row, so that chains differ by what the model does not know.

**What differs.** ``transform`` with ``mode="draws"`` averages the conditional means of the last round
rather than the draws, which has the same expectation and less noise. The codes of one category are not
regressed on each other. The evidence iteration starts from where the previous round left it. Rounds stop
early as in scikit-learn's ``IterativeImputer``. A chain of means can drift away, on tables with many rare
categories above all: its imputations are kept within the observed range of their column, and a chain
whose holes move more again for three rounds goes back to its calmest round.

**How.** No design matrix is ever copied: with Z the filled table and a column of ones, G = ZᵀZ is kept up
to date (a filled column changes one row and column of it), and the Gram matrix over the rows that observe
a column is G less the product over those that do not, or the product over the fewer. One
eigendecomposition then serves the whole evidence iteration and the posterior; where rows are fewer than
columns, it is that of the small n × n matrix.

**Cost.** A round is O(Σ_j (min(h_j, n - h_j) d² + n d + d³)) for h_j holes in column j; memory O(n d),
and O(rounds · d²) a chain for the regressions. Columns complete in ``fit`` cost one regression each, for
the rows that ``transform`` may bring.

**When.** The strong plain baseline for tables of up to some hundreds of columns with roughly linear
relations.

Checked against ``IterativeImputer(BayesianRidge(), max_iter=10)``, whose MAE with 30 % of the entries
hidden completely at random is 0.258 on breast cancer, 0.597 on concrete, 0.349 on parkinsons, 0.424 on
blood, 0.544 on ionosphere and 0.634 on white wine; ours is 0.255, 0.572, 0.347, 0.417, 0.529 and 0.631,
and equal to it where it keeps to the observed range too. The average over ten chains of draws reaches
0.229 on breast cancer, where the mean of ten of scikit-learn's posterior draws reaches 0.242.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from methods.base import Imputer, Matrix
from methods.checks import check_choice, check_integer, check_number
from methods.registry import MethodInfo

RESTLESS_ROUNDS = 3
"""A chain of means whose holes move more again for so many rounds goes back to its calmest one."""

HYPERPRIOR = 1e-6
"""Shape and rate of the gamma priors on α and λ: they bound both where a column is a copy of another."""


class MICE(Imputer):
    """Chained Bayesian ridge regressions.

    Parameters
    ----------
    mode : {"mean", "draws"}
        Impute by one chain of conditional means, or by the average over chains of posterior draws.
    n_iter : int
        Most rounds of a chain.
    n_draws : int
        Chains that ``mode="draws"`` averages.
    tol : float
        A chain of means stops when no imputation moves by more than this share of the largest observed
        magnitude; 0 always runs `n_iter` rounds.
    random_state : int or None
        Seed of the draws; a chain of means is deterministic.

    Attributes
    ----------
    n_iter_ : int
        Rounds made by the longest chain.
    """

    info = MethodInfo(
        name="mice",
        title="MICE",
        family="chained equations",
        reference="van Buuren and Groothuis-Oudshoorn, Multivariate Imputation by Chained Equations, 2011",
        inductive=True,
        stochastic=True,
        search_space={"mode": ["mean", "draws"], "n_iter": [5, 10, 20, 50]},
    )

    def __init__(
        self,
        *,
        mode: Literal["mean", "draws"] = "mean",
        n_iter: int = 10,
        n_draws: int = 10,
        tol: float = 1e-3,
        random_state: int | None = None,
    ):
        self.mode = mode
        self.n_iter = n_iter
        self.n_draws = n_draws
        self.tol = tol
        self.random_state = random_state

    def _check(self) -> None:
        check_choice("mode", self.mode, ("mean", "draws"))
        check_integer("n_iter", self.n_iter, low=1)
        check_integer("n_draws", self.n_draws, low=1)
        check_number("tol", self.tol, low=0)

    def _fit(self, X: Matrix, rng: np.random.Generator) -> None:
        self.train_ = X
        if self.mode == "mean":
            self.chains_ = [run_chain(X, self._predictors(), n_iter=self.n_iter, tol=self.tol)]
        else:
            self.chains_ = self._draw_chains(rng, self.n_draws)
        self.n_iter_ = max(len(chain.rounds) for chain in self.chains_)

    def _impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        draws = self.mode == "draws"
        return np.mean([chain.apply(X, rng if draws else None)[1] for chain in self.chains_], axis=0)

    def _fit_impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        self._fit(X, rng)
        return np.mean([chain.expected for chain in self.chains_], axis=0)

    def _sample(self, X: Matrix, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return np.stack([chain.apply(X, rng)[0] for chain in self._draw_chains(rng, n_samples)])

    def _draw_chains(self, rng: np.random.Generator, n_chains: int) -> list[Chain]:
        predictors = self._predictors()
        return [
            run_chain(self.train_, predictors, n_iter=self.n_iter, rng=child) for child in rng.spawn(n_chains)
        ]

    def _predictors(self) -> list[NDArray[np.intp]]:
        """For each column of the matrix, the columns that it is regressed on.

        The codes of one category sum to a constant and are missing together: regressed on each other they
        would stay where they start.
        """
        every = np.arange(self.encoder_.width)
        blocks = [every[column.slice] for column in self.encoder_.columns]
        return [np.setdiff1d(every, block) for block in blocks for _ in block]


@dataclass(frozen=True)
class Regression:
    """One column as a linear function of the others."""

    column: int
    weights: NDArray[np.float64]
    """Shape (d + 1,): 0 where the column does not depend on another, the intercept last."""
    noise: float
    """Standard deviation of the residual."""


@dataclass(frozen=True)
class Chain:
    """What a chain did, round by round."""

    complete: Sequence[Regression]
    """Regressions of the columns without holes in the fitted table."""
    rounds: Sequence[Sequence[Regression]]
    expected: Matrix
    """The fitted table, its holes at their conditional mean in the last round."""
    limits: NDArray[np.float64]
    """What each column's imputations are kept between, shape (2, d)."""

    def apply(self, X: Matrix, rng: np.random.Generator | None) -> tuple[Matrix, Matrix]:
        """Send rows through the fitted regressions, with noise if `rng` is given.

        Returns
        -------
        filled, expected
            Both like `X` without NaN: holes at the last draw, and at that draw's mean.
        """
        holes = np.isnan(X)
        filled = _with_ones(np.where(holes, 0, X))
        expected = filled.copy()
        for regressions in self.rounds:
            for regression in (*self.complete, *regressions):
                rows = np.flatnonzero(holes[:, regression.column])
                if rows.size:
                    prediction = filled[rows] @ regression.weights
                    low, high = self.limits[:, regression.column]
                    expected[rows, regression.column] = prediction.clip(low, high)
                    if rng is not None:
                        prediction = prediction + regression.noise * rng.standard_normal(rows.size)
                    filled[rows, regression.column] = prediction.clip(low, high)
        return filled[:, :-1], expected[:, :-1]


@dataclass(frozen=True)
class Calm:
    """A chain at its calmest: the round in which the holes moved least, and the tables after it."""

    moved: float
    n_rounds: int
    filled: Matrix
    expected: Matrix


def run_chain(
    X: Matrix,
    predictors: Sequence[NDArray[np.intp]],
    *,
    n_iter: int,
    tol: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Chain:
    """Fit one chain to a matrix with NaN holes and observed column means of 0.

    Parameters
    ----------
    X : ndarray, shape (n, d)
    predictors
        For each column, the columns it is regressed on.
    n_iter : int
        Most rounds.
    tol : float
        Stop when no hole moves by more, relative to the largest observed magnitude.
    rng : Generator or None
        Draw weights and noise from their posterior; None takes the means.
    """
    holes = np.isnan(X)
    if rng is None:
        limits = np.stack([np.nanmin(X, axis=0), np.nanmax(X, axis=0)])
    else:
        limits = np.repeat([[-np.inf], [np.inf]], X.shape[1], axis=1)
    n_holes = holes.sum(axis=0)
    order = [int(j) for j in np.argsort(n_holes, kind="stable") if n_holes[j]]
    Z = _with_ones(np.where(holes, 0, X))  # (n, d + 1)
    expected = Z.copy()
    G = Z.T @ Z
    hidden = [np.flatnonzero(holes[:, j]) for j in range(X.shape[1])]
    evidence = [Evidence() for _ in hidden]
    threshold = tol * np.abs(Z[:, :-1]).max()

    rounds: list[list[Regression]] = []
    calmest = Calm(np.inf, 0, Z, expected)
    while len(rounds) < n_iter:
        before = Z.copy()
        regressions = []
        for j in order:
            regression, evidence[j] = _regress(Z, G, j, predictors[j], hidden[j], evidence[j], rng)
            prediction = Z[hidden[j]] @ regression.weights
            expected[hidden[j], j] = prediction.clip(*limits[:, j])
            if rng is not None:
                prediction = prediction + regression.noise * rng.standard_normal(len(prediction))
            Z[hidden[j], j] = prediction.clip(*limits[:, j])
            G[j] = G[:, j] = Z.T @ Z[:, j]
            regressions.append(regression)
        rounds.append(regressions)
        if np.abs(Z - before).max() < threshold:
            break
        moved = float(np.linalg.norm(Z - before))
        if moved <= calmest.moved:
            calmest = Calm(moved, len(rounds), Z.copy(), expected.copy())
        elif rng is None and len(rounds) - calmest.n_rounds == RESTLESS_ROUNDS:
            Z, expected = calmest.filled, calmest.expected
            del rounds[calmest.n_rounds :]
            G = Z.T @ Z
            break
    whole = [j for j, count in enumerate(n_holes) if count == 0]
    complete = [_regress(Z, G, j, predictors[j], hidden[j], evidence[j], rng)[0] for j in whole]
    return Chain(complete, rounds, expected[:, :-1], limits)


@dataclass(frozen=True)
class Evidence:
    """Precisions of noise and weights; None before the first estimate."""

    alpha: float | None = None
    lambda_: float = 1.0


def _regress(
    Z: Matrix,
    G: Matrix,
    j: int,
    others: NDArray[np.intp],
    hidden: NDArray[np.intp],
    start: Evidence,
    rng: np.random.Generator | None,
) -> tuple[Regression, Evidence]:
    """Bayesian ridge of column j on the columns `others` over the rows not in `hidden`."""
    n = len(Z) - len(hidden)
    p = len(others)
    if n > p:
        if len(hidden) <= n:
            Z_out = Z[hidden]
            gram = G - Z_out.T @ Z_out
        else:
            Z_in = np.delete(Z, hidden, axis=0)
            gram = Z_in.T @ Z_in
        means = gram[-1, :-1] / n
        gram = gram[:-1, :-1] - n * np.outer(means, means)
        b, yy = gram[others, j], gram[j, j]
        e, V = np.linalg.eigh(gram[np.ix_(others, others)])
        kept = _above_rounding(e, n)
        e, V = e[kept], V[:, kept]
    else:
        Z_in = np.delete(Z, hidden, axis=0)[:, :-1]
        means = Z_in.mean(axis=0)
        Z_in = Z_in - means
        y, Z_in = Z_in[:, j], Z_in[:, others]
        b, yy = Z_in.T @ y, float(y @ y)
        e, U = np.linalg.eigh(Z_in @ Z_in.T)
        kept = _above_rounding(e, p)
        e = e[kept]
        V = Z_in.T @ (U[:, kept] / np.sqrt(e))
    q = V.T @ b  # V is (p, rank)
    evidence = maximize_evidence(e, q, yy, n, start)
    alpha, lambda_ = evidence.alpha, evidence.lambda_
    assert alpha is not None
    w = V @ (q / (e + lambda_ / alpha))
    if rng is not None:
        # N(0, S): standard noise, shrunk by 1/√(α e + λ) along V and by 1/√λ across it
        noise = rng.standard_normal(p)
        w = w + noise / np.sqrt(lambda_)
        w += V @ ((V.T @ noise) * (1 / np.sqrt(alpha * e + lambda_) - 1 / np.sqrt(lambda_)))
    weights = np.zeros(Z.shape[1])
    weights[others] = w
    weights[-1] = means[j] - means[others] @ w
    return Regression(j, weights, float(1 / np.sqrt(alpha))), evidence


def maximize_evidence(
    e: NDArray[np.float64], q: NDArray[np.float64], yy: float, n: int, start: Evidence
) -> Evidence:
    """MacKay's fixed-point iteration for α and λ, in the eigenbasis of the Gram matrix.

    Parameters
    ----------
    e, q : ndarray, shape (rank,)
        Eigenvalues of ZᵀZ and Zᵀy along its eigenvectors.
    yy : float
        yᵀy.
    n : int
        Number of rows.
    start
        Where to start; at noise of the variance of y if its `alpha` is None.
    """
    lambda_ = start.lambda_
    alpha = start.alpha if start.alpha is not None else n / (yy + 1e-12)
    for _ in range(300):
        ratio = lambda_ / alpha
        m = q / (e + ratio)
        residual = max(float(yy - 2 * (m @ q) + (e * m) @ m), 0.0)
        gamma = (e / (e + ratio)).sum()
        lambda_ = (gamma + 2 * HYPERPRIOR) / (m @ m + 2 * HYPERPRIOR)
        alpha = (n - gamma + 2 * HYPERPRIOR) / (residual + 2 * HYPERPRIOR)
        if abs(lambda_ / alpha - ratio) <= 1e-3 * ratio:
            break
    return Evidence(float(alpha), float(lambda_))


def _above_rounding(e: NDArray[np.float64], n_terms: int) -> NDArray[np.bool_]:
    """Which eigenvalues of a Gram matrix, a sum of `n_terms` products, are more than rounding errors.

    The others belong to exact collinearity: the data say nothing there, and the prior keeps its mean of 0.
    """
    return e > e.max(initial=0) * max(n_terms, len(e)) * np.finfo(np.float64).eps


def _with_ones(X: Matrix) -> Matrix:
    return np.hstack([X, np.ones((len(X), 1))])
