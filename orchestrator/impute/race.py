"""One rung of the choice: candidates on the same rows and folds, within a share of the budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.impute.candidates import Candidate
from orchestrator.impute.crew import Crew
from orchestrator.impute.fit import Job, Outcome, Sheet
from orchestrator.impute.hiding import Mask, hide
from orchestrator.impute.scoring import Board, Columns, Floats, Fold
from orchestrator.progress import duration
from orchestrator.typical import expected_seconds, growth

FOLDS = (3, 8)
"""Folds of the last rung: as many as it takes to score :data:`ENTRIES`, within these bounds."""
ENTRIES = 2000
LEAST_FOLDS = 2
"""Folds of the last rung, at least, where the budget is short."""
FEWEST = 4
"""So many candidates go on from a rung at least."""


@dataclass(frozen=True)
class Rung:
    """Rows and folds on which candidates are compared."""

    rows: int
    folds: int


@dataclass
class Stand:
    """How a candidate stands."""

    candidate: Candidate
    status: str = "scored"
    """``scored`` so far, or how it went out: ``dropped``, ``skipped``, ``failed``."""
    reason: str = ""
    rung: int | None = None
    """The last on which it was scored, from 0."""
    folds: int = 0
    rows: int = 0
    error: float | None = None
    """On its last rung, by the metric in use."""
    mae: float | None = None
    accuracy: float | None = None
    seconds: float = 0.0
    """Of all its fits."""
    peak_rss_mb: float | None = None
    last_fit: tuple[float, float] | None = None
    """Seconds of one fit, the longest of those on its largest table, and the entries of that table."""

    def out(self, status: str, reason: str) -> None:
        """Take it out of the contest."""
        self.status, self.reason = status, reason

    def predicted(self, cells: float, pace: float) -> float | None:
        """Seconds that a fit on so many entries should take, None if there is nothing to tell it from."""
        if self.last_fit is not None:
            seconds, before = self.last_fit
            return seconds * growth(self.candidate.method, before, cells)
        expected = expected_seconds(self.candidate.method, cells)
        return None if expected is None else expected * pace

    def took(self, outcome: Outcome, cells: float) -> None:
        """Note what a fit on a table of so many entries took."""
        self.seconds += outcome.seconds or 0.0
        if outcome.peak_rss_mb is not None:
            self.peak_rss_mb = max(self.peak_rss_mb or 0.0, outcome.peak_rss_mb)
        if outcome.status == "ok" and outcome.seconds is not None:
            longest, before = self.last_fit or (0.0, 0.0)
            self.last_fit = (max(outcome.seconds, longest) if before == cells else outcome.seconds), cells


@dataclass
class Budget:
    """Seconds to spend, from now on."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.began)


@dataclass(frozen=True)
class Contest:
    """What candidates are compared on."""

    frame: pd.DataFrame
    """Float and ``category`` columns."""
    columns: Columns
    bank: Mask
    """Patterns of the holes that are to be filled."""
    metric: str
    seed: int
    """Of the rows, the hidden entries and the methods."""

    def rows(self, rung: Rung) -> pd.DataFrame:
        """The rows of a rung, in the order of the table: those of the rung before, and more."""
        if rung.rows >= len(self.frame):
            return self.frame
        order = np.random.default_rng([self.seed, 0]).permutation(len(self.frame))
        return self.frame.iloc[np.sort(order[: rung.rows])]

    def fold(self, part: pd.DataFrame, number: int, fold: int) -> tuple[Fold, pd.DataFrame]:
        """A fold of the rung of this number, and what is left to see of its rows."""
        rng = np.random.default_rng([self.seed, 1, number, fold])
        hidden = hide(part.isna().to_numpy(), self.bank, rng)
        return Fold.of(part, hidden), without(part, hidden)

    def method_seed(self, number: int, fold: int) -> int:
        """``random_state`` of every candidate on a fold."""
        return int(np.random.SeedSequence([self.seed, 2, number, fold]).generate_state(1)[0])


