"""Pictures of one factor: curves over a number, a forest of named arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from analysis.ablations import RATIO, STUDIES, Study
from analysis.canvas import GREY, INK, LINE, PAPER, QUIET, colours
from analysis.drawing import LETTER, WIDTH, About, Drawing, Scale, key
from analysis.schema import (
    Metric,
    counted,
    cut,
    each,
    find_metric,
    mechanism_order,
    mechanism_text,
    ratio_text,
)

_ACROSS = 3  # panels beside one another
MOST_PANELS = 12
"""No more panels than this are drawn; the tables hold the rest."""


@dataclass(frozen=True)
class _Look:
    """What all panels of a picture share."""

    drawing: Drawing
    study: Study
    metric: Metric
    curves: Sequence[str]
    styles: Mapping[str, tuple[str, str]]
    arms: Sequence[str]


@dataclass(frozen=True)
class _Place:
    """Where a panel lies, in pixels."""

    left: float
    right: float
    top: float
    bottom: float


def ablation(table: pd.DataFrame, *, short: Mapping[str, str] | None = None) -> str | None:
    """One panel for each table of data, one curve for each mechanism (and each other factor that varies).

    Points are means over mask seeds. A bar is the interval of the paired difference to the reference, laid
    around the mean, so that a bar clear of the dashed line is a difference clear of zero: the luck of the
    masks, which all arms share, is not in it. Arms with names stand below one another, and the picture shows
    the difference itself.

    Parameters
    ----------
    table
        As `analysis.ablations.ablation` gives it.
    short
        Headings for datasets.

    Returns
    -------
    str or None
        An ``<svg>`` element; None where no arm has a score.
    """
    study, metric = STUDIES[table.attrs["study"]], find_metric(table.attrs["metric"])
    shown = table.dropna(subset=["mean"])
    if shown.empty:
        return None
    by_method = study.parameter == RATIO
    several = {name for name in ("mechanism", "ratio", "protocol", "method") if table[name].nunique() > 1}
    shown = shown.assign(
        panel=[_panel(row, several, short or {}, by_method) for row in each(shown)],
        curve=[_curve(row, several, by_method) for row in each(shown)],
    )
    rows: dict[str, list[Any]] = {}
    for row in each(shown):
        rows.setdefault(row.panel, []).append(row)
    order = shown.assign(rank=shown["mechanism"].map(mechanism_order)).sort_values(
        ["dataset", "rank", "ratio"]
    )
    every = list(dict.fromkeys(order["panel"]))
    panels = every[:MOST_PANELS]
    shown_of = f" ({len(panels)} of {len(every)} panels)" if len(every) > len(panels) else ""
    curves = list(dict.fromkeys(order.sort_values(["series", "rank"])["curve"]))
    styles = colours(sorted(curves) if by_method else curves)  # a method looks the same in every picture
    arms = list(dict.fromkeys(table["arm"]))
    named = study.scale == "named"

    across = min(_ACROSS, len(panels))
    width = WIDTH if across > 1 else 0.62 * WIDTH
    heads, high_head = key(curves, styles, width) if len(curves) > 1 else ([], 0.0)
    edge = LETTER * min(max(map(len, arms)), 28) + 14 if named else 26.0  # left of all panels
    high = 46 + 20 * len(arms) * max(1, len(curves)) ** 0.5 if named else 240.0
    wide = (width - edge) / across
    name = f"ablation-{study.name}-{metric.key}"
    drawing = Drawing(name, width, high_head + high * ceil(len(panels) / across) + 26)
    drawing.extend(heads)
    look = _Look(drawing, study, metric, curves, styles, arms)
    for index, panel in enumerate(panels):
        left, top = edge + wide * (index % across), high_head + high * (index // across)
        place = _Place(left + (8 if named else 40), left + wide - 14, top + 28, top + high - 26)
        drawing.text(place.left, top + 12, cut(panel, int(wide / LETTER)), INK, bold=True)
        if named:
            _forest(look, place, rows[panel], index % across == 0)
        else:
            _lines(look, place, rows[panel])
    middle, low = (edge + width) / 2, drawing.height - 10
    if named:
        drawing.text(middle, low, f"{metric.title} minus that of “{arms[0]}”", QUIET, anchor="middle")
    else:
        scale = ", logarithmic" if study.scale == "log" else ""
        drawing.text(middle, low, f"{study.axis}{scale}", QUIET, anchor="middle")
        upright = (high_head + low) / 2
        drawing.text(12, upright, f"{metric.title}, mean over mask seeds", QUIET, anchor="middle", turned=-90)
    best = "; ".join(f"{panel}: least at {_least(rows[panel], metric)}" for panel in panels)
    return drawing.svg(f"{metric.title}: {study.title.lower()}{shown_of}", f"{best}.")


def _lines(look: _Look, place: _Place, here: Sequence[Any]) -> None:
    drawing, study, scale = look.drawing, look.study, look.metric.unit_scale
    position, ticks = _positions(here, study)
    spots = [at for at, _ in ticks]
    room = 0.06 * (max(spots) - min(spots)) or 1.0
    x = Scale(min(spots) - room, max(spots) + room, place.left, place.right)
    tall, least = (end(row.mean for row in here) * scale for end in (max, min))
    spread = max(tall - least, 0.02 * abs(tall), 1e-9)
    floor = 0.0 if least >= 0 else -np.inf
    # The bars of few seeds can be longer than all that is to be seen; they end with the panel.
    y = Scale(max(least - 0.45 * spread, floor), tall + 0.45 * spread, place.bottom, place.top)
    for tick in y.ticks(5):
        drawing.line([(place.left, y(tick)), (place.right, y(tick))], LINE, 0.8)
        drawing.text(place.left - 6, y(tick), f"{tick:g}", QUIET, anchor="end", size=10.5)
    taken = -np.inf
    for at, told in sorted(ticks):
        drawing.line([(x(at), place.top), (x(at), place.bottom)], LINE, 0.8)
        half = LETTER * len(told) * 0.45
        if x(at) - half > taken:
            drawing.text(x(at), place.bottom + 11, told, QUIET, anchor="middle", size=10.5)
            taken = x(at) + half + 3
    for curve in look.curves:
        part = [row for row in here if row.curve == curve]
        if not part:
            continue
        colour, marker = look.styles[curve]
        of = About([], method=curve if study.parameter == RATIO else "", dataset=part[0].dataset)
        points = sorted((position[row.arm], row.mean * scale) for row in part if np.isfinite(row.value))
        drawing.line([(x(a), y(b)) for a, b in points], colour, 1.5, opacity=0.8, about=of)
        levels = [y(row.mean * scale) for row in part if row.is_reference and study.parameter != RATIO]
        for level in levels[:1]:
            drawing.line([(place.left, level), (place.right, level)], colour, dashes=True, opacity=0.7)
        for row in part:
            spot, middle = x(position[row.arm]), row.mean * scale
            if row.high > row.low:
                half = (row.high - row.low) / 2 * scale
                ends = (max(middle - half, y.low), min(middle + half, y.high))
                drawing.line([(spot, y(end)) for end in ends], colour, 2, opacity=0.55, about=of)
            drawing.mark(spot, y(middle), colour, marker, 4, edge=PAPER, about=_about(look, row, curve))


def _forest(look: _Look, place: _Place, here: Sequence[Any], first: bool) -> None:
    drawing, scale = look.drawing, look.metric.unit_scale
    known = [row for row in here if pd.notna(row.difference)]
    widest = 1.9 * max((abs(row.difference) for row in known), default=0) * scale or 1.0
    x = Scale(-widest, widest, place.left, place.right)
    for tick in x.ticks(4):
        drawing.line([(x(tick), place.top), (x(tick), place.bottom)], LINE, 0.8)
        drawing.text(x(tick), place.bottom + 11, f"{tick:g}", QUIET, anchor="middle", size=10.5)
    drawing.line([(x(0), place.top), (x(0), place.bottom)], GREY, dashes=True)
    step = (place.bottom - place.top) / len(look.arms)
    for index, arm in enumerate(look.arms):
        if first:
            at = place.top + step * (index + 0.5)
            drawing.text(place.left - 12, at, cut(arm, 28), INK, anchor="end", size=11)
    apart = 0.7 * step / max(len(look.curves), 1)
    for index, curve in enumerate(look.curves):
        colour, marker = look.styles[curve]
        for row in (row for row in known if row.curve == curve):
            shift = (index - (len(look.curves) - 1) / 2) * apart
            y, middle = place.top + step * (look.arms.index(row.arm) + 0.5) + shift, row.difference * scale
            if row.high > row.low:
                ends = (max(row.low * scale, -widest), min(row.high * scale, widest))
                drawing.line([(x(end), y) for end in ends], colour, 2, opacity=0.55)
            drawing.mark(x(middle), y, colour, marker, 4, edge=PAPER, about=_about(look, row, curve))


def _about(look: _Look, row: Any, curve: str) -> About:
    """An arm's mean, and its difference from the reference with the interval."""
    metric, by_method = look.metric, look.study.parameter == RATIO
    told = [f"{', '.join(dict.fromkeys((curve, row.arm)))}: {metric.title} {metric.text(row.mean)}"]
    told.append(
        f"{row.dataset}, {mechanism_text(row.mechanism)}, {ratio_text(row.ratio)} missing, {row.method}"
    )
    if not row.is_reference and pd.notna(row.difference):
        gap, low, high = (
            f"{value * metric.unit_scale:+.{metric.digits}f}" for value in (row.difference, row.low, row.high)
        )
        interval = f", {low} to {high}" if pd.notna(row.low) else ""
        told.append(f"{gap} against the reference{interval}, over {counted(int(row.pairs), 'mask seed')}")
    return About(told, curve if by_method else "", row.dataset)


