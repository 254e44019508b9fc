"""Whether two attempts at a trial came to the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

CIRCUMSTANCES = frozenset(
    (
        "attempts",
        "cpu_seconds",
        "dataset",
        "device",
        "error",
        "finished_at",
        "fit_seconds",
        "gpu_fraction",
        "gpu_name",
        "impute_seconds",
        "node",
        "peak_gpu_mb",
        "peak_rss_mb",
        "schema_version",
        "seconds",
        "started_at",
        "sweep",
        "threads",
        "versions",
    )
)
"""Columns that may differ between two runs of the same trial."""


def differences(standing: Collection[Mapping[str, Any]], rows: Collection[Mapping[str, Any]]) -> list[str]:
    """In what the results of two records of a trial differ, in words."""
    if len(standing) != len(rows):
        return [f"{len(standing)} rows, here {len(rows)}"]
    return [
        f"{name} {before.get(name)!r}, here {after.get(name)!r}"
        for before, after in zip(standing, rows, strict=True)
        for name in after
        if name not in CIRCUMSTANCES and before.get(name) != after.get(name)
    ]
