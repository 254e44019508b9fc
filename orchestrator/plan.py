"""What a sweep would do and what that should cost, before anything is started."""

from __future__ import annotations

import functools
import heapq
import math
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.markup import escape

import datasets
import methods
from orchestrator.bundles import bundle
from orchestrator.cost import Basis, Costs, Expectation
from orchestrator.history import one_a_trial, recorded
from orchestrator.placement import GPU_SHARE
from orchestrator.progress import duration
from orchestrator.sweep import RequestError, Sweep
from orchestrator.trial import TrialSpec
from orchestrator.typical import expected_seconds

SHOWN = 8
"""Methods of unknown cost that are named; the rest is counted."""
_BASES: tuple[tuple[Basis, str], ...] = (
    ("scaled", "by the size of their table"),
    ("typical", "by what their methods typically take"),
)


@dataclass(frozen=True)
class Work:
    """What some trials should take together."""

    seconds: float
    """Of one thread, over the trials whose cost is known."""
    known: int
    by_basis: Mapping[Basis, int]
    """How many of the known ones rest on what."""
    unknown: Mapping[str, int]
    """Trials that nothing tells the cost of, by method."""

    def text(self) -> str:
        """In words: a number where there is one, "unknown" where there is none."""
        unknown = sum(self.unknown.values())
        if not self.known:
            return "unknown" if unknown else "no work"
        told = f"{duration(self.seconds)} of work"
        bases = [f"{self.by_basis[basis]} trials {how}" for basis, how in _BASES if self.by_basis.get(basis)]
        if bases:
            told += f" ({', '.join(bases)})"
        return f"{told}, and {unknown} trials of unknown cost" if unknown else told


def expected_work(trials: Sequence[TrialSpec], costs: Costs, *, gpu: bool = False) -> Work:
    """What `trials` should take; `gpu` says whether there is one for the methods that gain from it."""
    seconds, by_basis, unknown = 0.0, Counter[Basis](), Counter[str]()
    for spec in trials:
        expected = expected_trial(spec, costs, gpu=gpu)
        if expected is None:
            unknown[spec.method] += 1
            continue
        seconds += expected.seconds
        by_basis[expected.basis] += 1
    return Work(seconds, by_basis.total(), by_basis, unknown)


def expected_trial(spec: TrialSpec, costs: Costs, *, gpu: bool = False) -> Expectation | None:
    """What one trial should take: by what was recorded, else by what its method typically takes on a CPU."""
    size = table_size(spec.dataset)
    if size is None:
        return None
    accelerated = methods.info(spec.method).accelerated
    device = ("cuda" if gpu else "cpu") if accelerated else None
    expected = costs.expect(spec.method, *size, params=spec.params, device=device)
    if expected is not None or device == "cuda":
        return expected
    typical = expected_seconds(spec.method, size[0] * size[1])
    return None if typical is None else Expectation(typical, "typical")


@functools.cache
def table_size(dataset: str) -> tuple[int, int] | None:
    """Rows and columns of a table, from the catalog where it has them."""
    info = datasets.info(dataset)
    if info.rows is not None and info.numeric is not None and info.categorical is not None:
        return info.rows, info.numeric + info.categorical
    if dataset in datasets.names():
        return None
    rows, columns = datasets.load(dataset).frame.shape
    return rows, columns


def makespan(jobs: Sequence[tuple[float, bool]], workers: int, gpu_workers: int) -> float:
    """Seconds until the last of `jobs` ends, each on the first worker that is free, in their order.

    Parameters
    ----------
    jobs
        (seconds, whether it needs a share of a GPU) of each.
    workers
        Jobs at once.
    gpu_workers
        How many of the workers have a share of a GPU; the others take no job that needs one.

    Examples
    --------
    >>> makespan([(3.0, False), (2.0, False), (2.0, False)], workers=2, gpu_workers=0)
    4.0
    >>> makespan([(3.0, True), (3.0, True), (1.0, False)], workers=2, gpu_workers=1)
    6.0
    """
    gpu_workers = min(gpu_workers, workers)
    with_gpu, without = [0.0] * gpu_workers, [0.0] * (workers - gpu_workers)
    for seconds, needs_gpu in jobs:
        free = with_gpu if needs_gpu or not without or (with_gpu and with_gpu[0] < without[0]) else without
        if not free:
            raise ValueError("a job needs a share of a GPU and no worker has one: gpu_workers=0")
        heapq.heapreplace(free, free[0] + seconds)
    return max([*with_gpu, *without])


def count_gpus() -> int:
    """NVIDIA GPUs of this machine."""
    if shutil.which("nvidia-smi") is None:
        return 0
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())


def grid_text(sweep: Sweep, planned: int, recorded_already: int) -> str:
    """The axes of the grid and how many trials they make, as markup."""
    axes = {
        "dataset": sweep.datasets,
        "mechanism": sweep.mechanisms,
        "ratio": sweep.ratios,
        "mask seed": sweep.mask_seeds,
        "method": [variant for method in sweep.methods for variant in sweep.variants(method)],
    }
    grid = " x ".join(
        f"{len(values)} {name}{'s' if len(values) > 1 else ''}" for name, values in axes.items()
    )
    kept = f", {recorded_already} of them recorded already" if recorded_already else ""
    return f"[bold]{escape(sweep.name)}[/bold]: {grid} = {planned} trials{kept}"


