"""How far several imputations of one entry lie apart: by column, and the entries where they do most.

A number's spread is set against the standard deviation of what is observed of its column, so that columns
compare; a category's is the share of draws that disagree with the value filled in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.contrast import Contrast
from analysis.filled_grids import number, place_text, width_text
from analysis.grid import Column, Entry, Grid
from analysis.schema import counted, cut, each
from analysis.story import Counted

DAY = 86_400e9  # nanoseconds
HARDLY = 0.02
"""Standard deviations of a column, or share of draws, below which a spread is as good as none."""
WIDEST = 20
"""Entries in a table, the widest first."""


def uncertain_grid(found: Counted) -> Grid | None:
    """The spread of each column's filled entries, the most uncertain column first."""
    rows = []
    for shown, part in _columns(found):
        middle, most = part["relative"].median(), part["relative"].max()
        if pd.isna(middle):
            continue
        own = Entry(width_text(part["plain"].median(), shown.kind), value=float(middle))
        said = [Entry("SD of the draws"), own, number(middle, ".2f"), number(most, ".2f")]
        if shown.kind == "category":
            said = [Entry("draws that disagree"), number(middle, ".0%"), Entry("–"), number(most, ".0%")]
        rows.append([Entry(shown.name), Entry(f"{len(part):,}", value=float(len(part))), *said])
    if not rows:
        return None
    rows.sort(key=lambda row: -(row[3].value or 0.0))
    columns = [
        Column("column", number=False),
        Column("filled"),
        Column("measured by", number=False),
        Column("median", explanation="over the column's filled entries"),
        Column("to SD", explanation="median divided by the standard deviation of the observed values"),
        Column("widest", explanation="of a number or date: to that standard deviation, too"),
    ]
    return Grid("Spread over the draws", columns, rows)


def draws_hardly_differ(found: Counted) -> bool:
    """Whether in no column a typical filled entry varies over the draws; False without draws."""
    middles = [part["relative"].median() for _, part in _columns(found)]
    known = [middle for middle in middles if pd.notna(middle)]
    return bool(known) and max(known) < HARDLY


def widest_numbers(found: Counted) -> Grid | None:
    """Numbers and dates whose draws lie furthest apart, in standard deviations of their columns."""
    top = _top(found, category=False)
    if top.empty:
        return None
    rows = [
        [
            Entry(cut(str(row.row), 40)),
            Entry(row.column),
            Entry(_value(row.value, row.kind)),
            Entry(f"{_value(row.low, row.kind)} to {_value(row.high, row.kind)}"),
            Entry(width_text(row.plain, row.kind), value=float(row.plain)),
            number(row.relative, ".2f"),
        ]
        for row in each(top)
    ]
    columns = [
        Column("row", number=False, explanation="its label; rows without one count from 0"),
        Column("column", number=False),
        Column("filled with"),
        Column("90\u202f% of the draws", explanation="from the 5 % to the 95 % quantile"),
        Column("spread", explanation="standard deviation of the draws, in the column's own units"),
        Column("to SD", explanation="divided by the standard deviation of the column's observed values"),
    ]
    return Grid("Numbers of the widest spread", columns, rows, detail=_detail(found, top, category=False))


def disputed_categories(found: Counted) -> Grid | None:
    """Categories on which the draws agree least."""
    top = _top(found, category=True)
    if top.empty:
        return None
    rows = [
        [
            Entry(cut(str(row.row), 40)),
            Entry(row.column),
            Entry(cut(str(row.value), 40)),
            number(row.relative, ".0%"),
        ]
        for row in each(top)
    ]
    columns = [
        Column("row", number=False, explanation="its label; rows without one count from 0"),
        Column("column", number=False),
        Column("filled with", number=False),
        Column("draws that disagree"),
    ]
    return Grid("Categories least agreed on", columns, rows, detail=_detail(found, top, category=True))


def _columns(found: Counted) -> Iterator[tuple[Contrast, pd.DataFrame]]:
    """Each filled column with its entries, ``plain`` its spread as a number, ``relative`` to the column's."""
    spread = found.story.spread
    if spread is None or spread.empty:
        return
    places = spread.groupby(spread["column"].astype(str), sort=False, observed=True).indices
    for shown in found.contrasts:
        if shown.name not in places:
            continue
        part = spread.iloc[places[shown.name]]
        plain = pd.to_numeric(part["spread"], errors="coerce").astype(float)
        plain *= DAY if shown.kind == "date" else 1.0
        deviation = shown.deviations[0]
        scale = 1.0 if shown.kind == "category" else deviation if deviation > 0 else np.nan
        yield shown, part.assign(plain=plain, relative=plain / scale)


def _top(found: Counted, *, category: bool) -> pd.DataFrame:
    parts = [
        part.nlargest(WIDEST, "relative").assign(column=shown.name, kind=shown.kind).astype(object)
        for shown, part in _columns(found)
        if (shown.kind == "category") == category
    ]
    if not parts:
        return pd.DataFrame()
    joined = pd.concat(parts, ignore_index=True)
    positive = joined[joined["relative"].astype(float) > 0]
    return positive.sort_values("relative", ascending=False, kind="stable").head(WIDEST)


def _detail(found: Counted, top: pd.DataFrame, *, category: bool) -> str:
    total = sum(len(part) for shown, part in _columns(found) if (shown.kind == "category") == category)
    return f"{len(top)} of {counted(total, 'filled entry', 'filled entries')}"


def _value(value: Any, kind: str) -> str:
    if pd.isna(value):
        return "–"
    if kind != "date":
        return place_text(float(value), kind)
    return f"{pd.Timestamp(value):%Y-%m-%d}"
