"""What a filled table has to tell, and what is counted in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import holes
from analysis.companions import Companion, companions
from analysis.contrast import Contrast, contrast

Places = NDArray[np.intp]
"""Positions of columns in the table."""
HOLED = 60
"""Columns whose holes are looked at one by one, at most: those with the most."""
PAIRED = 18
"""Columns whose holes are set against each other, at most."""


@dataclass(frozen=True)
class Story:
    """All that a filled table has to tell.

    Attributes
    ----------
    name
        Of the table.
    command
        What the user ran.
    seconds
        The whole run.
    method, why
        What filled the table, and one sentence on why it was taken; the sentence may be empty.
    columns
        One row a column, in the table's order: ``name``, ``role``, ``reason``, ``n_missing``, and ``markers``
        (what stood for a hole, in words) where that is known.
    before, after
        The table with its holes as nulls, and filled; of equal shape.
    board
        One row a candidate, best first, as `orchestrator.impute.choice.Choice.board`; None where the user
        named the method.
    choice
        ``metric`` in words, ``sure`` (probability that the chosen one is the best), ``hidden`` (what was
        hidden to find out); None without a choice.
    spread
        One row a filled entry: ``row`` (index label), ``column``, ``value``, ``spread`` (standard deviation
        of the draws; of a category the share of draws that disagree), ``low`` and ``high`` (5 % and 95 %
        quantile of the draws), in the column's own units, the spread of a date in days. None for one
        imputation.
    versions
        Name -> version.
    warnings
        What went otherwise than the user may expect.
    """

    name: str
    command: str
    seconds: float
    method: str
    why: str
    columns: pd.DataFrame
    before: pd.DataFrame
    after: pd.DataFrame
    board: pd.DataFrame | None = None
    choice: Mapping[str, Any] | None = None
    spread: pd.DataFrame | None = None
    versions: Mapping[str, str] | None = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Counted:
    """A story with all that is counted in it, each at most once."""

    story: Story
    names: Sequence[str]
    mask: holes.Mask
    remaining: holes.Mask

    @classmethod
    def of(cls, story: Story) -> Counted:
        """Count the holes before and after.

        Raises
        ------
        ValueError
            If the two tables, or the list of columns, are of different shape.
        """
        if story.before.shape != story.after.shape or story.before.shape[1] != len(story.columns):
            raise ValueError(
                f"the table has shape {story.before.shape}, the filled one {story.after.shape}, and "
                f"{len(story.columns)} columns are described; these must agree"
            )
        names = [str(name) for name in story.columns["name"]]
        return cls(story, names, holes.mask_of(story.before), holes.mask_of(story.after))

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return len(self.mask)

    @cached_property
    def missing(self) -> NDArray[np.int64]:
        """Holes of each column before, shape (n_columns,)."""
        return self.mask.sum(axis=0)

    @cached_property
    def left(self) -> NDArray[np.int64]:
        """Holes of each column after, shape (n_columns,)."""
        return self.remaining.sum(axis=0)

    @cached_property
    def patterns(self) -> holes.Patterns:
        """Every pattern of the table."""
        return holes.patterns(self.mask)

    @property
    def has_patterns(self) -> bool:
        """Whether holes lie in several columns, and rows share a pattern of them."""
        return int((self.missing > 0).sum()) > 1 and bool(self.patterns.counts[:1].max(initial=0) > 1)

    def most_missing(self, limit: int) -> Places:
        """Positions of the columns with the most holes, in the table's order; none without a hole."""
        order = np.argsort(-self.missing, kind="stable")[:limit]
        return np.sort(order[self.missing[order] > 0])

    @cached_property
    def paired(self) -> tuple[Places, NDArray[np.int64]]:
        """Positions of the columns set against each other, and rows in which each two are both missing.

        A column missing throughout goes with every other and is left out.
        """
        chosen = self.most_missing(self.mask.shape[1])
        chosen = chosen[self.missing[chosen] < self.n_rows]
        chosen = np.sort(chosen[np.argsort(-self.missing[chosen], kind="stable")[:PAIRED]])
        return chosen, holes.both(self.mask[:, chosen])

    @cached_property
    def companions(self) -> list[Companion]:
        """Observed values that differ where a column is missing, the clearest first."""
        roles = [str(role) for role in self.story.columns["role"]]
        return companions(self.story.before, roles, self.mask, self.most_missing(HOLED).tolist())

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """Each column of which something was filled, in the table's order."""
        before, after = self.story.before, self.story.after
        made = (
            contrast(name, str(role), before.iloc[:, place], after.iloc[:, place])
            for place, (name, role) in enumerate(zip(self.names, self.story.columns["role"], strict=True))
            if self.left[place] < self.missing[place]
        )
        return [found for found in made if found is not None]
