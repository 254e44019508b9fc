"""What was done to a table, told in the terminal and on a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.progress import duration
from orchestrator.record import versions

if TYPE_CHECKING:
    from analysis.filled import Story
    from orchestrator.impute.verb import Filled

SHOWN = 40
"""Columns that are shown in the terminal; the page has them all."""


def story(filled: Filled, name: str, command: str) -> Story:
    """What the page tells of the table `name`, filled by `command`."""
    from analysis.filled import Story

    choice = filled.choice
    before, after = filled.prepared.with_holes(), filled.frame.copy(deep=False)
    after.columns = before.columns
    rows = [(c.name, str(c.role), c.reason, c.n_missing, _markers(c.markers)) for c in filled.columns]
    return Story(
        name=name,
        command=command,
        seconds=filled.seconds,
        method=filled.method or "",
        why=filled.why,
        columns=pd.DataFrame(rows, columns=["name", "role", "reason", "n_missing", "markers"]),
        before=before,
        after=after,
        board=choice.board if choice else None,
        choice={"metric": choice.metric, "sure": choice.sure, "hidden": choice.hidden} if choice else None,
        spread=filled.spread,
        versions=versions(),
        warnings=notes(filled),
    )


def notes(filled: Filled) -> list[str]:
    """What was inferred of the file, and what went otherwise than one may expect."""
    return [*(filled.loaded.notes if filled.loaded else ()), *filled.warnings]


def tell(filled: Filled, console: Console) -> None:
    """Say what each column was taken for, what filled them, and what stayed."""
    console.print(_columns(filled))
    if len(filled.columns) > SHOWN:
        console.print(f"... and {len(filled.columns) - SHOWN} more columns, all of them on the page")
    for note in notes(filled):
        console.print(f"[yellow]note:[/yellow] {escape(note)}", soft_wrap=True)
    if filled.method is None:
        console.print(
            "nothing to fill: no column that can be filled has a hole (--missing tells what stands for one)"
        )
        return
    by = f"{filled.method} {json.dumps(dict(filled.params))}" if filled.params else filled.method
    console.print(
        f"filled {filled.n_filled:,} entries by [bold]{escape(by)}[/bold] in {duration(filled.seconds)}: "
        + escape(filled.why),
        soft_wrap=True,
    )
    if filled.choice:
        console.print(f"sure that it is the best of those tried: {filled.choice.sure:.0%}")


def _columns(filled: Filled) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("column", "taken for", "because", "missing", "written as"):
        table.add_column(heading, justify="right" if heading == "missing" else "left", overflow="fold")
    for column in filled.columns[:SHOWN]:
        n_missing = f"{column.n_missing:,}" if column.n_missing else ""
        cells = (column.name, str(column.role), column.reason, n_missing, _markers(column.markers))
        table.add_row(*map(escape, cells))
    return table


def _markers(markers: Mapping[str, int]) -> str:
    return ", ".join(f"{word!r} {count:,}" if word else f"empty {count:,}" for word, count in markers.items())
