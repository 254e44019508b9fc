"""Pictures of a table's holes and of the choice of a method, each from counts to an ``<svg>`` element."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.canvas import GREY, INK, LINE, PAPER, QUIET, SERIES
from analysis.drawing import WIDTH, About, Drawing, Scale
from analysis.filled_words import share_text
from analysis.holes import Patterns
from analysis.schema import each

OBSERVED, FILLED = SERIES["--series-1"], SERIES["--series-2"]

SHADES = 6
"""Steps of a share missing that are told apart."""
LETTER = 7.4
"""Pixels of a letter, of the widest sans serif that a reader may have."""
LEANING = 55
"""Degrees by which names above a matrix lean."""


def label(name: str, length: int = 24) -> str:
    """A column's name on a picture: one line, its middle left out where it is long.

    >>> label("measurement_of_something_17", 16)
    'measureme…ing_17'
    """
    flat = " ".join(name.split())
    tail = length // 3 + 1
    return flat if len(flat) <= length else f"{flat[: length - tail - 1]}…{flat[-tail:]}"


def gutter(labels: Sequence[str]) -> float:
    """Pixels that the longest of some labels takes, with a gap."""
    return max((len(text) for text in labels), default=0) * LETTER + 12


def rows_map(shares: NDArray[np.float64], names: Sequence[str], missing: Sequence[int], n_rows: int) -> str:
    """A strip for each column from the first row to the last, the darker the more is missing there.

    Parameters
    ----------
    shares
        Of `analysis.holes.bands`, shape (n_bands, n_columns).
    names, missing
        Of the columns, and the holes of each.
    n_rows
        Of the table.
    """
    labels = [label(name) for name in names]
    left, step = gutter(labels), 22
    along = Scale(0, n_rows, left, WIDTH - 62)
    drawing = Drawing("map", WIDTH, step * len(names) + 44)
    steps = np.ceil(shares * SHADES).astype(int)
    edges = np.linspace(0, n_rows, len(shares) + 1)
    for index, (name, text, count) in enumerate(zip(names, labels, missing, strict=True)):
        top, rate = index * step + 3.0, share_text(count / n_rows)
        for start, stop, shade in _runs(steps[:, index]):
            drawing.box(
                along(edges[start]), top, along(edges[stop]) - along(edges[start]), step - 6, OBSERVED,
                opacity=0.08 + 0.92 * shade / SHADES,
            )  # fmt: skip
        about = About([name, f"{count:,} of {n_rows:,} missing, {rate}"])
        drawing.box(left, top, along.end - left, step - 6, OBSERVED, opacity=0.06, about=about)
        drawing.text(left - 8, top + 8, text, INK, anchor="end")
        drawing.text(along.end + 8, top + 8, rate, QUIET)
    foot = step * len(names) + 12
    for tick in along.ticks(6):
        drawing.text(along(tick), foot, f"{tick:,.0f}", QUIET, anchor="middle", size=11)
    drawing.text((left + along.end) / 2, foot + 20, "row, from the first to the last", QUIET, anchor="middle")
    told = ", ".join(
        f"{name} {share_text(count / n_rows)}" for name, count in zip(names, missing, strict=True)
    )
    return drawing.svg("Where values are missing", f"Share missing of each column: {told}.")


def pattern_plot(found: Patterns, names: Sequence[str], n_rows: int) -> str:
    """A line for each pattern: squares are the columns missing together, the bar how many rows miss them.

    Parameters
    ----------
    found
        The patterns to draw, over the columns of `names`.
    n_rows
        Of the table.
    """
    labels = [label(name, 18) for name in names]
    cell = float(np.clip(440 / len(names), 15, 34))
    top, step = _leaning_height(labels), 22
    drawing = Drawing("patterns", WIDTH, top + step * len(found.counts) + 4)
    bar = Scale(0, float(found.counts.max()), cell * len(names) + 14, WIDTH - 130)
    _leaning_names(drawing, labels, cell, top)
    for row, (members, count) in enumerate(zip(found.members, found.counts, strict=True)):
        y = top + step * (row + 0.5)
        for column, member in enumerate(members):
            x = cell * (column + 0.5)
            if member:
                drawing.mark(x, y, OBSERVED, "s", 6.5)
            else:
                drawing.mark(x, y, LINE, size=2)
        told = ", ".join(name for name, member in zip(names, members, strict=True) if member)
        about = About(
            [f"{count:,} rows, {share_text(count / n_rows)}", f"missing: {told or 'none of these columns'}"]
        )
        drawing.box(bar.start, y - 7, max(bar(count) - bar.start, 1), 14, OBSERVED, opacity=0.8, about=about)
        drawing.text(bar(count) + 7, y, f"{count:,} ({share_text(count / n_rows)})", INK, size=11.5)
    return drawing.svg(
        "Which columns are missing together", "The same in words is in the table of patterns below."
    )


def together_plot(phi: NDArray[np.float64], names: Sequence[str]) -> str:
    """Correlations between columns' holes as a triangle of numbered squares; shape (n_columns, n_columns)."""
    n, cell, high = len(names), 40, 26
    labels = [label(name, 18) for name in names]
    left, top = gutter(labels[1:]), _leaning_height(labels[:-1])
    lean = gutter(labels) * np.cos(np.radians(LEANING))
    drawing = Drawing("together", min(left + cell * (n - 1) + lean, WIDTH), top + high * (n - 1) + 4)
    _leaning_names(drawing, labels[:-1], cell, top, left)
    for row in range(1, n):
        y = top + high * (row - 0.5)
        drawing.text(left - 8, y, labels[row], INK, anchor="end")
        for column in range(row):
            value = phi[row, column]
            if np.isnan(value):
                continue
            x, colour = left + cell * column, OBSERVED if value >= 0 else FILLED
            strength = 0.05 + 0.55 * min(abs(value), 1)
            about = About([f"{names[row]} and {names[column]}", f"correlation of their holes {value:.2f}"])
            drawing.box(x + 1, y - 12, cell - 2, high - 2, colour, opacity=strength, about=about)
            drawing.text(x + cell / 2, y, _hundredths(value), INK, anchor="middle", size=11)
    told = "; ".join(
        f"{names[row]} with {names[column]} {phi[row, column]:.2f}"
        for row in range(1, n)
        for column in range(row)
        if not np.isnan(phi[row, column])
    )
    return drawing.svg("How far columns are missing together", f"Correlations: {told}.")


