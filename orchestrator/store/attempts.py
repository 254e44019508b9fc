"""Attempts under way: what the next attempt must know of the last one, which may have died."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable
from pathlib import Path


class Attempts:
    """Notes on trials that have no record yet, in a folder of this machine's or a shared file system.

    Parameters
    ----------
    running
        The folder.
    """

    def __init__(self, running: Path):
        self.running = running

    def begin(self, key: str) -> int:
        """Note that an attempt at a trial starts, and say which it is: 1 for the first."""
        count = self.attempts(key) + 1
        path = self.running / f"{key}.attempts"
        beside = path.with_suffix(f".{secrets.token_hex(8)}.tmp")
        beside.write_text(str(count))
        with contextlib.suppress(FileNotFoundError):  # tidied away by another attempt, which has ended
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
        started = {path.name.partition(".")[0] for path in self.running.iterdir()}
        for key in started.intersection(keys):
            self.end(key)

    def end(self, key: str) -> None:
        """Forget the attempts of a trial that has its record, and what a killed one had half written."""
        for path in self.running.glob(f"{key}.*"):
            path.unlink(missing_ok=True)
