"""What an analyst would conclude: a regression on each draw, pooled, beside that of the complete rows.

The last numeric column is regressed on the others by least squares, in the units of the score, for each of m
draws. The pooled coefficients are compared with those of the same regression on the true rows: van Buuren,
"Flexible Imputation of Missing Data", 2018, section 2.5. Columns that are (nearly) combinations of others
have no coefficient to speak of, so that the predictors are the best conditioned ones by a pivoted QR of the
truth, MAX_PREDICTORS at most, the same for every method. At most MAX_ROWS rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from orchestrator.impute.pooling import Pooled, pool_arrays
from orchestrator.metrics import Score
from orchestrator.scores import learners
from orchestrator.scores.case import Case

MAX_PREDICTORS = 10
LEAST_PIVOT = 0.1
"""A predictor counts if what the ones before leave of it is this part of the first one."""


def pooled_bias(case: Case) -> Score:
    """Mean over coefficients of |pooled - complete|; a deterministic method has its one imputation."""
    if case.info.stochastic:
        return _compared(case, lambda pooled, complete: np.abs(pooled.estimate - complete))
    X, predictors = _truth(case)
    if not predictors:
        return Score(None, TOO_FEW)
    filled = case.standardised(case.imputed.iloc[case.drawn_rows])
    filled = filled[_complete(case)]
    gaps = np.abs(regress(filled, predictors)[0] - regress(X, predictors)[0])
    return Score(float(gaps.mean()), "of a single imputation")


def pooled_width(case: Case) -> Score:
    """Mean width of the 95 % intervals of the coefficients by Rubin's rules."""
    return _compared(case, lambda pooled, complete: 2 * pooled.half_width(finite=False))


def pooled_coverage(case: Case) -> Score:
    """Share of the complete coefficients in their 95 % interval by Rubin's rules.

    Those intervals are for the coefficients of the population. The complete rows share their sampling error
    with the imputed ones, so that a sound imputation covers theirs in more than 95 % of cases: low values
    tell, high ones do not.
    """
    return _compared(case, lambda pooled, complete: _inside(pooled, complete, finite=False))


def pooled_coverage_finite(case: Case) -> Score:
    """Share of the complete coefficients in the interval that allows for the holes alone; 0.95 is right."""
    return _compared(case, lambda pooled, complete: _inside(pooled, complete, finite=True))


SCORES = {
    "pooled_bias": pooled_bias,
    "pooled_width": pooled_width,
    "pooled_coverage": pooled_coverage,
    "pooled_coverage_finite": pooled_coverage_finite,
}

TOO_FEW = "no regression: it takes two numeric columns and more rows than these"


def regress(
    X: NDArray[np.float64], predictors: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Least squares of the last column on `predictors` and an intercept.

    Returns
    -------
    tuple
        Coefficients without the intercept, their squared standard errors, both (n_predictors,), and the
        degrees of freedom.
    """
    design = np.column_stack([np.ones(len(X)), X[:, predictors]])
    beta, *_ = np.linalg.lstsq(design, X[:, -1], rcond=None)
    dof = len(X) - design.shape[1]
    noise = float(np.square(X[:, -1] - design @ beta).sum()) / dof
    inverse: NDArray[np.float64] = np.linalg.pinv(design.T @ design)
    return np.asarray(beta[1:], np.float64), noise * np.diag(inverse)[1:], dof


def choose_predictors(X: NDArray[np.float64]) -> list[int]:
    """Columns of `X` before the last that no others nearly add up to; at most one for five rows.

    >>> x = np.arange(15.0)
    >>> len(choose_predictors(np.column_stack([x, 2 * x, x**2, x**3])))
    2
    """
    if X.shape[1] < 2 or len(X) < 5:
        return []
    candidates, _ = learners.scaled(X[:, :-1], X[:, :-1])
    _, r, order = scipy.linalg.qr(candidates, mode="economic", pivoting=True)
    pivots = np.abs(np.diag(r))
    most = min(MAX_PREDICTORS, len(X) // 5, int((pivots > LEAST_PIVOT * pivots[0]).sum()))
    return sorted(int(column) for column in order[:most])


def _inside(pooled: Pooled, complete: NDArray[np.float64], *, finite: bool) -> NDArray[np.bool_]:
    # where no predictor nor the response has a hole all draws agree, and rounding must not decide
    return np.abs(pooled.estimate - complete) <= pooled.half_width(finite=finite) + 1e-9


def _complete(case: Case) -> NDArray[np.bool_]:
    """Of the rows that are drawn for, those whose numeric truth is known in all columns."""
    truth = case.standardised(case.split.truth.iloc[case.drawn_rows])
    return np.asarray(~np.isnan(truth).any(axis=1))


def _truth(case: Case) -> tuple[NDArray[np.float64], list[int]]:
    X = case.standardised(case.split.truth.iloc[case.drawn_rows])[_complete(case)]
    return X, choose_predictors(X)


def _compared(case: Case, summary: Callable[[Pooled, NDArray[np.float64]], NDArray]) -> Score:
    """Mean over coefficients of `summary` of the pooled and the complete ones."""
    if not case.info.stochastic:
        return Score(None, f"{case.info.name} is deterministic: there is nothing to pool")
    X, predictors = _truth(case)
    if not predictors:
        return Score(None, TOO_FEW)
    draws = [regress(draw, predictors) for draw in case.stack[:, _complete(case)]]
    pooled = pool_arrays(np.array([d[0] for d in draws]), np.array([d[1] for d in draws]), draws[0][2])
    return Score(float(np.mean(summary(pooled, regress(X, predictors)[0]))))
