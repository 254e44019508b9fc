"""What a column's filled values look like beside its observed ones: shares in common bins, means, spreads."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 24
"""Bins of a number that takes more values than this."""
LEVELS = 8
"""Categories shown by themselves; the others are added up."""
TAIL = 0.005
"""Share of the observed values beyond either end of a picture, counted in its last bins."""
LOOKED_AT = 200_000
"""Observed values that bounds are taken from: every so many of a longer column."""
FEW = 20
"""Up to so many filled numbers are drawn one by one."""
OTHERS = "all others"


@dataclass(frozen=True)
class Contrast:
    """Observed against filled values of one column.

    Attributes
    ----------
    kind
        ``"number"``, ``"date"`` (nanoseconds since 1970, UTC) or ``"category"``.
    n_observed, n_filled
        Values of either kind.
    edges
        Bounds of the bins, shape (n_bins + 1,); empty for a category.
    labels
        Categories in place of bins, the most frequent observed first; empty for a number.
    observed, filled
        Share in each bin, shape (n_bins,); zeros where there is no value of that kind.
    few
        The filled values themselves where there are too few for bins; else empty.
    means, deviations
        Mean and standard deviation, observed and filled; NaN for a category or where there is no value.
    clipped
        Whether values beyond the bounds stand in the last bins.
    """

    name: str
    kind: str
    n_observed: int
    n_filled: int
    edges: Floats
    labels: Sequence[str]
    observed: Floats
    filled: Floats
    few: Floats
    means: tuple[float, float] = (np.nan, np.nan)
    deviations: tuple[float, float] = (np.nan, np.nan)
    clipped: bool = False

    @property
    def shift(self) -> float:
        """Mean of the filled minus mean of the observed values, in standard deviations of the observed."""
        deviation = self.deviations[0]
        return (self.means[1] - self.means[0]) / deviation if deviation > 0 else np.nan

    @property
    def narrowing(self) -> float:
        """Standard deviation of the filled values divided by that of the observed."""
        return self.deviations[1] / self.deviations[0] if self.deviations[0] > 0 else np.nan

    @property
    def distance(self) -> float:
        """Total variation between the two shares: 0 for equal ones, 1 for ones that never meet."""
        if not self.n_observed or not self.n_filled:
            return np.nan
        return float(np.abs(self.observed - self.filled).sum() / 2)


def contrast(name: str, role: str, before: pd.Series, after: pd.Series) -> Contrast | None:
    """Set a column's filled values against its observed ones; None where nothing of it was filled.

    Parameters
    ----------
    name, role
        Of the column, the role as `Story.columns` has it.
    before, after
        With its holes and filled, shape (n_rows,).
    """
    holes = before.isna().to_numpy()
    filled = holes & after.notna().to_numpy()
    if not filled.any():
        return None
    kind = kind_of(role) or "category"
    if kind == "category":
        return _categories(name, before[~holes], after[filled])
    observed, new = (numbers(part, kind) for part in (before[~holes], after[filled]))
    if np.isnan(new).any() or np.isnan(observed).any():  # not what the role promised: words, then
        return _categories(name, before[~holes], after[filled])
    return _continuous(name, kind, observed, new, whole=role == "integer")


def kind_of(role: str) -> str:
    """How values of a role are compared: ``number``, ``date``, ``category``, or "" where they are not.

    >>> kind_of("integer"), kind_of("text")
    ('number', '')
    """
    kinds = {"numeric": "number", "integer": "number", "date": "date"}
    return kinds.get(role, "category" if role in ("boolean", "category") else "")


def _continuous(name: str, kind: str, observed: Floats, filled: Floats, *, whole: bool) -> Contrast:
    edges = _edges(observed, filled, whole=whole)
    everything = (observed.min(initial=np.inf), filled.min(), observed.max(initial=-np.inf), filled.max())
    return Contrast(
        name=name,
        kind=kind,
        n_observed=len(observed),
        n_filled=len(filled),
        edges=edges,
        labels=(),
        observed=_shares(observed, edges),
        filled=_shares(filled, edges),
        few=np.sort(filled) if len(filled) <= FEW else np.empty(0),
        means=(observed.mean() if len(observed) else np.nan, filled.mean()),
        deviations=(observed.std() if len(observed) else np.nan, filled.std()),
        clipped=bool(min(everything[:2]) < edges[0] or max(everything[2:]) > edges[-1]),
    )


def _edges(observed: Floats, filled: Floats, *, whole: bool) -> Floats:
    """Bins over the bulk of both: one a value for few whole numbers, else of equal width."""
    bounds = [_bounds(values) for values in (observed, filled) if len(values)]
    low, high = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)
    if whole:
        width = max(1.0, np.ceil((high - low + 1) / BINS))
        return np.arange(low, high + width + 0.5, width) - 0.5
    if not high > low:
        reach = abs(low) * 0.01 or 0.5
        return np.array([low - reach, low + reach])
    return np.linspace(low, high, BINS + 1)


def _bounds(values: Floats) -> tuple[float, float]:
    part = np.sort(values[:: max(1, len(values) // LOOKED_AT)])
    out = int(TAIL * len(part))
    return float(part[out]), float(part[len(part) - 1 - out])


def _shares(values: Floats, edges: Floats) -> Floats:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counts / max(len(values), 1)


def _categories(name: str, before: pd.Series, after: pd.Series) -> Contrast:
    observed, filled = (_counts(part) for part in (before, after))
    levels = sorted(
        set(observed.index) | set(filled.index),
        key=lambda level: (-observed.get(level, 0), -filled.get(level, 0), level),
    )
    shown, rest = (levels[:LEVELS], levels[LEVELS:]) if len(levels) > LEVELS + 1 else (levels, [])
    counts = [
        np.array([*part.reindex(shown, fill_value=0), *([part.reindex(rest).sum()] if rest else [])], float)
        for part in (observed, filled)
    ]
    return Contrast(
        name=name,
        kind="category",
        n_observed=len(before),
        n_filled=len(after),
        edges=np.empty(0),
        labels=[*shown, *([f"{OTHERS} ({len(rest)})"] if rest else [])],
        observed=counts[0] / max(len(before), 1),
        filled=counts[1] / max(len(after), 1),
        few=np.empty(0),
    )


def _counts(values: pd.Series) -> pd.Series:
    """How often each value occurs, by its text; values of equal text are one."""
    counts = values.value_counts()
    return counts.groupby(counts.index.astype(str)).sum()


def numbers(values: pd.Series, kind: str) -> Floats:
    """A column as numbers whatever its dtype, dates as nanoseconds, durations as seconds; NaN for others."""
    if kind == "date":
        return dates(values)
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        return values.dt.total_seconds().to_numpy(dtype=float)
    return pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def dates(values: pd.Series) -> Floats:
    """Dates, or texts of dates, as nanoseconds since 1970 in UTC; NaN for what is none.

    >>> dates(pd.Series(["1970-01-01 00:00:01", "?"])).tolist()
    [1000000000.0, nan]
    >>> dates(pd.Series(["02/01/1970", "13/01/1970"])).tolist()
    [86400000000000.0, 1036800000000000.0]
    """
    codes, distinct = pd.factorize(values)  # a date is often there many times, and reading one is slow
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # "could not infer format", "dayfirst"
        times = pd.Series(pd.to_datetime(distinct, errors="coerce", utc=True))
        if times.isna().any():
            day_first = pd.Series(pd.to_datetime(distinct, errors="coerce", utc=True, dayfirst=True))
            times = min(times, day_first, key=lambda read: read.isna().sum())
    numbers = np.where(times.isna(), np.nan, times.astype("datetime64[ns, UTC]").astype("int64"))
    return np.append(numbers, np.nan)[codes]
