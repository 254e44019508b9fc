"""Tables of a filled table's page, each a `Grid`, or None where there is nothing to say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.contrast import Contrast
from analysis.filled_words import number_text, share_text
from analysis.grid import Column, Entry, Grid
from analysis.plots import duration
from analysis.schema import cut, each, percent
from analysis.story import Counted, Story

KINDS = "What a column was wrongly taken for is put right by --kind COLUMN=ROLE."
_STATUS = {"scored": "scored", "dropped": "dropped", "skipped": "skipped", "failed": "failed"}


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


def labelled_board(board: pd.DataFrame) -> pd.DataFrame:
    """A board with a ``label`` for each candidate: its method, and its parameters where it has any."""
    labels = [_label(str(row.method), row.params) for row in each(board)]
    return board.assign(label=labels)


def _label(method: str, params: Any) -> str:
    values = json.loads(params) if isinstance(params, str) and params else {}
    if not values:
        return method
    return f"{method} ({', '.join(f'{name} {value}' for name, value in values.items())})"


def chosen_label(board: pd.DataFrame, method: str) -> str:
    """The label of the candidate that filled the table: the first one scored of that method."""
    same = board[board["method"].eq(method) & board["error"].notna()]
    return str(same["label"].iloc[0]) if len(same) else method


def board_grid(story: Story) -> Grid | None:
    """Every method, how it scored and why not further."""
    if story.board is None or story.board.empty:
        return None
    board = labelled_board(story.board)
    chosen = chosen_label(board, story.method)
    rows = [
        [
            Entry(row.label, mark="best" if row.label == chosen else ""),
            Entry("chosen" if row.label == chosen else _STATUS.get(str(row.status), str(row.status)),
                  mark="alarm" if row.status == "failed" else ""),
            number(row.error, ".3f", interval=(row.error_low, row.error_high)),
            number(row.mae, ".3f"),
            number(row.accuracy, ".1%"),
            number(row.n_rows, ",.0f"),
            number(row.n_folds, ".0f"),
            Entry(duration(row.seconds) if pd.notna(row.seconds) else "–", value=plain(row.seconds)),
            number(row.peak_rss_mb, ",.0f"),
            Entry(cut(str(row.reason or ""), 300)),
        ]
        for row in each(board)
    ]  # fmt: skip
    columns = [
        Column("method", number=False),
        Column("how", number=False),
        Column("error", explanation=str((story.choice or {}).get("metric") or "")),
        Column("MAE", explanation="mean absolute error of numeric columns, in their standard deviations"),
        Column("accuracy", explanation="share of hidden categories that were filled right"),
        Column("rows", explanation="of the table it was last tried on"),
        Column("folds", explanation="how often it was tried there"),
        Column("time", explanation="of all its fits"),
        Column("MB", explanation="most memory that it took"),
        Column("why not", number=False, prose=True),
    ]
    remark = "Errors on tables of different rows or folds are not compared: they are other entries."
    return Grid("Methods on this table", columns, rows, remarks=[remark])


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
