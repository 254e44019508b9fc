"""One trial under the lamp: what it was, what came of it, and the same once more in this process."""

from __future__ import annotations

import dataclasses
import json
import pdb
import shlex
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape

import datasets
import methods
from orchestrator.history import manifest, planned, recorded
from orchestrator.record import Record, versions
from orchestrator.store import Store
from orchestrator.store.differences import CIRCUMSTANCES
from orchestrator.sweep import RequestError, Sweep
from orchestrator.trial import TrialSpec, run_trial

LEAST_PREFIX = 4
"""Characters of a key that may name a trial."""

CHANGES = CIRCUMSTANCES | {"label"}
"""Columns of a record that may differ when the same trial is run again."""


@dataclass(frozen=True)
class Found:
    """A trial in a results folder."""

    key: str
    directory: Path
    spec: TrialSpec | None
    """None where the present code and data make no such trial any more."""
    sweep: str
    rows: Sequence[Mapping[str, Any]]
    """Its record, one mapping a split; empty where there is none."""
    plugins: Sequence[str]


def find(prefix: str, directories: Sequence[Path]) -> Found:
    """The trial whose key starts with `prefix`, planned or recorded in one of `directories`.

    Raises
    ------
    RequestError
        If there is none, or more than one.
    """
    if len(prefix) < LEAST_PREFIX or not all(character in "0123456789abcdef" for character in prefix):
        raise RequestError(
            f"trial key {prefix!r}: give at least {LEAST_PREFIX} of its 32 characters 0-9 and a-f; "
            "they are the column trial_key of a record and the name of its file"
        )
    complaints: list[str] = []
    found: dict[str, Found] = {}
    for directory in directories:
        try:
            described: Mapping[str, Any] = manifest(directory)
            sweep: Sweep | None = planned(dict(described))
        except (RequestError, datasets.UnknownNameError, methods.UnknownNameError) as error:
            complaints.append(f"{directory}: {error}")
            described, sweep = {}, None
        specs = {spec.key: spec for spec in sweep.trials()} if sweep else {}
        frame, troubles = recorded(directory)
        complaints += troubles
        keys = {*specs, *frame["trial_key"]}
        for key in sorted(key for key in keys if key.startswith(prefix)):
            if key in found and found[key].rows:
                continue
            rows = _plain(frame[frame["trial_key"].eq(key)])
            spec = specs.get(key) or (_respecified(rows[0]) if rows else None)
            name = sweep.name if sweep else directory.name
            found[key] = Found(key, directory, spec, name, rows, list(described.get("plugins", ())))
    if len(found) == 1:
        return next(iter(found.values()))
    where = ", ".join(map(str, directories)) or "no results folder"
    if found:
        some = ", ".join(sorted(found)[:3])
        raise RequestError(f"{len(found)} trials start with {prefix!r}, among them {some}: give more of it")
    why = f" ({'; '.join(complaints)})" if complaints else ""
    raise RequestError(f"no trial's key starts with {prefix!r} in {where}{why}: name its folder by --results")


def explain(found: Found, console: Console) -> None:
    """Print all that is known of a trial, and how to run it alone."""

    def heading(text: str) -> None:
        console.print(f"\n[bold]{escape(text)}[/bold]", soft_wrap=True)

    def line(name: str, value: object, note: str = "") -> None:
        console.print(f"  {escape(f'{name:22}')}  {escape(str(value))}{escape(note)}", soft_wrap=True)

    console.print(f"[bold]{found.key}[/bold] of {escape(found.sweep)} in {escape(str(found.directory))}")
    heading("trial")
    if found.spec is None:
        line("", "the data, the method's or the metrics' version has changed since: it cannot be run again")
        row = found.rows[0]
        fields: Mapping[str, Any] = {name: row.get(name) for name in _FROM_ROW}
    else:
        fields = dataclasses.asdict(found.spec) | {"method_seed": found.spec.method_seed}
    for name, value in fields.items():
        line(name, value)

    heading("mask, drawn again")
    for name, value in _mask(found):
        line(name, value)

    store = Store(found.directory)
    heading("outcome")
    for name, value in _outcome(found, store):
        line(name, value)
    for row in found.rows:
        heading(f"record, {row['split']}")
        for name, value in row.items():
            if name not in _ELSEWHERE and value is not None:
                line(name, value)

    heading("versions")
    then = json.loads(found.rows[0]["versions"] or "{}") if found.rows else {}
    now = versions()
    for name in sorted({*then, *now}):
        same = not then or then.get(name) == now.get(name)
        line(name, then.get(name, now.get(name)), "" if same else f"  (now {now.get(name, 'not installed')})")

    error = found.rows[0].get("error") if found.rows else None
    if error:
        heading("error")
        console.print(escape(str(error)), soft_wrap=True)
    if found.spec is not None:
        heading("to run it alone, in one process, with a debugger where it fails")
        console.print(f"  {escape(command(found))}", soft_wrap=True)


