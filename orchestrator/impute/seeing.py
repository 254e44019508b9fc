"""What a column of any dtype holds, and what of it is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from orchestrator.impute.missing import Missing
from orchestrator.impute.textual import Content, Form, understand

_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
_DATES = {"datetime", "datetime64", "date"}


def see(series: pd.Series, column: str, missing: Missing) -> Content:
    """What `series` holds.

    Parameters
    ----------
    series
        Any dtype, shape (n_rows,).
    column
        Its name in messages and in `missing`.
    missing
        What stands for a hole besides null.
    """
    dtype = series.dtype
    if isinstance(dtype, pd.SparseDtype):
        return see(pd.Series(np.asarray(series)), column, missing)
    if isinstance(dtype, pd.CategoricalDtype):
        return _category(series, missing.words(column))
    if pd.api.types.is_bool_dtype(dtype):
        return _boolean(series)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _date(series)
    if pd.api.types.is_timedelta64_dtype(dtype):
        return _number(series.dt.total_seconds(), missing.numbers(column), note="durations, in seconds")
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        return _number(series, missing.numbers(column))
    if pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype):
        return _objects(series, column, missing)
    return _other(series.isna().to_numpy(), f"values of dtype {dtype}")


def _category(series: pd.Series, words: frozenset[str]) -> Content:
    categories = list(series.cat.categories)
    codes = series.cat.codes.to_numpy(dtype=np.int64)
    marked = np.array([isinstance(level, str) and level.strip() in words for level in categories], dtype=bool)
    if not marked.any():
        return Content("words", codes, tuple(categories), codes < 0, {})
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    markers = {str(categories[code]): int(counts[code]) for code in np.flatnonzero(marked)}
    place = np.append(np.where(marked, -1, np.cumsum(~marked) - 1), -1)
    codes = place[codes]
    levels = tuple(level for level, out in zip(categories, marked, strict=True) if not out)
    return Content("words", codes, levels, codes < 0, markers)


def _boolean(series: pd.Series) -> Content:
    holes = series.isna().to_numpy()
    codes = series.to_numpy(dtype=object, na_value=False).astype(np.int64)
    codes[holes] = -1
    return Content("boolean", codes, (False, True), holes, {})


def _date(series: pd.Series) -> Content:
    index = pd.DatetimeIndex(series)
    if index.tz is not None:
        index = index.tz_localize(None)  # by the clock on the wall, so that days stay days
    try:
        values = index.as_unit("ns").to_numpy()
    except pd.errors.OutOfBoundsDatetime:
        return _other(np.isnat(index.to_numpy()), "dates before 1678 or after 2262")
    return Content("date", values, (), np.isnat(values), {})


def _number(series: pd.Series, marked: list[float], note: str = "") -> Content:
    if series.dtype == np.float64:
        values = series.to_numpy()  # not copied
    else:
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    holes = np.isnan(values)
    markers: dict[str, int] = {}
    for number in marked:
        met = values == number
        if met.any():
            markers[f"{number:g}"] = int(met.sum())
            holes = holes | met
    if markers:
        values = np.where(holes, np.nan, values)
    return Content("number", values, (), holes, markers, note=note)


def _objects(series: pd.Series, column: str, missing: Missing) -> Content:
    holes = series.isna().to_numpy()
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind == "string" or (kind == "empty" and len(series)):
        texts = series.to_numpy(dtype=object, copy=True)
        texts[holes] = None
        return understand(pa.array(texts, pa.string()), missing, column)
    markers: dict[str, int] = {}
    if kind.startswith("mixed"):
        words = missing.words(column) | missing.among_numbers()
        marked = np.array([isinstance(value, str) and value.strip() in words for value in series], dtype=bool)
        for value in series[marked]:
            markers[value.strip()] = markers.get(value.strip(), 0) + 1
        holes = holes | marked
        kind = pd.api.types.infer_dtype(series[~holes], skipna=True)
    plain = series.mask(holes, None)
    if kind in _NUMBERS:
        seen = _number(pd.to_numeric(plain.map(_as_float)), missing.numbers(column))
    elif kind == "boolean":
        seen = _boolean(plain.astype("boolean"))
    elif kind in _DATES:
        seen = _dates(plain)
    else:
        types = ", ".join(sorted({type(value).__name__ for value in series[~holes]})[:4])
        return _other(holes, f"values of type {types}" if types else "nothing")
    return Content(seen.kind, seen.values, seen.levels, seen.holes, markers | seen.markers, note=seen.note)


def _dates(series: pd.Series) -> Content:
    try:
        return _date(pd.to_datetime(series))
    except (ValueError, TypeError):
        return _other(series.isna().to_numpy(), "dates that cannot be told as one kind")


def _other(holes: NDArray[np.bool_], what: str) -> Content:
    return Content("other", np.empty(0), (), holes, {}, Form(), what)


def _as_float(value: Any) -> Any:
    return None if value is None or value is pd.NA else float(value)
