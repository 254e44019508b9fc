"""Fits on Ray, each in a worker process with a deadline and a memory limit; none is handed the truth.

A worker gets a table with holes and says how it filled some of them. It ends at its deadline or past its
memory limit, even while a method holds the interpreter's lock (`orchestrator.limits`), and no other with it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from ray.exceptions import RayError, WorkerCrashedError

import methods
from methods.memory import TableTooLargeError, check_memory, free_memory
from orchestrator.cluster import Resources, connect
from orchestrator.impute.candidates import Candidate
from orchestrator.impute.scoring import pick
from orchestrator.isolation import Cost, isolated, pinned
from orchestrator.limits import (
    GRACE_SECONDS,
    PAST_MEMORY,
    MemoryWatch,
    stopped_at_deadline,
    stopped_past_memory,
)
from orchestrator.placement import GPU_SHARE
from orchestrator.raylib import ray
from orchestrator.sweep import RequestError
from orchestrator.trial import check_imputation
from orchestrator.worker import _here

MEMORY_SHARE = 0.8
"""Of the memory that is free at the start, what the workers may take together."""
WORKER_MB = 1500.0
"""Of which each should have so much: with less, there are fewer workers."""
SHORTEST = 1.0
"""Seconds that a fit must have before its deadline to be started at all."""
PATIENCE = 5.0
"""A fit may take so many times what it was expected to, where there is time,"""
FAIR = 1 / 3
"""and in any case this share of the time that is left."""


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


class Crew:
    """The workers; :func:`hired` makes one."""

    def __init__(self, notes: Path, plugins: Sequence[str], workers: int | None, *, local: bool):
        found = ray.cluster_resources()
        self.gpu = found.get("GPU", 0.0) > 0
        self.slots = max(1, min(int(found.get("CPU", 1)), workers or sys.maxsize))
        memory_mb = MEMORY_SHARE * free_memory("cpu") / 2**20
        if local:
            self.slots = max(1, min(self.slots, int(memory_mb / WORKER_MB)))
        self._common = {
            "plugins": {str(path): Path(path).read_text(encoding="utf-8") for path in plugins},
            "working_directory": str(Path.cwd()),
            "memory_mb": memory_mb / self.slots if local else None,
        }
        decorate: Any = ray.remote(num_cpus=1, max_retries=0, max_calls=0)
        self._remote = decorate(_work)
        self._notes = notes

    def share(self, sheet: Sheet) -> Any:
        """A reference by which workers find a sheet."""
        return ray.put(sheet)

    def run(self, jobs: Sequence[Job], left: Callable[[], float], heard: Callable[[Outcome], None]) -> None:
        """Run jobs in their order, as many at once as there are slots.

        Parameters
        ----------
        jobs
            What to run.
        left
            Seconds left for them all. A job expected to take longer is skipped; one that takes far longer
            than expected is ended.
        heard
            Called with each outcome as it comes, in whatever order.
        """
        waiting = deque(jobs)
        running: dict[Any, tuple[Job, Path, float, float]] = {}
        while waiting or running:
            while waiting and len(running) < self.slots:
                job, seconds = waiting.popleft(), left()
                if reason := _unaffordable(job, seconds):
                    heard(Outcome(job, "skipped", reason=reason))
                    continue
                allowed = min(seconds, max(FAIR * seconds, PATIENCE * (job.expected or 0.0)))
                allowed = max(SHORTEST, allowed - GRACE_SECONDS)
                reference, note = self._start(job, allowed)
                running[reference] = (job, note, time.monotonic(), allowed)
            if running:
                ready, _ = ray.wait(list(running), num_returns=1)
                for reference in ready:
                    heard(self._result(reference, *running.pop(reference)))

    def _start(self, job: Job, deadline: float) -> tuple[Any, Path]:
        accelerated = methods.info(job.candidate.method).accelerated
        on_gpu = self.gpu and accelerated and job.candidate.kwargs.get("device", "auto") != "cpu"
        note = self._notes / uuid.uuid4().hex
        plain = replace(job, table=None)
        options = {"num_gpus": GPU_SHARE} if on_gpu else {}
        reference = self._remote.options(**options).remote(
            plain, job.table, deadline=deadline, note=str(note), **self._common
        )
        return reference, note

    def _result(self, reference: Any, job: Job, note: Path, began: float, allowed: float) -> Outcome:
        took = time.monotonic() - began
        try:
            return replace(ray.get(reference), job=job)
        except RayError as error:
            # the worker is gone; on another machine its note is out of reach, and the time must tell
            told = note.read_text(encoding="utf-8", errors="replace") if note.exists() else ""
            if told.startswith(PAST_MEMORY):
                return Outcome(job, "out_of_memory", seconds=took, reason=told.strip())
            if told or took >= allowed:
                reason = f"not done after {took:.0f} s, the most that it could be given"
                return Outcome(job, "timeout", seconds=took, reason=reason)
            reason = str(error).strip().splitlines()[-1]
            if isinstance(error, WorkerCrashedError):
                reason = "its worker process died"
            return Outcome(job, "failed", seconds=took, reason=reason)


@contextlib.contextmanager
def hired(
    workers: int | None = None, address: str | None = None, plugins: Sequence[str] = ()
) -> Iterator[Crew]:
    """A crew on the Ray cluster at the address, or on a Ray of our own.

    Raises
    ------
    RequestError
        If there is no cluster at the address.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(connect(Resources(address=address, workers=workers)))
        except ConnectionError as error:
            raise RequestError(f"no Ray cluster at {address!r}: {error}") from error
        notes = stack.enter_context(tempfile.TemporaryDirectory(prefix="lacuna-choice-"))
        yield Crew(Path(notes), plugins, workers, local=address is None)


