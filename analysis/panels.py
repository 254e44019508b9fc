"""Pictures of single problems: every score by dataset and mechanism, and which trials failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis.again import MOST_TRIALS, Again
from analysis.canvas import ALARM, INK, LINE, PAPER, QUIET, colours
from analysis.drawing import LETTER, WIDTH, About, Drawing, Scale
from analysis.plots import CROWD, bottom_axis
from analysis.ranking import only_split
from analysis.records import labelled
from analysis.schema import (
    STATUSES,
    Metric,
    counted,
    cut,
    each,
    find_metric,
    mechanism_order,
    mechanism_text,
    ratio_text,
)

MOST_PANELS = 40
"""Past so many panels of dataset and stratum only those of one ratio are drawn, the one nearest to 30 %."""

MOST_DOTS = 6000
"""Past so many trials a bar stands for those of a cell, as past `CROWD` mask seeds."""

_STEP = 15  # pixels from one method to the next


@dataclass(frozen=True)
class _Look:
    """What all panels of a picture share."""

    drawing: Drawing
    metric: Metric
    styles: Mapping[str, tuple[str, str]]
    dots: bool  # whether each trial has a dot
    again: Again | None


def panels(
    records: pd.DataFrame, metric: str = "mae", *, order: Sequence[str] | None = None,
    short: Mapping[str, str] | None = None, again: Again | None = None,
) -> str | None:  # fmt: skip
    """One panel for each dataset and mechanism: small dots are mask seeds, the large mark is their mean.

    Past `CROWD` seeds a bar from the least to the greatest stands for the small dots.

    Parameters
    ----------
    records, metric
        As for `analysis.tables.cells`; one split, protocol and ratio are shown best, others get their own
        panels.
    order
        Labels from top to bottom.
    short
        Headings for datasets.
    again
        How to run a trial again, for the marks to say.
    """
    rows = only_split(labelled(records))
    good = rows[rows["status"].eq("ok") & rows[metric].notna()]
    if good.empty:
        return None
    present = sorted(rows["label"].unique())
    labels = [label for label in order or present if label in present]
    place = ["protocol", "mechanism", "ratio"]
    across = list(rows[place].drop_duplicates().sort_values("ratio").itertuples(index=False, name=None))
    across.sort(key=lambda column: mechanism_order(column[1]))
    down = sorted(rows["dataset"].unique())
    told_apart = ""
    if len(down) * len(across) > MOST_PANELS and rows["ratio"].nunique() > 1:
        kept = min(rows["ratio"].unique(), key=lambda ratio: (abs(ratio - 0.3), ratio))
        across = [column for column in across if column[2] == kept]
        good = good[good["ratio"].eq(kept)]
        told_apart = f", {ratio_text(kept)} missing; other ratios are in the tables"
    kept_columns = ["dataset", *place, "label", "mask_seed", "trial_key", metric]
    grouped = good[kept_columns].sort_values("mask_seed").groupby(["dataset", *place, "label"])
    groups = dict(iter(grouped))
    left = LETTER * max(min(max(map(len, labels)), 32), 12) + 16
    wide = max((WIDTH - left) / len(across), 170)
    high = _STEP * len(labels) + 80
    drawing = Drawing(f"panels-{metric}", left + wide * len(across), high * len(down) + 4)
    styles = colours(present)
    look = _Look(drawing, find_metric(metric), styles, len(good) <= MOST_DOTS, again)
    several = (rows["ratio"].nunique() > 1, rows["protocol"].nunique() > 1)
    widest = good.groupby("dataset")[metric].max()
    for i, dataset in enumerate(down):
        top = high * i + 48
        bottom = top + _STEP * len(labels)
        most = widest.get(dataset, 0) * 1.05 or 1
        heading = cut((short or {}).get(dataset) or dataset, 80)
        drawing.text(0, top - 36, heading, INK, bold=True, size=13, about=About([], dataset=dataset))
        for index, label in enumerate(labels):
            y = top + _STEP * (index + 0.5)
            about = About([], label, dataset)
            drawing.text(left - 10, y, cut(label, 32), INK, anchor="end", size=11, about=about)
        for j, stratum in enumerate(across):
            x = Scale(0, most, left + wide * j, left + wide * (j + 1) - 24)
            bottom_axis(drawing, x, top, bottom, most=4)
            about = About([], dataset=dataset)
            drawing.text(x.start, top - 16, _heading(stratum, several), QUIET, about=about)
            where = f"{dataset}, {_heading(stratum, (True, several[1]))}"
            for index, label in enumerate(labels):
                part = groups.get((dataset, *stratum, label))
                _row(look, x, top + _STEP * (index + 0.5), part, About([where], label, dataset))
    title = f"{find_metric(metric).title} by dataset and mechanism{told_apart}"
    return drawing.svg(title, "The numbers are in the tables under Per dataset.")


def _row(look: _Look, x: Scale, y: float, part: pd.DataFrame | None, about: About) -> None:
    """A method in a panel: its trials and their mean, or that there is none."""
    drawing, metric, again, label = look.drawing, look.metric, look.again, about.method
    if part is None:
        drawing.text(x.start + 4, y, "no result", ALARM, size=10, about=replace(about, told=[]))
        return
    colour, marker = look.styles[label]
    values = part[metric.key]
    low, mean, high = values.min(), values.mean(), values.max()
    told = f"{label}: {metric.title} {metric.text(mean)}"
    if len(part) > CROWD or (not look.dots and len(part) > 1):
        drawing.line([(x(low), y), (x(high), y)], colour, 3, opacity=0.4, about=replace(about, told=[]))
    elif len(part) > 1:
        for seed, key, value in each(part[["mask_seed", "trial_key", metric.key]]):
            said = [f"{label}: {metric.title} {metric.text(value)}", f"{about.told[0]}, mask seed {seed}"]
            trial = replace(about, told=said, trials=[again.key(key)] if again else [])
            drawing.mark(x(value), y, colour, size=2.3, opacity=0.5, about=trial)
    if len(part) > 1:
        told += f" ± {values.std() * metric.unit_scale:.{metric.digits}f}"
    keys = [again.key(key) for key in part["trial_key"].head(MOST_TRIALS)] if again else []
    said = [told, *about.told, counted(len(part), "mask seed")]
    drawing.mark(x(mean), y, colour, marker, 4, edge=PAPER, about=replace(about, told=said, trials=keys))


def _heading(stratum: tuple[str, str, float], several: tuple[bool, bool]) -> str:
    """A protocol, mechanism and ratio in words: the mechanism, and the others where there are several."""
    protocol, mechanism, ratio = stratum
    told = mechanism_text(mechanism) + (f", {ratio_text(ratio)}" if several[0] else "")
    return told + (f", {protocol}" if several[1] else "")


def failures(
    records: pd.DataFrame, *, short: Mapping[str, str] | None = None, again: Again | None = None
) -> str | None:
    """Failed trials by method and cell, where there were any; None where there were none."""
    rows = labelled(records).drop_duplicates("trial_key")
    rows = rows.assign(bad=rows["status"].ne("ok"))
    bad = rows[rows["bad"]]
    if bad.empty:
        return None
    keys = ["dataset", "mechanism", "ratio"]
    table = rows.groupby(["label", *keys])["bad"].agg(["sum", "size"]).reset_index()
    totals = bad.groupby("label").size().sort_values(ascending=False, kind="stable")
    labels = list(totals.index)
    places = list(bad[keys].drop_duplicates().sort_values(keys).itertuples(index=False, name=None))
    places.sort(key=lambda place: (place[0], mechanism_order(place[1])))
    ratios = rows["ratio"].nunique()
    named = [
        f"{cut((short or {}).get(dataset) or dataset, 20)} {mechanism_text(mechanism)}"
        + (f" {ratio_text(ratio)}" if ratios > 1 else "")
        for dataset, mechanism, ratio in places
    ]
    left = LETTER * min(max(map(len, labels)), 32) + 20
    wide, high = 46, 28
    slant = 0.72 * LETTER * max(map(len, named)) + 16
    head = max(slant, 60)
    drawing = Drawing("failures", left + wide * len(places) + head, head + high * len(labels) + 8)
    for index, name in enumerate(named):
        drawing.text(left + wide * (index + 0.5), head - 12, name, QUIET, size=11, turned=-45)
    for index, label in enumerate(labels):
        drawing.text(left - 10, head + high * (index + 0.5), cut(label, 32), INK, anchor="end",
                     about=About([], label))  # fmt: skip
    for row in each(table[table["label"].isin(labels)]):
        if (place := (row.dataset, row.mechanism, row.ratio)) not in places:
            continue
        x, y, share = (
            left + wide * places.index(place),
            head + high * labels.index(row.label),
            row.sum / row.size,
        )
        here = bad[bad["label"].eq(row.label) & bad[keys].eq(place).all(axis=1)]
        told = [
            f"{row.label}: {row.sum} of {counted(row.size, 'trial')} failed",
            f"{row.dataset}, {mechanism_text(row.mechanism)}, {ratio_text(row.ratio)} missing",
            *_causes(here),
        ]
        trials = [again.key(key) for key in here["trial_key"].head(MOST_TRIALS)] if again else []
        about = About(told, row.label, row.dataset, trials) if share else About([], row.label, row.dataset)
        drawing.box(x + 1, y + 1, wide - 2, high - 2, ALARM if share else LINE, opacity=0.15 + 0.5 * share,
                    about=about)  # fmt: skip
        if share:
            drawing.text(x + wide / 2, y + high / 2, f"{row.sum}/{row.size}", INK, anchor="middle", size=11,
                         about=About([], row.label, row.dataset))  # fmt: skip
    kinds = ", ".join(STATUSES.get(kind, kind) for kind in sorted(bad["status"].unique()))
    methods = ", ".join(f"{label} {total}" for label, total in totals.items())
    return drawing.svg("Failed trials by method and cell", f"Failed trials ({kinds}): {methods}.")


def _causes(failed: pd.DataFrame) -> list[str]:
    """How many trials ended in each way, and the first message of each."""
    told = []
    for status, part in failed.groupby("status"):
        errors = part["error"].dropna()
        first = cut(str(errors.iloc[0]).strip().partition("\n")[0], 120) if len(errors) else "no message"
        told.append(f"{len(part)} {STATUSES.get(str(status), str(status))}: {first}")
    return told
