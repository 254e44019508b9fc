"""Ray Tune runs the trials: in bundles, on reused workers, on fractions of CPUs and GPUs.

A Tune trial is a *bundle*: trials of one cell that differ in the mask seed alone, one of ours for each
``step()``. (One Tune trial for each of ours would cost tens of milliseconds on a reused worker and seconds on
a new one.) Each step commits its own record; a step whose record exists is skipped. The driver keeps no state
of its own: it schedules the plan less the records, until nothing is left or a round makes no progress.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import logging
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import methods
from orchestrator.record import Record, failure
from orchestrator.store import Store
from orchestrator.sweep import Sweep, cells
from orchestrator.trial import TrialSpec, run_trial

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")  # the records are the state; Tune's own is not read
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # its console output ignores verbose=0
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune
from ray._private import ray_constants
from ray.tune.execution.placement_groups import PlacementGroupFactory

MAX_ATTEMPTS = 3
"""How often a trial whose worker dies is started, in all."""
MAX_BUNDLE = 50
"""Trials in a bundle, at most."""
CONNECT_SECONDS = 10.0
"""How long a cluster may take to answer the first knock."""
GRACE_SECONDS = 2.0
"""What a trial gets on top of its deadline before its worker ends itself."""

Listener = Callable[[dict[str, Any]], None]
"""Called in the driver with the summary of each trial that ended."""


@dataclasses.dataclass(frozen=True)
class Resources:
    """What a sweep may use."""

    address: str | None = None
    """Address of a running Ray cluster, "auto" to find one; None starts one on this machine's loopback."""
    workers: int | None = None
    """CPUs of the local cluster: trials run at once; None for all."""


