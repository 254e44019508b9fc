"""Tables with holes to standardised float matrices, and back.

Numeric columns are standardised with the mean and standard deviation of their *observed* entries. A
categorical column becomes one 0/1 column if it has two categories, else one-hot or analog bits (Chen, Zhang,
Hinton 2023, "Analog Bits"); decoding takes the category whose code is nearest. One-hot and bits have variance
1 in each code, so that a column of 40 categories weighs as much as 40 numeric ones, most of it in the rare
categories; "joint" is one-hot with variance 1 in all codes together, and the column weighs as much as one.
Numbers far out may be drawn in (`tails`): a network that is taught by squared errors otherwise learns little
but the few rows at 50 standard deviations that some columns have.
Columns with fewer than two distinct observed values carry nothing to learn from: they stay out of the matrix
and their holes get that one value (or, with nothing observed at all, :data:`CONSTANTS`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST_BEYOND = np.log1p(1e12)
"""What :func:`draw_out` takes no further: a network that runs off must not overflow."""

Kind = Literal["numeric", "categorical"]
CategoryCode = Literal["onehot", "joint", "bits"]

CONSTANTS: dict[str, Any] = {"numeric": 0, "boolean": False, "text": "missing"}
"""What fills a column in which nothing is observed (a ``category`` column gets its first category)."""


@dataclass(frozen=True)
class Column:
    """How one column of the table stands in the matrix."""

    name: Hashable
    kind: Kind
    categories: tuple[Any, ...]
    """The observed categories, in code order; empty for a numeric column."""
    codebook: NDArray[np.float64]
    """Code of each category, shape (n_categories, width), before standardising; (0, 1) if numeric."""
    center: NDArray[np.float64]
    """Mean of each encoded column, shape (width,)."""
    scale: NDArray[np.float64]
    """Standard deviation of each encoded column, shape (width,)."""
    constant: Any
    """The fill of a column that is left out of the matrix; None for one that is in it."""
    slice: slice
    """Its columns in the matrix; empty if left out."""
    reach: tuple[float, float] = (-math.inf, math.inf)
    """Least and greatest observed value of a numeric column, standardised."""

    @property
    def encoded(self) -> bool:
        return self.slice.stop > self.slice.start


class TableEncoder:
    """Learn the columns of a table and convert it.

    Parameters
    ----------
    categories : {"onehot", "joint", "bits"}
        The code of a column with three or more categories.
    standardize : bool
        False leaves numeric columns in their own units (for a table that was standardised before).
    tails : float, optional
        Numbers beyond so many standard deviations stand in the matrix by the logarithm of what is beyond
        (:func:`draw_in`), and what an imputer says of them is drawn out again, no further than was observed.
    """

    def __init__(
        self, *, categories: CategoryCode = "onehot", standardize: bool = True, tails: float | None = None
    ):
        if categories not in get_args(CategoryCode):
            raise ValueError(f"{categories=} is none of {', '.join(map(repr, get_args(CategoryCode)))}")
        self.categories = categories
        self.standardize = standardize
        self.tails = tails
        self.columns: tuple[Column, ...] = ()

    @property
    def width(self) -> int:
        """Number of matrix columns."""
        return max((column.slice.stop for column in self.columns), default=0)

    @property
    def owners(self) -> NDArray[np.intp]:
        """For each matrix column, which of the encoded table columns it is part of: 0, 1, ...; (width,)."""
        widths = [column.slice.stop - column.slice.start for column in self.columns if column.encoded]
        return np.repeat(np.arange(len(widths)), widths)

    def fit(self, frame: pd.DataFrame) -> TableEncoder:
        """Learn the columns from the observed entries of `frame`.

        Raises
        ------
        ValueError
            Naming the column whose values overflow float64 when standardised.
        """
        columns: list[Column] = []
        start = 0
        for name in frame.columns:
            column = self._learn(name, frame[name], start)
            columns.append(column)
            start = max(start, column.slice.stop)
        self.columns = tuple(columns)
        return self

    def encode(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The standardised matrix, shape (n_rows, width), NaN where missing or an unseen category."""
        matrix = np.empty((len(frame), self.width))  # (n_rows, width)
        for column in self.columns:
            if column.encoded:
                codes = (_raw(frame[column.name], column) - column.center) / column.scale
                if self.tails is not None and column.kind == "numeric":
                    codes = draw_in(codes, self.tails)
                matrix[:, column.slice] = codes
        return matrix

    def decode(self, matrix: NDArray[np.float64], frame: pd.DataFrame) -> pd.DataFrame:
        """`frame` with its holes filled from `matrix`, shape (n_rows, width); all else is left as it is."""
        filled = {}
        for column in self.columns:
            series = frame[column.name]
            holes = find_holes(series)
            if holes.any():
                values = self._values(column, matrix[holes, column.slice], series)
                array = series.array.copy()
                array[holes] = values
                series = pd.Series(array, index=frame.index, name=column.name)
            filled[column.name] = series
        return pd.DataFrame(filled, index=frame.index, columns=frame.columns, copy=False)

    def synthesize(self, matrix: NDArray[np.float64], like: pd.DataFrame) -> pd.DataFrame:
        """Rows of `matrix` as a new table with the columns and dtypes of `like`."""
        # the index first: one with a name said twice cannot be extended
        empty = like.iloc[:0].reset_index(drop=True).reindex(range(len(matrix)))
        for column in self.columns:
            dtype = like[column.name].dtype
            series = like[column.name].iloc[:0]
            values = self._values(column, matrix[:, column.slice], series)
            empty[column.name] = pd.Series(values, index=empty.index).astype(dtype)
        return empty

    def _learn(self, name: Hashable, series: pd.Series, start: int) -> Column:
        kind = column_kind(series)
        none = slice(start, start)
        observed = series[~find_holes(series)]
        if observed.empty:
            warnings.warn(
                f"column {name!r} has no observed value; its holes get a constant", UserWarning, stacklevel=4
            )
            return Column(name, kind, (), _NO_CODES, _ZERO, _ONE, _constant_for(series, kind), none)
        if kind == "numeric":
            categories: tuple[Any, ...] = ()
            codebook = _NO_CODES
            raw = observed.to_numpy(dtype=np.float64)[:, None]
            distinct = 1 if raw.min() == raw.max() else 2
        else:
            categories = _observed_categories(observed)
            distinct = len(categories)
            codebook = _codebook(distinct, self.categories)
            raw = codebook[pd.Index(categories, dtype=object).get_indexer(pd.Index(observed, dtype=object))]
        if distinct < 2:
            return Column(name, kind, categories, codebook, _ZERO, _ONE, observed.iloc[0], none)
        with np.errstate(over="ignore", invalid="ignore"):
            center, scale = raw.mean(axis=0), raw.std(axis=0)
            if kind == "categorical" and self.categories == "joint":
                scale = np.full_like(scale, np.linalg.norm(scale))
        if not (np.isfinite(center).all() and np.isfinite(scale).all()):
            largest = np.abs(raw).max()
            raise ValueError(
                f"column {name!r} reaches {largest:g}, which overflows when standardised: rescale it"
            )
        if kind == "numeric" and (not self.standardize or scale[0] == 0):
            center, scale = _ZERO, _ONE
        place = slice(start, start + raw.shape[1])
        if kind == "categorical":
            return Column(name, kind, categories, codebook, center, scale, None, place)
        low, high = (raw.min() - center[0]) / scale[0], (raw.max() - center[0]) / scale[0]
        return Column(name, kind, categories, codebook, center, scale, None, place, (float(low), float(high)))

    def _values(self, column: Column, matrix: NDArray[np.float64], series: pd.Series) -> Any:
        """Decoded values for rows of `matrix`, shape (n, width), in the dtype of `series`."""
        dtype = series.dtype
        if not column.encoded:
            return column.constant
        if self.tails is not None and column.kind == "numeric":
            low, high = column.reach
            matrix = draw_out(matrix, self.tails).clip(min(low, -self.tails), max(high, self.tails))
        raw = matrix * column.scale + column.center  # (n, width)
        if column.kind == "numeric":
            return _as_number(raw[:, 0], dtype)
        allowed = np.arange(len(column.categories))
        if isinstance(dtype, pd.CategoricalDtype):
            allowed = np.flatnonzero(pd.Index(column.categories, dtype=object).isin(dtype.categories))
            if allowed.size == 0:
                raise ValueError(
                    f"column {column.name!r}: none of the categories seen in fit {column.categories} "
                    f"is among its categories {list(dtype.categories)}"
                )
        # nearest code: |raw - code|^2 without the term that all categories share
        codes = column.codebook[allowed]  # (n_allowed, width)
        distance = (codes**2).sum(axis=1) - 2 * raw @ codes.T  # (n, n_allowed)
        nearest = allowed[distance.argmin(axis=1)]
        values = np.empty(len(nearest), dtype=object)
        values[:] = [column.categories[code] for code in nearest]
        return values


