"""How methods did on a user's table: those that have an error, and why the others have none."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from analysis.filled_grids import number, plain
from analysis.grid import Column, Entry, Grid
from analysis.plots import duration
from analysis.schema import counted, cut, each
from analysis.story import Story

REASON = 300
"""Letters of a reason that are shown."""


def labelled_board(board: pd.DataFrame) -> pd.DataFrame:
    """A board with a ``label`` for each candidate: its method, with its parameters where it has any."""
    labels = [_label(str(row.method), row.params) for row in each(board)]
    return board.assign(label=labels, reason=board["reason"].fillna(""))


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
    """Every method that has an error, with the rows and folds that it is from; None where none has."""
    if story.board is None:
        return None
    board = labelled_board(story.board)
    chosen = chosen_label(board, story.method)
    board = board[board["error"].notna()]
    if board.empty:
        return None
    shown = [key for key in ("mae", "accuracy", "peak_rss_mb") if board[key].notna().any()]
    rows = [
        [
            Entry(row.label, mark="best" if row.label == chosen else ""),
            number(row.error, ".3f", interval=(row.error_low, row.error_high)),
            *(number(getattr(row, key), _MEASURED[key][0]) for key in shown),
            number(row.n_rows, ",.0f"),
            number(row.n_folds, ".0f"),
            Entry(duration(row.seconds) if pd.notna(row.seconds) else "–", value=plain(row.seconds)),
            Entry("fills the table" if row.label == chosen else _ended(row)),
        ]
        for row in each(board)
    ]
    columns = [
        Column("method", number=False),
        Column("error", explanation=str((story.choice or {}).get("metric") or "")),
        *(_MEASURED[key][1] for key in shown),
        Column("rows", explanation="of the table it was last tried on"),
        Column("folds", explanation="how often it was tried there"),
        Column("time", explanation="of all its fits"),
        Column("how it ended", number=False, prose=True),
    ]
    compared = "Errors from other rows or folds are errors on other entries: compare only equal ones."
    even = board[["n_rows", "n_folds"]].drop_duplicates().shape[0] == 1
    return Grid("Methods on this table", columns, rows, remarks=[] if even else [compared])


def untried_grid(story: Story) -> Grid | None:
    """Methods without an error, those of one reason on one line; None where all have one."""
    if story.board is None:
        return None
    board = labelled_board(story.board)
    board = board[board["error"].isna()]
    if board.empty:
        return None
    rows = [
        [
            Entry(str(status), mark="alarm" if status == "failed" else ""),
            Entry(", ".join(part["label"])),
            Entry(cut(str(reason or ""), REASON)),
        ]
        for (status, reason), part in board.groupby(["status", "reason"], sort=False, dropna=False)
    ]
    columns = [
        Column("how", number=False),
        Column("methods", number=False, prose=True),
        Column("because", number=False, prose=True),
    ]
    return Grid("Methods without an error", columns, rows, detail=counted(len(board), "method"))


_MEASURED = {
    "mae": (".3f", Column("MAE", explanation="of numeric columns, in their standard deviations")),
    "accuracy": (".1%", Column("accuracy", explanation="share of hidden categories that were filled right")),
    "peak_rss_mb": (",.0f", Column("MB", explanation="most memory that it took")),
}


def _ended(row: Any) -> str:
    return cut(str(row.reason), REASON) if row.reason else "scored to the end"
