"""What a trial is expected to take, from what trials like it took; never a guess without a measurement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

SPAN = 2.0
"""How far beyond the sizes that were measured an expectation still reaches, as a factor of the cells."""

SIZES = 3
"""From so many sizes of table on, a growth with the size is fitted."""

Basis = Literal["recorded", "scaled", "typical"]
"""``recorded``: on a table of this very size; ``scaled``: from tables of about this size; ``typical``: not
here, but once and elsewhere, by the method's defaults (:mod:`orchestrator.typical`)."""

_NUMBERS = ("n_rows", "n_columns", "fit_seconds", "impute_seconds")
_NEEDED = ("trial_key", "method", "params", "device", "status", *_NUMBERS, "started_at", "finished_at")


@dataclass(frozen=True)
class Expectation:
    """What a trial should take, and how that is known."""

    seconds: float
    basis: Basis


class Costs:
    """Seconds of whole trials, by method and size of table.

    Parameters
    ----------
    table
        One row for each trial that ended well: ``method, params, device, n_rows, n_columns, seconds``;
        ``n_rows`` counts the rows of all splits, ``device`` is ``cpu``, ``cuda`` or the like.

    Examples
    --------
    >>> facts = {"status": "ok", "method": "knn", "params": "{}", "device": "cpu", "n_columns": 10}
    >>> rows = [{**facts, "trial_key": str(n), "n_rows": 100 * n, "fit_seconds": 0.1 * n} for n in (1, 2, 4)]
    >>> costs = Costs.from_records(rows)
    >>> round(costs.seconds("knn", 200, 10), 3), round(costs.seconds("knn", 300, 10), 3)
    (0.2, 0.3)
    >>> costs.seconds("knn", 1_000_000, 10) is costs.seconds("em", 200, 10) is None
    True
    """

    def __init__(self, table: pd.DataFrame):
        self._sizes: dict[tuple[str, ...], pd.Series] = {}
        for keys in _LEVELS:
            sizes = ["n_rows", "n_columns"]
            medians = table.groupby([*keys, *sizes], observed=True)["seconds"].median()
            for key, part in medians.groupby(level=keys[0] if len(keys) == 1 else list(keys), observed=True):
                values = key if isinstance(key, tuple) else (key,)
                named = {name: str(value) for name, value in zip(keys, values, strict=True)}
                self._sizes[_key(**named)] = part.droplevel(list(keys))

    @classmethod
    def from_records(cls, rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> Costs:
        """From the rows of records, all splits of a trial together; what lacks a time is left out.

        A trial's seconds are those between its start and its end, scoring included; where the clock was set
        back meanwhile, the monotonic seconds of its fit and imputation.
        """
        frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        frame = frame.reindex(columns=list(_NEEDED))
        frame = frame[frame["status"].eq("ok")]
        frame = frame.assign(**{name: pd.to_numeric(frame[name]) for name in _NUMBERS})
        began, ended = (pd.to_datetime(frame[name], utc=True) for name in ("started_at", "finished_at"))
        frame = frame.assign(
            elapsed=(ended - began).dt.total_seconds(),
            params=frame["params"].fillna("{}").astype(object),
            device=frame["device"].fillna("cpu").astype(object).map(lambda name: str(name).partition(":")[0]),
            method=frame["method"].astype(object),
        )
        trials = frame.groupby("trial_key", sort=False).agg(
            method=("method", "first"),
            params=("params", "first"),
            device=("device", "first"),
            n_rows=("n_rows", "sum"),
            n_columns=("n_columns", "max"),
            fit=("fit_seconds", "max"),  # the same in each of a trial's rows
            impute=("impute_seconds", "sum"),
            elapsed=("elapsed", "max"),
        )
        work = trials["fit"].fillna(0.0) + trials["impute"]
        trials["seconds"] = np.fmax(trials["elapsed"], work)
        return cls(trials[trials["seconds"].gt(0) & trials["n_columns"].notna()])

    def seconds(
        self,
        method: str,
        n_rows: int,
        n_columns: int,
        *,
        params: str | None = None,
        device: str | None = None,
    ) -> float | None:
        """Expected seconds of one trial, one thread, or None where nothing like it was measured.

        Parameters
        ----------
        method
            Canonical name.
        n_rows, n_columns
            Size of the table, before any split.
        params
            Canonical JSON of the variant; None for whatever variants were measured.
        device
            ``cpu``, ``cuda``, ...; None for whatever device was measured.
        """
        expected = self.expect(method, n_rows, n_columns, params=params, device=device)
        return expected.seconds if expected else None

    def expect(
        self,
        method: str,
        n_rows: int,
        n_columns: int,
        *,
        params: str | None = None,
        device: str | None = None,
    ) -> Expectation | None:
        """As :meth:`seconds`, with what the number rests on."""
        measured = self._sizes.get(_key(method=method, params=params, device=device))
        if measured is None:
            return None
        if (n_rows, n_columns) in measured.index:
            return Expectation(float(measured[n_rows, n_columns]), "recorded")
        cells = np.array([float(rows * columns) for rows, columns in measured.index])
        wanted = float(n_rows * n_columns)
        if not cells.min() / SPAN <= wanted <= cells.max() * SPAN:
            return None
        return Expectation(_interpolate(cells, measured.to_numpy(dtype=float), wanted), "scaled")

    def otherwise(self, other: Costs) -> Costs:
        """These costs, and for what is not among them those of `other`."""
        joined = Costs.__new__(Costs)
        joined._sizes = {**other._sizes, **self._sizes}
        for key in self._sizes.keys() & other._sizes.keys():
            joined._sizes[key] = self._sizes[key].combine_first(other._sizes[key])
        return joined


_LEVELS = (("method",), ("method", "params"), ("method", "device"), ("method", "params", "device"))


def _key(method: str, params: str | None = None, device: str | None = None) -> tuple[str, ...]:
    return method, f"params={params}", f"device={device}"


def _interpolate(cells: np.ndarray, seconds: np.ndarray, wanted: float) -> float:
    """Seconds at `wanted` cells: on a line through the logarithms, or as the size nearest to it took."""
    x, y = np.log(cells), np.log(seconds)
    if len(np.unique(cells)) < SIZES or cells.max() < SPAN * cells.min():
        return float(seconds[np.abs(x - np.log(wanted)).argmin()])
    slope, intercept = np.polyfit(x, y, 1)
    return float(np.exp(intercept + slope * np.log(wanted)))