def _positions(here: Sequence[Any], study: Study) -> tuple[dict[str, float], list[tuple[float, str]]]:
    """Where each arm stands, and the ticks; zero on a logarithmic axis and what is no number stand apart."""
    # a ratio is one place on the axis, whichever method's
    values = {row.value if study.parameter == RATIO else row.arm: row for row in here}
    arms = [(row.arm, row.value) for row in values.values()]
    log = study.scale == "log"
    numbers = sorted((value, arm) for arm, value in arms if np.isfinite(value))
    spot = {arm: float(np.log10(value) if log else value) for value, arm in numbers if value > 0 or not log}
    low, high = min(spot.values(), default=0.0), max(spot.values(), default=0.0)
    step = (high - low) / max(len(spot) - 1, 1) or 1.0
    for index, arm in enumerate((arm for _, arm in numbers if arm not in spot), start=1):
        spot[arm] = low - index * step
    for index, arm in enumerate((arm for arm, value in arms if not np.isfinite(value)), start=1):
        spot[arm] = high + index * step
    return spot, [(at, cut(arm, 12)) for arm, at in spot.items()]


def _panel(row: Any, several: Set[str], short: Mapping[str, str], by_method: bool) -> str:
    """A panel is one table; what else varies over the records, and is no curve, tells panels apart."""
    told = [short.get(row.dataset) or row.dataset]
    if by_method and "mechanism" in several:
        told.append(mechanism_text(row.mechanism))
    if not by_method and "ratio" in several:
        told.append(ratio_text(row.ratio))
    if "protocol" in several:
        told.append(row.protocol)
    if not by_method and "method" in several:
        told.append(row.method)
    return ", ".join(told)


def _curve(row: Any, several: Set[str], by_method: bool) -> str:
    if by_method:
        return str(row.series)
    told = [row.series] if row.series else []
    if "mechanism" in several or not told:
        told.insert(0, mechanism_text(row.mechanism))
    return ", ".join(told)


def _least(here: Sequence[Any], metric: Metric) -> str:
    losses = metric.loss(pd.Series([row.mean for row in here]))
    best = here[int(losses.idxmin())]
    return f"{best.arm} ({metric.text(best.mean)})"
