"""Ray Tune runs the trials: in bundles, on reused workers, on fractions of CPUs and GPUs.

A Tune trial is a *bundle*: trials of one cell that differ in the mask seed alone, one of ours for each
``step()``. (One Tune trial for each of ours would cost tens of milliseconds on a reused worker and seconds on
a new one.) Each step commits its own record; a step whose record exists is skipped. The driver keeps no state
of its own: it schedules the plan less the records, until nothing is left or rounds make no progress.

How large a bundle is says `orchestrator.bundles`, what it asks for `placement`, which one is next `dispatch`;
`worker` runs it within its `limits`; `cluster` and `preflight` see to it that there is something to run on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import preflight, worker
from orchestrator.bundles import Ledger, bundle
from orchestrator.cluster import ClusterLostError, Resources, connect, potential
from orchestrator.dispatch import Dispatcher, Relay
from orchestrator.placement import (
    Capacity,
    Demand,
    Gpu,
    capacity,
    demand,
    needed_gpu_mb,
    ray_bundle,
)
from orchestrator.plugins import packed
from orchestrator.raylib import ray, tune
from orchestrator.record import failure
from orchestrator.store import Store
from orchestrator.sweep import RequestError, Sweep
from orchestrator.trial import TrialSpec
from orchestrator.worker import MAX_ATTEMPTS, Bundle

__all__ = ["MAX_ATTEMPTS", "ClusterLostError", "Resources", "bundle", "connect", "run"]

MAX_ROUND = 2000
"""Bundles of a round, at most: Tune keeps some 45 KB of each in memory until the round ends."""
STALLED_ROUNDS = 2
"""After so many rounds in a row without a single record, what they tried is given up."""

_HERE = Resources()
Listener = Callable[[dict[str, Any]], None]
"""Called in the driver with the summary of each trial that ended."""


def run(
    sweep: Sweep,
    trials: Sequence[TrialSpec],
    store: Store,
    *,
    resources: Resources = _HERE,
    plugins: Sequence[str] = (),
    recorded: Iterable[Mapping[str, Any]] = (),
    listener: Listener | None = None,
) -> None:
    """Run trials until each has its record.

    Parameters
    ----------
    sweep
        Gives the name, deadline, memory limit and GPU fraction.
    trials
        The plan. Trials that have a record in `store` are left out.
    store
        A prepared results folder, which every node must reach under the same path.
    resources
        Where to run.
    plugins
        Files that define further methods.
    recorded
        Rows of records: what those trials took sizes the bundles and the shares of a GPU.
    listener
        Called in this process as trials end.

    Raises
    ------
    RequestError
        If there is no cluster at the address or a node of it cannot run the sweep; nothing was started.
    ClusterLostError
        If the head of the cluster is lost meanwhile.
    """
    if sweep.memory_limit is not None and not Path("/proc/self/statm").exists():
        raise RequestError("memory_limit needs Linux, which says what a process holds: leave it out here")
    with connect(resources):
        gpus = _inspect(sweep, trials, store, resources)
        store.forget_attempts(spec.key for spec in trials)
        Relay.listener = listener
        try:
            _Rounds(sweep, store, plugins, gpus, Ledger(recorded)).until_done(trials)
        finally:
            Relay.listener = None


def _inspect(sweep: Sweep, trials: Sequence[TrialSpec], store: Store, resources: Resources) -> list[Gpu]:
    """The kinds of GPU that there are; of a cluster, after a look at each of its nodes."""
    if resources.address is None:
        return [Gpu(preflight.ray_name(name), memory) for name, memory in sorted(set(preflight.gpus()))]
    return preflight.check(store, {spec.dataset: spec.fingerprint for spec in trials})


class _Rounds:
    """Calls of Tune, one after another, until every trial has its record."""

    def __init__(
        self, sweep: Sweep, store: Store, plugins: Sequence[str], gpus: Sequence[Gpu], ledger: Ledger
    ):
        self.sweep, self.store, self.gpus, self.ledger = sweep, store, gpus, ledger
        self.common = {
            "store": store.location,
            "sweep": sweep.name,
            "deadline": sweep.deadline,
            "memory_limit": sweep.memory_limit,
            "plugins": packed(plugins),
            "working_directory": str(Path.cwd()),
            "environment": {key: value for key, value in os.environ.items() if key.startswith("LACUNA_")},
        }

    def until_done(self, trials: Sequence[TrialSpec]) -> None:
        todo = self._missing(trials)
        lonely: set[str] = set()
        stalled = 0
        while todo:
            beside = [spec for spec in todo if spec.key not in lonely]
            dispatcher, trouble = self._round(beside or todo, alone=not beside)
            left = self._missing(todo)
            progress = len(left) < len(todo) or not dispatcher.out_of_memory <= lonely
            lonely |= dispatcher.out_of_memory
            stalled = 0 if progress else stalled + 1
            if stalled:
                self.store.prepare()  # a full disk is no fault of the trials
            if stalled == STALLED_ROUNDS:
                self._give_up(dispatcher.handed or left, trouble)
                left, stalled = self._missing(left), 0
            todo = left

    def _round(self, trials: list[TrialSpec], *, alone: bool) -> tuple[Dispatcher, str]:
        """Schedule each of `trials` once; says what went wrong with the scheduling, if anything.

        `alone`: one at a time on a whole machine, or a whole GPU where it needs one.
        """

        def ask(spec: TrialSpec) -> Demand:
            needed = needed_gpu_mb(spec, self.ledger.peak_gpu_mb(spec)) if self.gpus else None
            what = demand(spec, self.gpus, fraction=self.sweep.gpu_fraction, needed_mb=needed)
            return _whole(what, look()) if alone else what

        def look() -> Capacity:
            return capacity(ray.nodes(), potential())

        def describe(
            specs: list[TrialSpec], what: Demand, selector: Mapping[str, str] | None
        ) -> dict[str, Any]:
            single = alone or look().cpus <= 1
            return worker.describe(specs, ray_bundle(what), selector, alone=single, **self.common)

        dispatcher = Dispatcher(trials, self.ledger, look=look, ask=ask, describe=describe, most=MAX_ROUND)
        scratch = Path(tempfile.mkdtemp(prefix="lacuna-tune-"))
        tuner = tune.Tuner(
            Bundle,
            tune_config=tune.TuneConfig(
                search_alg=dispatcher,
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=_directory_name,
            ),
            run_config=tune.RunConfig(
                name=self.sweep.name,
                storage_path=str(scratch),
                verbose=0,
                log_to_file=False,
                callbacks=[Relay()],
                failure_config=tune.FailureConfig(max_failures=MAX_ATTEMPTS),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        try:
            with _as_many_as_handed_out():
                results = tuner.fit()
            errors = [str(error).strip().splitlines()[-1] for error in results.errors]
            return dispatcher, "SchedulingError: " + (errors[0] if errors else "the trial was never run")
        except RuntimeError as error:
            # Ray's memory monitor ends a whole fit() this way; what is missing is scheduled again
            return dispatcher, f"SchedulingError: {error}"
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _give_up(self, trials: Sequence[TrialSpec], trouble: str) -> None:
        for spec in self._missing(trials):
            attempts = self.store.attempts(spec.key)
            self.store.commit(failure(spec, "failed", trouble, sweep=self.sweep.name, attempts=attempts))
            self.store.end(spec.key)

    def _missing(self, trials: Sequence[TrialSpec]) -> list[TrialSpec]:
        done = self.store.keys()
        return [spec for spec in trials if spec.key not in done]


def _whole(what: Demand, has: Capacity) -> Demand:
    """All of the device that a trial computes on: the GPU, or the largest machine."""
    if what.gpus and has.gpus:
        return Demand(gpus=max(1.0, what.gpus), gpu_name=what.gpu_name)
    return Demand(cpus=max((node.cpus for node in has.nodes), default=1.0))


def _directory_name(trial: Any) -> str:
    return trial.trial_id


@contextlib.contextmanager
def _as_many_as_handed_out() -> Iterator[None]:
    """Let Tune wait for the resources of every bundle that it was handed, not only of one."""
    name = "TUNE_MAX_PENDING_TRIALS_PG"
    before = os.environ.get(name)
    os.environ[name] = str(10 * MAX_ROUND)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
