"""One trial: hide entries of a table, impute them, score the result. A pure function; no Ray here.

``run_trial(TrialSpec) -> Record`` gives the same metrics for the same spec, in whatever process, after and
beside whatever else. A failure is a record too.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

import datasets
import methods
from orchestrator import scores as more
from orchestrator.isolation import Cost, isolated, pinned
from orchestrator.metrics import METRICS, METRICS_VERSION, relative, score
from orchestrator.record import Record, Status, make_record

TRACEBACK_CHARACTERS = 4000
CHECKED_AT_ONCE = 1 << 22
"""Entries."""


def canonical_json(value: Any) -> str:
    """JSON with one spelling for one value.

    Raises
    ------
    ValueError
        If the value is not plain data or holds NaN or infinity.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise ValueError(f"{value!r} is not plain data: {error}") from error


@dataclass(frozen=True)
class TrialSpec:
    """All that determines a trial's result."""

    dataset: str
    identity: str
    """What seeds the masks of the table: its catalogued name, or the content of a user's file."""
    fingerprint: str
    """Hash of the table's content."""
    mechanism: str
    ratio: float
    mask_seed: int
    method: str
    method_version: int = 1
    params: str = "{}"
    """Canonical JSON of the constructor parameters that differ from the defaults."""
    protocol: str = "default"
    scores: tuple[str, ...] = ()
    """Groups of scores beyond the standard ones, in the order of `orchestrator.scores.GROUPS`."""

    @property
    def key(self) -> str:
        """Hash of what determines the result and of nothing else: the name of the trial's record."""
        determinants = dataclasses.asdict(self)
        del determinants["dataset"]  # the identity stands for it: a user's file may move
        determinants["metrics_version"] = METRICS_VERSION
        if self.scores:
            determinants["scores_version"] = more.SCORES_VERSION
        else:
            del determinants["scores"]  # the key is that of a record of the standard scores alone
        return _digest(determinants).hexdigest()[:32]

    @property
    def cell(self) -> tuple[Any, ...]:
        """What it shares with the trials that differ in the mask seed alone."""
        return tuple(value for name, value in dataclasses.asdict(self).items() if name != "mask_seed")

    @property
    def method_seed(self) -> int:
        """``random_state`` for the method: apart from the mask's seed, the same for all its parameters."""
        determinants = [self.identity, self.mechanism, self.ratio, self.mask_seed, self.method]
        return int.from_bytes(_digest(["method seed", *determinants]).digest()[:4], "big")

    def describe(self) -> str:
        """The trial in one line."""
        variant = "" if self.params == "{}" else f" {self.params}"
        holes = f"{self.mechanism} {self.ratio:g}, mask {self.mask_seed}"
        return f"{self.method}{variant} on {self.dataset}, {holes}"


class InvalidImputation(RuntimeError):
    """What a method returned breaks the contract; the message names the row and column."""


def run_trial(
    spec: TrialSpec,
    *,
    sweep: str = "",
    threads: int = 1,
    gpu_fraction: float = 0.0,
    attempts: int = 1,
    on_error: Callable[[Exception], None] | None = None,
) -> Record:
    """Run one trial in this process.

    Parameters
    ----------
    spec
        The trial.
    sweep
        The name of the sweep, for the record.
    threads
        CPU threads, pinned.
    gpu_fraction
        Share of a GPU that the scheduler set aside, for the record.
    attempts
        How often it was started, this time included, for the record.
    on_error
        Called with an exception before it becomes a record: where a debugger looks at it.

    Returns
    -------
    Record
        Whatever happens: an exception becomes status ``failed``, lack of memory ``out_of_memory``.
    """
    started_at = datetime.now(UTC)
    try:
        with isolated():
            imputer = _build(spec)
            more.load(spec.scores)
            with pinned(threads):
                rows = _rows(spec, imputer)
    except Exception as error:
        if on_error is not None:
            on_error(error)
        rows = [{"split": "in_sample", "status": status_of(error), "error": explain(error)}]
    return make_record(
        spec,
        rows,
        sweep=sweep,
        threads=threads,
        gpu_fraction=gpu_fraction,
        attempts=attempts,
        started_at=started_at,
    )


def _build(spec: TrialSpec) -> Any:
    return methods.build(spec.method, **{"random_state": spec.method_seed, **json.loads(spec.params)})


def _rows(spec: TrialSpec, imputer: Any) -> list[dict[str, Any]]:
    table = load_table(spec.dataset, spec.fingerprint)
    task = datasets.make_task(
        table, mechanism=spec.mechanism, ratio=spec.ratio, mask_seed=spec.mask_seed, protocol=spec.protocol
    )
    # what column means and modes make of the same holes, for the relative scores
    constants = methods.build("mean").fit(task.train.visible)
    trained, fit = checked(imputer.fit_transform, task.train.visible)
    fitted = {
        "fit_seconds": fit.seconds,
        "cpu_seconds": fit.cpu_seconds,
        "peak_rss_mb": fit.peak_rss_mb,
        "peak_gpu_mb": fit.peak_gpu_mb,
        "gpu_name": fit.gpu_name,
        "device": str(getattr(imputer, "device_", "cpu")),
    }
    info = methods.info(spec.method)

    def row(split: datasets.Split, imputed: pd.DataFrame, costs: dict[str, Any]) -> dict[str, Any]:
        standard = {**_facts(task, split), **costs, **_scores(task, split, imputed, constants)}
        if not spec.scores:
            return standard
        from orchestrator.scores.case import Case

        case = Case(table, task, split, imputed, trained, imputer, info, functools.partial(_build, spec))
        return {**standard, **more.measure(spec.scores, case)}

    rows = [row(task.train, trained, fitted)]
    if task.test is not None and info.inductive:
        imputed, cost = checked(imputer.transform, task.test.visible)
        spent = {"impute_seconds": cost.seconds, "cpu_seconds": fit.cpu_seconds + cost.cpu_seconds}
        rows.append(row(task.test, imputed, {**fitted, **spent}))
    return rows


