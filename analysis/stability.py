"""Does the order of the methods stand? Their average ranks as other people would have counted."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.again import Again
from analysis.averages import cells
from analysis.canvas import GREY, INK, LINE, PAPER, QUIET, SERIES
from analysis.comparison import POLICIES
from analysis.drawing import LETTER, WIDTH, About, Drawing, Scale
from analysis.grid import Column, Entry, Grid
from analysis.plots import bottom_axis
from analysis.ranking import BASELINE, only_split
from analysis.records import labelled
from analysis.schema import CELL, METRICS, counted, cut, each, find_metric

KINDS = {
    "main": ("as on the leaderboard", "D", INK),
    "score": ("another score", "s", SERIES["--series-2"]),
    "policy": ("missing cells counted otherwise", "^", SERIES["--series-1"]),
    "dataset": ("one dataset left out", "o", GREY),
}
"""Kind of view -> (what it is, its shape, its colour)."""


def stability(records: pd.DataFrame, metric: str = "mae", *, split: str | None = None) -> pd.DataFrame:
    """Average rank of each method in every view of the same results.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.
    metric
        The score of the leaderboard; every other score that the records hold is a view of its own.
    split
        As for `analysis.ranking.leaderboard`.

    Returns
    -------
    pandas.DataFrame
        ``kind`` (a key of `KINDS`), ``view`` (in words), ``label``, ``rank`` (average over the cells of the
        view, 1 is best) and ``cells`` (their number). The main view comes first. A view in which fewer than
        two methods can be compared is left out.
    """
    parts = []
    for kind, view, losses in _views(only_split(labelled(records), split), metric):
        if len(losses) and losses.shape[1] > 1:
            ranks = losses.round(9).rank(axis=1).mean()
            told = {"kind": kind, "view": view, "label": ranks.index, "rank": ranks.to_numpy()}
            parts.append(pd.DataFrame({**told, "cells": len(losses)}))
    columns = ["kind", "view", "label", "rank", "cells"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _views(rows: pd.DataFrame, metric: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(kind, what it is, losses by cell and label) of every view."""
    losses = _losses(rows, metric)
    whole = losses.dropna()
    title = find_metric(metric).title
    yield "main", f"{title}, cells that every method completed", whole
    for key, other in METRICS.items():
        if key != metric and rows[key].notna().any():
            yield "score", f"by {other.title}", _losses(rows, key).dropna()
    if len(whole) < len(losses):
        worst = losses.apply(lambda row: row.fillna(row.max()), axis=1)
        yield "policy", POLICIES["worst"], worst.dropna()
        if BASELINE in losses:
            plain = losses.apply(lambda row: row.fillna(row[BASELINE]), axis=1)
            yield "policy", POLICIES["baseline"], plain.dropna()
    datasets = whole.index.get_level_values("dataset")
    if datasets.nunique() > 1:
        for dataset in sorted(datasets.unique()):
            yield "dataset", f"without {dataset}", whole[datasets != dataset]


def _losses(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Distance from the perfect score: cells down, labels across, null where a score is not complete."""
    scores = cells(rows, metric)
    done = scores[scores["complete"]]
    losses = done.assign(loss=find_metric(metric).loss(done["mean"])).pivot(
        index=CELL, columns="label", values="loss"
    )
    return losses.reindex(pd.MultiIndex.from_frame(scores[CELL].drop_duplicates()))


def picture(table: pd.DataFrame, *, again: Again | None = None) -> str | None:
    """A row for each method, a mark for each view at the average rank it gives; None without other views."""
    if table.empty or table["view"].nunique() < 2:
        return None
    main = table[table["kind"].eq("main")].set_index("label")["rank"]
    if main.empty:
        return None
    rest = [label for label in table["label"].unique() if label not in main.index]
    order = [*main.sort_values(kind="stable").index, *sorted(rest)]
    left, top, step = LETTER * min(max(map(len, order)), 32) + 20, 34, 26
    bottom = top + step * len(order)
    drawing = Drawing("stability", WIDTH, bottom + 44)
    x = Scale(0.7, max(table["rank"].max(), 2) + 0.3, left, WIDTH - 10)
    bottom_axis(drawing, x, top - 6, bottom, "average rank over the cells of the view; 1 is best", most=12)
    at = left
    for kind, (words, shape, colour) in KINDS.items():
        if table["kind"].eq(kind).any():
            drawing.mark(at + 5, 10, colour, shape, 4)
            drawing.text(at + 15, 10, words, QUIET, size=11)
            at += 15 + LETTER * len(words) + 22
    for index, label in enumerate(order):
        y, part = top + step * (index + 0.5), table[table["label"].eq(label)]
        named = About([], method=label)
        drawing.text(left - 12, y, cut(label, 32), INK, anchor="end", about=named)
        drawing.line([(x(part["rank"].min()), y), (x(part["rank"].max()), y)], LINE, 3, about=named)
        for row in sorted(each(part), key=lambda row: -list(KINDS).index(row.kind)):
            _, shape, colour = KINDS[row.kind]
            told = [
                f"{label}: average rank {row.rank:.2f}",
                str(row.view),
                f"over {counted(row.cells, 'cell')}",
            ]
            size, opacity = (5.5, 1.0) if row.kind == "main" else (4.0, 0.85)
            about = About(told, method=label)
            drawing.mark(x(row.rank), y, colour, shape, size, edge=PAPER, opacity=opacity, about=about)
    ends = ", ".join(
        f"{label} {part['rank'].min():.2f} to {part['rank'].max():.2f}"
        for label, part in ((label, table[table["label"].eq(label)]) for label in order)
    )
    return drawing.svg("Average ranks in every view", f"Least and greatest average rank: {ends}.")


def grid(table: pd.DataFrame) -> Grid | None:
    """Each method's rank on the leaderboard and the ranks that other views give it; None without others."""
    if table.empty or table["view"].nunique() < 2:
        return None
    main = table[table["kind"].eq("main")].set_index("label")["rank"].sort_values(kind="stable")
    kinds = [kind for kind in KINDS if kind != "main" and table["kind"].eq(kind).any()]
    leads = table["rank"].eq(table.groupby("view")["rank"].transform("min"))
    body = []
    for label in main.index:
        own = table[table["label"].eq(label)]
        row = [Entry(label, method=label), Entry(f"{main[label]:.2f}", value=float(main[label]))]
        for kind in kinds:
            ranks = own.loc[own["kind"].eq(kind), "rank"]
            ends = list(dict.fromkeys(f"{end:.2f}" for end in (ranks.min(), ranks.max())))
            note = "" if len(ranks) else "not comparable in any such view"
            row.append(Entry("–" if note else " to ".join(ends), note=note))
        furthest = own.loc[(own["rank"] - main[label]).abs().idxmax()]
        moved = furthest["rank"] != main[label]
        row.append(Entry(f"{furthest['rank']:.2f}, {furthest['view']}" if moved else "it stays"))
        firsts = int(leads[own.index].sum())
        row.append(Entry(f"{firsts} of {table['view'].nunique()}", value=float(firsts)))
        body.append(row)
    columns = [
        Column("method", False),
        Column("average rank", explanation=KINDS["main"][0]),
        *(Column(KINDS[kind][0], False, "least and greatest average rank") for kind in kinds),
        Column("furthest from it", False, prose=True),
        Column("first in", explanation="views in which it leads"),
    ]
    return Grid("Ranks in other views", columns, body)