def _unaffordable(job: Job, left: float) -> str:
    """Why a job is not worth starting, or nothing."""
    if left < SHORTEST + GRACE_SECONDS:
        return "no time was left for it"
    if job.expected is not None and job.expected > left:
        return f"a fit should take {_told(job.expected)}, and {_told(left)} of the budget were left"
    return ""


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _work(
    job: Job,
    sheet: Sheet,
    *,
    deadline: float,
    note: str,
    memory_mb: float | None,
    plugins: Mapping[str, str],
    working_directory: str,
) -> Outcome:
    """In the worker: fit, fill, and report the entries that are asked for."""
    with contextlib.suppress(OSError):
        os.chdir(working_directory)
    _load_plugins(tuple(plugins.items()))
    path = Path(note)
    path.parent.mkdir(exist_ok=True)
    with stopped_at_deadline(deadline, path), stopped_past_memory(_watch(memory_mb), path):
        return _fit(job, sheet)


def _fit(job: Job, sheet: Sheet) -> Outcome:
    started = time.monotonic()
    try:
        with isolated():
            imputer = methods.build(job.candidate.method, random_state=job.seed, **job.candidate.kwargs)
            with pinned(1):
                _check_whole(imputer, sheet)
                given = sheet.visible.copy(deep=True)
                with Cost() as cost:
                    filled = imputer.fit_transform(given)
                check_imputation(sheet.visible, given, filled)
    except TableTooLargeError as error:
        return Outcome(job, "too_large", reason=str(error))
    except Exception as error:
        is_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        return Outcome(
            job,
            "out_of_memory" if is_memory else "failed",
            seconds=time.monotonic() - started,
            reason=f"{type(error).__name__}: {error}".partition("\n")[0],
        )
    values = pick(filled, sheet.row, sheet.column)
    return Outcome(job, "ok", values, cost.seconds, cost.peak_rss_mb)


def _check_whole(imputer: Any, sheet: Sheet) -> None:
    """Refuse a method that says that it cannot hold the whole table."""
    shape = (sheet.full_rows, imputer._make_encoder().fit(sheet.visible).width)
    check_memory(imputer.info.name, shape, imputer._memory(*shape), getattr(imputer, "device", "cpu"))


@functools.cache
def _load_plugins(plugins: tuple[tuple[str, str], ...]) -> None:
    for path, source in plugins:
        methods.load_plugin(_here(Path(path), source))


@functools.lru_cache(maxsize=1)
def _watch(limit_mb: float | None) -> MemoryWatch | None:
    return None if limit_mb is None else MemoryWatch(limit_mb)