class Race:
    """A rung, its folds and what candidates made of them.

    Raises
    ------
    orchestrator.impute.hiding.NothingToHideError
        If nothing can be hidden of its rows.
    """

    def __init__(self, contest: Contest, crew: Crew, number: int, rung: Rung, say: Callable[[str], None]):
        self.contest, self.crew, self.number, self.rung, self.say = contest, crew, number, rung, say
        self.part = contest.rows(rung)
        self.folds: list[Fold] = []
        self._sheets: list[Any] = []
        self._values: dict[str, dict[int, Floats]] = {}
        self._prepare(1)

    def affordable(self, stands: Sequence[Stand], budget: Budget, pace: float) -> int:
        """How many folds to score, so that there is time for the plain and the best; `stands` is ranked."""
        enough = math.ceil(ENTRIES / self.folds[0].row.size)
        wanted = min(max(enough, FOLDS[0]), FOLDS[1])
        others = [stand for stand in stands if not stand.candidate.plain]
        first = [stand for stand in stands if stand.candidate.plain] + others[:FEWEST]
        once = self._seconds(first, pace, 1)
        return max(LEAST_FOLDS, min(wanted, int(budget.left / once))) if once else wanted

    def run(self, stands: Sequence[Stand], budget: Budget, pace: float, folds: int) -> None:
        """Fit candidates on the folds, fold after fold, the plain first and the others in their order.

        What is not expected to be done within the budget is skipped.
        """
        stands = self._within(
            sorted(stands, key=lambda stand: not stand.candidate.plain), budget, pace, folds
        )
        if not stands:
            return
        self._prepare(folds)
        jobs = [
            Job(
                stand.candidate,
                fold,
                self._sheets[fold],
                self.contest.method_seed(self.number, fold),
                stand.predicted(self.part.size, pace),
            )
            for fold in range(folds)
            for stand in stands
        ]
        by_name = {stand.candidate.name: stand for stand in stands}
        ended: list[Outcome] = []

        def heard(outcome: Outcome) -> None:
            ended.append(outcome)
            self._take(by_name[outcome.job.candidate.name], outcome)
            self.say(
                f"{self.rung.rows:,} rows: {len(ended)} of {len(jobs)} fits, the last of "
                f"{outcome.job.candidate.name}; at most {max(budget.left, 0):.0f} s more"
            )

        self.say(f"{self.rung.rows:,} rows: {len(stands)} methods, {folds} fold{'s' if folds > 1 else ''}")
        self.crew.run(jobs, lambda: budget.left, heard)

    def finish(self, stands: Sequence[Stand]) -> tuple[Board, Rung] | None:
        """Score those that came through, on the folds that they share; None, and no change, if none did."""
        done = {stand.candidate.name: self._values.get(stand.candidate.name, {}) for stand in stands}
        most = max(map(len, done.values()), default=0)
        through = [stand for stand in stands if 2 * len(done[stand.candidate.name]) >= most > 0]
        folds = [set(done[stand.candidate.name]) for stand in through]
        shared = sorted(set.intersection(*folds)) if folds else []
        if not shared:
            return None
        for stand in stands:
            if stand not in through:
                stand.out("skipped", stand.reason or "the budget ended before it was scored")
        board = self._board({stand.candidate.name: done[stand.candidate.name] for stand in through}, shared)
        for stand in through:
            name = stand.candidate.name
            stand.rung, stand.folds, stand.rows = self.number, len(shared), self.rung.rows
            stand.error, stand.reason = board.value(name, self.contest.metric), ""
            stand.mae, wrong = board.value(name, "mae"), board.value(name, "accuracy")
            stand.accuracy = None if wrong is None else 1.0 - wrong
        return board, Rung(self.rung.rows, len(shared))

    def _prepare(self, folds: int) -> None:
        for number in range(len(self.folds), folds):
            fold, visible = self.contest.fold(self.part, self.number, number)
            self.folds.append(fold)
            sheet = Sheet(visible, fold.row, fold.column, len(self.contest.frame))
            self._sheets.append(self.crew.share(sheet))

    def _seconds(self, stands: Sequence[Stand], pace: float, folds: int) -> float:
        """Wall time that their fits should take."""
        each = [stand.predicted(self.part.size, pace) or 0.0 for stand in stands]
        return folds * sum(each) / self.crew.slots

    def _within(self, stands: Sequence[Stand], budget: Budget, pace: float, folds: int) -> list[Stand]:
        """Those for which there should be time, and the plain ones in any case."""
        kept: list[Stand] = []
        for stand in stands:
            before, own = self._seconds(kept, pace, folds), self._seconds([stand], pace, folds)
            if stand.candidate.plain or before + own <= budget.left:
                kept.append(stand)
                continue
            left = max(budget.left - before, 0.0)
            stand.out(
                "skipped",
                f"{folds} fit{'s' if folds > 1 else ''} on {self.rung.rows:,} rows should take "
                f"{duration(own * self.crew.slots)}, and {duration(left * self.crew.slots)} were left",
            )
        return kept

    def _take(self, stand: Stand, outcome: Outcome) -> None:
        stand.took(outcome, float(self.part.size))
        if outcome.status in ("failed", "out_of_memory"):
            stand.out("failed", outcome.reason)
        elif outcome.status == "too_large":
            stand.out("skipped", outcome.reason)
        elif outcome.values is not None:
            self._values.setdefault(stand.candidate.name, {})[outcome.job.fold] = outcome.values
        elif stand.status == "scored":
            stand.reason = outcome.reason  # stands, unless other folds are enough

    def _board(self, values: dict[str, dict[int, Floats]], shared: Sequence[int]) -> Board:
        columns, folds = self.contest.columns, [self.folds[number] for number in shared]
        losses = {
            name: [
                columns.distance(fold.truth, filled[number], fold.column)
                for number, fold in zip(shared, folds, strict=True)
            ]
            for name, filled in values.items()
        }
        return Board(columns, folds, losses)


def ranked(stands: Sequence[Stand]) -> list[Stand]:
    """The least error first, those without one in the order from plain to costly."""
    return sorted(stands, key=lambda stand: (stand.error or 0.0, stand.candidate.plainness))


def without(part: pd.DataFrame, hidden: Mask) -> pd.DataFrame:
    """A copy with the hidden entries missing; its rows are numbered anew."""
    return part.mask(hidden).reset_index(drop=True)
