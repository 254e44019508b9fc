"""What may be concluded over data sets: tests, effect sizes and their power.

Every function takes a frame of *losses* (less is better), one row for each data set and one column for each
method. The data set is the unit: mask seeds inside one are repetitions of the same problem and are averaged
before. Ten seeds on eight tables taken for eighty problems make a test at the 5 % level reject in a third of
the cases or more where there is nothing; `check_unit` refuses such frames.

Sources: Demšar, *Statistical comparisons of classifiers over multiple data sets*, JMLR 7 (2006): Friedman's
test, average ranks, Nemenyi's critical difference. Holm (1979). Pratt (1959), zero differences. Benavoli,
Corani, Demšar and Zaffalon, *Time for a change*, JMLR 18 (2017): the Bayesian signed-rank test.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.05
"""Level of every test."""

ROPE = 0.01
"""Region of practical equivalence: relative differences of at most one per cent count as none."""

PRIOR = 0.5
"""Weight of the prior's one pseudo-observation, a difference of zero; that of a data set is 1."""

_TIE = 9  # losses that agree to so many decimals are equal
_SEEDLIKE = ("mask_seed", "seed", "trial_key", "repeat", "fold")


class UnitError(ValueError):
    """A frame's rows are repetitions, not data sets."""


def check_unit(losses: pd.DataFrame) -> pd.DataFrame:
    """`losses` as floats, rounded so that what prints alike ties; refused where a row is no data set.

    Raises
    ------
    UnitError
        If a mask seed is among the index levels or columns, or a data set has several rows.
    ValueError
        If there are fewer than two methods or a loss is missing or infinite.
    """
    named = [str(name) for name in (*losses.index.names, *losses.columns) if str(name) in _SEEDLIKE]
    repeated = losses.index[losses.index.duplicated()]
    if named or len(repeated):
        what = f"the frame has {named[0]!r}" if named else f"{repeated[0]!r} has more than one row"
        raise UnitError(
            f"{what}: mask seeds of one data set are no independent evidence, and testing over them as if "
            "they were finds differences where there are none. Average them within the data set first "
            "(analysis.comparison.blocks does)."
        )
    if losses.shape[1] < 2:
        raise ValueError(f"{losses.shape[1]} method(s): a comparison needs at least two")
    table = losses.astype(float)
    bad = table.index[~np.isfinite(table.to_numpy()).all(axis=1)]
    if len(bad):
        raise ValueError(
            f"no finite loss for every method on {list(bad)}: choose how missing cells count "
            "(analysis.comparison.POLICIES)"
        )
    return table.round(_TIE)


@dataclass(frozen=True)
class Friedman:
    """Friedman's test: do all methods perform alike?

    Attributes
    ----------
    ranks
        Average rank of each method, 1 is best; ties share.
    statistic, p
        Chi-square with ties corrected, and its p value.
    f_statistic, f_p
        Iman and Davenport's F, less conservative, and its p value.
    """

    ranks: pd.Series
    n: int
    statistic: float
    p: float
    f_statistic: float
    f_p: float


def friedman(losses: pd.DataFrame) -> Friedman:
    """Friedman's test and Iman and Davenport's correction of it.

    Raises
    ------
    UnitError, ValueError
        As `check_unit`; also for a single data set.
    """
    table = check_unit(losses)
    n, k = table.shape
    if n < 2:
        raise ValueError("one data set: ranks over one data set are no evidence")
    ranks = table.rank(axis=1)
    mean = ranks.mean()
    # Conover's form: with ties the rank variance is less than k (k² - 1) / 12.
    variance = float(((ranks - (k + 1) / 2) ** 2).to_numpy().sum())
    if variance == 0:
        return Friedman(mean, n, 0.0, 1.0, 0.0, 1.0)
    statistic = float((k - 1) * n**2 * ((mean - (k + 1) / 2) ** 2).sum() / variance)
    room = n * (k - 1) - statistic
    f = (n - 1) * statistic / room if room > 1e-12 else np.inf
    return Friedman(
        mean, n, statistic, float(stats.chi2.sf(statistic, k - 1)), float(f),
        float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))),
    )  # fmt: skip


def signed_rank(differences: np.ndarray) -> tuple[float, float, float]:
    """Wilcoxon's signed-rank test: sums of the ranks of gains and of losses, and the exact two-sided p.

    Zeros take part in the ranking and then fall out, half of their ranks to each side (Pratt; the sums are
    Demšar's). The null distribution is that of all sign patterns of the ranks at hand, ties included.

    Parameters
    ----------
    differences
        One for each data set.

    Returns
    -------
    tuple of float
        Rank sum of positive differences, of negative ones, p.

    Examples
    --------
    Five gains of five: one pattern of 32 on each side.

    >>> signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    (15.0, 0.0, 0.0625)
    """
    (result,) = _signed_ranks(np.asarray(differences, dtype=float)[None])
    return result


