"""Successive halving: every candidate on few rows, the better ones on more rows and folds.

Who goes on is decided by scores alone while the budget suffices. Where it does not, it cuts folds of the last
rung and then candidates, the costliest of the first rung and the least promising of the others; each that is
cut says so in its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.impute.candidates import FLOOR
from orchestrator.impute.crew import Crew
from orchestrator.impute.race import FEWEST, FOLDS, Budget, Contest, Race, Rung, Stand, ranked
from orchestrator.impute.scoring import Board
from orchestrator.progress import duration
from orchestrator.sweep import RequestError
from orchestrator.typical import expected_seconds

FIRST_ROWS, FIRST_CELLS = 1000, 100_000
"""Rows of the first rung, and entries: fewer rows on a wide table."""
LAST_ROWS, LAST_CELLS = 16_000, 1_000_000
"""The same of the last rung."""
LEAST_ROWS = 200
"""Rows of any rung, where the table has them."""
STEP = 4
"""From rung to rung, rows grow by this factor."""
KEPT = 1 / 3
"""Share of the candidates that goes on from a rung, beside the plain ones."""
LAST_SHARE = 1 / 3
"""Share of the budget that is kept for the last rung."""


@dataclass(frozen=True)
class Result:
    """The end of a contest."""

    stands: list[Stand]
    board: Board
    """Of the last rung, by candidates' names."""
    rung: Rung
    """The last on which one was scored, and the folds that all share."""


def plan(shape: tuple[int, int]) -> list[Rung]:
    """The rungs for a table of (rows, columns); the last one's folds are the most that it may have.

    >>> [(rung.rows, rung.folds) for rung in plan((748, 4))]
    [(748, 1), (748, 8)]
    >>> [(rung.rows, rung.folds) for rung in plan((1_000_000, 50))]
    [(1000, 1), (4000, 2), (16000, 8)]
    """
    rows, columns = shape
    first, last = (
        min(rows, most, max(LEAST_ROWS, cells // columns))
        for most, cells in ((FIRST_ROWS, FIRST_CELLS), (LAST_ROWS, LAST_CELLS))
    )
    sizes = [first]
    while 2 * STEP * sizes[-1] < last:
        sizes.append(STEP * sizes[-1])
    if 2 * first >= last:
        sizes = [last]  # a rung of nearly as many rows as the last one has is as costly
    return [Rung(size, 1 + (place > 0)) for place, size in enumerate(sizes)] + [Rung(last, FOLDS[1])]


def compete(
    contest: Contest,
    stands: Sequence[Stand],
    crew: Crew,
    budget: Budget,
    say: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run the contest; the stands are brought up to date.

    Raises
    ------
    orchestrator.impute.hiding.NothingToHideError
        If nothing can be hidden.
    RequestError
        If no candidate came through.
    """
    *early, last = plan(contest.frame.shape)
    pace, scored = 1.0, None
    for number, rung in enumerate(early):
        share = Budget((budget.left - LAST_SHARE * budget.seconds) / (len(early) - number))
        race = Race(contest, crew, number, rung, say)
        pace = _run_early(race, _still(stands), share, budget.seconds, pace)
        scored = race.finish(_still(stands)) or scored
        _halve(_still(stands), rung)
    _refuse_costly(_still(stands), contest.frame.size, budget.seconds, pace)
    race = Race(contest, crew, len(early), last, say)
    finalists = ranked(_still(stands))
    race.run(finalists, budget, pace, race.affordable(finalists, budget, pace))
    scored = race.finish(_still(stands)) or scored
    if scored is None:
        told = "; ".join(f"{stand.candidate.name}: {stand.reason}" for stand in stands)
        raise RequestError(
            f"no method could be scored within {budget.seconds:g} s ({told}): give a larger budget"
        )
    for stand in _still(stands):
        stand.reason = ""
    return Result(list(stands), *scored)


def _run_early(race: Race, stands: Sequence[Stand], share: Budget, whole: float, pace: float) -> float:
    """Run the plain ones, which tell how fast this machine is, then the others; gives that pace."""
    cells = race.contest.frame.size
    _refuse_costly(stands, cells, whole, pace)
    race.run([stand for stand in _still(stands) if stand.candidate.plain], share, pace, race.rung.folds)
    pace = _pace(stands) or pace
    _refuse_costly(stands, cells, whole, pace)
    others = [stand for stand in _still(stands) if not stand.candidate.plain]
    race.run(ranked(others), share, pace, race.rung.folds)
    return pace


def _still(stands: Sequence[Stand]) -> list[Stand]:
    return [stand for stand in stands if stand.status == "scored"]


def _halve(stands: Sequence[Stand], rung: Rung) -> None:
    kept = max(FEWEST, math.ceil(KEPT * len(stands)))
    for place, stand in enumerate(ranked(stands), start=1):
        if place > kept and not stand.candidate.plain:
            stand.out(
                "dropped",
                f"number {place} of {len(stands)} on {rung.rows:,} rows, from where the best {kept} and the "
                "plain ones went on",
            )


def _refuse_costly(stands: Sequence[Stand], cells: int, budget: float, pace: float) -> None:
    """Skip what could not be fitted on the whole table within the budget, once it is chosen."""
    for stand in stands:
        seconds = stand.predicted(cells, pace)
        if stand.status == "scored" and seconds is not None and seconds > budget:
            stand.out(
                "skipped",
                f"a fit on the whole table should take about {duration(seconds)}, more than the budget of "
                f"{duration(budget)}",
            )


def _pace(stands: Sequence[Stand]) -> float | None:
    """How many times longer fits take here than where their cost was measured, at least 1.

    Column statistics take too little to tell.
    """
    ratios = [
        seconds / expected
        for stand in stands
        if stand.last_fit is not None and stand.candidate.method not in FLOOR
        for seconds, cells in [stand.last_fit]
        if (expected := expected_seconds(stand.candidate.method, cells)) is not None
    ]
    return max(1.0, float(np.median(ratios))) if ratios else None
