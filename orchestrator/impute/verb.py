"""Fill the holes of a user's table: read, understand, choose a method, fit it, fill, and tell.

>>> import pandas as pd
>>> table = pd.DataFrame({"age": [31, None, 25, 47] * 5, "town": ["X", "Y", None, "X"] * 5})
>>> filled = impute(table, "mice")
>>> int(filled.frame.isna().sum().sum()), filled.frame["age"].dtype
(0, dtype('float64'))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import methods
from orchestrator.impute.auto import Attempt, Auto, in_order
from orchestrator.impute.candidates import ON_CPU
from orchestrator.impute.draws import Samples, spread_table
from orchestrator.impute.missing import Missing, known_column
from orchestrator.impute.prepared import Fills, Prepared, prepare
from orchestrator.impute.reading import Loaded, read
from orchestrator.impute.roles import Column
from orchestrator.impute.saved import load
from orchestrator.impute.trained import Trained, refuse_unable, train
from orchestrator.plugins import load as load_plugins
from orchestrator.sweep import RequestError

if TYPE_CHECKING:
    from orchestrator.impute.choice import Choice

Say = Callable[[str], None]


@dataclass(frozen=True)
class Filled:
    """A filled table, and how it came about."""

    prepared: Prepared
    fills: Fills
    draws: Sequence[Fills] = ()
    method: str | None = None
    """None where there was nothing to fill."""
    params: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    """Why this method, in a sentence or two."""
    choice: Choice | None = None
    """None where the method was named."""
    imputer: Trained | None = None
    loaded: Loaded | None = None
    """The file that the table came from."""
    warnings: Sequence[str] = ()
    """What went otherwise than one may expect."""
    seconds: float = 0.0

    @property
    def columns(self) -> Sequence[Column]:
        """What each column was taken for, and why."""
        return self.prepared.columns

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table without its holes: dtypes, order, index and observed values as they were."""
        return self.prepared.put(self.fills)

    @property
    def n_filled(self) -> int:
        """Entries that were filled."""
        return sum(len(values) for values in self.fills.values())

    @property
    def samples(self) -> Samples:
        """Multiple imputations, each made when it is asked for; of none where none were asked for."""
        return Samples(self.prepared, self.draws)

    @cached_property
    def spread(self) -> pd.DataFrame | None:
        """How far the draws of each entry lie apart; None without draws."""
        return spread_table(self.prepared, self.fills, self.draws) if self.draws else None

    def page(self, name: str = "table", command: str = "") -> str:
        """A page of what was missing, what filled it and how sure that is: HTML that needs no other file."""
        from analysis.filled import page
        from orchestrator.impute.telling import story

        return page(story(self, name, command))

    def __repr__(self) -> str:
        return f"<Filled: {self.n_filled:,} entries by {self.method}, {len(self.draws)} samples>"


