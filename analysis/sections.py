"""The report's own tables: which holes were made, what is published, how factors vary, who took part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product
from pathlib import PurePath
from typing import Any

import pandas as pd

from analysis import overview
from analysis.ablations import RATIO, STUDIES
from analysis.grid import Column, Entry, Grid
from analysis.pairing import CONFIDENCE
from analysis.published import SOURCES
from analysis.schema import (
    METRICS,
    SPLITS,
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

_AMBIGUOUS = {"MOT", "MICE(linear)", "Mean/Mode", "Mean/Median/MF"}
"""Printed names that are not ours: the tables say both."""


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
        row = [Entry(name, dataset=str(dataset)), _whole(n_rows), _whole(n_columns)]
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
    """Measured beside published, one table for each source and score: first what is the same experiment, then
    what was run with other settings."""
    told = pairs[pairs["difference"].notna()]
    grids = []
    for same, source, key in product((True, False), SOURCES, METRICS):
        rows = told[told["source"].eq(source) & told["metric"].eq(key) & told["comparable"].eq(same)]
        if len(rows):
            grids.append(_published_grid(rows, SOURCES[source].title, find_metric(key), short, same))
    return grids


def _published_grid(
    rows: pd.DataFrame, title: str, metric: Metric, short: Mapping[str, str], same: bool
) -> Grid:
    judged = rows[rows["within"].notna()]
    both = rows["split"].nunique() > 1
    columns = [
        Column("method", False),
        Column("mechanism", False),
        Column("dataset", False),
        *([Column("rows", False, "those fitted on, or held out")] if both else []),
        Column("measured"),
        Column("published"),
        Column("difference", explanation="measured minus published"),
        *([Column("tolerance", False)] if len(judged) else []),
        Column("as published", False, "whether the published settings were used"),
        *([Column("why they differ", False, prose=True)] if same else []),
    ]
    body = []
    for row in each(rows):
        scale, digits = metric.unit_scale, metric.digits
        spreads = [
            "" if pd.isna(std) else f"± {std * scale:.{digits}f}" for std in (row.std, row.published_std)
        ]
        named = f"{row.label} ({row.published_method})" if row.published_method in _AMBIGUOUS else row.label
        entries = [
            Entry(named, method=str(row.label), dataset=str(row.dataset)),
            Entry(mechanism_text(row.mechanism.partition(":")[0])),
            Entry(short.get(row.dataset, row.dataset)),
            *([Entry(SPLITS[row.split])] if both else []),
            Entry(metric.text(row.mean), spreads[0], row.mean),
            Entry(metric.text(row.published), spreads[1], row.published),
            Entry(_signed(row.difference * scale, digits), "", abs(row.difference)),
        ]
        if len(judged):
            told = "–" if pd.isna(row.within) else f"{'within' if row.within else 'beyond'} {row.tolerance:g}"
            entries.append(Entry(told, mark="alarm" if told.startswith("beyond") else ""))
        # The reasons of other settings are the same in many rows: footnotes say each once.
        entries.append(Entry("yes" if same else "no", note="" if same else row.reason.partition(": ")[2]))
        body.append([*entries, Entry(row.reason)] if same else entries)
    told = f"{int(judged['within'].sum())} of {len(judged)} within tolerance; " if len(judged) else ""
    tables = ", ".join(name.replace("_", " ") for name in dict.fromkeys(rows["table"]))
    settings = f"published settings, protocol {rows['protocol'].iloc[0]}" if same else "other settings"
    return Grid(
        f"{metric.title} beside {title}{'' if same else ', other settings'}",
        columns,
        body,
        detail=f"{told}{settings}; printed in: {tables}",
    )


def incomparable(pairs: pd.DataFrame) -> list[str]:
    """Why measured scores with a published counterpart are not set beside it, in sentences."""
    unfair = pairs[pairs["difference"].isna()]
    counts = unfair.groupby("reason").size().sort_values(ascending=False, kind="stable")
    return [
        f"{counted(int(n), 'printed number')} {'is' if n == 1 else 'are'} {reason}."
        for reason, n in counts.items()
    ]


def ablation_grids(table: pd.DataFrame, short: Mapping[str, str]) -> list[Grid]:
    """A factor's arms down, tables across: the mean, and the paired difference with its interval.

    Parameters
    ----------
    table
        As `analysis.ablations.ablation` gives it.
    short
        Headings for datasets.

    Returns
    -------
    list of Grid
        One for each protocol, split and mechanism (and ratio, unless that is the factor).
    """
    study, metric = STUDIES[table.attrs["study"]], find_metric(table.attrs["metric"])
    keys = ["protocol", "split", "mechanism", *([] if study.parameter == RATIO else ["ratio"])]
    grids = []
    places = table[keys].drop_duplicates().to_dict("records")
    for stratum in sorted(places, key=lambda place: mechanism_order(str(place["mechanism"]))):
        part = table.merge(pd.DataFrame([stratum]), on=keys)
        ends = (metric.loss(part["mean"]), metric.loss(part["mean"] - part["difference"]))
        part = part.assign(gains=ends[0] < ends[1])
        datasets = sorted(part["dataset"].unique())
        arms = list(each(part[["method", "series", "arm", "is_reference"]].drop_duplicates()))
        by_place = {(row.method, row.series, row.arm, row.dataset): row for row in each(part)}
        several = part["method"].nunique() > 1 and study.parameter != RATIO
        body = []
        for arm in arms:
            told = [arm.method if several else "", arm.series, arm.arm]
            name = ", ".join(filter(None, told))
            entries = [Entry(f"{name} (reference)" if arm.is_reference else name)]
            found = [by_place.get((arm.method, arm.series, arm.arm, dataset)) for dataset in datasets]
            entries += [_ablation_entry(row, metric) for row in found]
            body.append(entries)
        ratio = f"{ratio_text(stratum['ratio'])} asked to be missing, " if "ratio" in stratum else ""
        split = SPLITS.get(stratum["split"], stratum["split"])
        first = part.iloc[0]
        remarks = [
            f"In brackets: mean difference to {first['reference']} over the mask seeds that both have, with "
            f"{percent(CONFIDENCE)} interval (Student's, over seeds of this table alone). "
            "Bold is better and red is worse than the reference, the interval being clear of zero."
        ]
        if not part["default_run"].all():
            remarks.append(f"The default was not run; {first['reference']} stands for it.")
        absent = part[part["n"].eq(0) | part["n"].lt(part["n_expected"].fillna(0))]
        if len(absent):
            named = ", ".join(
                dict.fromkeys(f"{row.series or row.arm} on {row.dataset}" for row in each(absent))
            )
            remarks.append(f"Not complete: {cut(named, 400)}.")
        grids.append(
            Grid(
                f"{study.title}: {metric.title} under {mechanism_text(stratum['mechanism'])}",
                [
                    Column("arm", False),
                    *(Column(short.get(name, name), explanation=name, dataset=name) for name in datasets),
                ],
                body,
                tuple(remarks),
                detail=f"{ratio}{split}, protocol {stratum['protocol']}; {_pairs_text(part)}",
            )
        )
    return grids


def _ablation_entry(row: Any, metric: Metric) -> Entry:
    if row is None or pd.isna(row.mean):
        return Entry("–", note="no record" if row is None else str(row.note))
    text = metric.text(row.mean)
    if row.is_reference or pd.isna(row.difference):
        return Entry(text, value=float(row.mean), note=str(row.note))
    scale, digits = metric.unit_scale, metric.digits
    gap = _signed(row.difference * scale, digits)
    if pd.isna(row.low):
        return Entry(text, f"({gap})", float(row.mean), note=str(row.note))
    clear = row.low > 0 or row.high < 0
    mark = "" if not clear else "best" if row.gains else "alarm"
    told = f"({gap}; {_signed(row.low * scale, digits)} to {_signed(row.high * scale, digits)})"
    return Entry(text, told, float(row.mean), mark, str(row.note))


def _pairs_text(part: pd.DataFrame) -> str:
    pairs = sorted(part.loc[part["pairs"].gt(0), "pairs"].unique())
    if not pairs:
        return "no mask seed in common"
    return f"{pairs[0]} to {pairs[-1]} mask seeds" if len(pairs) > 1 else counted(int(pairs[0]), "mask seed")


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