class Bundle(tune.Trainable):
    """Worker process: runs the trials of one bundle after another, one trial a step."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        return PlacementGroupFactory([config["bundle"]["resources"]])

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        bundle = new_config["bundle"]
        # as in the driver, so that relative paths and the data's whereabouts mean the same
        with contextlib.suppress(OSError):
            os.chdir(bundle["working_directory"])
        os.environ.update(bundle["environment"])
        for plugin in bundle["plugins"]:
            methods.load_plugin(plugin)
        self.store = Store(bundle["directory"])
        self.sweep: str = bundle["sweep"]
        self.deadline: float | None = bundle["deadline"]
        self.gpu_fraction: float = bundle["resources"].get("GPU", 0.0)
        done = self.store.keys()
        specs = [TrialSpec(**{**bundle["first"], "mask_seed": seed}) for seed in bundle["mask_seeds"]]
        self.todo = [spec for spec in specs if spec.key not in done]
        return True

    def step(self) -> dict[str, Any]:
        if not self.todo:
            return {"done": True}
        spec = self.todo.pop(0)
        record = self._run(spec)
        if not self.store.commit(record):
            logging.getLogger(__name__).warning("%s: an earlier record stands", spec.key)
        self.store.end(spec.key)
        return {"summary": record.summary(), "done": not self.todo}

    def _run(self, spec: TrialSpec) -> Record:
        stacks = self.store.overdue(spec.key)
        attempts = self.store.begin(spec.key)
        if stacks is not None:
            error = f"TimeoutError: stopped after {self.deadline:g} s; the stacks at that moment:\n\n{stacks}"
            return failure(spec, "timeout", error, sweep=self.sweep, attempts=attempts - 1)
        if attempts > MAX_ATTEMPTS:
            error = f"WorkerDied: the worker process died in each of {MAX_ATTEMPTS} attempts"
            return failure(spec, "failed", error, sweep=self.sweep, attempts=MAX_ATTEMPTS)
        with self._stopped_at_deadline(spec):
            return run_trial(
                spec, sweep=self.sweep, threads=1, gpu_fraction=self.gpu_fraction, attempts=attempts
            )

    @contextlib.contextmanager
    def _stopped_at_deadline(self, spec: TrialSpec) -> Iterator[None]:
        """End this process if the body outlasts the deadline, even while it holds the interpreter's lock.

        The stacks go to a file; the next attempt finds it and records the timeout.
        """
        if self.deadline is None:
            yield
            return
        with self.store.trace(spec.key).open("wb") as file:
            faulthandler.dump_traceback_later(self.deadline + GRACE_SECONDS, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()


class _Relay(tune.Callback):
    """Hands summaries to the listener of the running sweep; holds no state, since Tune copies callbacks."""

    listener: Listener | None = None

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        if _Relay.listener is None or not result.get("summary"):
            return
        try:
            _Relay.listener(result["summary"])
        except Exception:
            # the records are written: what only shows them must not end the sweep
            logging.getLogger(__name__).exception("the progress display failed")


def run(
    sweep: Sweep,
    trials: Sequence[TrialSpec],
    store: Store,
    *,
    resources: Resources = Resources(),
    plugins: Sequence[str] = (),
    listener: Listener | None = None,
) -> None:
    """Run trials until each has its record.

    Parameters
    ----------
    sweep
        Gives the name, deadline and GPU fraction.
    trials
        The plan. Trials that have a record in `store` are left out.
    store
        A prepared results folder, which every node must reach under the same path.
    resources
        Where to run.
    plugins
        Files that define further methods.
    listener
        Called in this process as trials end.

    Raises
    ------
    ConnectionError
        If there is no cluster at the address.
    """
    with _cluster(resources):
        _Relay.listener = listener
        store.forget_attempts(spec.key for spec in trials)
        try:
            _until_done(sweep, trials, store, plugins)
        finally:
            _Relay.listener = None


def _until_done(sweep: Sweep, trials: Sequence[TrialSpec], store: Store, plugins: Sequence[str]) -> None:
    todo = _missing(trials, store)
    while todo:
        trouble = _one_round(sweep, todo, store, plugins)
        left = _missing(todo, store)
        if len(left) == len(todo):
            for spec in left:
                attempts = store.attempts(spec.key)
                store.commit(failure(spec, "failed", trouble, sweep=sweep.name, attempts=attempts))
                store.end(spec.key)
            return
        todo = left


def _one_round(sweep: Sweep, todo: list[TrialSpec], store: Store, plugins: Sequence[str]) -> str:
    """Schedule every trial of `todo` once; returns what went wrong with the scheduling, if anything."""
    cluster = ray.cluster_resources()
    slots = max(1, int(cluster.get("CPU", 1)))
    gpu_fraction = sweep.gpu_fraction if cluster.get("GPU", 0) > 0 else 0.0
    bundles = [
        {
            "first": dataclasses.asdict(specs[0]),
            "mask_seeds": [spec.mask_seed for spec in specs],
            "directory": str(store.directory.resolve()),
            "sweep": sweep.name,
            "deadline": sweep.deadline,
            "plugins": list(plugins),
            "working_directory": str(Path.cwd()),
            "environment": {key: value for key, value in os.environ.items() if key.startswith("LACUNA_")},
            "resources": _request(specs[0].method, gpu_fraction),
        }
        for specs in bundle(todo, slots)
    ]
    scratch = Path(tempfile.mkdtemp(prefix="lacuna-tune-"))
    try:
        tuner = tune.Tuner(
            Bundle,
            param_space={"bundle": tune.grid_search(bundles)},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                name=sweep.name,
                storage_path=str(scratch),
                verbose=0,
                log_to_file=False,
                callbacks=[_Relay()],
                failure_config=tune.FailureConfig(max_failures=MAX_ATTEMPTS),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        results = tuner.fit()
        errors = [str(error).strip().splitlines()[-1] for error in results.errors]
        return "SchedulingError: " + (errors[0] if errors else "the trial was never run")
    except RuntimeError as error:
        # Ray's memory monitor ends a whole fit() this way; what is missing is scheduled again
        return f"SchedulingError: {error}"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def bundle(trials: Sequence[TrialSpec], slots: int) -> list[list[TrialSpec]]:
    """Group trials for scheduling: by cell, in chunks that leave every slot several, the heaviest first."""
    size = max(1, min(MAX_BUNDLE, math.ceil(len(trials) / (4 * slots))))
    chunks = [
        specs[start : start + size]
        for specs in cells(trials).values()
        for start in range(0, len(specs), size)
    ]
    return sorted(chunks, key=lambda specs: not methods.info(specs[0].method).accelerated)


def _missing(trials: Sequence[TrialSpec], store: Store) -> list[TrialSpec]:
    done = store.keys()
    return [spec for spec in trials if spec.key not in done]


def _request(method: str, gpu_fraction: float) -> dict[str, float]:
    """What a trial of a method asks of the cluster; `gpu_fraction` is 0 where there is no GPU."""
    if methods.info(method).accelerated and gpu_fraction:
        return {"CPU": 1, "GPU": gpu_fraction}
    return {"CPU": 1}


@contextlib.contextmanager
def _cluster(resources: Resources) -> Iterator[None]:
    """A Ray cluster for the body: the one at the address, or one of our own on loopback, ended afterwards."""
    if resources.address is not None:
        _require_reachable(resources.address)
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    expects_cluster = ray_constants.ENABLE_RAY_CLUSTER
    if resources.address is not None:
        ray.init(address=resources.address, **quiet)
    else:
        # the switch by which Ray keeps to loopback where it does not expect a cluster
        ray_constants.ENABLE_RAY_CLUSTER = False
        ray.init(
            address="local",
            num_cpus=resources.workers,
            include_dashboard=False,
            object_store_memory=128 * 2**20,
            **quiet,
        )
    try:
        yield
    finally:
        ray.shutdown()
        ray_constants.ENABLE_RAY_CLUSTER = expects_cluster


def _require_reachable(address: str) -> None:
    """Raise ConnectionError if nothing listens at host:port; Ray itself would try for many minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        return  # "auto" and the like: Ray answers at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ConnectionError(f"{host}:{port} cannot be reached ({error})") from error
