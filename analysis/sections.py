"""The report's own tables: which holes were made, what is published, what failed, who took part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product
from pathlib import PurePath
from typing import Any

import pandas as pd

from analysis import overview
from analysis.grid import Column, Entry, Grid
from analysis.published import SOURCES
from analysis.schema import (
    METRICS,
    SPLITS,
    STATUSES,
    Metric,
    counted,
    cut,
    each,
    find_metric,
    mechanism_order,
    mechanism_text,
    percent,
    ratio_text,
)


def short_names(records: pd.DataFrame, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Headings for datasets: a paper's short form or the last part of a path, where that tells them apart."""
    names = sorted(records["dataset"].dropna().unique())
    known = _objects(manifest.get("datasets"))
    short = {name: str(known.get(name, {}).get("short") or PurePath(name).name or name) for name in names}
    taken = Counter(short.values())
    return {name: brief for name, brief in short.items() if taken[brief] == 1}


def data_grid(records: pd.DataFrame, manifest: Mapping[str, Any]) -> Grid:
    """Each dataset's size and the share of entries that each mechanism really hid."""
    shares = overview.realised(records)
    several = {key: shares[key].nunique() > 1 for key in ("ratio", "protocol", "split")}
    keys = ["mechanism", "ratio", "protocol", "split"]
    columns = list(each(shares[keys].drop_duplicates().sort_values(keys)))
    columns.sort(key=lambda column: mechanism_order(column.mechanism))
    headings = [
        Column(
            mechanism_text(column.mechanism)
            + (f", {ratio_text(column.ratio)}" if several["ratio"] else "")
            + (f", {column.protocol}" if several["protocol"] else "")
            + (f", {SPLITS.get(column.split, column.split)}" if several["split"] else ""),
            explanation="realised share of hidden entries, mean over masks",
        )
        for column in columns
    ]
    by_place = {tuple(row[["dataset", *keys]]): row for _, row in shares.iterrows()}
    about = _objects(manifest.get("datasets"))
    sizes = records.groupby("dataset")[["n_rows", "n_columns"]].max()
    body = []
    for dataset, n_rows, n_columns in each(sizes.reset_index()):
        short = about.get(str(dataset), {}).get("short")
        name = f"{dataset} ({short})" if short else str(dataset)
        row = [Entry(name), _whole(n_rows), _whole(n_columns)]
        for column in columns:
            found = by_place.get((dataset, *column))
            if found is None:
                row.append(Entry("–", note="no record"))
                continue
            wide = found["most"] - found["least"] > 0.01
            spread = f"{percent(found['least'], 1)} to {percent(found['most'], 1)}" if wide else ""
            note = f"asked for {ratio_text(found['ratio'])}" if found["off"] else ""
            row.append(
                Entry(percent(found["mean"], 1), spread, found["mean"], "alarm" if found["off"] else "", note)
            )
        body.append(row)
    asked = sorted(records["ratio"].dropna().unique())
    told = ", ".join(map(ratio_text, asked))
    caption = f"Datasets, and the share of entries really hidden where {told} was asked for"
    return Grid(caption, [Column("dataset", False), Column("rows"), Column("columns"), *headings], body)


def published_grids(pairs: pd.DataFrame, short: Mapping[str, str]) -> list[Grid]:
    """Measured beside published where both are the same experiment, one table for each source and score."""
    fair = pairs[pairs["comparable"]]
    grids = []
    for source, key in product(SOURCES, METRICS):
        rows = fair[fair["source"].eq(source) & fair["metric"].eq(key)]
        if len(rows):
            grids.append(_published_grid(rows, SOURCES[source].title, find_metric(key), short))
    return grids


