"""Which observed values go along with holes: signs that values are not missing by pure chance.

For each column with holes, rows where it is missing are set against rows where it is there, in what the other
columns hold. A number or date is compared by ranks, as in the test of Mann and Whitney: how often a row with
the hole has the higher value of two; a category by the level whose share differs most. What is found here
methods can make use of (values missing at random); what the missing values themselves do, no table shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.contrast import Floats, kind_of, numbers
from analysis.holes import Mask

LOOKED_AT = 50_000
"""Rows of a longer table that are looked at, drawn at random."""
DOUBT = 0.01
"""Probability that anything at all is found where holes come by pure chance, by Bonferroni's inequality."""
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
    looked_at = _rows(len(frame))
    kinds = [kind_of(role) for role in roles]
    n_compared = len(holed) * sum(LEVELS if kind == "category" else 1 for kind in kinds if kind)
    missing = mask[looked_at][:, list(holed)].astype(np.float64)
    found: list[Companion] = []
    for other, kind in enumerate(kinds):
        if not kind:
            continue
        sides = Sides.of(missing, ~mask[looked_at, other], n_compared)
        values = frame.iloc[looked_at, other][sides.there]
        clear = _by_level(values, sides) if kind == "category" else _by_rank(numbers(values, kind), sides)
        for place, level, there, elsewhere, strength in clear:
            if holed[place] != other:
                found.append(Companion(holed[place], other, level, there, elsewhere, strength))
    return sorted(found, key=lambda one: (-abs(one.strength), one.hole, one.other))


@dataclass(frozen=True)
class Sides:
    """Rows with each hole and rows without it, of those where the other column is there.

    Attributes
    ----------
    missing
        1 for a hole; shape (n_rows, n_holed).
    there
        Whether the other column has a value, shape (n_rows,).
    with_hole, without
        Rows on each side, shape (n_holed,).
    noise
        Difference of the sides' means, in standard deviations, that chance may explain, shape (n_holed,).
    enough
        Whether both sides have rows enough to be compared, shape (n_holed,).
    """

    missing: Floats
    there: NDArray[np.bool_]
    with_hole: Floats
    without: Floats
    noise: Floats
    enough: NDArray[np.bool_]

    @classmethod
    def of(cls, missing: Floats, there: NDArray[np.bool_], n_compared: int) -> Sides:
        """Count the sides; `n_compared` differences share :data:`DOUBT`."""
        with_hole = there.astype(np.float64) @ missing
        without = there.sum() - with_hole
        enough = np.minimum(with_hole, without) >= ENOUGH
        clear = NormalDist().inv_cdf(1 - DOUBT / 2 / max(n_compared, 1))
        noise = clear * np.sqrt(1 / np.maximum(with_hole, 1) + 1 / np.maximum(without, 1))
        return cls(missing, there, with_hole, without, noise, enough)

    def means(self, amounts: Floats) -> tuple[Floats, Floats]:
        """Mean of something known of each row that has a value, with and without each hole.

        Parameters
        ----------
        amounts : shape (..., n_there)

        Returns
        -------
        pair of arrays of shape (..., n_holed)
        """
        sums = amounts @ self.missing[self.there]
        rest = amounts.sum(axis=-1)[..., None] - sums
        return sums / np.maximum(self.with_hole, 1), rest / np.maximum(self.without, 1)


def _rows(n_rows: int) -> NDArray[np.intp]:
    """All rows, or as many as are looked at: drawn, since every so many may always be Mondays."""
    if n_rows <= LOOKED_AT:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(0).choice(n_rows, LOOKED_AT, replace=False))


Told = tuple[int, str | None, float, float, float]


def _by_rank(amounts: Floats, sides: Sides) -> Iterator[Told]:
    if np.isnan(amounts).any():
        return
    n = len(amounts)
    ranks: Floats = pd.Series(amounts).rank().to_numpy().astype(np.float64)
    with_hole, without = sides.means(ranks)
    gaps = with_hole - without
    noise = ranks.std() * sides.noise if n else 0.0
    for place in np.flatnonzero(sides.enough & (np.abs(gaps) > np.maximum(noise, LEAST * n))):
        inside = sides.missing[sides.there, place] > 0
        medians = np.median(amounts[inside]), np.median(amounts[~inside])
        yield int(place), None, float(medians[0]), float(medians[1]), float(gaps[place] / n)


def _by_level(values: pd.Series, sides: Sides) -> Iterator[Told]:
    counts = values.value_counts()
    levels = [level for level, count in counts.head(LEVELS).items() if count > 0]
    if not levels:
        return
    codes = np.asarray(pd.Categorical(values, categories=levels).codes)
    is_level = (codes == np.arange(len(levels))[:, None]).astype(np.float64)  # (n_levels, n_there)
    with_hole, without = sides.means(is_level)
    gaps, deviation = with_hole - without, is_level.std(axis=1)[:, None]
    excess = np.abs(gaps) - np.maximum(deviation * sides.noise, LEAST)
    clear = np.where(sides.enough & (excess > 0), np.abs(gaps), 0.0)
    for place in np.flatnonzero(clear.any(axis=0)):
        most = int(clear[:, place].argmax())
        shares = float(with_hole[most, place]), float(without[most, place])
        yield int(place), str(levels[most]), *shares, float(gaps[most, place] / 2)
