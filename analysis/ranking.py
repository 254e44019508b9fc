"""Who does best over many cells, compared only where everybody can be compared."""

from __future__ import annotations

import pandas as pd

from analysis.averages import cells
from analysis.grid import Column, Entry, Grid
from analysis.records import labelled
from analysis.schema import CELL, counted, find_metric

BASELINE = "mean"
"""The method that errors are given relative to: filling with the observed column mean."""

_TIE = 9  # losses that agree to so many decimals share a rank
_SHOWN = ("mae", "rmse", "wasserstein")


def only_split(records: pd.DataFrame, split: str | None = None) -> pd.DataFrame:
    """The rows of one split: the one asked for, else ``in_sample`` where there is any, else what there is.

    The two splits are different problems of different difficulty, so no summary mixes them.
    """
    present = list(records["split"].dropna().unique())
    chosen = split or ("in_sample" if "in_sample" in present or not present else sorted(present)[0])
    kept = records["split"].eq(chosen)
    return records if kept.all() else records[kept]  # a million rows are not copied for nothing


def relative(scores: pd.DataFrame) -> pd.DataFrame:
    """`scores` with ``relative``: the mean divided by that of mean imputation in the same cell.

    Parameters
    ----------
    scores
        As `analysis.tables.cells` gives them.

    Returns
    -------
    pandas.DataFrame
        1 is mean imputation, 0.4 is 60 % less error. Null where either mean is missing or rests on fewer mask
        seeds than the cell has, and where mean imputation makes no error.
    """
    known = scores[scores["method"].eq(BASELINE) & scores["complete"] & scores["mean"].gt(0)]
    base = known.drop_duplicates(CELL).set_index(CELL)[["mean"]].add_prefix("base_")
    beside = scores[CELL].join(base, on=CELL)["base_mean"]
    return scores.assign(relative=(scores["mean"] / beside).where(scores["complete"]))


def leaderboard(records: pd.DataFrame, *, metric: str = "mae", split: str | None = None) -> pd.DataFrame:
    """Methods ordered by their average rank over the cells that every one of them completed.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them; ``label`` is added where it is not there. May be empty.
    metric
        The score to rank by, a key of `analysis.schema.METRICS`.
    split
        ``in_sample`` or ``out_of_sample``; by default the first of these that occurs.

    Returns
    -------
    pandas.DataFrame
        One row for each label, best first:

        - ``label``, ``method``;
        - ``average_rank``: over the ranked cells, equal scores share their rank; null for a method with no
          complete cell, which then stands last and keeps no other method from being ranked;
        - ``wins``: ranked cells in which no other has a lower error (a tie is a win for each);
        - ``relative_error``: median over the ranked cells of the error divided by that of mean imputation in
          the same cell; null where ``mean`` was not run;
        - ``mae, rmse, wasserstein``: mean over the ranked cells; a score that any ranked method lacks in a
          cell leaves that cell out for all;
        - ``seconds``: median over successful trials of the seconds to fit and impute;
        - ``trials``, ``failures``: those recorded and those among them that failed, in all splits;
        - ``cells``: cells that this method completed, ranked or not.

        ``frame.attrs`` holds ``metric``, ``split``, ``cells_ranked``, ``cells_seen``, ``scored`` (for each
        score shown, the number of cells in its mean) and ``note``, one sentence that says how many cells
        entered.
    """
    chosen = find_metric(metric)
    everything = labelled(records)
    rows = only_split(everything, split)
    scores = relative(cells(rows, chosen.key))
    contenders = sorted(scores.loc[scores["complete"], "label"].unique())
    seen = len(scores[CELL].drop_duplicates())
    # Rows are cells, columns are contenders, null where the contender did not complete the cell.
    table = scores[scores["complete"]].pivot_table(index=CELL, columns="label", values="mean", dropna=False)
    ranked = table.dropna() if len(table) else table
    losses = ranked.apply(chosen.loss).round(_TIE) if len(ranked) else ranked
    ranks = losses.rank(axis=1, method="average")

    frame = _effort(everything).reindex(sorted(everything["label"].unique()))
    frame["average_rank"] = ranks.mean() if len(ranked) else float("nan")
    frame["wins"] = losses.eq(losses.min(axis=1), axis=0).sum() if len(ranked) else float("nan")
    inside = scores.set_index(CELL)
    inside = inside[inside.index.isin(ranked.index) & inside["label"].isin(contenders)]
    frame["relative_error"] = inside.groupby("label")["relative"].median()
    scored = {}
    for key in _SHOWN:
        of_key = scores if key == chosen.key else cells(rows, key)
        means, scored[key] = _means(of_key, ranked, contenders)
        frame[key] = means
    frame["cells"] = scores.groupby("label")["complete"].sum()
    frame["cells"] = frame["cells"].fillna(0).astype(int)
    frame["wins"] = frame["wins"].astype("Int64")
    order = ["average_rank", "relative_error", chosen.key, "label"]
    frame = frame.rename_axis("label").reset_index()
    frame = frame.sort_values([key for key in order if key in frame], na_position="last", kind="stable")
    columns = ["label", "method", "average_rank", "wins", "relative_error", *_SHOWN]
    frame = frame[[*columns, "seconds", "trials", "failures", "cells"]].reset_index(drop=True)
    frame.attrs = {
        "metric": chosen.key,
        "split": str(rows["split"].iloc[0]) if len(rows) else None,
        "cells_ranked": len(ranked),
        "cells_seen": seen,
        "scored": scored,
        "note": _note(len(ranked), seen, contenders, frame, chosen.title),
    }
    return frame


