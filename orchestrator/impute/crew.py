"""The workers on Ray that fit candidates: as many at once as there are CPUs and memory for."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.exceptions import RayError, WorkerCrashedError

import methods
from methods.memory import free_memory
from orchestrator.cluster import Resources, connect
from orchestrator.impute.fit import Job, Outcome, Sheet, work
from orchestrator.limits import GRACE_SECONDS, PAST_MEMORY
from orchestrator.placement import GPU_SHARE
from orchestrator.raylib import ray
from orchestrator.sweep import RequestError

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
        self._remote = decorate(work)
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
