"""What each column is to the imputation: a number, a category, a date, or nothing to be filled."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.impute.missing import Missing, items, known_column
from orchestrator.impute.seeing import see
from orchestrator.impute.textual import Content, as_dates
from orchestrator.sweep import RequestError


class Role(StrEnum):
    """What a column is; the last four are left as they are, holes included."""

    NUMERIC = "numeric"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    DATE = "date"
    IDENTIFIER = "identifier"
    TEXT = "text"
    CONSTANT = "constant"
    EMPTY = "empty"


USED = frozenset([Role.NUMERIC, Role.INTEGER, Role.BOOLEAN, Role.CATEGORY, Role.DATE])
"""Roles that imputers see and that are filled."""

MAX_LEVELS = 100
"""Distinct words up to which a column is a category by itself: to most methods each is a column."""

ID_NAME = re.compile(
    r"(^|[\W_])(ids?|uuid|guid|no|nr|index|idx|key|rownames?|unnamed: 0|(code|sample|row)[\W_]?(number|no))$",
    re.IGNORECASE,
)
ID_ENDING = re.compile(r"[a-z](Id|ID|Key|No)$")
FEW = 10
"""Rows below which little is made of values being all unlike, or of two kinds."""

PAIRS = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"))


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    name: str
    """As in the table; told apart by a number where two have the same."""
    role: Role
    reason: str
    """Why, in words."""
    n_missing: int
    markers: Mapping[str, int] = field(default_factory=dict)
    """What stood for a hole besides null, and how often."""
    pattern: str = ""
    """How dates are written that the user named; empty where that shows."""

    @property
    def used(self) -> bool:
        """Whether imputers see it and its holes are filled."""
        return self.role in USED


def infer(
    frame: pd.DataFrame, overrides: Mapping[str, str] | None = None, missing: Missing | None = None
) -> list[Column]:
    """The role of every column.

    Parameters
    ----------
    frame : DataFrame, shape (n_rows, n_columns)
        Any dtypes.
    overrides
        Column name to role, such as ``{"zip": "category", "when": "date:%d/%m/%Y"}``.
    missing
        What stands for a hole besides null.

    Raises
    ------
    RequestError
        If an override names an unknown column or role, or one that the column cannot have.
    """
    missing = missing or Missing()
    names = unique_names(frame.columns)
    overrides = check_overrides(overrides, names)
    missing.refuse_unknown(names)
    return [
        understand_column(frame.iloc[:, place], name, missing, overrides.get(name, ""))[0]
        for place, name in enumerate(names)
    ]


def understand_column(
    series: pd.Series, name: str, missing: Missing, override: str = ""
) -> tuple[Column, Content]:
    """A column's role, and what it holds; `override` is a role, or ``date:PATTERN``."""
    content = see(series, name, missing)
    if not override:
        role, reason = _role(content, name)
        reason = f"{reason}; {content.note}" if content.note else reason
        return Column(name, role, reason, int(content.holes.sum()), content.markers), content
    word, _, pattern = override.partition(":")
    if pattern:
        content = as_dates(content, pattern) or content
    role = Role(word)
    _refuse_impossible(role, content, name)
    return Column(name, role, "as told", int(content.holes.sum()), content.markers, pattern), content


def check_overrides(overrides: Mapping[str, str] | str | None, names: Iterable[str]) -> dict[str, str]:
    """Overrides as a mapping, their columns and roles known.

    >>> check_overrides("zip=category", ["zip"])
    {'zip': 'category'}
    """
    if isinstance(overrides, str):
        pairs = items(overrides)
        wrong = [pair for pair in pairs if "=" not in pair]
        if wrong:
            raise RequestError(f"--kind: {wrong[0]!r} is not COLUMN=ROLE, such as 'zip=category'")
        overrides = {name.strip(): role.strip() for name, _, role in (pair.partition("=") for pair in pairs)}
    for name, role in (overrides or {}).items():
        known_column(name, names, "--kind")
        word, colon, pattern = str(role).partition(":")
        if word not in list(Role) or (colon and (word != Role.DATE or "%" not in pattern)):
            raise RequestError(
                f"--kind: column {name!r} cannot be {role!r}; a role is one of {', '.join(Role)}, "
                "or date:PATTERN such as date:%d/%m/%Y"
            )
    return {name: str(role) for name, role in (overrides or {}).items()}


