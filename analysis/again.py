"""The commands that compute a part of a sweep again: one trial, a cell's trials, or one method."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from analysis.schema import CELL, each

MOST_TRIALS = 5
"""So many trials of a cell are named; a cell may have thousands."""

PLACE = "TRIAL_KEY"
"""Stands for a key in a command that is told once for all."""

_LEAST = 8  # digits of a key that are told at least


@dataclass(frozen=True)
class Again:
    """How to run parts of one sweep again.

    Attributes
    ----------
    results
        The results folder as the command line takes it.
    sweep
        The words of the command that made the sweep; empty where it is not known.
    trials
        For each cell and label the first `MOST_TRIALS` keys, in the order of mask seeds.
    digits
        Of a key, so many tell it from every other.
    """

    results: str
    sweep: Sequence[str]
    trials: Mapping[tuple[Any, ...], Sequence[str]]
    digits: int

    def cell(self, row: Any) -> Sequence[str]:
        """Keys behind a row of `analysis.tables.cells`."""
        return self.trials.get((*row[: len(CELL)], row.label), ())

    def key(self, trial_key: str) -> str:
        """The start of a key that no other has."""
        return trial_key[: self.digits]

    def trial_command(self, key: str = PLACE) -> str:
        """What runs one trial in a process of its own and compares it with its record."""
        return shlex.join(["python", "-m", "orchestrator", "run-trial", key, "--results", self.results])

    def method_command(self, method: str) -> str:
        """What runs a method's trials again, into a folder of its own; empty where that is not known."""
        if not self.sweep:
            return ""
        return shlex.join([*self.sweep, "--methods", method, "--out", f"{self.results}-{method}"])


def again(records: pd.DataFrame, manifest: Mapping[str, Any], name: str) -> Again:
    """The commands of a sweep.

    Parameters
    ----------
    records
        Rows with ``label``.
    manifest
        The sweep's; ``command`` is read, and nothing in it is run or trusted.
    name
        The folder's name, by which the command line finds it in ``results/``.
    """
    words = _words(manifest.get("command"))
    sweep = words if words[:4] == ["python", "-m", "orchestrator", "sweep"] else []
    named = [after for word, after in pairwise(sweep) if word == "--out"]
    named += [word.removeprefix("--out=") for word in sweep if word.startswith("--out=")]
    first = records.sort_values("mask_seed", kind="stable").groupby([*CELL, "label"]).head(MOST_TRIALS)
    digits = _digits(records["trial_key"])
    trials: dict[tuple[Any, ...], list[str]] = {}
    for row in each(first[[*CELL, "label", "trial_key"]]):
        trials.setdefault(tuple(row[:-1]), []).append(row.trial_key[:digits])
    return Again(named[-1] if named else name, sweep, trials, digits)


def _words(command: Any) -> list[str]:
    try:
        return shlex.split(command) if isinstance(command, str) else []
    except ValueError:  # quotes that do not close
        return []


def _digits(keys: pd.Series) -> int:
    """How much of each key is needed to tell them apart."""
    whole = keys.drop_duplicates()
    most = int(whole.str.len().max()) if len(whole) else _LEAST
    return next((n for n in range(_LEAST, most) if whole.str.slice(0, n).is_unique), max(most, _LEAST))
