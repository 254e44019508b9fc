"""Rubin's rules: one answer from the answers of an analysis on each of m imputed tables.

Rubin, "Multiple Imputation for Nonresponse in Surveys", 1987; degrees of freedom by Barnard and Rubin,
Biometrika 1999.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Pooled:
    """Pooled estimates, each array of shape (n_estimates,)."""

    estimate: NDArray[np.float64]
    within: NDArray[np.float64]
    """Mean squared standard error."""
    between: NDArray[np.float64]
    """Variance over the imputations, ddof 1."""
    n_draws: int
    dof: float
    """Degrees of freedom of the analysis on complete rows; inf where they are many."""

    def rubin(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Total variance W + (1 + 1/m) B, and the degrees of freedom of its t distribution."""
        m = self.n_draws
        # the part of the variance that is due to the holes; kept from 0, where dof are infinite
        missing = np.maximum(self.missing, 1e-12)
        old = (m - 1) / missing**2
        if np.isinf(self.dof):
            return self.within + (1 + 1 / m) * self.between, old
        observed = (self.dof + 1) / (self.dof + 3) * self.dof * (1 - missing)
        return self.within + (1 + 1 / m) * self.between, old * observed / (old + observed)

    @property
    def missing(self) -> NDArray[np.float64]:
        """The part of the total variance that is due to the holes; 0 where there is no variance."""
        extra = (1 + 1 / self.n_draws) * self.between
        total = self.within + extra
        return np.divide(extra, total, out=np.zeros_like(total), where=total > 0)

    def half_width(self, *, finite: bool, confidence: float = CONFIDENCE) -> NDArray[np.float64]:
        """Half of the interval around the estimate.

        `finite`: for the estimates of these very rows, whose only uncertainty is that of the holes:
        (1 + 1/m) B with m - 1 degrees of freedom (Vink and van Buuren, arXiv:1409.8542).
        """
        if finite:
            variance, dof = (1 + 1 / self.n_draws) * self.between, np.full_like(self.within, self.n_draws - 1)
        else:
            variance, dof = self.rubin()
        return scipy.stats.t.ppf((1 + confidence) / 2, dof) * np.sqrt(variance)


def pool_arrays(
    estimates: NDArray[np.float64], squared_errors: NDArray[np.float64], dof: float = np.inf
) -> Pooled:
    """Pool the estimates (m, n) and squared standard errors (m, n) of m analyses."""
    return Pooled(
        estimates.mean(axis=0),
        squared_errors.mean(axis=0),
        estimates.var(axis=0, ddof=1),
        len(estimates),
        dof,
    )


def pool(
    samples: Iterable[Any],
    analysis: Callable[[Any], Any] | None = None,
    *,
    dof: float = np.inf,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Pool an analysis over multiple imputations.

    Parameters
    ----------
    samples
        Imputed tables, such as `Filled.samples`; or, without `analysis`, its results.
    analysis
        What to do with each: returns estimates and their standard errors, as a pair of numbers, arrays or
        Series, or as an object with ``params`` and ``bse`` like a fitted model of statsmodels.
    dof
        Degrees of freedom of the analysis on complete rows, such as rows less coefficients.
    confidence
        Of the interval.

    Returns
    -------
    DataFrame
        One row an estimate: ``estimate``, ``std_error``, ``low``, ``high``, ``dof``, ``missing`` (the part of
        the variance that is due to the holes).

    Raises
    ------
    ValueError
        If there are fewer than two imputations or their estimates do not match.

    >>> pool([(1.0, 0.1), (1.2, 0.1), (1.4, 0.1)]).round(3).T[0].to_dict()
    {'estimate': 1.2, 'std_error': 0.252, 'low': 0.369, 'high': 2.031, 'dof': 2.82, 'missing': 0.842}
    """
    if not 0 < confidence < 1:
        raise ValueError(f"{confidence=} is not in (0, 1)")
    answers = [_answer(sample if analysis is None else analysis(sample)) for sample in samples]
    if len(answers) < 2:
        raise ValueError(f"{len(answers)} imputation: pooling takes at least two")
    first = answers[0].index
    if any(not answer.index.equals(first) for answer in answers):
        raise ValueError("the analyses of the imputed tables do not estimate the same things")
    pooled = pool_arrays(
        np.array([answer["estimate"] for answer in answers]),
        np.square([answer["error"] for answer in answers]),
        dof,
    )
    variance, freedom = pooled.rubin()
    half = pooled.half_width(finite=False, confidence=confidence)
    return pd.DataFrame(
        {
            "estimate": pooled.estimate,
            "std_error": np.sqrt(variance),
            "low": pooled.estimate - half,
            "high": pooled.estimate + half,
            "dof": freedom,
            "missing": pooled.missing,
        },
        index=first,
    )


def _answer(result: Any) -> pd.DataFrame:
    """Estimates and standard errors of one analysis, by name."""
    if hasattr(result, "params") and hasattr(result, "bse"):
        pair: Sequence[Any] = (result.params, result.bse)
    elif isinstance(result, Sequence) and len(result) == 2:
        pair = result
    else:
        raise ValueError(
            f"an analysis returned {type(result).__name__}: it should return estimates and standard errors"
        )
    estimate, error = (part if isinstance(part, pd.Series) else np.atleast_1d(part) for part in pair)
    index = estimate.index if isinstance(estimate, pd.Series) else pd.RangeIndex(len(estimate))
    answer = pd.DataFrame({"estimate": np.asarray(estimate, float), "error": np.asarray(error, float)}, index)
    if not np.isfinite(answer.to_numpy()).all() or (answer["error"] < 0).any():
        raise ValueError("an analysis returned an estimate or standard error that is not a finite number")
    return answer
