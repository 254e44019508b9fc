"""What the verbs do: from a request to records, a report and an exit status."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.markup import escape

import analysis
import datasets
import methods
from orchestrator.progress import Progress, duration
from orchestrator.record import versions
from orchestrator.store import Store, write_json
from orchestrator.sweep import RequestError, Sweep
from orchestrator.trial import TrialSpec


@dataclass(frozen=True)
class Request:
    """A sweep and how to run it."""

    sweep: Sweep
    directory: Path | None = None
    """Results folder; by default ``results/<name of the sweep>``."""
    address: str | None = None
    workers: int | None = None
    retry_failed: bool = False
    plugins: Sequence[str] = ()
    command: str = ""
    """The command line, for the report."""


def run(request: Request, console: Console) -> int:
    """Run what has no record yet, write the report and print it.

    Returns
    -------
    int
        0 if every trial has a good record, 1 if some failed, 130 if interrupted.

    Raises
    ------
    RequestError
        If the request cannot be carried out; nothing was run.
    """
    sweep = request.sweep
    store = Store(request.directory or Path("results") / sweep.name)
    sweep.check()
    _prepare(store)
    trials = sweep.trials()
    by_key = {spec.key: spec for spec in trials}
    statuses = store.statuses(by_key)
    failed = [key for key, status in statuses.items() if status != "ok"]
    if request.retry_failed and failed:
        store.supersede(failed)
        statuses = {key: status for key, status in statuses.items() if status == "ok"}
    todo = [spec for key, spec in by_key.items() if key not in statuses]
    write_json(store.directory / "sweep.json", manifest(request, trials))
    console.print(_plan(sweep, len(by_key), len(statuses)), soft_wrap=True)
    if todo and not _schedule(request, store, todo, [store.read(key)[0] for key in statuses], console):
        console.print(
            f"interrupted; the records are in {store.directory}: the same command goes on from there"
        )
        return 130
    print_report(store.directory, console)
    return _settle(by_key, store, console)


def _prepare(store: Store) -> None:
    try:
        store.prepare()
    except OSError as error:
        raise RequestError(
            f"results cannot be written to {str(store.directory)!r} ({error.strerror}): "
            "choose a folder with --out"
        ) from error


def _plan(sweep: Sweep, planned: int, recorded: int) -> str:
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
    kept = f", {recorded} of them recorded already" if recorded else ""
    return f"[bold]{escape(sweep.name)}[/bold]: {grid} = {planned} trials{kept}"


def _schedule(
    request: Request, store: Store, todo: list[TrialSpec], done: list[dict[str, Any]], console: Console
) -> bool:
    """Run the trials; False if interrupted."""
    from orchestrator import schedule  # starts with importing Ray: seconds

    resources = schedule.Resources(address=request.address, workers=request.workers)
    with Progress(todo, done, console=console) as progress:
        try:
            schedule.run(
                request.sweep,
                todo,
                store,
                resources=resources,
                plugins=[str(Path(path).resolve()) for path in request.plugins],
                listener=progress,
            )
        except KeyboardInterrupt:
            return False
        except ConnectionError as error:
            raise RequestError(f"no Ray cluster at {request.address!r}: {error}") from error
    return True


def _settle(by_key: dict[str, TrialSpec], store: Store, console: Console) -> int:
    """The exit status; says what failed."""
    statuses = store.statuses(by_key)
    failed = sum(status != "ok" for status in statuses.values())
    missing = len(by_key) - len(statuses)
    if failed or missing:
        lost = f", {missing} without a record" if missing else ""
        again = "; --retry-failed runs them again" if failed else ""
        console.print(f"{failed} of {len(by_key)} trials failed{lost}{again}")
    return 1 if failed or missing else 0


def manifest(request: Request, trials: Sequence[TrialSpec]) -> dict[str, Any]:
    """What was asked for, as plain data: all that a report needs and the records do not hold."""
    sweep = request.sweep
    return {
        "name": sweep.name,
        "title": sweep.title,
        "command": request.command,
        "config": sweep.as_mapping(),
        "protocol": sweep.protocol,
        "planned": {
            "datasets": list(sweep.datasets),
            "mechanisms": list(sweep.mechanisms),
            "ratios": list(sweep.ratios),
            "mask_seeds": list(sweep.mask_seeds),
            "methods": list(sweep.methods),
            "trials": len({spec.key for spec in trials}),
        },
        "methods": {name: _facts(methods.info(name), _METHOD_FACTS) for name in sweep.methods},
        "datasets": {name: _facts(datasets.info(name), _DATASET_FACTS) for name in sweep.datasets},
        "plugins": list(request.plugins),
        "versions": versions(),
        "machine": {
            "platform": platform.platform(),
            "cpus": psutil.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        },
    }


_METHOD_FACTS = ("title", "family", "reference")
_DATASET_FACTS = ("title", "short", "rows", "numeric", "categorical", "licence", "citation", "partial")


def _facts(info: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(info, name) for name in names}


def print_report(directory: Path, console: Console) -> None:
    """Print the results and write the report files.

    Raises
    ------
    RequestError
        If there are no results.
    """
    try:
        analysis.terminal(directory, console)
        paths = analysis.write(directory)
    except ValueError as error:
        raise RequestError(str(error)) from error
    console.print(f"report: {', '.join(str(path) for path in paths)}", soft_wrap=True)


def _print_masks(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """What the mechanisms really hid, by mechanism and ratio."""
    masks: dict[tuple[str, float], dict[str, float]] = {}
    for row in rows:
        if row["mask_hash"] is not None:
            realised = masks.setdefault((row["mechanism"], row["ratio"]), {})
            realised[row["mask_hash"]] = row["realised_ratio"]
    for (mechanism, ratio), shares in sorted(masks.items()):
        least, most = min(shares.values()), max(shares.values())
        console.print(f"  {mechanism} {ratio:.1%}: {len(shares)} masks hide {least:.1%} to {most:.1%}")


def print_status(directory: Path, console: Console) -> None:
    """Print how far the sweep in a results folder is."""
    described = analysis.load_manifest(directory)
    if "config" not in described:
        raise RequestError(
            f"{str(directory / 'sweep.json')!r} is missing: issue the sweep again with --out {directory}"
        )
    for plugin in described.get("plugins", ()):
        methods.load_plugin(plugin)
    sweep = Sweep.from_mapping(described["config"])
    store = Store(directory)
    by_key = {spec.key: spec for spec in sweep.trials()}
    statuses = store.statuses(by_key)
    counts = Counter(statuses.values())
    console.print(
        f"[bold]{escape(sweep.name)}[/bold] in {directory}: {len(by_key)} trials planned", soft_wrap=True
    )
    for status in ("ok", "failed", "timeout", "out_of_memory"):
        if counts[status] or status == "ok":
            console.print(f"  {status:14}{counts[status]:>8}")
    missing = [spec for key, spec in by_key.items() if key not in statuses]
    running = [spec for spec in missing if store.attempts(spec.key)]
    console.print(f"  {'missing':14}{len(missing):>8}")
    if running:
        console.print(f"  of these {len(running)} were started: {escape(running[0].describe())}")
    rows = [store.read(key)[0] for key in statuses]
    spent = sum((row["finished_at"] - row["started_at"]).total_seconds() for row in rows)
    console.print(f"  {duration(spent)} of work recorded")
    _print_masks(rows, console)
    if missing:
        console.print(
            f"  go on with: {described.get('command') or 'the command that started it'}", soft_wrap=True
        )
