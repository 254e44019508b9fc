"""Ray Tune runs a search: Optuna proposes configurations, ASHA drops those that fall behind.

A Tune trial is a configuration, one fold for each ``step()``. What Tune is told after a fold is the mean loss
over the folds so far; since the folds are the same for all, ASHA compares like with like. A dropped
configuration is told to Optuna as pruned, with what it had reached.

The rows are the only state. When a search goes on, the configurations with rows are handed out first, in
their order; their folds are read instead of run, and Optuna and ASHA learn from them as they did at first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from orchestrator import preflight
from orchestrator.cluster import ClusterLostError, Resources, connect
from orchestrator.fold import FoldSpec, FoldStore, fold_record, run_fold
from orchestrator.limits import stopped_at_deadline
from orchestrator.placement import GPU_SHARE, wants_gpu
from orchestrator.plugins import packed, unpack
from orchestrator.proposer import Listener, Proposer
from orchestrator.raylib import ray, tune
from orchestrator.record import Record
from orchestrator.search import Search
from orchestrator.trial import TrialSpec
from orchestrator.worker import MAX_ATTEMPTS

__all__ = ["ClusterLostError", "Resources", "run"]

HALVING = 2
"""After 1, 2, 4, ... folds only the better half goes on."""
STALLED_ROUNDS = 2


class Configuration(tune.Trainable):
    """Worker process: runs the folds of one configuration after another, one fold a step."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        return PlacementGroupFactory([config["configuration"]["resources"]])

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        given = new_config["configuration"]
        # as in the driver, so that relative paths and the data's whereabouts mean the same
        with contextlib.suppress(OSError):
            os.chdir(given["working_directory"])
        os.environ.update(given["environment"])
        unpack(given["plugins"])
        self.store = FoldStore(given["directory"])
        self.deadline: float | None = given["deadline"]
        self.folds = [FoldSpec(**{**fold, "trial": TrialSpec(**fold["trial"])}) for fold in given["folds"]]
        self.losses: list[float] = []
        return True

    def step(self) -> dict[str, Any]:
        fold = self.folds[len(self.losses)]
        row = self.store.row(fold.key) or self._run(fold)
        if row["status"] != "ok":
            error = (row["error"] or "").partition("\n")[0]
            # not a number: neither ASHA nor Optuna shall learn a loss from it
            return {
                "loss": math.nan,
                "folds": len(self.losses),
                "failure": error or row["status"],
                "done": True,
            }
        self.losses.append(row["loss"])
        following = self.folds[len(self.losses)] if len(self.losses) < len(self.folds) else None
        dropped = following and self.store.row(following.key)
        done = following is None or bool(dropped and dropped["status"] == "stopped")
        return {"loss": float(np.mean(self.losses)), "folds": len(self.losses), "done": done}

    def _run(self, fold: FoldSpec) -> Mapping[str, Any]:
        record = self._attempt(fold)
        self.store.commit(record)
        self.store.end(fold.key)
        return self.store.row(fold.key) or record.rows[0]

    def _attempt(self, fold: FoldSpec) -> Record:
        stacks = self.store.overdue(fold.key)
        attempts = self.store.begin(fold.key)
        if stacks is not None:
            error = f"TimeoutError: stopped after {self.deadline} s; the stacks at that moment:\n\n{stacks}"
            return fold_record(fold, status="timeout", error=error, attempts=attempts - 1)
        if attempts > MAX_ATTEMPTS:
            error = f"WorkerDied: the worker process died in each of {MAX_ATTEMPTS} attempts"
            return fold_record(fold, status="failed", error=error, attempts=MAX_ATTEMPTS)
        with stopped_at_deadline(self.deadline, self.store.trace(fold.key)):
            return run_fold(fold, attempts=attempts)


class _SparesTheDefault(ASHAScheduler):
    """ASHA that lets the default configuration run all its folds: the others are compared with it."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = super().on_trial_result(tune_controller, trial, result)
        return TrialScheduler.CONTINUE if trial.config["configuration"]["number"] == 0 else decision


def run(
    search: Search,
    store: FoldStore,
    *,
    resources: Resources,
    plugins: Sequence[str] = (),
    listener: Listener | None = None,
) -> str | None:
    """Run a search until as many configurations as it wants have ended.

    Returns
    -------
    str or None
        What went wrong, if it could not be finished.

    Raises
    ------
    RequestError
        If there is no cluster at the address or a node of it cannot run the search; nothing was started.
    ClusterLostError
        If the head of the cluster is lost meanwhile.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with connect(resources), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if resources.address is not None:
            task = search.grid.trials()[0]
            preflight.check(store, {task.dataset: task.fingerprint})
        store.forget_attempts([path.stem for path in store.running.glob("*.attempts")])
        Proposer.listener = listener
        try:
            return _until_done(search, store, plugins)
        finally:
            Proposer.listener = None


def _until_done(search: Search, store: FoldStore, plugins: Sequence[str]) -> str | None:
    stalled, rows = 0, len(store.keys())
    while True:
        trouble = _one_round(search, store, plugins)
        ended = sum(done for _, done in store.configurations(search.folds).values())
        if ended >= search.wanted:
            return None
        progress, rows = len(store.keys()) > rows, len(store.keys())
        stalled = 0 if progress else stalled + 1
        if stalled == STALLED_ROUNDS:
            return trouble


def _one_round(search: Search, store: FoldStore, plugins: Sequence[str]) -> str:
    """Hand out every configuration once; says what went wrong with the scheduling, if anything."""
    cluster = ray.cluster_resources()
    asked = {"CPU": 1.0}
    slots = int(cluster.get("CPU", 1))
    on_gpu = wants_gpu(search.folds_of(0, search.default)[0].trial)
    if on_gpu and cluster.get("GPU", 0):
        asked["GPU"] = search.grid.gpu_fraction or GPU_SHARE
        slots = min(slots, int(cluster["GPU"] / asked["GPU"]))
    common = {
        "directory": str(store.directory.resolve()),
        "deadline": search.grid.deadline,
        "plugins": packed(plugins),
        "working_directory": str(Path.cwd()),
        "environment": {key: value for key, value in os.environ.items() if key.startswith("LACUNA_")},
        "resources": asked,
    }

    def describe(folds: list[FoldSpec]) -> dict[str, Any]:
        return {**common, "folds": [dataclasses.asdict(fold) for fold in folds]}

    scratch = Path(tempfile.mkdtemp(prefix="lacuna-tune-"))
    tuner = tune.Tuner(
        Configuration,
        tune_config=tune.TuneConfig(
            search_alg=Proposer(search, store, max(slots, 1), describe),
            scheduler=_SparesTheDefault(
                time_attr="folds", metric="loss", mode="min", max_t=search.folds, reduction_factor=HALVING
            ),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=_directory_name,
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(scratch),
            verbose=0,
            log_to_file=False,
            failure_config=tune.FailureConfig(max_failures=MAX_ATTEMPTS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        results = tuner.fit()
        errors = [str(error).strip().splitlines()[-1] for error in results.errors]
        return "SchedulingError: " + (errors[0] if errors else "a configuration was never run")
    except RuntimeError as error:
        # Ray's memory monitor ends a whole fit() this way; what is missing is scheduled again
        return f"SchedulingError: {error}"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _directory_name(trial: Any) -> str:
    return trial.trial_id
