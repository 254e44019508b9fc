"""What went wrong, gathered by cause: how often, where, the whole error, and how to see it again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import overview
from analysis.again import Again
from analysis.grid import Column, Entry, Grid
from analysis.schema import STATUSES, counted, cut, each

MOST_TRACES = 5
"""So many whole errors are shown for a cause, of different methods or messages."""

_LONGEST = 20_000  # letters of an error that are shown
_KIND = re.compile(r"([A-Za-z_][\w.]*?(?:Error|Exception|Interrupt|Exit|Warning))\b")


@dataclass(frozen=True)
class Trace:
    """One whole error, and how to see it again."""

    label: str
    text: str
    command: str


@dataclass(frozen=True)
class Cause:
    """Trials that failed for one reason.

    Attributes
    ----------
    title
        How they ended and the kind of error: ``failed: LinAlgError``.
    summary
        How many of whom: ``12 trials of 2 methods``.
    grid
        A row for each method and message.
    traces
        At most `MOST_TRACES`, the most frequent first.
    """

    title: str
    summary: str
    grid: Grid
    traces: Sequence[Trace]


def causes(records: pd.DataFrame, again: Again) -> list[Cause]:
    """The causes of all failures, the most frequent first; empty where nothing failed.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.
    again
        How to run one of the trials again.
    """
    rows = overview.failures(records)
    if rows.empty:
        return []
    rows = rows.assign(cause=[_cause(row.status, row.error) for row in each(rows)])
    totals = rows.groupby("cause")["trials"].sum().sort_values(ascending=False, kind="stable")
    found = []
    for title, trials in zip(totals.index.astype(str), totals, strict=True):
        part = rows[rows["cause"].eq(title)]
        methods = list(dict.fromkeys(part["label"]))
        whom = cut(methods[0], 60) if len(methods) == 1 else counted(len(methods), "method")
        traces = [
            Trace(row.label, cut(row.trace, _LONGEST), again.trial_command(again.key(row.trial_key)))
            for row in each(part.head(MOST_TRACES))
        ]
        summary = f"{counted(int(trials), 'trial')} of {whom}"
        found.append(Cause(title, summary, grid(part, title), traces))
    return found


def grid(rows: pd.DataFrame, title: str = "Trials that did not succeed") -> Grid:
    """A row for each method and message, of failures as `analysis.overview.failures` gives them."""
    body = [
        [
            Entry(str(row.label), method=str(row.label)),
            Entry(STATUSES.get(str(row.status), str(row.status))),
            Entry(f"{row.trials:,}", value=float(row.trials)),
            Entry(cut(str(row.where), 160)),
            Entry(cut(str(row.error), 300) or "no message was recorded"),
        ]
        for row in each(rows)
    ]
    columns = [
        Column("method", False),
        Column("ended", False),
        Column("trials"),
        Column("where", False, prose=True),
        Column("error", False, prose=True),
    ]
    return Grid(title, columns, body)


def _cause(status: str, error: str) -> str:
    """How a trial ended and the kind of its error; a message without a kind counts apart from its numbers.

    >>> _cause("failed", "numpy.linalg.LinAlgError: singular matrix")
    'failed: LinAlgError'
    >>> _cause("timeout", "ended after 600 s"), _cause("out_of_memory", "")
    ('out of time: ended after … s', 'out of memory')
    """
    ended = STATUSES.get(status, status)
    kind = _KIND.match(error)
    told = kind[1].rpartition(".")[2] if kind else re.sub(r"\d[\d.,]*", "…", error)
    return f"{ended}: {cut(told, 100)}" if told else ended
