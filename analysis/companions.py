"""Which observed values go along with holes: signs that values are not missing by pure chance.

For each column with holes, rows where it is missing are set against rows where it is there, in what the other
columns hold. A number or date is compared by ranks, as in the test of Mann and Whitney: how often a row with
the hole has the higher value of two; a category by the level whose share differs most. What is found here
methods can make use of (values missing at random); what the missing values themselves do, no table shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from analysis.contrast import kind_of, numbers
from analysis.holes import Mask

LOOKED_AT = 50_000
"""Rows of a longer table that are looked at: every so many."""
CLEAR = 4.0
"""Standard errors by which a difference must exceed none; there are many pairs of columns."""
LEAST = 0.05
"""Differences of two shares, or from a half of how often a value is the higher, that are worth a word."""
ENOUGH = 20
"""Rows on either side, at least."""
LEVELS = 20
"""Categories of a column that are looked at, the most frequent ones."""


@dataclass(frozen=True)
class Companion:
    """One column that differs where another is missing.

    Attributes
    ----------
    hole, other
        Positions of the column with holes and of the one that differs.
    level
        Of a category, the one whose share differs most; None for a number or date.
    there, elsewhere
        Median, or share of the level, where the hole is and where it is not; of a date in nanoseconds.
    strength
        From -0.5 to 0.5: how much more often than not a row with the hole has the higher value; half the
        difference of the shares of a level.
    """

    hole: int
    other: int
    level: str | None
    there: float
    elsewhere: float
    strength: float


def companions(
    frame: pd.DataFrame, roles: Sequence[str], mask: Mask, holed: Sequence[int]
) -> list[Companion]:
    """Differences that are clear and large enough for a word, the strongest first.

    Parameters
    ----------
    frame
        The table with its holes, shape (n_rows, n_columns).
    roles
        Of its columns; text, identifiers, constants and empty columns are not looked at.
    mask
        Its holes, of the same shape.
    holed
        Positions of the columns whose holes to look at.
    """
    step = max(1, len(frame) // LOOKED_AT)
    missing = mask[::step][:, list(holed)]
    found = []
    for other, role in enumerate(roles):
        kind = kind_of(role)
        if not kind:
            continue
        series, there = frame.iloc[::step, other], ~mask[::step, other]
        look = _levels if kind == "category" else _ranks
        found += list(look(series[there], kind, missing[there], holed, other))
    return sorted(found, key=lambda one: (-abs(one.strength), one.hole, one.other))


def _ranks(
    values: pd.Series, kind: str, missing: Mask, holed: Sequence[int], other: int
) -> Iterator[Companion]:
    amounts = numbers(values, kind)
    if len(amounts) < 2 * ENOUGH or np.isnan(amounts).any():
        return
    n, ranks = len(amounts), rankdata(amounts)
    deviation = ranks.std()
    with_hole = missing.sum(axis=0)
    for place, hole in enumerate(holed):
        n_there = int(with_hole[place])
        n_elsewhere = n - n_there
        if hole == other or min(n_there, n_elsewhere) < ENOUGH or deviation == 0:
            continue
        inside = missing[:, place]
        sum_there = ranks[inside].sum()
        gap = sum_there / n_there - (ranks.sum() - sum_there) / n_elsewhere
        if abs(gap) < CLEAR * deviation * np.sqrt(1 / n_there + 1 / n_elsewhere) or abs(gap) < LEAST * n:
            continue
        medians = np.median(amounts[inside]), np.median(amounts[~inside])
        yield Companion(hole, other, None, float(medians[0]), float(medians[1]), float(gap / n))


def _levels(
    values: pd.Series, kind: str, missing: Mask, holed: Sequence[int], other: int
) -> Iterator[Companion]:
    if len(values) < 2 * ENOUGH:
        return
    counts = values.value_counts()
    levels = [level for level, count in counts.head(LEVELS).items() if count > 0]
    codes = pd.Categorical(values, categories=levels).codes
    for place, hole in enumerate(holed):
        inside = missing[:, place]
        n_there, n_elsewhere = int(inside.sum()), int((~inside).sum())
        if hole == other or min(n_there, n_elsewhere) < ENOUGH:
            continue
        there, elsewhere = (_level_shares(codes[part], len(levels)) for part in (inside, ~inside))
        gaps = there - elsewhere
        most = int(np.argmax(np.abs(gaps)))
        share = (there[most] * n_there + elsewhere[most] * n_elsewhere) / len(values)
        noise = np.sqrt(share * (1 - share) * (1 / n_there + 1 / n_elsewhere))
        if abs(gaps[most]) >= max(CLEAR * noise, LEAST):
            level, both = str(levels[most]), (float(there[most]), float(elsewhere[most]))
            yield Companion(hole, other, level, *both, float(gaps[most] / 2))


def _level_shares(codes: NDArray[np.integer], n_levels: int) -> NDArray[np.float64]:
    return np.bincount(codes[codes >= 0], minlength=n_levels) / len(codes)
