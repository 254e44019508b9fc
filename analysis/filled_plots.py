"""Pictures of a filled table, each a function from counted things to an ``<svg>`` element or to None."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.canvas import GREY, INK, LINE, PAPER, QUIET, SERIES, STYLE, WIDTH, sheet, svg
from analysis.contrast import Contrast
from analysis.filled_words import number_text, share_text
from analysis.holes import Patterns
from analysis.schema import cut, each, percent

OBSERVED, FILLED = SERIES["--series-1"], SERIES["--series-2"]

SHADES = 6
"""Steps of a share missing that are told apart."""


@contextmanager
def _style(**changes: Any) -> Iterator[None]:
    """The house's style; a name in a script that the measuring font lacks is drawn by the reader's own."""
    style: Any = {**STYLE, **changes}
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing", category=UserWarning)
        yield


def label(name: str, length: int = 22) -> str:
    """A column's name on a picture: one line, cut where it is long."""
    return cut(" ".join(name.split()), length)


def rows_map(shares: NDArray[np.float64], names: Sequence[str], rates: Sequence[float], n_rows: int) -> str:
    """A strip for each column from the first row to the last, the darker the more is missing there.

    Parameters
    ----------
    shares
        Of `analysis.holes.bands`, shape (n_bands, n_columns).
    names, rates
        Of the columns, and the share missing of each.
    n_rows
        Of the table.
    """
    n_bands, n_columns = shares.shape
    width = n_rows / n_bands
    with _style(**{"axes.grid": False, "ytick.labelsize": 9}):
        figure, axes = sheet(WIDTH, 0.7 + 0.24 * n_columns)
        steps = np.ceil(shares * SHADES).astype(int)
        for step in range(1, SHADES + 1):
            boxes = [
                (start * width, y - 0.41, (stop - start) * width, 0.82)
                for y in range(n_columns)
                for start, stop in _runs(steps[:, y] == step)
            ]
            _boxes(axes, boxes, OBSERVED, alpha=0.08 + 0.92 * step / SHADES)
        for y, rate in enumerate(rates):
            axes.add_patch(Rectangle((0, y - 0.41), n_rows, 0.82, fill=False, edgecolor=LINE, linewidth=0.6))
            axes.annotate(
                share_text(rate), (n_rows, y), xytext=(6, 0), textcoords="offset points", va="center",
                fontsize=9, color=QUIET, annotation_clip=False,
            )  # fmt: skip
        axes.set_yticks(range(n_columns), [label(name) for name in names])
        axes.set_xlim(0, n_rows)
        axes.set_ylim(n_columns - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.spines["bottom"].set_visible(False)
        axes.set_xlabel("row, from the first to the last")
        told = ", ".join(f"{name} {share_text(rate)}" for name, rate in zip(names, rates, strict=True))
        return svg(figure, "map", "Where values are missing", f"Share missing of each column: {told}.")


def pattern_plot(found: Patterns, names: Sequence[str], n_rows: int) -> str:
    """A line for each pattern: squares are the columns missing together, the bar how many rows miss them.

    Parameters
    ----------
    found
        The patterns to draw, over the columns of `names`.
    n_rows
        Of the table.
    """
    n_patterns, n_columns = found.members.shape
    with _style(**{"axes.grid": False, "ytick.labelsize": 9, "xtick.labelsize": 9}):
        figure = Figure(figsize=(WIDTH, 1.5 + 0.27 * n_patterns), layout="constrained")
        matrix, bars = figure.subplots(
            1, 2, sharey=True, width_ratios=[max(n_columns, 4), max(12, n_columns // 2)]
        )
        y, x = np.nonzero(found.members)
        away = np.argwhere(~found.members)
        matrix.plot(away[:, 1], away[:, 0], "s", color=LINE, markersize=3)
        matrix.plot(x, y, "s", color=OBSERVED, markersize=8)
        matrix.set_xticks(range(n_columns), [label(name, 18) for name in names], rotation=60, ha="left",
                          rotation_mode="anchor", color=INK)  # fmt: skip
        matrix.xaxis.tick_top()
        matrix.set_yticks([])
        matrix.set_xlim(-0.6, n_columns - 0.4)
        matrix.set_ylim(n_patterns - 0.5, -0.6)
        matrix.spines["bottom"].set_visible(False)
        bars.barh(range(n_patterns), found.counts, height=0.6, color=OBSERVED, alpha=0.8)
        for row, count in enumerate(found.counts):
            bars.annotate(
                f"{count:,}  ({share_text(count / n_rows)})", (count, row), xytext=(5, 0),
                textcoords="offset points", va="center", fontsize=9,
            )  # fmt: skip
        bars.set_xlim(0, found.counts.max() * 1.45)
        bars.set_xticks([])
        bars.spines["bottom"].set_visible(False)
        return svg(
            figure,
            "patterns",
            "Which columns are missing together",
            "The same in words is in the table of patterns below.",
        )


def together_plot(phi: NDArray[np.float64], names: Sequence[str]) -> str:
    """Correlations between columns' holes as a triangle of numbered squares; shape (n_columns, n_columns)."""
    n = len(names)
    with _style(**{"axes.grid": False, "ytick.labelsize": 9, "xtick.labelsize": 9}):
        figure, axes = sheet(min(WIDTH, 2.6 + 0.5 * n), 1.4 + 0.36 * n)
        for row in range(1, n):
            for column in range(row):
                value = phi[row, column]
                if np.isnan(value):
                    continue
                colour = OBSERVED if value >= 0 else FILLED
                axes.add_patch(
                    Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, color=colour,
                              alpha=0.6 * min(abs(value), 1), linewidth=0)
                )  # fmt: skip
                shown = "0" if abs(value) < 0.005 else f"{value:.2f}".replace("-", "−").replace("0.", ".")
                axes.text(column, row, shown, ha="center", va="center", fontsize=8.5)
        axes.set_xticks(range(n - 1), [label(name, 16) for name in names[:-1]], rotation=45, ha="right",
                        rotation_mode="anchor", color=INK)  # fmt: skip
        axes.set_yticks(range(1, n), [label(name, 16) for name in names[1:]])
        axes.set_xlim(-0.5, n - 1.5)
        axes.set_ylim(n - 0.5, 0.5)
        axes.spines["bottom"].set_visible(False)
        told = "; ".join(
            f"{names[row]} with {names[column]} {phi[row, column]:.2f}"
            for row in range(1, n)
            for column in range(row)
            if not np.isnan(phi[row, column])
        )
        return svg(figure, "together", "How far columns are missing together", f"Correlations: {told}.")


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
    against_means = "relative to" in metric
    with _style():
        figure, axes = sheet(WIDTH, 0.8 + 0.34 * len(scored))
        for y, row in enumerate(each(scored)):
            colour = FILLED if row.label == chosen else OBSERVED
            axes.plot([row.error_low, row.error_high], [y, y], color=colour, linewidth=2, alpha=0.55)
            axes.plot(row.error, y, "D" if row.label == chosen else "o", color=colour, markersize=7.5,
                      markeredgecolor=PAPER)  # fmt: skip
        if against_means:
            axes.axvline(1, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(scored)), [label(name, 32) for name in scored["label"]])
        axes.set_ylim(len(scored) - 0.5, -0.6)
        # one method far off would press the others together
        widest = scored[["error", "error_high"]].max().max()
        top = min(widest, 3 * max(scored["error"].median(), 1.0 if against_means else 0.0))
        axes.set_xlim(0, top * 1.05 or 1)
        axes.set_xlabel(f"{metric} (less is better)")
        told = "; ".join(f"{row.label} {row.error:.3g}" for row in each(scored))
        return svg(figure, "forest", "Error of each method on hidden entries of this table", f"{told}.")


def contrast_plot(shown: Contrast, name: str) -> str | None:
    """Observed (area or bar) against filled (line, tick or bar); None where either is missing altogether."""
    if not shown.n_observed or not shown.n_filled:
        return None
    return _category_bars(shown, name) if shown.kind == "category" else _histograms(shown, name)


def _histograms(shown: Contrast, name: str) -> str:
    top = max(shown.observed.max(), 0 if len(shown.few) else shown.filled.max())
    with _style(**{"axes.grid": False, "xtick.labelsize": 8.5}):
        figure = Figure(figsize=(3.0, 1.45))
        axes = figure.add_axes((0.04, 0.2, 0.92, 0.76))
        axes.stairs(shown.observed, shown.edges, fill=True, color=OBSERVED, alpha=0.35, linewidth=0)
        if len(shown.few):
            ticks = np.clip(shown.few, shown.edges[0], shown.edges[-1])
            axes.vlines(ticks, 0, 0.22 * top, color=FILLED, linewidth=1.6)
        else:
            axes.stairs(shown.filled, shown.edges, color=FILLED, linewidth=1.6, baseline=None)
        axes.set_xlim(shown.edges[0], shown.edges[-1])
        axes.set_ylim(0, top * 1.04)
        axes.set_yticks([])
        _number_axis(axes, shown)
        return svg(figure, name, f"Observed and filled values of {shown.name}", _numbers_told(shown))


def _number_axis(axes: Axes, shown: Contrast) -> None:
    low, high = shown.edges[0], shown.edges[-1]
    if shown.kind == "date":
        span = (high - low) / 86_400e9
        form = "%Y" if span > 1500 else "%Y-%m" if span > 90 else "%m-%d" if span > 3 else "%d %H:%M"
        places = np.linspace(low, high, 4)[1:-1] if span <= 90 else np.linspace(low, high, 5)[1:-1]
        axes.set_xticks(places, [pd.Timestamp(int(place)).strftime(form) for place in places])
        return
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=False))
    axes.xaxis.set_major_formatter(lambda value, _: number_text(value))


