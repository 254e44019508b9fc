"""What the comparisons show, as tables and a picture for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from analysis.canvas import INK, LINE, PAPER, QUIET, colours
from analysis.comparison import Comparison, sensitivity, within_table
from analysis.drawing import LETTER, WIDTH, About, Drawing, Scale
from analysis.grid import Column, Entry, Grid
from analysis.ranking import only_split
from analysis.records import labelled
from analysis.schema import (
    SPLITS,
    STRATUM,
    counted,
    cut,
    each,
    find_metric,
    mechanism_text,
    percent,
    ratio_text,
)
from analysis.significance import LEVEL, ROPE, pairwise
from analysis.tables import strata

SEEDS = 3
"""With fewer mask seeds than this a t-test within a table is not shown."""

_ALL_PAIRS = 8  # with more methods only the leader's pairs are listed


def stratum_text(stratum: Mapping[str, object]) -> str:
    """A stratum in words: ``MCAR, 30 % asked to be missing, in sample, protocol default``."""
    split = SPLITS.get(str(stratum["split"]), str(stratum["split"]))
    return (
        f"{mechanism_text(str(stratum['mechanism']))}, {ratio_text(float(str(stratum['ratio'])))} asked to "
        f"be missing, {split}, protocol {stratum['protocol']}"
    )


def pair_grid(comparison: Comparison) -> Grid | None:
    """Pairs of methods over data sets; None where there are too few of either."""
    if comparison.test is None or comparison.power is None:
        return None
    test, metric = comparison.test, find_metric(comparison.metric)
    many = len(test.ranks) > _ALL_PAIRS
    pairs = pairwise(comparison.losses, against=comparison.leader if many else None)
    body = []
    for row in each(pairs):
        interval = "" if pd.isna(row.low) else f"{_points(row.low)} to {_points(row.high)}"
        told = row.p_holm <= LEVEL
        body.append(
            [
                Entry(str(row.first)),
                Entry(str(row.second)),
                Entry(_points(row.effect), interval, float(row.effect)),
                Entry(f"{row.wins} / {row.ties} / {row.losses}", value=float(row.wins)),
                Entry(_p(row.p_holm), value=float(row.p_holm), mark="best" if told else ""),
                Entry(percent(row.better), value=float(row.better)),
                Entry(percent(row.alike), value=float(row.alike)),
                Entry(percent(row.worse), value=float(row.worse)),
            ]
        )
    rope = percent(ROPE)
    columns = [
        Column("method", False),
        Column("against", False),
        Column(
            "difference",
            explanation="median over data sets of the relative difference, with bootstrap interval",
        ),
        Column("win / tie / loss", explanation=f"data sets; a tie is a difference of at most {rope}"),
        Column("p (Holm)", explanation="Wilcoxon's signed-rank test, exact, adjusted for all pairs"),
        Column("P(better)", explanation=f"Bayesian signed-rank test, better by more than {rope}"),
        Column("P(alike)", explanation=f"Bayesian signed-rank test, within {rope}"),
        Column("P(worse)", explanation=f"Bayesian signed-rank test, worse by more than {rope}"),
    ]
    n, k = len(comparison.losses), len(test.ranks)
    detail = (
        f"{counted(n, 'data set')}, each one observation (mask seeds averaged first); Friedman over {k} "
        f"methods χ² = {test.statistic:.1f}, {_p_equals(test.p)} (F = {test.f_statistic:.1f}, "
        f"{_p_equals(test.f_p)})"
    )
    remarks = [comparison.power.sentence()]
    if many:
        remarks.append(
            f"Only pairs with {comparison.leader}, the best by average rank, are listed; p is adjusted for "
            f"all {k * (k - 1) // 2} pairs."
        )
    attrs = comparison.losses.attrs
    if attrs.get("missing") or attrs.get("absent"):
        said = [f"{counted(attrs['missing'], 'cell')} not complete"]
        if attrs["dropped"]:
            said.append(f"left out for all: {', '.join(attrs['dropped'])}")
        if attrs["absent"]:
            said.append(f"completed nothing and not compared: {', '.join(attrs['absent'])}")
        remarks.append(f"Missing: {'; '.join(said)}.")
        remarks += comparison.changes or ["Counting missing cells otherwise changes no conclusion."]
    return Grid(
        f"{metric.title} under {stratum_text(comparison.stratum)}", columns, body, tuple(remarks), detail
    )


def within_grids(
    records: pd.DataFrame, leader: str, short: Mapping[str, str], metric: str = "mae"
) -> list[Grid]:
    """The leader against each other method within each table, by a paired t-test over mask seeds.

    Empty where no table has `SEEDS` seeds that two methods share.
    """
    chosen = find_metric(metric)
    rows = only_split(labelled(records))
    if not rows["label"].eq(leader).any():
        return []
    tests = within_table(rows, leader, metric=metric)
    tests = tests[tests["pairs"].ge(SEEDS)]
    grids = []
    for stratum in strata(rows):
        part = tests.merge(pd.DataFrame([stratum]), on=STRATUM)
        if part.empty:
            continue
        datasets = sorted(part["dataset"].unique())
        found = {(row.label, row.dataset): row for row in each(part)}
        body = []
        for label in sorted(part["label"].unique()):
            entries = [Entry(label, method=label)]
            for dataset in datasets:
                row = found.get((label, dataset))
                if row is None:
                    entries.append(Entry("–", note=f"fewer than {SEEDS} mask seeds in common"))
                    continue
                gap = f"{row.difference * chosen.unit_scale:+.{chosen.digits}f}".replace("-", "−")
                entries.append(
                    Entry(gap + ("*" if row.star else ""), _p_equals(row.p), float(row.difference),
                          "best" if row.star else "")
                )  # fmt: skip
            body.append(entries)
        seeds = sorted(part["pairs"].unique())
        told = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
        grids.append(
            Grid(
                f"{chosen.title} of {leader} minus that of each other method, within each table",
                [
                    Column("against", False),
                    *(Column(short.get(name, name), explanation=name, dataset=name) for name in datasets),
                ],
                body,
                (
                    f"* {leader} is better on that table by a paired two-sided t-test over {told} mask seeds "
                    f"at {LEVEL:g}, not adjusted for the number of tests. It speaks of that one table: mask "
                    "seeds are repetitions and no independent tables.",
                ),
                detail=stratum_text(stratum),
            )
        )
    return grids


def sensitivity_grid(records: pd.DataFrame) -> Grid | None:
    """Whether the top three stand under another score, another policy, or without one data set."""
    views = sensitivity(records)
    if views["n"].max() < 2 or views.empty:
        return None
    several = {key: views[key].nunique() > 1 for key in ("protocol", "ratio")}
    leaving = views["view"].str.startswith("without ")
    body = []
    for place, part in _by_stratum(views):
        named = mechanism_text(str(place["mechanism"]))
        named += f", {ratio_text(float(str(place['ratio'])))}" if several["ratio"] else ""
        named += f", {place['protocol']}" if several["protocol"] else ""
        plain = part[~leaving.reindex(part.index)]
        for row in each(plain):
            top = [name for name in (row.first, row.second, row.third) if name]
            body.append([Entry(named), Entry(str(row.view)), Entry(f"{row.n}", value=float(row.n)),
                         Entry(", ".join(top)), _kept(row.same)])  # fmt: skip
        left = part[leaving.reindex(part.index)]
        if len(left):
            moved = left[~left["same"]]
            said = "; ".join(f"{row.first} ({row.view})" for row in each(moved))
            said = said or str(left["first"].iloc[0])
            body.append(
                [Entry(named), Entry("each data set left out in turn"), Entry(f"{int(left['n'].iloc[0])}"),
                 Entry(cut(said, 200)), _kept(moved.empty)]
            )  # fmt: skip
    columns = [
        Column("stratum", False),
        Column("view", False, prose=True),
        Column("data sets"),
        Column("top three by average rank", False, prose=True),
        Column("same leader", False),
    ]
    return Grid("Does the leader stand?", columns, body)


def critical_difference_diagram(comparison: Comparison) -> str | None:
    """Average ranks on a line, joined where Nemenyi's critical difference does not tell them apart.

    None where no two ranks could lie that far apart: such a picture could only say nothing.
    """
    test, power = comparison.test, comparison.power
    if test is None or power is None or not power.can_separate:
        return None
    ranks = test.ranks.sort_values(kind="stable")
    ranks = ranks.loc[sorted(ranks.index, key=lambda name: (round(ranks[name], 9), name))]
    cliques = _cliques(list(ranks), power.critical_difference)
    styles = colours(sorted(map(str, ranks.index)))
    half, k, step = (len(ranks) + 1) // 2, len(ranks), 19
    side = min(max(map(len, map(str, ranks.index))), 30) * LETTER + 56
    line = 62.0
    base = line + 22 + 9 * len(cliques)
    where = "-".join(str(comparison.stratum[key]) for key in STRATUM)
    name = "cd-" + "".join(letter if letter.isalnum() else "-" for letter in where)
    drawing = Drawing(name, WIDTH, base + step * half)
    x = Scale(1, k, side, WIDTH - side)
    drawing.line([(x(1), line), (x(k), line)], INK)
    for tick in range(1, k + 1):
        drawing.line([(x(tick), line), (x(tick), line - 5)], INK)
        drawing.text(x(tick), line - 13, str(tick), QUIET, anchor="middle", size=11)
    drawing.line([(x(1), 22), (x(1 + power.critical_difference), 22)], QUIET, 2.5)
    drawing.text(x(1), 10, f"critical difference {power.critical_difference:.2f}", QUIET, size=11)
    for index, (label, rank) in enumerate(ranks.items()):
        left = index < half
        y = base + step * (index if left else k - 1 - index)
        edge, anchor = (side - 14, "end") if left else (WIDTH - side + 14, "start")
        drawing.line([(x(rank), line), (x(rank), y), (edge, y)], LINE, 1.2)
        short = cut(str(label), 30)
        about = About([f"{label}: average rank {rank:.2f}", stratum_text(comparison.stratum)], str(label))
        drawing.text(
            edge + (-6 if left else 6), y, f"{short}  {rank:.2f}" if left else f"{rank:.2f}  {short}", INK,
            anchor=anchor, about=replace(about, told=[]),
        )  # fmt: skip
        colour, marker = styles[str(label)]
        drawing.mark(x(rank), line, colour, marker, 5, edge=PAPER, about=about)
    for level, (low, high) in enumerate(cliques):
        drawing.line([(x(low) - 4, line + 13 + 9 * level), (x(high) + 4, line + 13 + 9 * level)], INK, 4)
    told = ", ".join(f"{label} {rank:.2f}" for label, rank in ranks.items())
    return drawing.svg(
        f"Average ranks under {stratum_text(comparison.stratum)}",
        f"Average ranks: {told}. Critical difference {power.critical_difference:.2f}.",
    )


def _cliques(ranks: Sequence[float], width: float) -> list[tuple[float, float]]:
    """Longest runs of sorted ranks no wider than `width`, of two or more.

    >>> _cliques([1.0, 1.5, 3.0, 3.2], 1.0)
    [(1.0, 1.5), (3.0, 3.2)]
    """
    runs: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(index for index, rank in enumerate(ranks) if rank - ranks[first] <= width)
        if last > first and not any(a <= first and last <= b for a, b in runs):
            runs.append((first, last))
    return [(float(ranks[a]), float(ranks[b])) for a, b in runs]


def _by_stratum(views: pd.DataFrame) -> list[tuple[dict[str, object], pd.DataFrame]]:
    places = views[STRATUM].drop_duplicates().to_dict("records")
    return [
        (place, views[views[STRATUM].eq(pd.Series(place)).all(axis=1)])
        for place in ({str(key): value for key, value in place.items()} for place in places)
    ]


def _kept(same: bool) -> Entry:
    return Entry("yes") if same else Entry("no", mark="alarm")


def _points(share: float) -> str:
    """A relative difference in percent with its sign: ``−12 %``."""
    return f"{share * 100:+.1f}\u202f%".replace("-", "−")


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _p_equals(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