def _published_grid(rows: pd.DataFrame, title: str, metric: Metric, short: Mapping[str, str]) -> Grid:
    judged = rows[rows["within"].notna()]
    columns = [
        Column("method", False),
        Column("mechanism", False),
        Column("dataset", False),
        Column("measured"),
        Column("published"),
        Column("difference", explanation="measured minus published"),
        *([Column("tolerance", False)] if len(judged) else []),
        Column("why they differ", False, prose=True),
    ]
    body = []
    for row in each(rows):
        spread = "" if pd.isna(row.std) else f"± {row.std * metric.unit_scale:.{metric.digits}f}"
        entries = [
            Entry(row.label),
            Entry(mechanism_text(row.mechanism.partition(":")[0])),
            Entry(short.get(row.dataset, row.dataset)),
            Entry(metric.text(row.mean), spread, row.mean),
            Entry(metric.text(row.published), "", row.published),
            Entry(_signed(row.difference * metric.unit_scale, metric.digits), "", abs(row.difference)),
        ]
        if len(judged):
            told = "–" if pd.isna(row.within) else f"{'within' if row.within else 'beyond'} {row.tolerance:g}"
            entries.append(Entry(told, mark="alarm" if told.startswith("beyond") else ""))
        body.append([*entries, Entry(row.reason)])
    told = (
        f"{int(judged['within'].sum())} of {len(judged)} within tolerance"
        if len(judged)
        else "no tolerance is set"
    )
    detail = f"{told}; holes drawn as published, protocol {rows['protocol'].iloc[0]}"
    return Grid(f"{metric.title} beside {title}", columns, body, detail=detail)


def incomparable(pairs: pd.DataFrame) -> list[str]:
    """Why measured scores with a published counterpart are not set beside it, in sentences."""
    unfair = pairs[~pairs["comparable"]]
    counts = unfair.groupby("reason").size().sort_values(ascending=False, kind="stable")
    return [
        f"{counted(int(n), 'printed number')} {'is' if n == 1 else 'are'} {reason}."
        for reason, n in counts.items()
    ]


def failure_grid(records: pd.DataFrame) -> Grid:
    """What failed, with its error."""
    rows = overview.failures(records)
    body = [
        [
            Entry(str(row.label)),
            Entry(STATUSES.get(str(row.status), str(row.status))),
            Entry(f"{row.trials:,}", value=float(row.trials)),
            Entry(cut(str(row.where), 160)),
            Entry(cut(str(row.error), 300) or "no message was recorded"),
        ]
        for row in each(rows)
    ]
    columns = [
        Column("method", False),
        Column("ended", False),
        Column("trials"),
        Column("where", False, prose=True),
    ]
    return Grid("Trials that did not succeed", [*columns, Column("error", False, prose=True)], body)


def traces(records: pd.DataFrame, most: int = 20) -> list[tuple[str, str]]:
    """Label and whole error text of the failures that say more than one line, `most` at most."""
    rows = overview.failures(records)
    long = rows[rows["trace"].str.len().gt(rows["error"].str.len())] if len(rows) else rows
    return [(row.label, cut(row.trace, 20_000)) for row in each(long.head(most))]


def method_grid(board: pd.DataFrame, manifest: Mapping[str, Any]) -> Grid | None:
    """Who took part, with references; None where the manifest names no method."""
    about = _objects(manifest.get("methods"))
    if not about:
        return None
    body = [
        [
            Entry(name),
            Entry(str(about.get(name, {}).get("title") or "")),
            Entry(str(about.get(name, {}).get("family") or "")),
            Entry(str(about.get(name, {}).get("reference") or "")),
        ]
        for name in dict.fromkeys(board["method"])
    ]
    titles = ("method", "title", "family", "reference")
    return Grid("Methods", [Column(title, False, prose=title == "reference") for title in titles], body)


def _objects(value: Any) -> dict[str, dict[str, Any]]:
    """The entries of a JSON object that are objects themselves; a manifest comes from outside."""
    if not isinstance(value, Mapping):
        return {}
    return {str(name): dict(about) for name, about in value.items() if isinstance(about, Mapping)}


def _whole(value: float) -> Entry:
    return Entry("–", note="not recorded") if pd.isna(value) else Entry(f"{int(value):,}", value=float(value))


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