def draw_in(values: NDArray[np.float64], tails: float) -> NDArray[np.float64]:
    """Values beyond ±`tails` as `tails` and the logarithm of what is beyond, with slope 1 at the seam.

    >>> draw_in(np.array([-3.0, 4.0, 5.0, 100.0]), 4.0).round(2)
    array([-3.  ,  4.  ,  4.69,  8.57])
    """
    beyond = np.maximum(np.abs(values) - tails, 0.0)
    return np.where(beyond > 0, np.copysign(tails + np.log1p(beyond), values), values)


def draw_out(values: NDArray[np.float64], tails: float) -> NDArray[np.float64]:
    """The inverse of :func:`draw_in`, up to 10¹² beyond the seam.

    >>> draw_out(draw_in(np.array([-3.0, 4.0, 5.0, 100.0]), 4.0), 4.0).round(9)
    array([ -3.,   4.,   5., 100.])
    """
    beyond = np.clip(np.abs(values) - tails, 0.0, MOST_BEYOND)
    return np.where(beyond > 0, np.copysign(tails + np.expm1(beyond), values), values)


def as_frame(X: Any) -> pd.DataFrame:
    """Check a table and view it as a DataFrame.

    Parameters
    ----------
    X
        A DataFrame, or a two-dimensional numeric ndarray.

    Raises
    ------
    ValueError
        Naming the column: empty table, duplicate names, inf, mixed or unsupported types.
    TypeError
        If `X` is neither a DataFrame nor an ndarray.
    """
    if isinstance(X, np.ndarray):
        if X.ndim != 2:
            raise ValueError(f"expected a table with two dimensions, got shape {X.shape}")
        if X.dtype.kind not in "fiub":
            raise ValueError(f"expected a numeric array, got dtype {X.dtype}; use a DataFrame for categories")
        frame = pd.DataFrame(X, copy=False)
    elif isinstance(X, pd.DataFrame):
        frame = X
    else:
        raise TypeError(f"expected a DataFrame or ndarray, got {type(X).__name__}")
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        raise ValueError(f"the table is empty: shape {frame.shape}")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].unique().tolist()
        raise ValueError(f"duplicate column names: {twice}")
    for name in frame.columns:
        series = frame[name]
        if column_kind(series) == "numeric":
            values = series.to_numpy(dtype=np.float64, na_value=np.nan)
            infinite = np.flatnonzero(np.isinf(values))
            if infinite.size:
                raise ValueError(
                    f"column {name!r} holds inf (first in row {infinite[0]}): "
                    "replace it by a number, or by NaN if it stands for a missing value"
                )
    return frame


