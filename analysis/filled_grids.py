"""Tables of a filled table's page, each a `Grid`, or None where there is nothing to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.contrast import Contrast
from analysis.filled_words import number_text, share_text
from analysis.grid import Column, Entry, Grid
from analysis.schema import cut, each, percent
from analysis.story import Counted

KINDS = "What a column was wrongly taken for is put right by --kind COLUMN=ROLE."


def column_grid(found: Counted) -> Grid:
    """What each column was taken for, and what was done with it."""
    rows, marked = [], "markers" in found.story.columns and found.story.columns["markers"].any()
    for place, row in enumerate(each(found.story.columns)):
        missing, left = int(found.missing[place]), int(found.left[place])
        filled = missing - left
        if not missing:
            done = "complete"
        elif not left:
            done = f"filled by {found.story.method}"
        else:
            done = f"{filled:,} filled, {left:,} left" if filled else "left as it was"
        rows.append(
            [
                Entry(found.names[place]),
                Entry(str(row.role)),
                Entry(str(row.reason)),
                *([Entry(str(row.markers or ""))] if marked else []),
                Entry(f"{missing:,}", value=float(missing)),
                Entry(share_text(missing / max(found.n_rows, 1)), value=missing / max(found.n_rows, 1)),
                Entry(done, mark="alarm" if left else ""),
            ]
        )
    columns = [
        Column("column", number=False),
        Column("taken for", number=False),
        Column("because", number=False, prose=True),
        *([Column("holes written as", number=False, prose=True)] if marked else []),
        Column("missing"),
        Column("share"),
        Column("done", number=False),
    ]
    return Grid("Columns of the table", columns, rows, remarks=[KINDS])


def number_grid(contrasts: Sequence[Contrast]) -> Grid | None:
    """Means and standard deviations, observed against filled."""
    shown = [found for found in contrasts if found.kind != "category"]
    if not shown:
        return None
    rows = []
    for found in shown:
        means = [place_text(mean, found.kind) for mean in found.means]
        widths = [width_text(deviation, found.kind) for deviation in found.deviations]
        rows.append(
            [
                Entry(found.name),
                Entry(f"{found.n_filled:,}", value=float(found.n_filled)),
                Entry(means[0], value=plain(found.means[0])),
                Entry(means[1], value=plain(found.means[1])),
                number(found.shift, "+.2f"),
                Entry(widths[0], value=plain(found.deviations[0])),
                Entry(widths[1], value=plain(found.deviations[1])),
                number(found.narrowing, ".2f"),
            ]
        )
    columns = [
        Column("column", number=False),
        Column("filled"),
        Column("mean observed"),
        Column("mean filled"),
        Column("shift", explanation="difference of the means in standard deviations of the observed values"),
        Column("SD observed", explanation="standard deviation of the observed values"),
        Column("SD filled", explanation="standard deviation of the filled values"),
        Column(
            "ratio", explanation="standard deviation of the filled values divided by that of the observed"
        ),
    ]
    return Grid("Numbers and dates, observed and filled", columns, rows)


def category_grid(contrasts: Sequence[Contrast]) -> Grid | None:
    """The most frequent category, observed against filled."""
    shown = [found for found in contrasts if found.kind == "category" and len(found.labels)]
    if not shown:
        return None
    rows = [
        [
            Entry(found.name),
            Entry(f"{found.n_filled:,}", value=float(found.n_filled)),
            Entry(cut(found.labels[0], 40)),
            Entry(percent(found.observed[0]) if found.n_observed else "–", value=found.observed[0]),
            Entry(percent(found.filled[0]), value=found.filled[0]),
            number(found.distance, ".2f"),
        ]
        for found in shown
    ]
    columns = [
        Column("column", number=False),
        Column("filled"),
        Column("most frequent", number=False),
        Column("observed"),
        Column("filled"),
        Column("distance", explanation="0: the same shares of categories; 1: none in common"),
    ]
    return Grid("Categories, observed and filled", columns, rows)


def place_text(value: float, kind: str) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{pd.Timestamp(int(value)):%Y-%m-%d}" if kind == "date" else number_text(value)


def width_text(value: float, kind: str) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{number_text(value / 86_400e9)} d" if kind == "date" else number_text(value)


def plain(value: Any) -> float | None:
    return float(value) if pd.notna(value) else None


def number(value: Any, form: str, *, interval: tuple[Any, Any] | None = None) -> Entry:
    if pd.isna(value):
        return Entry("–")
    text = f"{value:{form}}".replace("-", "−").replace("%", "\u202f%")
    spread = ""
    if interval is not None and all(pd.notna(bound) for bound in interval):
        spread = f"{interval[0]:{form}} to {interval[1]:{form}}"
    return Entry(text, spread=spread, value=float(value))
