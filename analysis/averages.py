"""Scores averaged the right way: over mask seeds inside a cell, and never across cells.

A *cell* is one imputation problem: a dataset under one mechanism and ratio, in one protocol and split. Mask
seeds are repetitions inside a cell: they are averaged there and never counted as problems of their own.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.records import labelled
from analysis.schema import CELL, STATUSES, STRATUM, counted, each, find_metric, mechanism_order


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
    notes = dict.fromkeys(result.index, "")
    lacking = result[~result["complete"]]
    for place, row in zip(lacking.index, each(lacking), strict=True):
        parts = [reasons.get((*row[: len(CELL)], row.label), "")]
        absent = row.n_expected - row.n - row.n_failed - row.n_null
        if absent > 0:
            parts.append(f"{counted(absent, 'mask seed')} not yet run")
        head = f"{row.n} of {counted(row.n_expected, 'mask seed')}, not ranked: " if row.n else ""
        notes[place] = head + "; ".join(filter(None, parts))
    return list(notes.values())
