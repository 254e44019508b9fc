"""What a person sees while a sweep runs: how far it is, how long it will take, who leads.

On a terminal a live view; elsewhere a plain line now and then, fit for a log.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import pandas as pd
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

import analysis
from orchestrator.trial import TrialSpec

LOG_EVERY_SECONDS = 10.0
LEADERS = 10


class Progress:
    """Context manager and listener: call it with the summary of each trial that ended.

    Parameters
    ----------
    todo
        The trials that are about to run.
    done
        Summaries of trials that have their records already: for the leaderboard, not for the speed.
    console
        Where to print.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        todo: Sequence[TrialSpec],
        done: Sequence[dict[str, Any]] = (),
        *,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.console = console
        self.clock = clock
        self.rows = list(done)
        self.total = len(todo)
        self.ended = 0
        self.failed = 0
        self._waiting: dict[tuple[str, str], int] = defaultdict(int)
        for spec in todo:
            self._waiting[spec.method, spec.dataset] += 1
        self._seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._live: Live | None = None
        self._ranked: pd.DataFrame | None = None
        self._rank_again = 0.0
        self._began = self._first = self._logged = clock()

    def __enter__(self) -> Progress:
        self._began = self._logged = self.clock()
        if self.console.is_terminal:
            self._live = Live(console=self.console, get_renderable=self._view, refresh_per_second=2)
            self._live.start()
        else:
            self.console.print(f"{self.total} trials to run; starting Ray and its workers")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self.ended:
            self.console.print(self._line(), soft_wrap=True)

    def __call__(self, summary: dict[str, Any]) -> None:
        """Take in a trial that ended."""
        if self.ended == 0:
            self._first = self.clock()
        self.ended += 1
        self.rows.append(summary)
        cell = summary["method"], summary["dataset"]
        self._waiting[cell] -= 1
        self._seconds[cell].append((summary["finished_at"] - summary["started_at"]).total_seconds())
        if summary["status"] != "ok":
            self.failed += 1
            what = f"{summary['method']} on {summary['dataset']}, {summary['mechanism']} {summary['ratio']:g}"
            self.console.print(f"{summary['status']}: {what}, mask {summary['mask_seed']}", style="red")
        if self._live is None and self.clock() - self._logged >= LOG_EVERY_SECONDS:
            self._logged = self.clock()
            self.console.print(self._line(), soft_wrap=True)

    def remaining_seconds(self) -> float | None:
        """Expected time to the end; None while most of what waits is of methods not seen yet."""
        seen = {method for method, _ in self._seconds}
        unseen = sum(count for (method, _), count in self._waiting.items() if method not in seen)
        if self.ended == 0 or unseen > (self.total - self.ended) / 2:
            return None
        work = sum(count * self._expected(*cell) for cell, count in self._waiting.items() if count > 0)
        spent = sum(sum(seconds) for seconds in self._seconds.values())
        # how many trials ran at once, on average; the first one's start is not seen from here
        elapsed = max(self.clock() - self._first + statistics.median(self._all_seconds()), 1e-3)
        return work / max(spent / elapsed, 0.1)

    def _expected(self, method: str, dataset: str) -> float:
        same = self._seconds.get((method, dataset))
        if same:
            return statistics.median(same)
        alike = [s for (other, _), seconds in self._seconds.items() if other == method for s in seconds]
        return statistics.mean(alike or self._all_seconds())

    def _all_seconds(self) -> list[float]:
        return [s for seconds in self._seconds.values() for s in seconds]

    def _line(self) -> str:
        share = self.ended / self.total if self.total else 1.0
        parts = [
            f"{self.ended}/{self.total} trials ({share:.0%})",
            f"{duration(self.clock() - self._began)} gone",
        ]
        remaining = self.remaining_seconds()
        if remaining is not None and self.ended < self.total:
            parts.append(f"about {duration(remaining)} left")
        if self.failed:
            parts.append(f"{self.failed} failed")
        leaders = self._board()["label"].tolist() if self.rows else []
        if leaders:
            parts.append(f"leading: {', '.join(leaders[:3])}")
        return "; ".join(parts)

    def _board(self) -> pd.DataFrame:
        """The leaderboard as of now, or of a moment ago: it may take no more than a twentieth of the time."""
        began = self.clock()
        if self._ranked is None or began >= self._rank_again:
            self._ranked = analysis.leaderboard(pd.DataFrame(self.rows))
            self._rank_again = began + max(1.0, 20 * (self.clock() - began))
        return self._ranked

    def _view(self) -> Group:
        if self.ended == 0:
            status = f"starting Ray and its workers, {duration(self.clock() - self._began)}"
        else:
            status = self._line()
        bar = ProgressBar(total=max(self.total, 1), completed=self.ended, width=60)
        parts: list[Any] = [Text(status), bar, Text()]  # the bar ends no line
        if self.ended:
            parts.append(self._leaders())
        return Group(*parts)

    def _leaders(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("method")
        for heading in ("rank", "vs mean", "MAE", "trials"):
            table.add_column(heading, justify="right")
        for row in self._board().head(LEADERS).to_dict("records"):
            numbers = [(row["average_rank"], ".1f"), (row["relative_error"], ".2f"), (row["mae"], ".3f")]
            shown = [format(value, form) if pd.notna(value) else "–" for value, form in numbers]
            table.add_row(str(row["label"]), *shown, str(row["trials"]))
        return table


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(4.2), duration(75), duration(7300)
    ('4 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
