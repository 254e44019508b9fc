"""One column's observed values (filled shapes) and filled ones (lines, ticks, bars) in a small picture."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.canvas import INK, LINE, QUIET, SERIES
from analysis.contrast import Contrast, Floats
from analysis.drawing import About, Drawing, Scale
from analysis.filled_words import number_text
from analysis.schema import cut, percent

OBSERVED, FILLED = SERIES["--series-1"], SERIES["--series-2"]
WIDTH, HEIGHT = 286, 132
"""Of a picture of numbers, in CSS pixels; one of categories is as high as these are many."""
TALL = 2.5
"""A line of filled values is cut where it is so many times as high as the highest observed bar."""
LABELLED = 104
"""Pixels for the names of categories."""


def contrast_plot(shown: Contrast, name: str) -> str | None:
    """The picture of a column, or None where nothing of it was observed.

    Parameters
    ----------
    shown
        The column.
    name
        Prefix of the ids inside.
    """
    if not shown.n_observed or not shown.n_filled:
        return None
    return _category_bars(shown, name) if shown.kind == "category" else _histograms(shown, name)


def _histograms(shown: Contrast, name: str) -> str:
    peak = 0.0 if len(shown.few) else float(shown.filled.max())
    top = max(shown.observed.max(), min(peak, TALL * shown.observed.max()))
    along = Scale(shown.edges[0], shown.edges[-1], 6, WIDTH - 6)
    up = Scale(0, top, HEIGHT - 22, 4)
    drawing = Drawing(name, WIDTH, HEIGHT)
    lefts = np.round([along(edge) for edge in shown.edges])  # whole pixels: no seams between bars
    for left, right, share in zip(lefts[:-1], lefts[1:], shown.observed, strict=True):
        if share > 0:
            drawing.box(left, up(share), right - left, up.start - up(share), OBSERVED, opacity=0.4)
    drawing.line([(along.start, up.start), (along.end, up.start)], LINE)
    if len(shown.few):
        for value in np.clip(shown.few, shown.edges[0], shown.edges[-1]):
            drawing.line([(along(value), up.start), (along(value), up.start - 22)], FILLED, 2)
    else:
        drawing.line(_stairs(np.minimum(shown.filled, top), shown.edges, along, up), FILLED, 1.8)
    if peak > top:
        at = int(shown.filled.argmax())
        right = at < len(shown.filled) / 2
        beside = along(shown.edges[at + 1]) + 4 if right else along(shown.edges[at]) - 4
        drawing.text(beside, 11, f"{percent(peak)} ↑", FILLED, anchor="start" if right else "end", size=10.5)
    _ticks(drawing, shown, along)
    return drawing.svg(f"Observed and filled values of {shown.name}", _numbers_told(shown))


def _stairs(shares: Floats, edges: Floats, along: Scale, up: Scale) -> list[tuple[float, float]]:
    corners = [(along(edges[0]), up.start)]
    for low, high, share in zip(edges[:-1], edges[1:], shares, strict=True):
        corners += [(along(low), up(share)), (along(high), up(share))]
    return [*corners, (along(edges[-1]), up.start)]


def _ticks(drawing: Drawing, shown: Contrast, along: Scale) -> None:
    if shown.kind == "date":
        places = np.linspace(along.low, along.high, 5)[1:-1].tolist()
        texts = [_date_text(place, along.high - along.low) for place in places]
    else:
        places = along.ticks(4)
        if shown.edges[0] % 1 == 0.5:  # bins of whole numbers
            places = [place for place in places if place % 1 == 0]
        texts = [number_text(place) for place in places]
    for place, text in zip(places, texts, strict=True):
        half = 3.1 * len(text)
        x = min(max(along(place), half), WIDTH - half)
        drawing.text(x, HEIGHT - 11, text, QUIET, anchor="middle", size=11)


def _date_text(nanoseconds: float, span: float) -> str:
    """A date, the finer the shorter the axis; its `span` is in nanoseconds.

    >>> day = 86_400e9
    >>> [_date_text(18_628 * day, span * day) for span in (5000, 400, 30, 1)]
    ['2021', '2021-01', '01-01', '01 00:00']
    """
    days = span / 86_400e9
    form = "%Y" if days > 1500 else "%Y-%m" if days > 90 else "%m-%d" if days > 4 else "%d %H:%M"
    return pd.Timestamp(int(nanoseconds)).strftime(form)


def _category_bars(shown: Contrast, name: str) -> str:
    step = 28
    drawing = Drawing(name, WIDTH, step * len(shown.labels) + 4)
    along = Scale(0, max(shown.observed.max(), shown.filled.max()), LABELLED, WIDTH - 38)
    for row, (text, observed, filled) in enumerate(
        zip(shown.labels, shown.observed, shown.filled, strict=True)
    ):
        top = step * row + 3
        about = About(
            [text, f"{percent(observed, 1)} of the observed", f"{percent(filled, 1)} of the filled"]
        )
        drawing.text(LABELLED - 7, top + 11, cut(" ".join(text.split()), 15), INK, anchor="end", size=11.5)
        for offset, share, colour, opacity in ((0, observed, OBSERVED, 0.5), (11, filled, FILLED, 1)):
            drawing.box(
                LABELLED, top + offset, max(along(share) - LABELLED, 0.5), 10, colour, opacity=opacity,
                about=about,
            )  # fmt: skip
            drawing.text(along(share) + 5, top + offset + 5, percent(share), QUIET, size=9)
    told = "; ".join(
        f"{text} {percent(one)} and {percent(other)}"
        for text, one, other in zip(shown.labels, shown.observed, shown.filled, strict=True)
    )
    return drawing.svg(f"Observed and filled values of {shown.name}", f"Shares: {told}.")


def _numbers_told(shown: Contrast) -> str:
    if shown.kind == "date":
        means = [f"{pd.Timestamp(int(mean)):%Y-%m-%d}" for mean in shown.means]
        return f"Mean {means[0]} observed, {means[1]} filled."
    (observed, filled), (wide, narrow) = shown.means, shown.deviations
    return (
        f"Mean {number_text(observed)} observed, {number_text(filled)} filled; "
        f"standard deviation {number_text(wide)} and {number_text(narrow)}."
    )