def _category_bars(shown: Contrast, name: str) -> str:
    n = len(shown.labels)
    with _style(**{"axes.grid": False, "ytick.labelsize": 8.5}):
        height = 0.12 + 0.27 * n
        figure = Figure(figsize=(3.0, height))
        axes = figure.add_axes((0.38, 0.0, 0.5, 1.0))
        for offset, shares, colour, alpha in (
            (-0.19, shown.observed, OBSERVED, 0.5),
            (0.19, shown.filled, FILLED, 1.0),
        ):
            axes.barh(np.arange(n) + offset, shares, height=0.34, color=colour, alpha=alpha, linewidth=0)
            for y, share in enumerate(shares):
                axes.annotate(
                    f"{share * 100:.0f}", (share, y + offset), xytext=(3, 0), textcoords="offset points",
                    va="center", fontsize=6.5, color=QUIET,
                )  # fmt: skip
        axes.set_yticks(range(n), [label(text, 17) for text in shown.labels])
        axes.set_ylim(n - 0.45, -0.55)
        axes.set_xlim(0, max(shown.observed.max(), shown.filled.max()))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        told = "; ".join(
            f"{text} {percent(one)} and {percent(other)}"
            for text, one, other in zip(shown.labels, shown.observed, shown.filled, strict=True)
        )
        return svg(figure, name, f"Observed and filled values of {shown.name}", f"Shares: {told}.")