def forest(board: pd.DataFrame, chosen: str, metric: str) -> str | None:
    """The error of each method scored to the end, with its interval, best first; None where none was.

    Parameters
    ----------
    board
        With ``label``, ``error``, ``error_low``, ``error_high`` and ``status``.
    chosen
        The label of the method that filled the table.
    metric
        What the error is, in words; one that says "relative to" has column means at 1.
    """
    scored = board[board["status"].eq("scored") & board["error"].notna()].sort_values("error", kind="stable")
    if scored.empty:
        return None
    yardstick = 1.0 if "relative to" in metric else 0.0
    labels = [label(name, 32) for name in scored["label"]]
    # one method far off would press the others together
    highest = float(scored[["error", "error_high"]].max().max())
    top = max(min(highest, 3 * max(scored["error"].median(), yardstick)), yardstick) * 1.04 or 1.0
    along, step = Scale(0, top, gutter(labels) + 8, WIDTH - 20), 28
    foot = step * len(scored) + 4
    drawing = Drawing("forest", WIDTH, foot + 44)
    for tick in along.ticks(8):
        drawing.line([(along(tick), 0), (along(tick), foot)], LINE)
        drawing.text(along(tick), foot + 12, f"{tick:.4g}", QUIET, anchor="middle", size=11)
    if yardstick:
        drawing.line([(along(1), 0), (along(1), foot)], GREY, dashes=True)
    for index, row in enumerate(each(scored)):
        y, mine = step * (index + 0.5), row.label == chosen
        colour = FILLED if mine else OBSERVED
        told, x = [row.label, f"error {row.error:.3f}"], along(min(row.error, top))
        if pd.notna(row.error_low) and pd.notna(row.error_high):
            ends = [(along(min(bound, top)), y) for bound in (row.error_low, row.error_high)]
            drawing.line(ends, colour, 3, opacity=0.5)
            told.append(f"{row.error_low:.3f} to {row.error_high:.3f}")
        drawing.mark(x, y, colour, "D" if mine else "o", 5.5, edge=PAPER, about=About(told))
        drawing.text(along.start - 8, y, labels[index], INK, anchor="end", bold=mine)
        if row.error > top:
            drawing.text(x - 10, y, f"{row.error:.3g} →", QUIET, anchor="end", size=11)
    drawing.text(
        (along.start + along.end) / 2, foot + 33, f"{metric} (less is better)", QUIET, anchor="middle"
    )
    told_all = "; ".join(f"{row.label} {row.error:.3g}" for row in each(scored))
    return drawing.svg("Error of each method on hidden entries of this table", f"{told_all}.")


def _leaning_height(labels: Sequence[str]) -> float:
    return gutter(labels) * float(np.sin(np.radians(LEANING))) + 8


def _leaning_names(
    drawing: Drawing, labels: Sequence[str], cell: float, top: float, left: float = 0.0
) -> None:
    """Names above the columns of a matrix, leaning to the right."""
    for column, text in enumerate(labels):
        drawing.text(left + cell * (column + 0.5), top - 8, text, INK, turned=-LEANING)


def _hundredths(value: float) -> str:
    """A correlation in few letters.

    >>> [_hundredths(value) for value in (0.251, -0.3, 0.001, 1.0)]
    ['.25', '−.30', '0', '1']
    """
    if abs(value) < 0.005 or abs(value) > 0.995:
        return f"{value:.0f}".replace("-0", "0").replace("-", "−")
    return f"{value:.2f}".replace("-", "−").replace("0.", ".")


def _runs(steps: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Runs of equal steps above 0: start, end, step.

    >>> _runs(np.array([2, 2, 0, 1]))
    [(0, 2, 2), (3, 4, 1)]
    """
    turns = np.flatnonzero(np.diff(steps)) + 1
    bounds = [0, *turns.tolist(), len(steps)]
    return [(start, stop, int(steps[start])) for start, stop in pairwise(bounds) if steps[start] > 0]
