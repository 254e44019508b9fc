"""Where a table's holes are: how many, in which rows, in which columns together.

Everything is counted in a few passes over a boolean mask, so a table of a million rows takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
"""Shape (n_rows, n_columns), True = missing."""

WORD = 31
"""Columns whose holes are packed into one integer, beside the number of the pattern so far."""
CHUNK = 65_536
"""Rows multiplied at a time when pairs of columns are counted."""


@dataclass(frozen=True)
class Patterns:
    """The distinct sets of columns that rows miss together.

    Attributes
    ----------
    members
        Shape (n_patterns, n_columns), True = missing; the most frequent first, then by first row.
    counts
        Rows of each pattern, shape (n_patterns,).
    """

    members: Mask
    counts: NDArray[np.int64]


def mask_of(frame: pd.DataFrame) -> Mask:
    """The mask of a table, laid out column by column.

    >>> mask_of(pd.DataFrame({"a": [1.0, None], "b": ["x", "y"]})).tolist()
    [[False, False], [True, False]]
    """
    mask = np.empty(frame.shape, dtype=bool, order="F")
    for position in range(frame.shape[1]):
        mask[:, position] = frame.iloc[:, position].isna()
    return mask


def patterns(mask: Mask) -> Patterns:
    """Every distinct row of a mask, with how often it occurs.

    >>> found = patterns(np.array([[True, False], [False, False], [False, False]]))
    >>> found.members.tolist(), found.counts.tolist()
    ([[False, False], [True, False]], [2, 1])
    """
    n_rows, n_columns = mask.shape
    codes = np.zeros(n_rows, dtype=np.int64)
    for start in range(0, n_columns, WORD):
        word = np.zeros(n_rows, dtype=np.int64)
        for offset in range(min(WORD, n_columns - start)):
            word |= mask[:, start + offset].astype(np.int64) << offset
        codes, _ = pd.factorize((codes << WORD) | word)
    counts = np.bincount(codes)
    first = np.empty(len(counts), dtype=np.int64)
    first[codes[::-1]] = np.arange(n_rows)[::-1]
    order = np.argsort(-counts, kind="stable")
    return Patterns(mask[first[order]], counts[order])


def bands(mask: Mask, n_bands: int) -> NDArray[np.float64]:
    """Share missing of each column in successive bands of rows, as equal in size as can be.

    Returns
    -------
    ndarray of shape (n_bands, n_columns)
        Fewer bands where there are fewer rows.

    >>> bands(np.array([[True], [True], [True], [False]]), 2).tolist()
    [[1.0], [0.5]]
    """
    edges = np.linspace(0, len(mask), min(n_bands, len(mask)) + 1).astype(np.int64)
    counts = [np.add.reduceat(column, edges[:-1], dtype=np.int64) for column in mask.T]
    return np.column_stack(counts) / np.diff(edges)[:, None]


def both(mask: Mask) -> NDArray[np.int64]:
    """Rows in which two columns are both missing, for each pair; shape (n_columns, n_columns)."""
    counts = np.zeros((mask.shape[1],) * 2, dtype=np.int64)
    for start in range(0, len(mask), CHUNK):
        part = mask[start : start + CHUNK].astype(np.float32)  # exact: CHUNK < 2**24
        counts += (part.T @ part).astype(np.int64)
    return counts


def correlation(together: NDArray[np.int64], n_rows: int) -> NDArray[np.float64]:
    """Correlation of two columns' holes (phi), from `both`; NaN where a column misses none or all.

    >>> correlation(np.array([[2, 2], [2, 2]]), 4).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    share = together / n_rows
    rate = np.diag(share)
    spread = np.sqrt(rate * (1 - rate))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (share - np.outer(rate, rate)) / np.outer(spread, spread)
