"""What a method costs: seconds and memory for each table, and how they grow with the table."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from analysis.canvas import INK, PAPER, QUIET, STYLE, WIDTH, colours, svg
from analysis.grid import Column, Entry, Grid
from analysis.ranking import only_split, seconds_text
from analysis.records import labelled
from analysis.schema import cut, each, find_metric
from analysis.tables import cells

TABLES = 3
"""From so many tables on a growth is fitted."""

SPAN = 2.0
"""The largest size must be so many times the smallest, or an exponent is noise."""

_SETTING = ["device", "threads"]


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
    keys = ["dataset", "label", "method", *_SETTING]
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
    for setting in table[_SETTING].drop_duplicates().sort_values(_SETTING).to_dict("records"):
        part = table.merge(pd.DataFrame([setting]), on=_SETTING)
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


def accuracy_against_cost(records: pd.DataFrame, metric: str = "mae", *, short: dict[str, str] | None = None,
                          most: int = 12) -> str | None:  # fmt: skip
    """One panel for each table: error against seconds, each a mean or median over that table's trials.

    The line joins the methods that none beats in both. Errors are means over the cells of a table that all
    its methods completed; `most` panels at most, in the order of the tables' names.

    Returns
    -------
    str or None
        An ``<svg>`` element; None where no method has both, or none has company.
    """
    chosen = find_metric(metric)
    rows = only_split(labelled(records))
    scores = cells(rows, metric)
    scores = scores[scores["complete"]]
    spent = costs(rows).groupby(["dataset", "label"])["seconds"].median()
    points = []
    for dataset, part in scores.groupby("dataset"):
        wide = part.pivot_table(index=["protocol", "mechanism", "ratio"], columns="label", values="mean")
        means = wide.dropna().mean()
        for label, error in means.items():
            points.append((dataset, label, error, spent.get((dataset, label), np.nan)))
    shown = pd.DataFrame(points, columns=["dataset", "label", "error", "seconds"]).dropna()
    shown = shown[shown["seconds"].gt(0)]
    datasets = [str(name) for name, part in shown.groupby("dataset") if len(part) > 1][:most]
    if not datasets:
        return None
    styles = colours(sorted(rows["label"].unique()))
    across = min(3, len(datasets))
    down = -(-len(datasets) // across)
    with mpl.rc_context({**STYLE, "axes.grid.axis": "both"}):
        used = sorted(map(str, shown["label"].unique()))
        rows_of_names = -(-len(used) // _across(used))
        size = (WIDTH if across > 1 else 0.62 * WIDTH, 2.5 * down + 0.5 + 0.28 * rows_of_names)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(down, across, squeeze=False)
        for index, axes in enumerate(np.ravel(grid)):
            if index >= len(datasets):
                axes.set_visible(False)
                continue
            part = shown[shown["dataset"].eq(datasets[index])].sort_values(["seconds", "error"])
            losses = chosen.loss(part["error"])
            front = part[losses <= losses.cummin()]
            scale = chosen.unit_scale
            axes.set_xscale("log")
            axes.plot(
                front["seconds"], front["error"] * scale, color=QUIET, linewidth=1, linestyle=(0, (4, 3))
            )
            for row in each(part):
                colour, marker = styles[row.label]
                axes.plot(
                    row.seconds,
                    row.error * scale,
                    marker,
                    color=colour,
                    markersize=6.5,
                    markeredgecolor=PAPER,
                )
            axes.set_xlim(part["seconds"].min() / 2, part["seconds"].max() * 2)
            _logarithmic(axes.xaxis)
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.tick_params(labelsize=8.5, labelcolor=QUIET)
            axes.set_title(cut((short or {}).get(datasets[index]) or datasets[index], 30), loc="left",
                           fontweight="bold", pad=6)  # fmt: skip
        figure.supxlabel("seconds to fit and impute, median, logarithmic", fontsize=9.5, color=QUIET)
        figure.supylabel(f"{chosen.title}, mean over cells", fontsize=9.5, color=QUIET)
        _legend(figure, used, styles)
        return svg(
            figure, "cost-tables", f"{chosen.title} against seconds for each table",
            "The numbers are in the tables under Cost and Per dataset.",
        )  # fmt: skip


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
    for (label, device, threads), part in good.groupby(["label", *_SETTING]):
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


def growth_plot(table: pd.DataFrame) -> str | None:
    """Seconds against rows and against columns, both logarithmic, with the fitted exponent of each method.

    None where neither size varies enough. A panel shows the tables as they are; the lines are least squares
    within the panel alone where the other size does not vary, else of the joint fit at its middle.
    """
    fits = growth(table)
    sizes = [
        (key, size, words)
        for key, size, words in (("n_rows", "rows", "rows"), ("n_columns", "columns", "columns"))
        if fits[size].notna().any()
    ]
    if not sizes:
        return None
    settings = table[_SETTING].drop_duplicates()
    named = len(settings) > 1
    styles = colours(sorted(table["label"].unique()))
    with mpl.rc_context({**STYLE, "axes.grid.axis": "both"}):
        lines = fits["label"].nunique()
        width = WIDTH if len(sizes) > 1 else 0.75 * WIDTH
        figure = Figure(figsize=(width, 3.6 + 0.24 * -(-lines // 4)), layout="constrained")
        grid = figure.subplots(1, len(sizes), squeeze=False, sharey=True)
        told = []
        for axes, (key, size, words) in zip(grid[0], sizes, strict=True):
            axes.set_xscale("log")
            axes.set_yscale("log")
            for fit in each(fits[fits[size].notna()]):
                part = table[
                    table["label"].eq(fit.label) & table["device"].eq(fit.device)
                    & table["threads"].eq(fit.threads) & table["seconds"].gt(0)
                ]  # fmt: skip
                colour, marker = styles[fit.label]
                axes.plot(
                    part[key], part["seconds"], marker, color=colour, markersize=5.5, markeredgecolor=PAPER
                )
                exponent = getattr(fit, size)
                x = np.array([part[key].min(), part[key].max()], dtype=float)
                middle = np.exp(np.log(part["seconds"]).mean() - exponent * np.log(part[key]).mean())
                axes.plot(x, middle * x**exponent, color=colour, linewidth=1.2, alpha=0.7)
                where = f", {fit.device}, {fit.threads}" if named else ""
                told.append(f"{fit.label}{where}: {words}^{exponent:.2f}")
            axes.set_xlabel(words)
            _logarithmic(axes.xaxis)
            _logarithmic(axes.yaxis)
            axes.tick_params(labelsize=8.5, labelcolor=QUIET)
        grid[0][0].set_ylabel("seconds to fit and impute")
        names = {}
        for fit in each(fits):
            shown = [
                f"{words} {getattr(fit, size):.1f}"
                for _, size, words in sizes
                if not np.isnan(getattr(fit, size))
            ]
            names[fit.label] = f"{fit.label} ({', '.join(shown)})"
        _legend(figure, list(names), styles, names)
        return svg(
            figure, "growth", "Seconds against the size of the table", f"Exponents: {'; '.join(told)}."
        )


def _legend(
    figure: Figure, labels: list[str], styles: dict[str, tuple[str, str]],
    names: dict[str, str] | None = None,
) -> None:  # fmt: skip
    dot: Any = {"markersize": 6, "linestyle": "none", "markeredgecolor": PAPER}
    keys = [Line2D([], [], color=styles[label][0], marker=styles[label][1], **dot) for label in labels]
    told = [cut((names or {}).get(label, label), 44) for label in labels]
    figure.legend(keys, told, loc="outside upper left", ncols=_across(told), frameon=False,
                  fontsize=9, labelcolor=INK)  # fmt: skip


def _across(names: list[str]) -> int:
    """How many names of a key stand beside one another."""
    return min(len(names), 6, max(1, int(112 / (max(map(len, names)) + 7))))


_SUBS = ((1.0, (1.0, 2.0, 5.0)), (2.0, (1.0, 3.0)), (float("inf"), (1.0,)))
"""Ticks within a decade, for axes of fewer decades than the bound."""


def _logarithmic(axis: mpl.axis.Axis) -> None:
    """A logarithmic axis with plain numbers at its ticks."""
    subs = next(subs for bound, subs in _SUBS if _decades(axis) < bound)
    axis.set_major_locator(LogLocator(10, subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_locator(NullLocator())


def _decades(axis: mpl.axis.Axis) -> float:
    low, high = axis.get_view_interval()
    return float(np.log10(high / low)) if low > 0 else 9.0
