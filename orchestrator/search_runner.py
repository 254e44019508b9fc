"""What the verb `tune` does: from a search to its rows, best.yaml, a page and an exit status.

Optuna proposes configurations and ASHA drops what falls behind (`orchestrator.search_schedule`). Every fold
commits a row of its own, so that the command, issued again, goes on from there.

Layout of a search's folder::

    folds/<number>-<fold>.parquet   one row each, written once
    search.parquet                  the same rows in one file: the history
    search.json                     what was asked for
    best.yaml                       a sweep: the best configuration beside the default, on masks not searched
    search.html, search.md          the page
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.markup import escape

import methods
from analysis import search as page
from orchestrator.fold import SCHEMA, FoldStore
from orchestrator.record import versions
from orchestrator.search import Search
from orchestrator.store import is_url, write_json
from orchestrator.sweep import RequestError
from orchestrator.trial import canonical_json

EVALUATED_MASKS = 5
"""Mask seeds of the sweep that best.yaml asks for."""


@dataclass(frozen=True)
class SearchRequest:
    """A search and how to run it."""

    search: Search
    directory: str | Path | None = None
    """Folder of the search; by default ``results/tune-<method>-<dataset>``."""
    address: str | None = None
    workers: int | None = None
    plugins: Sequence[str] = ()
    command: str = ""
    """The command line, for the page."""


def run(request: SearchRequest, console: Console) -> int:
    """Try configurations that have not been tried yet, then write the history, best.yaml and the page.

    Returns
    -------
    int
        0 if a configuration was scored on every fold, 1 if none was or the search could not be finished, 130
        if interrupted.

    Raises
    ------
    RequestError
        If the request cannot be carried out; nothing was started.
    """
    search = request.search
    if is_url(request.directory):
        raise RequestError(f"{str(request.directory)!r}: the folder of a search must be on a file system")
    store = FoldStore(request.directory or Path("results") / f"tune-{search.label}")
    _agree(search, store)
    search.check()
    try:
        store.prepare()
    except OSError as error:
        raise RequestError(
            f"{str(store.directory)!r} cannot be written to ({error.strerror}): choose a folder with --out"
        ) from error
    write_json(store.directory / "search.json", manifest(request))
    ended = sum(done for _, done in store.configurations(search.folds).values())
    console.print(_plan(search, ended), soft_wrap=True)
    interrupted, trouble = False, None
    if ended < search.wanted:
        try:
            trouble = _propose(request, store, console)
        except KeyboardInterrupt:
            interrupted = True
    status = _conclude(search, store, console)
    if trouble:
        console.print(f"[red]the search ended early: {escape(trouble)}[/red]", soft_wrap=True)
    if interrupted:
        console.print("interrupted; the same command goes on from there")
        return 130
    return 1 if trouble else status


def _propose(request: SearchRequest, store: FoldStore, console: Console) -> str | None:
    console.print("starting Ray and its workers")
    from orchestrator import search_schedule  # starts with importing Ray and Optuna: seconds

    try:
        return search_schedule.run(
            request.search,
            store,
            resources=search_schedule.Resources(address=request.address, workers=request.workers),
            plugins=[str(Path(path).resolve()) for path in request.plugins],
            listener=lambda line: console.print(line, soft_wrap=True, markup=False),
        )
    except search_schedule.ClusterLostError as error:
        return str(error)


def _conclude(search: Search, store: FoldStore, console: Console) -> int:
    """Write what follows from the rows; 0 if there is a best configuration."""
    rows = store.rows()
    if not rows:
        return 1
    beside = store.directory / ".search.parquet.tmp"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), beside, compression="zstd")
    beside.replace(store.directory / "search.parquet")
    best = page.best(page.configurations(pd.DataFrame(rows), search.folds))
    sweep_file = store.directory / "best.yaml"
    if best is None:
        sweep_file.unlink(missing_ok=True)
    else:
        sweep_file.write_text(best_sweep(search, int(best["number"]), best["values"]), encoding="utf-8")
    written = page.write(store.directory)
    page.terminal(store.directory, console)
    console.print(f"page: {', '.join(map(str, written))}", soft_wrap=True)
    if best is None:
        return 1
    console.print(f"next: python -m orchestrator sweep {sweep_file}", soft_wrap=True)
    return 0


def best_sweep(search: Search, number: int, values: Mapping[str, Any]) -> str:
    """A sweep file: the best configuration beside the default, on masks that were not searched."""
    searched = search.grid.mask_seeds
    fresh = [seed for seed in range(len(searched) + EVALUATED_MASKS) if seed not in searched][
        :EVALUATED_MASKS
    ]
    variants = [search.params(0, {})]
    if number:
        variants.append(search.params(number, values))
    told = "the default is the best that was found" if number == 0 else "the default and the best found"
    content = {
        "name": f"{search.label}-tuned",
        "title": f"{methods.info(search.method).title}: {told}, on masks that the search did not see",
        "datasets": [search.dataset],
        "mechanisms": list(search.grid.mechanisms),
        "ratios": list(search.grid.ratios),
        "seeds": fresh,
        "methods": list(dict.fromkeys(["mean", search.method])),
        "params": {search.method: json.loads(canonical_json(variants))},
    }
    head = [
        f"Configuration {number} of a search over {', '.join(search.space.plain())}: see search.html.",
        f"Searched on mask seeds {', '.join(map(str, searched))}; here on others, of the same table.",
    ]
    return "".join(f"# {line}\n" for line in head) + yaml.safe_dump(content, sort_keys=False, width=100)


def manifest(request: SearchRequest) -> dict[str, Any]:
    """What was asked for, as plain data: all that the page needs and the rows do not hold."""
    search = request.search
    info = methods.info(search.method)
    return {
        "title": search.space.title or f"{info.title} on {search.dataset}",
        "method": search.method,
        "method_title": info.title,
        "dataset": search.dataset,
        "mechanism": search.grid.mechanisms[0],
        "ratio": search.grid.ratios[0],
        "mask_seeds": list(search.grid.mask_seeds),
        "metric": search.metric,
        "folds": search.folds,
        "hide": search.hide,
        "trials": search.trials,
        "wanted": search.wanted,
        "seed": search.seed,
        "space": search.space.plain(),
        "parameters": list(search.space.plain()),
        "fixed": dict(search.space.fixed),
        "determinants": search.determinants(),
        "command": request.command,
        "plugins": list(request.plugins),
        "versions": versions(),
        "machine": {
            "platform": platform.platform(),
            "cpus": psutil.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        },
    }


def _agree(search: Search, store: FoldStore) -> None:
    """Refuse a folder that holds another search."""
    path = store.directory / "search.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["determinants"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{path} cannot be read ({error}): choose another folder with --out") from error
    now = json.loads(canonical_json(search.determinants()))
    differing = [name for name in now if before.get(name) != now[name]]
    if differing:
        told = "; ".join(f"{name} {before.get(name)} there, {now[name]} here" for name in differing)
        raise RequestError(
            f"{str(store.directory)!r} holds another search ({told}): choose another folder with --out"
        )


def _plan(search: Search, ended: int) -> str:
    kept = f", {ended} of them recorded already" if ended else ""
    fewer = ""
    if search.wanted < search.trials:
        fewer = f" (the space holds no more; {search.trials} were asked for)"
    seeds = ", ".join(map(str, search.grid.mask_seeds))
    return (
        f"[bold]{escape(search.method)} on {escape(search.dataset)}[/bold], {search.grid.mechanisms[0]} "
        f"{search.grid.ratios[0]:g}, mask {seeds}: {search.wanted} configurations{fewer} of "
        f"{', '.join(search.space.plain())}, {search.folds} folds, by {search.metric}{kept}"
    )
