"""One run of the verb: refuse early, fill, write whole files, and say what was done."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.impute import saved
from orchestrator.impute.delimited import COMPRESSED
from orchestrator.impute.reading import kind_of
from orchestrator.impute.roles import Column, unique_names
from orchestrator.impute.verb import Filled, Say, impute
from orchestrator.impute.writing import write, write_frame, write_text
from orchestrator.progress import duration
from orchestrator.record import versions
from orchestrator.sweep import RequestError

SHOWN = 40
"""Columns that are shown in the terminal; the page has them all."""


@dataclass(frozen=True)
class Request:
    """What a user wants done."""

    table: str
    out: str | None
    how: Mapping[str, Any]
    """Arguments of :func:`orchestrator.impute.verb.impute`."""
    spread: str | None = None
    stack: bool = False
    """Whether the samples are what is written, rather than the one filled table."""
    save: str | None = None
    report: str | None = None
    """None for a page beside the filled table, empty for none."""
    one_file_each: bool = False
    force: bool = False
    command: str = ""


def run(request: Request, console: Console, progress: Console) -> Filled:
    """Carry out a request.

    Parameters
    ----------
    request
        What to do.
    console, progress
        For what was done, and for what is being done.

    Raises
    ------
    RequestError
        If it cannot be carried out; no file was touched, or the message names which.
    """
    targets = _targets(request)
    _refuse_taken(targets, force=request.force)
    with progress.status("") as status:

        def say(line: str) -> None:
            if progress.is_terminal:
                status.update(escape(line))
            else:
                progress.print(escape(line), soft_wrap=True)

        filled = impute(request.table, progress=say, **request.how)
        _write(filled, request, targets, say)
    if not progress.quiet:
        tell(filled, console)
        for what, path in targets:
            if path.exists():
                console.print(escape(f"{what}: {path}"), soft_wrap=True)
    return filled


def _targets(request: Request) -> list[tuple[str, Path]]:
    """What will be written, and where."""
    if not request.out:
        stem = Path(request.table).name.split(".")[0]
        raise RequestError(f"where to? Say -o FILE, such as -o {stem}-filled.csv")
    out = Path(request.out)
    if kind_of(out) == "excel":
        raise RequestError(f"{out}: workbooks are read, not written; take .csv or .parquet")
    n_samples = request.how["samples"]
    if request.one_file_each and not request.stack:
        raise RequestError("--one-file-each is for --samples N: say how many")
    targets = [("filled table", out)]
    if request.one_file_each:
        targets = [
            (f"imputation {number}", _numbered(out, number, n_samples)) for number in range(1, n_samples + 1)
        ]
    if request.spread:
        targets.append(("spread", Path(request.spread)))
        if kind_of(Path(request.spread)) == "excel":
            raise RequestError(f"--spread {request.spread}: take .csv or .parquet")
    if request.save:
        targets.append(("imputer", Path(request.save)))
    if request.report != "":
        targets.append(
            ("page", Path(request.report) if request.report else out.with_name(f"{_stem(out)}.html"))
        )
    return targets


def _refuse_taken(targets: Sequence[tuple[str, Path]], *, force: bool) -> None:
    paths = [path.absolute() for _, path in targets]
    for what, path in targets:
        if paths.count(path.absolute()) > 1:
            raise RequestError(f"{path} is asked for twice: give {what} another name")
        if not path.parent.is_dir():
            raise RequestError(f"{path}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise RequestError(f"{path} is a folder: name a file in it")
    taken = [str(path) for _, path in targets if path.exists()]
    if taken and not force:
        listed = f"{', '.join(taken)} {'exists' if len(taken) == 1 else 'exist'}"
        if not (sys.stdin.isatty() and click.confirm(f"{listed}. Replace?", err=True)):
            raise RequestError(f"{listed}: --force replaces, -o names another file")


def _write(filled: Filled, request: Request, targets: Sequence[tuple[str, Path]], say: Say) -> None:
    assert filled.loaded is not None
    where = dict(targets)
    if request.one_file_each and filled.draws:
        for number, draw in enumerate(filled.draws, 1):
            say(f"writing imputation {number} of {len(filled.draws)}")
            write(where[f"imputation {number}"], filled.prepared, [draw], filled.loaded)
    elif request.stack and filled.draws:
        say(f"writing {request.out}")
        stack = unique_names([*filled.prepared.names, "imputation"])[-1]
        write(where["filled table"], filled.prepared, filled.draws, filled.loaded, stack)
    else:
        path = where.get("filled table") or where["imputation 1"]
        say(f"writing {path}")
        write(path, filled.prepared, [filled.fills], filled.loaded)
    spread = filled.spread
    if request.spread and spread is not None:
        write_frame(Path(request.spread), spread)
    if request.save and filled.imputer is not None:
        saved.save(Path(request.save), filled.imputer)
    if "page" in where and filled.method is not None:
        say("making the page")
        from analysis.filled import page

        write_text(where["page"], page(story(filled, request, spread)))


def story(filled: Filled, request: Request, spread: pd.DataFrame | None) -> Any:
    """What the page tells."""
    from analysis.filled import Story

    choice = filled.choice
    before, after = filled.prepared.with_holes(), filled.frame
    after.columns = before.columns
    return Story(
        name=Path(request.table).name,
        command=request.command,
        seconds=filled.seconds,
        method=filled.method or "",
        why=filled.why,
        columns=columns_table(filled.columns),
        before=before,
        after=after,
        board=choice.board if choice else None,
        choice={"metric": choice.metric, "sure": choice.sure, "hidden": choice.hidden} if choice else None,
        spread=spread,
        versions=versions(),
        warnings=[*(filled.loaded.notes if filled.loaded else ()), *filled.warnings],
    )


def columns_table(columns: Sequence[Column]) -> pd.DataFrame:
    """One row a column: name, role, reason, n_missing, markers in words."""
    rows = [(c.name, str(c.role), c.reason, c.n_missing, _markers(c.markers)) for c in columns]
    return pd.DataFrame(rows, columns=["name", "role", "reason", "n_missing", "markers"])


def tell(filled: Filled, console: Console) -> None:
    """Say what each column was taken for, what was chosen, and what stayed."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("column", "taken for", "because", "missing", "written as"):
        table.add_column(heading, justify="right" if heading == "missing" else "left", overflow="fold")
    for column in filled.columns[:SHOWN]:
        n_missing = f"{column.n_missing:,}" if column.n_missing else ""
        cells = (column.name, str(column.role), column.reason, n_missing, _markers(column.markers))
        table.add_row(*map(escape, cells))
    console.print(table)
    if len(filled.columns) > SHOWN:
        console.print(f"... and {len(filled.columns) - SHOWN} more columns, all of them on the page")
    for note in [*(filled.loaded.notes if filled.loaded else ()), *filled.warnings]:
        console.print(f"[yellow]note:[/yellow] {escape(note)}", soft_wrap=True)
    if filled.method is None:
        console.print(
            "nothing to fill: no column that can be filled has a hole (--missing tells what stands for one)"
        )
        return
    n_filled = sum(len(values) for values in filled.fills.values())
    by = f"{filled.method} {json.dumps(dict(filled.params))}" if filled.params else filled.method
    console.print(
        f"filled {n_filled:,} entries by [bold]{escape(by)}[/bold] in {duration(filled.seconds)}: "
        + escape(filled.why),
        soft_wrap=True,
    )
    if filled.choice:
        console.print(f"sure that it is the best of those tried: {filled.choice.sure:.0%}")


def _markers(markers: Mapping[str, int]) -> str:
    return ", ".join(f"{word!r} {count:,}" if word else f"empty {count:,}" for word, count in markers.items())


def _numbered(path: Path, number: int, of: int) -> Path:
    stem = _stem(path)
    return path.with_name(f"{stem}-{number:0{len(str(of))}d}{path.name[len(stem) :]}")


def _stem(path: Path) -> str:
    """The name without its endings, two where it is compressed."""
    stem = path.stem if path.suffix.casefold() in COMPRESSED else path.name
    return Path(stem).stem
