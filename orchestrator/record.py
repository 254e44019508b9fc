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

if TYPE_CHECKING:
    from orchestrator.trial import TrialSpec

Status = Literal["ok", "failed", "timeout", "out_of_memory"]

SCHEMA_VERSION = 1
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
        ("crps", pa.float64()),
        ("coverage_90", pa.float64()),
        # cost
        ("fit_seconds", pa.float64()),
        ("impute_seconds", pa.float64()),
        ("peak_rss_mb", pa.float64()),
        ("peak_gpu_mb", pa.float64()),
        ("device", pa.string()),
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


@functools.cache
def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    found = {"python": platform.python_version()}
    for package in ("lacuna", "numpy", "pandas", "POT", "ray", "scikit-learn", "scipy", "torch"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


_FROM_SPEC = ("dataset", "mechanism", "ratio", "mask_seed", "method", "params", "protocol")
