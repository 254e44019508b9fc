"""Method "auto": what is asked of the choice, and what to take should the chosen method fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

import methods
from orchestrator.impute.candidates import lacks
from orchestrator.sweep import RequestError

if TYPE_CHECKING:
    from orchestrator.impute.choice import Choice

Attempt = tuple[str, Mapping[str, Any]]
"""A method and its parameters."""


@dataclass(frozen=True)
class Auto:
    """How "auto" is to choose; see `impute`."""

    metric: str
    budget: float
    among: Collection[str] | None
    needs: Sequence[str]
    seed: int
    device: str
    workers: int | None
    address: str | None
    plugins: Sequence[str]

    def refuse_wrong(self) -> None:
        """Raise what `choose` would raise, before a table is read."""
        from orchestrator.impute.choice import refuse_wrong

        refuse_wrong(self.metric, self.budget, self.seed)
        for name in self.among or ():
            methods.resolve(name)

    def choose(
        self, frame: pd.DataFrame, patterns: pd.DataFrame | None, say: Callable[[str], None]
    ) -> Choice:
        """The choice for `frame`, with the holes of `patterns` if these are others."""
        from orchestrator.impute.choice import NothingToHideError, choose

        try:
            return choose(
                frame,
                metric=self.metric,
                budget=self.budget,
                methods=self.among,
                seed=self.seed,
                workers=self.workers,
                address=self.address,
                progress=say,
                patterns=patterns,
                needs=self.needs,
                device=None if self.device == "auto" else self.device,
                plugins=self.plugins,
            )
        except NothingToHideError as error:
            raise RequestError(f"no method can be chosen: {error}; name one with --method") from error


def in_order(choice: Choice, needs: Sequence[str]) -> list[Attempt]:
    """The chosen method and, should it fail on the whole table, the next best that were scored."""
    board = choice.board[choice.board["status"] == "scored"]
    first = (choice.method, dict(choice.params))
    rest = [
        (str(name), json.loads(str(params)))
        for name, params in zip(board["method"], board["params"], strict=True)
        if not lacks(str(name), needs)
    ]
    return [first, *(other for other in rest if other != first)]