def command(found: Found) -> str:
    """The command line that runs just this trial in-process."""
    words = ["python", "-m", "orchestrator", "run-trial", found.key, "--results", str(found.directory)]
    return shlex.join([*words, "--pdb"])


def run_alone(found: Found, console: Console, *, debug: bool = False, commit: bool = False) -> int:
    """Run a trial in this process, print its rows and compare them with its record.

    Parameters
    ----------
    found
        The trial.
    console
        Where to print.
    debug
        Open Python's debugger where an exception was raised.
    commit
        Write the record, if the trial has none.

    Returns
    -------
    int
        0 if it ended well and as recorded, if it is recorded; else 1.

    Raises
    ------
    RequestError
        If the trial cannot be made from the present code and data.
    """
    if found.spec is None:
        raise RequestError(
            f"{found.key} cannot be run again: the data, the method's or the metrics' version has changed "
            "since, and the same request now makes another trial"
        )
    console.print(f"running {escape(found.spec.describe())}", soft_wrap=True)
    record = run_trial(found.spec, sweep=found.sweep, on_error=_debug if debug else None)
    for row in record.rows:
        console.print()
        for name, value in row.items():
            if value is not None and name not in ("versions", "error"):
                console.print(f"  {name:22}  {escape(str(value))}", soft_wrap=True)
    if record.status != "ok":
        console.print(f"\n{escape(str(record.rows[0]['error']))}", soft_wrap=True)
    console.print()
    agrees = _compare(found, record, console)
    if commit:
        _commit(found, record, console)
    return 0 if record.status == "ok" and agrees else 1


