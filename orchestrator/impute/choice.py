"""Which method suits a table with holes: tried on entries of it that are known.

A share of the observed entries is hidden in the table's own patterns (`orchestrator.impute.hiding`), the
methods fill them (`fit`), and the better go on to more rows and folds (`halving`). The one with the least
error is chosen; where others cannot be told from it, the plainest of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import methods
from orchestrator.impute.candidates import candidates, lacks
from orchestrator.impute.crew import hired
from orchestrator.impute.halving import Budget, Contest, Result, Stand, compete
from orchestrator.impute.hiding import ASSUMPTION, NothingToHideError, pattern_bank
from orchestrator.impute.scoring import METRICS, Columns, Floats
from orchestrator.plugins import load as load_plugins
from orchestrator.sweep import RequestError

__all__ = ["Choice", "NothingToHideError", "choose"]

LEAST_BUDGET = 10.0
"""Seconds; with less, not even the plain methods could be relied on to be scored."""
TIE, DOUBT = 0.01, 0.05
"""A plainer method ties with the best if its error is above by no more than the first share, and not above at
all in more than the second share of the resamples."""
INTERVAL = (2.5, 97.5)
"""Percentiles of the resamples between which `error_low` and `error_high` lie."""


@dataclass(frozen=True)
class Choice:
    """What to fill a table with, and why."""

    method: str
    params: Mapping[str, Any]
    """Constructor parameters, ``random_state`` not among them."""
    metric: str
    """What it was chosen by, in words."""
    board: pd.DataFrame
    """One row for each candidate, best first: method, params (canonical JSON), status (``scored`` on the last
    rung, ``dropped``, ``skipped``, ``failed``), rung (from 0, null if it was never scored), n_folds, n_rows,
    error (the metric, less is better) with error_low and error_high (on the last rung), mae, accuracy,
    seconds (of all its fits), peak_rss_mb, reason. Errors can be compared within a rung alone."""
    sure: float
    """Probability that it has the least error of those scored on the last rung: its share of the resamples of
    folds and rows (a bootstrap, paired: the same for all) in which it has."""
    hidden: Mapping[str, Any]
    """On the last rung: ``share`` of the observed entries hidden in a fold, ``entries`` scored in all folds
    together, ``folds``, ``rows``, and the ``assumption`` in words."""
    seconds: float
    """Wall time, Ray's start included."""
    why: str
    """The choice in a sentence or two."""


def choose(
    frame: pd.DataFrame,
    *,
    metric: str = "error",
    budget: float = 300.0,
    methods: Iterable[str] | None = None,
    seed: int = 0,
    workers: int | None = None,
    address: str | None = None,
    progress: Callable[[str], None] | None = None,
    patterns: pd.DataFrame | None = None,
    needs: Sequence[str] = (),
    device: str | None = None,
    plugins: Sequence[str] = (),
) -> Choice:
    """Score methods on a table's own observed entries, and choose one.

    The same seed gives the same choice while the budget suffices. Where it does not, it cuts folds of the
    last rung and then candidates, and each that was cut says so on the board.

    Parameters
    ----------
    frame : shape (n_rows, n_columns)
        Float and ``category`` columns; holes are NaN.
    metric
        ``error``: each column's mean distance relative to that of column means and modes, columns weighted by
        their holes. ``mae``, ``rmse``: numeric columns alone, in standard deviations. ``accuracy``: the
        others.
    budget
        Seconds, Ray's start not counted. Also the most that a fit on the whole table may be expected to take.
    methods
        Candidates, besides column means, medians and modes; None for every method that fills holes.
    seed
        Of the rows, the hidden entries and the methods.
    workers, address
        CPUs to use on this machine, or a Ray cluster. Without workers, 0, fits run in this process, one after
        another: no Ray is started, and a fit that takes long, or too much memory, cannot be ended.
    progress
        Called with a line now and then.
    patterns
        The table to be filled, where that is another one than `frame`: its holes are imitated.
    needs
        What the method must be able to do: ``inductive``, ``stochastic``.
    device
        For methods that use a GPU; None for a GPU where there is one.
    plugins
        Files that define more methods.

    Raises
    ------
    NothingToHideError
        If there is no hole to imitate or no entry to hide.
    RequestError
        If the metric or the budget cannot be used, no method came through, or there is no such Ray cluster.
    methods.UnknownNameError
        If the metric or a method is unknown.
    """
    began = time.monotonic()
    say = progress or (lambda _: None)
    refuse_wrong(metric, budget, seed)
    target = frame if patterns is None else patterns[list(frame.columns)]
    holes = target.isna().to_numpy()
    bank = pattern_bank(holes, np.random.default_rng([seed, 3]))
    contest = Contest(frame, Columns.of(frame, holes), bank, metric, seed)
    _check_columns(contest, METRICS[metric].kinds)
    load_plugins(plugins)
    if workers != 0:
        say("starting Ray and its workers")
    with hired(workers, address, plugins) as crew:
        found, refused = candidates(
            methods,
            categories=bool(contest.columns.category.any()),
            gpu=crew.gpu,
            device=device,
            needs=needs,
        )
        stands = [Stand(candidate) for candidate in found]
        result = compete(contest, stands, crew, Budget(budget), say)
    out = [Stand(candidate, "skipped", reason) for candidate, reason in refused.items()]
    return _conclude(contest, result, out, needs, time.monotonic() - began)


