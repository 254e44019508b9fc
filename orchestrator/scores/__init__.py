"""Groups of scores beyond the standard ones, for the sweeps that ask for them.

A group is a module of this package with a table ``SCORES`` of small functions ``score(case) -> Score``, whose
names are columns of a record; one loop walks them. The standard metrics compare one table with its truth;
these draw, refit and train, and each bounds what it costs by a seeded subset of the rows.

A score that cannot be had is None, and the group's note column says why: an exception in a score costs that
score, never the trial. Nothing here is imported for a sweep that asks for none.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.metrics import Score

if TYPE_CHECKING:
    from orchestrator.scores.case import Case

GROUPS: dict[str, str] = {
    "draws": "CRPS, coverage and width of the 50, 80, 90 and 95 % intervals of draws, for stochastic methods",
    "distribution": "energy distance, sliced Wasserstein distance, energy-I-score",
    "downstream": "predicting the table's target from imputed features, on held-out rows",
    "pooled": "bias, width and coverage of pooled regression coefficients",
    "generation": "training on synthetic rows, testing on real ones, for generative methods",
}
"""The groups that a sweep may ask for, and what each measures."""
SCORES_VERSION = 2
"""Raised when the definition of a score of these groups changes; in the key of trials that ask for any."""


def load(groups: Iterable[str]) -> dict[str, Mapping[str, Callable[[Case], Score]]]:
    """The tables of scores of `groups`, their modules imported."""
    return {group: importlib.import_module(f"{__name__}.{group}").SCORES for group in groups}


def measure(groups: Iterable[str], case: Case) -> dict[str, Any]:
    """Every score of `groups` for one imputed split, and a note for each group that has something to say."""
    columns: dict[str, Any] = {}
    for group, scores in load(groups).items():
        results = {name: _guarded(score, case) for name, score in scores.items()}
        columns |= {name: result.value for name, result in results.items()}
        columns[f"{group}_note"] = _note(results)
    return columns


def _guarded(score: Callable[[Case], Score], case: Case) -> Score:
    try:
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
            warnings.simplefilter("ignore")  # of models that have not converged, and of refits
            result = score(case)
    except Exception as error:  # the imputation is scored all the same
        return Score(None, f"{type(error).__name__}: {error}")
    if result.value is not None and not np.isfinite(result.value):
        return Score(None, f"not finite: {result.value}")
    return result


def _note(results: Mapping[str, Score]) -> str | None:
    """What the scores say, each thing once: alone where all say it, else after the names of those that do.

    >>> _note({"a": Score(None, "no target"), "b": Score(None, "no target")})
    'no target'
    >>> _note({"a": Score(1.0), "b": Score(None, "no target"), "c": Score(None, "no target")})
    'b, c: no target'
    """
    names: dict[str, list[str]] = {}
    for name, result in results.items():
        if result.note:
            names.setdefault(result.note, []).append(name)
    said = [note if len(by) == len(results) else f"{', '.join(by)}: {note}" for note, by in names.items()]
    return "; ".join(said) or None


def plain(groups: Iterable[str]) -> str | None:
    """The groups as a record holds them, ``["draws","pooled"]``; None for none."""
    return json.dumps(list(groups), separators=(",", ":")) if groups else None