def differences(recorded_rows: Iterable[Mapping[str, Any]], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Where two records of a trial differ in what the trial determines, to the last bit of each number."""
    old = {row["split"]: row for row in recorded_rows}
    new = {row["split"]: row for row in rows}
    differing = [f"split {split} is in one alone" for split in sorted(old.keys() ^ new.keys())]
    for split in sorted(old.keys() & new.keys()):
        for name in sorted((old[split].keys() & new[split].keys()) - CHANGES):
            before, after = old[split][name], new[split][name]
            if _bits(before) != _bits(after):
                differing.append(f"{split} {name}: recorded {before!r}, now {after!r}")
    return differing


_FROM_ROW = ("dataset", "mechanism", "ratio", "mask_seed", "method", "params", "protocol", "scores")
_ELSEWHERE = frozenset({*_FROM_ROW, "trial_key", "split", "status", "error", "versions", "attempts", "label"})
"""Columns that `explain` shows under another heading."""


def _compare(found: Found, record: Record, console: Console) -> bool:
    if not found.rows:
        console.print("there is no record to compare with")
        return True
    differing = differences(found.rows, record.rows)
    if not differing:
        console.print("the same as the record, to the bit")
        return True
    console.print(f"[red]differs from the record in {len(differing)} places:[/red]")
    for text in differing:
        console.print(f"  {escape(text)}", soft_wrap=True)
    then, now = json.loads(found.rows[0]["versions"] or "{}"), versions()
    changed = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    if changed:
        console.print(f"  versions that differ: {', '.join(changed)}", soft_wrap=True)
    return False


def _commit(found: Found, record: Record, console: Console) -> None:
    store = Store(found.directory)
    try:
        store.prepare()
        first = store.commit(record)
    except OSError as error:
        raise RequestError(f"the record cannot be written to {str(found.directory)!r}: {error}") from error
    store.end(found.key)
    console.print("the record is written" if first else "an earlier record stands; nothing was written")


def _debug(error: Exception) -> None:
    pdb.post_mortem(error.__traceback__)


def _outcome(found: Found, store: Store) -> list[tuple[str, object]]:
    told: list[tuple[str, object]] = []
    if found.rows:
        told += [("status", found.rows[0]["status"]), ("attempts", found.rows[0]["attempts"])]
    else:
        started = store.attempts(found.key)
        told.append(("status", "no record yet" + (f"; started {started} times" if started else "")))
        stacks = store.overdue(found.key)
        if stacks:
            told.append(("stopped at", f"its deadline, in:\n{stacks}"))
    for folder, why in (("superseded", "run again later"), ("damaged", "could not be read")):
        aside = sorted((found.directory / folder).glob(f"{found.key}.*"))
        if aside:
            told.append((folder, f"{len(aside)} earlier records ({why}): {aside[-1]}"))
    return told


def _mask(found: Found) -> list[tuple[str, object]]:
    if found.spec is None:
        return [("hash", f"not drawn; recorded {found.rows[0].get('mask_hash')}")]
    spec = found.spec
    try:
        task = datasets.make_task(
            datasets.load(spec.dataset),
            mechanism=spec.mechanism,
            ratio=spec.ratio,
            mask_seed=spec.mask_seed,
            protocol=spec.protocol,
        )
    except (ValueError, OSError, datasets.FetchError) as error:
        return [("", f"cannot be drawn: {error}")]
    told: list[tuple[str, object]] = [("hash", _checked_hash(found, task.mask_hash))]
    told.append(("share", f"{task.realised_ratio:.2%} of the observed entries"))
    for split in task.splits:
        rows, columns = split.truth.shape
        told.append((split.name, f"{rows} x {columns}, {int(split.hidden.sum())} hidden"))
        observed = np.maximum(split.truth.notna().to_numpy().sum(axis=0), 1)
        shares = split.hidden.sum(axis=0) / observed
        told += [(f"  {name}", f"{share:.1%}") for name, share in zip(split.truth, shares, strict=True)]
    return told


def _checked_hash(found: Found, drawn: str) -> str:
    noted = next((row["mask_hash"] for row in found.rows if row.get("mask_hash")), None)
    if noted is None:
        return f"{drawn} (none recorded)"
    return f"{drawn} (as recorded)" if drawn == noted else f"{drawn} (RECORDED {noted}: another mask)"


def _respecified(row: Mapping[str, Any]) -> TrialSpec | None:
    """The trial of a record that is not of the present plan; None if its key is not that of the record."""
    try:
        method, dataset = methods.resolve(row["method"]), datasets.resolve(row["dataset"])
        content = {name: row[name] for name in ("mechanism", "ratio", "protocol")}
        asked = json.loads(row["scores"]) if row.get("scores") else ()
        (spec,) = Sweep.from_mapping(
            {
                "name": "again",
                "datasets": [dataset],
                "methods": [method],
                "mechanisms": [content["mechanism"]],
                "ratios": [content["ratio"]],
                "protocol": content["protocol"],
                "seeds": [int(row["mask_seed"])],
                "params": {method: json.loads(row["params"] or "{}")},
                "scores": list(asked),
            }
        ).trials()
    except (ValueError, OSError, datasets.FetchError):
        return None
    return spec if spec.key == row["trial_key"] else None


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as the store gives them: None for what is null."""
    rows = frame.to_dict("records")
    return [{str(name): _value(value) for name, value in row.items()} for row in rows]


def _value(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _bits(value: Any) -> object:
    """A number as its bits, so that 0.0 and -0.0 differ; integers that a table with nulls made floats too."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return value
    return struct.pack("<d", float(value))
