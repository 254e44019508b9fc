"""Which observed entries of a table to hide, so that they look like its own holes.

A row of the table lends its pattern of holes to another row, where it hides what is observed. Among a few
rows that could take a pattern, it goes to the one with the fewest holes of its own outside it: what is left
to see of that row is then what is left to see beside a real hole. Columns that are never missing are never
hidden.

Hidden so, entries are missing as the table's own are *given what is observed*. Where real values are missing
because of what they are (missing not at random), they are harder than these.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.sweep import RequestError

Mask = NDArray[np.bool_]
"""Shape (n_rows, n_columns); True is a hole."""

ASSUMPTION = (
    "Observed entries were hidden in the patterns of the table's own rows. This assumes that they are as "
    "hard to fill as the real holes; where values are missing because of what they are, those are harder."
)
SHARE = 0.1
"""Share of the observed entries of a column that a fold hides, at most: the more, the less is what methods
are fitted on like the table to be filled (`orchestrator.search.HIDE` has what was measured)."""
LEAST = 20
"""Entries of a column that a fold hides at least, where the share allows it and the column has a hole."""
TRIES = 16
"""Rows that compete for a pattern."""
MAX_ROUNDS = 8
"""How often a pattern whose row went to another one looks for a row again."""
MAX_PATTERNS = 20_000
"""Rows whose patterns are looked at, at most."""


class NothingToHideError(RequestError):
    """No observed entry can be hidden as the table's own holes are; the message says why."""


def pattern_bank(holes: Mask, rng: np.random.Generator) -> Mask:
    """The patterns that rows can be lent: those of the incomplete rows, at most :data:`MAX_PATTERNS` drawn.

    Parameters
    ----------
    holes
        Of the table that is to be filled.

    Raises
    ------
    NothingToHideError
        If there is no hole.
    """
    incomplete = np.flatnonzero(holes.any(axis=1))
    if incomplete.size == 0:
        raise NothingToHideError("the table has no hole: there is nothing to fill, and no pattern to hide by")
    if incomplete.size > MAX_PATTERNS:
        incomplete = np.sort(rng.choice(incomplete, MAX_PATTERNS, replace=False))
    return holes[incomplete]


def hide(holes: Mask, bank: Mask, rng: np.random.Generator, *, share: float = SHARE) -> Mask:
    """Draw the entries of a fold.

    Parameters
    ----------
    holes : shape (n_rows, n_columns)
        Of the rows at hand.
    bank : shape (n_patterns, n_columns)
        Of :func:`pattern_bank`; of these rows or of others.
    share
        Of the observed entries of each column, at most; one entry may be hidden in any case, but the last.

    Returns
    -------
    Mask
        Shape (n_rows, n_columns), True for an entry that is observed and now hidden.

    Raises
    ------
    NothingToHideError
        If no pattern hides an observed entry and leaves another in its column.

    Examples
    --------
    >>> holes = np.zeros((100, 3), dtype=bool)
    >>> holes[:5, 1:] = True  # where the second is missing, the third is missing
    >>> hidden = hide(holes, holes[:5], np.random.default_rng(0))
    >>> hidden.sum(axis=0).tolist(), bool((hidden & holes).any())
    ([0, 9, 9], False)
    """
    observed = (~holes).sum(axis=0)
    limit = np.minimum(np.maximum(np.floor(share * observed), 1), observed - 1)
    limit = np.where(bank.any(axis=0), np.maximum(limit, 0), 0).astype(np.int64)  # (n_columns,)
    draw = _Draw(holes, rng)
    draw.lend(bank[rng.integers(len(bank), size=_affordable(bank, len(holes), share))])
    for column in np.flatnonzero(limit).tolist():
        lacking = min(LEAST, int(limit[column])) - int(draw.hidden[:, column].sum())
        if lacking > 0:
            draw.lend(bank[rng.choice(np.flatnonzero(bank[:, column]), lacking)], column)
    hidden = draw.within(limit)
    if not hidden.any():
        raise NothingToHideError(
            f"of {len(holes)} rows none has an observed entry that could be hidden as the table's holes are: "
            "there is nothing to score methods on"
        )
    return hidden


def _affordable(bank: Mask, n_rows: int, share: float) -> int:
    """How many patterns may be lent until the first column is at its limit, if rows took them at random."""
    return min(n_rows, max(1, int(share * n_rows / bank.mean(axis=0).max())))


class _Draw:
    """Rows in a random order, each of which takes one pattern at most."""

    def __init__(self, holes: Mask, rng: np.random.Generator):
        self.holes = holes
        self.hidden = np.zeros_like(holes)
        self._free = np.ones(len(holes), dtype=bool)
        self._rng = rng

    def lend(self, patterns: Mask, column: int | None = None) -> None:
        """Give each pattern to one of the rows left, of those that have this column where it is named."""
        for _ in range(MAX_ROUNDS):
            free = np.flatnonzero(self._free if column is None else self._free & ~self.holes[:, column])
            if free.size == 0 or len(patterns) == 0:
                return
            rivals = self._rng.choice(free, (len(patterns), TRIES))
            misfit = self._misfit(rivals, patterns)
            best = misfit.argmin(axis=1)[:, None]
            chosen = np.take_along_axis(rivals, best, axis=1)[:, 0]
            fits = np.take_along_axis(misfit, best, axis=1)[:, 0] < _NO_FIT
            # of the patterns that want the same row the first one gets it, the others look again
            first = np.zeros(len(patterns), dtype=bool)
            first[np.unique(chosen, return_index=True)[1]] = True
            rows, settled = chosen[first & fits], first & fits
            self.hidden[rows] = patterns[settled] & ~self.holes[rows]
            self._free[rows] = False
            patterns = patterns[fits & ~first]

    def _misfit(self, rivals: NDArray[np.int64], patterns: Mask) -> NDArray[np.int64]:
        """Holes of each rival outside its pattern, shape of `rivals`; :data:`_NO_FIT` if it takes it not."""
        # in products, since (n_patterns, tries, n_columns) bools could be gigabytes
        misfit = np.empty(rivals.shape, dtype=np.int64)
        size, width = patterns.sum(axis=1), patterns.shape[1]
        for number, rows in enumerate(rivals.T):
            shared = (self.holes[rows] & patterns).sum(axis=1)
            outside = self.holes[rows].sum(axis=1) - shared
            nothing_new = shared == size
            blinded = (size + outside == width) & (size < width)
            misfit[:, number] = np.where(nothing_new | blinded, _NO_FIT, outside)
        return misfit

    def within(self, limit: NDArray[np.int64]) -> Mask:
        """The hidden entries of as many rows, in a random order, as keep every column within its limit."""
        hidden, left = self.hidden.copy(), limit.copy()
        for row in self._rng.permutation(np.flatnonzero(hidden.any(axis=1))):
            if (hidden[row] <= left).all():
                left -= hidden[row]
            else:
                hidden[row] = False
        return hidden


_NO_FIT = np.iinfo(np.int64).max
