"""How well hidden entries were filled: column by column, so that numbers and categories add up.

Each metric is a mean over columns of what an entry of the column was missed by; a column counts by the holes
that it really has, however many of its entries were hidden. A bootstrap over rows and folds, the same draws
for every candidate, says how far a comparison can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from orchestrator.impute.hiding import Mask

Floats = NDArray[np.float64]

DRAWS = 1000
"""Resamples of the bootstrap."""
_CHUNK = 100
PRIOR = 10.0
"""Entries by which a column's floor leans on all that is observed: a rare category may be hidden nowhere."""


@dataclass(frozen=True)
class Metric:
    """A loss over columns, in words and in numbers."""

    title: str
    kinds: tuple[str, ...] = ("numeric", "category")
    power: int = 1
    """Of an entry's distance; its root is taken of the mean over columns."""
    relative: bool = False
    """Whether a column's mean is divided by that of column means and modes on the same entries."""


METRICS = {
    "error": Metric("error relative to that of column means and modes, all columns", relative=True),
    "mae": Metric("mean absolute error in standard deviations, numeric columns", kinds=("numeric",)),
    "rmse": Metric("root mean square error in standard deviations, numeric columns", ("numeric",), power=2),
    "accuracy": Metric("share of wrong categories, categorical columns", ("category",)),
}


@dataclass(frozen=True)
class Columns:
    """What the scores need to know of the columns of the table to be filled, each of shape (n_columns,)."""

    category: NDArray[np.bool_]
    scale: Floats
    """Standard deviation of what is observed of a numeric column; 1 for a constant and for a category."""
    center: Floats
    """Mean of a numeric column; code of the most frequent category."""
    spread: Floats
    """Mean distance of the observed entries from `center`, as :func:`distance` has it."""
    holes: NDArray[np.int64]
    """How many holes each column has: its weight."""

    @classmethod
    def of(cls, frame: pd.DataFrame, holes: Mask) -> Columns:
        """From a table of float and ``category`` columns; `holes` are those that are to be filled."""
        category = _categories(frame)
        scale, center = np.ones(frame.shape[1]), np.zeros(frame.shape[1])
        spread = np.zeros(frame.shape[1])
        for number, is_category in enumerate(category):
            values = numbers(frame.iloc[:, number])
            values = values[~np.isnan(values)]
            if values.size == 0:
                continue
            if is_category:
                center[number] = np.bincount(values.astype(np.int64)).argmax()
                spread[number] = np.mean(values != center[number])
            else:
                center[number] = values.mean()
                scale[number] = values.std() or 1.0
                spread[number] = np.abs(values - center[number]).mean() / scale[number]
        return cls(category, scale, center, spread, holes.sum(axis=0))

    def distance(self, truth: Floats, filled: Floats, column: NDArray[np.intp]) -> Floats:
        """Of filled entries from the truth: standard deviations; for a category 0 if it is right, else 1."""
        apart = np.abs(filled - truth) / self.scale[column]
        return np.where(self.category[column], (truth != filled).astype(np.float64), apart)

    def of_kind(self, metric: Metric) -> NDArray[np.bool_]:
        """Which columns the metric looks at."""
        return np.where(self.category, "category" in metric.kinds, "numeric" in metric.kinds).astype(bool)


def numbers(series: pd.Series) -> Floats:
    """A column as floats: category codes for categories; NaN where missing."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes = series.cat.codes.to_numpy()
        return np.where(codes < 0, np.nan, codes.astype(np.float64))
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


@dataclass(frozen=True)
class Fold:
    """Hidden entries with their truth; entries are in the order of ``numpy.nonzero(mask)``."""

    row: NDArray[np.intp]
    """Of each hidden entry, shape (n_entries,)."""
    column: NDArray[np.intp]
    truth: Floats
    """Numbers and category codes."""
    constant: Floats
    """What the mean or the mode of what is left of the column makes of it."""

    @classmethod
    def of(cls, frame: pd.DataFrame, mask: Mask) -> Fold:
        """From the rows at hand and what is hidden of them."""
        row, column = np.nonzero(mask)
        category, center = _categories(frame), np.full(frame.shape[1], np.nan)
        truth = np.empty(row.size)
        for number, at in _grouped(column):
            values = numbers(frame.iloc[:, number])
            left = values[~mask[:, number] & ~np.isnan(values)]
            truth[at] = values[row[at]]
            if category[number]:
                center[number] = np.bincount(left.astype(np.int64)).argmax()
            else:
                center[number] = left.mean()
        return cls(row, column, truth, center[column])


def _categories(frame: pd.DataFrame) -> NDArray[np.bool_]:
    return np.array([isinstance(dtype, pd.CategoricalDtype) for dtype in frame.dtypes])


def _grouped(column: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each column that there is, and the places of its entries."""
    order = np.argsort(column, kind="stable")
    there, starts = np.unique(column[order], return_index=True)
    return zip(there.tolist(), np.split(order, starts[1:]), strict=True)