def unique_names(labels: Iterable[Hashable]) -> list[str]:
    """Labels as text, the second of two alike with a number behind it.

    >>> unique_names(["a", 1, "a", "a"])
    ['a', '1', 'a (2)', 'a (3)']
    """
    names: list[str] = []
    used: dict[str, int] = {}
    for place, label in enumerate(labels, 1):
        base = str(label).strip() or f"column {place}"
        name = base
        while name in used:
            used[base] += 1
            name = f"{base} ({used[base]})"
        used[name] = 1
        names.append(name)
    return names


def _role(content: Content, name: str) -> tuple[Role, str]:
    observed = int((~content.holes).sum())
    if not observed:
        return Role.EMPTY, "no value is observed"
    if content.kind == "other":
        return Role.TEXT, "neither numbers, words nor dates"
    values = content.values[~content.holes]
    if (values == values[0]).all():
        return Role.CONSTANT, "all observed values are alike"
    if content.kind == "number":
        return _number_role(values, name, complete=observed == len(content.holes))
    if content.kind == "date":
        return Role.DATE, f"dates written as {content.form.pattern}" if content.form.pattern else "dates"
    if content.kind == "boolean":
        return Role.BOOLEAN, "true and false"
    return _words_role(content, values)


def _number_role(values: NDArray[np.float64], name: str, *, complete: bool) -> tuple[Role, str]:
    if np.isinf(values).any():
        raise RequestError(
            f"column {name!r} holds inf: replace it, or name it as missing: --missing {name}=inf (or =-inf)"
        )
    if (values != np.rint(values)).any():
        return Role.NUMERIC, "numbers with decimals"
    low, high = values.min(), values.max()
    two = ((values == low) | (values == high)).all()
    if two and (len(values) >= FEW or (low, high) == (0, 1)):
        return Role.BOOLEAN, f"{low:.0f} and {high:.0f} alone"
    if len(values) >= FEW:
        steps = np.diff(values)
        if complete and (steps == 1).all() and values[0] in (0, 1):
            return Role.IDENTIFIER, f"counts the rows from {values[0]:.0f}"
        named = ID_NAME.search(name) or ID_ENDING.search(name)
        if named and len(pd.unique(values)) >= 0.9 * len(values):
            return Role.IDENTIFIER, "named as an identifier, and nearly all values differ"
    return Role.INTEGER, "whole numbers"


def _words_role(content: Content, codes: NDArray[np.int64]) -> tuple[Role, str]:
    used = np.unique(codes)
    levels = [content.levels[code] for code in used]
    n = len(codes)
    if len(levels) == 2 and tuple(sorted(str(level).casefold() for level in levels)) in PAIRS:
        return Role.BOOLEAN, " and ".join(map(repr, levels))
    if all(isinstance(level, str) for level in levels):
        spaced = sum(" " in level for level in levels) > len(levels) / 2
        if len(levels) == n >= FEW:
            if spaced:
                return Role.TEXT, "text that differs in every row"
            return Role.IDENTIFIER, "a word that differs in every row"
        if n >= 2 * FEW and len(levels) > n / 2:
            return Role.TEXT, f"text with {len(levels):,} different values in {n:,} rows"
    if len(levels) > MAX_LEVELS:
        return Role.TEXT, f"{len(levels):,} different values, too many for a category unless told otherwise"
    return Role.CATEGORY, f"{len(levels)} different values"


CAN_BE = {
    Role.NUMERIC: {"number"},
    Role.INTEGER: {"number"},
    Role.BOOLEAN: {"number", "boolean", "words"},
    Role.CATEGORY: {"number", "boolean", "words"},
    Role.DATE: {"date"},
}


def _refuse_impossible(role: Role, content: Content, name: str) -> None:
    if role not in CAN_BE:
        return
    if content.kind not in CAN_BE[role]:
        example = f", such as {content.levels[0]!r}" if content.levels else ""
        raise RequestError(f"--kind: column {name!r} cannot be {role}: it holds {content.kind}{example}")
    if content.holes.all():
        raise RequestError(f"--kind: column {name!r} cannot be {role}: nothing of it is observed")
    if role is Role.BOOLEAN:
        values = content.values[~content.holes]
        if len(pd.unique(values)) > 2:
            raise RequestError(f"--kind: column {name!r} cannot be boolean: it holds more than two values")