def column_kind(series: pd.Series) -> Kind:
    """Whether a column is numeric or categorical (category, bool, or text).

    Raises
    ------
    ValueError
        For mixed types, dates and whatever else is neither.
    """
    dtype = series.dtype
    if isinstance(dtype, pd.SparseDtype):
        raise ValueError(f"column {series.name!r} is {dtype}: make it dense with .sparse.to_dense()")
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(dtype):
        return "categorical"
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        return "numeric"
    if pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype):
        types = {type(value) for value in series.dropna()}
        if types <= {str} or types <= {bool, np.bool_}:
            return "categorical"
        listed = ", ".join(sorted(kind.__name__ for kind in types))
        raise ValueError(
            f"column {series.name!r} mixes or holds unsupported types ({listed}): "
            "convert it to numbers, or to 'category'"
        )
    raise ValueError(
        f"column {series.name!r} has dtype {dtype}, which is neither numeric nor categorical: "
        "convert or drop it"
    )


def find_holes(series: pd.Series) -> NDArray[np.bool_]:
    """Which entries are missing, shape (n_rows,).

    pandas does not count NaN as missing in a nullable float column, where 0/0 leaves it.

    >>> find_holes(pd.Series([0.0, None, 1.0], dtype="Float64") / 0)
    array([ True,  True, False])
    """
    holes = series.isna().to_numpy()
    if pd.api.types.is_extension_array_dtype(series.dtype) and pd.api.types.is_float_dtype(series.dtype):
        holes = holes | np.isnan(series.to_numpy(dtype=np.float64, na_value=np.nan))
    return holes


