"""One fold of a search: hide observed entries of a table with holes, impute, score. A pure function; no Ray.

A search sees a task as an imputer does: the visible table, in which the task's hidden entries are NaN. The
holes of a fold are drawn in that table, by the task's own mechanism, and what was visible before is their
truth. So no hidden entry of the task reaches a configuration or its score.

A fold's holes come on top of the task's. The more of them, the less the table is like the one to be imputed,
and the best configuration for it is another: they are fewer than the task's unless a search asks for more.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

import datasets
import methods
from analysis.schema import find_metric
from orchestrator.isolation import isolated, pinned
from orchestrator.metrics import METRICS, Scored
from orchestrator.record import Record, versions
from orchestrator.store import Shape, Store
from orchestrator.trial import TrialSpec, checked, explain, load_table, status_of

SCHEMA = pa.schema(
    [
        ("number", pa.int64()),  # of the configuration; 0 is the method's default
        ("fold", pa.int64()),
        ("method", pa.string()),
        ("dataset", pa.string()),
        ("mechanism", pa.string()),
        ("ratio", pa.float64()),
        ("hide", pa.float64()),  # share of the visible entries that the fold was to hide
        ("mask_seed", pa.int64()),
        ("fold_seed", pa.int64()),
        ("mask_hash", pa.string()),  # of the fold's own holes
        ("values", pa.string()),  # of the searched parameters, as JSON
        ("params", pa.string()),  # constructor parameters, as in a trial's record
        ("metric", pa.string()),
        ("score", pa.float64()),
        ("loss", pa.float64()),  # distance of the score from the perfect one: what is minimised
        ("n_scored", pa.int64()),
        ("missing_share", pa.float64()),  # of the entries, in the table that the method got
        ("seconds", pa.float64()),
        ("peak_rss_mb", pa.float64()),
        ("peak_gpu_mb", pa.float64()),
        ("device", pa.string()),
        ("attempts", pa.int64()),
        ("status", pa.string()),  # ok, failed, timeout, out_of_memory; stopped: was not worth running
        ("error", pa.string()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("finished_at", pa.timestamp("us", tz="UTC")),
        ("versions", pa.string()),
    ]
)
"""Columns of the history of a search: one row for each configuration and fold."""


@dataclass(frozen=True)
class FoldSpec:
    """All that determines the score of a configuration on a fold."""

    trial: TrialSpec
    """The task, the method and the configuration's parameters."""
    number: int
    """Of the configuration in its search."""
    fold: int
    seed: int
    """Of the search."""
    values: str
    """Canonical JSON of the searched parameters."""
    metric: str
    hide: float
    """Share of the visible entries to hide."""

    @property
    def key(self) -> str:
        """Names the fold's record within its search."""
        return f"{self.number:05d}-{self.fold:03d}"

    @property
    def fold_seed(self) -> int:
        """Seed of the fold's holes, spawned for it alone; the same for every configuration."""
        spawned = np.random.SeedSequence(self.seed, spawn_key=(self.trial.mask_seed, self.fold))
        return int(spawned.generate_state(1, np.uint64)[0] >> 1)

    @property
    def method_seed(self) -> int:
        """``random_state`` for the method on this fold; the same for every configuration."""
        return int(np.random.SeedSequence([self.trial.method_seed, self.fold_seed]).generate_state(1)[0])


def validation_task(fold: FoldSpec) -> datasets.Task:
    """The fold as a task of its own, made from the visible part of the trial's task alone."""
    trial = fold.trial
    table = load_table(trial.dataset, trial.fingerprint)
    task = datasets.make_task(table, mechanism=trial.mechanism, ratio=trial.ratio, mask_seed=trial.mask_seed)
    # an identity of its own, so that no fold is drawn as any evaluation's mask is, whatever the seeds
    identity = f"{table.identity}/visible/{trial.mechanism}/{trial.ratio!r}/{trial.mask_seed}"
    seen = dataclasses.replace(table, frame=task.train.visible, target=None, identity=identity)
    return datasets.make_task(seen, mechanism=trial.mechanism, ratio=fold.hide, mask_seed=fold.fold_seed)


