"""The page of a filled table: what was missing, what filled it, how good that is likely to be.

The page reads the table with its holes and the filled one, and what the choice of a method left; it counts
first and draws afterwards, so a table of a million rows makes a page as small as any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from analysis import filled_board as boards
from analysis import filled_grids as grids
from analysis import filled_holes, holes
from analysis import filled_plots as plots
from analysis import filled_spread as spread
from analysis import filled_words as words
from analysis.contrast_plots import contrast_plot
from analysis.grid import Grid
from analysis.page import environment
from analysis.schema import counted
from analysis.story import HOLED, Counted, Story

__all__ = ["Story", "page"]

BANDS = 120
"""Bands of rows in the map of holes."""
PATTERNS = 12
"""Patterns drawn and tabled, the most frequent ones."""
PATTERN_COLUMNS = 32
"""Columns in the picture of patterns, at most."""
PANELS = 96
"""Columns drawn observed against filled, at most; the tables beneath hold every one."""
OPEN_PANELS = 24
"""Of these, those that stand open."""


def page(story: Story) -> str:
    """The page of a filled table: one HTML file that needs no other.

    Raises
    ------
    ValueError
        If the parts of the story do not fit together.
    """
    found = Counted.of(story)
    panels, undrawn = _panels(found), max(len(found.contrasts) - PANELS, 0)
    return (
        environment(autoescape=True)
        .get_template("filled.html.j2")
        .render(
            story=story,
            verdict=words.verdict(found),
            caveats=words.caveats(found),
            facts=words.facts(found),
            because=words.because(story),
            hidden=words.hidden(story.choice),
            figures=_pictures(found),
            tables=_tables(found),
            hardly_differ=spread.draws_hardly_differ(found),
            panels=panels[:OPEN_PANELS],
            more_panels=panels[OPEN_PANELS:],
            undrawn=counted(undrawn, "column") if undrawn else "",
            mapped=len(found.most_missing(HOLED)),
            n_with_holes=int((found.missing > 0).sum()),
            chance=words.chance(found),
            versions=story.versions or {},
        )
    )


def _tables(found: Counted) -> dict[str, Grid]:
    story = found.story
    made = {
        "patterns": filled_holes.pattern_grid(found, PATTERNS),
        "pairs": filled_holes.pair_grid(found),
        "companions": filled_holes.companion_grid(found),
        "columns": grids.column_grid(found),
        "board": boards.board_grid(story),
        "untried": boards.untried_grid(story),
        "numbers": grids.number_grid(found.contrasts),
        "categories": grids.category_grid(found.contrasts),
        "uncertain": spread.uncertain_grid(found),
        "widest": spread.widest_numbers(found),
        "disputed": spread.disputed_categories(found),
    }
    return {name: grid for name, grid in made.items() if grid is not None}


def _pictures(found: Counted) -> dict[str, Markup]:
    """The pictures that this table allows, as inline SVG."""
    drawn: dict[str, str | None] = {}
    shown = found.most_missing(HOLED)
    if len(shown):
        names = [found.names[place] for place in shown]
        shares = holes.bands(found.mask[:, shown], BANDS)
        drawn["map"] = plots.rows_map(shares, names, found.missing[shown].tolist(), found.n_rows)
        drawn["patterns"] = _pattern_picture(found)
    chosen, together = found.paired
    if len(chosen) > 1:
        phi = holes.correlation(together, found.n_rows)
        drawn["together"] = plots.together_plot(phi, [found.names[place] for place in chosen])
    story = found.story
    if story.board is not None and len(story.board):
        board = boards.labelled_board(story.board)
        metric = str((story.choice or {}).get("metric") or "error")
        drawn["forest"] = plots.forest(board, boards.chosen_label(board, story.method), metric)
    # Safe to set into the page: `analysis.drawing` escapes every text that it writes.
    return {name: Markup(text) for name, text in drawn.items() if text}


def _pattern_picture(found: Counted) -> str | None:
    """The most frequent patterns over the columns with the most holes; None where none is shared."""
    if not found.has_patterns:
        return None
    members = found.patterns.members[:PATTERNS]
    columns = found.most_missing(found.mask.shape[1])
    columns = columns[members[:, columns].any(axis=0)]
    columns = np.sort(columns[np.argsort(-found.missing[columns], kind="stable")[:PATTERN_COLUMNS]])
    if not len(columns):
        return None
    shown = holes.Patterns(members[:, columns], found.patterns.counts[:PATTERNS])
    return plots.pattern_plot(shown, [found.names[place] for place in columns], found.n_rows)


@dataclass(frozen=True)
class Panel:
    """One column's picture with its heading."""

    name: str
    detail: str
    picture: Markup | None


def _panels(found: Counted) -> list[Panel]:
    """The columns with the most filled values, in the table's order."""
    ranked = sorted(found.contrasts, key=lambda shown: -shown.n_filled)[:PANELS]
    kept = {id(shown) for shown in ranked}
    panels = []
    for place, shown in enumerate(shown for shown in found.contrasts if id(shown) in kept):
        picture = contrast_plot(shown, f"panel-{place}")
        panels.append(Panel(shown.name, f"{shown.n_filled:,} filled", Markup(picture) if picture else None))
    return panels
