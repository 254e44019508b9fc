"""The report's pictures of whole methods, each a function from records to an ``<svg>`` element or to None.

None means that the records do not allow the picture, say because mean imputation was not run.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.again import Again
from analysis.averages import cells
from analysis.canvas import GREY, INK, LINE, PAPER, QUIET, colours
from analysis.drawing import LETTER, WIDTH, About, Drawing, Scale
from analysis.labels import Box, beside
from analysis.ranking import BASELINE, leaderboard, only_split, relative
from analysis.records import labelled
from analysis.schema import CELL, METRICS, Metric, counted, cut, each, find_metric, mechanism_text, ratio_text

CROWD = 30
"""With more repetitions than this a bar from the least to the greatest stands for the single dots."""

MOST_CELLS = 2500
"""So many cells are drawn as dots of their own."""

DISTRIBUTION = ("energy_distance", "sliced_wasserstein", "wasserstein", "crps")
"""Scores of a distribution, those that charge least for noise first."""


def relative_error(records: pd.DataFrame, metric: str = "mae", *, again: Again | None = None) -> str | None:
    """Error relative to mean imputation: mark = median over cells, thick bar = quartiles, thin bar = range.

    Each small dot is a cell. Returns None where mean imputation was not run or nothing can be set against it.
    """
    chosen = find_metric(metric)
    rows = labelled(records)
    scores = relative(cells(only_split(rows), metric)).dropna(subset=["relative"])
    scores = scores[scores["label"].ne(BASELINE)]
    if scores.empty:
        return None
    groups = {str(label): group.sort_values("relative") for label, group in scores.groupby("label")}
    order = sorted(groups, key=lambda label: (groups[label]["relative"].median(), label))
    styles = colours(sorted(rows["label"].unique()))
    uneven = len({len(group) for group in groups.values()}) > 1
    names = {label: cut(label, 32) + (f" ({len(groups[label])})" if uneven else "") for label in order}
    left, top, step = LETTER * max(map(len, names.values())) + 20, 34, 32
    bottom = top + step * len(order)
    drawing = Drawing("relative", WIDTH, bottom + 48)
    x = Scale(0, max(scores["relative"].max(), 1.0) * 1.04, left, WIDTH - 10)
    words = f"{chosen.title} divided by that of mean imputation in the same cell; less is better"
    bottom_axis(drawing, x, top - 8, bottom, words)
    drawing.line([(x(1), top - 14), (x(1), bottom)], GREY, dashes=True)
    drawing.text(x(1), top - 22, "mean imputation", QUIET, anchor="middle", size=11)
    for index, label in enumerate(order):
        y, (colour, marker), group = top + step * (index + 0.5), styles[label], groups[label]
        values = group["relative"]
        low, middle, high = values.quantile([0.25, 0.5, 0.75])
        told = [
            f"{label}: {middle:.2f} times the {chosen.title} of mean imputation",
            f"median of {counted(len(values), 'cell')}; {values.min():.2f} to {values.max():.2f}",
        ]
        method = str(group["method"].iloc[0])
        about = About(told, method=label, run=again.method_command(method) if again else "")
        name = About([], method=label)
        drawing.text(left - 12, y, names[label], "#1b1f24", anchor="end", about=name)
        drawing.line([(x(values.min()), y), (x(values.max()), y)], colour, 1.5, opacity=0.6, about=name)
        if len(values) > 2:
            drawing.box(x(low), y - 5, x(high) - x(low), 10, colour, opacity=0.3, about=name)
        drawing.mark(x(middle), y, colour, marker, 5.5, edge=PAPER, about=about)
        if len(scores) <= MOST_CELLS:
            for row in each(group):
                drawing.mark(
                    x(row.relative), y + 10, colour, size=2.2, opacity=0.7, about=_cell(row, chosen, again)
                )
    medians = ", ".join(f"{label} {groups[label]['relative'].median():.2f}" for label in order)
    return drawing.svg(
        f"{chosen.title} relative to mean imputation",
        f"Median over cells for each method: {medians}. Bars show quartiles and range over cells.",
    )


def cost(
    records: pd.DataFrame, metric: str = "mae", *, board: pd.DataFrame | None = None,
    again: Again | None = None,
) -> str | None:  # fmt: skip
    """Accuracy against cost over the ranked cells; the line joins methods that none beats in both.

    `board` is the leaderboard by `metric`, worked out here if it is not at hand. Returns None where no method
    has both an error and a time.
    """
    chosen = find_metric(metric)
    rows = labelled(records)
    board = leaderboard(rows, metric=metric) if board is None else board
    against = board["relative_error"].notna().any()
    column = "relative_error" if against else metric
    points = board.dropna(subset=[column, "seconds"])
    points = points[points["seconds"].gt(0)].sort_values(["seconds", column])
    if points.empty:
        return None
    drawing = Drawing("cost", WIDTH, 430)
    x = Scale(points["seconds"].min() / 2, points["seconds"].max() * 2, 64, WIDTH - 10, logarithmic=True)
    y = Scale(0, points[column].max() * 1.1 or 1, 380, 14)
    words = f"{chosen.title} relative to mean imputation" if against else f"{chosen.title}, mean over cells"
    bottom_axis(drawing, x, 14, 380, "time to fit and impute one trial, median, logarithmic", duration)
    side_axis(drawing, y, 64, WIDTH - 10, words)
    marks = [
        (row.label, row.method, x(row.seconds), y(getattr(row, column)), [
            f"{row.label}: {words} {getattr(row, column):.3f}",
            f"{duration(row.seconds)} to fit and impute",
            f"median of {counted(row.trials - row.failures, 'trial')}",
        ])
        for row in each(points)
    ]  # fmt: skip
    front = points[points[column] <= points[column].cummin()].drop_duplicates(column)
    drawing.line([(x(row.seconds), y(getattr(row, column))) for row in each(front)], QUIET, dashes=True)
    _methods(drawing, marks, (64, 0, WIDTH, 380), rows, again)
    told = "; ".join(
        f"{row.label} {duration(row.seconds)}, {getattr(row, column):.2f}" for row in each(points)
    )
    return drawing.svg(f"{chosen.title} against time", f"Each method's time and error: {told}.")


def two_axes(records: pd.DataFrame, metric: str = "mae", *, again: Again | None = None) -> dict[str, str]:
    """The error of a point against scores of a distribution, each relative to mean imputation.

    A method that fills in the most likely value is good at the one and bad at the other.

    Returns
    -------
    dict of str to str
        For each of `DISTRIBUTION` that two methods or more have, an ``<svg>`` element. Medians over the cells
        that all of them completed in both scores, or means of the plain scores where mean imputation was not
        run; the line joins methods that none beats in both.
    """
    rows = only_split(labelled(records))
    drawn = {}
    for key in DISTRIBUTION:
        if rows[key].isna().all():
            continue
        pairs = _complete(rows, metric).merge(_complete(rows, key), on=[*CELL, "label", "method"])
        for columns, middle in ((("relative_x", "relative_y"), "median"), (("mean_x", "mean_y"), "mean")):
            known = pairs.dropna(subset=list(columns))
            everyone = known.groupby(CELL)["label"].transform("size").eq(known["label"].nunique())
            shared = known[everyone.astype(bool)]
            points = shared.groupby(["label", "method"])[list(columns)].agg(middle).reset_index()
            if len(points) < 2:
                continue
            points.columns = pd.Index(["label", "method", "point", "shape"])
            over = f"{middle} over {counted(len(shared[CELL].drop_duplicates()), 'cell')} that all completed"
            relation = " relative to mean imputation" if middle == "median" else ""
            titles = (find_metric(metric).title + relation, METRICS[key].title + relation)
            drawn[key] = _two_axes(f"two-{key}", points, titles, over, rows, again)
            break
    return drawn


def _complete(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    scores = relative(cells(rows, key))
    return scores.loc[scores["complete"], [*CELL, "label", "method", "mean", "relative"]]


def _two_axes(
    name: str, points: pd.DataFrame, titles: tuple[str, str], over: str, rows: pd.DataFrame,
    again: Again | None,
) -> str:  # fmt: skip
    points = points.sort_values(["point", "shape"])
    drawing = Drawing(name, WIDTH, 470)
    x = _around(points["point"], 64, WIDTH - 10)
    y = _around(points["shape"], 420, 14)
    bottom_axis(drawing, x, 14, 420, f"{titles[0]}: how far off single entries are")
    side_axis(drawing, y, 64, WIDTH - 10, f"{titles[1]}: the distribution")
    front = points[points["shape"] <= points["shape"].cummin()]
    drawing.line([(x(row.point), y(row.shape)) for row in each(front)], QUIET, dashes=True)
    marks = [
        (row.label, row.method, x(row.point), y(row.shape),
         [str(row.label), f"{titles[0]} {row.point:.3f}", f"{titles[1]} {row.shape:.3f}", over])
        for row in each(points)
    ]  # fmt: skip
    _methods(drawing, marks, (64, 0, WIDTH, 420), rows, again)
    told = "; ".join(f"{row.label} {row.point:.2f} and {row.shape:.2f}" for row in each(points))
    return drawing.svg(f"{titles[0]} against {titles[1]}", f"{over[0].upper()}{over[1:]}: {told}.")


def _around(values: pd.Series, start: float, end: float) -> Scale:
    """A scale with room around the values; it begins at zero where that is not far."""
    low, high = float(values.min()), float(values.max())
    room = 0.1 * (high - low) or 0.1 * high or 1.0
    return Scale(0.0 if low < high - low else low - room, high + room, start, end)


def _methods(
    drawing: Drawing, marks: list[Any], within: Box, rows: pd.DataFrame, again: Again | None
) -> None:
    """A named mark for each (label, method, x, y, what to tell), the name within a box."""
    styles = colours(sorted(rows["label"].unique()))
    names = [cut(label, 32) for label, *_ in marks]
    places = beside([(x, y) for _, _, x, y, _ in marks], names, within)
    for (label, *_), place, name in zip(marks, places, names, strict=True):
        about = About([], method=label)
        if place.leader:
            drawing.line(place.leader, QUIET, 0.6, about=about)
        drawing.text(place.x, place.y, name, INK, anchor=place.anchor, about=about)
    for label, method, x, y, told in marks:
        colour, marker = styles[label]
        run = again.method_command(method) if again else ""
        drawing.mark(x, y, colour, marker, 5.5, edge=PAPER, about=About(told, method=label, run=run))


def _cell(row: Any, chosen: Metric, again: Again | None) -> About:
    spread = f" ± {row.std * chosen.unit_scale:.{chosen.digits}f}" if pd.notna(row.std) else ""
    told = [
        f"{row.label}: {chosen.title} {chosen.text(row.mean)}{spread}",
        f"{place_text(row)}; {counted(row.n, 'mask seed')}",
        f"{row.relative:.3f} times that of mean imputation",
    ]
    return About(told, row.label, row.dataset, again.cell(row) if again else ())


def place_text(row: Any) -> str:
    """A cell in words: ``blood, MCAR, 30 % missing``."""
    return f"{row.dataset}, {mechanism_text(row.mechanism)}, {ratio_text(row.ratio)} missing"


def bottom_axis(
    drawing: Drawing, x: Scale, top: float, bottom: float, title: str = "", text: Any = "{:g}".format,
    most: int = 8,
) -> None:  # fmt: skip
    """Ticks, their grid lines from `top` to `bottom`, and a title beneath."""
    for tick in x.ticks(most):
        drawing.line([(x(tick), top), (x(tick), bottom)], LINE, 0.8)
        drawing.text(x(tick), bottom + 12, text(tick), QUIET, anchor="middle", size=11)
    if title:
        drawing.text((x.start + x.end) / 2, bottom + 34, title, QUIET, anchor="middle")


def side_axis(
    drawing: Drawing, y: Scale, left: float, right: float, title: str = "", text: Any = "{:g}".format,
    most: int = 6,
) -> None:  # fmt: skip
    """Ticks with grid lines from `left` to `right`, and a title that reads upwards."""
    for tick in y.ticks(most):
        drawing.line([(left, y(tick)), (right, y(tick))], LINE, 0.8)
        drawing.text(left - 8, y(tick), text(tick), QUIET, anchor="end", size=11)
    if title:
        drawing.text(14, (y.start + y.end) / 2, title, QUIET, anchor="middle", turned=-90)


def duration(seconds: float) -> str:
    """Seconds as a reader says them.

    >>> [duration(s) for s in (0.0031, 0.25, 12, 100, 5400)]
    ['3.1 ms', '0.25 s', '12 s', '100 s', '1.5 h']
    """
    for bound, unit, size in ((0.1, "ms", 0.001), (1000, "s", 1.0), (3600, "min", 60.0)):
        if seconds < bound:
            return f"{float(f'{seconds / size:.2g}'):g} {unit}"
    return f"{float(f'{seconds / 3600:.2g}'):g} h"