def _numbers_told(shown: Contrast) -> str:
    if shown.kind == "date":
        means = [f"{pd.Timestamp(int(mean)):%Y-%m-%d}" for mean in shown.means]
        return f"Mean {means[0]} observed, {means[1]} filled."
    (observed, filled), (wide, narrow) = shown.means, shown.deviations
    return (
        f"Mean {number_text(observed)} observed, {number_text(filled)} filled; "
        f"standard deviation {number_text(wide)} and {number_text(narrow)}."
    )


def _runs(inside: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where a row of flags is up: pairs of start and end.

    >>> _runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    turns = np.flatnonzero(np.diff(np.concatenate(([0], inside.astype(np.int8), [0]))))
    return [(int(start), int(stop)) for start, stop in zip(turns[::2], turns[1::2], strict=True)]


def _boxes(axes: Axes, boxes: Sequence[tuple[float, float, float, float]], colour: str, alpha: float) -> None:
    """Boxes (left, bottom, width, height) as one mark."""
    if not boxes:
        return
    unit = Path.unit_rectangle()
    corners = np.asarray(unit.vertices)
    outline = Path.make_compound_path(*(Path(corners * (w, h) + (x, y), unit.codes) for x, y, w, h in boxes))
    axes.add_patch(PathPatch(outline, facecolor=colour, alpha=alpha, linewidth=0))