def _conclude(
    contest: Contest, result: Result, refused: Sequence[Stand], needs: Sequence[str], seconds: float
) -> Choice:
    finalists = [stand for stand in result.stands if stand.status == "scored"]
    names = [stand.candidate.name for stand in finalists]
    draws = result.board.resampled(names, contest.metric, np.random.default_rng([contest.seed, 4]))
    draws = draws[:, ~np.isnan(draws).any(axis=0)]  # a resample of a tiny table may hold no entry
    able = [number for number, stand in enumerate(finalists) if not lacks(stand.candidate.method, needs)]
    if not able:
        raise RequestError(f"no method that is {' and '.join(needs)} was scored: give a larger budget")
    if any(stand.error is None for stand in finalists):
        raise NothingToHideError(
            f"no entry could be hidden of the columns that metric={contest.metric!r} looks at; take 'error'"
        )
    chosen, why = _pick(finalists, draws, able)
    winner = finalists[chosen]
    entries = result.board.n_entries
    observed = int(contest.rows(result.rung).notna().to_numpy().sum())
    return Choice(
        method=winner.candidate.method,
        params=winner.candidate.kwargs,
        metric=METRICS[contest.metric].title,
        board=_table([*result.stands, *refused], dict(zip(names, draws, strict=True))),
        sure=float((draws[chosen] <= draws.min(axis=0) * (1 + 1e-12)).mean()),
        hidden={
            "share": entries / result.rung.folds / observed,
            "entries": entries,
            "folds": result.rung.folds,
            "rows": result.rung.rows,
            "assumption": ASSUMPTION,
        },
        seconds=seconds,
        why=why,
    )


def _pick(finalists: Sequence[Stand], draws: Floats, able: Sequence[int]) -> tuple[int, str]:
    """The number of the finalist to take, and why."""
    errors = np.array([stand.error for stand in finalists], dtype=np.float64)
    best = min(able, key=lambda number: (errors[number], finalists[number].candidate.plainness))
    ties = [
        number
        for number in able
        if errors[number] <= errors[best] * (1 + TIE) and (draws[number] <= draws[best]).mean() > DOUBT
    ]
    chosen = min(ties, key=lambda number: (finalists[number].candidate.plainness, errors[number]))
    name = finalists[chosen].candidate.name
    others = [finalists[number] for number in able if number not in (best, chosen)]
    if chosen != best:
        return chosen, (
            f"{finalists[best].candidate.name} had the least error, {errors[best]:.3f}; {name} has "
            f"{errors[chosen]:.3f}, cannot be told from it, and is the plainer of the two."
        )
    told = f"{name} had the least error, {errors[best]:.3f}"
    if not others:
        return chosen, f"{told}; no other such method was scored to the end."
    second = min(others, key=lambda stand: stand.error or 0.0)
    return chosen, f"{told}, before {second.candidate.name} with {second.error:.3f}."


_ORDER = {"scored": 0, "dropped": 1, "skipped": 2, "failed": 3}


def _table(stands: Sequence[Stand], draws: Mapping[str, Floats]) -> pd.DataFrame:
    def key(stand: Stand) -> tuple[Any, ...]:
        rung = -1 if stand.rung is None else stand.rung
        error = np.inf if stand.error is None else stand.error
        return _ORDER[stand.status], -rung, error, stand.candidate.plainness

    rows = []
    for stand in sorted(stands, key=key):
        low, high = (None, None)
        if stand.status == "scored":
            low, high = (float(value) for value in np.percentile(draws[stand.candidate.name], INTERVAL))
        rows.append(
            {
                "method": stand.candidate.method,
                "params": stand.candidate.params,
                "status": stand.status,
                "rung": stand.rung,
                "n_folds": stand.folds or None,
                "n_rows": stand.rows or None,
                "error": stand.error,
                "error_low": low,
                "error_high": high,
                "mae": stand.mae,
                "accuracy": stand.accuracy,
                "seconds": stand.seconds or None,
                "peak_rss_mb": stand.peak_rss_mb,
                "reason": stand.reason,
            }
        )
    numbers = dict.fromkeys(("rung", "n_folds", "n_rows"), "Int64")
    floats = dict.fromkeys(
        ("error", "error_low", "error_high", "mae", "accuracy", "seconds", "peak_rss_mb"), "float64"
    )
    return pd.DataFrame(rows).astype({**numbers, **floats})


def refuse_wrong(metric: str, budget: float, seed: int) -> None:
    """Raise what `choose` raises for these, before there is a table."""
    if metric not in METRICS:
        raise methods.UnknownNameError("metric", metric, METRICS)
    if not budget >= LEAST_BUDGET:
        raise RequestError(
            f"budget={budget:g} s is too short to score anything: give at least {LEAST_BUDGET:g} s"
        )
    if seed < 0:
        raise RequestError(f"{seed=} is negative")


def _check_columns(contest: Contest, kinds: Sequence[str]) -> None:
    columns = contest.columns
    wanted = np.where(columns.category, "category" in kinds, "numeric" in kinds)
    if not (wanted & (columns.holes > 0)).any():
        there = "categorical" if "numeric" in kinds else "numeric"
        raise RequestError(
            f"metric={contest.metric!r} has nothing to measure: all holes are in {there} columns; take "
            "'error'"
        )
