"""What came of a trial, as rows of the results' schema."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from orchestrator.scores import plain

if TYPE_CHECKING:
    from orchestrator.trial import TrialSpec

Status = Literal["ok", "failed", "timeout", "out_of_memory"]

SCHEMA_VERSION = 3
SCHEMA = pa.schema(
    [
        # the trial
        ("trial_key", pa.string()),
        ("sweep", pa.string()),
        ("dataset", pa.string()),
        ("mechanism", pa.string()),
        ("ratio", pa.float64()),
        ("mask_seed", pa.int64()),
        ("method", pa.string()),
        ("params", pa.string()),
        ("protocol", pa.string()),
        ("scores", pa.string()),  # the groups that were asked for, as JSON; null for the standard ones alone
        # the rows that were imputed
        ("split", pa.string()),
        ("n_rows", pa.int64()),
        ("n_columns", pa.int64()),
        ("n_missing", pa.int64()),
        ("realised_ratio", pa.float64()),
        ("mask_hash", pa.string()),
        # scores
        ("mae", pa.float64()),
        ("rmse", pa.float64()),
        ("wasserstein", pa.float64()),
        ("wasserstein_note", pa.string()),
        ("accuracy", pa.float64()),
        ("macro_f1", pa.float64()),
        ("mae_relative", pa.float64()),
        ("rmse_relative", pa.float64()),
        ("accuracy_relative", pa.float64()),
        ("macro_f1_relative", pa.float64()),
        # scores of the groups that the sweep asked for, and for each group what there is to say
        ("crps", pa.float64()),
        ("coverage_50", pa.float64()),
        ("coverage_80", pa.float64()),
        ("coverage_90", pa.float64()),
        ("coverage_95", pa.float64()),
        ("width_50", pa.float64()),
        ("width_80", pa.float64()),
        ("width_90", pa.float64()),
        ("width_95", pa.float64()),
        ("draws_note", pa.string()),
        ("energy_distance", pa.float64()),
        ("sliced_wasserstein", pa.float64()),
        ("energy_i_score", pa.float64()),
        ("distribution_note", pa.string()),
        ("downstream_linear", pa.float64()),
        ("downstream_trees", pa.float64()),
        ("downstream_linear_indicator", pa.float64()),
        ("downstream_trees_indicator", pa.float64()),
        ("downstream_native", pa.float64()),
        ("downstream_note", pa.string()),
        ("pooled_bias", pa.float64()),
        ("pooled_width", pa.float64()),
        ("pooled_coverage", pa.float64()),
        ("pooled_coverage_finite", pa.float64()),
        ("pooled_note", pa.string()),
        ("generation_rmse", pa.float64()),
        ("generation_rmse_real", pa.float64()),
        ("generation_note", pa.string()),
        # cost
        ("fit_seconds", pa.float64()),
        ("impute_seconds", pa.float64()),
        ("cpu_seconds", pa.float64()),  # processor time of the fit and of this split's imputation
        ("peak_rss_mb", pa.float64()),
        ("peak_gpu_mb", pa.float64()),
        ("device", pa.string()),
        ("gpu_name", pa.string()),
        ("threads", pa.int64()),
        ("node", pa.string()),
        ("gpu_fraction", pa.float64()),
        # how it went
        ("attempts", pa.int64()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("finished_at", pa.timestamp("us", tz="UTC")),
        ("versions", pa.string()),
        ("schema_version", pa.int32()),
    ]
)
"""Columns of a record. What was not measured is null, never 0 and never NaN."""


@dataclass(frozen=True)
class Record:
    """What came of a trial: one row of :data:`SCHEMA` for each split that it scored."""

    key: str
    rows: tuple[Mapping[str, Any], ...]

    @property
    def status(self) -> Status:
        return self.rows[0]["status"]

    def summary(self) -> dict[str, Any]:
        """The first row without what only an archive needs."""
        return {name: value for name, value in self.rows[0].items() if name not in ("versions", "error")}


def make_record(
    spec: TrialSpec,
    rows: Sequence[Mapping[str, Any]],
    *,
    sweep: str,
    threads: int,
    gpu_fraction: float,
    attempts: int,
    started_at: datetime,
) -> Record:
    """A record of `spec` from what was measured, one mapping for each split."""
    common = {
        **dict.fromkeys(SCHEMA.names),
        "trial_key": spec.key,
        **{name: getattr(spec, name) for name in _FROM_SPEC},
        "scores": plain(spec.scores),
        "sweep": sweep,
        "threads": threads,
        "gpu_fraction": gpu_fraction,
        "attempts": attempts,
        "node": platform.node(),
        "started_at": started_at,
        "finished_at": max(datetime.now(UTC), started_at),
        "versions": json.dumps(versions(), sort_keys=True),
        "schema_version": SCHEMA_VERSION,
    }
    return Record(spec.key, tuple({**common, **row} for row in rows))


def failure(spec: TrialSpec, status: Status, error: str, *, sweep: str, attempts: int) -> Record:
    """The record of a trial that was given up without a result."""
    return make_record(
        spec,
        [{"split": "in_sample", "status": status, "error": error}],
        sweep=sweep,
        threads=1,
        gpu_fraction=0.0,
        attempts=attempts,
        started_at=datetime.now(UTC),
    )


_ALWAYS = ("lacuna", "numpy", "pandas", "POT", "ray", "scikit-learn", "scipy", "torch")
_WHERE_INSTALLED = ("hyperimpute", "optuna", "xgboost", "xgboost-cpu", "lightgbm", "catboost")
"""Which of these there are decides what models some methods select from."""


@functools.cache
def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    found = {"python": platform.python_version()}
    for package in (*_ALWAYS, *_WHERE_INSTALLED):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


_FROM_SPEC = ("dataset", "mechanism", "ratio", "mask_seed", "method", "params", "protocol")
