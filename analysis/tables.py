"""Tables in the style of the papers: methods down, datasets across, best and second, stars."""

from __future__ import annotations

import pandas as pd

from analysis.averages import cells, strata
from analysis.comparison import within_table
from analysis.grid import Column, Entry, Grid
from analysis.records import labelled
from analysis.schema import SPLITS, STRATUM, Metric, counted, each, find_metric, mechanism_text, ratio_text
from analysis.significance import LEVEL

__all__ = ["cells", "paper_table", "strata"]


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
    reference: str | None = None,
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
    reference
        A label. Where it is better than another on a dataset by the paired t-test over mask seeds
        (`analysis.within_table`), the other's entry has a star, as in NewImp's table.

    Raises
    ------
    ValueError
        If nothing matches, no record has the label `reference`, or `ratio`, `protocol` or `split` is left out
        where the records hold several.
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
    stars = _stars(rows, reference, chosen.key)
    return _paper_table(cells(rows, chosen.key), chosen, order or [], short or {}, stars)


def paper_tables(
    records: pd.DataFrame, *, metric: str = "mae", order: list[str] | None = None,
    short: dict[str, str] | None = None,
) -> list[Grid]:  # fmt: skip
    """A `paper_table` for each protocol, split, mechanism and ratio that occurs."""
    chosen = find_metric(metric)
    rows = labelled(records)
    parts = dict(iter(cells(rows, chosen.key).groupby(STRATUM)))
    places = [tuple(place[key] for key in STRATUM) for place in strata(rows)]
    return [_paper_table(parts[place], chosen, order or [], short or {}) for place in places]


_Stars = tuple[set[tuple[str, str]], tuple[str, ...]]


def _paper_table(
    scores: pd.DataFrame, chosen: Metric, order: list[str], short: dict[str, str],
    stars: _Stars = (set(), ()),
) -> Grid:  # fmt: skip
    """The table of one stratum's cells."""
    stratum = scores[STRATUM].iloc[0]
    datasets = sorted(scores["dataset"].unique())
    names = sorted(scores["label"].unique())
    rank = {label: index for index, label in enumerate(order)}
    names.sort(key=lambda label: (rank.get(label, len(rank)), label))

    marks = _marks(scores, chosen.key)
    starred, remarks = stars
    by_place = {(row.label, row.dataset): row for row in each(scores)}
    body = []
    for name in names:
        entries = [Entry(name, method=name)]
        for dataset in datasets:
            row = by_place.get((name, dataset))
            if row is None:
                entries.append(Entry("–", note="no record"))
                continue
            spread = f"± {row.std * chosen.unit_scale:.{chosen.digits}f}" if pd.notna(row.std) else ""
            value = None if pd.isna(row.mean) else float(row.mean)
            mark = marks.get((name, dataset), "")
            star = "*" if (name, dataset) in starred else ""
            entries.append(Entry(chosen.text(value) + star, spread, value, mark, str(row.note)))
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
    headings = [Column(short.get(name, name), explanation=name, dataset=name) for name in datasets]
    caption = f"{chosen.title} under {mechanism_text(stratum['mechanism'])}"
    return Grid(caption, [Column("method", number=False), *headings], body, remarks, detail)


def _stars(rows: pd.DataFrame, reference: str | None, key: str) -> _Stars:
    """Which (label, dataset) the reference is better than, and the line that says by what test."""
    if reference is None:
        return set(), ()
    tests = within_table(rows, reference, metric=key)
    told = (
        f"* {reference} is better on that table by a paired two-sided t-test over mask seeds at {LEVEL:g}, "
        "not adjusted for the number of tests. It speaks of that one table."
    )
    return {(str(row.label), str(row.dataset)) for row in each(tests[tests["star"]])}, (told,)


def _marks(scores: pd.DataFrame, key: str) -> dict[tuple[str, str], str]:
    """Which (label, dataset) is best and which second, as printed."""
    chosen = find_metric(key)
    done = scores[scores["complete"]]
    printed = (done["mean"] * chosen.unit_scale).round(chosen.digits) / chosen.unit_scale
    columns = chosen.loss(printed).round(12).groupby(done["dataset"])
    places = columns.rank(method="min")[columns.transform("size").gt(1)]
    marks: dict[tuple[str, str], str] = {}
    for place, mark in ((1, "best"), (2, "second")):
        told = done.loc[places.index[places.eq(place)], ["label", "dataset"]]
        marks |= dict.fromkeys(told.itertuples(index=False, name=None), mark)
    return marks
