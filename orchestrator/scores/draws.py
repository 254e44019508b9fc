"""Draws against the hidden truth: are they sharp, and do they spread as far as they err?

Over the hidden numeric entries, in the units of the score, pooled over columns. A method that has no draws
has no such score, which is no penalty: see :mod:`orchestrator.scores`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from orchestrator.metrics import Score
from orchestrator.scores.case import Case

LEVELS = (50, 80, 90, 95)
"""Of the central intervals, in percent."""


def crps(case: Case) -> Score:
    """Continuous ranked probability score of the draws, in its form without bias for finite ensembles.

    Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", JASA 2007, eq. 21;
    Ferro, "Fair scores for ensemble forecasts", QJRMS 2014. The mean over entries of :func:`fair_crps`.
    """
    return _over_entries(case, lambda draws, truth: float(fair_crps(draws, truth).mean()))


def coverage(case: Case, level: int) -> Score:
    """Share of entries inside the central interval of their draws; `level` percent if truth is like draws."""

    def inside(draws: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
        low, high = interval(draws, level)
        return float(((low <= truth) & (truth <= high)).mean())

    return _over_entries(case, inside)


def width(case: Case, level: int) -> Score:
    """Mean length of the central interval of `level` percent of the draws of an entry."""

    def length(draws: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
        low, high = interval(draws, level)
        return float((high - low).mean())

    return _over_entries(case, length)


SCORES: dict[str, Callable[[Case], Score]] = {
    "crps": crps,
    **{f"coverage_{level}": partial(coverage, level=level) for level in LEVELS},
    **{f"width_{level}": partial(width, level=level) for level in LEVELS},
}


def fair_crps(draws: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ|x_i - y| / m - Σ|x_i - x_j| / (2 m (m - 1)), for draws (m, n) and truth (n,); shape (n,).

    >>> fair_crps(np.array([[0.0], [2.0]]), np.array([3.0]))
    array([1.])
    """
    m = len(draws)
    # of sorted draws, the k-th is the greater of k pairs and the lesser of m - 1 - k
    greater = 2 * np.arange(m) - (m - 1)
    pairs = greater @ np.sort(draws, axis=0)  # (n,), each pair once
    return np.abs(draws - truth).mean(axis=0) - pairs / (m * (m - 1))


def interval(draws: NDArray[np.float64], level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the central interval of `level` percent of draws (m, n), each (n,).

    The quantile at p is order statistic p (m + 1): the share of new values between the ends is then the level
    in expectation, where the usual quantile, 1 + p (m - 1), holds 81 % of them for m = 20 and 90 %. Of fewer
    than 39 draws the ends of the 95 % interval are the outermost ones, which hold less: 90.5 % for m = 20.
    """
    tail = (1 - level / 100) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0, method="weibull")
    return low, high


def _over_entries(case: Case, summary: Callable[[NDArray[np.float64], NDArray[np.float64]], float]) -> Score:
    """`summary` of the draws (m, n) and the truth (n,) of the hidden numeric entries."""
    if not case.info.stochastic:
        return Score(None, f"{case.info.name} is deterministic: it has no draws")
    rows = case.drawn_rows
    hidden = case.split.hidden[np.ix_(rows, case.numeric_at)]  # (n_rows, n_numeric)
    if not hidden.any():
        return Score(None, "no hidden numeric entry")
    truth = case.standardised(case.split.truth.iloc[rows])[hidden]
    return Score(summary(case.stack[:, hidden], truth))
