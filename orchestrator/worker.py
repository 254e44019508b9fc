"""The worker process: runs the trials of a bundle one after another, and commits each record itself."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from ray.tune.execution.placement_groups import PlacementGroupFactory

from orchestrator import chaos, plugins
from orchestrator.bundles import PATIENCE_SECONDS, Ledger
from orchestrator.limits import PAST_MEMORY, MemoryWatch, stopped_at_deadline, stopped_past_memory
from orchestrator.raylib import tune
from orchestrator.record import Record, failure
from orchestrator.store import Store, takes_no_more
from orchestrator.trial import TrialSpec, run_trial

MAX_ATTEMPTS = 3
"""How often a trial whose worker dies is started, in all."""


class Bundle(tune.Trainable):
    """Tune trial: one of our trials for each ``step()``.

    A trial that ran out of memory is not recorded but named in the result, for the driver to have it run once
    more, alone on its device; what comes of that is its record.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        bundle = config["bundle"]
        selector = bundle["selector"]
        where: dict[str, Any] = {"bundle_label_selector": [selector]} if selector else {}
        return PlacementGroupFactory([bundle["resources"]], **where)

    def setup(self, config: dict[str, Any]) -> None:
        self.watch: MemoryWatch | None = None
        self.store = Store(config["bundle"]["store"])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        bundle = new_config["bundle"]
        # as in the driver, so that relative paths and the data's whereabouts mean the same
        with contextlib.suppress(OSError):
            os.chdir(bundle["working_directory"])
        os.environ.update(bundle["environment"])
        plugins.unpack(bundle["plugins"])
        if self.store.location != bundle["store"]:
            self.store = Store(bundle["store"])
        # beside an object store, each machine keeps its own attempts
        self.store.running.mkdir(parents=True, exist_ok=True)
        self.sweep: str = bundle["sweep"]
        self.deadline: float | None = bundle["deadline"]
        self.alone: bool = bundle["alone"]
        self.gpu_fraction: float = bundle["resources"].get("GPU", 0.0)
        self._watch_memory(bundle["memory_limit"])
        done = self.store.keys()
        specs = [TrialSpec(**{**bundle["first"], "mask_seed": seed}) for seed in bundle["mask_seeds"]]
        self.todo = [spec for spec in specs if spec.key not in done]
        self.began = time.monotonic()
        return True

    def step(self) -> dict[str, Any]:
        if not self.todo:
            return {"done": True}
        try:
            return self._step(self.todo.pop(0))
        except OSError as error:
            if not takes_no_more(error):
                raise
            # on a full disk nothing goes on; the driver sees that nothing did, looks for itself and says so
            return {"done": True}

    def _step(self, spec: TrialSpec) -> dict[str, Any]:
        record = self._attempt(spec)
        result: dict[str, Any] = {}
        if record is None:
            result["out_of_memory"] = spec.key
        else:
            if not self.store.commit(record):
                logging.getLogger(__name__).warning("%s: an earlier record stands", spec.key)
            self.store.end(spec.key)
            learned = [{name: row[name] for name in Ledger.LEARNED} for row in record.rows]
            result |= {"summary": record.summary(), "learned": learned}
        if time.monotonic() - self.began > PATIENCE_SECONDS:
            result["handed_back"] = [later.key for later in self.todo]
            self.todo = []
        return {**result, "done": not self.todo}

    def cleanup(self) -> None:
        if self.watch is not None:
            self.watch.close()

    def _attempt(self, spec: TrialSpec) -> Record | None:
        """The record of a trial; None if it ran out of memory beside others."""
        note = self.store.overdue(spec.key)
        if note is not None and note.startswith(PAST_MEMORY) and not self.alone:
            self.store.trace(spec.key).unlink(missing_ok=True)
            return None
        attempts = self.store.begin(spec.key)
        if note is not None:
            if note.startswith(PAST_MEMORY):
                status, error = "out_of_memory", f"MemoryError: {note.strip()}"
            else:
                status = "timeout"
                error = f"TimeoutError: stopped after {self.deadline} s; the stacks at that moment:\n\n{note}"
            return failure(spec, status, error, sweep=self.sweep, attempts=attempts - 1)  # type: ignore[arg-type]
        if attempts > MAX_ATTEMPTS:
            error = f"WorkerDied: the worker process died in each of {MAX_ATTEMPTS} attempts"
            return failure(spec, "failed", error, sweep=self.sweep, attempts=MAX_ATTEMPTS)
        trace = self.store.trace(spec.key)
        with (
            stopped_at_deadline(self.deadline, trace),
            stopped_past_memory(self.watch, trace),
            chaos.struck(spec.key, attempts, last=MAX_ATTEMPTS),
        ):
            record = run_trial(
                spec, sweep=self.sweep, threads=1, gpu_fraction=self.gpu_fraction, attempts=attempts
            )
        return record if record.status != "out_of_memory" or self.alone else None

    def _watch_memory(self, limit_mb: float | None) -> None:
        if self.watch is not None and self.watch.limit_mb != limit_mb:
            self.watch.close()
            self.watch = None
        if self.watch is None and limit_mb is not None:
            self.watch = MemoryWatch(limit_mb)


def describe(
    specs: list[TrialSpec], resources: Mapping[str, float], selector: Mapping[str, str] | None, **common: Any
) -> dict[str, Any]:
    """The configuration of a :class:`Bundle`, as plain data."""
    return {
        "first": dataclasses.asdict(specs[0]),
        "mask_seeds": [spec.mask_seed for spec in specs],
        "resources": dict(resources),
        "selector": dict(selector) if selector else None,
        **common,
    }
