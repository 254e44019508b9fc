"""Scores averaged the right way, and tables in the style of the papers.

A *cell* is one imputation problem: a dataset under one mechanism and ratio, in one protocol and split. Mask
seeds are repetitions inside a cell: they are averaged there and never counted as problems of their own.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.grid import Column, Entry, Grid
from analysis.records import labelled
from analysis.schema import (
    CELL,
    SPLITS,
    STATUSES,
    STRATUM,
    counted,
    each,
    find_metric,
    mechanism_order,
    mechanism_text,
    ratio_text,
)


def cells(records: pd.DataFrame, metric: str = "mae") -> pd.DataFrame:
    """One score for each cell and method: the mean over mask seeds, and all that is missing from it.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.
    metric
        A key of `analysis.schema.METRICS`.

    Returns
    -------
    pandas.DataFrame
        One row for each cell and label that has a record:

        - ``protocol, split, dataset, mechanism, ratio``: the cell;
        - ``label, method``: who;
        - ``mean, std``: over mask seeds, ``std`` with ddof 1 and so null for one seed; null without any
          value;
        - ``n``: mask seeds with a value; ``n_expected``: mask seeds that any method has a record of in the
          cell;
        - ``n_failed``: trials that failed; ``n_null``: trials that succeeded without this score;
        - ``complete``: whether every expected mask seed has a value;
        - ``note``: why the score is not complete, in words; empty where it is.

    Raises
    ------
    ValueError
        If there is no such metric.
    """
    chosen = find_metric(metric)
    rows = labelled(records)
    scored = rows["status"].eq("ok") & rows[chosen.key].notna()
    work = rows[[*CELL, "label", "method", "mask_seed"]].assign(
        value=rows[chosen.key].where(scored),
        scored=scored,
        failed=rows["status"].ne("ok"),
        null=rows["status"].eq("ok") & rows[chosen.key].isna(),
    )
    result = (
        work.groupby([*CELL, "label", "method"], dropna=False, sort=True)
        .agg(
            mean=("value", "mean"),
            std=("value", "std"),
            n=("scored", "sum"),
            n_failed=("failed", "sum"),
            n_null=("null", "sum"),
        )
        .reset_index()
    )
    expected = work.groupby(CELL, dropna=False)["mask_seed"].nunique().rename("n_expected").reset_index()
    result = result.merge(expected, on=CELL, how="left")
    result["complete"] = result["n"].ge(result["n_expected"]) & result["n"].gt(0)
    result["note"] = _notes(rows, result, chosen.key)
    ordered = ["mean", "std", "n", "n_expected", "n_failed", "n_null", "complete", "note"]
    return result[[*CELL, "label", "method", *ordered]]


def strata(records: pd.DataFrame) -> list[dict[str, Any]]:
    """The (protocol, split, mechanism, ratio) that occur, each as a dict that `paper_table` takes."""
    found = records[STRATUM].drop_duplicates().sort_values(STRATUM).to_dict("records")
    found.sort(key=lambda row: mechanism_order(row["mechanism"]))
    return [{str(key): value for key, value in row.items()} for row in found]


def paper_table(
    records: pd.DataFrame,
    *,
    metric: str = "mae",
    mechanism: str,
    ratio: float | None = None,
    protocol: str | None = None,
    split: str | None = None,
    order: list[str] | None = None,
    short: dict[str, str] | None = None,
) -> Grid:
    """Methods down, datasets across, mean ± standard deviation over mask seeds.

    The best mean of a column is bold and the second best underlined, compared as printed: means that print
    alike tie, and two that tie for the first place leave no second. A mean over fewer mask seeds than others
    have is shown with a note and takes no part; nor does a column with one method.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.
    metric
        A key of `analysis.schema.METRICS`.
    mechanism
        As in the records.
    ratio, protocol, split
        Which to show; may be left out where the records hold but one.
    order
        Labels in the order of the rows; those it does not name follow, by name.
    short
        Headings for datasets; those it does not name stand as they are.

    Raises
    ------
    ValueError
        If nothing matches, or `ratio`, `protocol` or `split` is left out where the records hold several.
    """
    chosen = find_metric(metric)
    asked = {"protocol": protocol, "split": split, "mechanism": mechanism, "ratio": ratio}
    rows = labelled(records)
    for key, value in asked.items():
        present = sorted(rows[key].dropna().unique())
        if value is not None:
            rows = rows[rows[key] == value]
        elif len(present) > 1:
            raise ValueError(f"the records hold several values of {key}: {present}; say which")
        if rows.empty:
            raise ValueError(f"no record with {key}={value!r}; there are {present}")
    stratum = rows[STRATUM].iloc[0]
    scores = cells(rows, chosen.key)
    datasets = sorted(scores["dataset"].unique())
    names = sorted(scores["label"].unique())
    rank = {label: index for index, label in enumerate(order or [])}
    names.sort(key=lambda label: (rank.get(label, len(rank)), label))

    marks = _marks(scores, chosen.key)
    by_place = {(row.label, row.dataset): row for row in each(scores)}
    body = []
    for name in names:
        entries = [Entry(name)]
        for dataset in datasets:
            row = by_place.get((name, dataset))
            if row is None:
                entries.append(Entry("–", note="no record"))
                continue
            spread = f"± {row.std * chosen.unit_scale:.{chosen.digits}f}" if pd.notna(row.std) else ""
            value = None if pd.isna(row.mean) else float(row.mean)
            mark = marks.get((name, dataset), "")
            entries.append(Entry(chosen.text(value), spread, value, mark, str(row.note)))
        body.append(entries)

    seeds = sorted(scores["n_expected"].unique())
    repeats = (
        f"{seeds[0]} to {seeds[-1]} mask seeds" if len(seeds) > 1 else counted(int(seeds[0]), "mask seed")
    )
    spread_text = "mean ± standard deviation over" if seeds[-1] > 1 else "one value from"
    split_text = SPLITS.get(stratum["split"], str(stratum["split"]))
    detail = (
        f"{ratio_text(stratum['ratio'])} asked to be missing, {split_text}, protocol {stratum['protocol']}; "
        f"{spread_text} {repeats}"
    )
    headings = [Column((short or {}).get(name, name), explanation=name) for name in datasets]
    caption = f"{chosen.title} under {mechanism_text(stratum['mechanism'])}"
    return Grid(caption, [Column("method", number=False), *headings], body, detail=detail)


def _marks(scores: pd.DataFrame, key: str) -> dict[tuple[str, str], str]:
    """Which (label, dataset) is best and which second, as printed."""
    chosen = find_metric(key)
    marks: dict[tuple[str, str], str] = {}
    for _, column in scores[scores["complete"]].groupby("dataset"):
        if len(column) < 2:
            continue
        printed = (column["mean"] * chosen.unit_scale).round(chosen.digits) / chosen.unit_scale
        places = chosen.loss(printed).round(12).rank(method="min")
        for place, mark in ((1, "best"), (2, "second")):
            for row in each(column[places == place]):
                marks[str(row.label), str(row.dataset)] = mark
    return marks


def _notes(rows: pd.DataFrame, result: pd.DataFrame, key: str) -> list[str]:
    """Why each row of `result` is incomplete; the empty string where it is complete."""
    reasons: dict[tuple[object, ...], str] = {}
    trouble = rows[rows["status"].ne("ok") | rows[key].isna()]
    for place, group in trouble.groupby([*CELL, "label"], dropna=False):
        ended = group.loc[group["status"].ne("ok"), "status"].value_counts()
        parts = [f"{count} {STATUSES.get(str(status), str(status))}" for status, count in ended.items()]
        null = group[group["status"].eq("ok")]
        if len(null):
            told: Any = null[f"{key}_note"].dropna().unique() if f"{key}_note" in null else []
            parts.append("; ".join(sorted(map(str, told))) or "this score does not apply")
        reasons[place] = "; ".join(parts)
    notes = []
    for row in each(result):
        if row.complete:
            notes.append("")
            continue
        parts = [reasons.get((*row[: len(CELL)], row.label), "")]
        absent = row.n_expected - row.n - row.n_failed - row.n_null
        if absent > 0:
            parts.append(f"{counted(absent, 'mask seed')} not yet run")
        head = f"{row.n} of {counted(row.n_expected, 'mask seed')}, not ranked: " if row.n else ""
        notes.append(head + "; ".join(filter(None, parts)))
    return notes
