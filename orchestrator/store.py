"""Results on disk: one write-once Parquet file a trial.

Layout of a results folder::

    records/<trial key>.parquet   what is true; read it with anything that reads Parquet
    running/<trial key>.*         attempts under way; the next attempt learns from them how the last one ended
    superseded/                   failed records that a later request ran again
    damaged/                      files that could not be read; their trials ran again
    sweep.json                    what was asked for, for the report

A record is written beside its place, synced, and linked to its name: it is there whole or not at all, and the
first commit wins. The names of the files are the only account of what is done, so issuing a request again
runs what is missing.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.record import SCHEMA, Record


class Store:
    """A results folder.

    Parameters
    ----------
    directory
        The folder; created if it is not there.

    Raises
    ------
    OSError
        If the folder cannot be made or written to.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        self.records = self.directory / "records"
        self.running = self.directory / "running"

    def prepare(self) -> None:
        """Make the folder and try that it can be written to."""
        for folder in (self.records, self.running):
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{secrets.token_hex(8)}"
            probe.write_bytes(b"")
            probe.unlink()

    def keys(self) -> set[str]:
        """The keys of all committed trials, from the names of the files alone."""
        if not self.records.is_dir():
            return set()
        with os.scandir(self.records) as entries:
            return {entry.name[:-8] for entry in entries if entry.name.endswith(".parquet")}

    def commit(self, record: Record) -> bool:
        """Write a record unless the trial has one.

        Returns
        -------
        bool
            Whether this record is the one that stands; False if an earlier one does.
        """
        table = pa.Table.from_pylist([dict(row) for row in record.rows], schema=SCHEMA)
        beside = self.running / f"{record.key}.{secrets.token_hex(8)}.tmp"
        try:
            with beside.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            return _link(beside, self._part(record.key))
        finally:
            beside.unlink(missing_ok=True)

    def read(self, key: str) -> list[dict[str, Any]]:
        """The rows of one record."""
        return pq.read_table(self._part(key), schema=SCHEMA).to_pylist()

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """The status of each of `keys` that has a record.

        A file that cannot be read is moved to ``damaged/`` and counts as absent: its trial runs again.
        """
        present = self.keys()
        found = {}
        for key in keys:
            if key in present:
                try:
                    found[key] = pq.read_table(self._part(key), columns=["status"])["status"][0].as_py()
                except (pa.ArrowException, OSError, IndexError):
                    self._move([key], "damaged")
        return found

    def supersede(self, keys: Iterable[str]) -> None:
        """Move records aside, so that their trials run again."""
        self._move(keys, "superseded")

    def _move(self, keys: Iterable[str], folder: str) -> None:
        aside = self.directory / folder
        aside.mkdir(exist_ok=True)
        for key in keys:
            self._part(key).rename(aside / f"{key}.{secrets.token_hex(4)}.parquet")

    # attempts under way

    def begin(self, key: str) -> int:
        """Note that an attempt at a trial starts, and say which it is: 1 for the first."""
        count = self.attempts(key) + 1
        path = self.running / f"{key}.attempts"
        beside = path.with_suffix(f".{secrets.token_hex(8)}.tmp")
        beside.write_text(str(count))
        beside.replace(path)
        return count

    def attempts(self, key: str) -> int:
        """How many attempts at an unfinished trial were started."""
        try:
            return int((self.running / f"{key}.attempts").read_text())
        except FileNotFoundError:
            return 0

    def trace(self, key: str) -> Path:
        """Where the stacks of an attempt go if it is stopped at its deadline."""
        return self.running / f"{key}.trace"

    def overdue(self, key: str) -> str | None:
        """The stacks of the last attempt, if it was stopped at its deadline."""
        try:
            return self.trace(key).read_text(errors="replace") or None
        except FileNotFoundError:
            return None

    def forget_attempts(self, keys: Iterable[str]) -> None:
        """Forget the attempts of an earlier run, which ended for reasons that are not the trials'."""
        started = {path.stem for path in self.running.glob("*.attempts")}
        for key in started.intersection(keys):
            self.end(key)

    def end(self, key: str) -> None:
        """Forget the attempts of a trial that has its record."""
        (self.running / f"{key}.attempts").unlink(missing_ok=True)
        self.trace(key).unlink(missing_ok=True)

    def _part(self, key: str) -> Path:
        return self.records / f"{key}.parquet"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole or not at all."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        beside.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> bool:
    """Give `source` the name `target` unless that is taken. Atomic; the first caller wins."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # no hard links on this file system: a rename is still atomic, but of two commits the last one wins
        if target.exists():
            return False
        source.rename(target)
    return True
