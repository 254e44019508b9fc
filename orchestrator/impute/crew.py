"""Who fits candidates: workers on Ray, as many at once as there are CPUs and memory for, or this process."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray.exceptions import RayError, WorkerCrashedError

import methods
from methods.memory import free_memory
from orchestrator.cluster import Resources, connect
from orchestrator.impute.fit import Job, Outcome, Sheet, measure, warm, work
from orchestrator.limits import GRACE_SECONDS, PAST_MEMORY
from orchestrator.placement import GPU_SHARE
from orchestrator.plugins import packed
from orchestrator.progress import duration
from orchestrator.raylib import ray

MEMORY_SHARE = 0.8
"""Of the memory that is free at the start, what the workers may take together."""
WORKER_MB = 1500.0
"""Of which each should have so much: with less, there are fewer workers."""
WARM_SECONDS = 120.0
"""How long they may take to start, before the first fits are handed out all the same."""
SHORTEST = 1.0
"""Seconds that must be left for a fit to be started at all."""
PATIENCE = 5.0
"""A fit may take so many times what it was expected to, where there is time,"""
FAIR = 1 / 3
"""and in any case this share of the time that is left."""


class Alone:
    """This process, for small tables: one fit after another, none of which can be ended before it is done."""

    slots, gpu = 1, False

    def share(self, sheet: Sheet) -> Sheet:
        """The sheet itself."""
        return sheet

    def run(self, jobs: Sequence[Job], left: Callable[[], float], heard: Callable[[Outcome], None]) -> None:
        """As :meth:`Workers.run`."""
        for job in jobs:
            reason = _unaffordable(job, left())
            heard(Outcome(job, "skipped", reason=reason) if reason else measure(job, job.table))


class Workers:
    """Processes of a Ray; :func:`hired` makes them."""

    def __init__(self, notes: Path, plugins: Sequence[str], workers: int | None, *, local: bool):
        found = ray.cluster_resources()
        self.gpu = found.get("GPU", 0.0) > 0
        self.slots = max(1, min(int(found.get("CPU", 1)), workers or sys.maxsize))
        memory_mb = MEMORY_SHARE * free_memory("cpu") / 2**20
        if local:
            self.slots = max(1, min(self.slots, int(memory_mb / WORKER_MB)))
        self._common = {
            "plugins": packed(plugins),
            "working_directory": str(Path.cwd()),
            "memory_mb": memory_mb / self.slots if local else None,
        }
        decorate: Any = ray.remote(num_cpus=1, max_retries=0, max_calls=0)
        self._remote = decorate(work)
        self._notes = notes

    def warm(self) -> None:
        """Wait until there are workers, for which imports take seconds."""
        ready: Any = ray.remote(num_cpus=1, max_retries=0)(warm)
        ray.wait([ready.remote() for _ in range(self.slots)], num_returns=self.slots, timeout=WARM_SECONDS)

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
        running: dict[Any, _Running] = {}
        while waiting or running:
            while waiting and len(running) < self.slots:
                job, seconds = waiting.popleft(), left()
                if reason := _unaffordable(job, seconds):
                    heard(Outcome(job, "skipped", reason=reason))
                else:
                    reference, started = self._start(job, seconds)
                    running[reference] = started
            if not running:
                continue
            soonest = min(fit.until for fit in running.values())
            ready, _ = ray.wait(list(running), num_returns=1, timeout=max(0.0, soonest - time.monotonic()))
            for reference in ready or [late for late, fit in running.items() if fit.overdue]:
                heard(_result(reference, running.pop(reference)))

    def _start(self, job: Job, left: float) -> tuple[Any, _Running]:
        accelerated = methods.info(job.candidate.method).accelerated
        on_gpu = self.gpu and accelerated and job.candidate.kwargs.get("device", "auto") != "cpu"
        options = {"num_gpus": GPU_SHARE} if on_gpu else {}
        allowed = min(left, max(FAIR * left, PATIENCE * (job.expected or 0.0)))
        note = self._notes / uuid.uuid4().hex
        plain = replace(job, table=None)
        # the worker ends itself, should the word to do so not reach it
        reference = self._remote.options(**options).remote(
            plain, job.table, deadline=allowed + GRACE_SECONDS, note=str(note), **self._common
        )
        began = time.monotonic()
        return reference, _Running(job, note, began, began + allowed)


@dataclass(frozen=True)
class _Running:
    job: Job
    note: Path
    began: float
    until: float

    @property
    def overdue(self) -> bool:
        return time.monotonic() >= self.until


def _result(reference: Any, fit: _Running) -> Outcome:
    job, overdue, took = fit.job, fit.overdue, time.monotonic() - fit.began
    if overdue:
        ray.cancel(reference, force=True)
    try:
        return replace(ray.get(reference, timeout=0 if overdue else None), job=job)
    except (RayError, TimeoutError) as error:
        # on another machine, the worker's note is out of reach
        noted = fit.note.read_text(encoding="utf-8", errors="replace") if fit.note.exists() else ""
        if noted.startswith(PAST_MEMORY):
            return Outcome(job, "out_of_memory", seconds=took, reason=noted.strip())
        if noted or overdue:
            reason = f"not done after {duration(took)}, the most that it could be given"
            return Outcome(job, "timeout", seconds=took, reason=reason)
        crashed = isinstance(error, WorkerCrashedError)
        reason = "its worker process died" if crashed else str(error).strip().splitlines()[-1]
        return Outcome(job, "failed", seconds=took, reason=reason)


Crew = Workers | Alone


@contextlib.contextmanager
def hired(
    workers: int | None = None, address: str | None = None, plugins: Sequence[str] = ()
) -> Iterator[Crew]:
    """A crew on the Ray cluster at the address, or on a Ray of our own; for no workers, this process.

    Raises
    ------
    RequestError
        If there is no cluster at the address, or Ray does not start.
    """
    if workers == 0:
        yield Alone()
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(connect(Resources(address=address, workers=workers)))
        notes = stack.enter_context(tempfile.TemporaryDirectory(prefix="lacuna-choice-"))
        crew = Workers(Path(notes), plugins, workers, local=address is None)
        crew.warm()
        yield crew


def _unaffordable(job: Job, left: float) -> str:
    """Why a job is not worth starting, or nothing."""
    if left < SHORTEST:
        return "no time was left for it"
    if job.expected is not None and job.expected > left:
        return f"a fit should take {duration(job.expected)}, and {duration(left)} of the budget were left"
    return ""
