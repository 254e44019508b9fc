"""Tables of where a table's holes are and what goes along with them, each a `Grid` or None without holes."""

from __future__ import annotations

import numpy as np

from analysis import holes
from analysis.contrast import kind_of
from analysis.filled_grids import number, place_text
from analysis.filled_words import listed, share_text
from analysis.grid import Column, Entry, Grid
from analysis.schema import counted, cut, percent
from analysis.story import Counted

COMPANIONS = 15
"""Differences between rows with and without a hole in their table."""
CLEAR, LEAST = 4.0, 0.05
"""Standard errors, and a correlation of holes, below which a pair is not worth a word."""
PAIRS = 12
"""Pairs of columns in the table of holes that go together."""


def pattern_grid(found: Counted, limit: int) -> Grid | None:
    """The most frequent patterns in words; None where they say no more than the columns do."""
    if not found.has_patterns:
        return None
    shown = found.patterns
    rows = [
        [
            Entry(listed([found.names[int(place)] for place in np.flatnonzero(members)]) or "nothing"),
            Entry(f"{members.sum():,}", value=float(members.sum())),
            Entry(f"{count:,}", value=float(count)),
            Entry(share_text(count / found.n_rows), value=count / found.n_rows),
        ]
        for members, count in zip(shown.members[:limit], shown.counts[:limit], strict=True)
    ]
    columns = [
        Column("missing together", number=False, prose=True),
        Column("columns"),
        Column("rows"),
        Column("share"),
    ]
    told = share_text(shown.counts[:limit].sum() / found.n_rows)
    detail = f"{len(rows)} of {len(shown.counts):,}, with {told} of the rows"
    return Grid("Patterns of holes", columns, rows, detail=detail)


def pair_grid(found: Counted) -> Grid | None:
    """Pairs of columns whose holes clearly go together or avoid each other, the strongest first."""
    chosen, both = found.paired
    phi = holes.correlation(both, found.n_rows)
    pairs = [
        (abs(phi[i, j]), i, j)
        for i in range(len(chosen))
        for j in range(i + 1, len(chosen))
        if abs(phi[i, j]) >= max(LEAST, CLEAR / np.sqrt(found.n_rows))  # NaN is not
    ]
    if not pairs:
        return None
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    rows = []
    for _, i, j in pairs[:PAIRS]:
        by_chance = both[i, i] * both[j, j] / found.n_rows
        rows.append(
            [
                Entry(found.names[int(chosen[i])]),
                Entry(found.names[int(chosen[j])]),
                Entry(f"{both[i, j]:,}", value=float(both[i, j])),
                Entry(f"{by_chance:,.0f}" if by_chance >= 10 else f"{by_chance:.2g}", value=float(by_chance)),
                Entry(f"{phi[i, j]:.2f}".replace("-", "−"), value=float(phi[i, j])),
            ]
        )
    columns = [
        Column("column", number=False),
        Column("and", number=False),
        Column("rows that miss both"),
        Column(
            "by chance",
            explanation="so many rows would miss both if the two had nothing to do with each other",
        ),
        Column(
            "correlation", explanation="1: always together; 0: as chance has it; negative: seldom together"
        ),
    ]
    detail = f"{len(rows)} of {counted(len(pairs), 'clear pair')}"
    return Grid("Columns missing together", columns, rows, detail=detail)


def companion_grid(found: Counted) -> Grid | None:
    """Observed values that differ between rows with and without a hole, the clearest first."""
    if not found.companions:
        return None
    rows = []
    kinds = [kind_of(str(role)) for role in found.story.columns["role"]]
    for one in found.companions[:COMPANIONS]:
        level, kind = one.level is not None, kinds[one.other]
        sides = [percent(side) if level else place_text(side, kind) for side in (one.there, one.elsewhere)]
        measured = f"is {cut(one.level, 30)}" if one.level is not None else "median"
        rows.append(
            [
                Entry(found.names[one.hole]),
                Entry(found.names[one.other]),
                Entry(measured),
                Entry(sides[0], value=one.there),
                Entry(sides[1], value=one.elsewhere),
                number(one.strength * 2, "+.2f"),
            ]
        )
    columns = [
        Column("where this is missing", number=False),
        Column("this", number=False),
        Column("measured by", number=False),
        Column("is there"),
        Column("elsewhere"),
        Column("difference", explanation="from −1 to 1: rank correlation, or difference of the shares"),
    ]
    detail = f"{len(rows)} of {counted(len(found.companions), 'clear difference')}"
    return Grid("What goes along with the holes", columns, rows, detail=detail)