def impute(
    table: pd.DataFrame | str | Path,
    method: str = "auto",
    *,
    params: Mapping[str, Any] | None = None,
    metric: str = "error",
    budget: float = 300.0,
    among: Collection[str] | None = None,
    samples: int = 0,
    only: Collection[str] | None = None,
    kinds: Mapping[str, str] | str | None = None,
    missing: object = None,
    not_missing: str | Sequence[str] | None = None,
    train_on: pd.DataFrame | str | Path | None = None,
    imputer: Trained | str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    address: str | None = None,
    plugins: Sequence[str] = (),
    progress: Say | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Filled:
    """Fill the holes of a table.

    Parameters
    ----------
    table
        A DataFrame, or the path of a CSV, Parquet, Arrow or Excel file.
    method
        A registered method, or "auto": the one that does best on entries of this table, hidden to find out.
    params
        Constructor parameters of a named method.
    metric, budget, among
        For "auto": what to choose by (error, mae, rmse, accuracy), seconds to take for it, and the methods to
        choose from (None for all).
    samples
        Multiple imputations to draw besides.
    only
        Columns to fill; the others help, and keep their holes.
    kinds
        Roles that you know better, such as ``{"zip": "category", "when": "date:%d/%m/%Y"}``.
    missing, not_missing
        What else stands for a hole, such as ``{"BMI": 0}``, and which of the usual markers does not.
    train_on
        Another table to learn from; `table` is then filled by what was learned.
    imputer
        One saved or trained before, instead of a method.
    seed
        Of all that is random: the same seed, the same fills.
    device
        For methods that compute on a GPU: auto, cpu, cuda.
    workers, address
        CPUs to use on this machine, or a Ray cluster, to choose with.
    plugins
        Python files that define more methods.
    progress
        Called with a line now and then.
    reading
        How to read files: see :func:`orchestrator.impute.reading.read`.

    Raises
    ------
    orchestrator.sweep.RequestError
        A ValueError that names what cannot be done and the remedy.
    methods.UnknownNameError
        If a method or parameter is unknown.
    """
    began = time.monotonic()
    say = progress or (lambda _: None)
    load_plugins(plugins)
    needs = ["inductive"] * (train_on is not None) + ["stochastic"] * (samples > 0)
    auto = Auto(metric, budget, among, needs, seed, device, workers, address, plugins)
    _refuse_early(method, params, samples, auto, given=imputer is not None, taught=train_on is not None)
    marks = Missing.parse(missing, not_missing)
    loaded, frame = _read(table, marks, reading, say)
    trained: Trained | None = None
    if imputer is not None:
        trained = imputer if isinstance(imputer, Trained) else load(imputer, say)
        refuse_unable(trained.method, ["inductive", *needs])
        prepared = trained.recipe.apply(frame, marks)
    elif train_on is not None:
        source = prepare(_read(train_on, marks, reading, say)[1], kinds, marks)
        prepared = source.recipe.apply(frame, marks)
    else:
        prepared = source = prepare(frame, kinds, marks)
    if loaded is not None:
        prepared = prepared.found(loaded.found)
    only = None if only is None else [known_column(name, prepared.names, "--only") for name in only]
    result = Filled(prepared, {}, imputer=trained, loaded=loaded, warnings=_left_alone(prepared))
    if not prepared.n_holes and train_on is None:
        if not prepared.frame.shape[1]:
            _refuse_hopeless(prepared)
        return replace(result, seconds=time.monotonic() - began)
    filled, why, choice = None, "it was trained before", None
    failed: list[str] = []
    if trained is None:
        _refuse_hopeless(source)
        why = "it was asked for"
        attempts: list[Attempt] = [(method, _defaults(method, device) if params is None else params)]
        if method == "auto":
            choice = auto.choose(source.frame, None if train_on is None else prepared.frame, say)
            attempts, why = in_order(choice, needs), choice.why
        trained, filled, failed = _fit(attempts, source, auto, fill=train_on is None, say=say)
    say(f"filling {prepared.n_holes:,} entries by {trained.method}")
    fills = prepared.take(filled, only) if filled is not None else trained.fill(prepared, only)
    if samples:
        say(f"drawing {samples} imputations")
    return replace(
        result,
        fills=fills,
        draws=trained.draw(prepared, samples, only) if samples else (),
        method=trained.method,
        params=trained.params,
        why=why,
        choice=choice,
        imputer=trained,
        warnings=[*result.warnings, *failed],
        seconds=time.monotonic() - began,
    )


def _refuse_early(
    method: str, params: Mapping[str, Any] | None, samples: int, auto: Auto, *, given: bool, taught: bool
) -> None:
    """What can be told to be wrong before a table is read."""
    if samples < 0:
        raise RequestError(f"samples={samples} is negative")
    if auto.seed < 0:
        raise RequestError(f"seed={auto.seed} is negative")
    if given and (taught or method != "auto" or params):
        raise RequestError("a saved imputer has its method and its training table: name neither beside it")
    if method == "auto":
        if params:
            raise RequestError("params are of a method: name it")
        auto.refuse_wrong()
    else:
        if auto.among is not None:
            raise RequestError(f"among what to choose is for method auto, and {method!r} was named")
        refuse_unable(methods.resolve(method), auto.needs)


def _read(
    table: pd.DataFrame | str | Path, missing: Missing, reading: Mapping[str, Any] | None, say: Say
) -> tuple[Loaded | None, pd.DataFrame]:
    if isinstance(table, pd.DataFrame):
        return None, table
    say(f"reading {table}")
    loaded = read(table, missing=missing, **(reading or {}))
    return loaded, loaded.table


def _left_alone(prepared: Prepared) -> list[str]:
    """Holes that stay, and why."""
    return [
        f"{column.n_missing:,} holes of column {column.name!r} stay: it is {column.role} ({column.reason})"
        for column in prepared.columns
        if column.n_missing and not column.used
    ]


def _refuse_hopeless(prepared: Prepared) -> None:
    n_rows = len(prepared.table)
    if n_rows < 2:
        raise RequestError(
            f"the table to learn from has {n_rows} row: nothing can be learned from fewer than two"
        )
    if not prepared.frame.shape[1]:
        roles = ", ".join(f"{column.name!r} is {column.role}" for column in prepared.columns[:5])
        raise RequestError(f"there is no column to learn from: {roles}; --kind COLUMN=ROLE tells otherwise")


def _fit(
    attempts: Sequence[Attempt], source: Prepared, auto: Auto, *, fill: bool, say: Say
) -> tuple[Trained, pd.DataFrame | None, list[str]]:
    """The first method that can be fitted, the filled frame if asked for, and why others failed."""
    failed = []
    for method, params in attempts:
        say(f"fitting {method} on {len(source.frame):,} rows and {source.frame.shape[1]} columns")
        try:
            trained, filled = train(
                method, params, auto.seed, source.recipe, source.frame, fill=fill, device=auto.device
            )
        except methods.UnknownNameError:
            raise
        except Exception as error:
            failed.append(f"{method} failed on the whole table: {error}")
        else:
            return trained, filled, failed
    raise RequestError("; ".join(failed))


def _defaults(method: str, device: str) -> dict[str, Any]:
    """Parameters where the method's own defaults are made for a GPU and there is none."""
    if method == "auto" or methods.resolve(method) not in ON_CPU:
        return {}
    from methods.device import torch_device

    return dict(ON_CPU[methods.resolve(method)]) if torch_device(device).type == "cpu" else {}