_NO_CODES = np.zeros((0, 1))
_ZERO = np.zeros(1)
_ONE = np.ones(1)


def _raw(series: pd.Series, column: Column) -> NDArray[np.float64]:
    """Encoded, not yet standardised values, shape (n_rows, width); NaN where missing or unseen."""
    if column.kind == "numeric":
        return series.to_numpy(dtype=np.float64, na_value=np.nan)[:, None]
    codes = pd.Index(column.categories, dtype=object).get_indexer(pd.Index(series, dtype=object))
    padded = np.vstack(
        [column.codebook, np.full(column.codebook.shape[1], np.nan)]
    )  # code -1 is the last row
    return padded[codes]


def _observed_categories(observed: pd.Series) -> tuple[Any, ...]:
    if isinstance(observed.dtype, pd.CategoricalDtype):
        return tuple(observed.cat.remove_unused_categories().cat.categories)
    return tuple(sorted(observed.unique()))


def code_starts(owners: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first matrix column of each table column, from :attr:`TableEncoder.owners`.

    >>> code_starts(np.array([0, 1, 1, 2])).tolist()
    [0, 1, 3]
    """
    return np.flatnonzero(np.diff(owners, prepend=-1))


def _codebook(n_categories: int, code: CategoryCode) -> NDArray[np.float64]:
    if n_categories <= 2:
        return np.arange(n_categories, dtype=np.float64)[:, None]
    if code != "bits":
        return np.eye(n_categories)
    n_bits = int(n_categories - 1).bit_length()
    return ((np.arange(n_categories)[:, None] >> np.arange(n_bits)) & 1).astype(np.float64)


def _as_number(values: NDArray[np.float64], dtype: Any) -> NDArray[Any]:
    numpy_dtype = getattr(dtype, "numpy_dtype", dtype)
    if numpy_dtype.kind in "iu":
        limits = np.iinfo(numpy_dtype)
        # the largest float64 that still fits: int64's own maximum is not one
        high = np.nextafter(float(limits.max) + 1, 0)
        return np.clip(np.rint(values), float(limits.min), high).astype(numpy_dtype)
    return values.astype(numpy_dtype)


def _constant_for(series: pd.Series, kind: Kind) -> Any:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if len(dtype.categories) == 0:
            raise ValueError(f"column {series.name!r} has neither an observed value nor a category: drop it")
        return dtype.categories[0]
    if kind == "numeric":
        return CONSTANTS["numeric"]
    return CONSTANTS["boolean" if pd.api.types.is_bool_dtype(dtype) else "text"]
