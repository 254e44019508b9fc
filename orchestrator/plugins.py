"""Python files of users that define more methods: loaded here, and carried to the workers."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import methods
from orchestrator.sweep import RequestError


def load(paths: Iterable[str | Path], whose: str = "--plugin") -> None:
    """Register the methods that the files define.

    Parameters
    ----------
    paths
        The files.
    whose
        What an error calls them.

    Raises
    ------
    RequestError
        If one is not there, defines no method, or cannot be run.
    """
    for path in paths:
        try:
            methods.load_plugin(path)
        except ValueError as error:
            raise RequestError(f"{whose}: {error}") from error


def packed(paths: Iterable[str | Path]) -> dict[str, str]:
    """The source of each file by its path, to be sent to workers."""
    return {str(path): Path(path).read_text(encoding="utf-8") for path in paths}


def unpack(sources: Mapping[str, str]) -> None:
    """In a worker: register the methods of files that the driver has packed."""
    for path, source in sources.items():
        if _loaded.get(path) != source:
            methods.load_plugin(here(Path(path), source))
            _loaded[path] = source


_loaded: dict[str, str] = {}


def here(path: Path, source: str) -> Path:
    """A file of this content: the one at `path`, or a copy where this machine has another or none there."""
    try:
        if path.read_text(encoding="utf-8") == source:
            return path
    except (OSError, UnicodeDecodeError):
        pass
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    # the name stays: it names the module
    copy = Path(tempfile.gettempdir()) / f"lacuna-plugin-{os.getuid()}-{digest}" / path.name
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    beside = copy.with_suffix(f".{os.getpid()}.tmp")
    beside.write_text(source, encoding="utf-8")
    beside.replace(copy)
    return copy
