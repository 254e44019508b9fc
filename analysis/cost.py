"""What a method costs: seconds and memory for each table, and how they grow with the table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.grid import Column, Entry, Grid
from analysis.ranking import seconds_text
from analysis.records import labelled
from analysis.schema import each

TABLES = 3
"""From so many tables on a growth is fitted."""

SPAN = 2.0
"""The largest size must be so many times the smallest, or an exponent is noise."""

SETTING = ["device", "threads"]
"""What seconds depend on besides method and table."""


def costs(records: pd.DataFrame) -> pd.DataFrame:
    """Median cost of each method on each table, on each kind of device.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.

    Returns
    -------
    pandas.DataFrame
        One row for each ``dataset, label, method, device, threads`` with a successful trial: ``n_rows,
        n_columns``, ``trials`` (successful), ``fit, impute, seconds`` (medians over trials; ``seconds`` of
        both together), ``least, most`` (of the seconds), ``rss_mb, gpu_mb`` (medians of the peaks; null where
        not measured). Rows of a trial's splits are added up: a trial fits once.
    """
    rows = labelled(records)
    good = rows[rows["status"].eq("ok")].assign(threads=rows["threads"].fillna(0).astype(int))
    good = good.assign(device=good["device"].fillna("not recorded"))
    keys = ["dataset", "label", "method", *SETTING]
    if good["split"].nunique() > 1:
        each_trial = good.groupby([*keys, "trial_key"])
        trials = each_trial.agg(
            n_rows=("n_rows", "sum"),
            n_columns=("n_columns", "max"),
            fit=("fit_seconds", "max"),  # the same in each of a trial's rows
            rss_mb=("peak_rss_mb", "max"),
            gpu_mb=("peak_gpu_mb", "max"),
        )
        trials = trials.assign(impute=each_trial["impute_seconds"].sum(min_count=1)).reset_index()
    else:
        trials = good.rename(columns={"fit_seconds": "fit", "impute_seconds": "impute"})
        trials = trials.rename(columns={"peak_rss_mb": "rss_mb", "peak_gpu_mb": "gpu_mb"})
    trials = trials.assign(seconds=trials[["fit", "impute"]].sum(axis=1, min_count=1))
    return trials.groupby(keys, as_index=False).agg(
        n_rows=("n_rows", "median"),
        n_columns=("n_columns", "median"),
        trials=("trial_key", "size"),
        fit=("fit", "median"),
        impute=("impute", "median"),
        seconds=("seconds", "median"),
        least=("seconds", "min"),
        most=("seconds", "max"),
        rss_mb=("rss_mb", "median"),
        gpu_mb=("gpu_mb", "median"),
    )


def cost_grids(table: pd.DataFrame, order: list[str], short: dict[str, str]) -> list[Grid]:
    """Seconds, and peak memory, methods down and tables across; one pair for each device and thread count.

    Parameters
    ----------
    table
        As `costs` gives it.
    order
        Labels from top to bottom.
    short
        Headings for datasets.
    """
    grids = []
    for setting in table[SETTING].drop_duplicates().sort_values(SETTING).to_dict("records"):
        part = table.merge(pd.DataFrame([setting]), on=SETTING)
        datasets = sorted(part["dataset"].unique())
        found = {(row.label, row.dataset): row for row in each(part)}
        labels = [label for label in order if label in set(part["label"])]
        threads = f"{setting['threads']} thread{'s' if setting['threads'] != 1 else ''}"
        where = f"{setting['device']}, {threads if setting['threads'] else 'threads not recorded'}"
        trials = sorted(part["trials"].unique())
        over = f"{trials[0]} to {trials[-1]} trials" if len(trials) > 1 else f"{trials[0]} trials"
        columns = [
            Column("method", False),
            *(Column(short.get(name, name), True, name, dataset=name) for name in datasets),
        ]
        for title, key, unit in (
            ("Seconds to fit and impute", "seconds", ""),
            ("Peak memory of the process in MB", "rss_mb", "what the libraries take is in it"),
            ("Peak memory of the GPU in MB", "gpu_mb", ""),
        ):
            if part[key].isna().all():
                continue
            body = []
            for label in labels:
                entries = [Entry(label, method=label)]
                for dataset in datasets:
                    row = found.get((label, dataset))
                    if row is None:
                        entries.append(Entry("–", note="no successful trial"))
                        continue
                    value = float(getattr(row, key))
                    if np.isnan(value):
                        entries.append(Entry("–", note="not measured"))
                        continue
                    text = seconds_text(value) if key == "seconds" else f"{value:,.0f}"
                    wide = key == "seconds" and row.most > 1.5 * row.least
                    spread = f"{seconds_text(row.least)} to {seconds_text(row.most)}" if wide else ""
                    entries.append(Entry(text, spread, value))
                body.append(entries)
            detail = "; ".join(filter(None, (where, f"median over {over}", unit)))
            grids.append(Grid(title, columns, body, detail=detail))
    return grids


def growth(table: pd.DataFrame) -> pd.DataFrame:
    """How the seconds of each method grow with rows and with columns: exponents of a fitted power law.

    log seconds = a + b log rows + c log columns, by least squares over tables. A size that varies less than
    twofold is left out; so is the one that varies less, where tables are too few or too alike for both.

    Parameters
    ----------
    table
        As `costs` gives it.

    Returns
    -------
    pandas.DataFrame
        One row for each label, device and thread count with at least `TABLES` tables: ``rows,
        columns`` (exponents, null where not fitted), ``r2`` and ``tables``.
    """
    found = []
    good = table[table["seconds"].gt(0)].dropna(subset=["n_rows", "n_columns"])
    for (label, device, threads), part in good.groupby(["label", *SETTING]):
        sizes = {key: np.log(part[key]) for key in ("n_rows", "n_columns")}
        sizes = {key: size for key, size in sizes.items() if np.ptp(size) >= np.log(SPAN)}
        if not sizes or len(part) < TABLES:
            continue
        if len(sizes) == 2 and (len(part) < TABLES + 1 or abs(np.corrcoef(*sizes.values())[0, 1]) > 0.9):
            widest = max(sizes, key=lambda key: np.ptp(sizes[key]))
            sizes = {widest: sizes[widest]}
        design = np.column_stack([np.ones(len(part)), *sizes.values()])
        y = np.log(part["seconds"].to_numpy(float))
        beta, *_ = np.linalg.lstsq(design, y, rcond=None)
        total = ((y - y.mean()) ** 2).sum()
        exponent = dict(zip(sizes, beta[1:], strict=True))
        found.append(
            {
                "label": label, "device": device, "threads": threads,
                "rows": exponent.get("n_rows", np.nan), "columns": exponent.get("n_columns", np.nan),
                "r2": 1 - ((y - design @ beta) ** 2).sum() / total if total > 0 else np.nan,
                "tables": len(part),
            }
        )  # fmt: skip
    return pd.DataFrame(found, columns=["label", "device", "threads", "rows", "columns", "r2", "tables"])