def leaderboard_grid(board: pd.DataFrame) -> Grid:
    """The leaderboard as a table to render."""
    ranked, seen = board.attrs["cells_ranked"], board.attrs["cells_seen"]
    scored: dict[str, int] = board.attrs["scored"]
    several = board["average_rank"].notna().sum() > 1
    columns = [
        Column("method", number=False),
        Column("average rank", explanation="mean rank over the ranked cells; 1 is best"),
        Column("wins", explanation="ranked cells in which no other method has a lower error"),
        Column(
            "error vs mean", explanation="median over cells of the error divided by that of mean imputation"
        ),
        *(Column(find_metric(key).title, explanation=find_metric(key).explanation) for key in _SHOWN),
        Column("seconds", explanation="median of the seconds to fit and impute one trial"),
        Column("failed", explanation="failed trials of all recorded"),
    ]
    best = {
        "relative_error": board["relative_error"].min(),
        "average_rank": board["average_rank"].min(),
        "wins": board["wins"].max(),
        **{key: board[key].min() for key in _SHOWN},
    }

    def entry(row: pd.Series, key: str, text: str, note: str = "") -> Entry:
        value = row[key]
        if pd.isna(value):
            return Entry("–", note=note)
        mark = "best" if several and key in best and value == best[key] else ""
        return Entry(text.format(value), "", float(value), mark)

    body = []
    for _, row in board.iterrows():
        ranks = pd.notna(row["average_rank"])
        no_rank = "no cell completed" if not row["cells"] else "no cell was completed by every method"
        no_base = "mean imputation was not run in the ranked cells" if ranks else no_rank
        cost = seconds_text(row["seconds"])
        failures = Entry(
            f"{row['failures']} of {row['trials']}" if row["failures"] else "0",
            value=float(row["failures"]),
            mark="alarm" if row["failures"] else "",
        )
        body.append(
            [
                Entry(row["label"], method=row["label"]),
                entry(row, "average_rank", "{:.2f}", no_rank),
                entry(row, "wins", "{:d}", no_rank),
                entry(row, "relative_error", "{:.2f}", no_base),
                *(
                    entry(
                        row,
                        key,
                        f"{{:.{find_metric(key).digits}f}}",
                        f"no ranked cell where all have {find_metric(key).title}" if ranks else no_rank,
                    )
                    for key in _SHOWN
                ),
                Entry(cost, value=None if pd.isna(row["seconds"]) else float(row["seconds"])),
                failures,
            ]
        )
    remarks = [board.attrs["note"]]
    remarks += [
        f"{find_metric(key).title} is the mean of {counted(number, 'ranked cell')}: those where all have it."
        for key, number in scored.items()
        if ranked and 0 < number < ranked
    ]
    return Grid(f"Leaderboard over {ranked} of {counted(seen, 'cell')}", columns, body, tuple(remarks))


def seconds_text(seconds: float) -> str:
    """Seconds with two or three telling digits.

    >>> seconds_text(0.0042), seconds_text(0.31), seconds_text(12.34), seconds_text(1440.0)
    ('0.004', '0.31', '12.3', '1,440')
    """
    if pd.isna(seconds):
        return "–"
    digits = next(
        digits for bound, digits in ((0.1, 3), (10, 2), (100, 1), (float("inf"), 0)) if seconds < bound
    )
    return f"{seconds:,.{digits}f}"


def _effort(records: pd.DataFrame) -> pd.DataFrame:
    """Method, seconds, trials and failures of each label, over all splits."""
    spent = records[["fit_seconds", "impute_seconds"]].sum(axis=1, min_count=1)
    trials = records[["label", "method"]].assign(
        failed=records["status"].ne("ok"), spent=spent.where(records["status"].eq("ok"))
    )
    if records["split"].nunique() > 1:
        # A trial has a row for each split that it scored; most sweeps score one.
        number = pd.factorize(records["trial_key"])[0]
        trials = trials.groupby(number).agg(
            label=("label", "first"),
            method=("method", "first"),
            failed=("failed", "max"),
            spent=("spent", "max"),
        )
    summary = trials.groupby(["label", "method"]).agg(
        seconds=("spent", "median"), trials=("failed", "size"), failures=("failed", "sum")
    )
    return summary.reset_index("method")


def _means(scores: pd.DataFrame, ranked: pd.DataFrame, contenders: list[str]) -> tuple[pd.Series, int]:
    """Mean of one score for each contender over the ranked cells where all have it, and their number."""
    table = scores[scores["complete"]].pivot_table(index=CELL, columns="label", values="mean", dropna=False)
    table = table.reindex(index=ranked.index, columns=contenders).dropna()
    return table.mean() if len(table) else pd.Series(dtype=float), len(table)


def _note(ranked: int, seen: int, contenders: list[str], frame: pd.DataFrame, title: str) -> str:
    """How many cells the ranking rests on, and who is not in it."""
    out = sorted(set(frame["label"]) - set(contenders))
    left = f" Not ranked, having completed no cell: {', '.join(out)}." if out else ""
    if not ranked:
        why = "no cell was completed by every method" if contenders else "no trial has succeeded"
        return f"No ranking: {why}.{left}"
    if ranked == seen:
        entered = f"all {counted(seen, 'cell')}" if seen > 1 else "the one cell"
    else:
        entered = f"the {ranked} of {counted(seen, 'cell')} that every ranked method completed"
    return f"Ranked by {title} over {entered}; mask seeds are averaged within a cell first.{left}"
