"""Trials in bundles, one Tune trial each: long beside what its start takes, short enough to balance."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import methods
from orchestrator.cost import Costs
from orchestrator.sweep import cells
from orchestrator.trial import TrialSpec

BUNDLE_SECONDS = 30.0
"""Work of a bundle, where its cost is known: a thousand times what scheduling it takes."""
PATIENCE_SECONDS = 4 * BUNDLE_SECONDS
"""A bundle that has taken so long hands back the trials that it has not begun."""
MAX_BUNDLE = 50
"""Trials in a bundle of unknown cost, at most."""
MAX_KNOWN_BUNDLE = 500
"""Trials in a bundle of known cost, at most."""
BUNDLES_A_SLOT = 4
"""So many bundles for each slot at least, where there are trials enough, so that the last end together."""

Seconds = Callable[[TrialSpec], float | None]
"""Expected seconds of a trial; None where nothing like it was measured."""


def bundle(
    trials: Sequence[TrialSpec], slots: int, seconds: Seconds = lambda spec: None
) -> list[list[TrialSpec]]:
    """Group trials for scheduling: by cell, the longest expected bundle first.

    Parameters
    ----------
    trials
        What is to run.
    slots
        Trials that run at once.
    seconds
        Bundles hold about :data:`BUNDLE_SECONDS` of the work that it foretells, and less where there is too
        little for several bundles a slot. Where it knows nothing, they hold as many trials as leave each slot
        several bundles.

    Returns
    -------
    list of list of TrialSpec
        Each of one cell. Those of unknown cost come first, of them those that want a GPU: they may be long.
    """
    grouped = cells(trials)
    expected = {cell: seconds(specs[0]) for cell, specs in grouped.items()}
    enough = BUNDLES_A_SLOT * max(slots, 1)
    blind = max(1, min(MAX_BUNDLE, math.ceil(len(trials) / enough)))
    work = sum((expected[cell] or 0.0) * len(specs) for cell, specs in grouped.items())
    target = min(BUNDLE_SECONDS, work / enough)

    ranked: list[tuple[tuple[float, bool], list[TrialSpec]]] = []
    for cell, specs in grouped.items():
        each = expected[cell]
        if each is None:
            size = blind
        else:
            size = max(1, min(MAX_KNOWN_BUNDLE, math.floor(target / each))) if each > 0 else MAX_KNOWN_BUNDLE
        # equal shares, so that no bundle of one trial is left over
        size = math.ceil(len(specs) / math.ceil(len(specs) / size))
        accelerated = methods.info(specs[0].method).accelerated
        for start in range(0, len(specs), size):
            chunk = specs[start : start + size]
            length = math.inf if each is None else each * len(chunk)
            ranked.append(((-length, not accelerated), chunk))
    return [chunk for _, chunk in sorted(ranked, key=lambda item: item[0])]


class Ledger:
    """What trials took, from the records that are there and from those that come in.

    Parameters
    ----------
    rows
        Rows of records, as the store gives them; columns without a value may be left out.
    """

    KEPT = 20
    """Trials of one method, variant and table that are remembered: a median needs no more."""
    LEARNED = (
        *("trial_key", "method", "params", "dataset", "device", "status", "n_rows", "n_columns"),
        *("fit_seconds", "impute_seconds", "started_at", "finished_at", "peak_gpu_mb"),
    )
    """The columns that it learns from."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()):
        self._kept: dict[tuple[str, str, str], deque[tuple[Mapping[str, Any], ...]]] = {}
        self._peaks: dict[tuple[str, str, str], float] = {}
        self._costs = Costs.from_records([])
        self._gpu = False
        self._known: dict[tuple[Any, ...], float | None] = {}
        self.heard = 0
        by_trial: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_trial.setdefault(row["trial_key"], []).append(row)
        for trial in by_trial.values():
            self.add(trial)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in the rows of one trial."""
        if not rows or rows[0].get("status") != "ok":
            return
        place = rows[0]["method"], rows[0]["params"], rows[0]["dataset"]
        self._kept.setdefault(place, deque(maxlen=self.KEPT)).append(tuple(rows))
        for row in rows:
            peak = row.get("peak_gpu_mb") or 0.0
            self._peaks[place] = max(self._peaks.get(place, 0.0), peak)
        self.heard += 1

    def settle(self, *, gpu: bool) -> None:
        """Compute the expectations anew from all that was taken in; `gpu`: those of methods on a GPU."""
        rows = [row for trials in self._kept.values() for trial in trials for row in trial]
        self._costs, self._gpu = Costs.from_records(rows), gpu
        self._known.clear()

    def seconds(self, spec: TrialSpec) -> float | None:
        """Expected seconds of a trial, as of the last :meth:`settle`."""
        alike = (spec.method, spec.params, spec.dataset)
        if alike not in self._known:
            # not at the top: workers import this module and never ask
            from orchestrator.plan import expected_trial

            found = expected_trial(spec, self._costs, gpu=self._gpu)
            self._known[alike] = found.seconds if found else None
        return self._known[alike]

    def peak_gpu_mb(self, spec: TrialSpec) -> float | None:
        """The most GPU memory that a trial of this method, variant and table took, in MiB."""
        return self._peaks.get((spec.method, spec.params, spec.dataset)) or None