def run_fold(fold: FoldSpec, *, attempts: int = 1) -> Record:
    """Impute a fold with a configuration and score it, in this process.

    Returns
    -------
    Record
        One row of :data:`SCHEMA`, whatever happens: an exception becomes status ``failed``, lack of memory
        ``out_of_memory``.
    """
    started_at = datetime.now(UTC)
    try:
        with isolated():
            # the seed last: it is no choice of a model
            params = {**json.loads(fold.trial.params), "random_state": fold.method_seed}
            imputer = methods.build(fold.trial.method, **params)
            with pinned(1):
                facts = _measure(fold, imputer)
    except Exception as error:
        facts = {"status": status_of(error), "error": explain(error)}
    return fold_record(fold, attempts=attempts, started_at=started_at, **facts)


def _measure(fold: FoldSpec, imputer: Any) -> dict[str, Any]:
    task = validation_task(fold)
    split = task.train
    imputed, cost = checked(imputer.fit_transform, split.visible)
    value, note = score_of(fold.metric, task, imputed)
    facts = {
        "n_scored": int(split.hidden.sum()),
        "missing_share": float(split.visible.isna().to_numpy().mean()),
        "mask_hash": task.mask_hash,
        "seconds": cost.seconds,
        "peak_rss_mb": cost.peak_rss_mb,
        "peak_gpu_mb": cost.peak_gpu_mb,
        "device": str(getattr(imputer, "device_", "cpu")),
    }
    if value is None:
        return {**facts, "status": "failed", "error": f"NoScore: {note}"}
    return {**facts, "status": "ok", "score": value, "loss": abs(value - find_metric(fold.metric).target)}


def score_of(metric: str, task: datasets.Task, imputed: Any) -> tuple[float | None, str | None]:
    """The value of a metric, or None and why there is none."""
    with np.errstate(over="ignore", invalid="ignore"):
        score = METRICS[metric](Scored(task.train, imputed, task))
    if score.value is not None and not np.isfinite(score.value):
        return None, f"the {metric} is {score.value}"
    return score.value, score.note


def fold_record(
    fold: FoldSpec, *, status: str, attempts: int = 0, started_at: datetime | None = None, **facts: Any
) -> Record:
    """A row of :data:`SCHEMA` from what was measured."""
    trial, now = fold.trial, datetime.now(UTC)
    row: dict[str, Any] = {
        **dict.fromkeys(SCHEMA.names),
        **{name: getattr(trial, name) for name in _FROM_TRIAL},
        **{name: getattr(fold, name) for name in _FROM_FOLD},
        "attempts": attempts,
        "status": status,
        "started_at": started_at or now,
        "finished_at": max(now, started_at or now),
        "versions": json.dumps(versions(), sort_keys=True),
        **facts,
    }
    return Record(fold.key, (row,))


_FROM_TRIAL = ("method", "dataset", "mechanism", "ratio", "mask_seed", "params")
_FROM_FOLD = ("number", "fold", "fold_seed", "values", "metric", "hide")


class FoldStore(Store):
    """The folder of a search: as that of a sweep, with ``folds/<number>-<fold>.parquet`` for records."""

    shape = Shape(SCHEMA)

    def __init__(self, directory: Any):
        super().__init__(directory)
        self.records = self.directory / "folds"

    def row(self, key: str) -> dict[str, Any] | None:
        """The row of a fold; None if it has not been run. A file that cannot be read counts as not run."""
        if key not in self.statuses([key]):
            return None
        return self.read(key)[0]

    def rows(self) -> list[dict[str, Any]]:
        """Every row, by configuration and fold."""
        return [self.read(key)[0] for key in sorted(self.statuses(self.keys()))]

    def configurations(self, n_folds: int) -> dict[int, tuple[Mapping[str, Any], bool]]:
        """Number -> the values of the configuration, and whether it has ended, for those that have a row."""
        grouped: dict[int, list[dict[str, Any]]] = {}
        for row in self.rows():
            grouped.setdefault(row["number"], []).append(row)
        return {
            number: (json.loads(rows[0]["values"]), len(rows) == n_folds or rows[-1]["status"] != "ok")
            for number, rows in grouped.items()
        }