def pick(filled: pd.DataFrame, row: NDArray[np.intp], column: NDArray[np.intp]) -> Floats:
    """Entries of a table as numbers and category codes, shape of `row`."""
    values = np.empty(row.size)
    for number, at in _grouped(column):
        values[at] = numbers(filled.iloc[:, number])[row[at]]
    return values


class Board:
    """Candidates on the same folds of the same rows.

    Parameters
    ----------
    columns
        Of the whole table.
    folds
        What was hidden.
    losses
        Candidate -> its :meth:`Columns.distance` on each fold, shape (n_entries,) each.
    """

    def __init__(self, columns: Columns, folds: Sequence[Fold], losses: Mapping[str, Sequence[Floats]]):
        self.columns, self.folds = columns, folds
        self._losses = {name: np.concatenate(each) for name, each in losses.items()}
        self._column = np.concatenate([fold.column for fold in folds])

    @property
    def n_entries(self) -> int:
        """Entries scored, of all folds together."""
        return self._column.size

    @cached_property
    def floor(self) -> Floats:
        """Mean loss of column means and modes, shape (n_columns,)."""
        constants = [self.columns.distance(fold.truth, fold.constant, fold.column) for fold in self.folds]
        counts = self._by_column(np.ones(self.n_entries))
        return (self._by_column(np.concatenate(constants)) + PRIOR * self.columns.spread) / (counts + PRIOR)

    def value(self, name: str, metric: str) -> float | None:
        """A metric's loss for a candidate; None where it looks at no column that was hidden."""
        chosen = METRICS[metric]
        sums = self._by_column(self._losses[name] ** chosen.power)
        value = float(self._combine(sums, self._by_column(np.ones(self.n_entries)), chosen))
        return None if np.isnan(value) else value

    def resampled(self, names: Sequence[str], metric: str, rng: np.random.Generator) -> Floats:
        """The metric of each candidate on each resample of rows and of folds, shape (n_names, DRAWS).

        Rows are drawn whole, over all folds and columns, with Poisson weights; folds with replacement,
        independently of the rows. The same draws serve every candidate, so that differences are paired.
        """
        chosen, n_folds = METRICS[metric], len(self.folds)
        fold = np.repeat(np.arange(n_folds), [fold.row.size for fold in self.folds])
        row = np.unique(np.concatenate([fold.row for fold in self.folds]), return_inverse=True)[1]
        n_rows, width = int(row.max()) + 1, self.columns.scale.size

        def by_row(values: Floats) -> csr_array:
            """Shape (n_folds * n_rows, n_columns)."""
            return csr_array((values, (fold * n_rows + row, self._column)), shape=(n_folds * n_rows, width))

        ones = by_row(np.ones(self.n_entries))
        losses = [by_row(self._losses[name] ** chosen.power) for name in names]
        result = np.empty((len(names), DRAWS))
        for start in range(0, DRAWS, _CHUNK):
            rows = rng.poisson(1.0, (_CHUNK, 1, n_rows))
            folds = rng.multinomial(n_folds, np.full(n_folds, 1 / n_folds), _CHUNK)
            weight = (rows * folds[:, :, None]).reshape(_CHUNK, -1).astype(np.float64)
            counts = weight @ ones  # (_CHUNK, n_columns)
            for number, each in enumerate(losses):
                result[number, start : start + _CHUNK] = self._combine(weight @ each, counts, chosen)
        return result

    def _by_column(self, values: Floats) -> Floats:
        """Sums over entries, shape (n_columns,)."""
        return np.asarray(np.bincount(self._column, values, self.columns.scale.size), dtype=np.float64)

    def _combine(self, sums: Floats, counts: Floats, metric: Metric) -> Floats:
        """The metric, (...), from sums of losses and counts of entries, (..., n_columns); NaN without any."""
        floor = self.floor if metric.relative else np.ones_like(self.floor)
        counts_for = (counts > 0) & (floor > 0) & self.columns.of_kind(metric)
        weight = np.where(counts_for, self.columns.holes, 0.0)
        mean = sums / np.where(counts_for, counts * floor, 1.0)
        total = weight.sum(axis=-1)
        combined = (weight * mean).sum(axis=-1) / np.where(total > 0, total, np.nan)
        return np.asarray(combined ** (1 / metric.power))
