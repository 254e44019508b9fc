"""Pictures of cost: error against seconds for each table, and seconds against the size of the table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.again import Again
from analysis.averages import cells
from analysis.canvas import INK, PAPER, QUIET, colours
from analysis.cost import SETTING, costs, growth
from analysis.drawing import LETTER, WIDTH, About, Drawing, Scale, key
from analysis.plots import bottom_axis, duration, side_axis
from analysis.ranking import only_split
from analysis.records import labelled
from analysis.schema import counted, cut, each, find_metric


def accuracy_against_cost(
    records: pd.DataFrame, metric: str = "mae", *, short: Mapping[str, str] | None = None, most: int = 12,
    again: Again | None = None,
) -> str | None:  # fmt: skip
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
        common = wide.dropna()
        points += [
            (dataset, label, error, spent.get((dataset, label), np.nan), len(common))
            for label, error in common.mean().items()
        ]
    shown = pd.DataFrame(points, columns=["dataset", "label", "error", "seconds", "cells"]).dropna()
    shown = shown[shown["seconds"].gt(0)]
    datasets = [str(name) for name, part in shown.groupby("dataset") if len(part) > 1][:most]
    if not datasets:
        return None
    shown = shown[shown["dataset"].isin(datasets)]
    styles = colours(sorted(rows["label"].unique()))
    across = min(3, len(datasets))
    width = WIDTH if across > 1 else 0.62 * WIDTH
    heads, top = key(sorted(shown["label"].unique()), styles, width)
    broad, high = (width - 24) / across, 228
    drawing = Drawing("cost-tables", width, top + high * -(-len(datasets) // across) + 24)
    drawing.extend(heads)
    scale = chosen.unit_scale
    for index, dataset in enumerate(datasets):
        left, up = 24 + broad * (index % across), top + high * (index // across)
        part = shown[shown["dataset"].eq(dataset)].sort_values(["seconds", "error"])
        low, most_seconds = part["seconds"].min() / 2, part["seconds"].max() * 2
        x = Scale(low, most_seconds, left + 44, left + broad - 12, logarithmic=True)
        top_error, least = part["error"].max() * scale, part["error"].min() * scale
        room = 0.08 * (top_error - least) or 0.1 * abs(top_error) or 1.0
        y = Scale(least - room, top_error + room, up + high - 34, up + 28)
        bottom_axis(drawing, x, up + 28, up + high - 34, "", duration, 4)
        side_axis(drawing, y, x.start, x.end, most=5)
        named = About([], dataset=dataset)
        heading = cut((short or {}).get(dataset) or dataset, 30)
        drawing.text(x.start, up + 14, heading, INK, bold=True, about=named)
        losses = chosen.loss(part["error"])
        front = part[losses <= losses.cummin()]
        drawing.line([(x(row.seconds), y(row.error * scale)) for row in each(front)], QUIET, dashes=True)
        for row in each(part):
            colour, marker = styles[row.label]
            told = [
                f"{row.label}: {chosen.title} {chosen.text(row.error)}, {duration(row.seconds)}",
                f"{dataset}, mean over {counted(row.cells, 'cell')} that all completed",
            ]
            about = About(told, row.label, dataset)
            drawing.mark(x(row.seconds), y(row.error * scale), colour, marker, 4.5, edge=PAPER, about=about)
    foot = "time to fit and impute, median, logarithmic"
    drawing.text(width / 2, drawing.height - 12, foot, QUIET, anchor="middle")
    upright = (top + drawing.height) / 2
    drawing.text(10, upright, f"{chosen.title}, mean over cells", QUIET, anchor="middle", turned=-90)
    title = f"{chosen.title} against seconds for each table"
    return drawing.svg(title, "The numbers are in the tables under Cost and Per dataset.")


def growth_plot(table: pd.DataFrame) -> str | None:
    """Seconds against rows and against columns, both logarithmic, with the fitted exponent of each method.

    None where neither size varies enough. A panel shows the tables as they are; the lines are least squares
    within the panel alone where the other size does not vary, else of the joint fit at its middle.
    """
    fits = growth(table)
    sizes = [
        (size, words)
        for size, words in (("n_rows", "rows"), ("n_columns", "columns"))
        if fits[words].notna().any()
    ]
    if not sizes:
        return None
    several = len(table[SETTING].drop_duplicates()) > 1
    styles = colours(sorted(table["label"].unique()))
    exponents = {
        fit.label: ", ".join(
            f"{words} {getattr(fit, words):.1f}" for _, words in sizes if not np.isnan(getattr(fit, words))
        )
        for fit in each(fits)
    }
    named = {f"{label} ({told})": styles[label] for label, told in exponents.items()}
    width = WIDTH if len(sizes) > 1 else 0.7 * WIDTH
    heads, top = key(list(named), named, width)
    high, wide = 300, (width - 24) / len(sizes)
    drawing = Drawing("growth", width, top + high + 44)
    drawing.extend(heads)
    seen = table[table["seconds"].gt(0) & table["label"].isin(exponents)]
    y = Scale(seen["seconds"].min() / 1.5, seen["seconds"].max() * 1.5, top + high, top + 8, logarithmic=True)
    told = []
    for index, (size, words) in enumerate(sizes):
        left = 24 + wide * index
        ends = (seen[size].min() / 1.2, seen[size].max() * 1.2)
        x = Scale(*ends, left + LETTER * 8, left + wide - 12, logarithmic=True)
        bottom_axis(drawing, x, top + 8, top + high, words, "{:,.6g}".format, 5)
        side_axis(drawing, y, x.start, x.end, text=duration)
        for fit in each(fits[fits[words].notna()]):
            part = seen[
                seen["label"].eq(fit.label) & seen["device"].eq(fit.device) & seen["threads"].eq(fit.threads)
            ]
            colour, marker = styles[fit.label]
            exponent = getattr(fit, words)
            middle = np.exp(np.log(part["seconds"]).mean() - exponent * np.log(part[size]).mean())
            line = [(at, middle * at**exponent) for at in (part[size].min(), part[size].max())]
            inside = [(x(a), y(min(max(b, y.low), y.high))) for a, b in line]
            drawing.line(inside, colour, 1.4, opacity=0.7, about=About([], fit.label))
            for row in each(part):
                place = (x(getattr(row, size)), y(row.seconds))
                said = [
                    f"{fit.label}: {duration(row.seconds)}",
                    f"{row.dataset}, {getattr(row, size):,.0f} {words}",
                    f"grows as {words}^{exponent:.2f}",
                ]
                about = About(said, fit.label, row.dataset)
                drawing.mark(*place, colour, marker, 4, edge=PAPER, about=about)
            where = f", {fit.device}, {fit.threads}" if several else ""
            told.append(f"{fit.label}{where}: {words}^{exponent:.2f}")
    upright = top + high / 2
    drawing.text(10, upright, "time to fit and impute", QUIET, anchor="middle", turned=-90)
    return drawing.svg("Seconds against the size of the table", f"Exponents: {'; '.join(told)}.")