def checked(
    impute: Callable[[pd.DataFrame], pd.DataFrame], visible: pd.DataFrame
) -> tuple[pd.DataFrame, Cost]:
    """A checked imputation of a table with holes, and what it cost.

    Raises
    ------
    InvalidImputation
        If it is none; see :func:`check_imputation`.
    """
    given = visible.copy(deep=True)
    with Cost() as cost:
        imputed = impute(given)
    check_imputation(visible, given, imputed)
    return imputed, cost


@functools.lru_cache(maxsize=4)
def load_table(dataset: str, fingerprint: str) -> datasets.Table:
    """The table, kept for the next trials; by content, since a user's file may change under its name."""
    return datasets.load(dataset)


def _facts(task: datasets.Task, split: datasets.Split) -> dict[str, Any]:
    rows, columns = split.truth.shape
    return {
        "split": split.name,
        "status": "ok",
        "n_rows": rows,
        "n_columns": columns,
        "n_missing": int(split.hidden.sum()),
        "realised_ratio": float(split.hidden.sum() / split.truth.notna().to_numpy().sum()),
        "mask_hash": task.mask_hash,
    }


def _scores(
    task: datasets.Task, split: datasets.Split, imputed: pd.DataFrame, constants: Any
) -> dict[str, Any]:
    scores = score(task, split, imputed)
    return {
        **{name: scores[name].value for name in METRICS},
        **relative(task, split, scores, constants.transform(split.visible)),
        "wasserstein_note": scores["wasserstein"].note,
    }


def check_imputation(visible: pd.DataFrame, given: pd.DataFrame, imputed: Any) -> None:
    """Refuse what is not an imputation of `visible`.

    Parameters
    ----------
    visible
        The table with holes.
    given
        The copy of it that the method was handed, as it is afterwards.
    imputed
        What the method returned.

    Raises
    ------
    InvalidImputation
        If the method changed its input or an observed entry, left a hole, or returned other columns, rows or
        dtypes.
    """
    if not isinstance(imputed, pd.DataFrame):
        raise InvalidImputation(f"expected a DataFrame, got {type(imputed).__name__}")
    for what in ("columns", "index"):
        if not getattr(imputed, what).equals(getattr(visible, what)):
            raise InvalidImputation(f"the {what} of the imputed table differ from those of the input")
    plain = [
        place
        for place, dtypes in enumerate(zip(visible.dtypes, given.dtypes, imputed.dtypes, strict=True))
        if all(dtype == np.float64 for dtype in dtypes)
    ]
    rest = np.setdiff1d(np.arange(visible.shape[1]), plain if _sound(visible, given, imputed, plain) else [])
    for name in visible.columns[rest]:
        before, after = visible[name], imputed[name]
        if after.dtype != before.dtype:
            raise InvalidImputation(f"column {name!r} has dtype {after.dtype} instead of {before.dtype}")
        holes = before.isna().to_numpy()
        left = np.flatnonzero(after.isna().to_numpy())
        if left.size:
            raise InvalidImputation(f"column {name!r} still has {left.size} holes, first in row {left[0]}")
        for series, what in ((after, "changed an observed entry"), (given[name], "changed its input")):
            differs = np.flatnonzero(~_same(before[~holes], series[~holes]))
            if differs.size:
                row = np.flatnonzero(~holes)[differs[0]]
                raise InvalidImputation(f"the method {what}: column {name!r}, row {row}")


def _sound(visible: pd.DataFrame, given: pd.DataFrame, imputed: pd.DataFrame, places: list[int]) -> bool:
    """Whether float64 columns are an imputation; at once, since one by one takes long where they are many."""
    step = max(1, CHECKED_AT_ONCE // max(len(places), 1))
    for start in range(0, len(visible), step):
        before, kept, after = (
            np.ascontiguousarray(frame.iloc[start : start + step, places].to_numpy())
            for frame in (visible, given, imputed)
        )
        observed = ~np.isnan(before)
        differs = (before.view(np.int64) != after.view(np.int64)) | (
            before.view(np.int64) != kept.view(np.int64)
        )
        if np.isnan(after).any() or differs[observed].any():
            return False
    return True


def _same(before: pd.Series, after: pd.Series) -> np.ndarray:
    """Where two columns without holes are bit-identical."""
    if before.dtype.kind == "f" and isinstance(before.dtype, np.dtype):
        bits = np.dtype(f"u{before.dtype.itemsize}")
        return before.to_numpy().view(bits) == after.to_numpy().view(bits)
    return np.asarray(before.astype(object).to_numpy() == after.astype(object).to_numpy(), dtype=bool)


def status_of(error: Exception) -> Status:
    """What a record says of a trial that ended so."""
    is_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return "out_of_memory" if is_memory else "failed"


def explain(error: Exception) -> str:
    """An exception as a record holds it: its message and the end of its traceback."""
    trace = "".join(traceback.format_exception(error)).strip()
    return f"{type(error).__name__}: {error}\n\n{trace[-TRACEBACK_CHARACTERS:]}"


def _digest(value: Any) -> Any:
    return hashlib.sha256(canonical_json(value).encode())