def _signed_ranks(differences: np.ndarray) -> list[tuple[float, float, float]]:
    """`signed_rank` of each row."""
    d = np.round(differences, _TIE)
    # Twice the midranks are whole numbers.
    ranks = np.rint(2 * stats.rankdata(np.abs(d), axis=1)).astype(int)
    up, down, even = ((ranks * where).sum(axis=1) for where in (d > 0, d < 0, d == 0))
    results = []
    for row, gains, losses, zeros in zip(np.where(d != 0, ranks, 0), up, down, even, strict=True):
        share = float(zeros / 4)
        patterns = _sign_patterns(tuple(sorted(row[row > 0])))
        p = min(1.0, 2 * float(patterns[: min(gains, losses) + 1].sum()))
        results.append((float(gains / 2) + share, float(losses / 2) + share, p))
    return results


@lru_cache(maxsize=256)  # without ties there is one for each number of data sets
def _sign_patterns(ranks: tuple[int, ...]) -> np.ndarray:
    """Probability of each sum of the ranks with positive sign, all patterns of signs being alike likely."""
    patterns = np.ones(1)
    for rank in ranks:
        longer = np.zeros(patterns.size + rank)
        longer[: patterns.size] += patterns
        longer[rank:] += patterns
        patterns = longer / 2
    return patterns


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p values, in the order of `p`.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    result = np.empty_like(p)
    result[order] = np.minimum(adjusted, 1.0)
    return result


def relative_difference(losses: pd.DataFrame, first: Any, second: Any) -> np.ndarray:
    """(first - second) / the larger, for each data set; 0 where both are 0.

    -0.1 is a tenth less error than the second's; turning the pair round turns the sign and nothing else.

    >>> relative_difference(pd.DataFrame({"a": [0.9, 1.0], "b": [1.0, 0.5]}), "a", "b").round(3).tolist()
    [-0.1, 0.5]
    """
    a, b = losses[first].to_numpy(float), losses[second].to_numpy(float)
    larger = np.maximum(np.abs(a), np.abs(b))
    return np.divide(a - b, larger, out=np.zeros_like(a), where=larger > 0)


