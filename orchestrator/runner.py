"""What the verbs do: from a request to records, a report and an exit status."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

import analysis
import datasets
import methods
from orchestrator import chaos
from orchestrator.plan import grid_text, print_plan
from orchestrator.progress import Progress
from orchestrator.record import versions
from orchestrator.store import MANY, BusyError, Scan, Store, takes_no_more, unreachable, write_json
from orchestrator.sweep import RequestError, Sweep
from orchestrator.trial import TrialSpec


@dataclass(frozen=True)
class Request:
    """A sweep and how to run it."""

    sweep: Sweep
    directory: Path | str | None = None
    """Results folder; by default ``results/<name of the sweep>``."""
    address: str | None = None
    workers: int | None = None
    retry_failed: bool = False
    chaos: float = 0.0
    """Share of the attempts in which the worker kills itself, to show that no number changes."""
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
    store = Store(_directory(request))
    sweep.check()
    trials = sweep.trials()
    by_key = {spec.key: spec for spec in trials}
    found = _look(store, by_key)
    _prepare(store)
    with _room(store):
        return _run(request, store, by_key, found, console)


def _run(request: Request, store: Store, by_key: dict[str, TrialSpec], found: Scan, console: Console) -> int:
    sweep, statuses = request.sweep, found.statuses
    store.set_aside(found.damaged)
    if found.parts > MANY:
        _tidy_if_free(store, console)
    failed = [key for key, status in statuses.items() if status != "ok"]
    if request.retry_failed and failed:
        store.supersede(failed)
        statuses = {key: status for key, status in statuses.items() if status == "ok"}
    todo = [spec for key, spec in by_key.items() if key not in statuses]
    store.forget_attempts(statuses)  # of a sweep that was killed just after their records were written
    write_json(store.directory / "sweep.json", manifest(request, list(by_key.values())))
    store.publish("sweep.json")
    console.print(grid_text(sweep, len(by_key), len(statuses)), soft_wrap=True)
    if todo and not _schedule(request, store, todo, store.first_rows(statuses), console):
        if request.address is None:
            store.forget_attempts(spec.key for spec in todo)  # Ray and its workers are gone
        done = len(store.keys() & by_key.keys())
        console.print(
            f"interrupted: {done} of {len(by_key)} trials have their record in {store.where}; "
            "the same command goes on from there",
            soft_wrap=True,
        )
        return 130
    if len(store.place.names()) > MANY:
        _tidy_if_free(store, console)
    print_report(store.fetch(), console)
    store.publish("report.html", "report.md")
    if request.chaos and todo:
        console.print(_casualties(store, todo, request.chaos), soft_wrap=True)
    return _settle(by_key, store, console)


def dry_run(request: Request, costs_from: Sequence[Path], console: Console) -> None:
    """Print what `run` would do and what that should cost, learned from these results folders as well.

    Raises
    ------
    RequestError
        If the request cannot be carried out.
    """
    print_plan(
        request.sweep,
        Store(_directory(request)).fetch(),
        console,
        costs_from=costs_from,
        workers=request.workers,
        address=request.address,
        retry_failed=request.retry_failed,
    )


def compact(directory: Path | str, console: Console) -> None:
    """Merge the files of a results folder.

    Raises
    ------
    RequestError
        If they cannot be read, written or merged now.
    """
    store = Store(directory)
    try:
        _tidy(store, console)
    except OSError as error:
        if store.remote:
            raise unreachable(store.location, error) from error
        raise RequestError(f"the records in {store.where} cannot be merged ({error})") from error


def _tidy(store: Store, console: Console) -> None:
    merged = store.compact()
    console.print(f"merged {merged} files of records into one" if merged else "nothing to merge")


def _tidy_if_free(store: Store, console: Console) -> None:
    """Merge, unless the same sweep does so in another process: then that is enough."""
    with contextlib.suppress(BusyError):
        _tidy(store, console)


def _directory(request: Request) -> Path | str:
    return request.directory or Path("results") / request.sweep.name


def _look(store: Store, keys: Collection[str]) -> Scan:
    """What is there; nothing is changed."""
    try:
        return store.scan(keys)
    except OSError as error:
        if store.remote:
            raise unreachable(store.location, error) from error
        raise RequestError(
            f"the records in {store.where} cannot be read ({error.strerror or error}): "
            "choose another folder with --out"
        ) from error


@contextlib.contextmanager
def _room(store: Store) -> Iterator[None]:
    """End with a message, not a traceback, where what holds the results no longer takes any."""
    try:
        yield
    except OSError as error:
        if not takes_no_more(error):
            raise
        raise SystemExit(
            f"the results in {store.where} can no longer be written ({error.strerror}): what is recorded "
            "stays; mend that, and the same command goes on from there"
        ) from error


def _prepare(store: Store) -> None:
    try:
        store.prepare()
    except OSError as error:
        raise RequestError(
            f"results cannot be written to {store.where} ({error.strerror}): choose a folder with --out"
        ) from error


def _schedule(
    request: Request, store: Store, todo: list[TrialSpec], done: list[dict[str, Any]], console: Console
) -> bool:
    """Run the trials; False if interrupted."""
    from orchestrator import schedule  # starts with importing Ray: seconds

    resources = schedule.Resources(address=request.address, workers=request.workers)
    chaotic = chaos.loosed(request.chaos) if request.chaos else contextlib.nullcontext()
    with chaotic, Progress(todo, done, console=console) as progress:
        try:
            schedule.run(
                request.sweep,
                todo,
                store,
                resources=resources,
                plugins=[str(Path(path).resolve()) for path in request.plugins],
                recorded=done,
                listener=progress,
            )
        except schedule.ClusterLostError as error:
            raise SystemExit(str(error)) from error
        except KeyboardInterrupt:
            return False
    return True


def _casualties(store: Store, todo: Sequence[TrialSpec], share: float) -> str:
    """How many workers a chaos run killed, from the attempts in the records that it made."""
    from orchestrator.schedule import MAX_ATTEMPTS

    counts = [
        chaos.strikes(row["trial_key"], row["attempts"], share, last=MAX_ATTEMPTS)
        for row in store.first_rows(spec.key for spec in todo)
    ]
    hit = sum(count > 0 for count in counts)
    killed = f"{sum(counts)} workers killed themselves in mid-trial"
    return f"chaos {share:g}: {killed}, in {hit} of {len(todo)} trials"


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


def manifest(request: Request, trials: Collection[TrialSpec]) -> dict[str, Any]:
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
            "trials": len(trials),
        },
        "methods": {name: _facts(methods.info(name), _METHOD_FACTS) for name in sweep.methods},
        "datasets": {name: _facts(datasets.info(name), _DATASET_FACTS) for name in sweep.datasets},
        "plugins": [str(Path(path).resolve()) for path in request.plugins],
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
