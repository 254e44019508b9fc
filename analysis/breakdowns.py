"""Where each method is good: by mechanism, ratio, size of the table and kind of column.

Levels are looked at side by side. Those of a mechanism or ratio are the same tables again; those of a size or
kind are other tables, and what differs between two of them may be due to anything else in which they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.averages import cells
from analysis.grid import Column, Entry, Grid
from analysis.ranking import BASELINE, only_split
from analysis.records import labelled
from analysis.schema import (
    CELL,
    METRICS,
    counted,
    each,
    find_metric,
    mechanism_order,
    mechanism_text,
    ratio_text,
)

ROWS = (500, 2_000, 10_000)
COLUMNS = (10, 30)
"""Bounds of the classes of size, each class up to and with its bound."""

_TIE = 9  # losses that agree to so many decimals share a rank


@dataclass(frozen=True)
class Dimension:
    """Something to break results down by.

    Attributes
    ----------
    title
        What it is called.
    level
        From scores, as `analysis.cells` gives them with the records' ``n_rows, n_columns`` and the metric
        ``key``, to the level of each.
    text
        A level in words.
    order
        A sort key of levels; they sort as they are without.
    remark
        What to bear in mind.
    """

    title: str
    level: Callable[[pd.DataFrame], pd.Series]
    text: Callable[[Any], str]
    order: Callable[[Any], Any] = lambda level: level
    remark: str = ""


_OTHERS = "The levels hold different data sets, which may differ in more than this."
_KINDS = {"mae": "numeric columns", "accuracy": "categorical columns"}


def _class(column: str, bounds: tuple[int, ...]) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda scores: pd.Series(np.searchsorted(bounds, scores[column]), index=scores.index)


def _class_text(noun: str, bounds: tuple[int, ...]) -> Callable[[int], str]:
    def text(place: int) -> str:
        if place == len(bounds):
            return f"over {bounds[-1]:,} {noun}"
        return (
            f"{bounds[place - 1] + 1:,} to {bounds[place]:,} {noun}" if place else f"to {bounds[0]:,} {noun}"
        )

    return text


DIMENSIONS: Mapping[str, Dimension] = {
    "mechanism": Dimension("mechanism", lambda scores: scores["mechanism"], mechanism_text, mechanism_order),
    "ratio": Dimension("share asked to be missing", lambda scores: scores["ratio"], ratio_text),
    "rows": Dimension("rows of the table", _class("n_rows", ROWS), _class_text("rows", ROWS), remark=_OTHERS),
    "columns": Dimension(
        "columns of the table", _class("n_columns", COLUMNS), _class_text("columns", COLUMNS), remark=_OTHERS
    ),
    "kind": Dimension(
        "kind of column",
        lambda scores: scores["key"].map(_KINDS),
        str,
        list(_KINDS.values()).index,
        "Numeric columns by MAE, categorical ones by the share not restored. " + _OTHERS,
    ),
}
"""What results can be broken down by."""


def breakdown(
    records: pd.DataFrame, *, by: str, metric: str = "mae", split: str | None = None
) -> pd.DataFrame:
    """Each method's error and rank at each level of one dimension.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.
    by
        A key of `DIMENSIONS`.
    metric
        A key of `analysis.schema.METRICS`; for ``kind`` it is MAE and accuracy, whatever is said here.
    split
        As for `analysis.leaderboard`.

    Returns
    -------
    pandas.DataFrame
        One row for each level and label, levels in their order, labels by name:

        - ``level``: in words;
        - ``label, method``;
        - ``relative_error``: median over the ranked cells of the loss divided by that of mean imputation in
          the same cell; null where ``mean`` was not run or makes no error;
        - ``average_rank``: over the ranked cells; null for a label that completed none of the level's;
        - ``cells, datasets``: the ranked cells, those that every label with a complete cell in this level
          completed, and their data sets; ``cells_seen``: all of the level in which any label has the score.

        ``frame.attrs`` holds ``by``, ``metric`` (a title) and ``split``.

    Raises
    ------
    ValueError
        If there is no such dimension or metric.
    """
    if by not in DIMENSIONS:
        raise ValueError(f"unknown breakdown {by!r}; the breakdowns are {', '.join(DIMENSIONS)}")
    return _breakdowns(records, [by], metric, split)[0]


def breakdowns(records: pd.DataFrame, *, metric: str = "mae", split: str | None = None) -> list[pd.DataFrame]:
    """Every breakdown that has more than one level, as `breakdown` gives it."""
    tables = _breakdowns(records, list(DIMENSIONS), metric, split)
    return [table for table in tables if table["level"].nunique() > 1]


def _breakdowns(
    records: pd.DataFrame, names: Sequence[str], metric: str, split: str | None
) -> list[pd.DataFrame]:
    chosen = find_metric(metric)
    rows = only_split(labelled(records), split)
    shown = str(rows["split"].iloc[0]) if len(rows) else None
    keys = {name: tuple(_KINDS) if name == "kind" else (chosen.key,) for name in names}
    needed = dict.fromkeys(key for held in keys.values() for key in held)
    # A score that no row has gives no level; the first is kept for its columns.
    losses = {key: _losses(rows, key) for key in needed if key == chosen.key or rows[key].notna().any()}
    tables = []
    for name in names:
        held = [losses[key] for key in keys[name] if key in losses]
        table = _table(DIMENSIONS[name], pd.concat(held or [losses[chosen.key][:0]], ignore_index=True))
        title = " and ".join(METRICS[key].title for key in keys[name])
        table.attrs = {"by": name, "metric": title, "split": shown}
        tables.append(table)
    return tables


def _table(dimension: Dimension, losses: pd.DataFrame) -> pd.DataFrame:
    """The levels of one dimension below one another."""
    columns = ["label", "method", "relative_error", "average_rank", "cells", "datasets", "cells_seen"]
    levels = dimension.level(losses)
    parts = [
        _level(losses[levels.eq(level)]).assign(level=dimension.text(level))
        for level in sorted(levels.unique(), key=dimension.order)
    ]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["level", *columns])
    return table[["level", *columns]]


def breakdown_grid(table: pd.DataFrame) -> Grid:
    """A breakdown as a table to render: methods down, levels across."""
    dimension = DIMENSIONS[table.attrs["by"]]
    levels = list(dict.fromkeys(table["level"]))
    place = table.set_index(["label", "level"])
    # By the mean over levels, so that who is good everywhere stands on top.
    ranks = table.groupby("label")["average_rank"].mean()
    names = sorted(ranks.index, key=lambda name: (np.isnan(ranks[name]), ranks[name], name))
    best = table.groupby("level")["relative_error"].min()
    best_rank = table.groupby("level")["average_rank"].min()
    body = []
    for name in names:
        entries = [Entry(name, method=name)]
        for level in levels:
            row = place.loc[(name, level)] if (name, level) in place.index else None
            if row is None or pd.isna(row["average_rank"]):
                entries.append(Entry("–", note="no record" if row is None else "no cell completed by all"))
                continue
            rank, error = row["average_rank"], row["relative_error"]
            if pd.isna(error):
                mark = "best" if rank == best_rank[level] and len(names) > 1 else ""
                entries.append(Entry(f"rank {rank:.2f}", "", float(rank), mark))
                continue
            mark = "best" if error == best[level] and len(names) > 1 else ""
            entries.append(Entry(f"{error:.2f}", f"rank {rank:.2f}", float(error), mark))
        body.append(entries)
    held = {row.level: row for row in each(table.drop_duplicates("level"))}
    columns = [Column(level, explanation=counted(held[level].datasets, "data set")) for level in levels]
    counts = "; ".join(f"{level} {row.cells} of {row.cells_seen}" for level, row in held.items())
    remarks = [f"Cells that all completed: {counts}.", *filter(None, [dimension.remark])]
    if table["relative_error"].isna().all():
        remarks.append("No error beside that of mean imputation, which was not run in these cells.")
    return Grid(
        f"{table.attrs['metric']} by {dimension.title}",
        [Column("method", number=False), *columns],
        body,
        tuple(remarks),
        "median error divided by that of mean imputation in the same cell; average rank over the same cells",
    )


def _losses(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Scores with their ``loss``, the table's size and ``key``; of cells in which any label has the score."""
    sizes = rows.groupby("dataset")[["n_rows", "n_columns"]].max()
    scores = cells(rows, key).join(sizes, on="dataset")
    scores = scores[scores.groupby(CELL)["n"].transform("max").gt(0)]
    return scores.assign(loss=find_metric(key).loss(scores["mean"]).where(scores["complete"]), key=key)


def _level(losses: pd.DataFrame) -> pd.DataFrame:
    """Medians and ranks over the cells of one level that all of its contenders completed."""
    cell = [*CELL, "key"]
    whole = losses.pivot_table(index=cell, columns="label", values="loss").dropna()
    ranks = whole.round(_TIE).rank(axis=1).mean()
    base = losses[losses["method"].eq(BASELINE)].drop_duplicates(cell).set_index(cell)["loss"]
    shares = whole.div(base.reindex(whole.index).where(lambda loss: loss > 0), axis=0).median()
    labels = losses[["label", "method"]].drop_duplicates().sort_values("label")
    return labels.assign(
        relative_error=labels["label"].map(shares),
        average_rank=labels["label"].map(ranks),
        cells=len(whole),
        datasets=whole.index.get_level_values("dataset").nunique(),
        cells_seen=len(losses[cell].drop_duplicates()),
    )