def median_interval(
    values: np.ndarray, rng: np.random.Generator, *, confidence: float = 0.95, draws: int = 2000
) -> tuple[float, float, float]:
    """Median and its percentile bootstrap interval over data sets; the interval is NaN below three."""
    values = np.asarray(values, dtype=float)
    if values.size < 3:
        return float(np.median(values)), float("nan"), float("nan")
    medians = np.median(values[rng.integers(values.size, size=(draws, values.size))], axis=1)
    low, high = np.quantile(medians, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(np.median(values)), float(low), float(high)


def bayes_signed_rank(
    differences: np.ndarray, rng: np.random.Generator, *, rope: float = ROPE, draws: int = 10_000
) -> tuple[float, float, float]:
    """Posterior probabilities that the first is better, that both are alike, that the second is better.

    A Dirichlet process over the differences with one pseudo-observation of zero and weight `PRIOR`. Each draw
    of weights says what share of the pairs' means (Walsh averages) lies below, inside and above the region of
    practical equivalence; the three probabilities are how often each share is the greatest.

    Parameters
    ----------
    differences
        First minus second, one for each data set, as losses.
    rng
        Where the weights are drawn.
    rope
        Half the width of the region, in the unit of `differences`.
    draws
        Monte Carlo draws; the error of a probability is at most 0.5 / sqrt(draws).
    """
    z = np.concatenate([[0.0], np.asarray(differences, dtype=float)])
    sums = z[:, None] + z[None, :]
    below, above = (sums < -2 * rope).astype(float), (sums > 2 * rope).astype(float)
    weights = rng.dirichlet([PRIOR, *np.ones(z.size - 1)], size=draws)  # (draws, n + 1)
    low = ((weights @ below) * weights).sum(axis=1)
    high = ((weights @ above) * weights).sum(axis=1)
    shares = np.column_stack([low, 1 - low - high, high])
    best = shares >= shares.max(axis=1, keepdims=True) - 1e-12
    first, alike, second = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return float(first), float(alike), float(second)


def pairwise(losses: pd.DataFrame, *, against: Any = None, rope: float = ROPE, seed: int = 0) -> pd.DataFrame:
    """Every pair of methods: effect, win/tie/loss, Wilcoxon with Holm, and the Bayesian answer.

    All are of *relative* differences, so that a table with large errors counts no more than another.

    Parameters
    ----------
    losses
        Data sets down, methods across; see `check_unit`.
    against
        Give only the pairs with this method. Holm's correction is for all pairs all the same.
    rope
        Relative differences up to this count as ties.
    seed
        Seeds the bootstrap and the Monte Carlo draws.

    Returns
    -------
    pandas.DataFrame
        ``first, second, n, effect, low, high`` (median relative difference, first against second, with
        bootstrap interval over data sets), ``wins, ties, losses`` (of the first), ``rank_sum_for,
        rank_sum_against``, ``p, p_holm``, ``better, alike, worse`` (posterior probabilities). The better
        average rank of a pair stands first.

    Raises
    ------
    UnitError, ValueError
        As `check_unit`.
    """
    table = check_unit(losses)
    tests = wilcoxon_holm(table)
    if against is not None:
        tests = tests[tests["first"].eq(against) | tests["second"].eq(against)]
    rows = []
    for row in tests.to_dict("records"):
        gap = relative_difference(table, row["first"], row["second"])
        # A generator of its own for each pair: what else is in the pool changes no pair's numbers.
        rng = np.random.default_rng(seed)
        effect, low, high = median_interval(gap, rng)
        better, alike, worse = bayes_signed_rank(gap, rng, rope=rope)
        rows.append(
            {
                "first": row["first"], "second": row["second"], "n": len(table),
                "effect": effect, "low": low, "high": high,
                "wins": int((gap < -rope).sum()), "ties": int((np.abs(gap) <= rope).sum()),
                "losses": int((gap > rope).sum()),
                "rank_sum_for": row["rank_sum_for"], "rank_sum_against": row["rank_sum_against"],
                "p": row["p"], "p_holm": row["p_holm"],
                "better": better, "alike": alike, "worse": worse,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def wilcoxon_holm(losses: pd.DataFrame) -> pd.DataFrame:
    """Wilcoxon's test of every pair, adjusted by Holm: ``first, second, rank_sum_for, rank_sum_against, p,
    p_holm``."""
    table = check_unit(losses)
    ranks = table.rank(axis=1).mean()
    order = sorted(table.columns, key=lambda name: (ranks[name], str(name)))
    pairs = list(combinations(order, 2))
    gaps = [relative_difference(table, first, second) for first, second in pairs]
    tests = _signed_ranks(np.array(gaps)) if pairs else []
    rows = [(*pair, support, against, p) for pair, (against, support, p) in zip(pairs, tests, strict=True)]
    result = pd.DataFrame(rows, columns=["first", "second", "rank_sum_for", "rank_sum_against", "p"])
    return result.assign(p_holm=holm(result["p"].to_numpy()))


def critical_difference(n_methods: int, n_datasets: int, level: float = LEVEL) -> float:
    """Nemenyi's critical difference of average ranks, q sqrt(k (k + 1) / 6 N).

    q is the studentised range for infinite degrees of freedom divided by sqrt(2), which is easily forgotten.

    >>> round(critical_difference(4, 14), 2), round(critical_difference(4, 14, 0.1), 2)
    (1.25, 1.12)
    """
    q = stats.studentized_range.ppf(1 - level, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_datasets)))


@dataclass(frozen=True)
class Power:
    """What a comparison of so many methods on so many data sets can show at all.

    Attributes
    ----------
    smallest_p
        The least p that Wilcoxon's two-sided test can give: every data set on one side.
    smallest_holm
        That p times the number of pairs, which the smallest of Holm's has to survive.
    needed
        Data sets from which on all-pairs Wilcoxon with Holm can reject at all.
    critical_difference
        Nemenyi's, in ranks; more than k - 1 can never be reached.
    """

    n_methods: int
    n_datasets: int
    smallest_p: float
    smallest_holm: float
    needed: int
    critical_difference: float

    @property
    def can_reject(self) -> bool:
        """Whether any pair could come out significant."""
        return self.smallest_holm <= LEVEL

    @property
    def can_separate(self) -> bool:
        """Whether any two average ranks could lie a critical difference apart."""
        return self.critical_difference < self.n_methods - 1

    def sentence(self) -> str:
        """The power in words."""
        head = (
            f"With {self.n_methods} methods on {self.n_datasets} data sets the smallest p that Wilcoxon's "
            f"test can give is {self.smallest_p:.2g}, {self.smallest_holm:.2g} after Holm"
        )
        if not self.can_reject:
            return f"{head}: no pair can be told apart at {LEVEL:g}; that takes {self.needed} data sets."
        return f"{head}; ranks must differ by {self.critical_difference:.2f} (Nemenyi) to count."


def power(n_methods: int, n_datasets: int) -> Power:
    """The power of comparing all pairs of `n_methods` on `n_datasets`.

    >>> [power(k, 10).needed for k in (5, 8, 12, 15)]
    [9, 11, 12, 13]
    """
    pairs = n_methods * (n_methods - 1) / 2
    needed = next(n for n in range(1, 100) if pairs * 2.0 ** (1 - n) <= LEVEL)
    smallest = min(1.0, 2.0 ** (1 - n_datasets))
    return Power(
        n_methods, n_datasets, smallest, min(1.0, pairs * smallest), needed,
        critical_difference(n_methods, n_datasets),
    )  # fmt: skip
