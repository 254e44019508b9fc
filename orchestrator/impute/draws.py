"""Multiple imputations: each as a table, and how far the draws of an entry lie apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import pandas as pd

from orchestrator.impute.coding import CATEGORIES, DAY
from orchestrator.impute.prepared import Fills, Prepared
from orchestrator.impute.roles import Role

INTERVAL = (0.05, 0.95)
"""Quantiles of the draws that are told as `low` and `high`."""


class Samples(Sequence[pd.DataFrame]):
    """Filled tables, one for each draw, made when they are asked for."""

    def __init__(self, prepared: Prepared, draws: Sequence[Fills]):
        self._prepared = prepared
        self._draws = draws

    def __len__(self) -> int:
        return len(self._draws)

    @overload
    def __getitem__(self, which: int) -> pd.DataFrame: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[pd.DataFrame]: ...
    def __getitem__(self, which: int | slice) -> pd.DataFrame | Sequence[pd.DataFrame]:
        if isinstance(which, slice):
            return Samples(self._prepared, self._draws[which])
        return self._prepared.put(self._draws[which])

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return (self[number] for number in range(len(self)))

    def long(self, name: str = "imputation") -> pd.DataFrame:
        """All tables on top of each other, numbered from 1 in a first column."""
        tables = []
        for number, table in enumerate(self, 1):
            table.insert(0, name, number)
            tables.append(table)
        return pd.concat(tables)


def spread_table(prepared: Prepared, fills: Fills, draws: Sequence[Fills]) -> pd.DataFrame:
    """How far the draws of each filled entry lie apart.

    Returns
    -------
    DataFrame
        One row a filled entry: ``row`` (index label), ``column``, ``value`` (what fills it), ``spread``,
        ``low`` and ``high``, in the column's own units. Of a number: standard deviation, 5 % and 95 %
        quantile of the draws. Of a date: the same, the standard deviation in days. Of a category: the share
        of draws that disagree with the value; no quantiles.
    """
    parts = []
    for name, values in fills.items():
        coder = prepared.views[name].coder
        drawn = np.stack([one[name] for one in draws])  # (n_draws, n_holes)
        low = high = spread = np.full(len(values), np.nan)
        if coder.role in CATEGORIES:
            spread = (drawn != values).mean(axis=0)
        else:
            low, high = np.quantile(drawn, INTERVAL, axis=0)
            if coder.role is Role.DATE:
                low, high = _as_date(low), _as_date(high)
            if len(draws) > 1:
                spread = drawn.std(axis=0, ddof=1)
        rows = np.flatnonzero(prepared.holes(name))
        names = np.full(len(values), name, dtype=object)
        parts.append((rows, names, prepared.decode(name, values).to_numpy(dtype=object), spread, low, high))
    columns = ("row", "column", "value", "spread", "low", "high")
    if not parts:
        return pd.DataFrame(columns=columns)
    table = dict(zip(columns, map(np.concatenate, zip(*parts, strict=True)), strict=True))
    return pd.DataFrame({**table, "row": prepared.table.index[table["row"]]})


def _as_date(days: np.ndarray) -> np.ndarray:
    return pd.DatetimeIndex((days * DAY).astype(np.int64).view("datetime64[ns]")).to_numpy(dtype=object)
