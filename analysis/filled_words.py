"""What a filled table's page says in sentences, and how it spells numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.plots import duration
from analysis.schema import counted, percent
from analysis.story import Counted, Story

SAID = 12
"""Notes at the head of the page."""
NAMED = 6
"""Columns named one by one in a sentence or a cell."""

_SURE = ((0.95, "almost surely"), (0.8, "probably"), (0.5, "more likely than not"))


def verdict(found: Counted) -> str:
    """One or two sentences: what was filled, by what, and how sure that choice is."""
    total, left = int(found.missing.sum()), int(found.left.sum())
    if not total:
        return "Nothing was missing: the table is as it was."
    touched = counted(int((found.left < found.missing).sum()), "column")
    if left == total:
        return f"None of {counted(total, 'missing entry', 'missing entries')} was filled."
    share = share_text(total / found.mask.size)
    many = counted(total, "missing entry", "missing entries")
    if total == 1:
        what = f"The one missing entry of the table was filled by {found.story.method}."
    elif left:
        what = (
            f"{total - left:,} of {many} ({share} of the table) were filled by {found.story.method}, "
            f"in {touched}; the other {left:,} are left as they were."
        )
    else:
        what = f"All {many} ({share} of the table) were filled by {found.story.method}, in {touched}."
    return f"{what} {_how_sure(found.story)}".strip()


def _how_sure(story: Story) -> str:
    sure = (story.choice or {}).get("sure")
    if story.board is None or sure is None or not np.isfinite(sure):
        return ""
    rivals = int(story.board["status"].eq("scored").sum())
    if rivals < 2:
        return "No other method was scored to the end on this table."
    word = next((word for least, word in _SURE if sure >= least), None)
    if word is None:
        return (
            f"Of {rivals} methods scored to the end on this table none is clearly the best; this one is "
            f"so with probability {_probability(sure)}."
        )
    return (
        f"Of {rivals} methods scored to the end on this table it is {word} the best "
        f"(probability {_probability(sure)})."
    )


def _probability(sure: float) -> str:
    """In percent; resampling never shows certainty."""
    return f">{percent(0.99)}" if sure >= 0.995 else percent(sure)


def caveats(found: Counted) -> list[str]:
    """What a reader must bear in mind, the run's own warnings first."""
    story, told = found.story, list(found.story.warnings)
    if story.spread is None and found.left.sum() < found.missing.sum():
        told.append(
            "One imputation says nothing of its own uncertainty: standard errors worked out from it are too "
            "small. Several, by --samples, do."
        )
    return told if len(told) <= SAID else [*told[:SAID], f"and {len(told) - SAID:,} more notes of this kind"]


def listed(names: Sequence[str], limit: int = NAMED) -> str:
    """Names in a row, the end of a long one counted.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d"], 2)
    ('a, b', 'a, b and 2 more')
    """
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"


def chance(found: Counted) -> str:
    """Whether the table shows that its holes do not come by pure chance."""
    if not found.missing.any():
        return ""
    if not found.companions:
        return (
            "No column differs clearly between rows with and without a hole: nothing here speaks against "
            "holes by pure chance, which still does not prove it."
        )
    holed = listed(list(dict.fromkeys(found.names[one.hole] for one in found.companions)))
    return (
        f"Not by pure chance: rows with a hole in {holed} differ in other columns, which methods make "
        "use of. Whether values are also missing because of what they are, no table can show."
    )


def facts(found: Counted) -> list[tuple[str, str]]:
    """Pairs of a name and a number of the table as it came."""
    whole = int(found.n_rows - found.mask.any(axis=1).sum())
    total = int(found.missing.sum())
    return [
        ("rows", f"{found.n_rows:,}"),
        ("columns", f"{found.mask.shape[1]:,} ({int((found.missing > 0).sum()):,} with holes)"),
        ("missing entries", f"{total:,} ({share_text(total / max(found.mask.size, 1))})"),
        ("rows without a hole", f"{whole:,} ({share_text(whole / max(found.n_rows, 1))})"),
        ("patterns", f"{len(found.patterns.counts):,}"),
        ("time", duration(found.story.seconds)),
    ]


def because(story: Story) -> str:
    """Why this method, as a sentence."""
    told = story.why.strip()
    told = f"{told[:1].upper()}{told[1:]}" if told.startswith("it ") else told
    told = told if not told or told.endswith((".", "!", "?")) else f"{told}."
    return told if story.board is not None else f"{told} No other method was tried.".strip()


def hidden(choice: Mapping[str, Any] | None) -> str:
    """How the methods were compared, in words; empty without a choice."""
    facts = (choice or {}).get("hidden") or {}
    if not {"share", "entries", "folds", "rows"} <= set(facts):
        return str(facts.get("assumption") or "")
    entries = counted(int(facts["entries"]), "observed entry", "observed entries")
    n_folds = int(facts["folds"])
    folds = f"each of {n_folds} folds" if n_folds > 1 else "one fold"
    return (
        f"{entries} of {counted(int(facts['rows']), 'row')} were hidden, "
        f"{share_text(float(facts['share']))} of what is observed in {folds}, and filled by every method "
        f"left at the end. "
        f"{facts.get('assumption') or ''}"
    ).strip()


def number_text(value: float) -> str:
    """A number in few letters.

    >>> [number_text(value) for value in (0, 1234567, 24500.0, 0.25, -3, 1e-7)]
    ['0', '1.23M', '24,500', '0.25', '−3', '1e−07']
    """
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        text = f"{value:.3g}"
    elif size >= 1e9:
        text = f"{value / 1e9:.3g}G"
    elif size >= 1e6:
        text = f"{value / 1e6:.3g}M"
    elif size >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4g}"
    return text.replace("-", "−")


def share_text(rate: float) -> str:
    """A share missing, never rounded to none or to all.

    >>> [share_text(rate) for rate in (0, 0.0001, 0.123, 0.9999, 1)]
    ['0\\u202f%', '<0.1\\u202f%', '12.3\\u202f%', '>99.9\\u202f%', '100\\u202f%']
    """
    if 0 < rate < 0.001:
        return f"<{percent(0.001, 1)}"
    if 0.999 < rate < 1:
        return f">{percent(0.999, 1)}"
    return percent(rate, 0 if rate in (0, 1) else 1)
