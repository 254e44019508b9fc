"""One run of the verb: refuse early, fill, write whole files, and say what was done."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from orchestrator.impute import saved
from orchestrator.impute.delimited import COMPRESSED
from orchestrator.impute.reading import kind_of
from orchestrator.impute.roles import unique_names
from orchestrator.impute.telling import tell
from orchestrator.impute.verb import Filled, Say, impute
from orchestrator.impute.writing import write, write_frame, write_text
from orchestrator.sweep import RequestError


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
        written = _write(filled, request, dict(targets), say)
    if not progress.quiet:
        tell(filled, console)
        for what in written:
            console.print(escape(f"{what}: {dict(targets)[what]}"), soft_wrap=True)
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


def _write(filled: Filled, request: Request, where: Mapping[str, Path], say: Say) -> list[str]:
    """Write the files that there is something for; returns which."""
    assert filled.loaded is not None
    written = []
    if request.one_file_each and filled.draws:
        for number, draw in enumerate(filled.draws, 1):
            say(f"writing imputation {number} of {len(filled.draws)}")
            write(where[f"imputation {number}"], filled.prepared, [draw], filled.loaded)
            written.append(f"imputation {number}")
    else:
        what = "filled table" if "filled table" in where else "imputation 1"
        say(f"writing {where[what]}")
        stack = unique_names([*filled.prepared.names, "imputation"])[-1] if request.stack else ""
        tables = filled.draws if request.stack and filled.draws else [filled.fills]
        write(where[what], filled.prepared, tables, filled.loaded, stack)
        written.append(what)
    if "spread" in where and filled.spread is not None:
        write_frame(where["spread"], filled.spread)
        written.append("spread")
    if "imputer" in where and filled.imputer is not None:
        saved.save(where["imputer"], filled.imputer)
        written.append("imputer")
    if "page" in where and filled.method is not None:
        say("making the page")
        write_text(where["page"], filled.page(Path(request.table).name, request.command))
        written.append("page")
    return written


def _numbered(path: Path, number: int, of: int) -> Path:
    stem = _stem(path)
    return path.with_name(f"{stem}-{number:0{len(str(of))}d}{path.name[len(stem) :]}")


def _stem(path: Path) -> str:
    """The name without its endings, two where it is compressed."""
    stem = path.stem if path.suffix.casefold() in COMPRESSED else path.name
    return Path(stem).stem
