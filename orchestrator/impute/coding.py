"""One column as imputers see it, and the way back to the user's dtype.

Numbers stay numbers; dates become days since 1970; categories and booleans become pandas categories whose
labels are text. On the way back a fill is kept within the observed range, made whole where all observed
values are, and rounded to the step of dates.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.impute.roles import CAN_BE, Column, Role, unique_names
from orchestrator.impute.textual import NS, Content, Form, as_dates
from orchestrator.sweep import RequestError

DAY = float(NS["day"])
MOST_DECIMALS = 6
CATEGORIES = (Role.CATEGORY, Role.BOOLEAN)


@dataclass(frozen=True)
class Coder:
    """What is known of a column that imputers see."""

    name: str
    role: Role
    levels: tuple[Any, ...] = ()
    """The observed values of a category: text, numbers or booleans, in code order."""
    low: float | None = None
    """Least observed value; of dates in days since 1970."""
    high: float | None = None
    step: int = 1
    """Nanoseconds that dates are rounded to."""
    pattern: str = ""
    """How dates are written that the user named."""
    decimals: int | None = None
    """Of a number: digits behind the point of the observed values; None for more than MOST_DECIMALS."""

    @classmethod
    def learn(cls, column: Column, content: Content) -> Coder:
        """From a column with at least one observed value."""
        values = content.values[~content.holes]
        if column.role in CATEGORIES:
            distinct = np.unique(values)
            if content.kind == "number":
                return cls(column.name, column.role, tuple(_plain(value) for value in distinct.tolist()))
            return cls(column.name, column.role, tuple(_plain(content.levels[code]) for code in distinct))
        numbers = values.astype(np.int64) / DAY if column.role is Role.DATE else values
        low, high = float(numbers.min()), float(numbers.max())
        step = _step(content, values) if column.role is Role.DATE else 1
        decimals = _decimals(values) if column.role is Role.NUMERIC else 0
        return cls(column.name, column.role, (), low, high, step, column.pattern, decimals)

    def view(self, content: Content) -> Content:
        """The same column of another table, read as this one was.

        Raises
        ------
        RequestError
            If it holds something else.
        """
        if content.holes.all():
            return content
        if self.pattern:
            content = as_dates(content, self.pattern) or content
        if content.kind not in CAN_BE[self.role]:
            example = f", such as {content.levels[0]!r}" if content.levels else ""
            raise RequestError(
                f"column {self.name!r} is {self.role} to the imputer, and holds {content.kind}{example}"
            )
        return content

    @property
    def labels(self) -> list[str]:
        """Of the levels, as text; of a category alone."""
        return unique_names(self.levels)

    def encode(self, content: Content) -> pd.Series | pd.Categorical | NDArray[np.float64]:
        """The column as imputers see it, shape (n_rows,); a level that was never seen is missing too."""
        if self.role in CATEGORIES and content.holes.all():
            return pd.Categorical([None] * len(content.holes), dtype=self._dtype)
        if content.holes.all():
            return np.full(len(content.holes), np.nan)
        if self.role in CATEGORIES:
            place = {_key(level): code for code, level in enumerate(self.levels)}
            if content.kind == "number":
                distinct, codes = np.unique(content.values, return_inverse=True)
                known = np.array([place.get(_key(_plain(value)), -1) for value in distinct.tolist()])
            else:
                known = np.array([place.get(_key(_plain(level)), -1) for level in content.levels] + [-1])
                codes = content.values
            return pd.Categorical.from_codes(known[codes], dtype=self._dtype)  # type: ignore[arg-type]
        if self.role is Role.DATE:
            days = content.values.astype(np.int64) / DAY
            days[content.holes] = np.nan
            return days
        return content.values

    @property
    def form(self) -> Form:
        """How fills are written where no value of the column shows how."""
        if self.role is Role.DATE:
            times = {NS["day"]: "", NS["minute"]: " %H:%M", NS["second"]: " %H:%M:%S"}
            return Form(pattern=self.pattern or "%Y-%m-%d" + times.get(self.step, " %H:%M:%S.%f"))
        return Form(self.decimals)

    @property
    def _dtype(self) -> pd.CategoricalDtype:
        return pd.CategoricalDtype(pd.Index(self.labels, dtype=object))

    def settle(self, filled: pd.Series) -> NDArray:
        """An imputer's values as codes of the levels, or as numbers in range and to their step."""
        if self.role in CATEGORIES:
            return filled.cat.codes.to_numpy()
        values = np.clip(filled.to_numpy(dtype=np.float64), self.low, self.high)
        if self.role is Role.INTEGER:
            return np.rint(values)
        if self.role is Role.DATE:
            return np.rint(values * DAY / self.step) * self.step / DAY
        return values

    def decode(self, settled: NDArray, series: pd.Series, content: Content) -> Any:
        """Settled values as the entries of `series` (the user's column with this content) are."""
        if self.role in CATEGORIES:
            own = {_key(_plain(level)): level for level in content.levels}
            levels = [own.get(_key(level), level) for level in self.levels]
            values = np.empty(len(settled), dtype=object)
            values[:] = [levels[code] for code in settled.tolist()]
            if content.kind != "number" or content.holes.all():
                return values
            settled = values.astype(np.float64)
        if self.role is Role.DATE:
            nanoseconds = np.rint(settled * DAY / self.step).astype(np.int64) * self.step
            return _as_dates(nanoseconds.view("datetime64[ns]"), series, content)
        if content.holes.all():  # there is no entry to be like
            return np.rint(settled).astype(np.int64) if self.role is Role.INTEGER else settled
        return _as_numbers(settled, series, content)

    def as_json(self) -> dict[str, Any]:
        """Nothing but text, numbers, booleans and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Coder:
        """The way back of :meth:`as_json`."""
        return cls(**{**fields, "role": Role(fields["role"]), "levels": tuple(fields["levels"])})


def _as_numbers(values: NDArray[np.float64], series: pd.Series, content: Content) -> Any:
    dtype: Any = series.dtype
    if content.written:
        return content.form.write(values)
    if pd.api.types.is_timedelta64_dtype(dtype):
        return pd.to_timedelta(values, unit="s").to_numpy()
    if pd.api.types.is_object_dtype(dtype):
        kind = type(next(value for value, hole in zip(series, content.holes, strict=True) if not hole))
        return [_number_of(kind, value) for value in values.tolist()]
    if pd.api.types.is_integer_dtype(dtype):
        return np.rint(values).astype(np.int64)
    return values.astype(dtype) if isinstance(dtype, np.dtype) else values


def _as_dates(dates: NDArray, series: pd.Series, content: Content) -> Any:
    dtype: Any = series.dtype
    if content.holes.all():
        return pd.DatetimeIndex(dates)
    if content.written:
        return content.form.write(dates)
    if content.form.pattern:  # of whole numbers such as 20240131
        return [int(text) for text in content.form.write(dates)]
    index = pd.DatetimeIndex(dates)
    if pd.api.types.is_object_dtype(dtype):
        first = next(value for value, hole in zip(series, content.holes, strict=True) if not hole)
        if not isinstance(first, datetime.datetime):
            return list(index.date)
        return list(_in_zone(index, first.tzinfo).to_pydatetime())
    zone = getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)
    return _in_zone(index, zone)


def _in_zone(index: pd.DatetimeIndex, zone: Any) -> pd.DatetimeIndex:
    """What the clock on the wall says there, at the first of two times that it says so."""
    if zone is None:
        return index
    return index.tz_localize(zone, ambiguous=np.ones(len(index), bool), nonexistent="shift_forward")


def _number_of(kind: type, value: float) -> Any:
    if issubclass(kind, decimal.Decimal):
        return decimal.Decimal(repr(value))
    return round(value) if issubclass(kind, (int, np.integer)) else value


def _decimals(values: NDArray[np.float64]) -> int | None:
    return next((n for n in range(MOST_DECIMALS + 1) if (np.round(values, n) == values).all()), None)


def _step(content: Content, dates: NDArray) -> int:
    """Of dates in text as they are written, else the longest step that all of them keep."""
    if content.form.pattern:
        return content.form.step
    nanoseconds = dates.astype(np.int64)
    return next(step for step in NS.values() if not (nanoseconds % step).any())


def _plain(value: Any) -> Any:
    """A level as JSON can hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (bool, int, float)) else str(value)


def _key(level: Any) -> tuple[bool, Any]:
    return isinstance(level, str), level
