"""The user's table as imputers see it, and the way back.

>>> table = pd.DataFrame({"age": [31, None, 25, 47] * 3, "town": ["X", "Y", None, "X"] * 3})
>>> prepared = prepare(table)
>>> prepared.frame.dtypes.astype(str).to_dict()
{'age': 'float64', 'town': 'category'}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.impute.coding import Coder
from orchestrator.impute.missing import Missing, listed
from orchestrator.impute.roles import Column, Role, check_overrides, understand_column, unique_names
from orchestrator.impute.seeing import see
from orchestrator.impute.textual import Content
from orchestrator.sweep import RequestError

Fills = Mapping[str, NDArray]
"""For each column, what fills its holes from top to bottom: codes, numbers or days; see `Coder.settle`."""


@dataclass(frozen=True)
class Recipe:
    """What was learned of the columns of one table, to prepare others alike."""

    coders: tuple[Coder, ...]
    """Of the columns that imputers see, in their order."""

    def apply(self, table: pd.DataFrame, missing: Missing | None = None) -> Prepared:
        """Prepare another table, whose columns may stand in another order, with others between them.

        Raises
        ------
        RequestError
            If a column is lacking or holds something else.
        """
        missing = missing or Missing()
        names = unique_names(table.columns)
        lacking = [coder.name for coder in self.coders if coder.name not in names]
        if lacking:
            raise RequestError(
                f"the table lacks {listed(lacking)}, which the imputer knows; it has {listed(names)}"
            )
        coders = {coder.name: coder for coder in self.coders}
        columns, views = [], {}
        for place, name in enumerate(names):
            content = see(table.iloc[:, place], name, missing)
            coder, n_missing = coders.get(name), int(content.holes.sum())
            if coder:
                content = coder.view(content)
                views[name] = _View(place, coder, content)
                columns.append(
                    Column(name, coder.role, "as the imputer knows it", n_missing, content.markers)
                )
            else:
                reason = "the imputer does not know it"
                columns.append(Column(name, Role.TEXT, reason, n_missing, content.markers))
        return _assemble(table, columns, {coder.name: views[coder.name] for coder in self.coders}, self)


@dataclass(frozen=True)
class _View:
    place: int
    coder: Coder
    content: Content


@dataclass(frozen=True)
class Prepared:
    """A table, and what imputers see of it."""

    table: pd.DataFrame
    """As the user gave it, shape (n_rows, n_columns)."""
    columns: Sequence[Column]
    """Of all columns of the table."""
    frame: pd.DataFrame
    """What imputers see, shape (n_rows, n_used): float64 and `category` columns, holes NaN."""
    recipe: Recipe
    views: Mapping[str, _View]

    def found(self, markers: Mapping[str, Mapping[str, int]]) -> Prepared:
        """With what stood for a hole where it was read from: column name to marker to how often."""
        columns = [
            replace(column, markers={**markers.get(column.name, {}), **column.markers})
            for column in self.columns
        ]
        return replace(self, columns=columns)

    @property
    def names(self) -> list[str]:
        """Of all columns of the table, told apart."""
        return [column.name for column in self.columns]

    @property
    def n_holes(self) -> int:
        """Entries that an imputer would fill."""
        return sum(column.n_missing for column in self.columns if column.used)

    def holes(self, name: str) -> NDArray[np.bool_]:
        """Where a column that imputers see is missing, shape (n_rows,)."""
        return self.views[name].content.holes

    def place(self, name: str) -> int:
        """Where a column that imputers see stands in the table."""
        return self.views[name].place

    def take(self, filled: pd.DataFrame, only: Collection[str] | None = None) -> Fills:
        """The fills of an imputed `frame`, of all columns with holes or of those in `only`."""
        return {
            name: view.coder.settle(filled.loc[view.content.holes, name])
            for name, view in self.views.items()
            if view.content.holes.any() and (only is None or name in only)
        }

    def decode(self, name: str, fills: NDArray) -> pd.Series:
        """Fills of a column as the user would write them."""
        view = self.views[name]
        series = self.table.iloc[:, view.place]
        return pd.Series(view.coder.decode(fills, series, view.content))

    def put(self, fills: Fills) -> pd.DataFrame:
        """The user's table with these fills: dtypes, order, index and observed values as they were."""
        filled = {}
        for name, values in fills.items():
            view = self.views[name]
            series = self.table.iloc[:, view.place]
            filled[view.place] = _put(series, view, view.coder.decode(values, series, view.content))
        whole = [filled.get(place, self.table.iloc[:, place]) for place in range(self.table.shape[1])]
        result = pd.concat(whole, axis=1) if whole else self.table.copy()
        result.columns = self.table.columns
        result.attrs = dict(self.table.attrs)
        return result

    def with_holes(self) -> pd.DataFrame:
        """The user's table with null wherever something stood for a hole."""
        result = self.table.copy(deep=False)
        result.columns = [column.name for column in self.columns]
        for name, view in self.views.items():
            if self.columns[view.place].markers:
                result[name] = result[name].mask(view.content.holes)
        return result


def prepare(
    table: pd.DataFrame,
    kinds: Mapping[str, str] | str | None = None,
    missing: Missing | None = None,
) -> Prepared:
    """Learn the columns of a table and prepare it.

    Parameters
    ----------
    table : DataFrame, shape (n_rows, n_columns)
        Any dtypes, index and labels.
    kinds
        Roles that the user knows better; see :func:`orchestrator.impute.roles.infer`.
    missing
        What stands for a hole besides null.

    Raises
    ------
    RequestError
        If the table is empty or an override is wrong.
    """
    if not len(table) or not table.shape[1]:
        raise RequestError(f"the table is empty: {table.shape[0]} rows and {table.shape[1]} columns")
    missing = missing or Missing()
    names = unique_names(table.columns)
    overrides = check_overrides(kinds, names)
    missing.refuse_unknown(names)
    columns, views = [], {}
    for place, name in enumerate(names):
        column, content = understand_column(table.iloc[:, place], name, missing, overrides.get(name, ""))
        columns.append(column)
        if column.used:
            views[name] = _View(place, Coder.learn(column, content), content)
    recipe = Recipe(tuple(view.coder for view in views.values()))
    return _assemble(table, columns, views, recipe)


def _assemble(
    table: pd.DataFrame, columns: Sequence[Column], views: Mapping[str, _View], recipe: Recipe
) -> Prepared:
    frame = pd.DataFrame({name: view.coder.encode(view.content) for name, view in views.items()}, copy=False)
    return Prepared(table, columns, frame, recipe, views)


def _put(series: pd.Series, view: _View, values: Any) -> pd.Series:
    """`series` with `values` at its holes."""
    if isinstance(series.dtype, pd.SparseDtype):
        dense = pd.Series(np.asarray(series), index=series.index)
        return _put(dense, view, values).astype(series.dtype)
    if isinstance(series.dtype, pd.CategoricalDtype):  # which may not have the levels of another table
        more = [level for level in dict.fromkeys(values) if level not in series.cat.categories]
        series = series.cat.add_categories(more) if more else series
    array = series.array.copy()
    array[view.content.holes] = values
    plain = array.to_numpy() if isinstance(series.dtype, np.dtype) else array
    return pd.Series(plain, index=series.index, dtype=plain.dtype)