def print_plan(
    sweep: Sweep,
    directory: Path,
    console: Console,
    *,
    costs_from: Sequence[Path] = (),
    workers: int | None = None,
    address: str | None = None,
    retry_failed: bool = False,
) -> None:
    """Print what a sweep would run and what that should cost. Starts and writes nothing.

    Parameters
    ----------
    sweep, directory
        The sweep and its results folder, which need not exist.
    console
        Where to print.
    costs_from
        Other results folders to learn costs from.
    workers, address, retry_failed
        As for the sweep itself.

    Raises
    ------
    RequestError
        If the sweep could not be run either, or a folder of `costs_from` holds no records.
    """
    _check(sweep)
    by_key = {spec.key: spec for spec in sweep.trials()}
    rows, complaints = recorded(directory)
    learned = [Costs.from_records(rows)]
    for folder in costs_from:
        elsewhere, troubles = recorded(folder)
        if elsewhere.empty:
            raise RequestError(f"--costs {str(folder)!r} holds no records: name a results folder")
        complaints += troubles
        learned.append(Costs.from_records(elsewhere))
    statuses = one_a_trial(rows)["status"]
    statuses = statuses[statuses.index.isin(by_key.keys())]
    failed = int(statuses.ne("ok").sum())
    kept = set(statuses[statuses.eq("ok")].index if retry_failed else statuses.index)
    todo = [spec for key, spec in by_key.items() if key not in kept]

    console.print(grid_text(sweep, len(by_key), len(kept)), soft_wrap=True)
    if failed:
        console.print(f"  {failed} recorded as failed: {'they run again' if retry_failed else 'they stay'}")
    for complaint in complaints:
        console.print(f"  [yellow]{escape(complaint)}[/yellow]", soft_wrap=True)
    console.print(f"  results: {escape(str(directory))}", soft_wrap=True)
    console.print(f"  to run: {len(todo)} trials")
    if todo:
        costs = functools.reduce(Costs.otherwise, learned)
        _print_cost(sweep, todo, costs, console, workers=workers, address=address)
    console.print("nothing was started and nothing written (--dry-run)")


def _check(sweep: Sweep) -> None:
    """Build each method once and look at each table, fetching none."""
    try:
        for method in sweep.methods:
            for variant in sweep.variants(method):
                methods.build(method, **variant)
        for dataset in sweep.datasets:
            table_size(dataset)
    except (ValueError, ImportError, OSError, datasets.FetchError) as error:
        raise RequestError(str(error)) from error


def _print_cost(
    sweep: Sweep,
    todo: Sequence[TrialSpec],
    costs: Costs,
    console: Console,
    *,
    workers: int | None,
    address: str | None,
) -> None:
    gpus = count_gpus() if address is None else 0
    cpus = workers or (psutil.cpu_count() or 1 if address is None else None)

    def seconds_of(spec: TrialSpec) -> float | None:
        expected = expected_trial(spec, costs, gpu=gpus > 0)
        return expected.seconds if expected else None

    bundles = bundle(todo, cpus or 1, seconds_of)
    work = expected_work(todo, costs, gpu=gpus > 0)
    where = f"on the cluster at {address}" if address else f"on {cpus} CPUs of this machine"
    console.print(f"  resources: {where}; 1 CPU a trial{_gpu_text(sweep, gpus)}", soft_wrap=True)
    if cpus:
        console.print(
            f"  bundles: {len(bundles)}, of {_range([len(specs) for specs in bundles])} trials each"
        )
    console.print(f"  expected work: {work.text()}", soft_wrap=True)
    if work.unknown:
        named = [f"{method} ({count})" for method, count in sorted(work.unknown.items())]
        rest = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        console.print(
            f"    unknown: {', '.join(named[:SHOWN])}{rest}; --costs DIR takes the cost from other results",
            soft_wrap=True,
        )
    if not work.known:
        console.print("  expected time: unknown")
    elif cpus is None:
        console.print("  expected time: unknown without --workers: the cluster was not asked for its CPUs")
    else:
        jobs = [_job(specs, costs, gpus > 0) for specs in bundles]
        gpu_workers = math.floor(gpus / (sweep.gpu_fraction or GPU_SHARE)) if gpus else 0
        seconds = makespan(jobs, cpus, gpu_workers)
        least = "at least " if work.unknown else ""
        console.print(f"  expected time: {least}{duration(seconds)} on {cpus} workers, once Ray has started")


def _job(specs: Sequence[TrialSpec], costs: Costs, gpu: bool) -> tuple[float, bool]:
    return expected_work(specs, costs, gpu=gpu).seconds, gpu and methods.info(specs[0].method).accelerated


def _gpu_text(sweep: Sweep, gpus: int) -> str:
    accelerated = [name for name in sweep.methods if methods.info(name).accelerated]
    if not accelerated:
        return ""
    if not gpus:
        return "; no GPU seen from here"
    share = f"{sweep.gpu_fraction:g}" if sweep.gpu_fraction else "a share by memory"
    return f", {share} of {gpus} GPUs for {', '.join(accelerated)}"


def _range(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"
