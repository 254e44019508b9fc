"""One fit: a table with holes comes in, some of its filled entries go out, and no truth is handed over.

In a worker, it ends at its deadline or past its memory limit, with its process, even while the method holds
the interpreter's lock (`orchestrator.limits`). Knows nothing of Ray, which calls it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import methods
from methods.base import Imputer
from methods.memory import TableTooLargeError, check_memory
from orchestrator.impute.candidates import Candidate
from orchestrator.impute.scoring import pick
from orchestrator.isolation import isolated, pinned
from orchestrator.limits import MemoryWatch, stopped_at_deadline, stopped_past_memory
from orchestrator.plugins import unpack
from orchestrator.trial import checked, status_of


@dataclass(frozen=True)
class Job:
    """One fit of a candidate on a table with holes."""

    candidate: Candidate
    fold: int
    table: Any
    """Ray's reference to a :class:`Sheet`."""
    seed: int
    expected: float | None
    """Seconds that it should take."""


@dataclass(frozen=True)
class Sheet:
    """What a worker sees."""

    visible: pd.DataFrame
    """With the hidden entries missing too."""
    row: NDArray[np.intp]
    """Of the entries to report, shape (n_entries,)."""
    column: NDArray[np.intp]
    full_rows: int
    """Rows of the table that is to be filled in the end: a method that cannot hold them is not tried."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    job: Job
    status: str
    """``ok``, ``failed``, ``too_large`` (not tried: the whole table is beyond its memory), ``timeout``,
    ``out_of_memory``, or ``skipped``."""
    values: NDArray[np.float64] | None = None
    """The reported entries, shape (n_entries,)."""
    seconds: float | None = None
    peak_rss_mb: float | None = None
    reason: str = ""


def warm() -> None:
    """Import what fits need, and stay busy long enough for another process to be started for the next."""
    time.sleep(0.2)


def work(
    job: Job,
    sheet: Sheet,
    *,
    deadline: float,
    note: str,
    memory_mb: float | None,
    plugins: Mapping[str, str],
    working_directory: str,
) -> Outcome:
    """Fit a candidate, fill the holes, and report the entries that the sheet asks for.

    Parameters
    ----------
    job, sheet
        What to fit on what.
    deadline
        Seconds after which this process ends.
    note
        File that then holds the reason.
    memory_mb
        Resident memory past which this process ends, in MiB; None for no limit.
    plugins
        Path and source of each file that defines more methods.
    working_directory
        Of the driver, so that relative paths mean the same.
    """
    with contextlib.suppress(OSError):
        os.chdir(working_directory)
    unpack(plugins)
    path = Path(note)
    path.parent.mkdir(exist_ok=True)
    with stopped_at_deadline(deadline, path), stopped_past_memory(_watch(memory_mb), path):
        return measure(job, sheet)


def measure(job: Job, sheet: Sheet) -> Outcome:
    """The same in this process, with neither deadline nor memory limit."""
    started = time.monotonic()
    try:
        with isolated():
            imputer = methods.build(job.candidate.method, random_state=job.seed, **job.candidate.kwargs)
            with pinned(1):
                _check_whole(imputer, sheet)
                filled, cost = checked(imputer.fit_transform, sheet.visible)
    except TableTooLargeError as error:
        return Outcome(job, "too_large", reason=str(error))
    except Exception as error:
        return Outcome(
            job,
            status_of(error),
            seconds=time.monotonic() - started,
            reason=f"{type(error).__name__}: {error}".partition("\n")[0],
        )
    values = pick(filled, sheet.row, sheet.column)
    return Outcome(job, "ok", values, cost.seconds, cost.peak_rss_mb)


def _check_whole(imputer: Any, sheet: Sheet) -> None:
    """Refuse a method that says that it cannot hold the whole table."""
    if not isinstance(imputer, Imputer):
        return
    shape = (sheet.full_rows, imputer._make_encoder().fit(sheet.visible).width)
    check_memory(imputer.info.name, shape, imputer._memory(*shape), getattr(imputer, "device", "cpu"))


@functools.lru_cache(maxsize=1)
def _watch(limit_mb: float | None) -> MemoryWatch | None:
    return None if limit_mb is None else MemoryWatch(limit_mb)
